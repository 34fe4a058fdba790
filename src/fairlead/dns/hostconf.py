"""The host's resolv.conf: which servers it names, and when it changes."""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from fairlead.dns.loop import Loop

# resolv.conf(5): MAXNS.
_MOST = 3
_PORT = 53
# Modified, attributes (a bind mount or chmod), written, moved in, created, deleted.
_EVENTS = 0x002 | 0x004 | 0x008 | 0x080 | 0x100 | 0x200
# What inotify does not see (another file mounted over this one) is seen this many seconds later.
_BEAT = 10.0


class Upstream(NamedTuple):
    """An upstream server: address family and socket address."""

    family: int
    address: tuple[str, int] | tuple[str, int, int, int]


def parse_server(text: str) -> Upstream | None:
    """``address``, ``address#port`` or ``fe80::1%eth0``; None where it is none of them."""
    bare, _, port_text = text.partition("#")
    bare, _, zone = bare.partition("%")
    if not (port_text or str(_PORT)).isdecimal():
        return None
    port = int(port_text or _PORT)
    if not 0 < port < 1 << 16:
        return None
    try:
        if ":" not in bare:
            socket.inet_pton(socket.AF_INET, bare)
            return Upstream(socket.AF_INET, (bare, port))
        socket.inet_pton(socket.AF_INET6, bare)
        return Upstream(socket.AF_INET6, (bare, port, 0, socket.if_nametoindex(zone) if zone else 0))
    except (OSError, ValueError):
        return None


def parse_servers(texts: Iterable[str]) -> tuple[Upstream, ...]:
    """The first three that can be understood, each once."""
    found = (server for text in texts if (server := parse_server(text)) is not None)
    return tuple(dict.fromkeys(found))[:_MOST]


def nameservers(resolv_conf: str) -> Iterator[str]:
    """The addresses behind ``nameserver`` lines."""
    for line in resolv_conf.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            yield words[1]


class HostConf:
    """Calls ``changed`` with the servers of ``path`` at once, and then whenever they are others."""

    def __init__(self, loop: Loop, path: str, changed: Callable[[tuple[Upstream, ...]], None]) -> None:
        self._path, self._changed, self._loop = path, changed, loop
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._watches: dict[str, int] = {}
        self._servers: tuple[Upstream, ...] | None = None
        if self._fd >= 0:
            loop.watch(self._fd, self._ready)
        self._beat()

    def _beat(self) -> None:
        self._look()
        self._loop.later(_BEAT, self._beat)

    def _ready(self, _events: int) -> None:
        try:
            os.read(self._fd, 65536)
        except BlockingIOError:
            return
        self._look()

    def _look(self) -> None:
        # First the watches, then the file: a change between the two is then seen as an event.
        self._watch_folders()
        try:
            with open(self._path, encoding="utf-8", errors="replace") as file:
                servers = parse_servers(nameservers(file.read()))
        except OSError:
            servers = ()
        if servers != self._servers:
            self._servers = servers
            self._changed(servers)

    def _watch_folders(self) -> None:
        """Folders, for a file that is replaced by rename, or is a link into /run that points elsewhere later.

        And the file, which may be mounted here from a folder of which nothing is seen.
        """
        if self._fd < 0:
            return
        wanted = set(_folders(self._path))
        for folder in self._watches.keys() - wanted:
            self._libc.inotify_rm_watch(self._fd, self._watches.pop(folder))
        for folder in wanted:
            # Again for one that is watched: the folder itself may have been replaced. The same one keeps its number.
            number = self._libc.inotify_add_watch(self._fd, os.fsencode(folder), _EVENTS)
            if number >= 0:
                self._watches[folder] = number


def _folders(path: str) -> Iterator[str]:
    """The folder of the file and of every link on the way to it, and the file."""
    for _ in range(8):
        folder = os.path.realpath(os.path.dirname(path))
        yield folder
        try:
            path = os.path.join(folder, os.readlink(os.path.join(folder, os.path.basename(path))))
        except OSError:
            break
    yield path
