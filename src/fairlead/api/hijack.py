"""Hijacked connections: after attach and exec the connection is a raw stream in both directions.

The handler takes the transport from aiohttp, answers ``101 UPGRADED`` itself (``200 OK`` to a client that did not ask
for an upgrade), and gives the transport back only to be closed. A client's half-close ends its input, not its output.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections import deque
from contextlib import suppress
from typing import cast

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter

# More unread input than this stops reading from the client.
_INPUT_LIMIT = 1 << 20
# How long a client may take to close its end after we have ended ours. Closing a socket with unread input resets it,
# and a reset may overtake output that the client has not read yet.
_LINGER = 2.0


class Duplex(asyncio.Protocol):
    """Both directions of a hijacked connection."""

    def __init__(self, http: asyncio.Protocol, transport: asyncio.Transport) -> None:
        self._http, self._transport = http, transport
        self._loop = asyncio.get_running_loop()
        self._input: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._lost = asyncio.Event()
        self._hangup: _Hangup | None = None

    # -- for the handler --------------------------------------------------------------------------------------------

    async def read(self) -> bytes:
        """What the client sent; b"" after it closed its side."""
        while not self._input:
            if self._ended:
                return b""
            self._readable.clear()
            await self._readable.wait()
        chunk = self._input.popleft()
        self._size -= len(chunk)
        if self._size + len(chunk) > _INPUT_LIMIT >= self._size:
            self._resume()
        return chunk

    async def write(self, data: bytes) -> None:
        """Send; waits while the client reads slower than we write. Raises ConnectionResetError when it is gone."""
        if self._lost.is_set():
            raise ConnectionResetError("the client is gone")
        self._transport.write(data)
        if not self._writable.is_set():
            await self._writable.wait()

    async def lost(self) -> None:
        """Returns when the client has gone altogether, which a half-close is not."""
        await self._lost.wait()

    async def finish(self) -> None:
        """Everything written is sent, then both sides are closed."""
        if not self._lost.is_set() and not self._ended and self._transport.can_write_eof():
            self._transport.write_eof()
            self._input.clear()
            self._size = 0
            self._resume()
            await self._drop_input()
        self._transport.close()
        await self._lost.wait()

    def abort(self) -> None:
        """Drops the connection with whatever has not been sent."""
        self._transport.abort()

    async def _drop_input(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER):
                while await self.read():
                    pass

    def _resume(self) -> None:
        if not self._transport.is_closing() and not self._ended:
            self._transport.resume_reading()

    # -- for the transport ------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._input.append(data)
        self._size += len(data)
        self._readable.set()
        if self._size > _INPUT_LIMIT:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Stays open for output, except under TLS, which knows no half-close here."""
        self._ended = True
        self._readable.set()
        found = self._transport.get_extra_info("socket")
        if found is None or self._transport.get_extra_info("sslcontext") is not None:
            return False
        self._hangup = _Hangup(found, self._loop, self._transport)
        return True

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._hangup is not None:
            self._hangup.close()
        self._ended = True
        self._lost.set()
        self._readable.set()
        self._writable.set()
        self._http.connection_lost(exc)


class _Hangup:
    """Drops the transport when the peer closes altogether after a half-close.

    asyncio stops looking at a socket once it has read EOF. epoll reports EPOLLHUP even when asked for nothing, and on a
    unix socket that means closed, not half-closed; on TCP it comes with the reset that answers our next write.
    """

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self._epoll = select.epoll()
        self._epoll.register(sock.fileno(), select.EPOLLET)
        self._loop, self._transport = loop, transport
        loop.add_reader(self._epoll.fileno(), self._gone)

    def _gone(self) -> None:
        if self._epoll.poll(0):
            self.close()
            self._transport.abort()

    def close(self) -> None:
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()


class Hijacked(web.StreamResponse):
    """What the handler returns when the connection is no longer HTTP: aiohttp writes nothing and closes nothing."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:  # noqa: ARG002 (aiohttp's signature)
        return None

    async def write_eof(self, data: bytes | bytearray | memoryview = b"") -> None:
        """Nothing to end."""

    @property
    def keep_alive(self) -> bool:
        return False


def take(request: web.BaseRequest, content_type: str) -> Duplex:
    """The connection of ``request``, its header answered, input that came behind the request included."""
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client is gone")
    http = cast("asyncio.Protocol", transport.get_protocol())
    tail = getattr(http, "_message_tail", b"")
    duplex = Duplex(http, transport)
    transport.set_protocol(duplex)
    if tail:
        http._message_tail = b""  # type: ignore[attr-defined]  # noqa: SLF001 (aiohttp keeps upgraded bytes there)
        duplex.data_received(tail)
    transport.resume_reading()  # aiohttp may have paused it over a long tail
    transport.write(_head(content_type, upgrade=hdrs.UPGRADE in request.headers))
    return duplex


def _head(content_type: str, *, upgrade: bool) -> bytes:
    if upgrade:
        head = f"HTTP/1.1 101 UPGRADED\r\nContent-Type: {content_type}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    else:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\r\n"
    return head.encode()
