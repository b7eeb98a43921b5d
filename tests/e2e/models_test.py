"""flux autoscale decide, capacity, pool and cache slot: what is printed, where, and with which exit code."""

import json
import os
import subprocess
import tempfile

FLUX = os.path.abspath(os.environ.get("FLUX_BIN", os.path.join(os.path.dirname(__file__), "../../build/release/flux")))


def flux(*arguments, stdin="", code=0, cwd=None):
    environment = {name: value for name, value in os.environ.items() if name != "FLUX_CONFIG"}
    run = subprocess.run([FLUX, *arguments], input=stdin, capture_output=True, text=True, check=False,
                         cwd=cwd, env=environment, timeout=60)
    assert run.returncode == code, (arguments, run.returncode, run.stdout, run.stderr)
    return run


def result(*arguments, **options):
    return json.loads(flux(*arguments, "-o", "json", **options).stdout)


def error(*arguments, code=2, **options):
    run = flux(*arguments, "-o", "json", code=code, **options)
    assert run.stdout == "", run.stdout
    return json.loads(run.stderr)["error"]


def write(directory, name, text):
    path = os.path.join(directory, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


LAG = {"current": 3, "metrics": [{"type": "external", "name": "lag", "target": {"averageValue": 2150}, "value": 8600}]}
SDM91 = "n,throughput\n1,64.9\n18,995.9\n36,1652.4\n72,1853.2\n108,1828.9\n144,1775\n216,1702.2\n"
POOLED = """
pgbouncer: {max_client_conn: %d, default_pool_size: 40, reserve_pool_size: 10, overhead: 10}
services:
  orders: {kind: external, replicas: 3, pool: 50}
  search: {kind: external, replicas: 3, pool: 100}
  mailer: {kind: external, replicas: 6, pool: 10}
"""


def decides_from_a_file_or_stdin(directory):
    decision = result("autoscale", "decide", "--input", "-", stdin=json.dumps(LAG))
    assert (decision["current"], decision["desired"]) == (3, 4), decision
    assert decision["per_metric"][0]["metric"] == "lag" and decision["per_metric"][0]["desired"] == 4
    assert "limited_by" not in decision and "lag" in decision["reason"]
    file = write(directory, "input.json", json.dumps({**LAG, "max": 3}))
    assert result("autoscale", "decide", "--input", file)["limited_by"] == "max"
    assert "desired  4" in flux("autoscale", "decide", "--input", "-", stdin=json.dumps(LAG)).stdout


def says_which_field_of_a_decision_is_wrong(directory):
    cases = [
        ("{}", "current is missing"),
        ('{"current": 3', "not one JSON document"),
        ('{"current": 3, "metrics": [{"type": "object", "name": "a", "target": {"value": -1}, "value": 1}]}',
         "metrics[0].target.value"),
    ]
    for text, expected in cases:
        assert expected in error("autoscale", "decide", "--input", "-", stdin=text)["message"], text
    assert "cannot read" in error("autoscale", "decide", "--input", os.path.join(directory, "none"))["message"]
    error("autoscale", "decide")


def fits_measured_throughput(directory):
    fit = result("capacity", "fit", write(directory, "sdm91.csv", SDM91))
    for name, expected, digits in (("alpha", 0.0277285, 7), ("beta", 0.0001044, 7), ("gamma", 89.995, 3),
                                   ("peak_n", 96.52, 2), ("peak_throughput", 1884, 0)):
        assert round(fit[name], digits) == expected, (name, fit[name])
    assert fit["ci"]["alpha"][0] < fit["alpha"] < fit["ci"]["alpha"][1] and fit["r2"] > 0.98
    assert "peak n" in flux("capacity", "fit", "-", stdin=SDM91).stdout
    bad = write(directory, "bad.csv", "n,throughput\n1,10\nx,20\n")
    assert error("capacity", "fit", bad)["message"].startswith(bad + ":3: n is not a number")
    assert "at least 6 points" in error("capacity", "fit", "-", stdin="n,throughput\n1,10\n")["message"]


def computes_queues(_):
    queue = result("capacity", "queue", "--arrival", "9", "--service", "5", "--servers", "2")
    assert set(queue) == {"utilization", "p_wait", "lq", "wq", "l", "w"} and round(queue["lq"], 3) == 7.674
    busy = error("capacity", "queue", "--arrival", "10k", "--service", "5/s", "--servers", "2")
    assert "overload" in busy["message"] and "2001 servers" in busy["hint"], busy
    error("capacity", "queue", "--arrival", "fast", "--service", "5", "--servers", "2")


def run_of(verdict="valid", p95=20.0, rps=9000.0, errors=0):
    return json.dumps({"schema": "flux.loadtest/1", "rps": rps, "requests": 1000, "duration_s": 10,
                       "latency_ms": {"service": {"p95": p95}, "response": {"p95": p95}},
                       "errors": {"total": errors}, "generator": {"verdict": verdict, "reasons": ["send lag"]}})


def reports_capacity(directory):
    report = result("capacity", "report", cwd=directory)
    assert [plan["rps"] for plan in report["loads"]] == [1e4, 1e5, 1e6]
    assert [plan["replicas"]["api"] for plan in report["loads"]] == [2, 17, 167]
    assert all(plan["binding"] == "worker" for plan in report["loads"])
    assert report["loads"][1]["cost_usd_month"] == 2150 and report["loads"][2]["cost_usd_month"] is None
    assert result("capacity", "report", "--rps", "5k,7.5k", "--ceiling", "worker=9k", cwd=directory)["loads"][1]["rps"] == 7500

    page = os.path.join(directory, "report.html")
    measured = write(directory, "run.json", run_of())
    report = result("capacity", "report", "--from", measured, "--html", page, cwd=directory)
    assert report["components"][0]["source"] == "measured" and report["components"][0]["ceiling"] == 3000
    assert report["loads"][1]["replicas"]["api"] is None, "nothing is claimed beyond the measurement"
    with open(page, encoding="utf-8") as file:
        html = file.read()
    assert html.startswith("<!doctype html>") and "http" not in html and "100k requests/s" in html


def claims_nothing_from_a_bad_run(directory):
    for text, code, expected in ((run_of("generator_bound"), 6, "send lag"), (run_of("network_bound"), 6, "not certified"),
                                 (run_of(p95=900), 3, "missed the SLO"), (run_of(errors=10), 3, "missed the SLO"),
                                 ('{"schema":"flux.loadtest/1","rps":5}', 6, "not certified"), ("{}", 2, "not a result")):
        file = write(directory, "bad.json", text)
        assert expected in error("capacity", "report", "--from", file, code=code, cwd=directory)["message"], text
    error("capacity", "report", "--ceiling", "nothing=5", cwd=directory)
    error("capacity", "report", "--rps", "many", cwd=directory)
    error("capacity", "report", "--html", "/nonexistent/x.html", code=1, cwd=directory)


def adds_up_connections(directory):
    fits = result("--config", write(directory, "fits.yaml", POOLED % 600), "pool")
    assert fits["client"]["demand"] == 520 and fits["client"]["limit"] == 600 and fits["client"]["headroom"] == 80
    assert fits["server"]["demand"] == 50 and fits["server"]["limit"] == 97
    assert [s["connections"] for s in fits["client"]["by_service"]] == [60, 150, 300]
    assert fits["verdict"] == "tight" and fits["binding"] == "client" and not fits["peak"]["rolling"]["fits"]
    over = result("--config", write(directory, "over.yaml", POOLED % 500), "pool", code=3)
    assert over["verdict"] == "exceeded" and "at least 520" in over["advice"][0]
    assert result("pool", cwd=directory)["verdict"] == "ok"
    assert "verdict: ok" in flux("pool", cwd=directory).stdout


def names_hash_slots(_):
    slots = result("cache", "slot", "foo", "bar{hash_tag}")["slots"]
    assert [(s["slot"], s["hashed"]) for s in slots] == [(12182, "foo"), (2515, "hash_tag")], slots
    assert flux("cache", "slot", "foo").stdout == "12182\tfoo\n"
    error("cache", "slot")


def helps_with_examples(_):
    for command in (["autoscale", "decide"], ["capacity", "fit"], ["capacity", "queue"], ["capacity", "report"], ["pool"],
                    ["cache", "slot"]):
        text = flux(*command, "--help").stdout
        assert "Examples:" in text and "Exit codes:" in text, command


if __name__ == "__main__":
    for check in (decides_from_a_file_or_stdin, says_which_field_of_a_decision_is_wrong, fits_measured_throughput,
                  computes_queues, reports_capacity, claims_nothing_from_a_bad_run, adds_up_connections, names_hash_slots,
                  helps_with_examples):
        with tempfile.TemporaryDirectory() as scratch:
            check(scratch)
        print(f"ok {check.__name__}")
