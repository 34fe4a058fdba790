"""Files in and out of containers: archive, export."""

from __future__ import annotations

from aiohttp import web

from fairlead.api.answers import HEADERS, TAR_HEADERS, empty, stream_bytes
from fairlead.api.call import Call
from fairlead.api.router import Route
from fairlead.errors import InvalidArgument
from fairlead.wire.paths import path_stat_header

_STAT = "X-Docker-Container-Path-Stat"


def _path(call: Call) -> str:
    path = call.text("path")
    if not path:
        raise InvalidArgument("bad parameter: 'path' cannot be empty")
    if "\x00" in path:
        raise InvalidArgument("bad parameter: 'path' contains a NUL character")
    return path


async def stat(call: Call) -> web.StreamResponse:
    found = await call.engine.containers.stat_archive(call.args["id"], _path(call))
    return web.Response(headers={**HEADERS, _STAT: path_stat_header(found)})


async def get(call: Call) -> web.StreamResponse:
    found, blocks = await call.engine.containers.get_archive(call.args["id"], _path(call))
    return await stream_bytes(call.request, blocks, {**TAR_HEADERS, _STAT: path_stat_header(found)})


async def put(call: Call) -> web.StreamResponse:
    await call.engine.containers.put_archive(
        call.args["id"],
        _path(call),
        call.blocks(),
        no_overwrite=call.flag("noOverwriteDirNonDir"),
        copy_uid_gid=call.flag("copyUIDGID"),
    )
    return empty(200)


async def export(call: Call) -> web.StreamResponse:
    return await stream_bytes(call.request, call.engine.containers.export(call.args["id"]), TAR_HEADERS)


ROUTES = (
    Route("HEAD", "/containers/{id}/archive", stat),
    Route("GET", "/containers/{id}/archive", get),
    Route("PUT", "/containers/{id}/archive", put),
    Route("GET", "/containers/{id}/export", export),
)
