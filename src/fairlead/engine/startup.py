"""A daemon's start: what runs is taken over without touching it, what ended unseen is buried, the rest is swept.

The records say what should be. Whatever the last daemon was doing when it went, this one path makes good.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fairlead import ids
from fairlead.dns.view import Adopted
from fairlead.engine.modes import joined
from fairlead.engine.restarts import wants_start_with_daemon
from fairlead.errors import EngineError, Forbidden
from fairlead.ids import ContainerId, NetworkId
from fairlead.model.container import Container
from fairlead.model.network import Network, NetworkSpec

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

log = logging.getLogger(__name__)

_LOST = 255  # the exit code of a process nobody saw end


async def start(engine: Engine) -> None:
    """From cold or after any crash to a state where records and kernel agree."""
    engine.reconciler.mend_table()
    held = await engine.resolver.adopt()
    known = set()
    # Who lives in another's sandbox first: it stays if somebody does.
    for container in sorted(engine.store.containers, key=lambda container: joined(container) is None):
        if await _take_over(engine, container, held):
            known.add(container.id)
    await _predefined(engine)
    await engine.sandboxes.reconcile_resolver(held, known)
    engine.sandboxes.sweep_pins(known)
    await engine.containers.sweep()
    engine.builds.sweep()
    await engine.reconciler.take_over()
    engine.spawn(engine.debts.settle_all(), "word to parties that missed some")
    engine.spawn(engine.sandboxes.resume_others(), "word to parties outside")
    await _restart(engine)


async def _predefined(engine: Engine) -> None:
    """Host and none exist always, bridge unless the flags say otherwise."""
    names = {network.name for network in engine.store.networks}
    for name, driver in (("host", "host"), ("none", "null")):
        if name not in names:
            spec = NetworkSpec(name=name, driver=driver)
            engine.store.networks.save(Network(id=NetworkId(ids.new_id()), spec=spec, created=time.time_ns()))
    await engine.networks.set_default_bridge()


async def _take_over(engine: Engine, container: Container, held: Adopted) -> bool:
    """True when it runs and is ours again."""
    if container.state.status == "restarting":
        container = engine.index.save(replace(container, state=replace(container.state, status="exited")))
    if container.state.status not in ("running", "paused"):
        if engine.sharing.members(container):
            return _open_again(engine, container, held)
        if container.endpoints or container.sandbox_key:
            await _clear_half_start(engine, container)
        return False
    code = engine.launching.exit_code(container)
    if code is None and engine.launching.is_alive(container):
        _open_again(engine, container, held)
        engine.lifecycle.expect_exit(container)
        return True
    outlived = bool(engine.sharing.members(container)) and _open_again(engine, container, held)
    await engine.lifecycle.bury_unseen(container, _LOST if code is None else code)
    return outlived


def _open_again(engine: Engine, container: Container, held: Adopted) -> bool:
    try:
        engine.sandboxes.take_over(container, held.sandboxes.get(container.id))
    except (EngineError, OSError) as error:
        log.warning("cannot take over the sandbox of %s: %s", container.name, error)
    return True


async def _clear_half_start(engine: Engine, container: Container) -> None:
    """The last daemon died between saving its intention and starting the process."""
    try:
        await engine.launching.delete(container, force=True)
    except EngineError as error:
        log.info("half-started %s: %s", container.name, error)
    await engine.sandboxes.close(container)
    engine.index.save(replace(container, endpoints=(), sandbox_key=""))


async def _restart(engine: Engine) -> None:
    """What the restart policies want up again; who shares another's network when that one is up."""
    waiting = [
        c for c in engine.store.containers if not c.state.running and c.state.finished and wants_start_with_daemon(c)
    ]
    waiting.sort(key=lambda c: (c.host.network_mode.startswith("container:"), c.created))
    starts: dict[ContainerId, asyncio.Task[None]] = {}
    for container in waiting:
        before = [starts[key] for key in (_owner(engine, container),) if key in starts]
        starts[container.id] = engine.spawn(_start_one(engine, container, before), f"start of {container.name}")


def _owner(engine: Engine, container: Container) -> ContainerId | None:
    try:
        return engine.sharing.owner(container).id
    except EngineError:
        return None


async def _start_one(engine: Engine, container: Container, before: Sequence[asyncio.Task[None]]) -> None:
    if before:
        await asyncio.wait(before)
    try:
        await engine.containers.start(container.id)
    except (EngineError, Forbidden) as error:
        log.warning("cannot start %s: %s", container.name, error)
