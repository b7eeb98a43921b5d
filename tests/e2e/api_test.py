#!/usr/bin/env python3
"""flux serve on the embedded engines, as its clients see it."""

import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import uuid

FLUX = os.environ["FLUX_BIN"]


class Api:
    """One flux serve on a free port, with a data directory of its own or a given one."""

    def __init__(self, config="", data=None, extra=()):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="flux-api-"))
        self.data = data or self.directory / "data"
        (self.directory / "flux.yaml").write_text(f"data: {self.data}\n{config}")
        self.address_file = self.directory / "address"
        self.log = open(self.directory / "log", "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [FLUX, "--config", str(self.directory / "flux.yaml"), "serve", "--listen", "127.0.0.1:0",
             "--address-file", str(self.address_file), *extra], stderr=self.log, stdin=subprocess.DEVNULL)

    def wait_ready(self, timeout=30):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
                host, port = self.address_file.read_text().strip().rsplit(":", 1)
                self.host, self.port = host, int(port)
                if self.ask("GET", "/ready")[0] == 200:
                    return self
            time.sleep(0.02)
        raise AssertionError("flux serve did not become ready:\n" + self.read_log())

    def read_log(self):
        return (self.directory / "log").read_text()

    def connect(self):
        return http.client.HTTPConnection(self.host, self.port, timeout=20)

    def ask(self, method, path, body=None, headers=None):
        connection = self.connect()
        try:
            return ask_on(connection, method, path, body, headers)
        finally:
            connection.close()

    def order(self, product, key=None, quantity=1, connection=None):
        headers = {"Idempotency-Key": key} if key else {}
        body = {"productId": product, "quantity": quantity, "userId": "u1"}
        if connection:
            return ask_on(connection, "POST", "/v1/orders", body, headers)
        return self.ask("POST", "/v1/orders", body, headers)

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(timeout=40)

    def __enter__(self):
        return self.wait_ready()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def ask_on(connection, method, path, body=None, headers=None):
    headers = dict(headers or {})
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
    if body is not None:
        headers.setdefault("Content-Type", "application/json")
    connection.request(method, path, body=body, headers=headers)
    response = connection.getresponse()
    text = response.read()
    kind = response.getheader("Content-Type") or ""
    return response.status, json.loads(text) if "json" in kind and text else text, response.headers


class ApiTest(unittest.TestCase):
    def test_an_order_survives_kill_and_replays_after_a_restart(self):
        keep = pathlib.Path(tempfile.mkdtemp(prefix="flux-data-"))
        try:
            with Api(data=keep) as api:
                status, product, _ = api.ask("PUT", "/v1/products/p1", {"stock": 10})
                self.assertEqual((status, product), (200, {"productId": "p1", "stock": 10, "available": 10,
                                                           "reserved": 0, "confirmed": 0}))
                status, placed, headers = api.order("p1", "key-1", 3)
                self.assertEqual((status, placed["status"]), (202, "accepted"))
                self.assertTrue(headers["X-Request-Id"])
                self.assertRegex(headers["traceparent"], "^00-[0-9a-f]{32}-[0-9a-f]{16}-01$")
                api.stop(signal.SIGKILL)
            with Api(data=keep) as api:
                status, again, headers = api.order("p1", "key-1", 3)
                self.assertEqual((status, again, headers["Idempotent-Replay"]), (202, placed, "true"))
                status, order, _ = api.ask("GET", "/v1/orders/" + placed["orderId"])
                self.assertEqual((status, order["status"], order["quantity"]), (200, "accepted", 3))
                self.assertEqual(api.ask("GET", "/v1/products/p1")[1]["reserved"], 3)
                self.assertEqual(api.order("p1", "key-1", 4)[0], 422)
                self.assertEqual(api.order("p1", "key-2", 8)[0], 409)
                self.assertEqual(api.order("nothing")[0], 404)
                self.assertEqual(api.stop(), 0)
        finally:
            shutil.rmtree(keep, ignore_errors=True)

    def test_fifty_duplicates_at_once_make_one_order(self):
        with Api() as api:
            api.ask("PUT", "/v1/products/p1", {"stock": 1000, "buckets": 4})

            def place(_):
                while True:
                    status, body, _ = api.order("p1", "same")
                    if status != 409:
                        return status, body["orderId"]
            with concurrent.futures.ThreadPoolExecutor(50) as pool:
                answers = set(pool.map(place, range(50)))
            self.assertEqual(len(answers), 1, answers)
            self.assertEqual(answers.pop()[0], 202)
            self.assertEqual(api.ask("GET", "/v1/products/p1")[1]["reserved"], 1)

    def test_bad_input_gets_a_problem_document(self):
        with Api() as api:
            api.ask("PUT", "/v1/products/p1", {"stock": 10})
            good = '{"productId":"p1","quantity":1,"userId":"u"}'
            json_type = {"Content-Type": "application/json"}
            cases = [
                ("POST", "/v1/orders", "{", json_type, 400),
                ("POST", "/v1/orders", good.replace("1,", "99999999999999999999,"), json_type, 400),
                ("POST", "/v1/orders", "[" * 10000, json_type, 400),
                ("POST", "/v1/orders", b'{"productId":"\xff","quantity":1,"userId":"u"}', json_type, 400),
                ("POST", "/v1/orders", good.replace("}", ',"x":1}'), json_type, 400),
                ("POST", "/v1/orders", good, {"Content-Type": "text/plain"}, 415),
                ("POST", "/v1/orders", " " * 200_000 + good, json_type, 413),
                ("DELETE", "/v1/orders", None, {}, 405),
                ("GET", "/v1/orders/..%2f..%2fetc%2fpasswd", None, {}, 404),
                ("PUT", "/v1/products/%2e%2e", '{"stock":1}', json_type, 400),
                ("GET", "/v1/nothing", None, {}, 404),
            ]
            for method, path, body, headers, expected in cases:
                status, problem, answered = api.ask(method, path, body, headers)
                self.assertEqual(status, expected, (method, path, problem))
                self.assertEqual(answered["Content-Type"], "application/problem+json")
                self.assertEqual(problem["status"], expected)
                self.assertTrue(problem["title"] and problem["detail"])
            self.assertEqual(api.ask("GET", "/v1/products/p1")[1]["available"], 10)

    def test_workflows_and_runs(self):
        with Api() as api:
            steps = [{"name": "wait", "kind": "sleep", "with": {"duration": "10ms"}}]
            status, workflow, headers = api.ask("POST", "/v1/workflows", {"name": "w", "steps": steps})
            self.assertEqual((status, workflow["version"], workflow["steps"]), (201, 1, steps))
            path = "/v1/workflows/" + workflow["workflowId"]
            self.assertEqual(api.ask("GET", path)[2]["X-Cache"], "miss")
            status, body, headers = api.ask("GET", path)
            self.assertEqual((status, body, headers["X-Cache"]), (200, workflow, "hit"))
            self.assertEqual(api.ask("GET", path, headers={"If-None-Match": headers["ETag"]})[0], 304)
            self.assertEqual(api.ask("PUT", path, {"name": "w2", "steps": steps}, {"If-Match": headers["ETag"]})[0], 200)
            self.assertEqual(api.ask("PUT", path, {"name": "w3", "steps": steps}, {"If-Match": headers["ETag"]})[0], 412)
            self.assertEqual(api.ask("GET", path)[1]["name"], "w2")
            status, problem, _ = api.ask("POST", "/v1/workflows", {"name": "w", "steps": [{"name": "x", "kind": "shell"}]})
            self.assertEqual(status, 400)
            self.assertIn("steps[0]", problem["detail"])
            runs = [api.ask("POST", path + "/trigger", {"input": {"n": n}})[1]["runId"] for n in range(5)]
            seen, cursor = [], ""
            while True:
                page = api.ask("GET", f"/v1/runs?limit=2&cursor={cursor}")[1]
                seen += [run["runId"] for run in page["runs"]]
                cursor = page.get("nextCursor")
                if not cursor:
                    break
            self.assertEqual(seen, runs[::-1])
            status, run, _ = api.ask("GET", "/v1/runs/" + runs[2])
            self.assertEqual((status, run["status"], run["input"]), (200, "queued", {"n": 2}))

    def test_probes_metrics_and_openapi(self):
        with Api() as api:
            self.assertEqual(api.ask("GET", "/health")[0], 200)
            text = api.ask("GET", "/metrics")[1].decode()
            for name in ("flux_http_requests_total{", "flux_http_request_duration_seconds_bucket{",
                         "flux_breaker_state{", "flux_http_connections", "flux_loop_lag_seconds",
                         "process_resident_memory_bytes", "flux_orders_accepted_total"):
                self.assertIn("\n" + name, "\n" + text)
            self.assertEqual(api.ask("GET", "/openapi.json")[1]["openapi"], "3.1.0")

    def test_tokens_with_scopes(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as tokens:
            def entry(name, token, scopes):
                return f"- {{name: {name}, sha256: {hashlib.sha256(token.encode()).hexdigest()}, scopes: [{scopes}]}}\n"
            tokens.write(entry("ops", "secret-ops", "admin, read") + entry("shop", "secret-shop", "order"))
            tokens.flush()
            with Api(config=f"api: {{tokens_file: {tokens.name}}}\n") as api:
                ops, shop = ({"Authorization": "Bearer secret-" + who} for who in ("ops", "shop"))
                self.assertEqual(api.ask("PUT", "/v1/products/p", {"stock": 1})[0], 401)
                self.assertEqual(api.ask("PUT", "/v1/products/p", {"stock": 1}, shop)[0], 403)
                self.assertEqual(api.ask("PUT", "/v1/products/p", {"stock": 1}, ops)[0], 200)
                body = {"productId": "p", "quantity": 1, "userId": "u"}
                self.assertEqual(api.ask("POST", "/v1/orders", body, ops)[0], 403)
                self.assertEqual(api.ask("POST", "/v1/orders", body, shop)[0], 202)
                self.assertEqual(api.ask("GET", "/health")[0], 200)
                tokens.seek(0)
                tokens.truncate()
                tokens.write(entry("ops", "changed", "admin, read"))
                tokens.flush()
                deadline = time.monotonic() + 10
                while api.ask("GET", "/v1/runs", headers=ops)[0] != 401 and time.monotonic() < deadline:
                    time.sleep(0.1)
                self.assertEqual(api.ask("GET", "/v1/runs", headers=ops)[0], 401)
                self.assertEqual(api.ask("GET", "/v1/runs", headers={"Authorization": "Bearer changed"})[0], 200)
                self.assertEqual(api.stop(), 0)
                self.assertNotIn("secret", api.read_log())

    def test_refuses_a_public_address_without_tokens(self):
        with tempfile.TemporaryDirectory() as directory:
            config = pathlib.Path(directory) / "flux.yaml"
            config.write_text(f"data: {directory}/data\n")
            done = subprocess.run([FLUX, "--config", str(config), "serve", "--listen", "0.0.0.0:0"],
                                  capture_output=True, text=True, timeout=20, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("--insecure", done.stderr)

    def test_a_used_port_is_said_in_one_line(self):
        with socket.socket() as taken, tempfile.TemporaryDirectory() as directory:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            config = pathlib.Path(directory) / "flux.yaml"
            config.write_text(f"data: {directory}/data\n")
            done = subprocess.run([FLUX, "--config", str(config), "serve", "--listen",
                                   "127.0.0.1:%d" % taken.getsockname()[1]],
                                  capture_output=True, text=True, timeout=20, check=False)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("cannot listen on 127.0.0.1", done.stderr)

    def test_drains_under_load_without_a_reset(self):
        with Api() as api:
            api.ask("PUT", "/v1/products/p1", {"stock": 1_000_000, "buckets": 8})
            accepted, trouble, started = [], [], threading.Barrier(17)

            def client():
                connection = api.connect()
                started.wait()
                try:
                    while True:
                        status, body, headers = api.order("p1", str(uuid.uuid4()), connection=connection)
                        if status != 202:
                            trouble.append((status, body))
                            return
                        accepted.append(body["orderId"])
                        if headers["Connection"] == "close":
                            return
                except (OSError, http.client.HTTPException) as error:
                    trouble.append(repr(error))
                finally:
                    connection.close()

            clients = [threading.Thread(target=client) for _ in range(16)]
            for thread in clients:
                thread.start()
            started.wait()
            deadline = time.monotonic() + 20
            while len(accepted) < 200 and time.monotonic() < deadline:
                time.sleep(0.01)
            began = time.monotonic()
            self.assertEqual(api.stop(), 0, api.read_log())
            self.assertLess(time.monotonic() - began, 10)
            for thread in clients:
                thread.join()
            self.assertEqual(trouble, [])
            self.assertEqual(len(set(accepted)), len(accepted))


if __name__ == "__main__":
    unittest.main(verbosity=2)
