"""Containers: everything that is asked and answered at once."""

from __future__ import annotations

import time
from dataclasses import replace

from aiohttp import web

from fairlead.api.answers import answer, empty
from fairlead.api.call import Call
from fairlead.api.router import Route
from fairlead.errors import InvalidArgument
from fairlead.model.requests import Filters
from fairlead.wire.container_create import parse_create, parse_update
from fairlead.wire.containers import container_inspect, container_summary

# dockerd reads a start body of up to this length as no body (some old clients send "null" or "{}").
_NO_BODY = 7


async def create(call: Call) -> web.StreamResponse:
    name = call.text("name")
    spec, warnings = parse_create(await call.body(), call.version)
    container, more = await call.engine.containers.create(spec, name or None, call.text("platform"))
    return answer({"Id": container.id, "Warnings": [*warnings, *more]}, 201)


async def list_all(call: Call) -> web.StreamResponse:
    limit = call.number("limit") or 0
    filters = _with_legacy_bounds(call, call.filters())
    found = await call.engine.containers.list(call.flag("all"), max(limit, 0), call.flag("size"), filters)
    now = time.time_ns()
    return answer([container_summary(item, call.version, now) for item in found])


def _with_legacy_bounds(call: Call, filters: Filters) -> Filters:
    """``since`` and ``before`` were parameters of their own before they were filters."""
    given = {name: (value,) for name in ("since", "before") if (value := call.text(name))}
    return replace(filters, terms={**given, **filters.terms}) if given else filters


async def inspect(call: Call) -> web.StreamResponse:
    found = await call.engine.containers.inspect(call.args["id"], call.flag("size"))
    return answer(container_inspect(found, call.version))


async def start(call: Call) -> web.StreamResponse:
    if (call.request.content_length or 0) > _NO_BODY:
        raise InvalidArgument(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
        )
    await call.engine.containers.start(call.args["id"], call.text("detachKeys"))
    return empty()


async def stop(call: Call) -> web.StreamResponse:
    await call.engine.containers.stop(call.args["id"], call.number("t"), call.text("signal") or None)
    return empty()


async def restart(call: Call) -> web.StreamResponse:
    await call.engine.containers.restart(call.args["id"], call.number("t"), call.text("signal") or None)
    return empty()


async def kill(call: Call) -> web.StreamResponse:
    await call.engine.containers.kill(call.args["id"], call.text("signal") or "KILL")
    return empty()


async def pause(call: Call) -> web.StreamResponse:
    await call.engine.containers.pause(call.args["id"])
    return empty()


async def unpause(call: Call) -> web.StreamResponse:
    await call.engine.containers.unpause(call.args["id"])
    return empty()


async def rename(call: Call) -> web.StreamResponse:
    await call.engine.containers.rename(call.args["id"], call.text("name"))
    return empty()


async def update(call: Call) -> web.StreamResponse:
    spec = parse_update(await call.body())
    warnings = await call.engine.containers.update(call.args["id"], spec)
    return answer({"Warnings": list(warnings) or None})


async def remove(call: Call) -> web.StreamResponse:
    await call.engine.containers.remove(call.args["id"], call.flag("v"), call.flag("force"), call.flag("link"))
    return empty()


async def resize(call: Call) -> web.StreamResponse:
    height, width = console_size(call)
    await call.engine.containers.resize(call.args["id"], height, width)
    return empty(200)


def console_size(call: Call) -> tuple[int, int]:
    """``h`` and ``w``; raises InvalidArgument."""
    height, width = call.number("h"), call.number("w")
    if height is None or width is None:
        raise InvalidArgument('invalid console size: strconv.Atoi: parsing "": invalid syntax')
    if not (0 <= height <= 65535 and 0 <= width <= 65535):
        raise InvalidArgument(f"invalid console size {height}x{width}: each must be between 0 and 65535")
    return height, width


async def top(call: Call) -> web.StreamResponse:
    found = await call.engine.containers.top(call.args["id"], call.text("ps_args") or "-ef")
    return answer({"Processes": found.processes, "Titles": found.titles})


async def changes(call: Call) -> web.StreamResponse:
    found = await call.engine.containers.changes(call.args["id"])
    return answer([{"Path": change.path, "Kind": change.kind} for change in found] or None)


async def prune(call: Call) -> web.StreamResponse:
    pruned = await call.engine.containers.prune(call.filters())
    return answer({"ContainersDeleted": pruned.names or None, "SpaceReclaimed": pruned.space})


ROUTES = (
    Route("POST", "/containers/create", create),
    Route("GET", "/containers/json", list_all),
    Route("POST", "/containers/prune", prune),
    Route("GET", "/containers/{id}/json", inspect),
    Route("POST", "/containers/{id}/start", start),
    Route("POST", "/containers/{id}/stop", stop),
    Route("POST", "/containers/{id}/restart", restart),
    Route("POST", "/containers/{id}/kill", kill),
    Route("POST", "/containers/{id}/pause", pause),
    Route("POST", "/containers/{id}/unpause", unpause),
    Route("POST", "/containers/{id}/rename", rename),
    Route("POST", "/containers/{id}/update", update),
    Route("POST", "/containers/{id}/resize", resize),
    Route("GET", "/containers/{id}/top", top),
    Route("GET", "/containers/{id}/changes", changes),
    Route("DELETE", "/containers/{id}", remove),
)
