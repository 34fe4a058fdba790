"""Sandboxes: a container's network stack, made and unmade, joined to networks and taken off them while it runs.

The record with its endpoints is the intention; ``facts`` turns endpoints into what the kernel should hold, and every
change here is ``plan(facts before, facts after)`` applied.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fairlead import ids
from fairlead.dns.view import Adopted, EndpointNames, View
from fairlead.engine import adverts, linking
from fairlead.engine.endpoints import Decider
from fairlead.engine.modes import has_own_sandbox, joined, network_mode
from fairlead.engine.naming import Naming
from fairlead.engine.outside.joining import Joining
from fairlead.engine.outside.wayout import WayOut
from fairlead.engine.ports import Claims
from fairlead.engine.services import named_ports
from fairlead.engine.wanting import Wants
from fairlead.errors import EngineError, Forbidden, NotFound, Unavailable
from fairlead.ids import ContainerId, EndpointId
from fairlead.kernel import netns
from fairlead.kernel.sandbox import (
    Sandbox,
    discard_sublinks,
    discard_unnoted,
    mend_redirection,
    open_sandbox,
    reopen_dns,
)
from fairlead.model.container import Container
from fairlead.model.endpoint import Endpoint, EndpointSpec
from fairlead.model.network import Network
from fairlead.model.port import ContainerPort, PortBinding
from fairlead.net import multihoming
from fairlead.net.drivers import cni
from fairlead.net.drivers.bridge import opened_wants
from fairlead.net.plan import plan
from fairlead.net.state import HOST, Address, Element, Fact, Link, Policing, State

if TYPE_CHECKING:
    from fairlead.engine.core import Engine

log = logging.getLogger(__name__)

NETNS_DIRECTORY = "/run/netns"


class Sandboxes:
    """Opens, joins, changes and closes the sandboxes of this engine's containers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._open: dict[ContainerId, Sandbox] = {}
        self._furnished: set[ContainerId] = set()  # those with all that belongs inside and on the host
        self._decider = Decider(engine)
        self._naming = Naming(engine)
        self.claims = Claims(engine)
        self._joining = Joining(engine)
        self._way_out = WayOut(engine, self._decider)
        self._wants = Wants()

    # -- what the kernel should hold --------------------------------------------------------------------------------

    def facts(self, endpoints: Iterable[Endpoint], instead: Network | None = None) -> State:
        """What these endpoints want on the host and in their sandboxes, beyond their networks' own facts.

        ``instead`` is a network as it is not recorded: as it was, or may be.
        """
        world = self._engine.networks.world()
        facts: set[Fact] = set()
        homes: defaultdict[ContainerId, list[multihoming.Home]] = defaultdict(list)
        listed = tuple(endpoints)
        for endpoint in listed:
            network = self._engine.networks.get(endpoint.network)
            if network is None:
                continue
            if instead is not None and instead.id == network.id:
                network = instead
            links, shape = self._wants.of(network, endpoint, world)
            facts |= links | shape
            facts.update(self._engine.policies.facts(network, endpoint))
            facts.update(linking.facts(self._engine, network, endpoint))
            if network.driver == "bridge" and (ports := _published_elsewhere(endpoint, listed)):
                facts |= opened_wants(network, endpoint, ports, world)
            if any(isinstance(fact, Address) and fact.ns == endpoint.container for fact in links):
                homes[endpoint.container].append((endpoint, network))
        for ways in homes.values():
            facts.update(multihoming.wants(ways))
        return frozenset(facts)

    def is_open(self, container: ContainerId) -> bool:
        return container in self._open

    def namespace(self, container: ContainerId) -> netns.Namespace | None:
        """Of an open sandbox."""
        sandbox = self._open.get(container)
        return None if sandbox is None else sandbox.ns

    def joinable_path(self, container: Container) -> str | None:
        """The network namespace for the runtime to join, None for the host's.

        Not the pin: where processes are launched no pins are mounted, or each would keep its neighbours' alive.
        """
        owner = self._engine.sharing.owner(container)
        sandbox = self._open.get(owner.id)
        if sandbox is None and owner.id != container.id:
            self._engine.sharing.check(container)
        if network_mode(owner) == "host" or sandbox is None:
            return None
        return f"/proc/{os.getpid()}/fd/{sandbox.ns.fd}"

    # -- start ------------------------------------------------------------------------------------------------------

    async def check(self, container: Container) -> None:
        """What makes a start impossible, before anything is touched."""
        self._naming.check_hosts(container)
        self._engine.sharing.check(container)

    async def prepare(self, container: Container) -> Container:
        """Endpoints decided, host ports claimed, the record saved: the intention."""
        if network_mode(container) == "host":
            container = replace(container, sandbox_key=f"/proc/{os.getpid()}/ns/net")
        elif joined(container) is not None:
            container = self._engine.sharing.joining(container)
        if not has_own_sandbox(container) or self.is_open(container.id):
            # In its own sandbox somebody else lived on meanwhile: all is there, as it was.
            container = self._engine.index.save(container)
            self._naming.write_files(container)
            return container
        try:
            endpoints = self._decider.endpoints(container)
            others = self._joining.concerned(endpoints)
            if not others:
                endpoints = await self.claims.claim(container, endpoints)
        except EngineError as error:
            if isinstance(error, NotFound):
                raise NotFound(f"failed to set up container networking: {error}") from error
            raise
        key = os.path.join(NETNS_DIRECTORY, self._free_pin(container))
        container = self._engine.index.save(replace(container, endpoints=endpoints, sandbox_key=key))
        if others:
            container = await self._joining.introduce(container, others)
        self._open_recorded(container)
        if others:
            container = await self._arranged(await self._join_others(container, others))
            endpoints = container.endpoints
            if not any(endpoint.published for endpoint in endpoints):
                endpoints = await self.claims.claim(container, endpoints)
            container = self._engine.index.save(replace(container, endpoints=endpoints))
            container = await self._joining.rerouted(container)
        self._naming.write_files(container)
        return container

    async def _join_others(self, container: Container, chosen: Sequence[EndpointId]) -> Container:
        """Those others have a say in: they are asked before our links are there, and once those are up."""
        namespace = self._open[container.id].ns
        container = await self._joining.join(container, chosen, namespace)
        facts = self.facts(endpoint for endpoint in container.endpoints if endpoint.id in chosen)
        self._engine.reconciler.apply(plan(frozenset(), facts), facts)
        return await self._joining.linked(container, chosen, namespace)

    async def _arranged(self, container: Container, bindings: Sequence[PortBinding] = ()) -> Container:
        """Default routes follow from what others said; the gateway bridge has them where nothing else leads out."""
        container = await self._way_out.arranged(container)
        return replace(container, endpoints=self._decider.with_gateways(container.endpoints, container, bindings))

    def _open_recorded(self, container: Container) -> None:
        try:
            self._open_namespace(container)
        except EngineError:
            # The name may have become somebody else's in between: what is pinned there is not ours.
            self._engine.index.save(replace(container, sandbox_key=""))
            raise

    def _free_pin(self, container: Container) -> str:
        """The container's name, or the name with the id behind it where the name is somebody else's."""
        return container.name if netns.is_free(container.name) else f"{container.name}.{ids.short(container.id)}"

    def _open_namespace(self, container: Container) -> None:
        name = os.path.basename(container.sandbox_key)
        sandbox = open_sandbox(name, self._sysctls(container))
        self._open[container.id] = sandbox
        self._engine.kernel.add_sandbox(container.id, sandbox.ns)
        netns.write_pin(self._engine.settings.exec_root, container.id, sandbox.ns)

    def _sysctls(self, container: Container) -> dict[str, str]:
        """net.* sysctls belong to the namespace, whoever sets them; without an IPv6 endpoint IPv6 is off."""
        asked = {
            key.replace(".", "/"): value
            for key, value in (container.host.sysctls or {}).items()
            if key.startswith("net.")
        }
        if not self._may_have_ipv6(container):
            asked.setdefault("net/ipv6/conf/all/disable_ipv6", "1")
            asked.setdefault("net/ipv6/conf/default/disable_ipv6", "1")
        asked.setdefault("net/ipv4/ip_unprivileged_port_start", "0")
        asked.setdefault("net/ipv4/ping_group_range", "0 2147483647")
        return asked

    def _may_have_ipv6(self, container: Container) -> bool:
        """Plugins that choose addresses themselves expect a fresh namespace, where IPv6 is on."""
        networks = (self._engine.networks.get(endpoint.network) for endpoint in container.endpoints)
        return any(a.version == 6 for e in container.endpoints for a in e.addresses) or any(
            network is not None and network.driver == cni.NAME for network in networks
        )

    async def join(self, container: Container) -> None:
        """The plumbing: links, addresses, routes, elements, names. The namespace is open, the record saved."""
        if not has_own_sandbox(container) or container.id in self._furnished:
            return
        facts = self.facts(container.endpoints)
        self._engine.reconciler.apply(plan(frozenset(), facts), facts)
        await self._hand_sandbox_over(container)
        for endpoint in container.endpoints:
            await self._announce(endpoint)
        await self.claims.hand_over(container)
        for endpoint in container.endpoints:
            self._tell("connect", endpoint, container)
        await self._naming.refresh_links(container)
        adverts.tell(self._engine, container.endpoints)
        self._furnished.add(container.id)
        self._engine.sharing.call_back(container)

    async def _announce(self, endpoint: Endpoint) -> None:
        if endpoint.names:
            await self._engine.resolver.set_endpoint(endpoint.network, self._names(endpoint))

    def _names(self, endpoint: Endpoint) -> EndpointNames:
        container = self._engine.store.containers.get(endpoint.container)
        return EndpointNames(
            id=endpoint.id,
            container=endpoint.container,
            names=endpoint.names,
            addresses=tuple(str(interface.ip) for interface in endpoint.addresses),
            ports=named_ports(container) if container is not None else (),
        )

    def _tell(self, action: str, endpoint: Endpoint, container: Container) -> None:
        network = self._engine.networks.get(endpoint.network)
        if network is not None:
            self._engine.networks.tell(network, action, container=container.id)

    # -- end --------------------------------------------------------------------------------------------------------

    async def close(self, container: Container) -> None:
        """The firewall first, so that nothing is let through to an address somebody else may get; then the rest."""
        facts = self.facts(container.endpoints)
        self._engine.reconciler.part_with(endpoint.host_ifname for endpoint in container.endpoints)
        try:
            self._engine.kernel.apply([step for step in plan(facts, frozenset()) if _outlives(step.fact)])
        except EngineError as error:
            log.warning("%s: %s", container.name, error)  # the rest must go all the same; the next beat sweeps
        sandbox = self._open.pop(container.id, None)
        self._furnished.discard(container.id)
        if has_own_sandbox(container):
            await self._let_go(container, sandbox is not None or bool(container.endpoints))
        if self._joining.concerned(container.endpoints):
            await self._part_from_others(container, sandbox)
        if sandbox is not None:
            self._engine.kernel.drop_sandbox(container.id)
            for held in (sandbox.udp, sandbox.tcp):
                held.close()
            if any(isinstance(fact, Link) and fact.parent for fact in facts):
                # The kernel takes a moment to clear a namespace away; until then the MAC or address, which the next
                # start may ask for again, would be taken on the parent.
                await self._engine.in_thread(discard_sublinks, sandbox.ns)
            netns.remove(sandbox.ns)
            netns.forget_pin(self._engine.settings.exec_root, container.id)
        else:
            self.remove_pin(container.id, container.sandbox_key if has_own_sandbox(container) else "")
        for endpoint in container.endpoints:
            self._tell("disconnect", endpoint, container)

    async def _part_from_others(self, container: Container, sandbox: Sandbox | None) -> None:
        """Others may keep a link that was moved in: it is handed back before the namespace goes with all in it."""
        await self._joining.leave(container.endpoints, sandbox.ns if sandbox is not None else None)
        facts = self.facts(container.endpoints)
        try:
            self._engine.kernel.apply(plan(facts, frozenset()))
        except EngineError as error:
            log.warning("%s: %s", container.name, error)
        await self._joining.forget(container.endpoints)

    async def _let_go(self, container: Container, named: bool) -> None:
        """Names, DNS sockets and ports. A resolver process that is away learns of it when it is back."""
        with contextlib.suppress(Unavailable):
            await self.claims.release(container)
        if not named:
            return
        for endpoint in container.endpoints:
            if endpoint.names:
                with contextlib.suppress(Unavailable):
                    await self._engine.resolver.remove_endpoint(endpoint.network, endpoint.id)
        with contextlib.suppress(Unavailable):
            await self._engine.resolver.remove_sandbox(container.id)

    # -- a daemon's start, and repair -------------------------------------------------------------------------------

    def take_over(self, container: Container, sockets: tuple[socket.socket, socket.socket] | None) -> bool:
        """A sandbox of a running container, opened by another daemon. True when its DNS sockets had to be made anew."""
        if not has_own_sandbox(container):
            return False
        ns = self._find_namespace(container)
        self._open[container.id] = Sandbox(ns, *(sockets or reopen_dns(ns)))
        self._furnished.add(container.id)
        self._engine.kernel.add_sandbox(container.id, ns)
        return sockets is None

    async def resume_others(self) -> None:
        """Whoever outside has a say in networks is told that this daemon is there again."""
        await self._joining.resume({identifier: sandbox.ns for identifier, sandbox in self._open.items()})

    async def reconcile_resolver(self, held: Adopted, known: set[ContainerId]) -> None:
        """The resolver process holds what the records want, and nothing else."""
        resolver, store = self._engine.resolver, self._engine.store
        for network in store.networks:
            if network.driver not in ("host", "null"):
                await self.announce_network(network)
                await self._engine.policies.teach(network.id)
        for stale in set(held.sandboxes) - known:
            await resolver.remove_sandbox(stale)
        for owner in set(held.ports) - known:
            await resolver.release_ports(owner)
        self.claims.adopt(set(held.ports) & known)
        for identifier in known & self._open.keys():
            container = self._engine.index.find(identifier)
            if identifier in held.sandboxes:
                await resolver.set_view(identifier, self._naming.view(container))
            else:
                await self._hand_sandbox_over(container)
            if identifier in held.ports or any(e.published for e in container.endpoints):
                await self.claims.bind_again(container, held.ports.get(identifier, ()))

    async def _hand_sandbox_over(self, container: Container) -> None:
        sandbox = self._open[container.id]
        await self._engine.resolver.add_sandbox(
            container.id, sandbox.udp, sandbox.tcp, sandbox.ns.fd, self._naming.view(container)
        )

    def _find_namespace(self, container: Container) -> netns.Namespace:
        """By its pin; where a stranger took that away, by the container's process, and pinned again."""
        pin = netns.read_pin(self._engine.settings.exec_root, container.id)
        if pin is not None and pin.stands():
            return self._under_its_name(netns.open_existing(pin.path), container)
        inhabitants = [c for c in (container, *self._engine.sharing.members(container)) if c.state.pid]
        pid = inhabitants[0].state.pid if inhabitants else 0
        fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        ns = netns.Namespace(container.sandbox_key, fd)
        netns.repin(ns)
        netns.write_pin(self._engine.settings.exec_root, container.id, ns)
        return ns

    def note_pin(self, container: Container) -> None:
        """Again, where what the container's process left behind was cleared away, and the note with it."""
        netns.write_pin(self._engine.settings.exec_root, container.id, self._open[container.id].ns)

    def _under_its_name(self, ns: netns.Namespace, container: Container) -> netns.Namespace:
        """The daemon may have gone in the middle of a rename."""
        if ns.path != container.sandbox_key:
            netns.discard(os.path.basename(container.sandbox_key), ns.inode)
            netns.rename(ns, os.path.basename(container.sandbox_key))
            netns.write_pin(self._engine.settings.exec_root, container.id, ns)
        return ns

    def ensure_dns(self, container: Container) -> bool:
        """127.0.0.11:53 leads to the resolver again, if somebody cut the way; True when it had to be mended."""
        return mend_redirection(self._open[container.id])

    def ensure_pin(self, container: Container) -> bool:
        """/run/netns/NAME again, if somebody took it away; True when it had to be put back.

        Where that name is a stranger's by now, the pin gets the one with the id.
        """
        ns = self._open[container.id].ns
        if netns.is_pinned(ns.path, ns.inode):
            return False
        ns.path = os.path.join(NETNS_DIRECTORY, self._free_pin(container))
        netns.repin(ns)
        netns.write_pin(self._engine.settings.exec_root, container.id, ns)
        if ns.path != container.sandbox_key:
            self._engine.index.save(replace(container, sandbox_key=ns.path))
        return True

    def sweep_pins(self, known: set[ContainerId]) -> None:
        """Namespaces that a daemon of ours pinned for containers that do not run."""
        root = self._engine.settings.exec_root
        for name in os.listdir(root):
            if not ids.is_full_id(name) or name in known:
                continue
            self.remove_pin(ContainerId(name))

    def remove_pin(self, identifier: ContainerId, sandbox_key: str = "") -> None:
        """Of a sandbox that a daemon before this one opened: the pin it noted, or was about to note when it went."""
        root = self._engine.settings.exec_root
        pin = netns.read_pin(root, identifier)
        if pin is not None:
            netns.discard(pin.name, pin.inode)
        elif sandbox_key:
            discard_unnoted(os.path.basename(sandbox_key))
        netns.forget_pin(root, identifier)

    # -- while it runs ----------------------------------------------------------------------------------------------

    async def connect(self, container: Container, network: Network, spec: EndpointSpec) -> None:
        """Joins a network: records only when it does not run. The lock is held."""
        if self._asked_as(container, network) and (
            not self.is_open(container.id) or any(endpoint.network == network.id for endpoint in container.endpoints)
        ):
            raise Forbidden(f"endpoint with name {container.name} already exists in network {network.name}")
        asked = replace(
            container, spec=replace(container.spec, networks={**container.spec.networks, network.name: spec})
        )
        if not self.is_open(container.id):
            self._engine.index.save(asked)
            return
        endpoint = self._decider.endpoint(asked, network, spec, container.endpoints)
        await self._change(container, asked, (*container.endpoints, endpoint))
        self._tell("connect", endpoint, container)

    async def disconnect(self, container: Container, network: Network) -> None:
        """Leaves a network: in the record only when it does not run. The lock is held."""
        known = self._asked_as(container, network)
        leaving = [endpoint for endpoint in container.endpoints if endpoint.network == network.id]
        if known is None and not leaving:
            raise EngineError(f"container {container.id} is not connected to network {network.name}")
        networks = {name: spec for name, spec in container.spec.networks.items() if name != known}
        asked = replace(container, spec=replace(container.spec, networks=networks))
        if not self.is_open(container.id):
            self._engine.index.save(replace(asked, endpoints=()))
            return
        await self._change(container, asked, [each for each in container.endpoints if each not in leaving])
        for endpoint in leaving:
            self._tell("disconnect", endpoint, container)

    async def edit(self, container: Container, network: Network, spec: EndpointSpec) -> Container:
        """On the network as ``spec`` says of names and of who is the gateway, at once. The lock is held."""
        known = self._asked_as(container, network) or network.name
        asked = replace(container, spec=replace(container.spec, networks={**container.spec.networks, known: spec}))
        if not self.is_open(container.id):
            return self._engine.index.save(asked)
        endpoints = [replace(e, names=self._decider.names(asked, e)) for e in container.endpoints]
        await self._change(container, asked, endpoints)
        return self._engine.index.find(container.id)

    async def announce_network(self, network: Network) -> None:
        """The network by its name, with all that are on it."""
        endpoints = self._engine.index.endpoints(network.id).values()
        await self._engine.resolver.set_network(
            network.id, network.name, [self._names(e) for e in endpoints if e.names]
        )

    async def refresh_views(self, containers: Iterable[Container]) -> None:
        """What these containers' resolver knows of whom to ask."""
        views: dict[str, View] = {
            container.id: self._naming.view(container) for container in containers if self.is_open(container.id)
        }
        await self._engine.resolver.set_views(views)

    def endpoint_spec(self, container: Container, network: Network) -> EndpointSpec:
        """How the container asked to be on the network; raises NotFound when it did not."""
        known = self._asked_as(container, network)
        if known is None:
            raise NotFound(f"container {container.name} is not connected to network {network.name}")
        return container.spec.networks[known]

    def _asked_as(self, container: Container, network: Network) -> str | None:
        """By which of its names or ids the container asked for that network; None when it did not."""
        return next(
            (name for name, found in self._engine.networks.of(container).items() if found.id == network.id), None
        )

    async def _change(self, before: Container, asked: Container, endpoints: Sequence[Endpoint]) -> None:
        """To another set of endpoints, record first; on failure the record is put back and the kernel too."""
        bindings = [binding for endpoint in before.endpoints for binding in endpoint.published]
        after = replace(asked, endpoints=self._decider.with_gateways(endpoints, asked, bindings))
        coming, going = _without(endpoints, before.endpoints), _without(before.endpoints, endpoints)
        with self._engine.reconciler.transition(before.id):
            try:
                # Saved before anything is waited for: the new endpoint's address is taken from here on.
                self._engine.index.save(after)
                if others := self._joining.concerned(coming):
                    after = await self._joining.introduce(after, others)
                    after = await self._join_others(after, others)
                if self._joining.concerned(after.endpoints):
                    after = self._engine.index.save(await self._arranged(after, bindings))
                followed = await self.claims.follow(before, after)
                if followed is not after:
                    after = self._engine.index.save(followed)
                after = await self._joining.rerouted(after)
                await self._joining.leave(going, self._open[before.id].ns)
                self.reapply(before, after)
            except BaseException:
                await self._change_back(before, self._engine.index.find(before.id))
                raise
            await self._joining.forget(going)
            await self._rename_in_dns(before, after)
            await self.claims.settle(after)
        self._naming.write_files(after)
        adverts.tell(self._engine, (each for each in after.endpoints if each.id in {new.id for new in coming}))

    async def _change_back(self, before: Container, after: Container) -> None:
        self.claims.abandon(after)
        failed = _without(after.endpoints, before.endpoints)
        await self._joining.leave(failed, self._open[before.id].ns)
        self._engine.index.save(before)
        old, new = self.facts(before.endpoints), self.facts(after.endpoints)
        with contextlib.suppress(EngineError):
            self._engine.kernel.apply(plan(new, old))
        await self._joining.forget(failed)
        if others := self._joining.concerned(before.endpoints):
            await self._lead_back(before, after, others)

    async def _lead_back(self, before: Container, after: Container, others: Sequence[EndpointId]) -> None:
        """Whoever was told that default routes moved is told that they did not."""
        said = {endpoint.id: endpoint.outside for endpoint in after.endpoints if endpoint.id in others}
        endpoints = tuple(replace(e, outside=said.get(e.id, e.outside)) for e in before.endpoints)
        try:
            await self._joining.rerouted(self._engine.index.save(replace(before, endpoints=endpoints)))
        except (EngineError, OSError) as error:
            log.warning("%s: %s", before.name, error)

    async def amend(self, before: Container, endpoint: Endpoint) -> None:
        """An endpoint has other addresses, or leads elsewhere, than it did. The container runs; the lock is held."""
        endpoints = tuple(endpoint if each.id == endpoint.id else each for each in before.endpoints)
        with self._engine.reconciler.transition(before.id):
            after = self._engine.index.save(replace(before, endpoints=endpoints))
            self.reapply(before, after)
        await self._rename_in_dns(before, after)
        self._naming.write_files(after)

    def reapply(self, before: Container, after: Container) -> None:
        """What ``before`` wanted of the kernel becomes what ``after`` does; the record is saved already."""
        wants = self.facts(after.endpoints)
        self._engine.reconciler.apply(plan(self.facts(before.endpoints), wants), wants)

    async def _rename_in_dns(self, before: Container, after: Container) -> None:
        """What the resolver says of this container's endpoints, and what the container may ask."""
        staying = {endpoint.id for endpoint in after.endpoints}
        for endpoint in before.endpoints:
            if endpoint.id not in staying and endpoint.names:
                await self._engine.resolver.remove_endpoint(endpoint.network, endpoint.id)
        known = {endpoint.id: endpoint for endpoint in before.endpoints}
        for endpoint in after.endpoints:
            former = known.get(endpoint.id)
            if former is None or (former.names, former.addresses) != (endpoint.names, endpoint.addresses):
                await self._announce(endpoint)
        await self._engine.resolver.set_view(after.id, self._naming.view(after))
        if {e.id for e in before.endpoints} != staying:
            await self._naming.refresh_links(after)

    async def rename(self, container: Container, name: str) -> None:
        """A new name: in the record, for the pinned namespace, and in DNS by the next query. The lock is held."""
        renamed = replace(container, name=name)
        if (sandbox := self._open.get(container.id)) is None:
            self._engine.index.save(renamed)
            return
        before = self.facts(container.endpoints)  # as long as the record has the old name: policies look at it
        endpoints = tuple(replace(e, names=self._decider.names(renamed, e)) for e in container.endpoints)
        key = os.path.join(NETNS_DIRECTORY, self._free_pin(renamed))
        renamed = self._engine.index.save(replace(renamed, endpoints=endpoints, sandbox_key=key))
        netns.rename(sandbox.ns, os.path.basename(key))
        netns.write_pin(self._engine.settings.exec_root, container.id, sandbox.ns)
        wants = self.facts(endpoints)
        self._engine.reconciler.apply(plan(before, wants), wants)
        for endpoint in endpoints:
            await self._announce(endpoint)

    async def follow_rename(self, old: str, new: str) -> None:
        """After ``rename``, with no lock held: those that link to the container still do."""
        await self._naming.follow_rename(old, new)


def _published_elsewhere(endpoint: Endpoint, endpoints: Sequence[Endpoint]) -> list[ContainerPort]:
    """By the same container, on others of its networks."""
    return [
        binding.container
        for other in endpoints
        if other.container == endpoint.container and other.id != endpoint.id
        for binding in other.published
    ]


def _without(endpoints: Iterable[Endpoint], others: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    known = {endpoint.id for endpoint in others}
    return tuple(endpoint for endpoint in endpoints if endpoint.id not in known)


def _outlives(fact: Fact) -> bool:
    """Whether it would stay when the sandbox's namespace goes, and with that the host's ends of its pairs."""
    if isinstance(fact, Element | Policing):
        return True
    return fact.ns == HOST and not (isinstance(fact, Link) and fact.peer_ns)
