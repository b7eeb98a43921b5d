"""Kill -9 of random processes under load: every 202 is in the ledger exactly once,
nothing is oversold, stock adds up to the unit, nothing stays reserved.

  chaos_test.py [--engines embedded|distributed] [--kills 20] [--clients 200]

distributed starts Redis, PostgreSQL and Kafka of its own (scripts/servers) and kills
those as well."""

import argparse
import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import uuid

from stack import DISTRIBUTED, Servers, Stack, eventually

PRODUCTS = {"plenty": (1_000_000, 8), "scarce": (700, 1), "split": (500, 4)}


class Client:
    """Orders one after the other; each with a key, repeated until it is answered for good."""

    def __init__(self, host, port, seed, answers):
        self.host, self.port, self.answers = host, port, answers
        self.random = random.Random(seed)
        self.streams = None

    async def post(self, body, key):
        if self.streams is None:
            self.streams = await asyncio.wait_for(asyncio.open_connection(self.host, self.port), 5)
        reader, writer = self.streams
        payload = json.dumps(body).encode()
        writer.write(f"POST /v1/orders HTTP/1.1\r\nHost: chaos\r\nContent-Type: application/json\r\n"
                     f"Idempotency-Key: {key}\r\nContent-Length: {len(payload)}\r\n\r\n".encode() + payload)
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)).decode().lower()
        length = int(head.split("content-length:")[1].split("\r\n")[0])
        text = await reader.readexactly(length)
        if "connection: close" in head:
            self.close()
        return int(head.split()[1]), text

    def close(self):
        if self.streams is not None:
            self.streams[1].close()
        self.streams = None

    async def order(self, finish_by):
        key = str(uuid.UUID(int=self.random.getrandbits(128)))
        body = {"productId": self.random.choice(list(PRODUCTS)), "quantity": self.random.randint(1, 3), "userId": "chaos"}
        while time.monotonic() < finish_by:
            try:
                status, text = await self.post(body, key)
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, IndexError):
                self.close()
                self.answers["retried"] += 1
                await asyncio.sleep(self.random.uniform(0.05, 0.3))
                continue
            if status == 202:
                self.answers["accepted"][json.loads(text)["orderId"]] = body
                return
            problem = json.loads(text)
            if status == 409 and "sold" in json.dumps(problem).lower():
                self.answers["sold_out"] += 1
                return
            if status not in (409, 429, 502, 503, 504):
                raise AssertionError(f"{status} {text}")
            self.answers["retried"] += 1
            await asyncio.sleep(self.random.uniform(0.05, 0.3))
        raise AssertionError("an order found no final answer before the deadline")

    async def run(self, until, finish_by):
        while time.monotonic() < until():
            await self.order(finish_by())
            await asyncio.sleep(self.random.uniform(0.0, 0.4))
        self.close()


def kill_one(stack, servers, rng):
    targets = [r["id"] for r in stack.replicas() if r["pid"] and not r["id"].startswith("balancer")]
    victim = rng.choice(targets + (list(servers.names) if servers else []))
    if servers and victim in servers.names:
        servers.run("kill", victim)
        servers.run("start", victim)
    else:
        pid = [r["pid"] for r in stack.replicas() if r["id"] == victim][0]
        if pid:
            os.kill(pid, signal.SIGKILL)
    return victim


async def load_and_kill(stack, options, answers):
    host, port = stack.url.removeprefix("http://").split(":")
    rng = random.Random(options.seed)
    state = {"until": time.monotonic() + 3600}
    clients = [Client(host, int(port), options.seed * 1000 + i, answers) for i in range(options.clients)]
    running = [asyncio.create_task(c.run(lambda: state["until"], lambda: state["until"] + 120)) for c in clients]
    killed = {}
    for _ in range(options.kills):
        await asyncio.sleep(rng.uniform(0.3, 1.5))
        for task in running:
            if task.done() and task.exception():
                raise task.exception()
        victim = await asyncio.to_thread(kill_one, stack, options.servers, rng)
        name = victim.rsplit("-", 1)[0] if victim[-1].isdigit() else victim
        killed[name] = killed.get(name, 0) + 1
    await asyncio.sleep(2)
    state["until"] = time.monotonic()
    await asyncio.gather(*running)
    return killed


def ledger_rows(stack, engines, query):
    if engines == "embedded":
        db = sqlite3.connect(f"file:{os.path.join(stack.data, 'ledger.db')}?mode=ro", uri=True, timeout=10)
        try:
            return db.execute(query).fetchall()
        finally:
            db.close()
    url = os.environ["FLUX_POSTGRES_URL"]
    text = subprocess.run(["psql", url, "-At", "-F", "\t", "-c", query], capture_output=True, text=True, check=True).stdout
    return [tuple(line.split("\t")) for line in text.splitlines()]


def run(options):
    if options.engines == "embedded":
        return storm(options, "worker: {reap_after: 15s}\n")
    with Servers("redis", "postgres", "kafka") as servers:
        options.servers = servers
        storm(options, "worker: {reap_after: 15s}\n" + DISTRIBUTED)


def storm(options, config):
    answers = {"accepted": {}, "sold_out": 0, "retried": 0}
    with Stack("--api", "3", "--workers", "3", config=config, engines=options.engines) as stack:
        for product, (stock, buckets) in PRODUCTS.items():
            put = stack.call("PUT", f"/v1/products/{product}", {"stock": stock, "buckets": buckets})
            assert put[0] == 200, put
        killed = asyncio.run(load_and_kill(stack, options, answers))
        eventually(60, stack.all_ready, "every replica is ready again")

        def quiet():
            return all(stack.call("GET", f"/v1/products/{p}")[2].get("reserved") == 0 for p in PRODUCTS)
        eventually(120, quiet, "nothing stays reserved")

        accepted = answers["accepted"]
        if options.engines == "embedded":
            rows = ledger_rows(stack, "embedded", "SELECT lower(hex(order_id)), product_id, quantity, status FROM orders")
            in_ledger = [(str(uuid.UUID(i)), p, int(q), int(s)) for i, p, q, s in rows]
        else:
            rows = ledger_rows(stack, "distributed",
                               "SELECT order_id, product_id, quantity, status FROM flux.orders WHERE user_id = 'chaos'")
            in_ledger = [(i, p, int(q), int(s)) for i, p, q, s in rows]
        by_id = {row[0]: row for row in in_ledger}
        missing = [i for i in accepted if i not in by_id]
        unknown = [i for i in by_id if i not in accepted]
        changed = [i for i, body in accepted.items()
                   if i in by_id and (by_id[i][1], by_id[i][2]) != (body["productId"], body["quantity"])]
        report = {"engines": options.engines, "clients": options.clients, "killed": killed, "accepted_202": len(accepted),
                  "sold_out_409": answers["sold_out"], "retries": answers["retried"], "in_ledger": len(in_ledger),
                  "lost": len(missing), "doubled": len(in_ledger) - len(by_id), "not_answered_202": len(unknown), "stock": {}}
        for product, (stock, _) in PRODUCTS.items():
            confirmed = sum(q for _, p, q, s in in_ledger if p == product and s == 1)
            shown = stack.call("GET", f"/v1/products/{product}")[2]
            report["stock"][product] = shown | {"ledger_confirmed": confirmed}
        print(json.dumps(report, indent=1), flush=True)
        assert not missing and not unknown and not changed and len(in_ledger) == len(by_id)
        for product, (stock, _) in PRODUCTS.items():
            shown = report["stock"][product]
            assert shown["ledger_confirmed"] <= stock, f"{product} is oversold"
            assert shown["confirmed"] == shown["ledger_confirmed"], shown
            assert shown["stock"] == stock == shown["available"] + shown["confirmed"], shown


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--engines", default=os.environ.get("FLUX_CHAOS_ENGINES", "embedded"), choices=["embedded", "distributed"])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    chosen = parser.parse_args()
    chosen.servers = None
    print(f"seed {chosen.seed}", flush=True)
    run(chosen)
    sys.exit(0)
