"""Verbs on networks: create, find, connect, disconnect, remove, prune."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_network
from itertools import product
from typing import TYPE_CHECKING

from fairlead import ids
from fairlead.engine import default_bridge
from fairlead.engine.outside.wayout import attached_name
from fairlead.errors import Conflict, EngineError, Forbidden, InvalidArgument, NotFound, PluginRefused, Unavailable
from fairlead.ids import NetworkId
from fairlead.kernel import sysctl
from fairlead.kernel.shaping import check_support
from fairlead.model.address import Prefix
from fairlead.model.container import Container
from fairlead.model.endpoint import EndpointSpec
from fairlead.model.host import HostFacts
from fairlead.model.network import PREDEFINED, Network, NetworkSpec, Subnet
from fairlead.model.requests import Filters
from fairlead.model.views import NetworkView
from fairlead.net import complete, ipam, judgement, policing, shaping, validate
from fairlead.net.drivers import driver_named, parents, shim
from fairlead.net.drivers.bridge import choose_mtu, is_judged
from fairlead.net.drivers.options import parse_options
from fairlead.net.plan import plan
from fairlead.net.state import Address, Link, Route, State, Step, Sysctl
from fairlead.net.world import World

if TYPE_CHECKING:
    from fairlead.engine.core import Engine
    from fairlead.engine.outside import Outside

log = logging.getLogger(__name__)

_FORWARDING = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding")


class Networks:
    """Verbs on networks, by id, name or unique prefix."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._bare: dict[NetworkId, State] = {}
        self._coming: dict[NetworkId, Network] = {}  # those that others are asked about at the moment

    # -- what is ----------------------------------------------------------------------------------------------------

    def host_facts(self) -> HostFacts:
        return self._engine.kernel.host_facts()

    def world(self) -> World:
        return World(settings=self._engine.settings, host=self.host_facts())

    def bare_facts(self, network: Network) -> State:
        """What the network itself wants on the host, without any endpoint."""
        facts = self._bare.get(network.id)
        if facts is None:
            wants = driver_named(network.driver).network_wants(network, self.world())
            facts = self._bare[network.id] = wants.union(policing.network_facts(network))
        return facts

    def supersede(self, network: Network) -> None:
        """The record of a network that changed takes the former one's place."""
        self._engine.store.networks.save(network)
        self._bare.pop(network.id, None)

    def shared_facts(self) -> State:
        """What networks want on the host in common: there as long as one of them is that wants it."""
        return frozenset().union(*(self._shared_by(network) for network in self._engine.store.networks))

    def _shared_by(self, network: Network) -> State:
        world = self.world()
        judged = network.driver == "bridge" and is_judged(network, world)
        return judgement.facts(ipv6=world.host.ipv6) if judged else frozenset()

    def get(self, identifier: NetworkId) -> Network | None:
        return self._engine.store.networks.get(identifier)

    def find(self, ref: str) -> Network:
        """By full id, then name, then unique prefix of the id."""
        networks = self._engine.store.networks
        if (exact := networks.get(ref)) is not None:
            return exact
        if ref == "default":
            ref = "bridge"
        named = [network for network in networks if network.name == ref]
        matches = named or [network for network in networks if ref and network.id.startswith(ref)]
        if len(matches) > 1:
            how = "name" if named else "ID prefix"
            raise InvalidArgument(f"network {ref} is ambiguous ({len(matches)} matches found on {how})")
        if not matches:
            raise NotFound(f"network {ref} not found")
        return matches[0]

    def of(self, container: Container) -> dict[str, Network]:
        """The networks a container is on, or asked to be on, by the name it used."""
        found = {}
        for name in container.spec.networks:
            with contextlib.suppress(NotFound, InvalidArgument):
                found[name] = self.find(name)
        return found

    def by_name(self, asked: Mapping[str, EndpointSpec]) -> dict[str, EndpointSpec]:
        """With the names of those networks that were asked for by id, or by a part of it."""
        named = {}
        for ref, spec in asked.items():
            name = ref
            with contextlib.suppress(NotFound, InvalidArgument):
                name = self.find(ref).name
            named[name] = spec
        return named

    def check_asked(self, asked: Mapping[str, EndpointSpec]) -> None:
        """Raises for what a container cannot have on those of its networks that are there."""
        for name, spec in asked.items():
            network = next((found for found in self._engine.store.networks if found.name == name), None)
            if network is None:
                continue
            try:
                validate.check_endpoint(spec, network)
            except InvalidArgument as error:
                raise InvalidArgument(f"invalid config for network {name}: {error}") from error

    async def set_default_bridge(self) -> None:
        """The network ``bridge`` as the daemon's flags say; where containers run on it, it stays as it is."""
        settings = self._engine.settings
        old = next((network for network in self._engine.store.networks if network.name == "bridge"), None)
        if settings.bridge == default_bridge.NONE:
            self._give_up_default_bridge(old)
            return
        name = settings.bridge or self._default_bridge_name(old)
        ours = {fact.address for fact in (self.bare_facts(old) if old is not None else ()) if isinstance(fact, Address)}
        there = self._engine.kernel.link_addresses(name) if settings.bridge else ()
        found = tuple(address for address in there if address not in ours)
        spec = default_bridge.spec(settings, name, found)
        if old is not None and (old.spec == spec or self._engine.index.endpoints(old.id)):
            return
        if settings.bridge and self._engine.kernel.link_kind(name) is None:
            raise InvalidArgument(f"--bridge {name}: there is no bridge {name} on this host: make it first")
        validate.check_network(spec)
        identifier = old.id if old is not None else NetworkId(ids.new_id())
        # Whoever's bridge it was that had this name: unless the administrator named it, it is ours now.
        network = replace(
            self._decide(identifier, spec, self.facts_for(spec))[0], adopted=bool(settings.bridge), found=found
        )
        self._give_up_default_bridge(old)
        await self.establish(network)

    def _give_up_default_bridge(self, old: Network | None) -> None:
        """Unless containers run on it."""
        if old is None or self._engine.index.endpoints(old.id):
            return
        self._engine.kernel.apply(plan(self.bare_facts(old), frozenset()))
        self._drop_record(old)

    def _default_bridge_name(self, old: Network | None) -> str:
        """docker0, as every script expects; a docker0 that is somebody else's stays theirs."""
        if old is not None and not old.adopted:
            return old.bridge
        if self._engine.kernel.link_kind("docker0") is None:
            return "docker0"
        ours = any(isinstance(fact, Link) and fact.name == "docker0" for fact in self._engine.kernel.observe_host())
        return "docker0" if ours else "fl0"

    async def inspect(self, ref: str) -> NetworkView:
        return self.view(self.find(ref))

    def view(self, network: Network) -> NetworkView:
        endpoints = self._engine.index.endpoints(network.id)
        containers = self._engine.store.containers
        used = self._engine.index.used(network.id)
        return NetworkView(
            network=network,
            endpoints=[
                (attached_name(network, c), endpoint)
                for key, endpoint in endpoints.items()
                if (c := containers.get(key))
            ],
            usage={subnet.prefix: ipam.usage(subnet, used) for subnet in network.subnets},
        )

    async def list(self, filters: Filters) -> Sequence[Network]:
        filters.check(("dangling", "driver", "id", "label", "name", "scope", "type"))
        dangling = filters.flag("dangling", default=False) if "dangling" in filters else None
        if odd := [kind for kind in filters.get("type") if kind not in ("builtin", "custom")]:
            raise InvalidArgument(f"invalid filter: 'type'='{odd[0]}'")
        found = []
        for network in self._engine.store.networks:
            spec = network.spec
            kind = "builtin" if network.predefined else "custom"
            wanted = (
                filters.exact("driver", spec.driver)
                and filters.search("id", network.id)
                and filters.labels("label", spec.labels)
                and filters.search("name", spec.name)
                and filters.exact("scope", spec.scope)
                and filters.exact("type", kind)
            )
            idle = not network.predefined and not self._engine.index.endpoints(network.id)
            if wanted and (dangling is None or dangling == idle):
                found.append(network)
        return found

    # -- making -----------------------------------------------------------------------------------------------------

    async def create(self, spec: NetworkSpec) -> tuple[Network, Sequence[str]]:
        """The network, really there in the kernel when this returns."""
        ids.check_network_name(spec.name)
        if spec.name in PREDEFINED:
            raise Forbidden(f"operation is not permitted on predefined {spec.name} network ")
        spec = self._complete(spec)
        self.check_name_free(spec.name)
        self._engine.outside.check(spec)
        if spec.driver in ("host", "null"):
            raise Forbidden(f'only one instance of "{spec.driver}" network is allowed')
        validate.check_network(spec)
        facts = self.facts_for(spec)
        if not spec.config_only:
            driver_named(spec.driver).check(spec, facts)
            await self.check_shape(spec)
        network, warnings = self._decide(ids.NetworkId(ids.new_id()), spec, facts)
        self._check_conflicts(network)
        if parties := self._engine.outside.of(spec):
            network = await self._establish_with(network, parties)
        else:
            await self.establish(network)
        self.tell(network, "create")
        return network, warnings

    async def check_shape(self, spec: NetworkSpec) -> None:
        """Not left to the first container: what this kernel lacks, it lacks from the start."""
        if probe := shaping.probe(spec.options):
            await self._engine.in_thread(check_support, probe)

    async def _establish_with(self, network: Network, parties: Sequence[Outside]) -> Network:
        """Like ``establish``, but others are asked first, and told of it when it fails."""
        self._coming[network.id] = network
        try:
            await self._engine.debts.settle(network.spec)
            for party in parties:
                self._engine.debts.note(network)
                network = self._coming[network.id] = await party.create_network(network)
                self._check_overlaps(network)
            self._check_conflicts(network)
            await self.establish(network)
        except BaseException:
            await self._engine.debts.tell(network.id)
            raise
        finally:
            del self._coming[network.id]
        self._engine.debts.strike(network)
        return network

    def is_coming(self, network: Network) -> bool:
        """Whether a verb is at it this moment."""
        return network.id in self._coming

    def _check_overlaps(self, network: Network) -> None:
        """What another party chose is compared with all that is there by now: the host has one way to a subnet."""
        for other in self._engine.store.networks if network.bridge else ():
            for mine, theirs in product(network.subnets, other.subnets):
                if ipam.overlap(mine.prefix, theirs.prefix):
                    raise Forbidden(
                        f"cannot create network {network.name}: its subnet {mine.prefix} overlaps {theirs.prefix} "
                        f"of network {other.name}"
                    )

    def facts_for(self, spec: NetworkSpec) -> HostFacts:
        """The host as it is now, and certainly so about the bridge that was asked for."""
        kernel = self._engine.kernel
        facts = replace(self.host_facts(), nameservers=kernel.nameservers())
        name = parse_options(spec).name
        if name and kernel.link_kind(name) not in (None, "bridge"):
            raise InvalidArgument(f"existing interface {name} is not a bridge: choose another name")
        asked = {each: kernel.host_link(each) for each in (*([name] if name else ()), *parents.names(spec))}
        there = {each: link for each, link in asked.items() if link is not None}
        links = (*(link for link in facts.links if link not in asked), *there)
        unknown = frozenset(kind.value for kind in parents.kinds(spec) if not kernel.knows(kind))
        return replace(facts, links=links, asked=there, unknown_kinds=unknown)

    def _complete(self, spec: NetworkSpec) -> NetworkSpec:
        """With the daemon's defaults for the driver, or with what a configuration network lends."""
        complete.check_lender(spec)
        if not spec.config_from:
            return complete.with_defaults(spec, self._engine.settings.network_options.get(spec.driver, {}))
        source = next((n for n in self._engine.store.networks if n.name == spec.config_from), None)
        if source is None or not source.spec.config_only:
            raise NotFound(f'configuration network "{spec.config_from}" does not exist')
        return complete.borrowed(spec, source.spec)

    def check_name_free(self, name: str) -> None:
        if any(network.name == name for network in (*self._coming.values(), *self._engine.store.networks)):
            raise Conflict(f"network with name {name} already exists")

    def _decide(self, identifier: NetworkId, spec: NetworkSpec, facts: HostFacts) -> tuple[Network, Sequence[str]]:
        warnings: Sequence[str] = ()
        if spec.config_only:
            return Network(id=identifier, spec=replace(spec, driver="null"), created=time.time_ns()), []
        spec = parents.complete(spec)
        networks = (*self._engine.store.networks, *self._coming.values())
        taken = [subnet.prefix for network in networks if network.id != identifier for subnet in network.subnets]
        subnets: Sequence[Subnet] = ()
        if not self._engine.outside.choose_addresses(spec):
            subnets, warnings = self.choose_subnets(spec, taken, facts)
        subnets = shim.complete(spec, subnets, [address.ip for address in facts.addresses])
        network = Network(id=identifier, spec=spec, created=time.time_ns(), subnets=tuple(subnets))
        name = driver_named(network.driver).bridge_name(network)
        adopted = bool(name) and self._is_foreign(name, facts)
        mtu = choose_mtu(spec, World(settings=self._engine.settings, host=facts)) if spec.driver == "bridge" else 0
        found = self._engine.kernel.link_addresses(name) if adopted else ()
        network = replace(network, bridge=name, adopted=adopted, found=found, mtu=mtu)
        return parents.settle(network, networks, facts.links), list(warnings)

    def choose_subnets(
        self, spec: NetworkSpec, taken: Sequence[Prefix], facts: HostFacts
    ) -> tuple[Sequence[Subnet], Sequence[str]]:
        """Subnets as asked for, or free ones, with warnings; ``taken`` are those that they must not overlap."""
        networks = (*self._engine.store.networks, *self._coming.values())
        ours = frozenset(subnet.prefix for network in networks for subnet in network.subnets)
        return ipam.choose_subnets(
            spec,
            taken=taken,
            pools=self._engine.settings.address_pools,
            routes=[route for route in (*facts.routes, *_nameservers(facts)) if route not in ours],
            ula_seed=self._ula_seed(),
            gatewayless=driver_named(spec.driver).gatewayless(spec),
        )

    def _is_foreign(self, link: str, facts: HostFacts) -> bool:
        return link in facts.links and not any(network.bridge == link for network in self._engine.store.networks)

    def _ula_seed(self) -> bytes:
        """Docker derives the machine's ULA /48 from the engine's id; so do we, and it stays over restarts."""
        return hashlib.sha256(self._engine.system.engine_id().encode()).digest()

    def _check_conflicts(self, network: Network) -> None:
        parents.check_beside(network, self._engine.store.networks)
        for other in self._engine.store.networks:
            if network.bridge and other.bridge == network.bridge:
                raise Forbidden(
                    f"cannot create network {network.id} ({network.bridge}): conflicts with network {other.id} "
                    f"({other.bridge}): networks have same bridge name"
                )

    async def establish(self, network: Network) -> None:
        """Record, then kernel; on failure neither."""
        self._engine.store.networks.save(network)
        try:
            facts = self.bare_facts(network) | self._shared_by(network)
            self._say_if_forwarding(facts)
            self._engine.reconciler.apply(plan(frozenset(), facts), facts)
        except BaseException:
            with contextlib.suppress(EngineError):
                self._engine.kernel.apply(_away(self._alone(network)))
            self._drop_record(network)
            raise
        self._tell_resolver(network, known=True)
        self._engine.foreign.follow_networks()

    def _alone(self, network: Network) -> State:
        """What of the network's facts no other network wants: several may stand on one parent."""
        facts = self.bare_facts(network)
        beside = [n for n in self._engine.store.networks if n.parent and n.parent == network.parent]
        return facts.difference(*(self.bare_facts(other) for other in beside if other.id != network.id))

    def _say_if_forwarding(self, facts: State) -> None:
        """The host becomes a router by this: its administrator is told, once, since it stays one."""
        for fact in facts:
            if isinstance(fact, Sysctl) and fact.key in _FORWARDING and sysctl.read(fact.key) != fact.value:
                log.info("switching %s on: containers reach other networks through this host", fact.key)

    def _drop_record(self, network: Network) -> None:
        self._engine.store.networks.delete(network.id)
        self._bare.pop(network.id, None)
        self._engine.index.forget_network(network.id)

    def tell(self, network: Network, action: str, **attributes: str) -> None:
        self._engine.events.publish(
            "network", action, network.id, {"name": network.name, "type": network.driver, **attributes}
        )

    # -- taking away ------------------------------------------------------------------------------------------------

    async def remove(self, ref: str) -> None:
        network = self.find(ref)
        if network.predefined:
            raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
        if attached := self.view(network).endpoints:
            who = ", ".join(f'name:"{name}" id:"{ids.short(endpoint.id)}"' for name, endpoint in attached)
            raise Forbidden(f"error while removing network: network {network.name} has active endpoints ({who})")
        if network.spec.config_only and any(n.spec.config_from == network.name for n in self._engine.store.networks):
            raise Forbidden(f'configuration network "{network.name}" is in use')
        facts, shared = self._alone(network), self._shared_by(network)
        self._drop_record(network)
        if parties := self._engine.outside.of(network.spec):
            await self._tell_going(network, parties[-1])
        self._engine.kernel.apply(plan(facts | shared, self.shared_facts() if shared else shared))
        self._tell_resolver(network, known=False)
        self._engine.foreign.follow_networks()
        self.tell(network, "destroy")

    async def _tell_going(self, network: Network, maker: Outside) -> None:
        """Whoever makes the network may refuse to give it up; one that is away is told when it is back."""
        self._engine.debts.note(network)
        try:
            await maker.remove_network(network)
        except PluginRefused as error:
            self._engine.debts.strike(network)
            self._engine.store.networks.save(network)
            raise EngineError(f"error while removing network: {error}") from error
        except (EngineError, OSError) as error:
            log.warning("network %s: %s", network.name, error)
        await self._engine.debts.tell(network.id)

    def _tell_resolver(self, network: Network, *, known: bool) -> None:
        """Nobody waits for its answer: it takes calls in their order, and what it misses it learns when it is back."""
        if network.driver in ("host", "null"):
            return
        resolver = self._engine.resolver
        call = resolver.set_network(network.id, network.name, ()) if known else resolver.remove_network(network.id)
        self._engine.spawn(_unless_away(call), f"names of {network.name}")

    async def prune(self, filters: Filters) -> Sequence[str]:
        filters.check(("label", "label!", "until"))
        horizon = self._engine.system.moment(filters.get("until")[0]) if "until" in filters else None
        removed = []
        for network in self._engine.store.networks:
            excluded = "label!" in filters and filters.labels("label!", network.spec.labels)
            young = horizon is not None and network.created > horizon
            if network.predefined or excluded or young or not filters.labels("label", network.spec.labels):
                continue
            if self._engine.index.endpoints(network.id):
                continue
            with contextlib.suppress(Forbidden, NotFound):
                await self.remove(network.id)
                removed.append(network.name)
        self._engine.events.publish("network", "prune", "", {"reclaimed": "0"})
        return removed

    # -- containers on networks -------------------------------------------------------------------------------------

    async def connect(self, ref: str, container_ref: str, spec: EndpointSpec) -> None:
        network = self.find(ref)
        container = self._engine.index.find(container_ref)
        async with self._engine.locks[container.id]:
            container = self._engine.index.find(container.id)
            self._check_connectable(container, network)
            validate.check_endpoint(spec, network)
            await self._engine.sandboxes.connect(container, network, spec)

    async def disconnect(self, ref: str, container_ref: str, force: bool) -> None:  # noqa: ARG002 (Docker's option)
        network = self.find(ref)
        container = self._engine.index.find(container_ref)
        async with self._engine.locks[container.id]:
            container = self._engine.index.find(container.id)
            if network.name == "host":
                raise InvalidArgument(
                    "cannot disconnect container from host network - container was created in host network mode"
                )
            await self._engine.sandboxes.disconnect(container, network)

    @staticmethod
    def _check_connectable(container: Container, network: Network) -> None:
        mode = container.host.network_mode
        if network.name == "host":
            raise InvalidArgument(
                "cannot connect container to host network - container must be created in host network mode"
            )
        if mode == "host" or mode.startswith("container:"):
            raise InvalidArgument(
                "container sharing network namespace with another container or host "
                "cannot be connected to any other network"
            )
        if mode == "none" or network.name == "none":
            raise InvalidArgument(
                "container cannot be connected to multiple networks with one of the networks in private (none) mode"
            )


def _nameservers(facts: HostFacts) -> list[Prefix]:
    """Where the host's DNS servers are, there must be no network of ours; those on the host itself are elsewhere."""
    return [ip_network(address) for address in facts.nameservers if not address.is_loopback]


def _away(facts: State) -> list[Step]:
    """Of a network that could not be made whole: what goes with its own bridge need not be there to be taken off it."""
    ours = {fact.name for fact in facts if isinstance(fact, Link) and not fact.adopted}
    return [
        step
        for step in plan(facts, frozenset())
        if not (isinstance(step.fact, Address | Route) and step.fact.link in ours)
    ]


async def _unless_away(call: Awaitable[None]) -> None:
    with contextlib.suppress(Unavailable):
        await call
