"""Endpoints of networks in which others have a say: asked of them, kept in the record answer by answer, given back."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from fairlead.errors import Conflict, EngineError, PluginRefused
from fairlead.ids import EndpointId
from fairlead.kernel.netns import Namespace
from fairlead.model.container import Container
from fairlead.model.endpoint import Endpoint, EndpointSpec
from fairlead.model.network import Network

if TYPE_CHECKING:
    from fairlead.engine.core import Engine
    from fairlead.engine.outside import Outside

log = logging.getLogger(__name__)


class Joining:
    """Speaks with the parties about a container's endpoints. The container's lock is held.

    Each answer is saved before the next question: whatever happens then, the record says who must be told of the end.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def concerned(self, endpoints: Iterable[Endpoint]) -> tuple[EndpointId, ...]:
        """Those of the endpoints about which somebody is asked: mostly none."""
        return tuple(endpoint.id for endpoint in endpoints if self._parties(endpoint))

    def _parties(self, endpoint: Endpoint) -> tuple[Outside, ...]:
        network = self._engine.networks.get(endpoint.network)
        return () if network is None else self._engine.outside.of(network.spec)

    async def introduce(self, container: Container, chosen: Sequence[EndpointId]) -> Container:
        """The recorded endpoints are made known to their parties, and completed."""
        for network in {network.id: network for network, _, _ in self._turns(container, chosen)}.values():
            await self._engine.debts.settle(network.spec)
        for network, endpoint, party in self._turns(container, chosen):
            spec = container.spec.networks.get(network.name) or EndpointSpec()
            current = _find(container, endpoint)
            container = self._keep(container, await party.create_endpoint(network, current, spec, container))
        return container

    async def join(self, container: Container, chosen: Sequence[EndpointId], namespace: Namespace) -> Container:
        """The sandbox is open and empty."""
        for network, endpoint, party in self._turns(container, chosen):
            current = _find(container, endpoint)
            container = self._keep(container, await party.join(network, current, container, namespace))
        return container

    async def linked(self, container: Container, chosen: Sequence[EndpointId], namespace: Namespace) -> Container:
        """The engine's links are in the sandbox."""
        for network, endpoint, party in self._turns(container, chosen):
            current = _find(container, endpoint)
            container = self._keep(container, await party.linked(network, current, container, namespace))
        return container

    async def rerouted(self, container: Container) -> Container:
        """Who carries the default routes is recorded."""
        for network, endpoint, party in list(self._turns(container, self.concerned(container.endpoints))):
            current = _find(container, endpoint)
            container = self._keep(container, await party.rerouted(network, current, container))
        return container

    def _turns(
        self, container: Container, chosen: Sequence[EndpointId]
    ) -> Iterator[tuple[Network, EndpointId, Outside]]:
        for endpoint in container.endpoints:
            network = self._engine.networks.get(endpoint.network)
            if endpoint.id in chosen and network is not None:
                for party in self._engine.outside.of(network.spec):
                    yield network, endpoint.id, party

    def _keep(self, container: Container, endpoint: Endpoint) -> Container:
        """The endpoint as it is known now, in the record."""
        before = _find(container, endpoint.id)
        if before == endpoint:
            return container
        self._check_unused(container, endpoint)
        endpoints = tuple(endpoint if each is before else each for each in container.endpoints)
        return self._engine.index.save(replace(container, endpoints=endpoints))

    def _check_unused(self, container: Container, endpoint: Endpoint) -> None:
        used = self._engine.index.used(endpoint.network)
        for address in endpoint.addresses:
            owner = used.get(address.ip, container.id)
            if owner != container.id:
                name = self._engine.index.find(owner).name
                raise Conflict(f"the address {address.ip} that {container.name} was given is that of {name} already")

    async def leave(self, endpoints: Iterable[Endpoint], namespace: Namespace | None) -> None:
        """Before the links go. Never raises: what must end, ends."""
        for endpoint, network, party in self._endings(endpoints):
            await self._end(network, endpoint, partial(party.leave, network, endpoint, namespace))

    async def forget(self, endpoints: Iterable[Endpoint]) -> None:
        """After the links went. Never raises."""
        for endpoint, network, party in self._endings(endpoints):
            await self._end(network, endpoint, partial(party.remove_endpoint, network, endpoint))

    async def _end(self, network: Network, endpoint: Endpoint, tell: Callable[[], Awaitable[None]]) -> None:
        """Where a party was away a moment ago, or the daemon starts or ends, nobody waits for it: it is told later."""
        debts = self._engine.debts
        if debts.deferring or debts.is_owed(endpoint):
            debts.note(network, endpoint)
            return
        try:
            await tell()
        except PluginRefused as error:
            log.info("an endpoint of network %s: %s", network.name, error)  # mostly that it knows of none
        except (EngineError, OSError) as error:
            log.warning("an endpoint of network %s: %s", network.name, error)
            self._engine.debts.owe(network, endpoint)

    def _endings(self, endpoints: Iterable[Endpoint]) -> Iterator[tuple[Endpoint, Network, Outside]]:
        for endpoint in endpoints:
            network = self._engine.networks.get(endpoint.network)
            if network is not None:
                for party in reversed(self._engine.outside.of(network.spec)):
                    yield endpoint, network, party

    async def resume(self, spaces: dict[str, Namespace]) -> None:
        """A daemon's start: every party is told of its networks, and of who runs on them."""
        for network in self._engine.store.networks:
            mine = self._engine.index.endpoints(network.id)
            running = [(endpoint, spaces[owner]) for owner, endpoint in mine.items() if owner in spaces]
            for party in self._engine.outside.of(network.spec):
                try:
                    await party.resume(network, running)
                except (EngineError, OSError) as error:
                    log.warning("resuming network %s: %s", network.name, error)


def _find(container: Container, endpoint: EndpointId) -> Endpoint:
    return next(each for each in container.endpoints if each.id == endpoint)
