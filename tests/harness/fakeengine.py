"""An engine that answers what a test tells it, on a unix socket: HTTP, chunked streams and hijacked connections."""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Call:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    """``body``: bytes or JSON; a list of chunks with ``chunks``; ``hijack`` is given the raw socket after the 101."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    chunks: Iterable[bytes] | None = None
    hijack: Callable[[socket.socket], None] | None = None


Answer = Callable[[Call], Reply] | Reply


class FakeEngine:
    """``on("GET", "/containers/json", Reply([...]))``; the latest matching route wins."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.calls: list[Call] = []
        self._routes: list[tuple[str, re.Pattern[str], Answer]] = []
        self.on("HEAD", "/_ping", Reply(b""))
        self.on("GET", "/_ping", Reply(b"OK"))

    @property
    def host(self) -> str:
        return f"unix://{self.path}"

    def on(self, method: str, pattern: str, answer: Answer) -> None:
        self._routes.append((method, re.compile(pattern + r"\Z"), answer))

    def answer(self, call: Call) -> Reply:
        self.calls.append(call)
        for method, pattern, answer in reversed(self._routes):
            if method == call.method and pattern.match(call.path):
                return answer(call) if callable(answer) else answer
        return Reply({"message": "page not found"}, 404)

    def called(self, method: str, path: str) -> list[Call]:
        return [call for call in self.calls if call.method == method and re.fullmatch(path, call.path)]


def frame(stream: int, data: bytes) -> bytes:
    """One frame of Docker's multiplexed streams."""
    return struct.pack(">BxxxI", stream, len(data)) + data


@contextmanager
def fake_engine(directory: object) -> Iterator[FakeEngine]:
    engine = FakeEngine(f"{directory}/engine.sock")
    server = _Server(engine.path, _bind(engine))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield engine
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is what some tests are about."""


def _bind(engine: FakeEngine) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            return

        def address_string(self) -> str:
            return "unix"

        def handle_any(self) -> None:
            reply = engine.answer(self._call())
            if reply.hijack is not None:
                self._hijack(reply.hijack)
                return
            self._send(reply)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any  # noqa: N815

        def _call(self) -> Call:
            split = urlsplit(self.path)
            path = re.sub(r"^/v\d+\.\d+", "", split.path)
            query = dict(parse_qsl(split.query, keep_blank_values=True))
            return Call(self.command, path, query, {k.lower(): v for k, v in self.headers.items()}, self._body())

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") == "chunked":
                parts = []
                while size := int(self.rfile.readline(), 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def _send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in {"Api-Version": "1.51", "Ostype": "linux", **reply.headers}.items():
                self.send_header(name, value)
            if reply.chunks is not None:
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for chunk in reply.chunks:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                    self.wfile.flush()
                self.wfile.write(b"0\r\n\r\n")
                return
            if reply.status in {204, 304}:
                self.end_headers()
                return
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            body = b"" if reply.body is None else body
            if not isinstance(reply.body, bytes):
                self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def _hijack(self, run: Callable[[socket.socket], None]) -> None:
            self.connection.sendall(
                b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
                b"Connection: Upgrade\r\nUpgrade: tcp\r\nApi-Version: 1.51\r\n\r\n",
            )
            self.close_connection = True
            run(self.connection)

    return Handler
