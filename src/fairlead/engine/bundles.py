"""From a container's record to the bundle its runtime reads: what this host has is looked up, the rest rendered."""

from __future__ import annotations

import base64
import functools
import os
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from fairlead.engine import options
from fairlead.engine.modes import network_mode
from fairlead.errors import Conflict, RuntimeFailure
from fairlead.model.container import Container, HostConfig
from fairlead.runtime import devices, security
from fairlead.runtime.bundle import BundleSpec, Cgroups, Confinement, LimitFacts, MountFacts, Namespaces
from fairlead.runtime.capabilities import choose as choose_capabilities
from fairlead.runtime.capabilities import read_available
from fairlead.runtime.seccomp import Platform, Profile
from fairlead.runtime.seccomp import choose as choose_profile
from fairlead.runtime.seccomp_filter import UncompilableError, compile_filter
from fairlead.runtime.users import Accounts, Identity, read_accounts, resolve

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

_INITS = ("/usr/bin/tini-static", "/usr/bin/docker-init", "/usr/libexec/podman/catatonit", "/usr/bin/tini")
_APPARMOR_PROFILE = "docker-default"
SHM = "/dev/shm"  # noqa: S108 (a mount point)


class Bundles:
    """Renders bundles for one engine; what is the same for many containers is made once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._filters: dict[tuple[str, bool, tuple[str, ...]], tuple[Profile | None, str]] = {}

    def spec(self, container: Container, rootfs: str) -> BundleSpec:
        """Everything the container's OCI configuration is made of; raises what the user must be told."""
        host = container.host
        asked = security.parse(host.security_opt or ())
        return BundleSpec(
            container=container,
            rootfs=rootfs,
            cgroup=container.cgroup,
            identity=self.identity(container, container.config.user),
            # What runs has them, even if whom it took them from is gone: an exec or update joins and mounts nothing.
            namespaces=Namespaces() if container.state.pid else self._namespaces(container),
            confinement=self._confinement(host, asked),
            mounts=MountFacts() if container.state.pid else self._mount_facts(container, asked),
            devices=self._devices(host),
            limits=LimitFacts(block_devices=devices.block_numbers(_block_paths(host))),
            ulimits=self._engine.settings.default_ulimits,
            init=_init_binary() if host.init else "",
            extra_masked=devices.throttle_paths(),
        )

    def identity(self, container: Container, user: str) -> Identity:
        """Who that is in the container's own /etc/passwd, seen without mounting anything."""
        return resolve(user, container.host.group_add or (), self._accounts(container))

    def _accounts(self, container: Container) -> Accounts:
        if container.state.status in ("running", "paused"):
            return read_accounts([f"/proc/{container.state.pid}/root"])
        overlay = self._engine.containers.rootfs(container).overlay()
        return read_accounts([overlay.upper, *overlay.lowers])

    # -- namespaces -------------------------------------------------------------------------------------------------

    def _namespaces(self, container: Container) -> Namespaces:
        host = container.host
        return Namespaces(
            network=self._engine.sandboxes.joinable_path(container),
            pid=self._joined(host.pid_mode, "pid"),
            ipc=self._joined(host.ipc_mode, "ipc"),
            uts=None if host.uts_mode == "host" else "",
            cgroup=None if host.cgroupns_mode == "host" else "",
        )

    def _joined(self, mode: str, kind: str) -> str | None:
        """The namespace a mode names: None the host's, a path another container's, "" a new one."""
        if mode == "host":
            return None
        if not mode.startswith("container:"):
            return ""
        other = self._engine.index.find(mode.partition(":")[2])
        if other.state.status not in ("running", "paused"):
            raise Conflict(
                f"cannot join {kind.upper()} of a non running container: {other.id}: container is {other.state.status}"
            )
        if kind == "ipc" and other.host.ipc_mode not in ("shareable", "host"):
            raise Conflict(
                f"cannot join IPC of {other.id}: non-shareable IPC "
                "(hint: use IpcMode:shareable for the donor container)"
            )
        return f"/proc/{other.state.pid}/ns/{kind}"

    # -- confinement ------------------------------------------------------------------------------------------------

    def _confinement(self, host: HostConfig, asked: security.SecurityOptions) -> Confinement:
        granted = choose_capabilities(
            add=host.cap_add or (),
            drop=host.cap_drop or (),
            privileged=host.privileged,
            last=last_capability(),
            available=available_capabilities(),
        )
        profile, compiled = self._seccomp(asked.seccomp, host.privileged, granted)
        return Confinement(
            seccomp=profile,
            seccomp_filter=compiled,
            apparmor=_apparmor(asked.apparmor, host.privileged),
            last_capability=last_capability(),
            available=available_capabilities(),
        )

    def _seccomp(self, wanted: str, privileged: bool, granted: Sequence[str]) -> tuple[Profile | None, str]:
        key = (wanted, privileged, tuple(granted))
        if key not in self._filters:
            profile = choose_profile(
                wanted,
                privileged=privileged,
                capabilities=granted,
                platform=_platform(),
                daemon_profile=self._engine.settings.seccomp_profile,
            )
            self._filters[key] = profile, _compiled(profile)
        return self._filters[key]

    def _devices(self, host: HostConfig) -> tuple[devices.DeviceNode, ...]:
        asked = devices.look_up(host.devices or ())
        return (*devices.every_device(), *asked) if host.privileged else asked

    # -- mounts -----------------------------------------------------------------------------------------------------

    def _mount_facts(self, container: Container, asked: security.SecurityOptions) -> MountFacts:
        return MountFacts(
            shm=self.shm(container),
            no_shm=container.host.ipc_mode == "none",
            default_shm_size=self._engine.settings.default_shm_size,
            cgroups=Cgroups(self._engine.cgroups.layout.value),
            writable_cgroups=asked.writable_cgroups,
            host_network_sysfs=network_mode(container) == "host",
        )

    def shm(self, container: Container) -> str:
        """The directory that is /dev/shm: the host's, the place for a sharer's, or "" for one of its own."""
        if container.host.ipc_mode == "host":
            return SHM
        return self.shm_place(container) if self.shm_donor(container) else ""

    def shm_place(self, container: Container) -> str:
        """Where a sharer's /dev/shm is mounted for this container to take it from."""
        return os.path.join(self._engine.settings.exec_root, container.id, "shm")

    def shm_donor(self, container: Container) -> Container | None:
        """Whose /dev/shm the container shares."""
        kind, _, other = container.host.ipc_mode.partition(":")
        return self._engine.index.find(other) if kind == "container" else None


@functools.cache
def last_capability() -> int:
    """The highest capability this kernel knows."""
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        return int(file.read())


@functools.cache
def available_capabilities() -> int:
    """Those this daemon has itself, as a mask: it can give nobody more."""
    return read_available()


@functools.cache
def apparmor_is_there() -> bool:
    """Whether this kernel enforces AppArmor and has Docker's profile loaded."""
    try:
        with open("/sys/kernel/security/apparmor/profiles", encoding="utf-8") as file:
            return any(line.startswith(f"{_APPARMOR_PROFILE} ") for line in file)
    except OSError:
        return False


def _apparmor(wanted: str, privileged: bool) -> str:
    if wanted == security.UNCONFINED or not os.path.exists("/sys/kernel/security/apparmor"):
        return ""
    if wanted:
        return wanted
    return _APPARMOR_PROFILE if apparmor_is_there() and not privileged else ""


@functools.cache
def _platform() -> Platform:
    numbers = [int(n) for n in re.findall(r"\d+", os.uname().release)[:2]]
    return Platform(arch=options.architecture(), kernel=(numbers[0], numbers[1]))


def _compiled(profile: Profile | None) -> str:
    """For crun, which otherwise compiles 400 rules at every start; "" where that cannot be done."""
    if profile is None:
        return ""
    try:
        return base64.b64encode(compile_filter(profile)).decode()
    except (UncompilableError, OSError):
        return ""


def _block_paths(host: HostConfig) -> Iterable[str]:
    weighted = [device.path for device in host.blkio_weight_device or ()]
    lists = (
        host.blkio_device_read_bps,
        host.blkio_device_write_bps,
        host.blkio_device_read_iops,
        host.blkio_device_write_iops,
    )
    return [*weighted, *(device.path for entries in lists for device in entries or ())]


def _init_binary() -> str:
    found = next((path for path in _INITS if os.access(path, os.X_OK)), None)
    if found is None:
        raise RuntimeFailure("--init needs an init program on the host: install tini")
    return found
