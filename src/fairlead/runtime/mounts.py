"""The mounts of a container: Docker's standard ones, its files in /etc, volumes, binds and tmpfs, in OCI's form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fairlead.model.container import Container, MountPoint

Json = dict[str, Any]

_DEFAULT_SHM = 64 << 20
_INIT_TARGET = "/sbin/docker-init"
# Docker's defaults for --tmpfs; each is lifted by its opposite.
_TMPFS_DEFAULTS: tuple[str, ...] = ("noexec", "nosuid", "nodev")
_OPPOSITE: Mapping[str, str] = {
    "exec": "noexec",
    "suid": "nosuid",
    "dev": "nodev",
    "rw": "ro",
    "noexec": "exec",
    "nosuid": "suid",
    "nodev": "dev",
    "ro": "rw",
}
# A read-only root leaves these writable.
_ALWAYS_WRITABLE = frozenset({"/proc", "/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"})  # noqa: S108 (mount points)
_PROPAGATIONS = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})


class Cgroups(StrEnum):
    """How the host's control groups are laid out."""

    V1 = "v1"
    V2 = "v2"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True, kw_only=True)
class MountFacts:
    """``shm`` is a host directory to be /dev/shm (shared with others, or the host's own), "" for one of its own.

    ``shared_ipc`` says that shm and mqueue come with the IPC namespace of somebody else (``shm`` then names theirs);
    ``no_shm`` is --ipc none. ``writable_cgroups`` is the security option of that name.
    """

    shm: str = ""
    no_shm: bool = False
    default_shm_size: int = _DEFAULT_SHM
    cgroups: Cgroups = Cgroups.V1
    writable_cgroups: bool = False
    host_network_sysfs: bool = False


def render_mounts(container: Container, facts: MountFacts, *, init: str = "") -> list[Json]:
    """All mounts in the order in which they must be made: a mount inside another one after it."""
    own = [*_files(container), *_asked(container)]
    if init:
        own.append(_bind(init, _INIT_TARGET, writable=False))
    taken = {mount["destination"] for mount in own}
    standard = [mount for mount in _standard(container, facts) if mount["destination"] not in taken]
    if container.host.readonly_rootfs:
        standard = [_sealed(mount) for mount in standard]
    return [*standard, *sorted(own, key=_depth)]


def _depth(mount: Json) -> int:
    return sum(1 for part in mount["destination"].split("/") if part)


def _sealed(mount: Json) -> Json:
    options = mount["options"]
    if mount["destination"] in _ALWAYS_WRITABLE or "ro" in options:
        return mount
    return {**mount, "options": [*options, "ro"]}


def _standard(container: Container, facts: MountFacts) -> Iterator[Json]:
    host = container.host
    yield _mount("proc", "/proc", "nosuid", "noexec", "nodev")
    yield _mount("tmpfs", "/dev", "nosuid", "strictatime", "mode=755", "size=65536k")
    yield _mount(
        "devpts", "/dev/pts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5", "noatime"
    )
    yield _mount("sysfs", "/sys", "nosuid", "noexec", "nodev", "rw" if host.privileged else "ro")
    writable = host.privileged or facts.writable_cgroups
    yield _mount("cgroup", "/sys/fs/cgroup", "nosuid", "noexec", "nodev", "relatime", "rw" if writable else "ro")
    yield _mount("mqueue", "/dev/mqueue", "nosuid", "noexec", "nodev")
    yield from _shm(container, facts)


def _shm(container: Container, facts: MountFacts) -> Iterator[Json]:
    if facts.no_shm:
        return
    target = "/dev/shm"  # noqa: S108 (a mount point)
    if facts.shm:
        yield _bind(facts.shm, target, writable=True)
        return
    size = container.host.shm_size or facts.default_shm_size
    yield {
        "type": "tmpfs",
        "source": "shm",
        "destination": target,
        "options": ["nosuid", "noexec", "nodev", "mode=1777", f"size={size}"],
    }


def _files(container: Container) -> Iterator[Json]:
    """resolv.conf, hostname and hosts; a mount of the user's in one of their places wins."""
    asked = {mount.target for mount in container.mounts}
    writable = not container.host.readonly_rootfs
    for source, target in (
        (container.resolv_conf_path, "/etc/resolv.conf"),
        (container.hostname_path, "/etc/hostname"),
        (container.hosts_path, "/etc/hosts"),
    ):
        if source and target not in asked:
            yield _bind(source, target, writable=writable)


def _asked(container: Container) -> Iterator[Json]:
    for mount in container.mounts:
        yield _tmpfs(mount.target, mount.options, mount.rw) if mount.type == "tmpfs" else _volume(mount)
    mounted = {mount.target for mount in container.mounts}
    for target, options in (container.host.tmpfs or {}).items():
        if target not in mounted:
            yield _tmpfs(target, tuple(option for option in options.split(",") if option), writable=True)


def _volume(mount: MountPoint) -> Json:
    return _bind(
        mount.source,
        mount.target,
        writable=mount.rw,
        recursive=not mount.non_recursive,
        propagation=mount.propagation or "rprivate",
        options=mount.options,
    )


def _tmpfs(target: str, options: Iterable[str], writable: bool) -> Json:
    return {
        "type": "tmpfs",
        "source": "tmpfs",
        "destination": target,
        "options": [*tmpfs_options(options), *(() if writable else ("ro",)), "rprivate"],
    }


def tmpfs_options(asked: Iterable[str]) -> list[str]:
    """Docker's defaults with what was asked put over them; the last word on each option counts."""
    chosen: dict[str, str] = {option: option for option in _TMPFS_DEFAULTS}
    for option in asked:
        chosen.pop(_OPPOSITE.get(option, ""), None)
        chosen[option.partition("=")[0]] = option
    return list(chosen.values())


def _mount(kind: str, target: str, *options: str) -> Json:
    return {"type": kind, "source": kind, "destination": target, "options": list(options)}


def _bind(
    source: str,
    target: str,
    *,
    writable: bool,
    recursive: bool = True,
    propagation: str = "rprivate",
    options: Iterable[str] = (),
) -> Json:
    if not recursive:
        # To crun the r of rprivate makes the bind recursive as well.
        propagation = propagation.removeprefix("r")
    flags = ["rbind" if recursive else "bind", "rw" if writable else "ro", propagation, *options]
    return {"type": "bind", "source": source, "destination": target, "options": flags}


def propagation_of_root(mounts: Iterable[MountPoint]) -> str:
    """What the root must propagate for these mounts to work: shared over slave over nothing."""
    wanted = {mount.propagation.removeprefix("r") for mount in mounts}
    for propagation in ("shared", "slave"):
        if propagation in wanted:
            return propagation
    return ""


def check_propagation(propagation: str) -> bool:
    return propagation in _PROPAGATIONS
