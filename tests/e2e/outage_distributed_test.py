"""Servers that go away: orders are refused fast and come back by themselves, reads go on, and a Redis that
comes back empty is rebuilt from the ledger before it takes orders again."""

import subprocess
import os
import time

from stack import DISTRIBUTED, Servers, Stack, eventually, main

OUTAGE_S = float(os.environ.get("FLUX_OUTAGE_SECONDS", "8"))


def order(stack, product, quantity=1):
    began = time.monotonic()
    status, headers, body = stack.call("POST", "/v1/orders", {"productId": product, "quantity": quantity, "userId": "u"},
                                       timeout=20)
    return status, headers, time.monotonic() - began, body


def a_stopped_broker_refuses_fast_and_recovers():
    with Servers("redis", "postgres", "kafka") as servers, \
         Stack("--api", "2", "--workers", "1", config=DISTRIBUTED, engines="distributed") as stack:
        stack.call("PUT", "/v1/products/lamp", {"stock": 100_000})
        assert order(stack, "lamp")[0] == 202
        servers.run("kill", "kafka")
        eventually(15, lambda: order(stack, "lamp")[0] == 503, "orders are refused")
        eventually(10, lambda: order(stack, "lamp")[2] < 1, "the breaker opens")
        until, slowest, statuses = time.monotonic() + OUTAGE_S, 0.0, set()
        while time.monotonic() < until:
            status, headers, took, _ = order(stack, "lamp")
            statuses.add(status)
            slowest = max(slowest, took)
            assert status != 503 or int(headers["Retry-After"]) >= 1
            assert stack.call("GET", "/v1/products/lamp")[0] == 200
        servers.run("start", "kafka")
        began = time.monotonic()
        eventually(40, lambda: order(stack, "lamp")[0] == 202, "orders resume by themselves")
        print(f"outage {OUTAGE_S:.0f}s: answers {sorted(statuses)}, slowest {slowest * 1000:.0f} ms, "
              f"orders again {time.monotonic() - began:.1f}s after the broker")
        assert statuses == {503}, statuses


def a_redis_that_lost_everything_is_rebuilt():
    with Servers("redis", "postgres", "kafka"), \
         Stack("--api", "2", "--workers", "1", config=DISTRIBUTED, engines="distributed") as stack:
        stack.call("PUT", "/v1/products/lamp", {"stock": 50, "buckets": 4})
        for _ in range(10):
            assert order(stack, "lamp", 2)[0] == 202
        shown = lambda: stack.call("GET", "/v1/products/lamp")[2]
        eventually(20, lambda: shown().get("confirmed") == 20, "the orders are confirmed")
        subprocess.run(["redis-cli", "-u", os.environ["FLUX_REDIS_URL"], "flushall"], check=True, capture_output=True)
        eventually(40, lambda: shown().get("stock") == 50, "the product is back")
        product = shown()
        assert (product["available"], product["confirmed"], product["reserved"]) == (30, 20, 0), product
        eventually(60, lambda: stack.call("GET", "/ready")[0] != 503 and stack.all_ready(), "orders may come again")
        for _ in range(30):
            status, _, _, body = order(stack, "lamp")
            assert status == 202, body
        assert order(stack, "lamp", 1)[0] == 409
        eventually(20, lambda: shown().get("confirmed") == 50, "sold to the last unit, and no more")


main([a_stopped_broker_refuses_fast_and_recovers, a_redis_that_lost_everything_is_rebuilt])
