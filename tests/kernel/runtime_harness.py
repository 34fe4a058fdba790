"""Real containers for the runtime's tests: a busybox root, a launch place, and one container at a time in it."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from fairlead.ids import ContainerId, new_id
from fairlead.kernel import syscalls
from fairlead.model.container import Config, Container, ContainerSpec, HostConfig, MountPoint
from fairlead.runtime import bundle, capabilities, seccomp, security
from fairlead.runtime.bundle import BundleSpec, Confinement, MountFacts, Namespaces
from fairlead.runtime.conmon import Launch, Launched, LogTarget, Monitor, RuntimeProgram
from fairlead.runtime.crun import OciRuntime
from fairlead.runtime.devices import every_device, look_up
from fairlead.runtime.exits import ExitWatch
from fairlead.runtime.seccomp_filter import compile_filter
from fairlead.runtime.streams import Console
from fairlead.runtime.users import read_accounts, resolve

CGROUPS = Path("/sys/fs/cgroup")
PARENT = "fairlead-test"
AVAILABLE = capabilities.read_available()
UNIFIED = "/sys/fs/cgroup/unified"
PROGRAMS = {"crun": "/usr/bin/crun", "runc": "/usr/sbin/runc"}


class LaunchPlace:
    """A mount namespace without the cgroup2 tree of a hybrid host; programs are born in it."""

    def __init__(self) -> None:
        self._fd = self._aside(self._make)

    def close(self) -> None:
        os.close(self._fd)

    def spawn(
        self, argv: Sequence[str], *, prepare: Callable[[], None] | None = None, **more: Any
    ) -> subprocess.Popen[bytes]:
        def launch() -> subprocess.Popen[bytes]:
            syscalls.unshare(syscalls.CLONE_FS)
            syscalls.setns(self._fd, syscalls.CLONE_NEWNS)
            if prepare is not None:
                syscalls.unshare(syscalls.CLONE_NEWNS)
                prepare()
            return subprocess.Popen(argv, **{**more, "cwd": more.get("cwd") or "/"})

        return self._aside(launch)

    @staticmethod
    def _aside(work: Callable[[], Any]) -> Any:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(work).result()

    @staticmethod
    def _make() -> int:
        syscalls.unshare(syscalls.CLONE_FS | syscalls.CLONE_NEWNS)
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
        if os.path.ismount(UNIFIED):
            syscalls.umount(UNIFIED, syscalls.MNT_DETACH)
        return os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)


def make_root(folder: Path) -> Path:
    """A root file system of busybox with a few accounts."""
    for name in ("bin", "etc", "proc", "dev", "sys", "tmp", "sbin", "work", "root"):
        (folder / name).mkdir(parents=True)
    shutil.copy("/usr/bin/busybox", folder / "bin/busybox")
    applets = subprocess.run(["/usr/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout
    for applet in applets.split():
        with suppress(FileExistsError):
            os.symlink("busybox", folder / "bin" / applet)
    (folder / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nweb:x:33:44:web:/srv/web:/bin/sh\n")
    (folder / "etc/group").write_text("root:x:0:\nwww:x:44:\nlog:x:55:web,other\n")
    return folder


@contextmanager
def make_place(folder: Path, runtime: str) -> Iterator[Place]:
    """A place for containers, and nothing of it left afterwards."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if not os.path.exists(PROGRAMS[runtime]):
        pytest.skip(f"needs {runtime}")
    make_root(folder / "rootfs")
    spawn = LaunchPlace()
    try:
        yield Place(root=folder, runtime=runtime, spawn=spawn)
    finally:
        spawn.close()
        for hierarchy in (CGROUPS, *CGROUPS.iterdir()):
            with suppress(OSError):
                (hierarchy / PARENT).rmdir()


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a test's containers live."""

    root: Path
    runtime: str
    spawn: LaunchPlace
    memory: dict[tuple[str, ...], str] = field(default_factory=dict)

    @property
    def program(self) -> RuntimeProgram:
        return RuntimeProgram(path=PROGRAMS[self.runtime], root=str(self.root / "state"))

    @property
    def exits(self) -> str:
        return str(self.root / "exits")

    def seccomp_filter(self, granted: tuple[str, ...]) -> str:
        """Compiled once per set of capabilities, as the engine does."""
        if granted not in self.memory:
            profile = seccomp.default_profile(granted, seccomp.Platform())
            self.memory[granted] = base64.b64encode(compile_filter(profile)).decode()
        return self.memory[granted]


class Box:
    """One container in a place, through all steps that the engine takes."""

    def __init__(
        self,
        place: Place,
        *command: str,
        config: dict[str, Any] | None = None,
        host: dict[str, Any] | None = None,
        mounts: tuple[MountPoint, ...] = (),
        mount_facts: MountFacts | None = None,
        on_gone: Callable[[int], None] | None = None,
        **fields: Any,
    ) -> None:
        self.place = place
        self.id = ContainerId(new_id())
        self.bundle = place.root / self.id
        self.bundle.mkdir(parents=True)
        (place.root / "exits").mkdir(exist_ok=True)
        self.log = str(place.root / f"{self.id}.log")
        self.container = Container(
            id=self.id,
            name="box",
            created=0,
            image="",
            runtime=place.runtime,
            path=command[0],
            args=tuple(command[1:]),
            mounts=mounts,
            spec=ContainerSpec(
                config=Config(**{"hostname": "boxhost", **(config or {})}), host=HostConfig(**(host or {}))
            ),
        )
        self.fields = fields
        self.mount_facts = mount_facts
        self.monitor = Monitor(spawn=place.spawn.spawn, on_gone=on_gone)
        self.oci = OciRuntime(place.program, place.spawn.spawn)
        self.console = Console(str(self.bundle), closes_with_client=self.container.config.stdin_once)
        self.launched: Launched | None = None

    def spec(self) -> BundleSpec:
        host = self.container.host
        options = security.parse(host.security_opt or ())
        granted = capabilities.choose(
            add=host.cap_add or (), drop=host.cap_drop or (), privileged=host.privileged, available=AVAILABLE
        )
        profile = seccomp.choose(
            options.seccomp, privileged=host.privileged, capabilities=granted, platform=seccomp.Platform()
        )
        compiled = ""
        if profile is not None and not options.seccomp:
            compiled = self.place.seccomp_filter(granted)
        rootfs = str(self.place.root / "rootfs")
        spec = BundleSpec(
            container=self.container,
            rootfs=rootfs,
            cgroup=f"/{PARENT}/{self.id}",
            identity=resolve(self.container.config.user, host.group_add or (), read_accounts((rootfs,))),
            namespaces=Namespaces(cgroup=None),
            confinement=Confinement(seccomp=profile, seccomp_filter=compiled, available=AVAILABLE),
            mounts=self.mount_facts or MountFacts(writable_cgroups=options.writable_cgroups),
            devices=every_device() if host.privileged else look_up(host.devices or ()),
        )
        return replace(spec, **self.fields)

    async def create(self, *, log_max: int = 0) -> Launched:
        (self.bundle / "config.json").write_bytes(bundle.render(self.spec()))
        config = self.container.config
        self.launched = await self.monitor.launch(
            Launch(
                id=self.id,
                name="box",
                bundle=str(self.bundle),
                runtime=self.place.program,
                exit_dir=self.place.exits,
                log=LogTarget(path=self.log, max_size=log_max),
                terminal=config.tty,
                stdin=config.open_stdin,
                leave_stdin_open=config.tty or not config.stdin_once,
            )
        )
        return self.launched

    async def start(self) -> None:
        await self.oci.start(self.id)

    async def exited(self) -> int:
        """The exit code, once conmon wrote it."""
        ended = asyncio.get_running_loop().create_future()

        def note(container: str, code: int) -> None:
            if container == self.id and not ended.done():
                ended.set_result(code)

        watch = ExitWatch(self.place.exits, note)
        watch.open()
        try:
            async with asyncio.timeout(20):
                return await ended
        finally:
            watch.close()

    async def run(self) -> tuple[int, str, str]:
        """Create, attach, start, read to the end: exit code, stdout and stderr."""
        await self.create()
        async with asyncio.timeout(20), self.console.attach() as attachment:
            await self.start()
            said = {1: b"", 2: b""}
            async for stream, data in attachment:
                said[stream] += data
        return await self.exited(), said[1].decode(), said[2].decode()

    async def remove(self) -> None:
        await self.oci.delete(self.id, force=True)
        self.console.close()
        self.monitor.close()


def run_box(place: Place, *command: str, **more: Any) -> tuple[int, str, str]:
    """Run one container to its end and remove it."""

    async def life() -> tuple[int, str, str]:
        box = Box(place, *command, **more)
        try:
            return await box.run()
        finally:
            await box.remove()

    return asyncio.run(life())


def said(place: Place, *command: str, **more: Any) -> str:
    """What a container prints that must succeed."""
    code, out, err = run_box(place, *command, **more)
    assert code == 0, (code, out, err)
    return out
