from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web

from fairlead.api.app import build_runner
from unit.api.fake_engine import FakeEngine


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = connect(self._path)


def connect(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(10)
    sock.connect(path)
    return sock


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return self.json["message"]


@dataclass
class Api:
    """The API served on a unix socket by a thread, over a fake engine."""

    path: str
    engine: FakeEngine
    runner: web.ServerRunner
    loop: asyncio.AbstractEventLoop

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        connection = UnixConnection(self.path)
        given = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            given.setdefault("Content-Type", "application/json")
        connection.request(method, path, body, given)
        response = connection.getresponse()
        answer = Answer(response.status, response.headers, response.read())
        connection.close()
        return answer

    def raw(self) -> socket.socket:
        return connect(self.path)

    def container(self, *cmd: str, start: bool = True, **fields: Any) -> str:
        body = {"Image": "busybox", "Cmd": list(cmd), **fields}
        identifier: str = self.call("POST", "/containers/create", body).json["Id"]
        if start:
            assert self.call("POST", f"/containers/{identifier}/start").status == 204
        return identifier

    def hijack(self, path: str, body: bytes = b"", *, upgrade: bool = True) -> tuple[socket.socket, bytes]:
        """The connection after its header, and the header."""
        sock = self.raw()
        lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
        lines += ["Content-Type: application/json"] if body else []
        lines += ["Connection: Upgrade", "Upgrade: tcp"] if upgrade else []
        sock.sendall("\r\n".join((*lines, "", "")).encode() + body)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = sock.recv(1)
            assert byte, head
            head += byte
        return sock, head

    def docker(self, *args: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        environment = {**os.environ, "DOCKER_HOST": f"unix://{self.path}", "DOCKER_CONFIG": "/nonexistent"}
        return subprocess.run(
            ["docker", *args], input=stdin, capture_output=True, env=environment, timeout=30, check=False
        )

    @property
    def connections(self) -> int:
        return len(self.runner.server.connections) if self.runner.server else 0

    def settles(self, condition: Any, seconds: float = 3.0) -> bool:
        """Whether ``condition()`` becomes true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return True
            time.sleep(0.005)
        return False


def read_all(sock: socket.socket) -> bytes:
    data = b""
    while chunk := sock.recv(65536):
        data += chunk
    return data


@pytest.fixture(scope="session")
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def api(_loop: asyncio.AbstractEventLoop) -> Iterator[Api]:
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/api.sock"

        async def serve() -> tuple[FakeEngine, web.ServerRunner]:
            engine = FakeEngine()
            runner = build_runner(engine)  # type: ignore[arg-type]
            await runner.setup()
            await web.UnixSite(runner, path).start()
            return engine, runner

        engine, runner = asyncio.run_coroutine_threadsafe(serve(), _loop).result(10)
        yield Api(path, engine, runner, _loop)

        async def close() -> None:
            for running in (*engine.containers.running.values(), *engine.execs.running.values()):
                if running.task is not None:
                    running.task.cancel()
            await runner.cleanup()

        asyncio.run_coroutine_threadsafe(close(), _loop).result(20)
