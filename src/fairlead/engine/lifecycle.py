"""A container's life: start, stop, exit, restart, and what the record says of it at each moment.

Whoever changes a container holds its lock. An exit is noticed by the watch on conmon's exit files; ``_finish`` is the
one path that takes a container down, whoever asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Awaitable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from fairlead.engine.health import HealthChecks, without_probes
from fairlead.engine.restarts import Backoff, wants_restart
from fairlead.engine.waiting import Waiter, Waiters
from fairlead.errors import Conflict, EngineError, RuntimeFailure
from fairlead.ids import ContainerId
from fairlead.kernel import proc
from fairlead.model.container import Container, State
from fairlead.model.requests import WaitCondition
from fairlead.wire.signals import parse_signal

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

log = logging.getLogger(__name__)
T = TypeVar("T")

_STOP_TIMEOUT = 10  # seconds; dockerd's default
_EXIT_FILE_PATIENCE = 1.0  # seconds; conmon writes the exit file before it ends
_KILL_PATIENCE = 30.0  # seconds until we stop waiting for a SIGKILLed process


class Lifecycle:
    """Starts, stops and buries containers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiters = Waiters()
        self._exit_codes: dict[ContainerId, asyncio.Future[int]] = {}
        self._backoff: dict[ContainerId, Backoff] = {}
        self._restarts: dict[ContainerId, asyncio.Task[None]] = {}
        self.health = HealthChecks(engine)

    # -- telling ----------------------------------------------------------------------------------------------------

    def tell(self, container: Container, action: str, **attributes: str) -> None:
        """An event, with the labels, image and name dockerd puts in."""
        said = {
            **(container.config.labels or {}),
            "image": container.config.image,
            "name": container.name,
            **attributes,
        }
        self._engine.events.publish("container", action, container.id, said)

    def arm_wait(self, container: Container, condition: WaitCondition) -> Waiter:
        return self._waiters.arm(container, condition)

    def removed(self, container: Container) -> None:
        """The record is gone: nothing of it may stay here either."""
        self._cancel_restart(container.id)
        self._backoff.pop(container.id, None)
        self.tell(container, "destroy")
        for condition in ("removed", "next-exit", "not-running"):
            self._waiters.tell(container, condition)

    # -- starting ---------------------------------------------------------------------------------------------------

    async def start_afresh(self, container: Container) -> Container:
        """A start that somebody asked for: restarts are counted, and wait, from the beginning again."""
        self._backoff.pop(container.id, None)
        return await self.start(replace(container, restart_count=0))

    async def start(self, container: Container) -> Container:
        """From any stopped state to running; raises with everything taken back. The lock is held."""
        self._cancel_restart(container.id)
        container = replace(container, stopped_by_user=False)
        with self._engine.reconciler.transition(container.id):
            try:
                container = await self._bring_up(container)
            except BaseException as error:  # noqa: BLE001 (raised again, whatever it is)
                reason = _innermost(error)
                await self._take_back(container, reason)
                raise reason from None
        self.tell(container, "start")
        self.health.begin(container)
        return container

    async def _bring_up(self, container: Container) -> Container:
        engine = self._engine
        await engine.sandboxes.check(container)
        cgroup = engine.cgroups.path_for(container.id, container.host.cgroup_parent)
        container = await engine.sandboxes.prepare(replace(container, cgroup=cgroup))
        self._exit_codes[container.id] = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as side_by_side:
            # The runtime takes 20 ms, the plumbing 2: neither waits for the other.
            joining = side_by_side.create_task(
                _outcome(engine.sandboxes.join(container)), name=f"join {container.name}"
            )
            launching = side_by_side.create_task(
                _outcome(engine.launching.create(container)), name=f"launch {container.name}"
            )
        if isinstance(failure := joining.result(), Exception):
            raise failure
        if isinstance(launched := launching.result(), Exception):
            raise launched
        state = State(status="running", pid=launched.pid, conmon=launched.monitor, started=time.time_ns())
        container = engine.index.save(replace(container, state=state))
        await engine.containers.attach_waiting(container)
        await engine.launching.start(container)
        return container

    async def _take_back(self, container: Container, reason: BaseException) -> None:
        """After a failed start: as before, but for the error and exit code in the record; with --rm nothing is left."""
        code = reason.exit_code if isinstance(reason, RuntimeFailure) else 128
        current = self._engine.store.containers.get(container.id) or container
        with contextlib.suppress(EngineError, OSError):
            await self._engine.launching.delete(current, force=True)
        current = await self._engine.sharing.vacate(current)
        self._exit_codes.pop(container.id, None)
        state = replace(
            container.state, status="created" if not container.state.finished else "exited", pid=0, conmon=0
        )
        state = replace(state, exit_code=code, error=str(reason))
        failed = self._engine.index.save(replace(current, state=state))
        self._engine.containers.end_attachments(container.id)
        self._engine.sharing.left(failed)
        self._waiters.tell(failed, "not-running")  # who waits for one that should have been restarted
        if failed.host.auto_remove:
            await self._engine.containers.forget(failed, volumes=True)

    # -- ending -----------------------------------------------------------------------------------------------------

    def exited(self, identifier: str, code: int) -> None:
        """Called by the watch on exit files; may come twice or late."""
        container_id = ContainerId(identifier)
        future = self._exit_codes.get(container_id)
        if future is not None and not future.done():
            future.set_result(code)
        if container_id in self._engine.store.containers:
            self._engine.spawn(self._bury(container_id, code), f"exit of {identifier[:12]}")

    def monitor_gone(self, pid: int) -> None:
        """A conmon ended: after its container, or because somebody killed it."""
        orphan = next((c for c in self._engine.store.containers if c.state.conmon == pid and c.state.pid), None)
        if orphan is not None:
            self._engine.spawn(self._without_monitor(orphan), f"lost monitor of {orphan.name}")

    async def _without_monitor(self, container: Container) -> None:
        """Nobody keeps its output and exit code any more: it is ended, as dockerd ends what loses its shim."""
        await asyncio.sleep(_EXIT_FILE_PATIENCE)
        async with self._engine.locks[container.id]:
            fresh = self._engine.store.containers.get(container.id)
            if fresh is None or not fresh.state.pid or fresh.state.pid != container.state.pid:
                return
            if self._engine.launching.exit_code(fresh) is None:
                log.warning("the monitor of %s was killed: ending the container", fresh.name)
                await self._finish(fresh, 128 + signal.SIGKILL)

    async def _bury(self, identifier: ContainerId, code: int) -> None:
        async with self._engine.locks[identifier]:
            container = self._engine.store.containers.get(identifier)
            if container is not None and container.state.status in ("running", "paused"):
                await self._finish(container, code)

    async def _finish(self, container: Container, code: int) -> Container:
        """It has ended: everything it held is given back, the record says so, and whoever waits is told."""
        engine = self._engine
        self.health.end(container.id)
        self._exit_codes.pop(container.id, None)
        oom = engine.launching.was_oom_killed(container)
        with engine.reconciler.transition(container.id):
            with contextlib.suppress(EngineError, OSError):
                await engine.launching.delete(container)
            container = engine.index.save(await engine.sharing.vacate(container))
        restart = self._restart_wanted(container, code)
        state = replace(
            container.state,
            status="restarting" if restart else "exited",
            pid=0,
            conmon=0,
            exit_code=code,
            oom_killed=oom,
            finished=time.time_ns(),
            health=without_probes(container.state.health),
        )
        ended = engine.index.save(replace(container, state=state))
        engine.sharing.left(ended)
        ran = (ended.state.finished - ended.state.started) // 10**9
        self.tell(ended, "die", exitCode=str(code), execDuration=str(max(0, ran)))
        engine.containers.end_attachments(container.id)
        self._waiters.tell(ended, "next-exit")
        if restart:
            self._restarts[container.id] = engine.spawn(self._restart_later(ended), f"restart of {container.name}")
            return ended
        self._waiters.tell(ended, "not-running")
        if ended.host.auto_remove and not engine.closing:
            engine.spawn(self._auto_remove(ended), f"removal of {container.name}")
        return ended

    async def _auto_remove(self, container: Container) -> None:
        with contextlib.suppress(EngineError):
            await self._engine.containers.remove(container.id, volumes=True, force=True)

    # -- restarting -------------------------------------------------------------------------------------------------

    def _restart_wanted(self, container: Container, code: int) -> bool:
        return not self._engine.closing and wants_restart(container, code)

    async def _restart_later(self, container: Container) -> None:
        backoff = self._backoff.setdefault(container.id, Backoff())
        await asyncio.sleep(backoff.delay(ran=(container.state.finished - container.state.started) / 1e9))
        await self._after_owner(container)
        async with self._engine.locks[container.id]:
            fresh = self._engine.store.containers.get(container.id)
            if fresh is None or fresh.state.status != "restarting":
                return
            self._restarts.pop(container.id, None)
            again = replace(fresh, restart_count=fresh.restart_count + 1)
            try:
                await self.start(self._engine.index.save(again))
            except EngineError as error:
                log.warning("cannot restart %s: %s", container.name, error)

    async def _after_owner(self, container: Container) -> None:
        """Whose sandbox it shares is on its way, too: there is nothing to join before that one is up."""
        with contextlib.suppress(EngineError):
            owner = self._engine.sharing.owner(container)
            if owner.id != container.id:
                if (restart := self._restarts.get(owner.id)) is not None:
                    await asyncio.wait([restart])
                async with self._engine.locks[owner.id]:
                    return

    def _cancel_restart(self, identifier: ContainerId) -> None:
        task = self._restarts.pop(identifier, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    # -- asking it to end -------------------------------------------------------------------------------------------

    async def stop(self, container: Container, timeout: int | None, signal: str | None) -> None:  # noqa: ASYNC109 (Docker's option)
        """The stop signal, then SIGKILL after ``timeout`` seconds (-1: wait for ever)."""
        patience = next(t for t in (timeout, container.config.stop_timeout, _STOP_TIMEOUT) if t is not None)
        if await self._hold_restarts_back(container):
            return
        waiter = self.arm_wait(self._engine.index.find(container.id), "not-running")
        number = parse_signal(signal or container.config.stop_signal or "SIGTERM")
        await self._signal(container, number)
        if container.state.status == "paused":
            await self._engine.launching.resume(container)
        try:
            async with asyncio.timeout(None if patience < 0 else patience):
                await asyncio.shield(waiter.future)
        except TimeoutError:
            await self._signal(container, 9)
            await self._patiently(waiter, container)
        if (current := self._engine.store.containers.get(container.id)) is not None:
            self.tell(current, "stop")

    async def _patiently(self, waiter: Waiter, container: Container) -> None:
        try:
            async with asyncio.timeout(_KILL_PATIENCE):
                await waiter.result()
        except TimeoutError:
            raise EngineError(
                f"cannot stop container: {container.name}: tried to kill container, but did not receive an exit event"
            ) from None

    async def _hold_restarts_back(self, container: Container) -> bool:
        """From now on its end is its end. True when that was all: it was waiting for its restart.

        Under the lock: a restart on its way would write its own record over the mark.
        """
        async with self._engine.locks[container.id]:
            fresh = self._engine.store.containers.get(container.id)
            if fresh is None:
                return False
            fresh = self._engine.index.save(replace(fresh, stopped_by_user=True))
            if fresh.state.status != "restarting":
                return False
            self._cancel_restart(container.id)
            ended = self._engine.index.save(replace(fresh, state=replace(fresh.state, status="exited")))
            self._waiters.tell(ended, "not-running")
            return True

    async def kill(self, container: Container, signal: str) -> None:
        """Any signal; SIGKILL waits for the end, as in Docker, and holds restarts back."""
        number = parse_signal(signal or "SIGKILL")
        ends = number in (9, parse_signal(container.config.stop_signal or "SIGTERM"))
        if ends and await self._hold_restarts_back(container):
            return
        waiter = self.arm_wait(self._engine.index.find(container.id), "not-running")
        await self._signal(container, number)
        if number == 9:
            await self._patiently(waiter, container)

    async def _signal(self, container: Container, number: int) -> None:
        container = self._engine.index.find(container.id)
        if not container.state.pid or not proc.kill(container.state.pid, number):
            return
        self.tell(container, "kill", signal=str(number))
        if container.state.status == "paused" and number == 9:
            await self._engine.launching.resume(container)

    async def destroy(self, container: Container) -> Container:
        """SIGKILL and take down, the lock held: for ``rm -f``."""
        self._cancel_restart(container.id)
        if container.state.status == "restarting":
            return self._engine.index.save(replace(container, state=replace(container.state, status="exited")))
        container = self._engine.index.save(replace(container, stopped_by_user=True))
        code = self._exit_codes.get(container.id)
        await self._signal(container, 9)
        if code is None:
            return await self._finish(container, 137)
        try:
            async with asyncio.timeout(_KILL_PATIENCE):
                value = await asyncio.shield(code)
        except TimeoutError:
            raise EngineError(f"could not kill container {container.name}: no exit event after SIGKILL") from None
        return await self._finish(container, value)

    # -- freezing and limits ----------------------------------------------------------------------------------------

    async def pause(self, container: Container) -> None:
        if container.state.status == "paused":
            raise Conflict(f"container {container.name} is already paused")
        if container.state.status != "running":
            raise Conflict(f"container {container.id} is not running")
        await self._engine.launching.pause(container)
        self._engine.index.save(replace(container, state=replace(container.state, status="paused")))
        self.tell(container, "pause")

    async def unpause(self, container: Container) -> None:
        if container.state.status != "paused":
            raise EngineError(f"Container {container.id} is not paused")
        await self._engine.launching.resume(container)
        self._engine.index.save(replace(container, state=replace(container.state, status="running")))
        self.tell(container, "unpause")

    async def update_limits(self, container: Container) -> None:
        await self._engine.launching.update(container)

    # -- a daemon's start -------------------------------------------------------------------------------------------

    def expect_exit(self, container: Container) -> None:
        """A container found running at start: from now on its exit is waited for."""
        self._exit_codes[container.id] = asyncio.get_running_loop().create_future()
        self._engine.launching.watch_monitor(container)
        self.health.begin(container)

    async def bury_unseen(self, container: Container, code: int) -> None:
        """It ended while no daemon was there."""
        async with self._engine.locks[container.id]:
            await self._finish(container, code)


async def _outcome(step: Awaitable[T]) -> T | EngineError | OSError:
    """Its failure as a value: the other step is waited for, since a monitor half started cannot be taken back."""
    try:
        return await step
    except (EngineError, OSError) as error:
        return error


def _innermost(error: BaseException) -> BaseException:
    """The first real cause in a group of failures from steps that ran side by side."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
