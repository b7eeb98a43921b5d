"""A `flux balancer` under test, upstreams that do exactly what a test tells them,
and raw requests. Standard library only; every port is free, every wait has an end."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time

FLUX = os.environ.get("FLUX_BIN", os.path.join(os.path.dirname(__file__), "../../build/release/flux"))


def eventually(predicate, deadline=10.0, every=0.02):
    end = time.monotonic() + deadline
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("not so within %.1f s" % deadline)
        time.sleep(every)


def read_head(sock, had=b""):
    """Bytes up to and with the empty line, and what came behind."""
    data = had
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            return data, b""
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def read_all(sock, timeout=5.0):
    """Everything until the peer closes, a reset included."""
    sock.settimeout(timeout)
    data = b""
    try:
        while True:
            more = sock.recv(65536)
            if not more:
                return data
            data += more
    except (ConnectionResetError, socket.timeout):
        return data


def read_body(sock, head, rest):
    """The body of a request or answer, decoded; and its surplus."""
    fields = fields_of(head)
    if "transfer-encoding" in fields:
        body = b""
        while True:
            while b"\r\n" not in rest:
                rest += must_recv(sock)
            line, _, rest = rest.partition(b"\r\n")
            size = int(line.split(b";")[0], 16)
            while len(rest) < size + 2:
                rest += must_recv(sock)
            body += rest[:size]
            rest = rest[size + 2:]
            if size == 0:
                return body, rest
    size = int(fields.get("content-length", "0"))
    while len(rest) < size:
        rest += must_recv(sock)
    return rest[:size], rest[size:]


def must_recv(sock):
    more = sock.recv(65536)
    if not more:
        raise ConnectionError("closed in the middle of a message")
    return more


def fields_of(head):
    fields = {}
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            fields[name.strip().lower()] = value.strip()
    return fields


def status_of(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Upstream:
    """A server of raw bytes. `serve(connection)` runs per connection, on a thread.
    The default answers every request with 200 and keeps what it got in `requests`."""

    def __init__(self, serve=None, port=0, name="ok", answer_probes=True):
        self.requests = []
        self.accepted = 0
        self.name = name.encode()
        self.serve = serve or self.answer_all
        self.answer_probes = answer_probes
        self.open = []
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(4096)
        self.port = self.listener.getsockname()[1]
        self.id = "127.0.0.1:%d" % self.port
        self.url = "http://" + self.id
        self.stopped = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(30)
            self.open.append(connection)
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection):
        with contextlib.suppress(OSError, ConnectionError, ValueError, IndexError):
            with connection:
                first = connection.recv(65536, socket.MSG_PEEK)
                if first.startswith(b"GET /ready ") and self.answer_probes:
                    read_head(connection)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    return
                self.accepted += 1
                self.serve(connection)

    def answer_all(self, connection):
        rest = b""
        while True:
            head, rest = read_head(connection, rest)
            if not head.endswith(b"\r\n\r\n"):
                return
            body, rest = read_body(connection, head, rest)
            self.requests.append((head, body))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(self.name), self.name))

    def close(self):
        self.stopped = True
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Balancer:
    def __init__(self, upstreams=(), config="", args=(), upstreams_file=None):
        self.directory = tempfile.TemporaryDirectory(prefix="flux-balancer-")
        self.config = os.path.join(self.directory.name, "flux.yaml")
        self.write_config(config)
        address_file = os.path.join(self.directory.name, "address")
        command = [FLUX, "--config", self.config, "balancer", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
                   "--address-file", address_file, "--threads", "1"]
        for upstream in upstreams:
            command += ["--upstream", upstream if isinstance(upstream, str) else upstream.url]
        if upstreams_file:
            command += ["--upstreams-file", upstreams_file]
        self.log_path = os.path.join(self.directory.name, "log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command + list(args), stderr=log)
        eventually(lambda: os.path.exists(address_file) or self.process.poll() is not None)
        if self.process.poll() is not None:
            raise AssertionError("the balancer did not start: " + self.log())
        with open(address_file) as file:
            lines = file.read().split()
        self.port = int(lines[0].rsplit(":", 1)[1])
        self.admin_port = int(lines[1].rsplit(":", 1)[1])

    def write_config(self, text):
        with open(self.config + ".new", "w") as file:
            file.write(text)
        os.rename(self.config + ".new", self.config)

    def log(self):
        with open(self.log_path) as file:
            return file.read()

    def connect(self, timeout=10.0):
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def send(self, raw, timeout=5.0):
        """Sends raw bytes, says that there is no more, and returns everything that comes back."""
        with self.connect(timeout) as sock:
            sock.sendall(raw)
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
            return read_all(sock, timeout)

    def get(self, path="/", headers=None, method="GET", body=None, timeout=10.0):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, dict((k.lower(), v) for k, v in answer.getheaders()), answer.read()
        finally:
            connection.close()

    def admin(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=10)
        try:
            connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers or {})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.getheader("Content-Type", "").startswith("text/plain"):
            return answer.status, text.decode()
        return answer.status, json.loads(text)

    def state(self, upstream):
        for one in self.admin("GET", "/upstreams")[1]["upstreams"]:
            if one["id"] == upstream.id:
                return one["state"]
        return "gone"

    def stop(self, timeout=30):
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.directory.cleanup()


class Traffic:
    """Keep-alive clients that repeat one request until stopped, and count what they see."""

    def __init__(self, balancer, clients=8, raw=b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"):
        self.balancer, self.raw = balancer, raw
        self.answers = {}
        self.errors = []
        self.slowest = 0.0
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]

    def _run(self):
        sock = None
        while not self.stopping.is_set():
            try:
                if sock is None:
                    sock, rest = self.balancer.connect(20), b""
                began = time.monotonic()
                sock.sendall(self.raw)
                head, rest = read_head(sock, rest)
                _, rest = read_body(sock, head, rest)
                took = time.monotonic() - began
                with self.lock:
                    status = status_of(head)
                    self.answers[status] = self.answers.get(status, 0) + 1
                    self.slowest = max(self.slowest, took)
                if b"connection: close" in head.lower():
                    sock.close()
                    sock = None
            except (OSError, ConnectionError, ValueError, IndexError) as error:
                with self.lock:
                    self.errors.append(repr(error))
                if sock is not None:
                    sock.close()
                sock = None
        if sock is not None:
            sock.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def total(self):
        with self.lock:
            return sum(self.answers.values())

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(25)
