"""The daemon: builds every part, hands it down, serves until told to stop. The only file that wires."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import logging
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator

from aiohttp import web

from fairlead.api.app import build_runner
from fairlead.boot import resolver_socket
from fairlead.dns.control import Resolver
from fairlead.engine import startup
from fairlead.engine.core import Engine
from fairlead.errors import EngineError
from fairlead.images.store import ImageStore
from fairlead.kernel.apply import Kernel
from fairlead.kernel.launchpad import Launchpad
from fairlead.kernel.watch import Watch
from fairlead.runtime.exits import ExitWatch
from fairlead.settings import Settings
from fairlead.store import Store

log = logging.getLogger("fairlead")


def serve(settings: Settings, start_resolver: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT. ``boot`` calls it, once this daemon is the only one of its data root.

    Raises the EngineError that made a start impossible.
    """
    wrong: list[EngineError] = []
    try:
        asyncio.run(_serve(settings, start_resolver))
    except* EngineError as group:
        wrong.extend(_leaves(group))
    if wrong:
        raise wrong[0]


def _leaves(group: BaseExceptionGroup[EngineError]) -> Iterator[EngineError]:
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from _leaves(each)
        else:
            yield each


async def _serve(settings: Settings, start_resolver: Callable[[], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as tasks, _engine(settings, start_resolver, tasks) as engine:
        runner = build_runner(engine, shutdown_timeout=1.0)
        await runner.setup()
        listening = [await _listen(runner, settings, host) for host in settings.hosts]
        for address in listening:
            log.info("API listen on %s", address)
        await stop.wait()
        log.info("stopping: containers keep running")
        engine.closing = True
        engine.events.close()
        await runner.cleanup()
        for host in settings.hosts:
            _unlink_socket(host)


@contextlib.asynccontextmanager
async def _engine(
    settings: Settings, start_resolver: Callable[[], None], tasks: asyncio.TaskGroup
) -> AsyncIterator[Engine]:
    """The engine with everything it stands on, taken down in the reverse order."""
    async with contextlib.AsyncExitStack() as undo:
        resolver = await Resolver.connect(resolver_socket(settings), start_resolver, tasks)
        undo.push_async_callback(resolver.close)
        store = Store(os.path.join(settings.data_root, "fairlead.db"))
        undo.callback(store.close)
        kernel = Kernel(settings)
        await kernel.open()
        undo.push_async_callback(kernel.close)
        launchpad = Launchpad(settings)
        undo.callback(launchpad.close)
        engine = Engine(
            settings,
            store=store,
            kernel=kernel,
            launchpad=launchpad,
            resolver=resolver,
            image_store=ImageStore.open(settings.data_root, settings),
            tasks=tasks,
        )
        resolver.on_restart = engine.reconciler.resolver_is_back
        undo.callback(engine.launching.close)
        exits = ExitWatch(engine.launching.exit_dir, engine.lifecycle.exited)
        undo.callback(exits.close)
        await startup.start(engine)
        exits.open()
        watch = Watch(engine.reconciler.notice, kernel)
        undo.callback(watch.close)
        beat = engine.spawn(engine.reconciler.run(), "reconciler")
        undo.callback(beat.cancel)
        yield engine
        if not any(container.state.running for container in store.containers):
            await resolver.shut_down()
        engine.stop_tasks()


async def _listen(runner: web.BaseRunner, settings: Settings, host: str) -> str:
    """Serve on ``unix://path`` or ``tcp://address:port``; what to tell the user it listens on."""
    kind, _, place = host.partition("://")
    if kind == "unix":
        await web.SockSite(runner, _unix_socket(settings, place)).start()
        return place
    if kind == "tcp":
        address, _, port = place.rpartition(":")
        context = _tls(settings)
        if context is None:
            log.warning("the API on %s is open to everyone who reaches it: use --tlsverify", host)
        await web.TCPSite(runner, address.strip("[]") or "127.0.0.1", int(port or 2375), ssl_context=context).start()
        return place
    raise EngineError(f"cannot listen on {host}: use unix://PATH or tcp://ADDRESS:PORT")


def _unix_socket(settings: Settings, path: str) -> socket.socket:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o117)
    try:
        listener.bind(path)
    finally:
        os.umask(before)
    with contextlib.suppress(KeyError):
        os.chown(path, 0, grp.getgrnam(settings.group).gr_gid)
    listener.listen(1024)
    return listener


def _unlink_socket(host: str) -> None:
    kind, _, place = host.partition("://")
    if kind == "unix":
        with contextlib.suppress(FileNotFoundError):
            os.unlink(place)


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if not (settings.tls or settings.tls_verify):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(settings.tls_cert, settings.tls_key)
    if settings.tls_verify:
        context.load_verify_locations(settings.tls_ca_cert)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
