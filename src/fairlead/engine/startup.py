"""A daemon's start: what runs is taken over without touching it, what ended unseen is buried, the rest is swept.

The records say what should be. Whatever the last daemon was doing when it went, this one path makes good.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from fairlead import ids
from fairlead.dns.view import Adopted
from fairlead.engine.restarts import wants_start_with_daemon
from fairlead.errors import EngineError, Forbidden
from fairlead.ids import NetworkId
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
    for container in engine.store.containers:
        if await _take_over(engine, container, held):
            known.add(container.id)
    await _predefined(engine)
    await engine.sandboxes.reconcile_resolver(held, known)
    engine.sandboxes.sweep_pins(known)
    await engine.containers.sweep()
    await engine.reconciler.take_over()
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
        engine.index.save(replace(container, state=replace(container.state, status="exited")))
        return False
    if container.state.status not in ("running", "paused"):
        if container.endpoints or container.sandbox_key:
            await _clear_half_start(engine, container)
        return False
    code = engine.launching.exit_code(container)
    if code is None and engine.launching.is_alive(container):
        try:
            engine.sandboxes.take_over(container, held.sandboxes.get(container.id))
        except (EngineError, OSError) as error:
            log.warning("cannot take over the sandbox of %s: %s", container.name, error)
        engine.lifecycle.expect_exit(container)
        return True
    await engine.lifecycle.bury_unseen(container, _LOST if code is None else code)
    return False


async def _clear_half_start(engine: Engine, container: Container) -> None:
    """The last daemon died between saving its intention and starting the process."""
    try:
        await engine.launching.delete(container, force=True)
    except EngineError as error:
        log.info("half-started %s: %s", container.name, error)
    await engine.sandboxes.close(container)
    engine.index.save(replace(container, endpoints=(), sandbox_key=""))


async def _restart(engine: Engine) -> None:
    """What the restart policies want up again; those whose network others share first."""
    waiting = [
        c for c in engine.store.containers if not c.state.running and c.state.finished and wants_start_with_daemon(c)
    ]
    waiting.sort(key=lambda c: (c.host.network_mode.startswith("container:"), c.created))
    for container in waiting:
        engine.spawn(_start_one(engine, container), f"start of {container.name}")


async def _start_one(engine: Engine, container: Container) -> None:
    try:
        await engine.containers.start(container.id)
    except (EngineError, Forbidden) as error:
        log.warning("cannot start %s: %s", container.name, error)
