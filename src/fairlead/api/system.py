"""The engine itself: ping, version, info, events, disk usage, credentials."""

from __future__ import annotations

import time

import msgspec
from aiohttp import web

from fairlead.api.answers import HEADERS, JSON_HEADERS, answer, closed_behind, encode, open_stream, until_gone
from fairlead.api.call import Call
from fairlead.api.router import Route
from fairlead.errors import InvalidArgument
from fairlead.model.image import RegistryAuth
from fairlead.wire import body, system
from fairlead.wire.events import event, event_matcher
from fairlead.wire.times import parse_moment

_PING_HEADERS = {
    **HEADERS,
    "Builder-Version": "1",
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
    "Swarm": "inactive",
    "Content-Type": "text/plain; charset=utf-8",
}


class AuthBody(msgspec.Struct, frozen=True, kw_only=True):
    username: str = ""
    password: str = ""
    serveraddress: str = ""
    identitytoken: str = ""
    registrytoken: str = ""


async def ping(_: Call) -> web.StreamResponse:
    return web.Response(body=b"OK", headers=_PING_HEADERS)


async def ping_head(_: Call) -> web.StreamResponse:
    return web.Response(headers=_PING_HEADERS)


async def version(call: Call) -> web.StreamResponse:
    return answer(system.version(await call.engine.system.version()))


async def info(call: Call) -> web.StreamResponse:
    return answer(system.info(await call.engine.system.info(), call.version))


async def disk_usage(call: Call) -> web.StreamResponse:
    kinds = call.texts("type")
    for kind in kinds:
        if kind not in system.KINDS:
            raise InvalidArgument(f"unknown object type: {kind}")
    usage = await call.engine.system.disk_usage()
    return answer(system.disk_usage(usage, kinds, call.version, time.time_ns()))


async def auth(call: Call) -> web.StreamResponse:
    given = body.parse(await call.body(), AuthBody)
    result = await call.engine.system.auth(
        RegistryAuth(
            username=given.username,
            password=given.password,
            identity_token=given.identitytoken,
            registry_token=given.registrytoken,
            server=given.serveraddress,
        ),
    )
    return answer({"IdentityToken": result.identity_token, "Status": result.status})


async def events(call: Call) -> web.StreamResponse:
    """Events as they happen, from ``since`` to ``until``."""
    since, until = call.text("since"), call.text("until")
    begin = parse_moment(since) if since else None
    end = parse_moment(until) if until else None
    if begin is not None and end is not None and begin > end:
        raise InvalidArgument(f"`since` time ({since}) cannot be after `until` time ({until})")
    happenings = call.engine.events.subscribe(begin, end, event_matcher(call.filters()))
    async with until_gone(call.request), closed_behind(happenings):
        response = await open_stream(call.request, JSON_HEADERS)
        async for happened in happenings:
            await response.write(encode(event(happened)))
        await response.write_eof()
    return response


ROUTES = (
    Route("GET", "/_ping", ping),
    Route("HEAD", "/_ping", ping_head),
    Route("GET", "/version", version),
    Route("GET", "/info", info),
    Route("GET", "/system/df", disk_usage),
    Route("POST", "/auth", auth),
    Route("GET", "/events", events),
)
