"""Processes, held by descriptors or told from a later bearer of their number by the moment they started."""

from __future__ import annotations

import os
import signal
from contextlib import suppress


def start_time(pid: int) -> int | None:
    """Clock ticks after boot at which the process started; None when there is none."""
    fields = _status(pid)
    return int(fields[19]) if fields else None


def is_alive(pid: int, started: int | None = None) -> bool:
    """Whether that process (the one that started then, if given) runs: neither gone nor a zombie."""
    fields = _status(pid)
    return bool(fields) and fields[0] not in ("Z", "X") and started in (None, int(fields[19]))


def _status(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; [] when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            line = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return []
    # The command stands in brackets and may hold brackets and blanks itself.
    return line[line.rindex(")") + 2 :].split()


def open_pidfd(pid: int, started: int | None = None) -> int | None:
    """A descriptor of the process, readable when it ends; None when it is gone (or another has its number)."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    # Checked behind the opening: from here on the number cannot come to mean another.
    if is_alive(pid, started):
        return descriptor
    os.close(descriptor)
    return None


def send(pidfd: int, number: int) -> bool:
    """Signal the process; False when it is gone already."""
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    return True


def kill(pid: int, number: int, started: int | None = None) -> bool:
    """Signal a process by its number, never another that came to bear it; False when it is gone."""
    pidfd = open_pidfd(pid, started)
    if pidfd is None:
        return False
    try:
        return send(pidfd, number)
    finally:
        os.close(pidfd)


def pids() -> list[int]:
    """All processes of this pid namespace."""
    return sorted(int(name) for name in os.listdir("/proc") if name.isdecimal())


def children(pid: int) -> list[int]:
    """The children of a process, of all its threads."""
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                found += map(int, file.read().split())
    return sorted(found)


def namespace(pid: int, kind: str) -> str:
    """The path of a process's namespace (``net``, ``mnt``, ``pid``, ``ipc``, ``uts``) for others to join."""
    return f"/proc/{pid}/ns/{kind}"
