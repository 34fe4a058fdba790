"""What Docker has no call for, under ``/fairlead``: changes to what runs."""

from __future__ import annotations

from aiohttp import web

from fairlead.api.answers import answer
from fairlead.api.call import Call
from fairlead.api.router import Route
from fairlead.wire.extensions import (
    checked,
    parse_endpoint_update,
    parse_network_update,
    parse_ports,
    parse_publish,
    published_ports,
)


async def publish(call: Call) -> web.StreamResponse:
    requests = parse_ports(await call.body())
    return answer(published_ports(await call.engine.publishing.add(call.args["id"], requests)))


async def withdraw(call: Call) -> web.StreamResponse:
    patterns = parse_publish(call.texts("publish"))
    return answer(published_ports(await call.engine.publishing.remove(call.args["id"], patterns)))


async def update_network(call: Call) -> web.StreamResponse:
    update = parse_network_update(await call.body())
    network, warnings = await call.engine.edits.update(call.args["id"], update)
    return answer({"Id": network.id, "Warning": "; ".join(warnings)})


async def update_endpoint(call: Call) -> web.StreamResponse:
    update = parse_endpoint_update(await call.body())
    spec = await call.engine.edits.update_endpoint(call.args["id"], call.args["container"], update)
    return answer({"Aliases": list(spec.aliases), "GwPriority": spec.gw_priority})


async def check_network(call: Call) -> web.StreamResponse:
    return answer(checked(await call.engine.outside.cni.check(call.args["id"])))


ROUTES = (
    Route("POST", "/fairlead/containers/{id}/ports", publish),
    Route("DELETE", "/fairlead/containers/{id}/ports", withdraw),
    Route("POST", "/fairlead/networks/{id}/update", update_network),
    Route("POST", "/fairlead/networks/{id}/check", check_network),
    Route("POST", "/fairlead/networks/{id}/endpoints/{container}", update_endpoint),
)
