"""What the resolver process should hold, kept by the daemon too: a process that died is made good from it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from fairlead.dns import protocol
from fairlead.dns.message import DnsError
from fairlead.dns.protocol import Json
from fairlead.dns.view import EndpointNames, Lesson, PortName, View

# Descriptors in one operation are as many as the kernel takes in one message.
_PORTS_AT_ONCE = protocol.MOST_FDS


class Operation(NamedTuple):
    """One operation, and the descriptors that go with it."""

    op: Json
    fds: tuple[int, ...] = ()


class MirroredSandbox(NamedTuple):
    """Descriptors of its UDP socket, its TCP socket and its namespace, and what it sees."""

    fds: tuple[int, int, int]
    view: View


class _Network(NamedTuple):
    name: str
    endpoints: dict[str, EndpointNames]


class Mirror:
    """Each change is noted here and comes back as the operation that tells the process.

    Descriptors handed in become the mirror's; those in an operation stay its own.
    """

    def __init__(self) -> None:
        self._sandboxes: dict[str, MirroredSandbox] = {}
        self._networks: dict[str, _Network] = {}
        self._ports: dict[str, list[tuple[PortName, int]]] = {}
        self._lessons: dict[str, tuple[Lesson, ...]] = {}

    @property
    def sandboxes(self) -> Mapping[str, MirroredSandbox]:
        return self._sandboxes

    @property
    def networks(self) -> tuple[str, ...]:
        return tuple(self._networks)

    @property
    def ports(self) -> Mapping[str, Sequence[tuple[PortName, int]]]:
        return self._ports

    def add_sandbox(self, sandbox_id: str, fds: tuple[int, int, int], view: View) -> Operation:
        self._forget_sandbox(sandbox_id)
        self._sandboxes[sandbox_id] = MirroredSandbox(fds, view)
        return self._sandbox(sandbox_id)

    def set_view(self, sandbox_id: str, view: View) -> Operation:
        """Raises DnsError where there is no such sandbox."""
        if sandbox_id not in self._sandboxes:
            raise DnsError(f"no sandbox {sandbox_id}")
        self._sandboxes[sandbox_id] = self._sandboxes[sandbox_id]._replace(view=view)
        return Operation({"op": "view", "id": sandbox_id, "view": protocol.view_to_json(view)})

    def remove_sandbox(self, sandbox_id: str) -> Operation:
        self._forget_sandbox(sandbox_id)
        return Operation({"op": "drop_sandbox", "id": sandbox_id})

    def set_network(self, network: str, name: str, endpoints: Sequence[EndpointNames]) -> Operation:
        self._networks[network] = _Network(name, {endpoint.id: endpoint for endpoint in endpoints})
        return self._network(network)

    def remove_network(self, network: str) -> Operation:
        self._networks.pop(network, None)
        self._lessons.pop(network, None)
        return Operation({"op": "drop_network", "network": network})

    def set_endpoint(self, network: str, endpoint: EndpointNames) -> Operation:
        """Raises DnsError where there is no such network."""
        if network not in self._networks:
            raise DnsError(f"no network {network}")
        self._networks[network].endpoints[endpoint.id] = endpoint
        return Operation({"op": "endpoint", "network": network, "endpoint": protocol.endpoint_to_json(endpoint)})

    def set_lessons(self, network: str, lessons: Sequence[Lesson]) -> Operation:
        self._lessons.pop(network, None)
        if lessons:
            self._lessons[network] = tuple(lessons)
        return Operation(protocol.lessons_to_json(network, lessons))

    def remove_endpoint(self, network: str, endpoint_id: str) -> Operation:
        if network in self._networks:
            self._networks[network].endpoints.pop(endpoint_id, None)
        return Operation({"op": "drop_endpoint", "network": network, "id": endpoint_id})

    def hold(self, owner: str, ports: Sequence[tuple[PortName, int]]) -> list[Operation]:
        """Beside what the owner has; a port it has already is replaced."""
        fresh = {name[:3] for name, _fd in ports}
        kept = []
        for name, fd in self._ports.get(owner, []):
            if name[:3] in fresh:
                os.close(fd)
            else:
                kept.append((name, fd))
        self._ports[owner] = [*kept, *ports]
        return list(_holding(owner, ports))

    def release(self, owner: str) -> Operation:
        for _name, fd in self._ports.pop(owner, []):
            os.close(fd)
        return Operation({"op": "release", "owner": owner})

    def release_some(self, owner: str, gone: Sequence[PortName]) -> Operation:
        keys = {name[:3] for name in gone}
        kept = []
        for name, fd in self._ports.pop(owner, []):
            if name[:3] in keys:
                os.close(fd)
            else:
                kept.append((name, fd))
        if kept:
            self._ports[owner] = kept
        return Operation({"op": "release_some", "owner": owner, "ports": protocol.ports_to_json(gone)})

    def replay(self) -> Iterator[Operation]:
        """All of it, for a process that knows nothing: names first, so that no question finds a half-known world."""
        for network in self._networks:
            yield self._network(network)
        for network, lessons in self._lessons.items():
            yield Operation(protocol.lessons_to_json(network, lessons))
        for sandbox_id in self._sandboxes:
            yield self._sandbox(sandbox_id)
        for owner, ports in self._ports.items():
            yield from _holding(owner, ports)

    def close(self) -> None:
        """Gives back every descriptor; the process keeps its own."""
        for sandbox_id in list(self._sandboxes):
            self._forget_sandbox(sandbox_id)
        for owner in list(self._ports):
            self.release(owner)
        self._networks.clear()
        self._lessons.clear()

    def _forget_sandbox(self, sandbox_id: str) -> None:
        sandbox = self._sandboxes.pop(sandbox_id, None)
        if sandbox is not None:
            for fd in sandbox.fds:
                os.close(fd)

    def _sandbox(self, sandbox_id: str) -> Operation:
        fds, view = self._sandboxes[sandbox_id]
        return Operation({"op": "sandbox", "id": sandbox_id, "view": protocol.view_to_json(view)}, fds)

    def _network(self, network: str) -> Operation:
        name, endpoints = self._networks[network]
        return Operation(protocol.network_to_json(network, name, endpoints.values()))


def _holding(owner: str, ports: Sequence[tuple[PortName, int]]) -> Iterator[Operation]:
    for start in range(0, len(ports), _PORTS_AT_ONCE):
        part = ports[start : start + _PORTS_AT_ONCE]
        names = protocol.ports_to_json([name for name, _fd in part])
        yield Operation({"op": "hold", "owner": owner, "ports": names}, tuple(fd for _name, fd in part))
