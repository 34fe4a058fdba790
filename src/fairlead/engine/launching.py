"""Launching: a container's process through conmon and the OCI runtime, and further processes in it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fairlead.engine import mountspecs
from fairlead.engine.bundles import SHM, Bundles, apparmor_is_there
from fairlead.engine.volumeseed import mount_inside, seed
from fairlead.errors import EngineError
from fairlead.ids import ContainerId
from fairlead.kernel import mounts, proc
from fairlead.model.container import Container, MountPoint
from fairlead.model.views import Exec
from fairlead.runtime import bundle
from fairlead.runtime.conmon import Launch, Launched, LaunchExec, LogTarget, Monitor, RunningExec, RuntimeProgram
from fairlead.runtime.crun import OciRuntime
from fairlead.runtime.exits import forget_exit, read_exit
from fairlead.runtime.logrotation import LogPolicy, LogRotation, parse_policy
from fairlead.runtime.streams import Console
from fairlead.runtime.users import Identity

if TYPE_CHECKING:
    from fairlead.engine.core import Engine


class Launching:
    """The runtime side of containers. Paths below the exec root are this daemon's alone."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._exec_root = engine.settings.exec_root
        self._bundles = Bundles(engine)
        self._monitor = Monitor(
            spawn=engine.launchpad.spawn,
            tmp_dir=self._exec_root,
            on_gone=lambda pid: engine.lifecycle.monitor_gone(pid),  # noqa: PLW0108 (lifecycle is made after us)
        )
        self._rotation = LogRotation()
        self._programs: dict[str, str] = {}
        self._consoles: dict[ContainerId, Console] = {}
        self.exit_dir = os.path.join(self._exec_root, "exits")
        os.makedirs(self.exit_dir, mode=0o700, exist_ok=True)

    # -- places -----------------------------------------------------------------------------------------------------

    def _bundle(self, container: Container) -> str:
        return os.path.join(self._exec_root, container.id)

    def _rootfs(self, container: Container) -> str:
        return os.path.join(self._bundle(container), "rootfs")

    def _program(self, container: Container) -> RuntimeProgram:
        path = self._programs.get(container.runtime)
        if path is None:
            path = shutil.which(container.runtime)
            if path is None:
                raise EngineError(f"{container.runtime} is not installed: install it, or choose another --runtime")
            self._programs[container.runtime] = path
        return RuntimeProgram(path=path, root=os.path.join(self._exec_root, container.runtime))

    def _runtime(self, container: Container) -> OciRuntime:
        return OciRuntime(self._program(container), self._engine.launchpad.spawn)

    def console(self, container: Container) -> Console:
        """The attach point of a created or running container."""
        found = self._consoles.get(container.id)
        if found is None:
            once = container.config.open_stdin and container.config.stdin_once
            found = self._consoles[container.id] = Console(self._bundle(container), closes_with_client=once)
        return found

    def graph(self, container: Container) -> Mapping[str, str]:
        """Docker's GraphDriver.Data; the merged view exists only inside the container's own mount namespace."""
        with contextlib.suppress(EngineError):
            overlay = self._engine.containers.rootfs(container).overlay()
            return {
                "LowerDir": ":".join(overlay.lowers),
                "UpperDir": overlay.upper,
                "WorkDir": overlay.work,
                "MergedDir": self._rootfs(container),
            }
        return {}

    def mount_root(self, container: Container, target: str, *, read_only: bool = False) -> None:
        """The container's root at ``target``, in the calling thread's mount namespace."""
        overlay = self._engine.containers.rootfs(container).overlay()
        if read_only:
            mounts.mount_overlay(target, lowers=(overlay.upper, *overlay.lowers), upper="", work="")
            return
        mounts.mount_overlay(
            target, lowers=overlay.lowers, upper=overlay.upper, work=overlay.work, options=_overlay_options()
        )

    def identity(self, container: Container) -> Identity:
        """Whom the container's first process runs as."""
        return self._bundles.identity(container, container.config.user)

    # -- start ------------------------------------------------------------------------------------------------------

    async def create(self, container: Container) -> Launched:
        """Everything up to the point where only ``start`` is missing; the process exists and waits."""
        await self._prepare_mounts(container)
        place = self._bundle(container)
        os.makedirs(self._rootfs(container), mode=0o711, exist_ok=True)
        spec = self._bundles.spec(self._with_subpaths(container), self._rootfs(container))
        with open(os.path.join(place, "config.json"), "wb") as file:
            file.write(bundle.render(spec))
        forget_exit(self.exit_dir, container.id)
        self._consoles.pop(container.id, None)
        self.watch_log(container)
        return await self._monitor.launch(self._launch(container))

    def _launch(self, container: Container) -> Launch:
        config = container.config
        policy = self._log_policy(container)
        return Launch(
            id=container.id,
            name=container.name,
            bundle=self._bundle(container),
            runtime=self._program(container),
            exit_dir=self.exit_dir,
            log=LogTarget(path=container.log_path, max_size=policy.max_size),
            terminal=config.tty,
            stdin=config.open_stdin,
            leave_stdin_open=config.open_stdin and not config.stdin_once,
            prepare=lambda: self._mount_view(container),
        )

    def _mount_view(self, container: Container) -> None:
        """What the container is made of, in the mount namespace that conmon and it share with nobody.

        All of it is gone when they are.
        """
        self.mount_root(container, self._rootfs(container))
        for number, point in enumerate(container.mounts):
            if subpath := mountspecs.subpath(point):
                mount_inside(point.source, subpath, self._subpath_place(container, number))
        if (donor := self._bundles.shm_donor(container)) is not None:
            place = self._bundles.shm_place(container)
            os.makedirs(place, exist_ok=True)
            mounts.borrow(f"/proc/{donor.state.pid}/ns/mnt", SHM, place)

    def _subpath_place(self, container: Container, number: int) -> str:
        return os.path.join(self._bundle(container), f"subpath-{number}")

    def _with_subpaths(self, container: Container) -> Container:
        """As the runtime must see it: parts of volumes taken from where ``_mount_view`` puts them."""
        points = tuple(
            replace(point, source=self._subpath_place(container, number), options=())
            if mountspecs.subpath(point)
            else point
            for number, point in enumerate(container.mounts)
        )
        return replace(container, mounts=points)

    @staticmethod
    def _log_policy(container: Container) -> LogPolicy:
        return parse_policy(container.log_driver, container.host.log_config.config or {})

    def watch_log(self, container: Container) -> None:
        """Keep the log files that conmon replaces, as many as were asked for."""
        if container.log_path:
            self._rotation.add(container.log_path, self._log_policy(container).max_file)

    async def _prepare_mounts(self, container: Container) -> None:
        for source in _missing_bind_sources(container):
            os.makedirs(source, exist_ok=True)
        for point in container.mounts:
            if point.type == "volume":
                path = await self._engine.volumes.enter(point.name, container.id)
                self._engine.events.publish("volume", "mount", point.name, _as_mounted(container, point))
                if point.copy_up and not mountspecs.subpath(point):
                    overlay = self._engine.containers.rootfs(container).overlay()
                    await self._engine.in_thread(seed, path, point.target, (overlay.upper, *overlay.lowers))

    async def start(self, container: Container) -> None:
        await self._runtime(container).start(container.id)

    # -- afterwards -------------------------------------------------------------------------------------------------

    async def delete(self, container: Container, *, force: bool = False) -> None:
        """What runtime and conmon left of an ended container; with ``force`` also of one that still stands."""
        runtime = self._runtime(container)
        if force:
            await runtime.delete(container.id, force=True)
        else:
            runtime.discard(container.id)
        if container.cgroup:
            await self._engine.in_thread(self._drop_cgroup, container.cgroup)
        volumes = [point.name for point in container.mounts if point.type == "volume"]
        self._engine.volumes.leave(volumes, container.id)
        for name in volumes:
            self._engine.events.publish("volume", "unmount", name, {"container": container.id, "driver": "local"})
        forget_exit(self.exit_dir, container.id)
        self._rotation.discard(container.log_path)
        if (console := self._consoles.pop(container.id, None)) is not None:
            console.close()
        shutil.rmtree(self._bundle(container), ignore_errors=True)

    def _drop_cgroup(self, path: str) -> None:
        """In a thread: a process that is dying keeps its cgroup for some milliseconds."""
        self._engine.cgroups.kill(path)
        self._engine.cgroups.remove(path)

    def was_oom_killed(self, container: Container) -> bool:
        """Whether the kernel killed in it for want of memory, asked while its cgroup is still there."""
        return bool(container.cgroup) and self._engine.cgroups.oom_kills(container.cgroup) > 0

    def watch_monitor(self, container: Container) -> None:
        """The conmon of a container found running: its end is noticed from now on."""
        self._monitor.adopt(container.state.conmon)

    def close(self) -> None:
        """Let go of what is kept for speed; containers stay."""
        self._monitor.close()

    def exit_code(self, container: Container) -> int | None:
        """What conmon wrote when it ended; None while it runs, or when conmon could not."""
        return read_exit(self.exit_dir, container.id)

    def is_alive(self, container: Container) -> bool:
        return bool(container.state.pid) and proc.is_alive(container.state.pid) and self._is_ours(container)

    def _is_ours(self, container: Container) -> bool:
        """Its number may have come to mean another process since: ours is in the container's cgroup."""
        return container.state.pid in self.pids(container)

    def pids(self, container: Container) -> list[int]:
        return self._engine.cgroups.pids(container.cgroup) if container.cgroup else []

    # -- while it runs ----------------------------------------------------------------------------------------------

    async def pause(self, container: Container) -> None:
        await self._engine.in_thread(self._engine.cgroups.freeze, container.cgroup)

    async def resume(self, container: Container) -> None:
        await self._engine.in_thread(self._engine.cgroups.thaw, container.cgroup)

    async def update(self, container: Container) -> None:
        spec = self._bundles.spec(container, self._rootfs(container))
        await self._runtime(container).update(container.id, bundle.render_config(spec)["linux"]["resources"])

    async def resize(self, container: Container, height: int, width: int) -> None:
        self.console(container).resize(height, width)

    async def exec(self, container: Container, wanted: Exec, *, console_size: tuple[int, int]) -> RunningExec:
        """A further process in the container, held until released."""
        spec = replace(wanted.spec, console_size=console_size)
        identity = self._bundles.identity(container, spec.user or container.config.user)
        launch = LaunchExec(
            id=container.id,
            exec_id=wanted.id,
            bundle=os.path.join(self._bundle(container), f"exec-{wanted.id}"),
            runtime=self._program(container),
            terminal=spec.tty,
            stdin=spec.stdin,
        )
        os.makedirs(launch.bundle, mode=0o700)
        with open(launch.process_file, "wb") as file:
            file.write(
                bundle.render_exec(
                    spec, bundle=self._bundles.spec(container, self._rootfs(container)), identity=identity
                )
            )
        try:
            return await self._monitor.launch_exec(launch)
        except BaseException:
            shutil.rmtree(launch.bundle, ignore_errors=True)
            raise

    # -- programs ---------------------------------------------------------------------------------------------------

    @staticmethod
    async def run_program(argv: Sequence[str]) -> tuple[int, str, str]:
        """Exit code, output and complaints of a short-lived program."""
        child = await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        output, complaint = await child.communicate()
        return child.returncode or 0, output.decode(errors="replace"), complaint.decode(errors="replace")

    @staticmethod
    def security_options() -> tuple[str, ...]:
        options = ["name=seccomp,profile=builtin"]
        if apparmor_is_there():
            options.append("name=apparmor")
        if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
            options.append("name=cgroupns")
        return tuple(options)


@functools.cache
def _overlay_options() -> tuple[str, ...]:
    """Diff and commit read the upper directory: what only a mark in it says (a renamed directory) they would miss."""
    known = "/sys/module/overlay/parameters"
    return tuple(f"{name}=off" for name in ("redirect_dir", "metacopy") if os.path.exists(f"{known}/{name}"))


def _as_mounted(container: Container, point: MountPoint) -> dict[str, str]:
    """What dockerd tells of a volume that a container begins to use."""
    return {
        "container": container.id,
        "destination": point.target,
        "driver": point.driver or "local",
        "propagation": point.propagation,
        "read/write": str(point.rw).lower(),
    }


def _missing_bind_sources(container: Container) -> list[str]:
    """-v makes a missing host directory, as Docker does; --mount was refused at create."""
    return [p.source for p in container.mounts if p.type == "bind" and not os.path.lexists(p.source)]
