"""The OCI runtime's own verbs on a container that exists: start, kill, pause, resume, update, delete, ps, state."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from fairlead.errors import Conflict, RuntimeFailure
from fairlead.runtime.conmon import RuntimeProgram, Spawn
from fairlead.runtime.failures import explain, start_failure

_FIFO = "exec.fifo"


class OciRuntime:
    """crun or runc, with its state in a directory of its own."""

    def __init__(self, program: RuntimeProgram, spawn: Spawn) -> None:
        self.program = program
        self._spawn = spawn

    async def start(self, container: str) -> None:
        """Let the created container run; raises RuntimeFailure.

        crun's first process waits for a byte in a fifo: writing it here takes 0.1 ms, ``crun start`` 3.
        """
        if self.program.name == "crun" and _release(os.path.join(self.program.root, container, _FIFO)):
            return
        await self._run("start", container)

    async def kill(self, container: str, number: int, *, every: bool = False) -> None:
        """Send a signal to the container's first process, or to every one."""
        await self._run("kill", *(("--all",) if every else ()), container, str(number))

    async def pause(self, container: str) -> None:
        await self._run("pause", container)

    async def resume(self, container: str) -> None:
        await self._run("resume", container)

    async def update(self, container: str, resources: Mapping[str, Any]) -> None:
        """Change limits; ``resources`` are OCI ``linux.resources``."""
        await self._run("update", "--resources", "-", container, text=msgspec.json.encode(resources))

    async def state(self, container: str) -> Mapping[str, Any]:
        """OCI state: status, pid, bundle; raises RuntimeFailure when there is none."""
        answer = await self._run("state", container)
        state: Mapping[str, Any] = msgspec.json.decode(answer)
        return state

    async def processes(self, container: str) -> tuple[int, ...]:
        """The process ids in the container, as the host numbers them."""
        answer = await self._run("ps", "--format", "json", container)
        return tuple(msgspec.json.decode(answer, type=list[int]))

    async def delete(self, container: str, *, force: bool = False) -> None:
        """Let the runtime take back all it made, the cgroup too; one that is not there is success."""
        try:
            await self._run("delete", *(("--force",) if force else ()), container)
        except RuntimeFailure:
            if os.path.exists(os.path.join(self.program.root, container)):
                raise

    def discard(self, container: str) -> None:
        """Forget a container that ended, without running the runtime: its state directory goes.

        The cgroup is left to whoever made its parent. ``crun delete`` does both in 4 ms.
        """
        shutil.rmtree(os.path.join(self.program.root, container), ignore_errors=True)

    def known(self) -> tuple[str, ...]:
        """The ids of the containers the runtime has state of."""
        try:
            return tuple(os.listdir(self.program.root))
        except FileNotFoundError:
            return ()

    async def _run(self, *arguments: str, text: bytes = b"") -> bytes:
        argv = [self.program.path, "--root", self.program.root, *arguments]
        return await asyncio.to_thread(self._run_now, argv, text)

    def _run_now(self, argv: Sequence[str], text: bytes) -> bytes:
        running = self._spawn(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        answer, said = running.communicate(text)
        if running.returncode:
            reason = explain(said.decode("utf-8", "replace"))
            raise RuntimeFailure(f"{os.path.basename(argv[0])} {argv[3]} failed: {reason}")
        return answer


def _release(fifo: str) -> bool:
    """Write the byte that crun's first process waits for; False where the runtime itself must do it."""
    try:
        descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        raise start_failure("container process is gone before it was started", "crun") from error
    try:
        os.write(descriptor, b"1")
    finally:
        os.close(descriptor)
    # While the fifo exists crun takes the container for created, not running.
    os.unlink(fifo)
    return True


def send_signal(pid: int, number: int) -> None:
    """Signal a container's first process; raises Conflict when it is gone already."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        raise Conflict(f"process {pid} is not running") from None
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        raise Conflict(f"process {pid} is not running") from None
    finally:
        os.close(pidfd)
