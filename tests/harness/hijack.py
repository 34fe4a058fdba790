"""A hijacked connection as the Engine API gives it for attach and exec, byte by byte."""

from __future__ import annotations

import json
import socket
import struct
import time
from types import TracebackType
from typing import Self

_FRAME = struct.Struct(">BxxxL")


class Hijacked:
    """``with Hijacked(engine.socket, path) as stream:`` a raw stream in both directions after the answer's head."""

    def __init__(self, path_of_socket: str, path: str, body: object = None) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(path_of_socket)
        content = b"" if body is None else json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        self.socket.sendall(head.encode() + content)
        self._rest = b""
        self.head = self._until(b"\r\n\r\n").decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    @property
    def status(self) -> int:
        return int(self.head.split()[1])

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def half_close(self) -> None:
        """No more input from this client."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """The client is gone at once, without a word."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def frame(self) -> tuple[int, bytes]:
        """The next multiplexed frame: stream and payload."""
        stream, length = _FRAME.unpack(self._exactly(_FRAME.size))
        return stream, self._exactly(length)

    def expect(self, text: bytes, seconds: float = 10) -> bytes:
        """A terminal's raw output up to and including ``text``."""
        self.socket.settimeout(seconds)
        return self._until(text)

    def rest(self, seconds: float = 10) -> bytes:
        """All that comes until the engine closes."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            if not (data := self.socket.recv(1 << 16)):
                out, self._rest = self._rest, b""
                return out
            self._rest += data
        raise AssertionError(f"not closed in {seconds} s; got {self._rest!r}")

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._rest:
            data = self.socket.recv(1 << 16)
            assert data, f"closed before {mark!r}; got {self._rest!r}"
            self._rest += data
        before, _, self._rest = self._rest.partition(mark)
        return before + mark

    def _exactly(self, count: int) -> bytes:
        while len(self._rest) < count:
            data = self.socket.recv(1 << 16)
            assert data, f"closed in the middle of a frame; got {self._rest!r}"
            self._rest += data
        out, self._rest = self._rest[:count], self._rest[count:]
        return out
