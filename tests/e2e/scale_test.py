"""flux scale on a running stack: no request fails while replicas come and go, and guards refuse with arithmetic."""

import json
import threading

from stack import Stack, eventually, main


def no_request_fails_while_scaling():
    with Stack("--api", "1", "--workers", "1") as stack:
        stack.call("PUT", "/v1/products/lamp", {"stock": 1000})
        answers, stop = [], threading.Event()

        def ask():
            while not stop.is_set():
                try:
                    answers.append(stack.call("GET", "/v1/products/lamp")[0])
                except OSError as error:
                    answers.append(repr(error))

        askers = [threading.Thread(target=ask) for _ in range(4)]
        for asker in askers:
            asker.start()
        try:
            for wanted in (5, 2):
                scaled = json.loads(stack.flux("scale", "api", "--replicas", str(wanted), "-o", "json").stdout)
                assert scaled["applied"] and scaled["ready"] == wanted, scaled
                eventually(20, lambda w=wanted: len(stack.replicas("api")) == w, f"{wanted} replicas")
        finally:
            stop.set()
            for asker in askers:
                asker.join()
        failed = [a for a in answers if a != 200]
        print(f"1 -> 5 -> 2 replicas: {len(answers)} requests, {len(failed)} failed")
        assert answers and not failed, failed[:5]
        with open(f"{stack.data}/audit.jsonl") as audit:
            assert [json.loads(line)["to"] for line in audit] == [5, 2]


def a_guard_refuses_and_says_how_many_fit():
    config = ("engines: {ledger: postgres}\npostgres: {max_connections: 100, reserved_connections: 3}\n"
              "services: {api: {replicas: 5, pool: 10}, worker-inventory: {pool: 0}, worker-workflows: {pool: 0}}\n")
    stack = Stack(config=config)  # nothing has to run for a refusal
    refused = stack.flux("scale", "api", "--replicas", "12", "-o", "json", check=False)
    assert refused.returncode == 4, refused
    assert "api 5→12 refused, at most 9: 97 server slots ÷ pool 10" in refused.stderr, refused.stderr
    guard = [g for g in json.loads(refused.stdout)["guards"] if not g["ok"]][0]
    assert (guard["name"], guard["limit"], guard["need"]) == ("connection_budget", 97, 120), guard
    assert stack.flux("scale", "api", "--replicas", "9", "--dry-run").returncode == 0


def a_stack_that_is_not_up_is_said_so():
    stack = Stack()
    missing = stack.flux("scale", "api", "--replicas", "2", check=False)
    assert missing.returncode == 1 and "flux is not up" in missing.stderr, missing


main([no_request_fails_while_scaling, a_guard_refuses_and_says_how_many_fit, a_stack_that_is_not_up_is_said_so])
