#!/usr/bin/env python3
"""flux loadtest --report as a reader opens it: the page, in a headless Chromium, without a network."""

import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import unittest

FLUX = os.environ.get("FLUX_BIN", os.path.join(os.path.dirname(__file__), "../../build/release/flux"))
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
BREAKOUT = "</script><script>document.documentElement.dataset.pwned=1</script><!--<img src=x onerror=alert(1)>{{uuid}}"

# Added to a copy of the page: did each chart put more than one colour on its canvas?
LOOK_AT_CANVASES = """<script>
document.documentElement.dataset.painted = [...document.querySelectorAll("canvas")].filter((canvas) => {
  const pixels = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  return new Set(pixels).size > 8;
}).length;
document.documentElement.dataset.page = getComputedStyle(document.body).backgroundColor;
</script></body>"""


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        self.send_response(503 if self.path == "/broken" else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server_port}"

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


def open_page(page, directory, *, dark=False):
    """What stands in the page once its scripts ran, and what Chromium logged."""
    copy = directory / "looked-at.html"
    copy.write_text(page.read_text().replace("</body>", LOOK_AT_CANVASES))
    with tempfile.TemporaryDirectory(prefix="flux-chromium-", ignore_cleanup_errors=True) as profile:
        done = subprocess.run(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             f"--user-data-dir={profile}", "--enable-logging=stderr", "--window-size=1280,2000",
             *(["--blink-settings=preferredColorScheme=0"] if dark else []), "--dump-dom", copy.as_uri()],
            capture_output=True, text=True, timeout=90, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def attribute(dom, name):
    found = re.search(rf'<html[^>]* data-{name}="([^"]*)"', dom)
    return found and found[1]


class ReportTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = pathlib.Path(tempfile.mkdtemp(prefix="flux-report-"))
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)

    def loadtest(self, target, *arguments):
        page, result = self.directory / "report.html", self.directory / "result.json"
        done = subprocess.run([FLUX, "loadtest", "--host", target, "--think", "10ms-30ms", "--report", str(page), "--out",
                               str(result), *arguments], capture_output=True, text=True, timeout=60, check=False)
        self.assertIn(done.returncode, (0, 3, 6), done.stderr)
        return page, json.loads(result.read_text())

    def check_page(self, page, result, charts=6, **how):
        dom, console = open_page(page, self.directory, **how)
        self.assertEqual(console, [])
        self.assertIsNone(attribute(dom, "error"))
        self.assertIsNone(attribute(dom, "pwned"))
        # response, service, throughput, users, errors, distribution
        self.assertEqual((attribute(dom, "charts"), dom.count("<canvas"), attribute(dom, "painted")),
                         (str(charts), charts, str(charts)))
        shown = dom[dom.index('<main id="page">'):dom.index("</main>")]
        verdict = re.search(r'<section class="verdict[^>]*>.*?</section>', shown)[0]
        if result["generator"]["verdict"] != "valid":
            self.assertIn("Not valid", verdict)
        elif all(t["ok"] for t in result["thresholds"]):
            self.assertIn("Passed", verdict)
        else:
            self.assertIn("Failed: 1 of 2 thresholds not met", verdict)
        for text in (result["target"], f"{result['requests']:,}", result["machine"]["kernel"], str(result["seed"])):
            self.assertIn(text, shown)
        return dom, shown

    def test_a_report_shows_the_result_in_light_and_dark(self):
        with Server(("127.0.0.1", 0), Answers) as target:
            page, result = self.loadtest(target, "--url", "/fine", "-u", "4", "-r", "100", "-t", "4s", "--seed",
                                         "9007199254740993", "--threshold", "p95<10s", "--threshold", "error_rate<50%")
        dom, shown = self.check_page(page, result)
        self.assertIn("p95&lt;10s", shown)
        self.assertEqual(shown.count("✓ met"), 2)
        light = attribute(dom, "page")
        dark = attribute(self.check_page(page, result, dark=True)[0], "page")
        brightness = [sum(map(int, re.findall(r"\d+", page_color))) for page_color in (light, dark)]
        self.assertGreater(brightness[0], 600)
        self.assertLess(brightness[1], 150)

    def test_watched_series_stand_under_the_same_clock(self):
        with Server(("127.0.0.1", 0), Answers) as target:
            page, result = self.loadtest(target, "--url", "/fine", "-u", "2", "-r", "100", "-t", "2s",
                                         "--threshold", "p95<10s")
        series = [{"name": name, "resource": resource, "unit": unit, "points": [[t, t * t] for t in range(8)]}
                  for name, resource, unit in (("orders", "Kafka lag", "messages"), ("runs", "Kafka lag", "messages"),
                                               ("waiting", "PgBouncer", "clients"))]
        watch = json.dumps({"first_saturated": "PgBouncer", "drain_s": 6, "series": series})
        text, replaced = re.subn(r'"watch":\{.*?"series":\[.*?\]\}', lambda _: '"watch":' + watch, page.read_text(), count=1)
        self.assertEqual(replaced, 1)
        page.write_text(text)
        _, shown = self.check_page(page, result, charts=8)
        for words in ("<h3>Kafka lag</h3>", "<h3>PgBouncer</h3>", "First saturated: PgBouncer.", "Drained 6 s"):
            self.assertIn(words, shown)

    def test_a_hostile_name_and_errors_are_shown_as_text(self):
        scenario = self.directory / "hostile.yaml"
        scenario.write_text(json.dumps({"name": BREAKOUT, "flows": [
            {"name": "all", "steps": [{"request": "GET /broken", "name": BREAKOUT, "expect": [200]}]}]}))
        with Server(("127.0.0.1", 0), Answers) as target:
            page, result = self.loadtest(target, "--scenario", str(scenario), "-u", "4", "-r", "100", "-t", "3s",
                                         "--threshold", "error_rate<1%", "--threshold", "max<20s")
        self.assertEqual(result["by_name"][0]["name"], BREAKOUT)
        _, shown = self.check_page(page, result)
        self.assertIn("&lt;/script&gt;&lt;script&gt;", shown)
        self.assertIn("{{uuid}}", shown)
        self.assertIn("✗ not met", shown)
        kinds = re.search(r"<h3>Errors by kind</h3>.*?</section>", shown)[0]
        self.assertRegex(kinds, "status_5xx|check")
        self.assertIn(f"{result['errors']['total']:,}", kinds)


if __name__ == "__main__":
    if CHROMIUM is None:
        print("SKIPPED: the report test needs chromium (or google-chrome) on PATH")
        raise SystemExit(1 if os.environ.get("FLUX_REQUIRE_LIVE") == "1" else 77)
    unittest.main(verbosity=2)
