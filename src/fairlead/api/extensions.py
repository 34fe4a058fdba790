"""What Docker has no call for, under ``/fairlead``: ports of containers that run."""

from __future__ import annotations

from aiohttp import web

from fairlead.api.answers import answer
from fairlead.api.call import Call
from fairlead.api.router import Route
from fairlead.wire.extensions import parse_ports, parse_publish, published_ports


async def publish(call: Call) -> web.StreamResponse:
    requests = parse_ports(await call.body())
    return answer(published_ports(await call.engine.publishing.add(call.args["id"], requests)))


async def withdraw(call: Call) -> web.StreamResponse:
    patterns = parse_publish(call.texts("publish"))
    return answer(published_ports(await call.engine.publishing.remove(call.args["id"], patterns)))


ROUTES = (
    Route("POST", "/fairlead/containers/{id}/ports", publish),
    Route("DELETE", "/fairlead/containers/{id}/ports", withdraw),
)
