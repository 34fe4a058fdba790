"""Exec: a further process in a running container."""

from __future__ import annotations

from aiohttp import web

from fairlead.api.answers import answer, empty
from fairlead.api.call import Call
from fairlead.api.containers import console_size
from fairlead.api.hijack import Hijacked, take
from fairlead.api.pump import OnEof, pump
from fairlead.api.router import Route
from fairlead.errors import EngineError
from fairlead.wire.execs import exec_inspect, parse_create, parse_start
from fairlead.wire.frames import STDOUT, content_type, frame


async def create(call: Call) -> web.StreamResponse:
    spec = parse_create(await call.body())
    identifier = await call.engine.execs.create(call.args["id"], spec)
    return answer({"Id": identifier}, 201)


async def start(call: Call) -> web.StreamResponse:
    """Attached starts hijack first: a failure is told in the stream, and its exit code by inspect, as dockerd does."""
    detach, spec = parse_start(await call.body(), call.version)
    found = call.engine.execs.find(call.args["id"])
    if detach:
        await call.engine.execs.start_detached(found.id, spec)
        return empty(200)
    tty = found.spec.tty
    duplex = await take(call.request, content_type(tty=tty, version=call.version))
    try:
        session = await call.engine.execs.start_attached(found.id, spec)
    except EngineError as error:
        sentence = f"{error}\r\n".encode()
        await duplex.write(sentence if tty else frame(STDOUT, sentence))
        await duplex.close()
    except BaseException:
        duplex.abort()
        raise
    else:
        on_eof = OnEof.of(stdin=found.spec.stdin, once=True, tty=tty)
        await pump(duplex, session, on_eof, multiplexed=not tty)
    return Hijacked()


async def resize(call: Call) -> web.StreamResponse:
    height, width = console_size(call)
    await call.engine.execs.resize(call.args["id"], height, width)
    return empty(200)


async def inspect(call: Call) -> web.StreamResponse:
    return answer(exec_inspect(call.engine.execs.find(call.args["id"])))


ROUTES = (
    Route("POST", "/containers/{id}/exec", create),
    Route("POST", "/exec/{id}/start", start),
    Route("POST", "/exec/{id}/resize", resize),
    Route("GET", "/exec/{id}/json", inspect),
)
