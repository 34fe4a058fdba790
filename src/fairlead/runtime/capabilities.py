"""Which capabilities a container gets: Docker's default set, changed by --cap-add, --cap-drop and --privileged."""

from __future__ import annotations

from collections.abc import Iterable

from fairlead.errors import InvalidArgument

# In the kernel's order (linux/capability.h): the index is the capability's number.
_NAMES = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
# Docker's default set, in the order Docker lists it.
_DEFAULT_NAMES = """
CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL
AUDIT_WRITE
"""

ALL: tuple[str, ...] = tuple(f"CAP_{name}" for name in _NAMES.split())
DEFAULT: tuple[str, ...] = tuple(f"CAP_{name}" for name in _DEFAULT_NAMES.split())

_KNOWN = frozenset(ALL)
_EVERY = "ALL"
_ALL_BITS = (1 << len(ALL)) - 1


def normalize(names: Iterable[str]) -> tuple[str, ...]:
    """The names in upper case with CAP_ in front (``ALL`` stays); raises InvalidArgument in Docker's words."""
    return tuple(_normal(name) for name in names)


def _normal(name: str) -> str:
    upper = name.upper()
    if upper == _EVERY:
        return upper
    full = upper if upper.startswith("CAP_") else f"CAP_{upper}"
    if full not in _KNOWN:
        raise InvalidArgument(f'unknown capability: "{name}"')
    return full


def read_available(status: str = "/proc/self/status") -> int:
    """The bounding set of this process as a bit mask: what a container can be given at most."""
    with open(status, encoding="ascii") as file:
        line = next(line for line in file if line.startswith("CapBnd:"))
    return int(line.split()[1], 16)


def choose(
    *,
    add: Iterable[str] = (),
    drop: Iterable[str] = (),
    privileged: bool = False,
    last: int = len(ALL) - 1,
    available: int = _ALL_BITS,
) -> tuple[str, ...]:
    """The capabilities of the container.

    ``last`` is the highest number this kernel has; ``available`` the engine's own bounding set, which nothing can
    exceed: a runtime told to give more fails.
    """
    has = tuple(name for number, name in enumerate(ALL) if number <= last and available >> number & 1)
    if privileged:
        return has
    added, dropped = normalize(add), normalize(drop)
    if _EVERY in added:
        return tuple(name for name in has if name not in dropped)
    if _EVERY in dropped:
        return tuple(name for name in added if name in has)
    kept = [name for name in DEFAULT if name in has and name not in dropped]
    return (*kept, *(name for name in added if name in has and name not in kept))
