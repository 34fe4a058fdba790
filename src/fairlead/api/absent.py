"""What Docker has and this engine does not serve: answered so that clients know what to make of it."""

from __future__ import annotations

from aiohttp import web

from fairlead.api.answers import answer
from fairlead.api.call import Call
from fairlead.api.router import Handler, Route
from fairlead.errors import NotFound, Unavailable, Unsupported

_NOT_A_MANAGER = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and'
    " try again."
)


async def _no_swarm(_: Call) -> web.StreamResponse:
    raise Unavailable(_NOT_A_MANAGER)


async def _not_part_of_swarm(_: Call) -> web.StreamResponse:
    raise Unavailable("This node is not part of a swarm")


async def _no_plugins(_: Call) -> web.StreamResponse:
    return answer([])


async def _no_such_plugin(call: Call) -> web.StreamResponse:
    raise NotFound(f'plugin "{call.args["name"]}" not found')


async def _nothing_built(_: Call) -> web.StreamResponse:
    """``docker system prune`` asks for it: there is no build cache to give back."""
    return answer({"CachesDeleted": None, "SpaceReclaimed": 0})


def _unsupported(what: str) -> Handler:
    async def refuse(_: Call) -> web.StreamResponse:
        raise Unsupported(f"{what} is not supported by this engine")

    return refuse


_SWARM = (
    "GET /swarm",
    "POST /swarm/update",
    "GET /swarm/unlockkey",
    "POST /swarm/unlock",
    "GET /services",
    "POST /services/create",
    "GET /services/{id}",
    "DELETE /services/{id}",
    "POST /services/{id}/update",
    "GET /services/{id}/logs",
    "GET /nodes",
    "GET /nodes/{id}",
    "DELETE /nodes/{id}",
    "POST /nodes/{id}/update",
    "GET /tasks",
    "GET /tasks/{id}",
    "GET /tasks/{id}/logs",
    "GET /secrets",
    "POST /secrets/create",
    "GET /secrets/{id}",
    "DELETE /secrets/{id}",
    "POST /secrets/{id}/update",
    "GET /configs",
    "POST /configs/create",
    "GET /configs/{id}",
    "DELETE /configs/{id}",
    "POST /configs/{id}/update",
    "PUT /volumes/{name}",
)
_UNSUPPORTED = (
    ("POST /swarm/init", "swarm mode"),
    ("POST /swarm/join", "swarm mode"),
    ("POST /build/cancel", "cancelling a build of another client"),
    ("POST /session", "BuildKit"),
    ("POST /grpc", "BuildKit"),
    ("GET /images/search", "searching a registry"),
    ("POST /images/{name:.*}/push", "pushing images"),
    ("POST /plugins/pull", "installing plugins"),
    ("GET /plugins/privileges", "installing plugins"),
    ("POST /plugins/create", "installing plugins"),
    ("GET /debug/vars", "debugging"),
)


def _route(line: str, handler: Handler) -> Route:
    method, path = line.split(" ", 1)
    return Route(method, path, handler)


ROUTES = (
    *(_route(line, _no_swarm) for line in _SWARM),
    *(_route(line, _unsupported(what)) for line, what in _UNSUPPORTED),
    Route("POST", "/swarm/leave", _not_part_of_swarm),
    Route("GET", "/plugins", _no_plugins),
    Route("GET", "/plugins/{name:.*}/json", _no_such_plugin),
    Route("DELETE", "/plugins/{name:.*}", _no_such_plugin),
    Route("POST", "/plugins/{name:.*}/enable", _no_such_plugin),
    Route("POST", "/plugins/{name:.*}/disable", _no_such_plugin),
    Route("POST", "/build/prune", _nothing_built),
)
