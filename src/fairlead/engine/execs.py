"""Further processes in running containers."""

from __future__ import annotations

import asyncio
import shutil
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

from fairlead import ids
from fairlead.engine.attaching import Session
from fairlead.errors import Conflict, EngineError, InvalidArgument, NotFound, RuntimeFailure
from fairlead.ids import ContainerId, ExecId
from fairlead.kernel import proc
from fairlead.model.container import Container
from fairlead.model.requests import AttachSpec, ExecSpec, ExecStartSpec
from fairlead.model.views import Exec
from fairlead.runtime.conmon import RunningExec
from fairlead.runtime.streams import Console

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

_KEPT = 256  # ended execs kept for inspection
_START_PATIENCE = 10.0  # seconds a resize waits for the start that clients ask for at the same time; dockerd's


class Execs:
    """Verbs on execs; they live in memory, as in Docker, and are gone with the daemon."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._execs: dict[ExecId, Exec] = {}
        self._consoles: dict[ExecId, Console] = {}
        self._ended: dict[ExecId, asyncio.Event] = {}
        self._opened: dict[ExecId, asyncio.Event] = {}  # of those whose start somebody waits for

    async def create(self, ref: str, spec: ExecSpec) -> ExecId:
        container = self._engine.index.find(ref)
        if not spec.cmd:
            raise InvalidArgument("No exec command specified")
        self._check_running(container)
        identifier = ExecId(ids.new_id())
        self._execs[identifier] = Exec(id=identifier, container=container.id, spec=spec)
        self._forget_old()
        words = " ".join(spec.cmd)
        self._engine.lifecycle.tell(container, f"exec_create: {words}", execID=identifier)
        return identifier

    @staticmethod
    def _check_running(container: Container) -> None:
        if container.state.status == "paused":
            raise Conflict(f"container {container.name} is paused, unpause the container before exec")
        if container.state.status != "running":
            raise Conflict(f"container {container.id} is not running")

    def _forget_old(self) -> None:
        ended = [key for key, e in self._execs.items() if e.exit_code is not None]
        for key in ended[:-_KEPT]:
            del self._execs[key]

    def find(self, ref: str) -> Exec:
        if (found := self._execs.get(ExecId(ref))) is not None:
            return found
        matches = [e for key, e in self._execs.items() if ref and key.startswith(ref)]
        if len(matches) != 1:
            raise NotFound(f"No such exec instance: {ref}")
        return matches[0]

    def of(self, container: ContainerId) -> tuple[str, ...]:
        return tuple(e.id for e in self._execs.values() if e.container == container and e.running)

    def forget(self, container: ContainerId) -> None:
        for key in [key for key, e in self._execs.items() if e.container == container]:
            del self._execs[key]

    async def start_detached(self, ref: str, spec: ExecStartSpec) -> None:
        found = self._begin(ref)
        running = await self._launch(found, spec)
        await self._release(found, running)

    async def start_attached(self, ref: str, spec: ExecStartSpec, detach_keys: str = "") -> Session:
        """A session on the new process's streams, attached before its first byte; it ends with the process."""
        found = self._begin(ref)
        running = await self._launch(found, spec)
        asked = found.spec
        session = Session(
            AttachSpec(
                stream=True,
                stdin=asked.stdin,
                stdout=asked.stdout,
                stderr=asked.stderr,
                detach_keys=detach_keys or asked.detach_keys,
            ),
            tty=asked.tty,
            on_detach=lambda: self._tell(found, "exec_detach"),
            finished=self._ended[found.id],
        )
        session.connect(self._consoles[found.id].attach())
        await self._release(found, running)
        return session

    def _begin(self, ref: str) -> Exec:
        found = self.find(ref)
        self._check_running(self._engine.index.find(found.container))
        if found.started:
            raise Conflict(
                f"exec command {found.id} is already running" if found.running else f"exec {found.id} has already run"
            )
        return self._save(replace(found, started=True, running=True))

    def _save(self, changed: Exec) -> Exec:
        self._execs[changed.id] = changed
        return changed

    async def _launch(self, found: Exec, spec: ExecStartSpec) -> RunningExec:
        container = self._engine.index.find(found.container)
        size = spec.console_size if any(spec.console_size) else found.spec.console_size
        try:
            running = await self._engine.launching.exec(container, found, console_size=size)
        except BaseException as error:
            self._failed(found, error)
            raise
        self._consoles[found.id] = Console(running.bundle, closes_with_client=not found.spec.tty)
        self._ended[found.id] = asyncio.Event()
        self._wake(found)
        return running

    def _wake(self, found: Exec) -> None:
        if (opened := self._opened.pop(found.id, None)) is not None:
            opened.set()

    def _failed(self, found: Exec, error: BaseException) -> None:
        # 126 is dockerd's for whatever kept the process from running, but for a program that is not there.
        code = 127 if isinstance(error, RuntimeFailure) and error.exit_code == 127 else 126
        self._save(replace(found, running=False, exit_code=code))
        self._wake(found)

    async def _release(self, found: Exec, running: RunningExec) -> None:
        """The process runs from here on."""
        try:
            pid = await running.release()
        except BaseException as error:
            self._failed(found, error)
            self._discard(found, running)
            raise
        self._save(replace(self._execs[found.id], pid=pid))
        self._tell(found, f"exec_start: {' '.join(found.spec.cmd)}")
        self._engine.spawn(self._until_end(found, running), f"exec {found.id[:12]}")

    async def _until_end(self, found: Exec, running: RunningExec) -> None:
        try:
            code = await running.wait()
        except RuntimeFailure:
            code = 255
        if (current := self._execs.get(found.id)) is not None:
            self._save(replace(current, running=False, exit_code=code))
        self._discard(found, running)
        self._tell(found, "exec_die", exitCode=str(code))

    def _tell(self, found: Exec, action: str, **attributes: str) -> None:
        if (container := self._engine.store.containers.get(found.container)) is not None:
            self._engine.lifecycle.tell(container, action, execID=found.id, **attributes)

    def _discard(self, found: Exec, running: RunningExec) -> None:
        if (console := self._consoles.pop(found.id, None)) is not None:
            console.close()
        if (ended := self._ended.pop(found.id, None)) is not None:
            ended.set()
        shutil.rmtree(running.bundle, ignore_errors=True)

    async def resize(self, ref: str, height: int, width: int) -> None:
        found = self.find(ref)
        if found.exit_code is None and found.id not in self._consoles:
            await self._opening(found.id)
        console = self._consoles.get(found.id)
        if console is None:
            raise Conflict(f"cannot resize a stopped exec: {found.id} is not running")
        console.resize(height, width)

    async def _opening(self, identifier: ExecId) -> None:
        opened = self._opened.setdefault(identifier, asyncio.Event())
        try:
            async with asyncio.timeout(_START_PATIENCE):
                await opened.wait()
        except TimeoutError as error:
            self._opened.pop(identifier, None)
            raise EngineError("timeout waiting for exec session ready") from error

    async def probe(self, container: Container, command: tuple[str, ...]) -> tuple[int, str]:
        """Run a health check: exit code and output; cancelled means killed."""
        spec = ExecSpec(cmd=command, stdout=True, stderr=True)
        probe = Exec(id=ExecId(ids.new_id()), container=container.id, spec=spec)
        running = await self._engine.launching.exec(container, probe, console_size=(0, 0))
        output = bytearray()
        try:
            async with Console(running.bundle).attach() as attachment:
                pid = await running.release()
                try:
                    while (item := await attachment.read()) is not None:
                        output += item[1]
                    return await running.wait(), output.decode(errors="replace")
                except asyncio.CancelledError:
                    proc.kill(pid, signal.SIGKILL)
                    raise
        finally:
            running.close()
            shutil.rmtree(running.bundle, ignore_errors=True)
