"""The application: every request finds its handler here, and every problem its answer."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from fairlead.api import (
    absent,
    archives,
    builds,
    containers,
    execs,
    extensions,
    images,
    networks,
    policies,
    streams,
    system,
    volumes,
)
from fairlead.api.call import Call
from fairlead.api.connection import Connection, connection_of
from fairlead.api.hijack import Hijacked
from fairlead.api.problems import problem
from fairlead.api.router import Router, split_version
from fairlead.errors import EngineError

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

log = logging.getLogger(__name__)

_KEEP_ALIVE = 300.0  # seconds; SDKs hold one connection open between calls
_LONGEST_LINE = 65536  # filters and image lists travel in the query

_LONGEST_COMPLAINT = 200  # characters of a bad request quoted in the log

_FAMILIES = (
    *(system, containers, streams, archives, execs, images, builds, networks, volumes, extensions, policies),
    absent,
)

Dispatch = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class _HttpLog(logging.LoggerAdapter[logging.Logger]):
    """aiohttp's log: what is not HTTP, or a client that has gone, is no bug of ours and gets no traceback."""

    def exception(self, msg: object, *args: object, exc_info: Any = True, **kwargs: Any) -> None:
        if isinstance(exc_info, HttpProcessingError | ConnectionError):
            self.info("not a request: %s", str(exc_info).partition("\n")[0][:_LONGEST_COMPLAINT])
        else:
            super().exception(msg, *args, exc_info=exc_info, **kwargs)


class _Server(web.Server):
    """aiohttp's server with our connections."""

    def __call__(self) -> Connection:  # type: ignore[override]  # a protocol all the same, in front of aiohttp's
        return Connection(super().__call__())


def build_runner(engine: Engine, shutdown_timeout: float = 1.0) -> web.ServerRunner:
    """The Engine API over ``engine``, for versioned and unversioned paths; bind it with aiohttp's sites.

    A call goes on when its client leaves; streams notice and end.
    """
    server = _Server(
        _dispatcher(engine),
        access_log=None,
        logger=_HttpLog(log, {}),
        handler_cancellation=False,
        keepalive_timeout=_KEEP_ALIVE,
        max_line_size=_LONGEST_LINE,
        max_field_size=_LONGEST_LINE,
    )
    return web.ServerRunner(server, handle_signals=False, shutdown_timeout=shutdown_timeout)


def _dispatcher(engine: Engine) -> Dispatch:
    router = Router(route for family in _FAMILIES for route in family.ROUTES)

    async def dispatch(request: web.BaseRequest) -> web.StreamResponse:
        try:
            connection = connection_of(request)
        except ConnectionError:
            return Hijacked()
        connection.begin(request)
        try:
            version, path = split_version(request.path)
            handler, args = router.find(request.method, path)
            _continue(request)
            return await handler(Call(engine, request, version, args))
        except Exception as error:  # noqa: BLE001 (what is no EngineError is a bug: logged, answered with 500)
            return _failed(connection, error)
        finally:
            connection.finish()

    return dispatch


def _failed(connection: Connection, error: Exception) -> web.StreamResponse:
    """A problem for whoever can still be told; to aiohttp, which would log it, an error is not given on."""
    if isinstance(error, ConnectionError) and connection.gone:
        return Hijacked()
    if connection.answering:
        # A stream that fails midway cannot say so: the client sees that it has no end.
        log.warning("stream broken off: %s", error, exc_info=None if isinstance(error, EngineError) else error)
        connection.transport.abort()
        return Hijacked()
    return problem(error)


def _continue(request: web.BaseRequest) -> None:
    """A client that waits with its body (``docker cp``) is told to send it."""
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
