"""The application: every request finds its handler here, and every problem its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from fairlead.api import absent, archives, containers, execs, images, networks, streams, system, volumes
from fairlead.api.call import Call
from fairlead.api.problems import problem
from fairlead.api.router import Router, split_version

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

_KEEP_ALIVE = 300.0  # seconds; SDKs hold one connection open between calls
_LONGEST_LINE = 65536  # filters and image lists travel in the query
_SHUTDOWN = 5.0

_FAMILIES = (system, containers, streams, archives, execs, images, networks, volumes, absent)


def build_app(engine: Engine) -> web.Application:
    """The Engine API over ``engine``, for versioned and unversioned paths."""
    router = Router(route for family in _FAMILIES for route in family.ROUTES)

    async def dispatch(request: web.Request) -> web.StreamResponse:
        try:
            version, path = split_version(request.path)
            handler, args = router.find(request.method, path)
            return await handler(Call(engine, request, version, args))
        except ConnectionError:
            raise  # the client is gone: nobody to answer
        except Exception as error:  # noqa: BLE001 (what is no EngineError is a bug: logged, answered with 500)
            return problem(error)

    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{path:.*}", dispatch)
    return app


def build_runner(app: web.Application) -> web.AppRunner:
    """Serves ``app`` without access log; a call goes on when its client leaves, streams notice by themselves."""
    return web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=False,
        keepalive_timeout=_KEEP_ALIVE,
        max_line_size=_LONGEST_LINE,
        max_field_size=_LONGEST_LINE,
        shutdown_timeout=_SHUTDOWN,
    )
