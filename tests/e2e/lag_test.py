"""flux lag: numbers and verdicts on an embedded stack, and on a real broker beside Kafka's own tool."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid

from stack import FLUX, Stack, eventually, main

SERVERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts/servers")


def lag(stack, *arguments):
    """(exit code, groups by name, seconds)"""
    started = time.monotonic()
    done = stack.flux("lag", "-o", "json", *arguments, check=False)
    took = time.monotonic() - started
    assert done.stdout, f"{done.returncode}: {done.stderr}"
    return done.returncode, {g["group"]: g for g in json.loads(done.stdout)["groups"]}, took


def order(stack, product):
    return stack.call("POST", "/v1/orders", {"productId": product, "quantity": 1, "userId": "u1"})[0]


def a_live_group_is_ok_and_a_frozen_worker_is_seen():
    with Stack("--api", "1", "--workers", "1") as stack:
        stack.call("PUT", "/v1/products/lamp", {"stock": 1000, "buckets": 1})
        for _ in range(20):
            assert order(stack, "lamp") == 202
        eventually(20, lambda: lag(stack)[1]["inventory"]["lag"] == 0, "the group catches up")
        code, groups, took = lag(stack)
        assert code == 0 and took < 2, (code, took)
        group = groups["inventory"]
        assert list(group) == ["group", "state", "status", "members", "lag", "rate_in", "rate_out", "eta_s",
                               "recommended_workers", "topics"], list(group)
        assert (group["state"], group["status"], group["members"]) == ("Stable", "ok", 1), group
        topic = group["topics"][0]
        assert topic["topic"] == "orders" and sum(p["end"] for p in topic["partitions"]) == 20, topic
        assert all(p["member"] for p in topic["partitions"]), topic
        print(stack.flux("lag", "--group", "inventory").stdout)

        worker = stack.replicas("worker-inventory")[0]["pid"]
        os.kill(worker, signal.SIGSTOP)
        try:
            for _ in range(5):
                order(stack, "lamp")
            code, groups, _ = lag(stack, "--group", "inventory", "--threshold", "4")
            assert code == 3 and groups["inventory"]["lag"] == 5, (code, groups)
            waiting = [p for p in groups["inventory"]["topics"][0]["partitions"] if p["lag"]]
            assert len(waiting) == 1 and waiting[0]["time_lag_s"] >= 0, waiting
        finally:
            os.kill(worker, signal.SIGCONT)
        eventually(30, lambda: lag(stack)[0] == 0 and lag(stack)[1]["inventory"]["lag"] == 0, "it recovers")

        stack.flux("down", "--timeout", "20s")
        code, groups, _ = lag(stack, "--group", "inventory")
        assert code == 0 and (groups["inventory"]["state"], groups["inventory"]["status"]) == ("Empty", "empty"), groups


def wrong_input_is_one_clear_line():
    with tempfile.TemporaryDirectory() as directory:
        def run(*arguments):
            started = time.monotonic()
            done = subprocess.run([FLUX, *arguments], capture_output=True, text=True, cwd=directory, timeout=30)
            assert done.stdout == "" and done.stderr.count("\n") == 1, (done.stdout, done.stderr)
            return done.returncode, done.stderr, time.monotonic() - started
        code, text, _ = run("lag", "--data", "nowhere")
        assert code == 1 and "nowhere" in text and not os.listdir(directory), (code, text)
        assert run("lag", "--watch", "soon")[0] == 2
        assert run("lag", "--threshold", "many")[0] == 2
        with open(os.path.join(directory, "absent.yaml"), "w") as f:
            f.write("engines: distributed\nkafka: {brokers: '127.0.0.1:1', timeout: 2s}\n")
        code, text, took = run("--config", "absent.yaml", "lag")
        assert code == 5 and "127.0.0.1:1" in text and took < 6, (code, text, took)


def tool(*arguments):
    done = subprocess.run([SERVERS, "kafka-tool", *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def described_by_kafka(group):
    """{(topic, partition): (committed, end, lag)} as kafka-consumer-groups says."""
    rows = {}
    for line in tool("consumer-groups", "--describe", "--group", group).splitlines():
        fields = line.split()
        if len(fields) >= 6 and fields[0] == group:
            number = lambda text: None if text == "-" else int(text)
            rows[fields[1], int(fields[2])] = tuple(number(f) for f in fields[3:6])
    return rows


def numbers_equal_those_of_kafka_consumer_groups():
    brokers = os.environ.get("FLUX_KAFKA_BROKERS")
    if not brokers:
        assert not os.environ.get("FLUX_REQUIRE_LIVE"), "FLUX_KAFKA_BROKERS is not set"
        print("KAFKA IS NOT TESTED: FLUX_KAFKA_BROKERS is not set; scripts/servers start kafka")
        return
    stack = Stack(config=f"engines: distributed\nkafka: {{brokers: '{brokers}'}}\n")  # never started
    topic, reset, live = (f"{what}-{uuid.uuid4()}" for what in ("t", "reset", "live"))
    tool("topics", "--create", "--topic", topic, "--partitions", "8")
    tool("producer-perf", "--topic", topic, "--num-records", "5000", "--record-size", "50", "--throughput", "-1")
    tool("consumer-groups", "--group", reset, "--topic", topic, "--reset-offsets", "--to-earliest", "--execute")
    tool("consumer-groups", "--group", reset, "--topic", f"{topic}:0,1", "--reset-offsets", "--to-latest", "--execute")
    consumer = subprocess.Popen(["kcat", "-b", brokers, "-G", live, "-X", "auto.offset.reset=earliest",
                                 "-X", "auto.commit.interval.ms=200", topic],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(30, lambda: live in lag(stack, "--threshold", "1M")[1] and
                   lag(stack, "--group", live)[0] == 0 and lag(stack, "--group", live)[1][live]["members"] == 1,
                   "the live group has read all")
        for group, status, code in ((reset, "stopped", 3), (live, "ok", 0)):
            started = time.monotonic()
            theirs = described_by_kafka(group)
            their_time = time.monotonic() - started
            got, groups, took = lag(stack, "--group", group)
            ours = {(t["topic"], p["partition"]): (p["committed"], p["end"], p["lag"])
                    for t in groups[group]["topics"] for p in t["partitions"]}
            # Where nothing is committed Kafka's tool says "-"; flux counts from the start of the log.
            differing = {at: (theirs[at], ours.get(at)) for at in theirs
                         if theirs[at][0] is not None and theirs[at] != ours.get(at)}
            assert len(theirs) == 8 and not differing, differing
            assert (groups[group]["status"], got) == (status, code), groups[group]
            print(f"{group[:5]}: kafka-consumer-groups {their_time:.2f}s, flux lag {took:.2f}s, "
                  f"{their_time / took:.0f}x")
    finally:
        consumer.terminate()
        consumer.wait(20)
        tool("topics", "--delete", "--topic", topic)
        shutil.rmtree(stack.directory, ignore_errors=True)


main([a_live_group_is_ok_and_a_frozen_worker_is_seen, wrong_input_is_one_clear_line,
      numbers_equal_those_of_kafka_consumer_groups])
