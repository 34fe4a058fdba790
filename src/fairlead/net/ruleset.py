"""Our nft table: chains that never change as text, and the sets and maps whose elements say all that varies.

Every packet meets the same few rules, however many networks and ports there are; a change is elements added and
deleted in one transaction. An element's key and value are kept in nft's own text form: fields joined by `` . ``,
interface names in double quotes, prefixes and ranges as ``10.0.0.0/24`` and ``8000-8999``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import NamedTuple

from fairlead.net.judgement import IN, MARK, PEER4, PEER6, PRIORITY
from fairlead.net.state import Add, Change, Element, Remove, Step

FAMILY = "inet"
TABLE = "fairlead"
USER_TABLE = "fairlead-user"

# nft has no "dup" in tables of both families, so one chain has a table of its own in each.
TABLES = (f"{FAMILY} {TABLE}", f"ip {TABLE}", f"ip6 {TABLE}")

_AGAIN_TO = (("ip", PEER4), ("ip6", PEER6))


class Container(NamedTuple):
    """A set, or with a colon in its type a map; ``about`` says of which packets its elements speak."""

    type: str
    about: str
    interval: bool = False


_PORT4, _PORT6 = "ipv4_addr . inet_service", "ipv6_addr . inet_service"

CONTAINERS: Mapping[str, Container] = {
    # Bridges of ours, as ports of the firewall.
    "bridges": Container("ifname", "from and to networks of ours"),
    "same_bridge": Container("ifname . ifname", "between containers of one network, where the host sees them"),
    "no_icc": Container("ifname", "from networks whose containers are kept from each other"),
    "links4": Container(
        "ipv4_addr . ipv4_addr . inet_proto . inet_service",
        "from a container to one that it links to, though ICC is off",
    ),
    "internal": Container("ifname", "from and to networks without a way in or out"),
    "open": Container("nf_proto . ifname", "to any port of networks in mode nat-unprotected"),
    "routed": Container("nf_proto . ifname", "to published ports, and ICMP, of networks in mode routed"),
    "trusted": Container("ifname . ifname", "from trusted interfaces to published ports at a container's address"),
    "direct": Container("ifname", "to published ports at the container's own address (--allow-direct-routing)"),
    "hairpin4": Container("ipv4_addr . ipv4_addr", "from a container to itself, through a port it publishes"),
    "hairpin6": Container("ipv6_addr . ipv6_addr", "from a container to itself, through a port it publishes"),
    "masquerade4": Container("ipv4_addr", "from these subnets, out under the host's address", interval=True),
    "masquerade6": Container("ipv6_addr", "from these subnets, out under the host's address", interval=True),
    "snat4": Container("ipv4_addr : ipv4_addr", "from these subnets, out under the address asked for", interval=True),
    "snat6": Container("ipv6_addr : ipv6_addr", "from these subnets, out under the address asked for", interval=True),
    # Published ports: on every host address, on one; single ports, ranges that keep their numbers.
    "published4": Container(f"inet_proto . inet_service : {_PORT4}", "to a port published on every address"),
    "published6": Container(f"inet_proto . inet_service : {_PORT6}", "to a port published on every address"),
    "published4_at": Container(
        f"ipv4_addr . inet_proto . inet_service : {_PORT4}", "to a port published on one address of the host"
    ),
    "published6_at": Container(
        f"ipv6_addr . inet_proto . inet_service : {_PORT6}", "to a port published on one address of the host"
    ),
    "ranges4": Container(
        "inet_proto . inet_service : ipv4_addr", "to ranges of ports published on every address", interval=True
    ),
    "ranges6": Container(
        "inet_proto . inet_service : ipv6_addr", "to ranges of ports published on every address", interval=True
    ),
    "ranges4_at": Container(
        "ipv4_addr . inet_proto . inet_service : ipv4_addr", "to ranges published on one address", interval=True
    ),
    "ranges6_at": Container(
        "ipv6_addr . inet_proto . inet_service : ipv6_addr", "to ranges published on one address", interval=True
    ),
    "judged4": Container(
        "inet_proto . inet_service", "to published ports about which the host's input rules decide", interval=True
    ),
    "judged6": Container(
        "inet_proto . inet_service", "to published ports about which the host's input rules decide", interval=True
    ),
    "judged4_at": Container(
        "ipv4_addr . inet_proto . inet_service", "the same, published on one address of the host", interval=True
    ),
    "judged6_at": Container(
        "ipv6_addr . inet_proto . inet_service", "the same, published on one address of the host", interval=True
    ),
    "ports4": Container(
        "ipv4_addr . inet_proto . inet_service", "to published ports at the container's own address", interval=True
    ),
    "ports6": Container(
        "ipv6_addr . inet_proto . inet_service", "to published ports at the container's own address", interval=True
    ),
}

# Elements stand last in a set's listing, over as many lines as they need.
_LISTED_ELEMENTS = re.compile(r"\t\telements = \{.*?\}\n", re.DOTALL)

_MARKED = "@marked@"
_LET_IN = "let in by the host's own rules: to be published"
_CHAINS = f"""\
	chain loopback {{
		type filter hook prerouting priority raw; policy accept;
		iif != "lo" ip daddr 127.0.0.0/8 drop comment "our bridges have route_localnet: only the host may use it"
		iif != "lo" ip saddr 127.0.0.0/8 drop comment "from a loopback address, and not from this host: forged"
		iifname "{IN}" meta mark set {MARK} comment "for a strict rp_filter: came in elsewhere"
	}}

	chain forward {{
		type filter hook forward priority filter; policy accept;
		ct state established,related accept comment "answers, and all but the first packet of what was let in"
		iifname "{IN}" meta mark set 0x0 comment "the mark has served"
		iifname . oifname @same_bridge iifname != @no_icc accept comment "neighbours, by br_netfilter or through us"
		ip saddr . ip daddr . meta l4proto . th dport @links4 accept comment "to a linked container, though ICC is off"
		iifname @internal drop comment "from an internal network to elsewhere"
		oifname @internal drop comment "from elsewhere to an internal network"
@marked@		ct state invalid iifname @bridges drop comment "would leave with the container's own address"
		ct status dnat accept comment "published"
		oifname != @bridges accept comment "from containers outwards, and all that is no business of ours"
		meta nfproto . oifname @open accept comment "to a network without a port filter"
		meta nfproto . oifname @routed meta l4proto {{ icmp, ipv6-icmp }} accept comment "ICMP to routed networks"
		ip daddr . meta l4proto . th dport @ports4 jump direct comment "published port at its own address: from whom?"
		ip6 daddr . meta l4proto . th dport @ports6 jump direct comment "published port at its own address: from whom?"
		drop comment "unpublished ports, other networks"
	}}

	chain direct {{
		meta nfproto . oifname @routed accept comment "to routed networks from anywhere"
		iifname . oifname @trusted accept comment "from interfaces that are trusted"
		oifname @direct accept comment "from anywhere, with --allow-direct-routing"
	}}

	chain prerouting {{
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local jump arrive comment "from elsewhere to an address of the host"
	}}

	chain arrive {{
		iifname "{IN}" goto publish comment "let in by the host's own input rules"
		iifname @bridges goto publish comment "from containers: not the host's business"
		meta nfproto ipv4 meta l4proto . th dport @judged4 accept comment "on to the host's input rules"
		meta nfproto ipv6 meta l4proto . th dport @judged6 accept comment "on to the host's input rules"
		ip daddr . meta l4proto . th dport @judged4_at accept comment "on to the host's input rules"
		ip6 daddr . meta l4proto . th dport @judged6_at accept comment "on to the host's input rules"
		goto publish comment "all others"
	}}

	chain input {{
		type filter hook input priority filter + 90; policy accept;
		ct state != new accept comment "of what the host's input rules let in before"
		meta priority {PRIORITY} meta priority set none comment "a mark of ours, made below and nowhere else"
		iifname "{IN}" drop comment "was published a moment ago, and is not any more"
		iifname @bridges accept comment "from containers: not the host's business"
		meta nfproto ipv4 meta l4proto . th dport @judged4 meta priority set {PRIORITY} comment "{_LET_IN}"
		meta nfproto ipv6 meta l4proto . th dport @judged6 meta priority set {PRIORITY} comment "{_LET_IN}"
		ip daddr . meta l4proto . th dport @judged4_at meta priority set {PRIORITY} comment "{_LET_IN}"
		ip6 daddr . meta l4proto . th dport @judged6_at meta priority set {PRIORITY} comment "{_LET_IN}"
	}}

	chain redirects {{
		type filter hook output priority filter; policy accept;
		icmp type redirect oifname @no_icc drop comment "the shorter way it tells of is shut"
	}}

	chain output {{
		type nat hook output priority -100; policy accept;
		fib daddr type local jump publish comment "from the host itself to an address of its own"
	}}

	chain publish {{
		ip6 daddr ::1 return comment "cannot be translated: a listener serves it"
		ip6 saddr fe80::/10 return comment "from link-local addresses: no answer could be routed"
		meta nfproto vmap {{ ipv4 : goto publish4, ipv6 : goto publish6 }} comment "by family"
	}}

	chain publish4 {{
		dnat ip to meta l4proto . th dport map @published4 comment "to a port published on every address"
		dnat ip to ip daddr . meta l4proto . th dport map @published4_at comment "to a port published on this address"
		dnat ip to meta l4proto . th dport map @ranges4 comment "to a range published on every address"
		dnat ip to ip daddr . meta l4proto . th dport map @ranges4_at comment "to a range published on this address"
	}}

	chain publish6 {{
		dnat ip6 to meta l4proto . th dport map @published6 comment "to a port published on every address"
		dnat ip6 to ip6 daddr . meta l4proto . th dport map @published6_at comment "to a port published on this address"
		dnat ip6 to meta l4proto . th dport map @ranges6 comment "to a range published on every address"
		dnat ip6 to ip6 daddr . meta l4proto . th dport map @ranges6_at comment "to a range published on this address"
	}}

	chain postrouting {{
		type nat hook postrouting priority srcnat; policy accept;
		ct status dnat iifname . oifname @same_bridge masquerade comment "hairpin: answers must come back here"
		ip saddr . ip daddr @hairpin4 masquerade comment "the same where br_netfilter hides the interface"
		ip6 saddr . ip6 daddr @hairpin6 masquerade comment "the same where br_netfilter hides the interface"
		oifname @bridges ip saddr 127.0.0.0/8 masquerade comment "from 127.0.0.1 of the host to a published port"
		iifname != @bridges accept comment "not from containers: keeps its source"
		iifname . oifname @same_bridge accept comment "neighbours see each other as they are"
		snat ip to ip saddr map @snat4 comment "from containers outwards, under the address asked for"
		snat ip6 to ip6 saddr map @snat6 comment "from containers outwards, under the address asked for"
		ip saddr @masquerade4 masquerade comment "from containers outwards, under the host's address"
		ip6 saddr @masquerade6 masquerade comment "from containers outwards, under the host's address"
	}}
"""

_AGAIN = """\
table {family} {table} {{
	chain input {{
		type filter hook input priority filter + 91; policy accept;
		meta priority {priority} dup to {to} comment "let in: comes back at {link}, and is published there"
		meta priority {priority} drop comment "its first form has served"
	}}
}}
"""

USER_RULESET = f"""\
table {FAMILY} {USER_TABLE} {{
	chain forward {{
		type filter hook forward priority filter - 10; policy accept;
	}}
}}
"""
"""The administrator's table: made once, empty, and left alone. Its forward chain sees every packet before ours does."""


def static_ruleset(accepted_mark: str = "") -> str:
    """The tables with their chains, sets and maps, and no element.

    ``accepted_mark`` is "mark/mask": packets bearing it go to any network that is not internal.
    """
    sets = "".join(_declaration(name, container) for name, container in CONTAINERS.items())
    chains = _CHAINS.replace(_MARKED, _accept_marked(accepted_mark))
    again = "".join(
        _AGAIN.format(family=family, table=TABLE, priority=PRIORITY, to=to, link=IN) for family, to in _AGAIN_TO
    )
    return f"table {FAMILY} {TABLE} {{\n{sets}{chains}}}\n{again}"


def _accept_marked(text: str) -> str:
    """A rule of its own: a mask is no key of a set."""
    mark, _, mask = text.partition("/")
    return f'\t\tmeta mark & {mask} == {mark} accept comment "marked by the administrator"\n' if text else ""


def _declaration(name: str, container: Container) -> str:
    word = "map" if ":" in container.type else "set"
    flags = "\t\tflags interval\n" if container.interval else ""
    return f'\t{word} {name} {{\n\t\ttype {container.type}\n{flags}\t\tcomment "{container.about}"\n\t}}\n\n'


def load(elements: Iterable[Element], accepted_mark: str = "") -> str:
    """The tables anew, elements included, whatever was there before: one transaction."""
    # add before delete: deleting what is not there fails, and "destroy" needs a newer nft.
    fresh = "".join(f"table {table} {{}}\ndelete table {table}\n" for table in TABLES)
    return fresh + static_ruleset(accepted_mark) + transaction(Add(element) for element in elements)


def transaction(steps: Iterable[Step]) -> str:
    """The steps that are about elements as nft text: deletions first, so that a key may move to a new value."""
    listed = tuple(steps)
    return removals(listed) + additions(listed)


def removals(steps: Iterable[Step]) -> str:
    """What goes, and what a changed key had until now."""
    return "".join(_commands("delete", sorted_out(steps)[0]))


def additions(steps: Iterable[Step]) -> str:
    return "".join(_commands("add", sorted_out(steps)[1]))


def sorted_out(steps: Iterable[Step]) -> tuple[list[Element], list[Element]]:
    """What goes and what comes of elements; one that changes does both."""
    removed: list[Element] = []
    added: list[Element] = []
    for step in steps:
        match step:
            case Add(Element() as element):
                added.append(element)
            case Change(Element() as before, Element() as element):
                removed.append(before)
                added.append(element)
            case Remove(Element() as element):
                removed.append(element)
            case _:
                continue
    return removed, added


def _commands(verb: str, elements: list[Element]) -> Iterator[str]:
    """One command for each set: nft reads a thousand elements in one command twice as fast as in a thousand."""
    for (table, container), group in groupby(sorted(elements, key=_container), key=_container):
        listed = ", ".join(_element(verb, element) for element in group)
        yield f"{verb} element {table} {container} {{ {listed} }}\n"


def _container(element: Element) -> tuple[str, str]:
    return element.table, element.container


def _element(verb: str, element: Element) -> str:
    return f"{element.key} : {element.value}" if element.value and verb == "add" else element.key


def skeleton(listing: str) -> str:
    """``nft list table`` of ours without the elements: the same as after ``load``, unless somebody changed a rule."""
    return _LISTED_ELEMENTS.sub("", listing)
