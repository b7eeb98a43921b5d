"""A flux stack of its own for one test: started detached on free ports in a
temporary directory, asked over its control commands, and always taken down."""

import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

FLUX = os.environ.get("FLUX_BIN", os.path.join(os.path.dirname(__file__), "../../build/release/flux"))


def eventually(deadline_s, predicate, what):
    """Waits for a condition; the only way tests wait."""
    end = time.monotonic() + deadline_s
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s}s: {what}")
        time.sleep(0.05)


class Stack:
    def __init__(self, *up_arguments, config=None, engines=None):
        self.directory = tempfile.mkdtemp(prefix="flux-e2e-")
        self.data = os.path.join(self.directory, "data")
        self.globals = ["--data", self.data]
        if config is not None:
            path = os.path.join(self.directory, "flux.yaml")
            with open(path, "w") as f:
                f.write(config)
            self.globals += ["--config", path]
        if engines:
            self.globals += ["--engines", engines]
        self.up_arguments = list(up_arguments)
        self.url = None

    def flux(self, *arguments, timeout=90, check=True):
        done = subprocess.run([FLUX, *self.globals, *arguments], capture_output=True, text=True,
                              timeout=timeout, cwd=self.directory)
        if check and done.returncode != 0:
            raise AssertionError(f"flux {' '.join(arguments)} -> {done.returncode}: {done.stderr}\n{self.logs()}")
        return done

    def up(self):
        self.flux("up", "--detach", "--port", "0", *self.up_arguments)
        self.url = self.status()["url"]
        return self

    def __enter__(self):
        try:
            return self.up()
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print(self.logs())
        self.flux("down", "--timeout", "20s", check=False)
        shutil.rmtree(self.directory, ignore_errors=True)

    def status(self):
        done = self.flux("status", "-o", "json", check=False)
        if not done.stdout:
            raise AssertionError(f"no status: {done.stderr}\n{self.logs()}")
        return json.loads(done.stdout)

    def replicas(self, service=None):
        return [r for s in self.status()["services"] if service in (None, s["name"]) for r in s["replicas"]]

    def all_ready(self):
        return all(s["ready"] == s["desired"] for s in self.status()["services"])

    def logs(self, lines=60):
        text = ""
        folder = os.path.join(self.data, "logs")
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            with open(os.path.join(folder, name), errors="replace") as f:
                tail = f.readlines()[-lines:]
            text += f"--- {name}\n" + "".join(tail)
        return text

    def call(self, method, path, body=None, headers=None, timeout=10):
        """(status, headers, parsed body or text)"""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers or {})
        if data is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=timeout) as reply:
                status, fields, text = reply.status, reply.headers, reply.read()
        except urllib.error.HTTPError as refused:
            status, fields, text = refused.code, refused.headers, refused.read()
        try:
            return status, fields, json.loads(text)
        except ValueError:
            return status, fields, text.decode(errors="replace")


# What flux.yaml says to use the servers below.
DISTRIBUTED = ("kafka: {brokers: '${FLUX_KAFKA_BROKERS}'}\nredis: {url: '${FLUX_REDIS_URL}'}\n"
               "postgres: {url: '${FLUX_POSTGRES_URL}'}\n")


class Servers:
    """Real servers of this test's own, so that it may kill them; their settings are in the environment.
    Where they cannot be had the test is skipped (77), or fails when live tests are required."""

    SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts/servers")

    def __init__(self, *names):
        self.names = names
        self.directory = tempfile.mkdtemp(prefix="flux-servers-")

    def run(self, *arguments, timeout=300):
        done = subprocess.run([self.SCRIPT, *arguments], capture_output=True, text=True, timeout=timeout,
                              env=os.environ | {"FLUX_SERVERS_DIR": self.directory})
        if done.returncode != 0:
            raise AssertionError(f"scripts/servers {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def __enter__(self):
        try:
            settings = self.run("start", *self.names)
        except AssertionError as error:
            self.__exit__(None, None, None)
            print(f"SKIPPED: {error}")
            raise SystemExit(1 if os.environ.get("FLUX_REQUIRE_LIVE") == "1" else 77) from None
        os.environ.update(line.split("=", 1) for line in settings.splitlines() if "=" in line)
        return self

    def __exit__(self, *_):
        subprocess.run([self.SCRIPT, "clean"], capture_output=True, timeout=120,
                       env=os.environ | {"FLUX_SERVERS_DIR": self.directory})
        shutil.rmtree(self.directory, ignore_errors=True)


def main(tests):
    """Runs functions in order; prints one line each; the exit code says whether all passed."""
    failed = 0
    for test in tests:
        started = time.monotonic()
        try:
            test()
            print(f"ok    {test.__name__} ({time.monotonic() - started:.1f}s)", flush=True)
        except Exception as error:  # noqa: BLE001 - every failure is reported, none ends the run
            failed += 1
            import traceback
            traceback.print_exc()
            print(f"FAIL  {test.__name__}: {error}", flush=True)
    raise SystemExit(1 if failed else 0)
