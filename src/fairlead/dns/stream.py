"""One question to upstream servers by TCP."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from errno import EINPROGRESS
from functools import partial

from fairlead.dns import message
from fairlead.dns.hostconf import Upstream
from fairlead.dns.loop import READ, WRITE, Loop
from fairlead.dns.netns import OpenSocket

# Seconds for each server.
_PATIENCE = 2.0


class StreamQuestion:
    """Asks one server after the other; ``done`` gets the first answer that is no refusal, or None."""

    def __init__(
        self,
        loop: Loop,
        servers: Sequence[Upstream],
        open_socket: OpenSocket,
        data: bytes,
        done: Callable[[bytes | None], None],
    ) -> None:
        self._loop, self._open, self._data, self._done = loop, open_socket, data, done
        self._servers: Iterator[Upstream] = iter(servers)
        self._socket: socket.socket | None = None
        self._attempt = 0
        self._outgoing = b""
        self._incoming = b""

    def begin(self) -> None:
        """Goes to the next server, or gives up after the last."""
        self.close()
        for server in self._servers:
            try:
                self._connect(server)
            except OSError:
                self.close()
                continue
            self._loop.later(_PATIENCE, partial(self._expire, self._attempt))
            return
        self._done(None)

    def close(self) -> None:
        self._attempt += 1
        if self._socket is not None:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _connect(self, server: Upstream) -> None:
        self._outgoing, self._incoming = len(self._data).to_bytes(2, "big") + self._data, b""
        self._socket = self._open(server.family, socket.SOCK_STREAM)
        if (failed := self._socket.connect_ex(server.address)) not in (0, EINPROGRESS):
            raise OSError(failed, "connect")
        self._loop.watch(self._socket.fileno(), self._ready, WRITE)

    def _expire(self, attempt: int) -> None:
        if attempt == self._attempt and self._socket is not None:
            self.begin()

    def _ready(self, _events: int) -> None:
        try:
            if self._outgoing:
                self._write()
            else:
                self._read()
        except BlockingIOError:
            return
        except OSError:
            self.begin()

    def _write(self) -> None:
        assert self._socket is not None
        self._outgoing = self._outgoing[self._socket.send(self._outgoing) :]
        if not self._outgoing:
            self._loop.watch(self._socket.fileno(), self._ready, READ)

    def _read(self) -> None:
        assert self._socket is not None
        part = self._socket.recv(message.MAXIMUM + 2)
        if not part:
            raise ConnectionResetError
        self._incoming += part
        size = int.from_bytes(self._incoming[:2], "big") + 2
        if len(self._incoming) >= max(size, 3):
            self._judge(self._incoming[2:size])

    def _judge(self, answer: bytes) -> None:
        ours = len(answer) >= message.HEADER and answer[:2] == self._data[:2] and answer[2] & 0x80
        if not ours or answer[3] & 0xF in (message.SERVFAIL, message.REFUSED):
            self.begin()
            return
        self.close()
        self._done(answer)
