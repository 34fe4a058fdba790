"""The engine and its machine: info, version, disk usage, credentials."""

from __future__ import annotations

import os
import platform
import sys
import time
import uuid
from typing import TYPE_CHECKING

import fairlead
from fairlead.engine import listing, options
from fairlead.engine.volumes import directory_size
from fairlead.errors import InvalidArgument
from fairlead.kernel.cgroups import Layout
from fairlead.model.image import RegistryAuth
from fairlead.model.requests import Filters
from fairlead.model.views import AuthResult, Component, DiskUsage, Info, Version, VolumeUsage
from fairlead.net.drivers import DRIVERS
from fairlead.plugins.registry import IPAM, NETWORK
from fairlead.wire.times import parse_until

if TYPE_CHECKING:
    from fairlead.engine.core import Engine


class System:
    """Verbs on the engine as a whole."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._versions: dict[str, str] = {}

    def engine_id(self) -> str:
        """A UUID made at the first start and kept."""
        found = self._engine.store.get_meta("engine-id")
        if found is None:
            found = str(uuid.uuid4())
            self._engine.store.set_meta("engine-id", found)
        return found

    @staticmethod
    def moment(text: str) -> int:
        """A timestamp or duration (``10m`` ago) in nanoseconds since the epoch."""
        return parse_until(text, time.time_ns())

    async def _version_of(self, program: str) -> str:
        """The first line a program says of its version; asked once."""
        if program not in self._versions:
            try:
                _, output, _ = await self._engine.launching.run_program([program, "--version"])
            except OSError:
                output = ""
            words = (output.splitlines() or [""])[0].split()
            self._versions[program] = words[-1] if words else "not installed"
        return self._versions[program]

    async def version(self) -> Version:
        names = (self._engine.settings.default_runtime, "conmon")
        parts = [Component(name="Engine", version=fairlead.__version__)]
        parts += [Component(name=name, version=await self._version_of(name)) for name in names]
        return Version(
            version=fairlead.__version__,
            language=f"Python {platform.python_version()}",
            kernel=platform.release(),
            os=sys.platform,
            arch=options.architecture(),
            components=tuple(parts),
        )

    async def info(self) -> Info:
        engine, settings = self._engine, self._engine.settings
        states = [container.state.status for container in engine.store.containers]
        system = _os_release()
        unified = engine.cgroups.layout is Layout.V2
        plugins = await engine.plugins.answering()
        return Info(
            id=self.engine_id(),
            version=fairlead.__version__,
            running=states.count("running") + states.count("restarting"),
            paused=states.count("paused"),
            stopped=sum(state in ("created", "exited", "dead") for state in states),
            images=len(engine.image_store.list()),
            driver_status=(("Backing Filesystem", _filesystem(settings.data_root)), ("Supports d_type", "true")),
            root=settings.data_root,
            name=platform.node(),
            kernel=platform.release(),
            operating_system=system.get("PRETTY_NAME", "Linux"),
            os_version=system.get("VERSION_ID", ""),
            architecture=platform.machine(),
            cpus=os.cpu_count() or 1,
            memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            cgroup_version="2" if unified else "1",
            runtimes={name: name for name in options.RUNTIMES},
            default_runtime=settings.default_runtime,
            runtime_version=await self._version_of(settings.default_runtime),
            init_binary="docker-init",
            security_options=engine.launching.security_options(),
            address_pools=tuple((str(pool.base), pool.size) for pool in settings.address_pools),
            labels=settings.labels,
            insecure_registries=settings.insecure_registries,
            registry_mirrors=settings.registry_mirrors,
            debug=settings.debug,
            network_drivers=(*sorted(DRIVERS), *(name for name, kinds in plugins.items() if NETWORK in kinds)),
            ipam_drivers=(
                *engine.outside.own_ipam(),
                *(name for name, kinds in plugins.items() if IPAM in kinds),
            ),
            descriptors=len(os.listdir("/proc/self/fd")),
            time=time.time_ns(),
            ipv4_forwarding=_reads("/proc/sys/net/ipv4/ip_forward") == "1",
            pids_limit=unified or os.path.isdir("/sys/fs/cgroup/pids"),
            cpu_cfs=unified or os.path.exists("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
            cpuset=unified or os.path.isdir("/sys/fs/cgroup/cpuset"),
            oom_kill_disable=not unified,
            warnings=engine.foreign.warnings(),
        )

    async def disk_usage(self) -> DiskUsage:
        engine = self._engine
        volumes = [
            VolumeUsage(
                volume=volume,
                size=await engine.in_thread(directory_size, volume.mountpoint),
                references=len(engine.volumes.users(volume.name)),
            )
            for volume in engine.store.volumes
        ]
        return DiskUsage(
            layers_size=(await engine.image_store.usage()).layers_size,
            images=tuple(await engine.images.usage()),
            containers=tuple(await listing.list_containers(engine, all_=True, limit=0, size=True, filters=Filters())),
            volumes=tuple(volumes),
        )

    async def auth(self, auth: RegistryAuth) -> AuthResult:
        """Whether the registry takes these credentials; raises Unauthorized."""
        if not auth.server:
            raise InvalidArgument("no registry to log in to: serveraddress is empty")
        if any("\0" in text for text in (auth.username, auth.password, auth.server)):
            raise InvalidArgument("credentials cannot contain a NUL character")
        await self._engine.image_store.login(auth)
        return AuthResult(status="Login Succeeded")


def _reads(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _os_release() -> dict[str, str]:
    try:
        return dict(platform.freedesktop_os_release())
    except OSError:
        return {}


def _filesystem(path: str) -> str:
    """The type of the file system a path is on, from /proc/self/mountinfo (proc(5))."""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            head, _, tail = line.partition(" - ")
            if head.split()[2] == wanted:
                kind = tail.split()[0]
                return "extfs" if kind.startswith("ext") else kind
    return "unknown"
