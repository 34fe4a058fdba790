"""Health checks: the image's or the user's probe run inside the container, and what its answers mean."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from fairlead.errors import EngineError
from fairlead.ids import ContainerId
from fairlead.model.container import Container, Health, HealthLog, HealthState

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

_INTERVAL = 30 * 10**9
_TIMEOUT = 30 * 10**9
_START_INTERVAL = 5 * 10**9
_RETRIES = 3
_KEPT = 5  # probes shown in inspect
_OUTPUT = 4096  # bytes of a probe's output kept


def probe_command(container: Container) -> tuple[str, ...] | None:
    """What to run, None when there is no check."""
    check = container.config.healthcheck
    match tuple(check.test or ()) if check else ():
        case ("CMD", *words) if words:
            return tuple(words)
        case ("CMD-SHELL", command, *_):
            return (*(container.config.shell or ("/bin/sh", "-c")), command)
        case _:
            return None


def judged(state: HealthState, check: Health, probe: HealthLog, started: int) -> HealthState:
    """The state after a probe: failures within the start period do not count (Docker's rule)."""
    log = (*state.log, probe)[-_KEPT:]
    if probe.exit_code == 0:
        return HealthState(status="healthy", failing=0, log=log)
    in_start = state.status == "starting" and probe.start - started < check.start_period
    if in_start:
        return replace(state, log=log)
    failing = state.failing + 1
    status = "unhealthy" if failing >= (check.retries or _RETRIES) else state.status
    return HealthState(status=status, failing=failing, log=log)


def without_probes(state: HealthState | None) -> HealthState | None:
    """What dockerd says of a container that ended: nobody looks, so it is not well."""
    return None if state is None else replace(state, status="unhealthy")


class HealthChecks:
    """One task per container that has a check and runs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tasks: dict[ContainerId, asyncio.Task[None]] = {}

    def begin(self, container: Container) -> None:
        command = probe_command(container)
        if command is None:
            return
        if container.state.health is None:
            self._save(container.id, HealthState())
        task = self._engine.spawn(self._watch(container.id, command), f"health of {container.name}")
        self._tasks[container.id] = task

    def end(self, identifier: ContainerId) -> None:
        task = self._tasks.pop(identifier, None)
        if task is not None:
            task.cancel()

    def _save(self, identifier: ContainerId, state: HealthState) -> Container | None:
        container = self._engine.store.containers.get(identifier)
        if container is None or container.state.status not in ("running", "paused"):
            return None
        return self._engine.index.save(replace(container, state=replace(container.state, health=state)))

    async def _watch(self, identifier: ContainerId, command: tuple[str, ...]) -> None:
        while (container := self._engine.store.containers.get(identifier)) is not None:
            check = container.config.healthcheck or Health()
            state = container.state.health or HealthState()
            await asyncio.sleep(_pause(container, check, state) / 1e9)
            probe = await self._probe(container, command, (check.timeout or _TIMEOUT) / 1e9)
            fresh = self._engine.store.containers.get(identifier)
            if fresh is None or fresh.state.status != "running":
                continue
            before = fresh.state.health or HealthState()
            after = judged(before, check, probe, fresh.state.started)
            saved = self._save(identifier, after)
            if saved is not None and after.status != before.status:
                self._engine.lifecycle.tell(saved, f"health_status: {after.status}")

    async def _probe(self, container: Container, command: tuple[str, ...], patience: float) -> HealthLog:
        start = time.time_ns()
        try:
            async with asyncio.timeout(patience):
                code, output = await self._engine.execs.probe(container, command)
        except TimeoutError:
            code, output = -1, f"Health check exceeded timeout ({patience:g}s)"
        except EngineError as error:
            code, output = -1, str(error)
        return HealthLog(start=start, end=time.time_ns(), exit_code=code, output=output[:_OUTPUT])


def _pause(container: Container, check: Health, state: HealthState) -> int:
    """Nanoseconds until the next probe: closer together while the container starts."""
    starting = state.status == "starting" and time.time_ns() - container.state.started < check.start_period
    if starting and check.start_period:
        return check.start_interval or _START_INTERVAL
    return check.interval or _INTERVAL
