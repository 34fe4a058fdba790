"""The hands for the host and all sandboxes: steps are applied here, and what there is is observed."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby

from fairlead.errors import KernelError
from fairlead.ids import ContainerId
from fairlead.kernel import conntrack, elements, netns, observe
from fairlead.kernel.ledger import Ledger
from fairlead.kernel.netlink import codec, ct
from fairlead.kernel.netlink.codec import LinkInfo
from fairlead.kernel.netlink.connection import NETFILTER, Netlink
from fairlead.kernel.netlink.frames import NetlinkError
from fairlead.kernel.netns import Namespace
from fairlead.kernel.nft import Nft
from fairlead.kernel.policing import PolicyTables
from fairlead.kernel.reaper import Reaper
from fairlead.kernel.surroundings import Surroundings
from fairlead.kernel.wiring import Wiring
from fairlead.model.address import Interface, Ip
from fairlead.model.host import HostFacts, HostLink
from fairlead.model.port import PortBinding, Protocol
from fairlead.net.state import (
    HOST,
    ON_PARENT,
    Add,
    Address,
    Change,
    Element,
    Fact,
    Link,
    LinkKind,
    Neighbour,
    Policing,
    Qdisc,
    Redirect,
    Remove,
    Route,
    Rule,
    State,
    Step,
    Sysctl,
    is_policy,
)
from fairlead.settings import Settings


class Kernel:
    """Made and opened in the host's network namespace; not for use by several threads at once."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        # libnftables first: its context must be made while descriptors are few.
        self.nft = Nft()
        self.host = netns.current()
        self._netfilter = Netlink(NETFILTER)
        self.policies = PolicyTables(self.nft, self._netfilter)
        self.surroundings = Surroundings(self.host.netlink)
        self._reaper = Reaper()
        self.ledger = Ledger()
        self._sandboxes: dict[str, Namespace] = {}
        self._nsids: dict[int, str] = {}
        self._peers: dict[tuple[int, int, int], tuple[str, str]] = {}

    async def open(self) -> None:
        """Sweep what a former daemon condemned; make the administrators' table if there is none."""
        self.nft.ensure_user_table()

    async def close(self) -> None:
        """Leave everything as it is, but for links that wait to be deleted."""
        await asyncio.to_thread(self._reaper.close)
        self.nft.close()
        self._netfilter.close()
        self.host.close()

    def add_sandbox(self, container: ContainerId, ns: Namespace) -> None:
        self._sandboxes[container] = ns
        self._nsids = {nsid: owner for nsid, owner in self._nsids.items() if owner}

    def drop_sandbox(self, container: ContainerId) -> None:
        """Its namespace is gone, or no longer our business; the namespace itself is not touched."""
        self._sandboxes.pop(container, None)
        self.ledger.forget(container)
        self._nsids = {nsid: owner for nsid, owner in self._nsids.items() if owner != container}
        self._peers = {key: peer for key, peer in self._peers.items() if peer[0] != container}

    def sandboxes(self) -> Mapping[str, Namespace]:
        """Container id -> its namespace, of all that are known."""
        return self._sandboxes

    def apply(self, steps: Sequence[Step]) -> None:
        """Make the steps true, in their order; elements that go first, elements that come last, each in one go.

        Policies the other way round: a container is never on a network without the rules that hold for it there.
        Raises KernelError at the first refusal. What is true already is success.
        """
        policy = [step for step in steps if is_policy(step.fact)]
        guards = any(not isinstance(step, Remove) for step in policy)
        if guards:
            self.policies.apply(policy)
        elements = [step for step in steps if isinstance(step.fact, Element) and not is_policy(step.fact)]
        self._apply_elements([step for step in elements if isinstance(step, Remove)])
        try:
            self._apply_wiring([step for step in steps if not isinstance(step.fact, Element | Policing)])
        except NetlinkError as error:
            raise KernelError("speak to", "the kernel", error.errno) from error
        self._apply_elements([step for step in elements if not isinstance(step, Remove)])
        if policy and not guards:
            self.policies.apply(policy)

    async def cut(self, bindings: Iterable[PortBinding], addresses: Collection[Ip]) -> None:
        """End what goes through these published ports, or to the container's own ``addresses`` at their ports."""
        own = {found.address.ip for found in self.host.netlink.addresses()}
        for protocol, group in groupby(sorted(bindings, key=_protocol_of), key=_protocol_of):
            stale = conntrack.goes_to(list(group), addresses, own)
            versions = {address.version for address in addresses}
            # The kernel walks its whole table, 4 ms for each family: others need not wait for that.
            await asyncio.to_thread(conntrack.forget, ct.NUMBERS[protocol], stale, versions)

    async def settle(self) -> None:
        """Wait until every link that was removed is really gone."""
        await asyncio.to_thread(self._reaper.settle)

    def observe_host(self) -> State:
        """Our links with their addresses, our routes, the sysctls we set, all elements of our table, policies."""
        facts: set[Fact] = set()
        links = self.host.netlink.links()
        ours = list(observe.host_links(links, self.ledger, self._peer_of))
        facts.update(observe.scope(HOST, self.host, ours, links, self.ledger))
        self.ledger.learn(facts)
        for container, entries in self.nft.elements().items():
            facts.update(Element(container=container, key=key, value=value) for key, value in entries.items())
        facts.update(self.policies.observe())
        return frozenset(facts)

    def observe_sandbox(self, container: ContainerId) -> State:
        """Our links in that sandbox with their addresses, our routes and sysctls there; nothing when it is unknown."""
        ns = self._sandboxes.get(container)
        if ns is None:
            return frozenset()
        links = ns.netlink.links()
        ours = list(observe.sandbox_links(container, links, self._far_ends(links), self.ledger))
        facts = frozenset(observe.scope(container, ns, ours, links, self.ledger))
        self.ledger.learn(facts)
        return facts

    def host_facts(self) -> HostFacts:
        """As the host is now, once a watch follows it."""
        return self.surroundings.facts()

    def nameservers(self) -> tuple[Ip, ...]:
        """Of the host's resolv.conf as it is now: nobody tells when it changes."""
        return tuple(observe.nameservers(observe.resolv_conf()))

    def link_kind(self, name: str) -> str | None:
        """What kind of link the host has under that name now ("" for hardware); None where there is none."""
        found = self.host.netlink.link(name)
        return None if found is None else found.kind

    def host_link(self, name: str) -> HostLink | None:
        """What the host has under that name now."""
        found = self.host.netlink.link(name)
        if found is None:
            return None
        master = self.host.netlink.link(found.master) if found.master else None
        return HostLink(
            kind=found.kind,
            mtu=found.mtu,
            mac=found.mac,
            master=master.name if master is not None else "",
            master_kind=master.kind if master is not None else "",
        )

    def knows(self, kind: LinkKind) -> bool:
        """Whether this kernel can make such links."""
        reply = self.host.netlink.exchange([codec.probe_kind(kind.value)])[0]
        return reply.errno != errno.EOPNOTSUPP

    def is_shut(self, name: str) -> bool:
        """Whether a host link is a port of a bridge that lets nothing through, as for a moment after it came up."""
        found = self.host.netlink.link(name)
        return found is not None and found.shut

    def link_addresses(self, name: str) -> tuple[Interface, ...]:
        """The addresses that a link of the host has now, the kernel's link-local ones included."""
        link = self.host.netlink.link(name)
        if link is None:
            return ()
        return tuple(found.address for found in self.host.netlink.addresses() if found.index == link.index)

    def _apply_elements(self, steps: Sequence[Step]) -> None:
        if not steps:
            return
        elements.apply(self.nft, self._netfilter, steps)
        ports = conntrack.udp_ports(steps)
        if ports:
            own = {found.address.ip for found in self.host.netlink.addresses()}
            conntrack.forget_udp(ports, lambda ip: ip in own or ip.is_loopback)

    def _apply_wiring(self, steps: Sequence[Step]) -> None:
        wirings: dict[str, Wiring] = {}
        try:
            for step in steps:
                wiring = self._wiring(wirings, step)
                if wiring is not None:
                    _take(wiring, step)
                    self._enter(step)
            for wiring in wirings.values():
                wiring.flush()
        finally:
            self._reaper.touch(condemned=any(wiring.condemned for wiring in wirings.values()))

    def _wiring(self, wirings: dict[str, Wiring], step: Step) -> Wiring | None:
        """The wiring that takes the step, after those have been flushed on which it depends.

        None for a removal from a sandbox that is gone: so is what was in it.
        """
        ns_id = _scope_of(step.fact)
        if ns_id not in wirings:
            ns = self.host if ns_id == HOST else self._sandboxes.get(ns_id)
            if ns is None:
                if isinstance(step, Remove):
                    return None
                raise KernelError("find sandbox", ns_id[:12], errno.ENOENT)
            wirings[ns_id] = Wiring(ns_id, ns, self.host, self._sandboxes)
        self._flush_before(wirings, step, ns_id)
        return wirings[ns_id]

    def _flush_before(self, wirings: dict[str, Wiring], step: Step, ns_id: str) -> None:
        """Both ends of a veth pair are made by the host's step, and removed with it: the other end waits for that.

        What stands on a link of the host waits for that link, and is removed before it.
        """
        match step.fact:
            case Link(kind=LinkKind.VETH, peer_ns=other) if other in wirings and other != ns_id:
                wirings[other].flush()
            case Link() as link if link.kind in ON_PARENT:
                for wiring in [wirings[other] for other in wirings if other != ns_id]:
                    wiring.flush()

    def _enter(self, step: Step) -> None:
        if isinstance(step, Remove):
            self.ledger.strike(step.fact)
        else:
            self.ledger.enter(step.fact)

    def _peer_of(self, link: LinkInfo) -> tuple[str, str]:
        """Where a host veth leads: (container, name there); asked of the kernel once per pair."""
        key = (link.index, link.peer_nsid, link.peer_index)
        if key not in self._peers:
            owner = self.container_of(link.peer_nsid)
            far = self._sandboxes[owner].netlink.link(link.peer_index) if owner else None
            if far is None:
                return "", ""
            self._peers[key] = (owner, far.name)
        return self._peers[key]

    def container_of(self, nsid: int) -> str:
        """The sandbox that has that number in the host's namespace; "" for none of ours."""
        if nsid == codec.NO_NSID:
            return ""
        if nsid not in self._nsids:
            self._number_sandboxes()
        # A stranger's number is remembered as such until another sandbox may be meant by it.
        return self._nsids.setdefault(nsid, "")

    def _number_sandboxes(self) -> None:
        numbered = set(self._nsids.values())
        owners = [owner for owner in self._sandboxes if owner not in numbered]
        requests = [codec.get_nsid(self._sandboxes[owner].fd) for owner in owners]
        for owner, reply in zip(owners, self.host.netlink.exchange(requests), strict=True):
            if reply.body is not None and (number := codec.read_nsid(reply.body)) != codec.NO_NSID:
                self._nsids[number] = owner

    def _far_ends(self, links: Iterable[LinkInfo]) -> dict[int, LinkInfo]:
        """The host links at the other ends of a sandbox's veths, and those its other links stand on, by number."""
        indexes = {link.peer_index for link in links if link.kind in observe.FAR_KINDS and link.peer_index}
        replies = self.host.netlink.exchange([codec.get_link(index) for index in indexes])
        found = (codec.read_link(reply.body) for reply in replies if reply.body is not None)
        return {link.index: link for link in found}


def _protocol_of(binding: PortBinding) -> Protocol:
    return binding.container.protocol


def _scope_of(fact: Fact) -> str:
    return HOST if isinstance(fact, Element | Policing) else fact.ns


def _take(wiring: Wiring, step: Step) -> None:
    match step:
        case Add(fact=Link() as link):
            wiring.add_link(link)
        case Change(before=Link() as before, fact=Link() as link):
            wiring.change_link(before, link)
        case Remove(fact=Link() as link):
            wiring.remove_link(link)
        case Remove(fact=Address() as address):
            wiring.remove_address(address)
        case Add(fact=Address() as address) | Change(fact=Address() as address):
            wiring.add_address(address)
        case Remove(fact=Route() as route):
            wiring.remove_route(route)
        case Add(fact=Route() as route):
            wiring.add_route(route)
        case Change(fact=Route() as route):
            wiring.change_route(route)
        case Remove(fact=Rule() as rule):
            wiring.remove_rule(rule)
        case Add(fact=Rule() as rule):
            wiring.add_rule(rule)
        case Change(before=Rule() as before, fact=Rule() as rule):
            wiring.remove_rule(before)
            wiring.add_rule(rule)
        case Remove(fact=Neighbour() as neighbour):
            wiring.remove_neighbour(neighbour)
        case Add(fact=Neighbour() as neighbour) | Change(fact=Neighbour() as neighbour):
            wiring.set_neighbour(neighbour)
        case Remove(fact=Qdisc() as shape):
            wiring.remove_shape(shape)
        case Add(fact=Qdisc() as shape) | Change(fact=Qdisc() as shape):
            wiring.set_shape(shape)
        case Remove(fact=Redirect() as redirect):
            wiring.remove_redirect(redirect)
        case Add(fact=Redirect() as redirect) | Change(fact=Redirect() as redirect):
            wiring.set_redirect(redirect)
        case Add(fact=Sysctl() as value) | Change(fact=Sysctl() as value):
            wiring.set_sysctl(value)
        case _:
            # A sysctl has no absence: what it was before is not known, so it stays.
            return
