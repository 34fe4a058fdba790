"""Hijacked connections: after attach and exec the connection is a raw stream in both directions.

The handler takes the connection from aiohttp and answers ``101 UPGRADED`` itself (``200 OK`` to a client that did not
ask for an upgrade). A client's half-close ends its input, not its output.
"""

from __future__ import annotations

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter

from fairlead.api.connection import Duplex, connection_of


class Hijacked(web.StreamResponse):
    """What the handler returns when the connection is no longer HTTP: aiohttp writes nothing and closes nothing."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:  # noqa: ARG002 (aiohttp's signature)
        return None

    async def write_eof(self, data: bytes | bytearray | memoryview = b"") -> None:
        """Nothing to end."""

    @property
    def keep_alive(self) -> bool:
        return False


async def take(request: web.BaseRequest, content_type: str) -> Duplex:
    """The connection of ``request`` with its header answered."""
    duplex = connection_of(request).take()
    await duplex.write(_head(content_type, upgrade=hdrs.UPGRADE in request.headers))
    return duplex


def _head(content_type: str, *, upgrade: bool) -> bytes:
    if upgrade:
        head = f"HTTP/1.1 101 UPGRADED\r\nContent-Type: {content_type}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    else:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\r\n"
    return head.encode()
