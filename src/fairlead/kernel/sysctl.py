"""Sysctls by their path below /proc/sys; those under net/ belong to the network namespace of the thread that opens."""

from __future__ import annotations

import os
from collections.abc import Mapping

from fairlead.errors import KernelError

_ROOT = "/proc/sys/"


def read(key: str) -> str | None:
    """The value without its newline; None where the kernel has no such key (or no longer: its link is gone)."""
    try:
        descriptor = os.open(_ROOT + key, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return os.read(descriptor, 4096).decode().strip()
    except OSError:
        return None
    finally:
        os.close(descriptor)


def write(key: str, value: str) -> None:
    try:
        descriptor = os.open(_ROOT + key, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise KernelError("set sysctl", f"{key} to {value!r}", error.errno or 0) from error


def write_all(values: Mapping[str, str]) -> None:
    for key, value in values.items():
        write(key, value)


def normal(value: str) -> str:
    """Values compare equal whatever blanks the kernel puts between their parts."""
    return " ".join(value.split())


def key_of(name: str) -> str:
    """The path of a sysctl as people write it: dots for slashes, and slashes for dots inside a part (sysctl(8))."""
    if "/" in name and "." not in name.split("/", 1)[0]:
        return name
    return name.translate(str.maketrans("./", "/."))
