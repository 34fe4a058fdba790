"""Noticing that a client went away while it waits for us.

aiohttp tells a handler only when it writes. A handler that waits for an event or an exit would otherwise wait on for a
client that is gone; one that changes something, on the other hand, must not be torn off half-way. So only streams look.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

from aiohttp import web


class _Watch(asyncio.Protocol):
    """Stands before the HTTP protocol: passes everything on, and tells when the connection is lost."""

    def __init__(self, http: asyncio.Protocol, on_lost: Callable[[], None]) -> None:
        self._http, self._on_lost = http, on_lost

    def data_received(self, data: bytes) -> None:
        self._http.data_received(data)

    def eof_received(self) -> bool | None:
        return self._http.eof_received()

    def pause_writing(self) -> None:
        self._http.pause_writing()

    def resume_writing(self) -> None:
        self._http.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._http.connection_lost(exc)
        self._on_lost()


@asynccontextmanager
async def until_gone(request: web.BaseRequest) -> AsyncIterator[None]:
    """Run the block for as long as the client is there; ConnectionResetError ends it when it goes."""
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client is gone")
    loop = asyncio.get_running_loop()
    http = cast("asyncio.Protocol", transport.get_protocol())
    try:
        async with asyncio.timeout(None) as scope:
            transport.set_protocol(_Watch(http, lambda: scope.reschedule(loop.time())))
            try:
                yield
            finally:
                transport.set_protocol(http)
    except TimeoutError as error:
        if not scope.expired():
            raise
        raise ConnectionResetError("the client went away") from error
