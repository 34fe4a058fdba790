"""Volumes."""

from __future__ import annotations

from dataclasses import replace

from aiohttp import web

from fairlead.api.answers import answer, empty
from fairlead.api.call import Call
from fairlead.api.router import Route
from fairlead.model.requests import Filters
from fairlead.wire.volumes import parse_create, volume, volume_list

# Older clients expect prune to take named volumes too.
_PRUNE_ANONYMOUS = (1, 42)


async def list_all(call: Call) -> web.StreamResponse:
    return answer(volume_list(await call.engine.volumes.list(call.filters())))


async def create(call: Call) -> web.StreamResponse:
    return answer(volume(await call.engine.volumes.create(parse_create(await call.body()))), 201)


async def inspect(call: Call) -> web.StreamResponse:
    return answer(volume(call.engine.volumes.find(call.args["name"])))


async def remove(call: Call) -> web.StreamResponse:
    await call.engine.volumes.remove(call.args["name"], call.flag("force"))
    return empty()


async def prune(call: Call) -> web.StreamResponse:
    filters = call.filters()
    if call.version < _PRUNE_ANONYMOUS:
        filters = _with_all(filters)
    pruned = await call.engine.volumes.prune(filters)
    return answer({"VolumesDeleted": pruned.names or None, "SpaceReclaimed": pruned.space})


def _with_all(filters: Filters) -> Filters:
    return replace(filters, terms={**filters.terms, "all": ("true",)})


ROUTES = (
    Route("GET", "/volumes", list_all),
    Route("POST", "/volumes/create", create),
    Route("POST", "/volumes/prune", prune),
    Route("GET", "/volumes/{name}", inspect),
    Route("DELETE", "/volumes/{name}", remove),
)
