"""``python -m fairlead.dns --socket PATH [--resolv-conf FILE] [--log FILE]``: the resolver process.

It lives in a session of its own, serves until it is told to retire, and needs nobody: a daemon that comes back finds it
as it was.
"""

from __future__ import annotations

import fcntl
import gc
import os
import resource
import signal
import socket
import sys
from contextlib import suppress

from fairlead.dns.door import Door, Operations
from fairlead.dns.hostconf import HostConf
from fairlead.dns.loop import Loop
from fairlead.dns.ports import Ports
from fairlead.dns.server import Server

_USAGE = "usage: python -m fairlead.dns --socket PATH [--resolv-conf FILE] [--log FILE]"
# Seconds after which a retired process looks whether it is still needed: first when its last answer is out, then so.
_FAREWELL = 0.02
_LINGER = 0.5


class _Process:
    """The parts, and their end."""

    def __init__(self, path: str, resolv_conf: str, lock: int) -> None:
        self._lock = lock
        self._loop = Loop()
        self._server = Server(self._loop)
        self._ports = Ports(self._loop)
        operations = Operations(self._server, self._ports, self._retire)
        self._door: Door | None = Door(self._loop, _listen(path), operations)
        HostConf(self._loop, resolv_conf, self._server.set_host_servers)

    def run(self) -> None:
        # What is there now stays for good: collections need not look at it.
        gc.freeze()
        self._loop.run()

    def _retire(self) -> None:
        """A successor has the same sockets: takes nothing new, finishes what it has, and ends."""
        if self._door is None:
            return
        self._door.close()
        self._door = None
        os.close(self._lock)
        self._server.deafen()
        self._ports.deafen()
        self._loop.later(_FAREWELL, self._linger)

    def _linger(self) -> None:
        if self._server.busy or self._ports.counts()["relayed"]:
            self._loop.later(_LINGER, self._linger)
        else:
            self._loop.stop()


def _listen(path: str) -> socket.socket:
    """The control socket, for its owner only. Its folder may have any path: a socket's own is 107 bytes at most."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    folder = os.open(os.path.dirname(path) or ".", os.O_PATH | os.O_DIRECTORY)
    try:
        short = f"/proc/self/fd/{folder}/{os.path.basename(path)}"
        with suppress(FileNotFoundError):
            os.unlink(short)
        before = os.umask(0o177)
        listening.bind(short)
        os.umask(before)
    finally:
        os.close(folder)
    listening.listen(64)
    return listening


def _only_one(path: str) -> int | None:
    """The lock on serving this socket, which ends with the process; None while another process has it."""
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    return lock


def _options(arguments: list[str]) -> dict[str, str]:
    known = {"--socket": "", "--resolv-conf": "/etc/resolv.conf", "--log": ""}
    pairs = dict(zip(arguments[::2], arguments[1::2], strict=False))
    if len(arguments) % 2 or not pairs.keys() <= known.keys() or not pairs.get("--socket"):
        sys.exit(_USAGE)
    return known | pairs


def _detach(log: str) -> None:
    with suppress(PermissionError):
        os.setsid()
    # SIGHUP and SIGINT are for whoever sits at the terminal that the daemon was started from.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if log:
        fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        os.close(fd)
    with suppress(OSError), open("/proc/self/comm", "w", encoding="ascii") as comm:
        comm.write("fairlead-dns")


def _raise_limit() -> None:
    """Three descriptors a sandbox, one a port: as many as we are allowed to have."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        wanted = max(hard, 1 << 19) if hard != resource.RLIM_INFINITY else hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> None:
    options = _options(sys.argv[1:])
    lock = _only_one(options["--socket"])
    if lock is None:
        return
    _raise_limit()
    _detach(options["--log"])
    _Process(options["--socket"], options["--resolv-conf"], lock).run()


if __name__ == "__main__":
    main()
