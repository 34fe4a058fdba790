"""Host ports held for the daemon, so that they stay claimed while it is away; a few are relayed."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping

from fairlead.dns.loop import Loop
from fairlead.dns.relay import Relay, open_relay
from fairlead.dns.view import PortName

_Key = tuple[str, str, int]


class _Port:
    """A held port: its socket, and its relay where it has one."""

    __slots__ = ("name", "relay", "socket")

    def __init__(self, name: PortName, sock: socket.socket, relay: Relay | None) -> None:
        self.name, self.socket, self.relay = name, sock, relay

    def close(self) -> None:
        if self.relay is not None:
            self.relay.close()
        self.socket.close()


class Ports:
    """Bound sockets by owner, and within an owner by protocol, address and port. They become ours."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._owners: dict[str, dict[_Key, _Port]] = {}

    @property
    def held(self) -> Mapping[str, tuple[PortName, ...]]:
        return {owner: tuple(port.name for port in ports.values()) for owner, ports in self._owners.items()}

    def counts(self) -> dict[str, int]:
        """``relayed`` connections would break if this process ended."""
        ports = [port for ports in self._owners.values() for port in ports.values()]
        return {"ports": len(ports), "relayed": sum(len(port.relay) for port in ports if port.relay is not None)}

    def hold(self, owner: str, name: PortName, sock: socket.socket) -> None:
        """Beside what the owner has; the same port once more takes the place of the former."""
        ports = self._owners.setdefault(owner, {})
        key = (name.protocol, name.ip, name.port)
        if key in ports:
            ports.pop(key).close()
        relay = open_relay(self._loop, name.protocol, sock, name.target) if name.target is not None else None
        ports[key] = _Port(name, sock, relay)

    def release(self, owner: str) -> None:
        for port in self._owners.pop(owner, {}).values():
            port.close()

    def release_some(self, owner: str, names: Iterable[PortName]) -> None:
        """Those of the owner's that have these protocols, addresses and ports."""
        ports = self._owners.get(owner, {})
        for name in names:
            if (port := ports.pop(name[:3], None)) is not None:
                port.close()
        if not ports:
            self._owners.pop(owner, None)

    def fds(self, owner: str, start: int, count: int) -> list[int]:
        """Descriptors of some of the owner's ports, in the order of ``held``."""
        ports = list(self._owners.get(owner, {}).values())[start : start + count]
        return [port.socket.fileno() for port in ports]

    def deafen(self) -> None:
        """Takes no more connections; those that are relayed go on."""
        for ports in self._owners.values():
            for port in ports.values():
                if port.relay is not None:
                    port.relay.deafen()
