"""What there is: the facts of the host and of sandboxes that are ours, and what else the host has."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address

from fairlead.kernel import netns, shaping, sysctl
from fairlead.kernel.ledger import Ledger
from fairlead.kernel.netlink.codec import LinkInfo, RouteInfo
from fairlead.kernel.netlink.connection import Netlink
from fairlead.kernel.netns import Namespace
from fairlead.kernel.reaper import CONDEMNED, CONDEMNED_BRIDGES, CONDEMNED_PREFIX
from fairlead.kernel.wiring import OUR_GROUP
from fairlead.model.address import Ip, Prefix
from fairlead.model.host import HostFacts
from fairlead.net import judgement
from fairlead.net.state import (
    HOST,
    ON_PARENT,
    ROUTE_PROTOCOL,
    Address,
    Fact,
    Link,
    LinkKind,
    Neighbour,
    Route,
    Rule,
    Sysctl,
)

_KINDS = frozenset(kind.value for kind in LinkKind)
_ON_PARENT = frozenset(kind.value for kind in ON_PARENT)

# Links that lead from a sandbox to a link of the host.
FAR_KINDS = frozenset({LinkKind.VETH.value, *_ON_PARENT})

_OUR_NAMES = re.compile(rf"(veth|ifb)[0-9a-f]{{7}}\Z|br-[0-9a-f]{{12}}\Z|{judgement.IN}\Z|{judgement.OUT}\Z")
_RESOLV_CONF = "/etc/resolv.conf"

# Peer of a host link: (container, name there), ("", "") where it leads to none of ours.
PeerOf = Callable[[LinkInfo], tuple[str, str]]


def is_ours(link: LinkInfo) -> bool:
    """Whether a host link bears our mark: the group, or the alias under a name as we give them."""
    if link.kind in _ON_PARENT:
        return link.group == OUR_GROUP
    if link.group in (CONDEMNED, CONDEMNED_BRIDGES) or link.kind not in ("veth", "bridge", "ifb"):
        return False
    return link.group == OUR_GROUP or (bool(link.alias) and _OUR_NAMES.match(link.name) is not None)


def host_links(links: Iterable[LinkInfo], ledger: Ledger, peer_of: PeerOf) -> Iterator[Link]:
    known = list(links)
    names = {link.index: link.name for link in known}
    for link in known:
        asked = ledger.links.get((HOST, link.name))
        if is_ours(link) or (asked is not None and asked.adopted):
            peer_ns, peer = peer_of(link) if link.kind == "veth" else ("", "")
            fact = _fact(HOST, link, names.get(link.master, ""), peer_ns, peer)
            yield ledger.in_our_terms(_standing(fact, link, names.get(link.peer_index, "")))


def sandbox_links(
    ns_id: str, links: Iterable[LinkInfo], host: Mapping[int, LinkInfo], ledger: Ledger
) -> Iterator[Link]:
    """What we put into a sandbox: one end of pairs of ours, what stands on a host link, ifbs, guests.

    And links of others, taken as they are.
    """
    for link in links:
        asked = ledger.links.get((ns_id, link.name))
        if asked is not None and asked.adopted:
            yield replace(asked, up=link.up)
            continue
        if asked is not None and asked.kind is LinkKind.GUEST:
            yield replace(ledger.in_our_terms(_fact(ns_id, link, "", HOST, asked.peer)), kind=LinkKind.GUEST)
            continue
        if link.kind == "ifb" and link.group == OUR_GROUP:
            yield ledger.in_our_terms(_fact(ns_id, link, "", "", ""))
        far = host.get(link.peer_index)
        if link.kind in _ON_PARENT and is_ours(link):
            fact = _fact(ns_id, link, "", "", "")
            yield ledger.in_our_terms(_standing(fact, link, "" if far is None else far.name))
            continue
        paired = far is not None and far.peer_index == link.index and is_ours(far)
        if link.kind == "veth" and far is not None and paired and not link.name.startswith(CONDEMNED_PREFIX):
            yield ledger.in_our_terms(_fact(ns_id, link, "", HOST, far.name))


def _standing(fact: Link, link: LinkInfo, parent: str) -> Link:
    """With what a link that stands on ``parent`` has of its own."""
    if link.kind not in _ON_PARENT:
        return fact
    mode, flag, vlan = link.nature
    return replace(fact, parent=parent, mode=mode, flag=flag, vlan=vlan)


def _fact(ns_id: str, link: LinkInfo, master: str, peer_ns: str, peer: str) -> Link:
    return Link(
        ns=ns_id,
        name=link.name,
        kind=LinkKind(link.kind) if link.kind in _KINDS else LinkKind.LOOPBACK,
        mtu=link.mtu,
        mac=link.mac,
        master=master,
        alias=link.alias,
        peer_ns=peer_ns,
        peer=peer,
        up=link.up,
        isolated=link.isolated,
        hairpin=link.hairpin,
    )


def addresses(ns_id: str, netlink: Netlink, names: Mapping[int, str], ledger: Ledger) -> Iterator[Address]:
    """The addresses that we gave to those links: marked with our protocol (Linux 5.18), or known from the ledger."""
    for found in netlink.addresses():
        name = names.get(found.index)
        if name is None:
            continue
        if found.protocol == ROUTE_PROTOCOL or (ns_id, name, found.address) in ledger.addresses:
            yield Address(ns=ns_id, link=name, address=found.address)


def routes(ns_id: str, netlink: Netlink, names: Mapping[int, str]) -> Iterator[Route]:
    for found in netlink.routes(ROUTE_PROTOCOL):
        if found.index in names:
            yield Route(
                ns=ns_id,
                prefix=found.prefix,
                link=names[found.index],
                via=found.via,
                source=found.source,
                metric=found.metric,
                table=found.table,
            )


def rules(ns_id: str, netlink: Netlink) -> Iterator[Rule]:
    for found in netlink.rules(ROUTE_PROTOCOL):
        yield Rule(
            ns=ns_id,
            version=found.version,
            priority=found.priority,
            source=found.source,
            iif=found.iif,
            mark=found.mark,
            table=found.table,
            goto=found.goto,
        )


def neighbours(ns_id: str, netlink: Netlink, names: Mapping[int, str]) -> Iterator[Neighbour]:
    for found in netlink.neighbours(ROUTE_PROTOCOL):
        if found.index in names and found.address is not None:
            yield Neighbour(ns=ns_id, link=names[found.index], address=found.address, mac=found.mac)


def sysctls(ns_id: str, ns: Namespace, ledger: Ledger) -> Iterator[Sysctl]:
    """The keys that we set and their values now, in the terms in which they were set."""
    asked = {key: value for (owner, key), value in ledger.sysctls.items() if owner == ns_id}
    if not asked:
        return
    seen = _read_all(asked) if ns_id == HOST else netns.run_in(ns, lambda: _read_all(asked))
    for key, value in seen.items():
        same = sysctl.normal(value) == sysctl.normal(asked[key])
        yield Sysctl(ns=ns_id, key=key, value=asked[key] if same else value)


def _read_all(keys: Iterable[str]) -> dict[str, str]:
    return {key: value for key in keys if (value := sysctl.read(key)) is not None}


def scope(
    ns_id: str, ns: Namespace, ours: Collection[Link], links: Collection[LinkInfo], ledger: Ledger
) -> Iterator[Fact]:
    """All facts of a namespace but its firewall, given our links and all that it has."""
    known = {link.name for link in ours}
    yield from ours
    names = {link.index: link.name for link in links if link.name in known}
    yield from addresses(ns_id, ns.netlink, names, ledger)
    yield from routes(ns_id, ns.netlink, names)
    yield from rules(ns_id, ns.netlink)
    yield from neighbours(ns_id, ns.netlink, names)
    yield from shaping.observed(ns_id, ns.netlink, links, names, ledger)
    yield from sysctls(ns_id, ns, ledger)


def host_facts(netlink: Netlink, links: Sequence[LinkInfo]) -> HostFacts:
    """Of these links and what is on them."""
    mtus = {link.index: link.mtu for link in links}
    routes = [route for route in netlink.unicast_routes() if route.index in mtus or not route.index]
    defaults = [mtus[route.index] for route in routes if not route.prefix.prefixlen and route.index in mtus]
    return HostFacts(
        routes=_destinations(routes),
        links=tuple(link.name for link in links),
        addresses=tuple(entry.address for entry in netlink.addresses() if entry.index in mtus),
        default_mtu=defaults[0] if defaults else 1500,
        ipv6=os.path.exists("/proc/sys/net/ipv6"),
        nameservers=tuple(nameservers(resolv_conf())),
    )


def _destinations(routes: Iterable[RouteInfo]) -> tuple[Prefix, ...]:
    prefixes: set[Prefix] = {route.prefix for route in routes if route.prefix.prefixlen}
    return tuple(sorted(prefixes, key=lambda prefix: (prefix.version, prefix)))


def resolv_conf() -> str:
    try:
        with open(_RESOLV_CONF, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def nameservers(resolv_conf: str) -> Iterator[Ip]:
    for line in resolv_conf.splitlines():
        match line.split():
            case ["nameserver", text, *_]:
                try:
                    yield ip_address(text.partition("%")[0])
                except ValueError:
                    continue
