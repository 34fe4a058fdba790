"""What the daemon tells the resolver process: who sees which names, who bears them, which ports are held."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from socket import socket


class View(NamedTuple):
    """What one sandbox may resolve.

    ``networks`` are network ids in gateway order; their names answer first. ``aliases`` are --link names and the
    addresses they stand for. ``upstreams`` are asked about the rest, () meaning the host's resolv.conf followed live;
    each is an address, optionally with ``#port``. ``from_sandbox``: questions leave from the container's own namespace
    (--dns), else from the host's. ``forward`` False: no question leaves at all. ``ndots_set``: the user chose ndots,
    so a single label unknown here is for the search list and not for the upstreams (Docker's rule).
    """

    networks: tuple[str, ...] = ()
    aliases: Mapping[str, tuple[str, ...]] = {}
    upstreams: tuple[str, ...] = ()
    from_sandbox: bool = False
    forward: bool = True
    ndots_set: bool = False


class NamedPort(NamedTuple):
    """A port that SRV questions can find: ``_http._tcp.web`` asks for NamedPort("http", "tcp", 80) of web."""

    name: str
    protocol: str
    port: int


class EndpointNames(NamedTuple):
    """The names and addresses of one container on one network; the first name is what PTR answers."""

    id: str
    container: str
    names: tuple[str, ...]
    addresses: tuple[str, ...]
    ports: tuple[NamedPort, ...] = ()


class Lesson(NamedTuple):
    """A name, or ``*.`` and the end of many; its addresses go into the firewall's sets ``<stem>4`` and ``<stem>6``."""

    pattern: str
    stem: str


class PortName(NamedTuple):
    """A held host port without its socket; ``target`` is where a relay passes its traffic, None where none does."""

    protocol: str
    ip: str
    port: int
    target: tuple[str, int] | None = None


class HeldPort(NamedTuple):
    """A bound host port to hold. With a ``target`` (ip, port) the process relays too: TCP sockets must listen."""

    protocol: str
    ip: str
    port: int
    socket: socket
    target: tuple[str, int] | None = None

    @property
    def name(self) -> PortName:
        return PortName(self.protocol, self.ip, self.port, self.target)


class Held(NamedTuple):
    """What the resolver process holds: sandboxes by id, network ids, and host ports by owner."""

    sandboxes: tuple[str, ...]
    networks: tuple[str, ...]
    ports: Mapping[str, tuple[PortName, ...]]


class Adopted(NamedTuple):
    """Duplicates of what the process holds, for a daemon that comes back: (UDP, TCP) by sandbox, ports by owner."""

    sandboxes: Mapping[str, tuple[socket, socket]]
    ports: Mapping[str, tuple[PortName, ...]]
