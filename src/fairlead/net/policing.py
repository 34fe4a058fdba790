"""A network's policy as nft holds it: chains of its own, sets of those it names, and one element for who comes or goes.

Two tables, there only while some network has a policy. ``bridge fairlead-policy`` sees what containers of one network
send each other, ``inet fairlead-policy`` what is routed into or out of a network, and what its containers send to the
host itself. A packet of a connection's first direction meets the rules as they stand, one of the other direction meets
them mirrored: an edit is in force for connections that are there already, too.

The bridge family cannot ask connection tracking in every kernel, so who began is remembered in sets of our own
(``flows4``, ``flows6``). What a name in DNS stands for is put into a rule's ``names`` sets by the resolver process;
what a connection was let through to stays in ``live`` while it is used, however soon the name's answer ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import groupby
from typing import NamedTuple

from fairlead import ids
from fairlead.errors import InvalidArgument
from fairlead.model.address import Interface
from fairlead.model.endpoint import Endpoint
from fairlead.model.network import Network
from fairlead.model.policy import Action, Peer, PeerKind, Policy, Rule
from fairlead.net.policytables import BRIDGED, ROUTED, flow
from fairlead.net.state import Element, Fact, Policing, PolicyChain, PolicySet, State

_ADDRESS = {4: "ipv4_addr", 6: "ipv6_addr"}
_IP = {4: "ip", 6: "ip6"}
_ICMP = {0: "{ icmp, ipv6-icmp }", 4: "icmp", 6: "ipv6-icmp"}

# Characters that may stand in an nft comment whatever they mean elsewhere; it is at most 128 bytes long.
_NOT_IN_COMMENTS = re.compile(r"[^A-Za-z0-9 =:,./*_@+-]")
_LONGEST_COMMENT = 120


def check(network: Network) -> None:
    """Raises InvalidArgument for a network that no policy can be enforced on."""
    if network.predefined:
        raise InvalidArgument(
            f"network {network.name} is predefined and cannot have a policy: create a network and set it there"
        )
    if network.spec.config_only:
        raise InvalidArgument(f"network {network.name} only lends its configuration: no packet crosses it")
    if network.driver != "bridge":
        raise InvalidArgument(
            f"network {network.name} has the driver {network.driver}, whose packets do not pass this host's bridges: "
            "a policy can be enforced on bridge networks only"
        )


def name_of(network: Network) -> str:
    """What every name of its chains, sets and counters begins with."""
    return f"p{ids.short(network.id)}"


def counter_of(network: Network, rule: Rule | None) -> str:
    """The counter of a rule, or with None that of the default; one of that name is in either table."""
    return f"{name_of(network)}_{'default' if rule is None else rule.id}"


class Member(NamedTuple):
    """One container on the network, as rules see it."""

    endpoint: Endpoint
    name: str
    labels: Mapping[str, str]


class Lesson(NamedTuple):
    """A name in DNS that a rule allows or denies, and the stem of the sets for its addresses (``…4``, ``…6``)."""

    pattern: str
    stem: str


def lessons(network: Network) -> tuple[Lesson, ...]:
    """What the resolver must put where when it answers a container of this network."""
    peers = network.policy.peers if network.policy is not None else ()
    return tuple(Lesson(peer.value, _names_stem(network, peer)) for peer in peers if peer.kind is PeerKind.DNS)


# -- facts --------------------------------------------------------------------------------------------------------


def network_facts(network: Network) -> Iterator[Fact]:
    """What holds for the network with or without containers on it; nothing without a policy."""
    policy = network.policy
    if policy is None:
        return
    name = name_of(network)
    yield Policing(
        name=name,
        chains=(*_routed_chains(network, policy), *_bridged_chains(network, policy)),
        sets=tuple(_sets(network, policy)),
        counters=tuple(
            dict.fromkeys((*(counter_of(network, rule) for rule in policy.rules), counter_of(network, None)))
        ),
    )
    yield Element(table=ROUTED, container="networks", key=_quoted(network.bridge), value=f"jump {name}")


def endpoint_facts(network: Network, member: Member) -> Iterator[Fact]:
    """What one container on the network adds: its port on the bridge, its addresses, the sets it is a member of."""
    endpoint = member.endpoint
    if network.policy is None or not endpoint.host_ifname:
        return
    port, chain = _quoted(endpoint.host_ifname), name_of(network)
    yield Element(table=BRIDGED, container="from_port", key=port, value=f"goto {chain}_from")
    yield Element(table=BRIDGED, container="to_port", key=port, value=f"goto {chain}")
    for interface in _addresses(endpoint):
        yield Element(table=BRIDGED, container=f"origin{interface.version}", key=f"{port} . {interface.ip}")
    yield from _memberships(network, member, network.policy.peers)


def _addresses(endpoint: Endpoint) -> tuple[Interface, ...]:
    return (*endpoint.addresses, *endpoint.link_local)


def _memberships(network: Network, member: Member, peers: Iterable[Peer]) -> Iterator[Element]:
    for peer in peers:
        if not peer.is_container(member.name, member.labels):
            continue
        for interface in _addresses(member.endpoint):
            if interface.version not in _versions(network):
                continue  # a link-local address on a network without that family: no rule speaks of it
            container = _members(network, peer, interface.version)
            for table in (ROUTED, BRIDGED):
                yield Element(table=table, container=container, key=str(interface.ip))


def edit(before: Network, after: Network, members: Iterable[Member]) -> tuple[State, State]:
    """What differs between two policies of a network: (what there is of it, what there shall be).

    Of the containers only those are in it whose memberships change: an edit costs what it changes.
    """
    have, want = set(network_facts(before)), set(network_facts(after))
    listed = tuple(members)
    if before.policy is None or after.policy is None:
        for member in listed:
            have.update(endpoint_facts(before, member))
            want.update(endpoint_facts(after, member))
        return frozenset(have), frozenset(want)
    old, new = set(before.policy.peers), set(after.policy.peers)
    for network, peers, facts in ((before, old - new, have), (after, new - old, want)):
        for member in listed if peers else ():
            facts.update(_memberships(network, member, peers))
    return frozenset(have), frozenset(want)


def _quoted(interface: str) -> str:
    return f'"{interface}"'


# -- sets ---------------------------------------------------------------------------------------------------------


def _digest(peer: Peer) -> str:
    return sha256(peer.text.encode()).hexdigest()[:8]


def _members(network: Network, peer: Peer, version: int) -> str:
    return f"{name_of(network)}_{_digest(peer)}_{version}"


def _names_stem(network: Network, peer: Peer) -> str:
    return f"{name_of(network)}_{_digest(peer)}_names"


def _live(network: Network, peer: Peer, version: int) -> str:
    return f"{name_of(network)}_{_digest(peer)}_live{version}"


def _sets(network: Network, policy: Policy) -> Iterator[PolicySet]:
    for peer in policy.peers:
        for table in (ROUTED, BRIDGED):
            for version in _versions(network):
                kind = f"type {_ADDRESS[version]};"
                if peer.selects:
                    yield PolicySet(table, _members(network, peer, version), kind)
                elif peer.kind is PeerKind.DNS:
                    dynamic = f"{kind} flags dynamic,timeout; size 65536;"
                    yield PolicySet(table, f"{_names_stem(network, peer)}{version}", dynamic)
                    yield PolicySet(table, _live(network, peer, version), dynamic)


def _versions(network: Network) -> tuple[int, ...]:
    return tuple(sorted({subnet.prefix.version for subnet in network.subnets}))


# -- chains -------------------------------------------------------------------------------------------------------


class _Family(NamedTuple):
    """How a table says that the packet may go on, and that its connection was let through before."""

    table: str
    allow: Mapping[bool, str]  # by whether it is an answer
    known: Mapping[int, str]


_ROUTED = _Family(
    ROUTED,
    {False: "return", True: "return"},
    {4: "ct state established,related", 6: "ct state established,related"},
)
_BRIDGED = _Family(
    BRIDGED,
    {False: "goto admitted", True: "goto answered"},
    {version: f"{flow(version)} @flows{version}" for version in (4, 6)},
)


def _routed_chains(network: Network, policy: Policy) -> Iterator[PolicyChain]:
    name = name_of(network)
    yield PolicyChain(ROUTED, name, ("ct direction reply goto " + f"{name}_back", *_rules(network, policy, _ROUTED)))
    yield PolicyChain(ROUTED, f"{name}_back", tuple(_rules(network, policy, _ROUTED, answer=True)))


def _bridged_chains(network: Network, policy: Policy) -> Iterator[PolicyChain]:
    name = name_of(network)
    yield PolicyChain(BRIDGED, f"{name}_from", ("jump genuine", f"goto {name}"))
    yield PolicyChain(BRIDGED, name, _directions(name))
    yield PolicyChain(BRIDGED, f"{name}_ask", tuple(_rules(network, policy, _BRIDGED)))
    yield PolicyChain(BRIDGED, f"{name}_back", tuple(_rules(network, policy, _BRIDGED, answer=True)))


def _directions(name: str) -> tuple[str, ...]:
    """Who began: known from the first packet; of a connection older than the policy, whose port is an ephemeral one."""
    return (
        "jump always",
        f"tcp flags & (syn | ack) == syn goto {name}_ask",
        f"{flow(4)} @flows4 goto {name}_ask",
        f"{flow(4, answer=True)} @flows4 goto {name}_back",
        f"{flow(6)} @flows6 goto {name}_ask",
        f"{flow(6, answer=True)} @flows6 goto {name}_back",
        f"icmp type echo-reply goto {name}_back",
        f"icmpv6 type echo-reply goto {name}_back",
        f"tcp sport 1-32767 tcp dport 32768-65535 goto {name}_back",
        f"goto {name}_ask",
    )


def _rules(network: Network, policy: Policy, family: _Family, *, answer: bool = False) -> Iterator[str]:
    for rule in policy.rules:
        yield from _rule(network, rule, family, answer=answer)
    verdict = family.allow[answer] if policy.default is Action.ALLOW else "drop"
    yield f'counter name "{counter_of(network, None)}" {verdict} comment "default {policy.default}"'


def _rule(network: Network, rule: Rule, family: _Family, *, answer: bool) -> Iterator[str]:
    verdict = family.allow[answer] if rule.action is Action.ALLOW else "drop"
    end = f'counter name "{counter_of(network, rule)}" {verdict} comment "{_comment(rule)}"'
    for version in _rule_versions(network, rule):
        source = _side(network, rule.source, version, "daddr" if answer else "saddr")
        if source is None:
            continue
        for target in _targets(network, rule, version, family, answer=answer):
            for service in _services(rule, version, answer=answer):
                yield " ".join(part for part in (source, target.match, service, target.update, end) if part)


def _rule_versions(network: Network, rule: Rule) -> tuple[int, ...]:
    """0 where the rule says nothing of addresses: it is for whatever packet."""
    free = rule.source.kind is PeerKind.ANY and rule.destination.kind is PeerKind.ANY
    return (0,) if free else _versions(network)


def _side(network: Network, peer: Peer, version: int, field: str) -> str | None:
    """The match on one side's address; None where that side has none of that family."""
    match peer.kind:
        case PeerKind.ANY | PeerKind.DNS:
            return ""
        case PeerKind.NETWORK:
            prefixes = [str(subnet.prefix) for subnet in network.subnets if subnet.prefix.version == version]
            return f"{_IP[version]} {field} {_one_or_set(prefixes)}"
        case PeerKind.NAME | PeerKind.LABEL:
            return f"{_IP[version]} {field} @{_members(network, peer, version)}"
        case PeerKind.CIDR:
            prefix = peer.prefix
            return f"{_IP[version]} {field} {prefix}" if prefix.version == version else None


class _Target(NamedTuple):
    match: str
    update: str = ""


def _targets(network: Network, rule: Rule, version: int, family: _Family, *, answer: bool) -> Iterator[_Target]:
    field = "saddr" if answer else "daddr"
    if rule.destination.kind is not PeerKind.DNS:
        side = _side(network, rule.destination, version, field)
        if side is not None:
            yield _Target(side)
        return
    address = f"{_IP[version]} {field}"
    names, live = f"@{_names_stem(network, rule.destination)}{version}", f"@{_live(network, rule.destination, version)}"
    if rule.action is Action.DENY:
        yield _Target(f"{address} {names}")
        return
    keep = f"update {live} {{ {address} timeout 1d }}"
    yield _Target(f"{address} {names}", keep)
    known = "" if answer else f"{family.known[version]} "
    yield _Target(f"{known}{address} {live}", keep)


def _services(rule: Rule, version: int, *, answer: bool) -> Iterator[str]:
    if not rule.services:
        yield ""
    for protocol, group in groupby(rule.services, key=lambda service: service.protocol):
        spans = list(group)
        if protocol == "icmp":
            yield f"meta l4proto {_ICMP[version]}"
        elif any(not span.low for span in spans):
            yield f"meta l4proto {protocol}"
        else:
            ports = _one_or_set(_joined((span.low, span.high) for span in spans))
            yield f"{protocol} {'sport' if answer else 'dport'} {ports}"


def _joined(spans: Iterable[tuple[int, int]]) -> list[str]:
    """Ranges that overlap or touch made one: nft refuses those that overlap."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(spans):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return [str(low) if low == high else f"{low}-{high}" for low, high in merged]


def _one_or_set(values: list[str]) -> str:
    return values[0] if len(values) == 1 else f"{{ {', '.join(values)} }}"


def _comment(rule: Rule) -> str:
    return _NOT_IN_COMMENTS.sub("?", rule.text)[:_LONGEST_COMMENT]
