"""A proxy in front of an S3 server that breaks a share of the answers."""

from __future__ import annotations

import collections
import http.client
import http.server
import random
import socket
import struct
import threading
import time
import urllib.parse
from typing import Any

FAULTS = (
    "status_500",
    "status_503",
    "reset",
    "truncated",
    "short",
    "wrong_bytes",
    "ignored_range",
    "hang_before",
    "hang_in_body",
    "drip",
    "denied",
)
ANYWHERE = ("status_500", "status_503", "reset", "hang_before", "denied")
"""Faults of an answer without a body that matters."""
SUITABLE = {
    "range": FAULTS,
    # A listing has no checksum: a changed byte in it is a changed name.
    "get": tuple(fault for fault in FAULTS if fault not in ("wrong_bytes", "ignored_range")),
    "other": ANYWHERE,
}
"""By kind of request: a GET with a range, another GET, and HEAD, PUT, POST or DELETE."""
HANG_S = 4.0
"""Longer than the time that the tests give one attempt."""


class FaultProxy:
    """Forward to `upstream` (host:port) and break a share of the answers, each kind as often as the others.

    Only answers to GETs with a range, unless `everywhere`.
    """

    def __init__(self, upstream: str, share: float = 0.0, kinds: tuple[str, ...] = FAULTS, seed: int = 0) -> None:
        self.upstream, self.share, self.kinds = upstream, share, kinds
        self.everywhere, self.hang_s = False, HANG_S
        self.requests = 0
        self.injected: collections.Counter[str] = collections.Counter()
        self._rng, self._lock = random.Random(seed), threading.Lock()
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Endpoint for clients."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def draw(self, request: str) -> str | None:
        """Return the fault of a "range", "get" or "other" request, if any: the suitable one that came least often."""
        with self._lock:
            self.requests += 1
            kinds = [kind for kind in self.kinds if kind in SUITABLE[request]]
            excluded = request != "range" and not self.everywhere
            if excluded or not kinds or self._rng.random() >= self.share:
                return None
            kind = min(kinds, key=lambda kind: self.injected[kind])
            self.injected[kind] += 1
            return kind

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    proxy: FaultProxy
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def _forward(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        kind = "other" if self.command != "GET" else "range" if "Range" in self.headers else "get"
        fault = self.proxy.draw(kind)
        if fault in ("status_500", "status_503", "denied"):
            return self._refuse(fault)
        if fault == "reset":
            if kind == "other" and self.proxy.injected["reset"] % 2:
                self._ask(dict(self.headers.items()), body)  # done, but the answer gets lost
            return self._reset()
        if fault == "hang_before":
            time.sleep(self.proxy.hang_s)
        headers = dict(self.headers.items())
        if fault == "ignored_range":
            del headers["Range"]
        status, answer, content = self._ask(headers, body)
        return self._answer(status, answer, content, fault)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _forward

    def _ask(self, headers: dict[str, str], body: bytes | None) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.proxy.upstream, timeout=30)
        connection.request(self.command, self.path, body=body, headers=headers)
        response = connection.getresponse()
        content = response.read()
        skipped = {"transfer-encoding", "connection", "content-length", "date", "server"}
        kept = [(k, v) for k, v in response.getheaders() if k.lower() not in skipped]
        if self.command == "HEAD":
            kept.append(("Content-Length", response.getheader("Content-Length") or "0"))
        connection.close()
        return response.status, kept, content

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, fault: str | None) -> None:
        half = len(content) // 2
        if fault == "short":
            content = content[:half]
        if fault == "wrong_bytes" and content:
            content = content[:half] + bytes([content[half] ^ 0xFF]) + content[half + 1 :]
        self.send_response(status)
        for name, value in headers:
            # With a checksum of the whole object in the answer, a client could notice some of the faults by itself.
            if not (fault and name.lower().startswith("x-amz-checksum")):
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self._send_body(content, half, fault)

    def _send_body(self, content: bytes, half: int, fault: str | None) -> None:
        try:
            if fault == "truncated":
                self.wfile.write(content[:half])
                self.wfile.flush()
                self._reset(hard=False)
            elif fault == "hang_in_body":
                self.wfile.write(content[:half])
                time.sleep(self.proxy.hang_s)
                self._reset()
            elif fault == "drip":
                for i in range(min(len(content), 40)):
                    self.wfile.write(content[i : i + 1])
                    time.sleep(0.2)
                self._reset()
            else:
                self.wfile.write(content)
        except OSError:
            self.close_connection = True

    def _refuse(self, fault: str) -> None:
        code = {"status_500": (500, "InternalError"), "status_503": (503, "SlowDown"), "denied": (403, "AccessDenied")}
        status, name = code[fault]
        text = f"<?xml version='1.0'?><Error><Code>{name}</Code><Message>injected</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _reset(self, hard: bool = True) -> None:
        if hard:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True


def host_of(url: str) -> str:
    """Return the host:port of an endpoint."""
    return urllib.parse.urlsplit(url).netloc
