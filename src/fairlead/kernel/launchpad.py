"""Where container processes are launched from: a mount namespace without what they must not hold or see.

A process keeps alive every mount its namespace was born with. So conmon and the runtime are born in a copy of the
host's in which the pins of /run/netns are gone (or a stopped container's network would live on in its neighbours),
and in which a hybrid host's cgroup2 tree is not mounted (crun 1.8 refuses such hosts, and needs only version 1 there).
"""

from __future__ import annotations

import os
import select
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO

from fairlead.errors import KernelError
from fairlead.ids import is_full_id
from fairlead.kernel import mounts, syscalls
from fairlead.kernel.netns import PINS
from fairlead.kernel.syscalls import CLONE_FS, CLONE_NEWNS, MNT_DETACH, MS_PRIVATE
from fairlead.kernel.threads import in_thread
from fairlead.settings import Settings

_SELF = "/proc/thread-self/ns/mnt"
_UNIFIED = "/sys/fs/cgroup/unified"

Stream = int | IO[bytes] | None


class Launchpad:
    """The mount namespace, held by a descriptor; made anew when the host's mounts changed, so that volumes follow.

    While it stands, ``exec_root`` is a private mount of itself: what is mounted below is not seen elsewhere.
    """

    def __init__(self, settings: Settings) -> None:
        os.makedirs(settings.exec_root, mode=0o711, exist_ok=True)
        self._exec_root = os.path.realpath(settings.exec_root)
        mounts.self_bind_private(self._exec_root)
        self._lock = threading.Lock()
        self._mountinfo = open("/proc/self/mountinfo", "rb")  # noqa: SIM115 (kept to be polled until close)
        self._changes = select.poll()
        self._changes.register(self._mountinfo, select.POLLPRI)
        self._seen = self._host_mounts()
        self._fd = in_thread(self._make)

    def close(self) -> None:
        """Let go; the private mount goes too, unless containers still live in it."""
        os.close(self._fd)
        self._mountinfo.close()
        if not self._in_use():
            mounts.unmount(self._exec_root)

    def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        cwd: str | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a program there. With ``prepare`` it gets a namespace of its own, and ``prepare`` runs in it first:

        what that mounts below exec_root exists only for the program and its descendants, and goes with the last.
        """
        with self._lock:
            self._follow_host()
            entry = os.dup(self._fd)

        def launch() -> subprocess.Popen[bytes]:
            syscalls.unshare(CLONE_FS)
            syscalls.setns(entry, CLONE_NEWNS)
            if prepare is not None:
                syscalls.unshare(CLONE_NEWNS)
                prepare()
            return subprocess.Popen(
                argv, env=env, pass_fds=pass_fds, stdin=stdin, stdout=stdout, stderr=stderr, cwd=cwd or "/"
            )

        try:
            return in_thread(launch)
        finally:
            os.close(entry)

    def _follow_host(self) -> None:
        """Make the namespace anew if the host's mounts are no longer those it was copied from.

        Where / is shared the kernel carries new mounts over by itself; where it is private nobody does.
        """
        if not self._changes.poll(0):
            return
        now = self._host_mounts()
        if now != self._seen:
            fresh = in_thread(self._make)
            os.close(self._fd)
            self._fd, self._seen = fresh, now

    def _host_mounts(self) -> list[bytes]:
        """The host's mounts but for our own pins, which come and go with every container."""
        pin = f" {PINS}/".encode()
        self._mountinfo.seek(0)
        return [line for line in self._mountinfo.read().splitlines() if pin not in line]

    def _make(self) -> int:
        try:
            syscalls.unshare(CLONE_NEWNS)
        except OSError as error:
            raise KernelError("make", "the launch pad's mount namespace", error.errno or 0) from error
        _let_go_of_pins()
        if os.path.ismount(_UNIFIED):
            # Unmounting propagates along the parent: the host keeps its own.
            syscalls.mount(None, os.path.dirname(_UNIFIED), None, MS_PRIVATE)
            syscalls.umount(_UNIFIED, MNT_DETACH)
        return os.open(_SELF, os.O_RDONLY | os.O_CLOEXEC)

    def _in_use(self) -> bool:
        if any(entry.target.startswith(self._exec_root + "/") for entry in mounts.entries()):
            return True
        with suppress(FileNotFoundError):
            return any(is_full_id(name) for name in os.listdir(self._exec_root))
        return False


def _let_go_of_pins() -> None:
    """Unmount every pin in this namespace only, and let no later one in.

    The pins go one by one, not /run/netns with all: that would need /run (or /) to be cut off from the host, and
    with it every volume below that is to propagate both ways.
    """
    here = mounts.entries()
    if not any(entry.target == PINS for entry in here):
        return
    syscalls.mount(None, PINS, None, MS_PRIVATE)
    for entry in here:
        if entry.target.startswith(PINS + "/"):
            with suppress(OSError):
                syscalls.umount(entry.target, MNT_DETACH)
