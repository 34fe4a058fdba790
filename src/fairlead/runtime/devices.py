"""--device looked up on the host, and Docker's rules about which devices a container may open."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fairlead.errors import InvalidArgument, RuntimeFailure
from fairlead.model.container import Device
from fairlead.runtime.resources import DeviceNumber

Json = dict[str, Any]

# What a process without any --device may open: (type, major, minor); None is every number.
_OPENABLE: tuple[tuple[str, int | None, int | None], ...] = (
    ("c", 1, 3),  # null
    ("c", 1, 5),  # zero
    ("c", 1, 7),  # full
    ("c", 1, 8),  # random
    ("c", 1, 9),  # urandom
    ("c", 5, 0),  # tty
    ("c", 5, 1),  # console
    ("c", 5, 2),  # ptmx
    ("c", 136, None),  # pts/*
)
_RULE = re.compile(r"([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})\Z")
# Docker leaves these out of a privileged container's /dev: they are the container's own mounts or host-only state.
_NOT_COPIED = frozenset({"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"})
_PERMISSIONS = frozenset("rwm")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceNode:
    """A device to be made in the container: ``kind`` is c, b, u or p as in mknod(1)."""

    path: str
    kind: str
    number: DeviceNumber
    mode: int = 0o666
    uid: int = 0
    gid: int = 0
    permissions: str = "rwm"

    def render(self) -> Json:
        """OCI ``linux.devices`` entry."""
        return {
            "path": self.path,
            "type": self.kind,
            "major": self.number.major,
            "minor": self.number.minor,
            "fileMode": self.mode,
            "uid": self.uid,
            "gid": self.gid,
        }

    def rule(self) -> Json:
        """OCI ``linux.resources.devices`` entry that lets it be used."""
        return _rule("c" if self.kind == "u" else self.kind, self.number.major, self.number.minor, self.permissions)


def default_rules() -> list[Json]:
    """Nothing may be opened but what every container needs; making nodes is harmless and allowed."""
    return [
        {"allow": False, "access": "rwm"},
        _rule("c", None, None, "m"),
        _rule("b", None, None, "m"),
        *(_rule(kind, major, minor, "rwm") for kind, major, minor in _OPENABLE),
    ]


def everything_rule() -> Json:
    """What a privileged container has."""
    return {"allow": True, "access": "rwm"}


def parse_rule(text: str) -> Json:
    """--device-cgroup-rule (``c 1:3 mr``); raises InvalidArgument in Docker's words."""
    match = _RULE.match(text)
    if match is None:
        raise InvalidArgument(f'invalid device cgroup rule format: "{text}"')
    kind, major, minor, access = match.groups()
    return _rule(kind, _wild(major), _wild(minor), access)


def _wild(text: str) -> int | None:
    return None if text == "*" else int(text)


def _rule(kind: str, major: int | None, minor: int | None, access: str) -> Json:
    rule: Json = {"allow": True, "type": kind, "access": access}
    if major is not None:
        rule["major"] = major
    if minor is not None:
        rule["minor"] = minor
    return rule


def look_up(devices: Iterable[Device]) -> tuple[DeviceNode, ...]:
    """The nodes behind --device, a directory standing for all below it; raises RuntimeFailure in Docker's words."""
    return tuple(node for device in devices for node in _nodes(device))


def _nodes(device: Device) -> Iterator[DeviceNode]:
    permissions = device.cgroup_permissions or "rwm"
    if not _PERMISSIONS.issuperset(permissions):
        raise InvalidArgument(f"invalid device mode: {permissions}")
    target = device.path_in_container or device.path_on_host
    source = os.path.realpath(device.path_on_host)
    node = _node(source, target, permissions)
    if node is not None:
        yield node
    elif os.path.isdir(source):
        yield from _below(source, target, permissions)
    else:
        problem = "no such file or directory" if not os.path.lexists(source) else "not a device node"
        raise RuntimeFailure(f'error gathering device information while adding custom device "{source}": {problem}')


def _below(source: str, target: str, permissions: str) -> Iterator[DeviceNode]:
    for folder, _, names in os.walk(source):
        inside = target + folder[len(source) :]
        for name in names:
            node = _node(f"{folder}/{name}", f"{inside}/{name}", permissions)
            if node is not None:
                yield node


def _node(source: str, target: str, permissions: str) -> DeviceNode | None:
    try:
        found = os.stat(source)
    except OSError:
        return None
    if stat.S_ISCHR(found.st_mode):
        kind = "c"
    elif stat.S_ISBLK(found.st_mode):
        kind = "b"
    else:
        return None
    return DeviceNode(
        path=target,
        kind=kind,
        number=DeviceNumber(os.major(found.st_rdev), os.minor(found.st_rdev)),
        mode=stat.S_IMODE(found.st_mode),
        uid=found.st_uid,
        gid=found.st_gid,
        permissions=permissions,
    )


def every_device(root: str = "/dev") -> tuple[DeviceNode, ...]:
    """All devices of the host, for a privileged container."""
    return tuple(_walk(root, "/dev"))


def _walk(folder: str, inside: str) -> Iterator[DeviceNode]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name in _NOT_COPIED:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, f"{inside}/{entry.name}")
            # The terminal of whoever started the daemon is not the container's.
            elif not entry.is_symlink() and entry.name != "console":
                node = _node(entry.path, f"{inside}/{entry.name}", "rwm")
                if node is not None:
                    yield node


def throttle_paths(cpus: str = "/sys/devices/system/cpu") -> tuple[str, ...]:
    """The counters of CPUs that were too hot, which Docker hides since 28.2."""
    return tuple(sorted(glob.glob(f"{cpus}/cpu[0-9]*/thermal_throttle")))


def block_numbers(paths: Iterable[str]) -> Mapping[str, DeviceNumber]:
    """The numbers of block devices named by --blkio-weight-device and its kin; raises RuntimeFailure."""
    numbers: dict[str, DeviceNumber] = {}
    for path in paths:
        try:
            found = os.stat(path)
        except OSError as error:
            raise RuntimeFailure(f"{path}: {os.strerror(error.errno or 0).lower()}") from None
        numbers[path] = DeviceNumber(os.major(found.st_rdev), os.minor(found.st_rdev))
    return numbers
