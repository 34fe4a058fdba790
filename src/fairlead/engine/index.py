"""What follows from the records, kept at hand: who is on which network, which addresses, ports and names are in use.

Derived from the store at start and from every saved container after that; never stored.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping

from fairlead.errors import Conflict, InvalidArgument, NotFound
from fairlead.ids import ContainerId, NetworkId
from fairlead.model.address import Ip
from fairlead.model.container import Container
from fairlead.model.endpoint import Endpoint
from fairlead.model.port import Protocol
from fairlead.store import Store

# A freed address rests this long (seconds), so that neighbours' ARP entries and clients' DNS answers for it expire.
ADDRESS_REST = 60.0

HostPort = tuple[Protocol, int]


class Index:
    """Lookups over the records of containers; ``save`` and ``delete`` are the only ways to change a container."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._by_name: dict[str, ContainerId] = {}
        self._endpoints: dict[NetworkId, dict[ContainerId, Endpoint]] = defaultdict(dict)
        self._addresses: dict[NetworkId, dict[Ip, ContainerId]] = defaultdict(dict)
        self._freed: dict[NetworkId, dict[Ip, float]] = defaultdict(dict)
        self._ports: dict[HostPort, dict[Ip, ContainerId]] = defaultdict(dict)
        for container in store.containers:
            self._enter(container)

    def save(self, container: Container) -> Container:
        """Record first: what is derived follows."""
        before = self._store.containers.get(container.id)
        self._store.containers.save(container)
        if before is not None and (before.endpoints is not container.endpoints or before.name != container.name):
            self._leave(before, keeping=container.endpoints)
        if before is None or before.endpoints is not container.endpoints or before.name != container.name:
            self._enter(container)
        return container

    def delete(self, container: Container) -> None:
        self._store.containers.delete(container.id)
        self._leave(container, keeping=())

    def _enter(self, container: Container) -> None:
        self._by_name[container.name] = container.id
        for endpoint in container.endpoints:
            self._endpoints[endpoint.network][container.id] = endpoint
            for interface in endpoint.addresses:
                self._addresses[endpoint.network][interface.ip] = container.id
            for binding in endpoint.published:
                self._ports[binding.container.protocol, binding.host_port][binding.host_ip] = container.id

    def _leave(self, container: Container, keeping: Iterable[Endpoint]) -> None:
        if self._by_name.get(container.name) == container.id:
            del self._by_name[container.name]
        kept = {(endpoint.network, interface.ip) for endpoint in keeping for interface in endpoint.addresses}
        now = time.monotonic()
        for endpoint in container.endpoints:
            self._endpoints[endpoint.network].pop(container.id, None)
            for interface in endpoint.addresses:
                self._addresses[endpoint.network].pop(interface.ip, None)
                if (endpoint.network, interface.ip) not in kept:
                    self._freed[endpoint.network][interface.ip] = now
            for binding in endpoint.published:
                owners = self._ports[binding.container.protocol, binding.host_port]
                owners.pop(binding.host_ip, None)
                if not owners:
                    del self._ports[binding.container.protocol, binding.host_port]

    def forget_network(self, network: NetworkId) -> None:
        """After a network is removed: its addresses rest no more."""
        for table in (self._endpoints, self._addresses, self._freed):
            table.pop(network, None)

    def endpoints(self, network: NetworkId) -> Mapping[ContainerId, Endpoint]:
        return self._endpoints.get(network, {})

    def used(self, network: NetworkId) -> Mapping[Ip, ContainerId]:
        return self._addresses.get(network, {})

    def resting(self, network: NetworkId) -> Mapping[Ip, float]:
        """Addresses freed less than ADDRESS_REST ago, the longest rested first."""
        freed = self._freed.get(network)
        if not freed:
            return {}
        horizon = time.monotonic() - ADDRESS_REST
        for address in [address for address, at in freed.items() if at < horizon]:
            del freed[address]
        return freed

    def ports_in_use(self, protocol: Protocol, port: int) -> Mapping[Ip, ContainerId]:
        return self._ports.get((protocol, port), {})

    def by_name(self, name: str) -> Container | None:
        found = self._by_name.get(name)
        return None if found is None else self._store.containers.get(found)

    def get(self, reference: str) -> Container | None:
        """By full id, name, or unique prefix of the id; raises InvalidArgument when the prefix is ambiguous."""
        containers = self._store.containers
        if (exact := containers.get(reference)) is not None:
            return exact
        if (named := self.by_name(reference.removeprefix("/"))) is not None:
            return named
        matches = [key for key in containers.keys() if reference and key.startswith(reference)]  # noqa: SIM118 (a tuple of keys)
        if len(matches) > 1:
            raise InvalidArgument(f"multiple IDs found with provided prefix: {reference}")
        return containers.get(matches[0]) if matches else None

    def find(self, reference: str) -> Container:
        if not reference or (found := self.get(reference)) is None:
            raise NotFound(f"No such container: {reference}")
        return found

    def check_name_free(self, name: str) -> None:
        if (owner := self._by_name.get(name)) is not None:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container "{owner}". '
                "You have to remove (or rename) that container to be able to reuse that name.",
            )
