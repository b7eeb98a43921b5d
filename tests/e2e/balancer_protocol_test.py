"""HTTP/1.1 through `flux balancer`, rule by rule (RFC 9110, RFC 9112): raw bytes in,
refused with a status and the connection closed, or forwarded exactly."""

import socket
import threading
import unittest
from random import Random

from proxied import (OK, Balancer, Upstream, eventually, fields_of, read_all, read_body, read_head, status_of)

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"

# name, bytes, status of the refusal
REFUSED = [
    ("bare CR in a value", GET + b"X: a\rb\r\n\r\n", 400),
    ("bare CR in the request line", b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("bare LF ends the request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
    ("bare LF ends a field", b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400),
    ("bare LF ends the head", GET + b"X: b\n\n", 400),
    ("NUL in a value", GET + b"X: a\0b\r\n\r\n", 400),
    ("NUL in a name", GET + b"X\0: ab\r\n\r\n", 400),
    ("NUL in the target", b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("control character in a value", GET + b"X: a\x01b\r\n\r\n", 400),
    ("DEL in a value", GET + b"X: a\x7fb\r\n\r\n", 400),
    ("vertical tab before Transfer-Encoding's value", POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n", 400),
    ("space before the colon", GET + b"X : a\r\n\r\n", 400),
    ("tab before the colon", POST + b"Content-Length\t: 0\r\n\r\n", 400),
    ("space before the first field", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    ("tab before the first field", b"GET / HTTP/1.1\r\n\tX: y\r\nHost: a\r\n\r\n", 400),
    ("folded field", GET + b"X: a\r\n b\r\n\r\n", 400),
    ("folded Transfer-Encoding", POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
    ("field name with a slash", GET + b"X/Y: a\r\n\r\n", 400),
    ("field name with non-ASCII", GET + b"X\xc3\xa4: a\r\n\r\n", 400),
    ("empty field name", GET + b": a\r\n\r\n", 400),
    ("field line without a colon", GET + b"nothing\r\n\r\n", 400),
    ("no Host", b"GET / HTTP/1.1\r\nX: a\r\n\r\n", 400),
    ("two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("two equal Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400),
    ("two Hosts on HTTP/1.0", b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    ("empty Host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    ("Host with a path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    ("Host with a space", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    ("Host with user information", b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
    ("Host with a list", b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
    ("Host with a bad port", b"GET / HTTP/1.1\r\nHost: a:80x\r\n\r\n", 400),
    ("Host with a port too large", b"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", 400),
    ("Content-Length with Transfer-Encoding", POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("Transfer-Encoding with Content-Length", POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
    ("differing Content-Lengths", POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
    ("repeated Content-Length", POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
    ("Content-Length list", POST + b"Content-Length: 5, 5\r\n\r\nhello", 400),
    ("Content-Length with plus", POST + b"Content-Length: +5\r\n\r\nhello", 400),
    ("negative Content-Length", POST + b"Content-Length: -5\r\n\r\nhello", 400),
    ("hexadecimal Content-Length", POST + b"Content-Length: 0x5\r\n\r\nhello", 400),
    ("Content-Length with letters", POST + b"Content-Length: 5a\r\n\r\nhello", 400),
    ("empty Content-Length", POST + b"Content-Length:\r\n\r\n", 400),
    ("Content-Length overflows", POST + b"Content-Length: 18446744073709551621\r\n\r\nhello", 400),
    ("Content-Length above 2^63", POST + b"Content-Length: 9223372036854775808\r\n\r\nhello", 400),
    ("Content-Length with inner space", POST + b"Content-Length: 1 5\r\n\r\nhello", 400),
    ("imitated Content-Length", POST + b"Content_Length: 5\r\n\r\nhello", 400),
    ("imitated Transfer-Encoding", POST + b"Transfer_Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("chunked is not last", POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400),
    ("chunked twice", POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    ("chunked in two fields", POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("no chunked", POST + b"Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n", 400),
    ("identity", POST + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400),
    ("unknown coding before chunked", POST + b"Transfer-Encoding: xchunked, chunked\r\n\r\n0\r\n\r\n", 400),
    ("quoted chunked", POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n', 400),
    ("chunked with a parameter", POST + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", 400),
    ("empty Transfer-Encoding", POST + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n", 400),
    ("Transfer-Encoding on HTTP/1.0", b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("chunk size overflows", POST + b"Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n", 400),
    ("chunk size with 0x", POST + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", 400),
    ("chunk size with a sign", POST + b"Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n", 400),
    ("empty chunk size", POST + b"Transfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n", 400),
    ("space before the chunk size", POST + b"Transfer-Encoding: chunked\r\n\r\n 5\r\nhello\r\n0\r\n\r\n", 400),
    ("space behind the chunk size", POST + b"Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n", 400),
    ("chunk line ends in LF", POST + b"Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", 400),
    ("bare CR in a chunk line", POST + b"Transfer-Encoding: chunked\r\n\r\n5\rX\nhello\r\n0\r\n\r\n", 400),
    ("chunk longer than its size", POST + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n", 400),
    ("chunk ends in LF", POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n", 400),
    ("LF in a chunk extension", POST + b"Transfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n", 400),
    ("long chunk extension", POST + b"Transfer-Encoding: chunked\r\n\r\n5;" + b"a" * 300 + b"\r\nhello\r\n0\r\n\r\n", 400),
    ("bad trailer name", POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX Y: a\r\n\r\n", 400),
    ("folded trailer", POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: a\r\n b\r\n\r\n", 400),
    ("method is not a token", b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("two spaces in the request line", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("tab in the request line", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("space in the target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("target without a slash", b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("target with a fragment", b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("target with raw UTF-8", b"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("asterisk with GET", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("absolute target with a strange scheme", b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("absolute target with user information", b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("HTTP/0.9", b"GET /\r\n\r\n", 400),
    ("HTTP/2.0 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
    ("lower-case protocol", b"GET / http/1.1\r\nHost: a\r\n\r\n", 400),
    ("CONNECT", b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    ("unknown expectation", POST + b"Expect: something\r\nContent-Length: 0\r\n\r\n", 417),
    ("Connection is not a list of tokens", GET + b"Connection: a b\r\n\r\n", 400),
    ("head too large", GET + b"X: " + b"a" * 40000 + b"\r\n\r\n", 431),
    ("request line too long", b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    ("too many fields", GET + b"X: a\r\n" * 150 + b"\r\n", 431),
    ("TLS to a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
]

# name, bytes, the request line that must arrive, fields that must (not) arrive, body
FORWARDED = [
    ("plain", GET + b"\r\n", b"GET / HTTP/1.1", {"host": "a"}, b""),
    ("empty line before", b"\r\n" + GET + b"\r\n", b"GET / HTTP/1.1", {}, b""),
    ("obs-text in a value", GET + b"X: \xe4\r\n\r\n", b"GET / HTTP/1.1", {"x": "\xe4"}, b""),
    ("tab in a value", GET + b"X: a\tb\r\n\r\n", b"GET / HTTP/1.1", {"x": "a\tb"}, b""),
    ("no space behind the colon", GET + b"X:a\r\n\r\n", b"GET / HTTP/1.1", {"x": "a"}, b""),
    ("absolute target overrides Host", b"GET http://real:81/p?q HTTP/1.1\r\nHost: fake\r\n\r\n", b"GET /p?q HTTP/1.1",
     {"host": "real:81"}, b""),
    ("absolute target without a path", b"GET http://real HTTP/1.1\r\nHost: fake\r\n\r\n", b"GET / HTTP/1.1",
     {"host": "real"}, b""),
    ("OPTIONS asterisk", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", b"OPTIONS * HTTP/1.1", {}, b""),
    ("IPv6 Host", b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", b"GET / HTTP/1.1", {"host": "[::1]:80"}, b""),
    ("unknown method", b"PURGE /x HTTP/1.1\r\nHost: a\r\n\r\n", b"PURGE /x HTTP/1.1", {}, b""),
    ("hop-by-hop fields are stripped", GET + b"Connection: keep-alive, X-Hop\r\nKeep-Alive: 5\r\nX-Hop: a\r\n"
     b"Proxy-Connection: a\r\nTE: trailers\r\nTrailer: X\r\nX-End: b\r\n\r\n", b"GET / HTTP/1.1",
     {"connection": None, "keep-alive": None, "x-hop": None, "proxy-connection": None, "te": None, "trailer": None,
      "x-end": "b"}, b""),
    ("Connection cannot strip framing", POST + b"Connection: Content-Length, Host, X-Forwarded-For\r\n"
     b"Content-Length: 5\r\n\r\nhello", b"POST / HTTP/1.1",
     {"content-length": "5", "host": "a", "x-forwarded-for": "127.0.0.1"}, b"hello"),
    ("untrusted X-Forwarded-* are replaced", GET + b"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n"
     b"X-Forwarded-Host: evil\r\nForwarded: for=6.6.6.6\r\n\r\n", b"GET / HTTP/1.1",
     {"x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http", "x-forwarded-host": "a", "forwarded": None}, b""),
    ("h2c upgrade is not forwarded", GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
     b"HTTP2-Settings: AAMAAABk\r\n\r\n", b"GET / HTTP/1.1",
     {"upgrade": None, "http2-settings": None, "connection": None}, b""),
    ("X-Request-Id is carried", GET + b"X-Request-Id: abc-1\r\n\r\n", b"GET / HTTP/1.1", {"x-request-id": "abc-1"}, b""),
    ("traceparent is carried", GET + b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n",
     b"GET / HTTP/1.1", {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}, b""),
    ("HTTP/1.0 goes on as HTTP/1.1", b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1", {"host": "a"}, b""),
    ("Content-Length body", POST + b"Content-Length: 5\r\n\r\nhello", b"POST / HTTP/1.1", {"content-length": "5"}, b"hello"),
    ("Content-Length 0", POST + b"Content-Length: 0\r\n\r\n", b"POST / HTTP/1.1", {"content-length": "0"}, b""),
    ("chunked body", POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nB\r\n, big world\r\n0\r\n\r\n",
     b"POST / HTTP/1.1", {"transfer-encoding": "chunked"}, b"hello, big world"),
    ("chunk extensions and trailers are dropped", POST + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n"
     b"000;x\r\nX-Late: a\r\n\r\n", b"POST / HTTP/1.1", {"x-late": None}, b"hello"),
    ("known coding before chunked", POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
     b"POST / HTTP/1.1", {"transfer-encoding": "gzip, chunked"}, b"x"),
    ("upper-case coding", POST + b"Transfer-Encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", b"POST / HTTP/1.1", {}, b"x"),
]

# name, what the upstream sends before it closes
BAD_ANSWERS = [
    ("not HTTP", b"hello\r\n\r\n"),
    ("bare LF", b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"),
    ("folded field", b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
    ("space before the colon", b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n"),
    ("NUL", b"HTTP/1.1 200 OK\r\nX: \0\r\nContent-Length: 0\r\n\r\n"),
    ("both framings", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nhello"),
    ("bad length", b"HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\nhello"),
    ("chunked not last", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    ("Transfer-Encoding on HTTP/1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("101 nobody asked for", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    ("status too large", b"HTTP/1.1 999 Strange\r\nContent-Length: 0\r\n\r\n"),
    ("bad first chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    ("broken end of a chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX"),
    ("HTTP/2", b"HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("nothing", b""),
    ("half a head", b"HTTP/1.1 200 OK\r\nContent-Le"),
]

# name, method, what the upstream sends, whether it closes then; body that must arrive (None: broken off)
ANSWERS = [
    ("length", b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", False, b"hello"),
    ("no body", b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False, b""),
    ("chunked", b"GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n1\r\n!\r\n0\r\nT: a\r\n\r\n",
     False, b"hello!"),
    ("until close", b"GET", b"HTTP/1.1 200 OK\r\n\r\nhello", True, b"hello"),
    ("HTTP/1.0 until close", b"GET", b"HTTP/1.0 200 OK\r\n\r\nhello", True, b"hello"),
    ("HEAD with a length", b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", False, b""),
    ("HEAD with chunked", b"HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", False, b""),
    ("204", b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", False, b""),
    ("204 with a length", b"GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", False, b""),
    ("304 with a length", b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", False, b""),
    ("early hints first", b"GET", b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
     False, b"ok"),
    ("surplus bytes", b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
     False, b"ok"),
    ("truncated length", b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", True, None),
    ("truncated chunked", b"GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", True, None),
]


class Requests(unittest.TestCase):
    def test_refused(self):
        with Upstream() as upstream, Balancer([upstream]) as balancer:
            for name, raw, status in REFUSED:
                with self.subTest(name):
                    answer = balancer.send(raw)
                    self.assertEqual(status_of(answer), status, answer[:200])
                    self.assertEqual(answer.count(b"HTTP/1.1 "), 1, "one answer, then closed")
                    self.assertIn("close", fields_of(answer.split(b"\r\n\r\n")[0]).get("connection", ""))
                    self.assertIn("x-flux-reason", fields_of(answer))
            # Chunked refusals may have connected; no head of a refused request may have come through whole.
            self.assertEqual([r for r in upstream.requests], [])

    def test_refused_also_when_the_bytes_come_one_by_one(self):
        with Upstream() as upstream, Balancer([upstream]) as balancer:
            for name, raw, status in REFUSED[:12]:
                with self.subTest(name), balancer.connect() as sock:
                    try:
                        for byte in raw:
                            sock.sendall(bytes([byte]))
                    except OSError:
                        pass  # refused before the end
                    self.assertEqual(status_of(read_all(sock)), status)

    def test_nothing_behind_a_refused_request_is_served(self):
        smuggled = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        with Upstream() as upstream, Balancer([upstream]) as balancer:
            for name, raw, _ in REFUSED:
                balancer.send(raw + smuggled)
            self.assertEqual([h for h, _ in upstream.requests if b"smuggled" in h], [])

    def test_forwarded(self):
        with Upstream() as upstream, Balancer([upstream]) as balancer:
            for name, raw, line, fields, body in FORWARDED:
                for way in ("at once", "byte by byte"):
                    with self.subTest(name, way=way), balancer.connect() as sock:
                        before = len(upstream.requests)
                        if way == "at once":
                            sock.sendall(raw)
                        else:
                            for byte in raw:
                                sock.sendall(bytes([byte]))
                        head, rest = read_head(sock)
                        self.assertEqual(status_of(head), 200, head)
                        read_body(sock, head, rest)
                        self.assertEqual(len(upstream.requests), before + 1)
                        got, got_body = upstream.requests[-1]
                        self.assertEqual(got.split(b"\r\n")[0], line)
                        self.assertEqual(got_body, body)
                        for field, value in fields.items():
                            self.assertEqual(fields_of(got).get(field), value, field)
                        self.assertEqual(got.lower().count(b"\r\nhost:"), 1)
                        for always in ("x-request-id", "traceparent", "x-forwarded-for"):
                            self.assertTrue(fields_of(got).get(always), always)

    def test_pipelined_answers_come_in_order(self):
        def slow_first(connection):
            rest = b""
            while True:
                head, rest = read_head(connection, rest)
                if not head:
                    return
                path = head.split(b" ")[1]
                if path == b"/0":
                    threading.Event().wait(0.2)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(path), path))

        with Upstream(slow_first) as upstream, Balancer([upstream]) as balancer, balancer.connect() as sock:
            sock.sendall(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % i for i in range(20)))
            rest = b""
            for i in range(20):
                head, rest = read_head(sock, rest)
                body, rest = read_body(sock, head, rest)
                self.assertEqual(body, b"/%d" % i)

    def test_pipelined_behind_a_body(self):
        with Upstream() as upstream, Balancer([upstream]) as balancer, balancer.connect() as sock:
            sock.sendall(POST + b"Content-Length: 3\r\n\r\nabc" + POST + b"Transfer-Encoding: chunked\r\n\r\n"
                         b"3\r\nxyz\r\n0\r\n\r\n" + GET + b"\r\n")
            rest = b""
            for _ in range(3):
                head, rest = read_head(sock, rest)
                _, rest = read_body(sock, head, rest)
                self.assertEqual(status_of(head), 200)
            self.assertEqual([b for _, b in upstream.requests], [b"abc", b"xyz", b""])

    def test_expect_100_continue_is_relayed(self):
        def careful(connection):
            head, rest = read_head(connection)
            assert b"100-continue" in head and rest == b""
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            body, _ = read_body(connection, head, rest)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

        with Upstream(careful) as upstream, Balancer([upstream]) as balancer, balancer.connect() as sock:
            sock.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            head, rest = read_head(sock)
            self.assertEqual(head, b"HTTP/1.1 100 Continue\r\n\r\n")
            sock.sendall(b"hello")
            head, rest = read_head(sock, rest)
            self.assertEqual(read_body(sock, head, rest)[0], b"hello")

    def test_expectation_refused_by_the_upstream_closes(self):
        refuse = lambda connection: (read_head(connection), connection.sendall(
            b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n"), connection.recv(1))
        with Upstream(refuse) as upstream, Balancer([upstream]) as balancer, balancer.connect() as sock:
            sock.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            answer = read_all(sock)
            self.assertEqual(status_of(answer), 417)
            self.assertEqual(fields_of(answer)["connection"], "close")

    def test_large_bodies_stream_both_ways(self):
        size = 20_000_000

        def echo(connection):
            head, rest = read_head(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            left = size
            while left:
                data, rest = (rest, b"") if rest else (connection.recv(65536), b"")
                connection.sendall(data)
                left -= len(data)

        with Upstream(echo) as upstream, Balancer([upstream]) as balancer, balancer.connect() as sock:
            data = bytes(range(256)) * (size // 256) + bytes(size % 256)
            sender = threading.Thread(target=lambda: sock.sendall(POST + b"Content-Length: %d\r\n\r\n" % size + data))
            sender.start()
            head, rest = read_head(sock)
            body, _ = read_body(sock, head, rest)
            sender.join()
            self.assertEqual(body, data)

    def test_back_pressure_bounds_memory(self):
        """A client that does not read must not make the balancer read the whole answer."""
        sent = []

        def flood(connection):
            read_head(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n")
            connection.settimeout(1.0)
            try:
                while True:
                    connection.sendall(bytes(1 << 20))
                    sent.append(1)
            except OSError:
                pass

        with Upstream(flood) as upstream, Balancer([upstream]) as balancer, balancer.connect() as sock:
            sock.sendall(GET + b"\r\n")
            eventually(lambda: sent)
            eventually(lambda: not flood_grows(sent))
            self.assertLess(len(sent), 40)


def flood_grows(sent):
    before = len(sent)
    threading.Event().wait(0.3)
    return len(sent) != before


class Answers(unittest.TestCase):
    def test_bad_answers_become_502_and_the_connection_is_not_used_again(self):
        for name, raw in BAD_ANSWERS:
            def serve(connection, raw=raw):
                read_head(connection)
                connection.sendall(raw)

            with self.subTest(name), Upstream(serve) as upstream, Balancer([upstream]) as balancer:
                answer = balancer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
                self.assertEqual(status_of(answer), 502, answer)
                self.assertTrue(fields_of(answer)["x-flux-reason"])
                balancer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
                self.assertEqual(upstream.accepted, 2, "each one on a new connection")

    def test_answers(self):
        for name, method, raw, closes, body in ANSWERS:
            def serve(connection, raw=raw, closes=closes):
                read_head(connection)
                connection.sendall(raw)
                if not closes:
                    connection.recv(1)

            with self.subTest(name), Upstream(serve) as upstream, Balancer([upstream]) as balancer, \
                    balancer.connect() as sock:
                sock.sendall(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n")
                head, rest = read_head(sock)
                while status_of(head) == 103:
                    head, rest = read_head(sock, rest)
                if body is None:
                    with self.assertRaises(OSError):
                        read_body(sock, head, rest)
                elif method == b"HEAD" or status_of(head) in (204, 304):
                    self.assertEqual(rest, b"")
                    sock.settimeout(0.2)
                    with self.assertRaises(socket.timeout):
                        sock.recv(1)  # nothing behind it, and the connection lives on
                else:
                    got, rest = read_body(sock, head, rest)
                    self.assertEqual(got, body)
                    self.assertEqual(rest, b"")
                if status_of(head) == 204:
                    self.assertNotIn("content-length", fields_of(head))

    def test_http_1_0_client_gets_no_chunks(self):
        serve = lambda connection: (read_head(connection), connection.sendall(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), connection.recv(1))
        with Upstream(serve) as upstream, Balancer([upstream]) as balancer, balancer.connect() as sock:
            sock.sendall(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            answer = read_all(sock)
            self.assertNotIn("transfer-encoding", fields_of(answer))
            self.assertTrue(answer.endswith(b"\r\n\r\nhello"))

    def test_http_1_0_keep_alive(self):
        with Upstream() as upstream, Balancer([upstream]) as balancer, balancer.connect() as sock:
            for _ in range(2):
                sock.sendall(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                head, rest = read_head(sock)
                self.assertEqual(fields_of(head)["connection"], "keep-alive")
                read_body(sock, head, rest)
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            self.assertTrue(read_all(sock).endswith(b"ok"))

    def test_connection_close_closes_after_the_answer(self):
        with Upstream() as upstream, Balancer([upstream]) as balancer:
            with balancer.connect() as sock:
                sock.sendall(GET + b"Connection: close\r\n\r\n")
                answer = read_all(sock)
            self.assertTrue(answer.endswith(b"ok"))
            self.assertEqual(fields_of(answer)["connection"], "close")

    def test_upstream_connections_are_kept_and_reused(self):
        with Upstream() as upstream, Balancer([upstream]) as balancer:
            for _ in range(10):
                self.assertEqual(balancer.get()[0], 200)
            self.assertEqual(upstream.accepted, 1)

    def test_upgrade_is_tunnelled_only_after_101(self):
        def echo_socket(connection):
            head, rest = read_head(connection)
            fields = fields_of(head)
            assert fields["upgrade"] == "websocket" and fields["connection"] == "upgrade"
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi")
            while True:
                data = connection.recv(65536)
                if not data:
                    return
                connection.sendall(data)

        ask = GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        with Upstream(echo_socket) as upstream, Balancer([upstream]) as balancer, balancer.connect() as sock:
            sock.sendall(ask)
            head, rest = read_head(sock)
            self.assertEqual(status_of(head), 101)
            while len(rest) < 2:
                rest += sock.recv(100)
            self.assertEqual(rest, b"hi")
            for size in (1, 1000, 300000):
                sender = threading.Thread(target=sock.sendall, args=(b"x" * size,))
                sender.start()
                got = 0
                while got < size:
                    got += len(sock.recv(65536))
                sender.join()
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(sock), b"")
        with Upstream() as upstream, Balancer([upstream]) as balancer, balancer.connect() as sock:
            sock.sendall(ask + GET + b"\r\n")  # refused by the upstream: HTTP goes on
            rest = b""
            for _ in range(2):
                head, rest = read_head(sock, rest)
                self.assertEqual(status_of(head), 200)
                _, rest = read_body(sock, head, rest)


class WhoTheClientIs(unittest.TestCase):
    def test_trusted_proxies_are_believed(self):
        with Upstream() as upstream, Balancer([upstream], "balancer: {trusted_proxies: [127.0.0.0/8]}") as balancer:
            balancer.send(GET + b"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\nX-Forwarded-Proto: https\r\n"
                          b"X-Forwarded-Host: site\r\nForwarded: for=6.6.6.6\r\nConnection: close\r\n\r\n")
            fields = fields_of(upstream.requests[0][0])
            self.assertEqual(fields["x-forwarded-for"], "6.6.6.6, 7.7.7.7, 127.0.0.1")
            self.assertEqual(fields["x-forwarded-proto"], "https")
            self.assertEqual(fields["x-forwarded-host"], "site")
            self.assertEqual(fields["forwarded"], "for=6.6.6.6, for=127.0.0.1")

    def test_proxy_protocol(self):
        with Upstream() as upstream, \
                Balancer([upstream], "balancer: {proxy_protocol: true, max_per_client: 1}") as balancer:
            v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([192, 0, 2, 1, 127, 0, 0, 1, 4, 210, 0, 80])
            for header, client in ((b"PROXY TCP4 1.2.3.4 127.0.0.1 5 80\r\n", "1.2.3.4"), (v2, "192.0.2.1"),
                                   (b"PROXY UNKNOWN\r\n", "127.0.0.1")):
                with balancer.connect() as sock:
                    for byte in header:
                        sock.sendall(bytes([byte]))
                    sock.sendall(GET + b"\r\n")
                    self.assertEqual(status_of(read_head(sock)[0]), 200)
                    self.assertEqual(fields_of(upstream.requests[-1][0])["x-forwarded-for"], client)
                    self.assertEqual(balancer.send(header + GET + b"\r\n"), b"", "one per client")
            self.assertEqual(balancer.send(GET + b"\r\n"), b"", "no header: nobody to talk to")


class Fuzz(unittest.TestCase):
    """Random changes to good bytes, in both directions; seeded. The balancer lives on,
    every answer is a whole one, and nothing is forwarded that two readers could split differently."""

    def mutated(self, random, raw):
        raw = bytearray(raw)
        for _ in range(random.randint(1, 4)):
            at = random.randrange(len(raw) + 1)
            kind = random.randrange(3)
            if kind == 0:
                raw[at:at] = random.choice([b"\r", b"\n", b"\0", b" ", b"\t", b":", b"0", b"\r\n", b"\xff", b";", b","])
            elif kind == 1:
                del raw[at:at + random.randint(1, 3)]
            elif at < len(raw):
                raw[at] = random.randrange(256)
        return bytes(raw)

    def test_requests(self):
        random = Random(1)
        seeds = [r[1] for r in FORWARDED] + [r[1] for r in REFUSED if len(r[1]) < 500]
        with Upstream() as upstream, Balancer([upstream], "balancer: {response_timeout: 1s}") as balancer:
            for _ in range(600):
                answer = balancer.send(self.mutated(random, random.choice(seeds)), timeout=3)
                self.assertTrue(answer == b"" or status_of(answer) in range(100, 600), answer[:100])
            for head, _ in upstream.requests:
                self.assertNotIn(b"\n", head.replace(b"\r\n", b""))
                self.assertNotIn(b"\r", head.replace(b"\r\n", b""))
                fields = head.lower()
                self.assertLessEqual(fields.count(b"\r\ncontent-length:") + fields.count(b"\r\ntransfer-encoding:"), 1)
            self.assertEqual(balancer.get()[0], 200)

    def test_answers(self):
        random = Random(2)
        seeds = [a[2] for a in ANSWERS] + [a[1] for a in BAD_ANSWERS if a[1]]

        def serve(connection):
            read_head(connection)
            connection.sendall(self.mutated(random, random.choice(seeds)))

        with Upstream(serve) as upstream, Balancer([upstream], "balancer: {response_timeout: 1s}") as balancer:
            for _ in range(600):
                answer = balancer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", timeout=3)
                self.assertTrue(answer == b"" or status_of(answer) in range(100, 600), answer[:100])
            self.assertIsNone(balancer.process.poll())


class Limits(unittest.TestCase):
    def test_slow_head_is_answered_408(self):
        with Upstream() as upstream, Balancer([upstream], "balancer: {header_timeout: 300ms}") as balancer:
            with balancer.connect() as sock:
                sock.sendall(b"GET / HT")
                self.assertEqual(status_of(read_all(sock)), 408)

    def test_idle_connection_is_closed(self):
        with Upstream() as upstream, Balancer([upstream], "balancer: {idle_timeout: 300ms}") as balancer:
            with balancer.connect() as sock:
                sock.sendall(GET + b"\r\n")
                self.assertTrue(read_all(sock).endswith(b"ok"))

    def test_slow_body_is_answered_408(self):
        with Upstream() as upstream, Balancer([upstream], "balancer: {min_body_rate: 10KB}") as balancer:
            with balancer.connect() as sock:
                sock.sendall(POST + b"Content-Length: 1000\r\n\r\nabc")
                self.assertEqual(status_of(read_all(sock, 10)), 408)

    def test_connections_of_one_address_are_capped(self):
        with Upstream() as upstream, Balancer([upstream], "balancer: {max_per_client: 3}") as balancer:
            kept = [balancer.connect() for _ in range(3)]
            for sock in kept:
                sock.sendall(GET + b"\r\n")
                self.assertEqual(status_of(read_head(sock)[0]), 200)
            self.assertEqual(balancer.send(GET + b"\r\n"), b"")
            kept.pop().close()
            eventually(lambda: balancer.send(GET + b"\r\n").endswith(b"ok"))
            for sock in kept:
                sock.close()

    def test_head_limit_is_configurable(self):
        with Upstream() as upstream, Balancer([upstream], "balancer: {max_head: 1KiB}") as balancer:
            self.assertEqual(status_of(balancer.send(GET + b"X: " + b"a" * 2000 + b"\r\n\r\n")), 431)

    def test_answer_survives_an_unread_body(self):
        """Lingering close: the refusal arrives although megabytes are still on their way."""
        with Upstream() as upstream, Balancer([upstream]) as balancer, balancer.connect() as sock:
            def send():
                try:
                    sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n" + bytes(3_000_000))
                except OSError:
                    pass
            sender = threading.Thread(target=send)
            sender.start()
            self.assertEqual(status_of(read_all(sock)), 400)
            sender.join()


if __name__ == "__main__":
    unittest.main(verbosity=1)
