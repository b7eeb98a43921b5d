"""An order by HTTP is confirmed in the ledger; a sold-out one is refused; the stack survives kill -9."""

import os
import signal
import uuid

from stack import Stack, eventually, main


def order(stack, product, quantity=1, key=None):
    headers = {"Idempotency-Key": key} if key else {}
    return stack.call("POST", "/v1/orders", {"productId": product, "quantity": quantity, "userId": "u1"}, headers)


def settled(stack, order_id):
    return lambda: stack.call("GET", f"/v1/orders/{order_id}")[2].get("status") in ("confirmed", "rejected")


def an_order_is_confirmed_and_stock_adds_up():
    with Stack("--api", "2", "--workers", "2") as stack:
        assert stack.call("PUT", "/v1/products/lamp", {"stock": 5, "buckets": 1})[0] == 200
        status, _, accepted = order(stack, "lamp", 2)
        assert status == 202, accepted
        eventually(20, settled(stack, accepted["orderId"]), "the order settles")
        eventually(20, lambda: stack.call("GET", "/v1/products/lamp")[2]["confirmed"] == 2, "the stock is confirmed")
        product = stack.call("GET", "/v1/products/lamp")[2]
        assert product == {"productId": "lamp", "stock": 5, "available": 3, "reserved": 0, "confirmed": 2}, product
        assert order(stack, "lamp", 4)[0] == 409
        assert order(stack, "lamp", 3)[0] == 202
        assert order(stack, "lamp", 1)[0] == 409


def a_key_gives_the_same_answer_and_one_order():
    with Stack("--api", "2", "--workers", "1") as stack:
        stack.call("PUT", "/v1/products/cup", {"stock": 100, "buckets": 4})
        key = str(uuid.uuid4())
        first = order(stack, "cup", 1, key)
        again = order(stack, "cup", 1, key)
        assert (first[0], again[0]) == (202, 202)
        assert first[2] == again[2] and again[1]["Idempotent-Replay"] == "true"
        assert order(stack, "cup", 2, key)[0] == 422
        eventually(20, lambda: stack.call("GET", "/v1/products/cup")[2]["confirmed"] == 1, "one order is confirmed")


def a_workflow_runs_its_steps():
    with Stack("--api", "1", "--workers", "1") as stack:
        status, _, workflow = stack.call("POST", "/v1/workflows", {
            "name": "greet",
            "steps": [{"name": "wait", "kind": "sleep", "with": {"duration": "100ms"}},
                      {"name": "tell", "kind": "emit", "with": {"topic": "orders.dlq", "value": {"a": 1}}}]})
        assert status == 201, workflow
        status, _, run = stack.call("POST", f"/v1/workflows/{workflow['workflowId']}/trigger", {"input": {}})
        assert status == 202, run
        get = lambda: stack.call("GET", f"/v1/runs/{run['runId']}")[2]
        eventually(30, lambda: get()["status"] in ("succeeded", "failed"), "the run ends")
        assert get()["status"] == "succeeded", get()
        assert [s["status"] for s in get()["steps"]] == ["succeeded", "succeeded"]


def a_killed_replica_comes_back():
    with Stack("--api", "2", "--workers", "1") as stack:
        stack.call("PUT", "/v1/products/pen", {"stock": 100, "buckets": 1})
        victim = stack.replicas("api")[0]
        os.kill(victim["pid"], signal.SIGKILL)
        for _ in range(50):
            assert stack.call("GET", "/v1/products/pen")[0] == 200
        eventually(20, stack.all_ready, "the killed replica is ready again")
        back = [r for r in stack.replicas("api") if r["id"] == victim["id"]][0]
        assert back["pid"] != victim["pid"] and back["restarts"] == 1


def a_killed_supervisor_leaves_no_orphans():
    stack = Stack("--api", "1", "--workers", "1")
    with stack:
        pids = [r["pid"] for r in stack.replicas()]
        supervisor = int(open(os.path.join(stack.data, "run/supervisor.lock")).read())
        os.kill(supervisor, signal.SIGKILL)
        stack.up()  # takes over while the old replicas still drain
        assert stack.all_ready()
        for pid in pids:
            assert pid not in [r["pid"] for r in stack.replicas()]
            eventually(5, lambda p=pid: not os.path.exists(f"/proc/{p}"), f"{pid} is gone")


main([an_order_is_confirmed_and_stock_adds_up, a_key_gives_the_same_answer_and_one_order, a_workflow_runs_its_steps,
      a_killed_replica_comes_back, a_killed_supervisor_leaves_no_orphans])
