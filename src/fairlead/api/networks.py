"""Networks."""

from __future__ import annotations

from aiohttp import web

from fairlead.api.answers import answer, empty
from fairlead.api.call import Call
from fairlead.api.router import Route
from fairlead.errors import NotFound
from fairlead.wire.networks import network_inspect, network_summary, parse_connect, parse_create, parse_disconnect


async def list_all(call: Call) -> web.StreamResponse:
    return answer([network_summary(network) for network in await call.engine.networks.list(call.filters())])


async def inspect(call: Call) -> web.StreamResponse:
    view = await call.engine.networks.inspect(call.args["id"])
    scope = call.text("scope")
    if scope and scope != view.network.spec.scope:
        raise NotFound(f"network {call.args['id']} not found")
    return answer(network_inspect(view, call.version, services=call.flag("verbose")))


async def create(call: Call) -> web.StreamResponse:
    network, warnings = await call.engine.networks.create(parse_create(await call.body(), call.version))
    return answer({"Id": network.id, "Warning": "; ".join(warnings)}, 201)


async def connect(call: Call) -> web.StreamResponse:
    container, spec = parse_connect(await call.body())
    await call.engine.networks.connect(call.args["id"], container, spec)
    return empty(200)


async def disconnect(call: Call) -> web.StreamResponse:
    container, force = parse_disconnect(await call.body())
    await call.engine.networks.disconnect(call.args["id"], container, force)
    return empty(200)


async def remove(call: Call) -> web.StreamResponse:
    await call.engine.networks.remove(call.args["id"])
    return empty()


async def prune(call: Call) -> web.StreamResponse:
    return answer({"NetworksDeleted": await call.engine.networks.prune(call.filters()) or None})


ROUTES = (
    Route("GET", "/networks", list_all),
    Route("GET", "/networks/", list_all),
    Route("POST", "/networks/create", create),
    Route("POST", "/networks/prune", prune),
    Route("GET", "/networks/{id}", inspect),
    Route("DELETE", "/networks/{id}", remove),
    Route("POST", "/networks/{id}/connect", connect),
    Route("POST", "/networks/{id}/disconnect", disconnect),
)
