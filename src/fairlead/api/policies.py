"""Policies of networks: what Docker has no call for."""

from __future__ import annotations

from aiohttp import web

from fairlead.api.answers import answer, empty
from fairlead.api.call import Call
from fairlead.api.router import Route
from fairlead.wire.policy import parse_policy, policy_entry


async def show(call: Call) -> web.StreamResponse:
    return answer(policy_entry(await call.engine.policies.show(call.args["id"])))


async def put(call: Call) -> web.StreamResponse:
    await call.engine.policies.put(call.args["id"], parse_policy(await call.body()))
    return empty()


async def clear(call: Call) -> web.StreamResponse:
    await call.engine.policies.clear(call.args["id"])
    return empty()


ROUTES = (
    Route("GET", "/fairlead/networks/{id}/policy", show),
    Route("PUT", "/fairlead/networks/{id}/policy", put),
    Route("DELETE", "/fairlead/networks/{id}/policy", clear),
)
