"""conmon: one small process beside each container (and each exec) that keeps its stdio, log and exit code."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from fairlead.errors import RuntimeFailure
from fairlead.runtime.failures import exec_failure, start_failure
from fairlead.runtime.reports import ExecPipes, SyncPipe, SyncReader
from fairlead.runtime.sealed import SealedPrograms

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# conmon binds its console socket in TMPDIR; sun_path holds 108 bytes and the name takes 19.
_LONGEST_TMP = 85


OnGone = Callable[[int], None]


class Spawn(Protocol):
    """Starts a program in the place prepared for runtimes (mount namespace, cgroup view); blocks until it runs."""

    def __call__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        cwd: str | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> subprocess.Popen[bytes]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LogTarget:
    """Where conmon writes the log: ``path`` "" keeps none; ``max_size`` in bytes, 0 unlimited."""

    path: str = ""
    max_size: int = 0

    def arguments(self) -> list[str]:
        if not self.path:
            return ["--log-path", "none"]
        limit = ["--log-size-max", str(self.max_size)] if self.max_size > 0 else []
        return ["--log-path", f"k8s-file:{self.path}", *limit]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeProgram:
    """The OCI runtime: its absolute path and the directory of its own state."""

    path: str
    root: str

    @property
    def name(self) -> str:
        return os.path.basename(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One container to be created. ``leave_stdin_open`` keeps stdin open when an attached client goes."""

    id: str
    name: str
    bundle: str
    runtime: RuntimeProgram
    exit_dir: str
    log: LogTarget = LogTarget()
    terminal: bool = False
    stdin: bool = False
    leave_stdin_open: bool = False
    prepare: Callable[[], None] | None = None

    @property
    def pid_file(self) -> str:
        return os.path.join(self.bundle, "pidfile")

    @property
    def monitor_file(self) -> str:
        return os.path.join(self.bundle, "conmon.pid")


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchExec:
    """A further process in the container ``id``. ``bundle`` is a directory of the exec's own, with process.json."""

    id: str
    exec_id: str
    bundle: str
    runtime: RuntimeProgram
    terminal: bool = False
    stdin: bool = False

    @property
    def pid_file(self) -> str:
        return os.path.join(self.bundle, "pidfile")

    @property
    def monitor_file(self) -> str:
        return os.path.join(self.bundle, "conmon.pid")

    @property
    def process_file(self) -> str:
        return os.path.join(self.bundle, "process.json")


@dataclass(frozen=True, slots=True)
class Launched:
    """The container exists and waits to be started: conmon's process id and that of its first process."""

    monitor: int
    pid: int


class Monitor:
    """Starts conmon processes and reaps them; they outlive this process."""

    def __init__(
        self,
        *,
        spawn: Spawn,
        tmp_dir: str = "/tmp",  # noqa: S108
        conmon: str = "/usr/bin/conmon",
        on_gone: OnGone | None = None,
    ) -> None:
        """``tmp_dir`` is where consoles are handed over; one with too long a name is not used.

        ``on_gone`` is called when a conmon ended, whatever the reason: one that left no exit file was killed.
        """
        self._spawn = spawn
        self._conmon = conmon
        self._on_gone = on_gone
        self._programs = SealedPrograms()
        self._environment = {"PATH": _PATH, "TMPDIR": tmp_dir if len(tmp_dir) < _LONGEST_TMP else "/tmp"}  # noqa: S108

    def close(self) -> None:
        """Let go of what is kept for speed; conmon processes and containers stay."""
        self._programs.close()

    def adopt(self, pid: int) -> None:
        """Watch a container's conmon, also one that another daemon process started."""
        if self._on_gone is not None:
            when_gone(pid, partial(self._on_gone, pid))

    async def launch(self, launch: Launch) -> Launched:
        """Create the container; raises RuntimeFailure with Docker's text and exit code."""
        sealed = self._programs.find(launch.runtime.path)
        arguments = [
            *self._common(launch, sealed),
            *("--name", launch.name),
            *("--exit-dir", launch.exit_dir),
            *launch.log.arguments(),
            *_flags(
                terminal=launch.terminal,
                stdin=launch.stdin,
                # A terminal has no end of input: who types there next needs it open.
                leave_stdin_open=launch.leave_stdin_open or launch.terminal,
            ),
        ]
        with SyncPipe() as pipe:
            environment = {**self._environment, "_OCI_SYNCPIPE": str(pipe.given)}
            running = self._start(launch, arguments, environment, (pipe.given, *_given(sealed)))
            pipe.close_given()
            report = await SyncReader(pipe.reports).next()
        pid = report.get("pid", -1) if report else -1
        if pid < 0:
            command = _command(os.path.join(launch.bundle, "config.json"))
            raise start_failure(_message(report, running), launch.runtime.name, command)
        running.hush()
        # The one who writes the file is not the one who reports: on a busy machine it may come second.
        await running.ended.wait()
        monitor = _read_pid(launch.monitor_file)
        self.adopt(monitor)
        return Launched(monitor, pid)

    async def launch_exec(self, launch: LaunchExec) -> RunningExec:
        """Start a process beside the container's first one, held until ``RunningExec.release``.

        Its streams are attached to in between, so that no output is lost.
        """
        sealed = self._programs.find(launch.runtime.path)
        arguments = [
            *self._common(launch, sealed),
            *("--api-version", "1", "--exec", "--exec-attach", "--exec-process-spec", launch.process_file),
            *("--exit-dir", launch.bundle),
            *LogTarget().arguments(),
            *_flags(terminal=launch.terminal, stdin=launch.stdin, leave_stdin_open=launch.terminal),
        ]
        held = ExecPipes()
        environment = {**self._environment, **held.environment()}
        try:
            running = self._start(launch, arguments, environment, (*held.given, *_given(sealed)))
            held.close_given()
            # conmon waits for a first byte before it does anything, and for a second before it starts the process.
            os.write(held.start, b"\0")
            ready = await SyncReader(held.attached).next()
        except BaseException:
            held.close()  # who is cancelled here must not leave conmon waiting for ever
            raise
        execution = RunningExec(launch, running, held)
        if ready is None:
            held.close()
            raise exec_failure(_message(None, running))
        return execution

    def _common(self, launch: Launch | LaunchExec, sealed: int | None) -> list[str]:
        runtime = launch.runtime
        return [
            self._conmon,
            *("--cid", launch.id, "--cuuid", launch.id),
            *("--runtime", runtime.path if sealed is None else f"/proc/self/fd/{sealed}"),
            *("--runtime-arg", f"--root={runtime.root}"),
            *("--bundle", launch.bundle, "--container-pidfile", launch.pid_file),
            *("--conmon-pidfile", launch.monitor_file),
            "--full-attach",
            # The log is not worth an fsync at every exit: dockerd makes none either.
            "--no-sync-log",
        ]

    def _start(
        self,
        launch: Launch | LaunchExec,
        arguments: list[str],
        environment: Mapping[str, str],
        given: Sequence[int],
    ) -> _Child:
        running = self._spawn(
            arguments,
            env=environment,
            pass_fds=given,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # Where conmon leaves a file named "oom" when the kernel kills for want of memory.
            cwd=launch.bundle,
            prepare=launch.prepare if isinstance(launch, Launch) else None,
        )
        return _Child(running)


def _given(sealed: int | None) -> tuple[int, ...]:
    return () if sealed is None else (sealed,)


def _command(spec_file: str) -> str:
    """The program that a config.json or process.json names, for the sentence about its failure."""
    try:
        with open(spec_file, "rb") as file:
            spec = json.load(file)
        return str(spec.get("process", spec)["args"][0])
    except (OSError, ValueError, LookupError):
        return ""


def _flags(*, terminal: bool, stdin: bool, leave_stdin_open: bool) -> Iterator[str]:
    if terminal:
        yield "--terminal"
    if stdin:
        yield "--stdin"
    if leave_stdin_open:
        yield "--leave-stdin-open"


class _Child:
    """The process conmon is started with, which leaves a child of its own behind and ends, and is reaped then.

    conmon could do without that child (``--sync``), but a process that was only forked, and loaded nothing itself, has
    half the resident memory. What it complains of is kept until ``complaint`` or ``hush``.
    """

    def __init__(self, running: subprocess.Popen[bytes]) -> None:
        assert running.stderr is not None
        self._running = running
        self._stderr = running.stderr
        os.set_blocking(self._stderr.fileno(), False)
        self.ended = asyncio.Event()
        when_gone(running.pid, self._reap)

    def _reap(self) -> None:
        self._running.wait()
        self.ended.set()

    def complaint(self) -> str:
        """What it said before it gave up its stderr."""
        if self._stderr.closed:
            return ""
        said = self._stderr.read() or b""
        self.hush()
        return said.decode("utf-8", "replace").strip()

    def hush(self) -> None:
        """All went well: nobody will ask."""
        self._stderr.close()


def _read_pid(path: str) -> int:
    with open(path, encoding="ascii") as file:
        return int(file.read())


def when_gone(pid: int, call: Callable[[], object]) -> None:
    """Call once the process ended, soon if it did already. The caller knows that ``pid`` is the one it means."""
    loop = asyncio.get_running_loop()
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        loop.call_soon(call)
        return

    def gone() -> None:
        loop.remove_reader(pidfd)
        os.close(pidfd)
        call()

    loop.add_reader(pidfd, gone)


def _message(report: Mapping[str, Any] | None, child: _Child) -> str:
    """What the runtime said, else what conmon said."""
    complaint = child.complaint()
    if report and report.get("message"):
        return str(report["message"])
    return complaint or "conmon ended without a word"


class RunningExec:
    """An exec whose process is held back until ``release``; then ``pid`` and, at the end, the exit code come."""

    def __init__(self, launch: LaunchExec, monitor: _Child, pipes: ExecPipes) -> None:
        self._launch = launch
        self._monitor = monitor
        self._pipes = pipes
        self._reports = SyncReader(pipes.reports)

    @property
    def bundle(self) -> str:
        return self._launch.bundle

    async def release(self) -> int:
        """Let the process run; its process id. Raises RuntimeFailure with Docker's text and exit code."""
        os.write(self._pipes.start, b"\0")
        self._pipes.close_start()
        report = await self._reports.next()
        pid = int(report.get("data", -1)) if report else -1
        if pid < 0:
            failure = exec_failure(_message(report, self._monitor), _command(self._launch.process_file))
            self.close()
            raise failure
        self._monitor.hush()
        return pid

    async def wait(self) -> int:
        """The exit code, once the process ended; raises RuntimeFailure when conmon was lost."""
        report = await self._reports.next()
        self.close()
        if report is None:
            raise RuntimeFailure(f"the monitor of exec {self._launch.exec_id} is gone")
        return int(report.get("data", -1))

    def close(self) -> None:
        """Give the pipes back; the process itself is not touched."""
        self._pipes.close()
        self._monitor.hush()
