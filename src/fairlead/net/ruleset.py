"""Our nft table: chains that never change as text, and the sets and maps whose elements say all that varies.

Every packet meets the same few rules, however many networks and ports there are; a change is elements added and
deleted in one transaction. An element's key and value are kept in nft's own text form: fields joined by `` . ``,
interface names in double quotes, prefixes and ranges as ``10.0.0.0/24`` and ``8000-8999``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from fairlead.net.judgement import IN, MARK, PEER4, PEER6, PRIORITY
from fairlead.net.state import Add, Change, Element, Remove, Step

FAMILY = "inet"
TABLE = "fairlead"
USER_TABLE = "fairlead-user"

# nft has no "dup" in tables of both families, so one chain has a table of its own in each.
TABLES = (f"{FAMILY} {TABLE}", f"ip {TABLE}", f"ip6 {TABLE}")

_AGAIN_TO = (("ip", PEER4), ("ip6", PEER6))

# name -> type, flags. A map's type has a colon.
CONTAINERS: Mapping[str, tuple[str, bool]] = {
    # Bridges of ours, as ports of the firewall.
    "bridges": ("ifname", False),
    "same_bridge": ("ifname . ifname", False),
    "no_icc": ("ifname", False),
    "internal": ("ifname", False),
    "open": ("nf_proto . ifname", False),
    "routed": ("nf_proto . ifname", False),
    "trusted": ("ifname . ifname", False),
    "direct": ("ifname", False),
    # Published containers, as (address, itself): a connection to itself through the host must not look like its own.
    "hairpin4": ("ipv4_addr . ipv4_addr", False),
    "hairpin6": ("ipv6_addr . ipv6_addr", False),
    # Which sources leave under the host's address, or under one that was asked for.
    "masquerade4": ("ipv4_addr", True),
    "masquerade6": ("ipv6_addr", True),
    "snat4": ("ipv4_addr : ipv4_addr", True),
    "snat6": ("ipv6_addr : ipv6_addr", True),
    # Published ports: on every host address, on one; single ports, ranges that keep their numbers.
    "published4": ("inet_proto . inet_service : ipv4_addr . inet_service", False),
    "published6": ("inet_proto . inet_service : ipv6_addr . inet_service", False),
    "published4_at": ("ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service", False),
    "published6_at": ("ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service", False),
    "ranges4": ("inet_proto . inet_service : ipv4_addr", True),
    "ranges6": ("inet_proto . inet_service : ipv6_addr", True),
    "ranges4_at": ("ipv4_addr . inet_proto . inet_service : ipv4_addr", True),
    "ranges6_at": ("ipv6_addr . inet_proto . inet_service : ipv6_addr", True),
    # Published ports about which the host's own input rules decide first.
    "judged4": ("inet_proto . inet_service", True),
    "judged6": ("inet_proto . inet_service", True),
    "judged4_at": ("ipv4_addr . inet_proto . inet_service", True),
    "judged6_at": ("ipv6_addr . inet_proto . inet_service", True),
    # Container ports that may be reached at the container's own address (routed mode, trusted interfaces).
    "ports4": ("ipv4_addr . inet_proto . inet_service", True),
    "ports6": ("ipv6_addr . inet_proto . inet_service", True),
}

# Elements stand last in a set's listing, over as many lines as they need.
_LISTED_ELEMENTS = re.compile(r"\t\telements = \{.*?\}\n", re.DOTALL)

_MARKED = "@marked@"
_CHAINS = f"""\
	chain loopback {{
		type filter hook prerouting priority raw; policy accept;
		iif != "lo" ip daddr 127.0.0.0/8 drop comment "our bridges have route_localnet: only the host may use it"
		iif != "lo" ip saddr 127.0.0.0/8 drop
		iifname "{IN}" meta mark set {MARK} comment "for a strict rp_filter: came in elsewhere"
	}}

	chain forward {{
		type filter hook forward priority filter; policy accept;
		ct state established,related accept
		iifname "{IN}" meta mark set 0x0
		iifname . oifname @same_bridge iifname != @no_icc accept
		iifname @internal drop
		oifname @internal drop
@marked@		ct state invalid iifname @bridges drop comment "would leave with the container's own address"
		ct status dnat accept comment "published"
		oifname != @bridges accept
		meta nfproto . oifname @open accept
		meta nfproto . oifname @routed meta l4proto {{ icmp, ipv6-icmp }} accept
		ip daddr . meta l4proto . th dport @ports4 jump direct
		ip6 daddr . meta l4proto . th dport @ports6 jump direct
		drop comment "unpublished ports, other networks"
	}}

	chain direct {{
		meta nfproto . oifname @routed accept
		iifname . oifname @trusted accept
		oifname @direct accept
	}}

	chain prerouting {{
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local jump arrive
	}}

	chain arrive {{
		iifname "{IN}" goto publish comment "let in by the host's own input rules"
		iifname @bridges goto publish comment "from containers: not the host's business"
		meta nfproto ipv4 meta l4proto . th dport @judged4 accept comment "on to the host's input rules"
		meta nfproto ipv6 meta l4proto . th dport @judged6 accept
		ip daddr . meta l4proto . th dport @judged4_at accept
		ip6 daddr . meta l4proto . th dport @judged6_at accept
		goto publish
	}}

	chain input {{
		type filter hook input priority filter + 90; policy accept;
		ct state != new accept
		meta priority {PRIORITY} meta priority set none comment "a mark of ours, made below and nowhere else"
		iifname "{IN}" drop comment "was published a moment ago, and is not any more"
		iifname @bridges accept
		meta nfproto ipv4 meta l4proto . th dport @judged4 meta priority set {PRIORITY}
		meta nfproto ipv6 meta l4proto . th dport @judged6 meta priority set {PRIORITY}
		ip daddr . meta l4proto . th dport @judged4_at meta priority set {PRIORITY}
		ip6 daddr . meta l4proto . th dport @judged6_at meta priority set {PRIORITY}
	}}

	chain output {{
		type nat hook output priority -100; policy accept;
		fib daddr type local jump publish
	}}

	chain publish {{
		ip6 daddr ::1 return comment "cannot be translated: a listener serves it"
		ip6 saddr fe80::/10 return
		meta nfproto vmap {{ ipv4 : goto publish4, ipv6 : goto publish6 }}
	}}

	chain publish4 {{
		dnat ip to meta l4proto . th dport map @published4
		dnat ip to ip daddr . meta l4proto . th dport map @published4_at
		dnat ip to meta l4proto . th dport map @ranges4
		dnat ip to ip daddr . meta l4proto . th dport map @ranges4_at
	}}

	chain publish6 {{
		dnat ip6 to meta l4proto . th dport map @published6
		dnat ip6 to ip6 daddr . meta l4proto . th dport map @published6_at
		dnat ip6 to meta l4proto . th dport map @ranges6
		dnat ip6 to ip6 daddr . meta l4proto . th dport map @ranges6_at
	}}

	chain postrouting {{
		type nat hook postrouting priority srcnat; policy accept;
		ct status dnat iifname . oifname @same_bridge masquerade comment "hairpin: answers must come back here"
		ip saddr . ip daddr @hairpin4 masquerade comment "the same where br_netfilter hides the interface"
		ip6 saddr . ip6 daddr @hairpin6 masquerade
		oifname @bridges ip saddr 127.0.0.0/8 masquerade
		iifname != @bridges accept
		iifname . oifname @same_bridge accept
		snat ip to ip saddr map @snat4
		snat ip6 to ip6 saddr map @snat6
		ip saddr @masquerade4 masquerade
		ip6 saddr @masquerade6 masquerade
	}}
"""

_AGAIN = """\
table {family} {table} {{
	chain input {{
		type filter hook input priority filter + 91; policy accept;
		meta priority {priority} dup to {to} comment "let in: comes back at {link}, and is published there"
		meta priority {priority} drop
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
    sets = "".join(_declaration(name, *kind) for name, kind in CONTAINERS.items())
    chains = _CHAINS.replace(_MARKED, _accept_marked(accepted_mark))
    again = "".join(
        _AGAIN.format(family=family, table=TABLE, priority=PRIORITY, to=to, link=IN) for family, to in _AGAIN_TO
    )
    return f"table {FAMILY} {TABLE} {{\n{sets}{chains}}}\n{again}"


def _accept_marked(text: str) -> str:
    """A rule of its own: a mask is no key of a set."""
    mark, _, mask = text.partition("/")
    return f'\t\tmeta mark & {mask} == {mark} accept comment "marked by the administrator"\n' if text else ""


def _declaration(name: str, kind: str, interval: bool) -> str:
    word = "map" if ":" in kind else "set"
    flags = "\t\tflags interval\n" if interval else ""
    return f"\t{word} {name} {{\n\t\ttype {kind}\n{flags}\t}}\n\n"


def load(elements: Iterable[Element], accepted_mark: str = "") -> str:
    """The tables anew, elements included, whatever was there before: one transaction."""
    # add before delete: deleting what is not there fails, and "destroy" needs a newer nft.
    fresh = "".join(f"table {table} {{}}\ndelete table {table}\n" for table in TABLES)
    return fresh + static_ruleset(accepted_mark) + transaction(Add(element) for element in elements)


def transaction(steps: Iterable[Step]) -> str:
    """The steps that are about elements as nft text: deletions first, so that a key may move to a new value."""
    removed, added = sorted_out(steps)
    return "".join((*_commands("delete", removed), *_commands("add", added)))


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
    for container, group in groupby(sorted(elements, key=_container), key=_container):
        listed = ", ".join(_element(verb, element) for element in group)
        yield f"{verb} element {FAMILY} {TABLE} {container} {{ {listed} }}\n"


def _container(element: Element) -> str:
    return element.container


def _element(verb: str, element: Element) -> str:
    return f"{element.key} : {element.value}" if element.value and verb == "add" else element.key


def skeleton(listing: str) -> str:
    """``nft list table`` of ours without the elements: the same as after ``load``, unless somebody changed a rule."""
    return _LISTED_ELEMENTS.sub("", listing)
