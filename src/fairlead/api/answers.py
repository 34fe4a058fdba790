"""Answers: JSON bodies, empty ones, and streams of bytes or JSON objects."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import HttpVersion11, hdrs, web

import fairlead
from fairlead.api.connection import connection_of
from fairlead.wire.versions import HIGHEST, render_version

HEADERS: Mapping[str, str] = {
    "Api-Version": render_version(HIGHEST),
    "Docker-Experimental": "false",
    "Ostype": "linux",
    "Server": f"Fairlead/{fairlead.__version__} (linux)",
}
JSON_HEADERS: Mapping[str, str] = {**HEADERS, hdrs.CONTENT_TYPE: "application/json"}
TAR_HEADERS: Mapping[str, str] = {**HEADERS, hdrs.CONTENT_TYPE: "application/x-tar"}

_SURROGATE = re.compile("[\ud800-\udfff]")
_encoder = msgspec.json.Encoder()


def encode(value: Any) -> bytes:
    """JSON and a newline, as Go's encoder ends it. File names that are not UTF-8 get U+FFFD, as there."""
    try:
        return _encoder.encode(value) + b"\n"
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(value), ensure_ascii=False, separators=(",", ":"))
        return _SURROGATE.sub("\ufffd", text).encode() + b"\n"


def answer(value: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=encode(value), headers=JSON_HEADERS)


def empty(status: int = 204) -> web.Response:
    return web.Response(status=status, headers=HEADERS)


@asynccontextmanager
async def until_gone(request: web.BaseRequest) -> AsyncIterator[None]:
    """Run the block for as long as the client is there; ConnectionResetError ends it when it goes.

    aiohttp tells a handler only when it writes, and one that waits for an event or an exit would wait on for nobody. A
    handler that changes something, on the other hand, must not be torn off half-way: so only streams look.
    """
    connection = connection_of(request)
    if connection.gone:
        raise ConnectionResetError("the client is gone")
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(None) as scope:
            connection.on_gone = lambda: scope.reschedule(loop.time())
            try:
                yield
            finally:
                connection.on_gone = None
    except TimeoutError as error:
        if not scope.expired():
            raise
        raise ConnectionResetError("the client went away") from error


async def open_stream(request: web.BaseRequest, headers: Mapping[str, str]) -> web.StreamResponse:
    """A response whose headers are with the client now and whose body comes as it becomes known."""
    response = web.StreamResponse(headers=headers)
    if request.version >= HttpVersion11:
        response.enable_chunked_encoding()
    else:
        response.force_close()
    connection_of(request).answering = True
    await response.prepare(request)
    return response


async def stream_bytes(
    request: web.BaseRequest, blocks: AsyncIterator[bytes], headers: Mapping[str, str]
) -> web.StreamResponse:
    """``blocks`` as they come. An error before the first becomes a problem, a later one breaks the connection."""
    async with until_gone(request), closed_behind(blocks):
        first = await anext(blocks, b"")
        response = await open_stream(request, headers)
        if first:
            await response.write(first)
        async for block in blocks:
            await response.write(block)
        await response.write_eof()
    return response


@asynccontextmanager
async def closed_behind(items: AsyncIterator[Any]) -> AsyncIterator[None]:
    """What a stream holds (pipes, threads, subscriptions) is given back with the block, not when it is collected."""
    try:
        yield
    finally:
        if isinstance(items, AsyncGenerator):
            await items.aclose()
