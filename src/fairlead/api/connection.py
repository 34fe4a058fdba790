"""A client's connection, from its first byte to its last.

It stands between the transport and aiohttp's HTTP protocol and does what HTTP servers in Python do not: it keeps what a
client sends behind a request to upgrade, answers a client that has closed its side already, notices one that goes away
while we have nothing to say, and hands the raw connection to a handler (``take``).
"""

from __future__ import annotations

import asyncio
import re
import select
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

# More unread input than this stops reading from the client.
_INPUT_LIMIT = 1 << 20
# How long a client may take to close its end after we have ended ours. Closing a socket with unread input resets it,
# and a reset may overtake output that the client has not read yet.
_LINGER = 2.0
# How long half a request may stay when the client has closed its side behind it: a whole one is begun at once.
_HALF_REQUEST = 0.5

_UPGRADE = re.compile(rb"\r\nupgrade:[ \t]*tcp[ \t]*\r\n", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n", re.IGNORECASE)


class Connection(asyncio.Protocol):
    """HTTP until a handler takes it.

    ``ended`` says that the client will send no more, ``answering`` that an answer has begun and no other can be given.
    """

    def __init__(self, http: RequestHandler) -> None:
        self._http = http
        self._loop = asyncio.get_running_loop()
        self._duplex: Duplex | None = None
        self._hangup: _Hangup | None = None
        self._upgrade_body: int | None = None  # bytes of an upgrade request's body still to come
        self._heard = False
        self.request: web.BaseRequest | None = None
        self.early = bytearray()
        self.ended = False
        self.truncated = False
        self.answering = False
        self.on_gone: Callable[[], None] | None = None
        self.transport: asyncio.Transport

    # -- for handlers -----------------------------------------------------------------------------------------------

    def begin(self, request: web.BaseRequest) -> None:
        """A handler starts on ``request``."""
        self.request, self.answering = request, False
        if self.ended:
            self._truncate(request)

    def finish(self) -> None:
        """The handler is done; aiohttp writes what it returned."""
        self.request, self._heard = None, False
        if self._upgrade_body is not None and self._duplex is None:
            self._http.close()  # it was not upgraded: what came behind it cannot be understood

    def take(self) -> Duplex:
        """From now on the connection is a raw stream, whatever was sent early included."""
        if self.transport.is_closing():
            raise ConnectionResetError("the client is gone")
        self._duplex, self.answering = Duplex(self.transport), True
        if self.early:
            self._duplex.feed(bytes(self.early))
        if self.ended:
            self._duplex.end()
        else:
            self.transport.resume_reading()
        return self._duplex

    @property
    def gone(self) -> bool:
        """Whether nobody reads what we might write. A half-close on TCP looks like a close and counts as one."""
        return self.transport.is_closing() or (self.ended and not self._is_unix())

    # -- for the transport ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._http.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._duplex is not None:
            self._duplex.feed(data)
            return
        self._heard = True
        if self._upgrade_body is None and self.request is None and data.startswith(b"POST "):
            self._upgrade_body = _upgrade_length(data)
        if self._upgrade_body is not None:
            data = self._without_early(data)
        if data:
            self._http.data_received(data)

    def _without_early(self, data: bytes) -> bytes:
        """What belongs to the upgrade request; the rest is kept."""
        assert self._upgrade_body is not None
        belongs, early = data[: self._upgrade_body], data[self._upgrade_body :]
        self._upgrade_body -= len(belongs)
        self.early += early
        if len(self.early) > _INPUT_LIMIT:
            self.transport.pause_reading()
        return belongs

    def eof_received(self) -> bool:
        """True keeps the connection open for output; TLS knows no half-close here."""
        self.ended = True
        if self.transport.get_extra_info("sslcontext") is not None:
            return False
        if self._duplex is None and not self._finish_http():
            return False
        if self._duplex is not None:
            self._duplex.end()
        self._hangup = _Hangup(self.transport)
        return True

    def _finish_http(self) -> bool:
        """Whether a request is still to be answered."""
        if self.request is None and not self._heard:
            return False
        if self.request is not None:
            self._truncate(self.request)
        self._http.close()  # after the answers that are due
        if self.on_gone is not None and self.gone:
            self.on_gone()
        self._loop.call_later(_HALF_REQUEST, self._give_up)
        return True

    def _truncate(self, request: web.BaseRequest) -> None:
        if not request.content.is_eof():
            self.truncated = True
            request.content.feed_eof()

    def _give_up(self) -> None:
        if self.request is None and self._duplex is None:
            self.transport.close()

    def pause_writing(self) -> None:
        if self._duplex is not None:
            self._duplex.writable.clear()
        else:
            self._http.pause_writing()

    def resume_writing(self) -> None:
        if self._duplex is not None:
            self._duplex.writable.set()
        else:
            self._http.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        if self._hangup is not None:
            self._hangup.close()
        if self._duplex is not None:
            self._duplex.lose()
        self._http.connection_lost(exc)
        if self.on_gone is not None:
            self.on_gone()

    def _is_unix(self) -> bool:
        found: socket.socket | None = self.transport.get_extra_info("socket")
        return found is not None and found.family == socket.AF_UNIX


def _upgrade_length(data: bytes) -> int | None:
    """The length of a request to upgrade, head and body; None for any other request."""
    end = data.find(b"\r\n\r\n") + 4
    if end < 4 or _UPGRADE.search(data, 0, end) is None:
        return None
    length = _LENGTH.search(data, 0, end)
    return end + (int(length[1]) if length else 0)


class Duplex:
    """Both directions of a connection that a handler took."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._input: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._readable = asyncio.Event()
        self._lost = asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()

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
        if not self.writable.is_set():
            await self.writable.wait()

    async def lost(self) -> None:
        """Returns when the client has gone altogether, which a half-close is not."""
        await self._lost.wait()

    async def close(self) -> None:
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

    # -- for the connection -----------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        self._input.append(data)
        self._size += len(data)
        self._readable.set()
        if self._size > _INPUT_LIMIT:
            self._transport.pause_reading()

    def end(self) -> None:
        self._ended = True
        self._readable.set()

    def lose(self) -> None:
        self.end()
        self._lost.set()
        self.writable.set()


class _Hangup:
    """Drops the transport when the peer closes altogether after a half-close.

    asyncio stops looking at a socket once it has read EOF. epoll reports EPOLLHUP even when asked for nothing, and on a
    unix socket that means closed, not half-closed; on TCP it comes with the reset that answers our next write.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._epoll = select.epoll()
        self._epoll.register(transport.get_extra_info("socket").fileno(), select.EPOLLET)
        self._loop.add_reader(self._epoll.fileno(), self._gone)

    def _gone(self) -> None:
        if self._epoll.poll(0):
            self.close()
            self._transport.abort()

    def close(self) -> None:
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()


def connection_of(request: web.BaseRequest) -> Connection:
    """The connection that ``request`` came on; raises ConnectionResetError when it is gone."""
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client is gone")
    connection = transport.get_protocol()
    assert isinstance(connection, Connection)
    return connection
