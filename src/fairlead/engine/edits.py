"""Changing networks, and containers' ends on them, while they are in use: nothing is made anew, no connection ends.

The record changes first; what the kernel held for the former one becomes what it should hold for the new one. What
fails half-way is brought back the same way.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fairlead import ids
from fairlead.errors import EngineError, Forbidden, InvalidArgument, NotFound, Unavailable
from fairlead.model.container import Container
from fairlead.model.endpoint import EndpointSpec
from fairlead.model.network import DNS, Network, NetworkSpec, Subnet
from fairlead.model.requests import EndpointUpdate, NetworkUpdate
from fairlead.net import edits, shaping, validate
from fairlead.net.drivers import driver_named, shim
from fairlead.net.drivers.bridge import choose_mtu
from fairlead.net.drivers.options import MTU
from fairlead.net.plan import plan

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

_AT_ONCE = 25  # containers whose links are changed before others get their turn


class Edits:
    """Verbs on networks that exist."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # -- networks ---------------------------------------------------------------------------------------------------

    async def update(self, ref: str, update: NetworkUpdate) -> tuple[Network, Sequence[str]]:
        """The network as it is now, and warnings; raises with everything as it was."""
        networks = self._engine.networks
        identifier = networks.find(ref).id
        async with self._engine.locks[identifier]:
            before = networks.find(identifier)
            _check_may_change(before)
            await networks.check_shape(edits.edited(before.spec, update))
            async with self._held(before) if edits.reaches_endpoints(before, update) else contextlib.nullcontext():
                before = networks.find(identifier)  # nothing is waited for between here and its record
                after, warnings = self._decide(before, update)
                if after != before:
                    await self._make_so(before, after)
                    networks.tell(after, "update")
        return after, warnings

    @contextlib.asynccontextmanager
    async def _held(self, network: Network) -> AsyncIterator[None]:
        """The locks of all containers that are on the network, or ask for it by name."""
        async with contextlib.AsyncExitStack() as held:
            known: set[str] = set()
            while fresh := {container.id for container in self._users(network)} - known:
                for identifier in sorted(fresh):
                    await held.enter_async_context(self._engine.locks[identifier])
                known |= fresh
            yield

    def _users(self, network: Network) -> Iterator[Container]:
        on_it = self._engine.index.endpoints(network.id)
        return (c for c in self._engine.store.containers if c.id in on_it or network.name in c.spec.networks)

    def _decide(self, before: Network, update: NetworkUpdate) -> tuple[Network, Sequence[str]]:
        networks = self._engine.networks
        spec = edits.edited(before.spec, update)
        if spec.name != before.name:
            ids.check_network_name(spec.name)
            networks.check_name_free(spec.name)
        validate.check_network(replace(spec, ipam=update.add_subnets))
        if {*update.options, *update.remove_options} - {DNS} and not spec.config_only:
            driver_named(spec.driver).check(spec, networks.facts_for(spec))
        attached = networks.view(before).endpoints if edits.reaches_endpoints(before, update) else ()
        subnets, warnings = self._added(before, update)
        stay = edits.left(before, update.remove_subnets, attached)
        host = [address.ip for address in networks.host_facts().addresses]
        subnets = shim.complete(spec, (*stay, *subnets), (*host, *self._engine.index.used(before.id)))
        mtu = choose_mtu(spec, networks.world()) if {MTU} & {*update.options, *update.remove_options} else before.mtu
        after = replace(before, spec=spec, subnets=tuple(subnets), mtu=mtu)
        edits.check_subnets(before, after)
        edits.check_ways(before, after, attached)
        if edits.reaches_endpoints(before, update):
            self._check_shapes(before, after)
        return after, warnings

    def _check_shapes(self, before: Network, after: Network) -> None:
        """Whether rates and delays can be, also beside those of the containers' own."""
        shaping.parse_shape(after.spec.options)
        for container in self._users(before):
            if (spec := container.spec.networks.get(before.name)) is not None:
                shaping.check_endpoint(spec.options, after.spec.options)

    def _added(self, network: Network, update: NetworkUpdate) -> tuple[Sequence[Subnet], Sequence[str]]:
        """The new subnets: none that another network has, nor this one, unless it is just giving it up."""
        if not update.add_subnets and not update.remove_subnets:
            return (), ()
        if network.spec.config_only or self._engine.outside.of(network.spec):
            raise InvalidArgument(f"network {network.name}: its subnets are not this engine's to change")
        versions = {config.subnet.version for config in update.add_subnets if config.subnet is not None}
        spec = replace(network.spec, ipam=update.add_subnets, enable_ipv4=4 in versions, enable_ipv6=6 in versions)
        taken = [
            subnet.prefix
            for other in self._engine.store.networks
            for subnet in other.subnets
            if other.id != network.id or subnet.prefix not in update.remove_subnets
        ]
        facts = self._engine.networks.facts_for(spec)
        return self._engine.networks.choose_subnets(spec, taken, facts) if versions else ((), ())

    async def _make_so(self, before: Network, after: Network) -> None:
        """Record, then kernel, then names; on failure all of it as before."""
        containers = [c for c in self._users(before) if c.endpoints] if edits.concerns_endpoints(before, after) else []
        with contextlib.ExitStack() as moving:
            for container in containers:
                moving.enter_context(self._engine.reconciler.transition(container.id))
            moved = False
            try:
                await self._move(before, after, containers)
                moved = True
            finally:
                if not moved:
                    self._move_back(before, after, containers)
        with contextlib.suppress(Unavailable):  # it is noted, and told when the resolver process is back
            await self._tell_resolver(before, after)

    async def _move(self, before: Network, after: Network, containers: Sequence[Container]) -> None:
        networks, sandboxes = self._engine.networks, self._engine.sandboxes
        have = networks.bare_facts(before) | networks.shared_facts()
        self._record(before, after)
        want = networks.bare_facts(after) | networks.shared_facts()
        self._engine.reconciler.apply(plan(have, want), want)
        for start in range(0, len(containers), _AT_ONCE):
            some = containers[start : start + _AT_ONCE]
            endpoints = [endpoint for container in some for endpoint in container.endpoints]
            wants = sandboxes.facts(endpoints)
            self._engine.reconciler.apply(plan(sandboxes.facts(endpoints, before), wants), wants)
            await asyncio.sleep(0)

    def _move_back(self, before: Network, after: Network, containers: Iterable[Container]) -> None:
        networks, sandboxes = self._engine.networks, self._engine.sandboxes
        endpoints = [endpoint for container in containers for endpoint in container.endpoints]
        have = networks.bare_facts(after) | networks.shared_facts() | sandboxes.facts(endpoints, after)
        self._record(after, before)
        want = networks.bare_facts(before) | networks.shared_facts() | sandboxes.facts(endpoints)
        with contextlib.suppress(EngineError):  # what does not go now, the reconciler finds
            self._engine.kernel.apply(plan(have, want))

    def _record(self, before: Network, after: Network) -> None:
        """The network, and whatever knows it by its name."""
        with self._engine.store.together():
            self._engine.networks.supersede(after)
            if after.name == before.name:
                return
            for container in self._engine.store.containers:
                if before.name in (container.host.network_mode, *container.spec.networks):
                    self._engine.index.save(edits.renamed(container, before.name, after.name))
            for network in self._engine.store.networks:
                if network.spec.config_from == before.name:
                    self._engine.networks.supersede(_lent_by(network, after.name))

    async def _tell_resolver(self, before: Network, after: Network) -> None:
        sandboxes = self._engine.sandboxes
        if after.name != before.name:
            await sandboxes.announce_network(after)
        if after.spec.options.get(DNS) != before.spec.options.get(DNS):
            await sandboxes.refresh_views(container for container in self._users(after) if container.endpoints)

    # -- containers on them -----------------------------------------------------------------------------------------

    async def update_endpoint(self, ref: str, container_ref: str, update: EndpointUpdate) -> EndpointSpec:
        """How the container is on the network now."""
        network = self._engine.networks.find(ref)
        container = self._engine.index.find(container_ref)
        async with self._engine.locks[container.id]:
            container = self._engine.index.find(container.id)
            before = self._engine.sandboxes.endpoint_spec(container, network)
            after = _edited(before, update, container.name)
            validate.check_endpoint(after, network)
            if after != before:
                await self._engine.sandboxes.edit(container, network, after)
                self._engine.networks.tell(network, "update", container=container.id)
            return after


def _check_may_change(network: Network) -> None:
    if network.predefined:
        raise Forbidden(f"{network.name} is a pre-defined network and cannot be updated")


def _lent_by(network: Network, name: str) -> Network:
    spec: NetworkSpec = replace(network.spec, config_from=name)
    return replace(network, spec=spec)


def _edited(spec: EndpointSpec, update: EndpointUpdate, name: str) -> EndpointSpec:
    aliases = spec.aliases if update.aliases is None else update.aliases
    for alias in update.remove_aliases:
        if alias not in aliases:
            raise NotFound(f"container {name} has no alias {alias} there")
    kept = [alias for alias in aliases if alias not in update.remove_aliases]
    fresh = [ids.check_alias(alias) for alias in (*(update.aliases or ()), *update.add_aliases)]
    priority = spec.gw_priority if update.gw_priority is None else update.gw_priority
    return replace(spec, aliases=tuple(dict.fromkeys((*kept, *fresh))), gw_priority=priority)
