"""Containers: what goes on for a while: attach, logs, stats, wait."""

from __future__ import annotations

import asyncio
from typing import Any, cast, get_args

from aiohttp import hdrs, web

from fairlead.api.answers import HEADERS, JSON_HEADERS, answer, closed_behind, encode, open_stream, until_gone
from fairlead.api.call import Call
from fairlead.api.hijack import Hijacked, take
from fairlead.api.pump import OnEof, pump, pump_websocket
from fairlead.api.router import Route
from fairlead.errors import EngineError, InvalidArgument, NotFound, Unsupported
from fairlead.model.requests import AttachSpec, LogSpec, WaitCondition
from fairlead.model.views import WaitResult
from fairlead.runtime.loglines import LogLine
from fairlead.wire.frames import RAW, content_type, frame
from fairlead.wire.logs import log_details, log_line
from fairlead.wire.stats import paired, stats
from fairlead.wire.times import parse_moment

_BEAT = 1.0  # seconds between two samples of stats
_WAIT_CONDITIONS = (1, 30)
_BINARY_WEBSOCKET = (1, 28)


async def attach(call: Call) -> web.StreamResponse:
    """Hijacks the connection before the container starts: ``docker run`` attaches first."""
    spec = _attach_spec(call)
    try:
        session = await call.engine.containers.attach(call.args["id"], spec)
    except EngineError as error:
        return _refused(error)
    config = call.engine.containers.find(call.args["id"]).config
    duplex = await take(call.request, content_type(tty=config.tty, version=call.version))
    on_eof = OnEof.of(stdin=spec.stdin, once=config.stdin_once, tty=config.tty)
    await pump(duplex, session, on_eof, multiplexed=not config.tty)
    return Hijacked()


def _attach_spec(call: Call) -> AttachSpec:
    return AttachSpec(
        stream=call.flag("stream"),
        logs=call.flag("logs"),
        stdin=call.flag("stdin"),
        stdout=call.flag("stdout"),
        stderr=call.flag("stderr"),
        detach_keys=call.text("detachKeys"),
    )


def _refused(error: EngineError) -> web.Response:
    """By then dockerd has hijacked, and writes status line and sentence on the bare connection."""
    headers = {**HEADERS, hdrs.CONTENT_TYPE: RAW, hdrs.CONNECTION: "close"}
    return web.Response(status=error.status, body=f"{error}\r\n".encode(), headers=headers)


async def attach_websocket(call: Call) -> web.StreamResponse:
    spec, config = _attach_spec(call), call.engine.containers.find(call.args["id"]).config
    socket = web.WebSocketResponse(autoping=True, heartbeat=30.0)
    if not _asks_for_websocket(call.request, socket):
        raise InvalidArgument("not a websocket handshake: send Upgrade: websocket with its key and version 13")
    session = await call.engine.containers.attach(call.args["id"], spec)
    try:
        await socket.prepare(call.request)
    except BaseException:
        await session.close()
        raise
    on_eof = OnEof.of(stdin=spec.stdin, once=config.stdin_once, tty=config.tty)
    await pump_websocket(socket, session, on_eof, binary=call.version >= _BINARY_WEBSOCKET)
    return socket


def _asks_for_websocket(request: web.BaseRequest, socket: web.WebSocketResponse) -> bool:
    try:
        return bool(socket.can_prepare(request))
    except web.HTTPException:
        return False


async def logs(call: Call) -> web.StreamResponse:
    spec = _log_spec(call)
    container = call.engine.containers.find(call.args["id"])
    if container.log_driver == "none":
        raise Unsupported("configured logging driver does not support reading")
    tty = container.config.tty
    details = log_details(container) if spec.details else b""
    headers = {**HEADERS, hdrs.CONTENT_TYPE: content_type(tty=tty, version=call.version)}
    blocks = call.engine.containers.logs(container.id, spec)
    async with until_gone(call.request), closed_behind(blocks):
        response = await open_stream(call.request, headers)
        async for lines in blocks:
            await response.write(b"".join(_shown(line, details, spec.timestamps, tty) for line in lines))
        await response.write_eof()
    return response


def _shown(line: LogLine, details: bytes, timestamps: bool, tty: bool) -> bytes:
    text = log_line(line.time_ns, line.data, details, timestamps=timestamps)
    return text if tty else frame(line.stream, text)


def _log_spec(call: Call) -> LogSpec:
    stdout, stderr = call.flag("stdout"), call.flag("stderr")
    if not (stdout or stderr):
        raise InvalidArgument("Bad parameters: you must choose at least one stream")
    tail = call.text("tail")
    return LogSpec(
        stdout=stdout,
        stderr=stderr,
        follow=call.flag("follow"),
        since=parse_moment(call.text("since")),
        until=parse_moment(call.text("until")),
        tail=int(tail) if tail.isascii() and tail.isdigit() else None,
        timestamps=call.flag("timestamps"),
        details=call.flag("details"),
    )


async def wait(call: Call) -> web.StreamResponse:
    """Armed before the headers go out: whoever reads them may start the container."""
    condition = call.text("condition") or "not-running"
    if call.version < _WAIT_CONDITIONS:
        condition = "not-running"
    if condition not in get_args(WaitCondition):
        raise InvalidArgument(f'invalid condition: "{condition}"')
    waiter = call.engine.containers.arm_wait(call.args["id"], cast("WaitCondition", condition))
    async with until_gone(call.request):
        response = await open_stream(call.request, JSON_HEADERS)
        await response.write(encode(_waited(await waiter.result())))
        await response.write_eof()
    return response


def _waited(result: WaitResult) -> dict[str, Any]:
    error = {"Error": {"Message": result.error}} if result.error else {}
    return error | {"StatusCode": result.status_code}


async def container_stats(call: Call) -> web.StreamResponse:
    identifier = call.engine.containers.find(call.args["id"]).id
    if not call.flag("stream", default=True):
        return answer(await _one_sample(call, identifier))
    async with until_gone(call.request):
        response = await open_stream(call.request, JSON_HEADERS)
        before: dict[str, Any] | None = None
        while (sample := await _sample(call, identifier)) is not None:
            await response.write(encode(paired(sample, before)))
            before = sample
            await asyncio.sleep(_BEAT)
        await response.write_eof()
    return response


async def _one_sample(call: Call, identifier: str) -> dict[str, Any]:
    """Two samples a second apart, so that CPU per cent can be computed; one with ``one-shot`` or if nothing runs."""
    first = await call.engine.containers.stats(identifier)
    if call.flag("one-shot") or not first.running:
        return stats(first)
    await asyncio.sleep(_BEAT)
    return paired(stats(await call.engine.containers.stats(identifier)), stats(first))


async def _sample(call: Call, identifier: str) -> dict[str, Any] | None:
    try:
        return stats(await call.engine.containers.stats(identifier))
    except NotFound:
        return None  # removed while we watched


ROUTES = (
    Route("POST", "/containers/{id}/attach", attach),
    Route("GET", "/containers/{id}/attach/ws", attach_websocket),
    Route("GET", "/containers/{id}/logs", logs),
    Route("POST", "/containers/{id}/wait", wait),
    Route("GET", "/containers/{id}/stats", container_stats),
)
