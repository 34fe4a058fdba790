"""The two tables of policies as text: the part that is the same for all, and what one network's part becomes.

They are there only while some network has a policy: a host without one pays nothing for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from fairlead.net.state import Policing

ROUTED = "inet fairlead-policy"
BRIDGED = "bridge fairlead-policy"
TABLES = (ROUTED, BRIDGED)
TABLE = "fairlead-policy"

# A network's chains, sets and counters: p and the short id.
_NETWORK = re.compile(r"p[0-9a-f]{12}(?=_|\Z)")
# Filled by packets and by the resolver process, not by us.
_VOLATILE = re.compile(r"(?:flows|closing)[46]\Z|.*_(?:names|live)[46]\Z")

# Says that a packet met its rules inside the bridge: br_netfilter, where it is on, shows it to the IP hooks as well.
_SEEN = "0x10000000"
# On what the resolver process relays to a container for somebody outside: published ports that cannot be translated.
_RELAYED = "0x20000000"


def flow(version: int, *, answer: bool = False) -> str:
    """A connection as who began would say it, in the fields of a packet."""
    ip = {4: "ip", 6: "ip6"}[version]
    if answer:
        return f"{ip} daddr . {ip} saddr . meta l4proto . th dport . th sport"
    return f"{ip} saddr . {ip} daddr . meta l4proto . th sport . th dport"


# Neighbour and router discovery, multicast listeners (RFC 4890 4.4.1): a link does not work without them.
_DISCOVERY = "{ 130-137, 143, 148-149 }"
_ERRORS4 = "{ destination-unreachable, time-exceeded, parameter-problem }"
_ERRORS6 = "{ destination-unreachable, packet-too-big, time-exceeded, parameter-problem }"


def network_of(name: str) -> str:
    """Which network's policy a chain, set or counter belongs to; "" for what is the same for all."""
    found = _NETWORK.match(name)
    return found[0] if found else ""


def is_volatile(name: str) -> bool:
    """Whether a set's elements come and go without us."""
    return _VOLATILE.match(name) is not None


def _flows(kind: str) -> str:
    return f"type {kind} . {kind} . inet_proto . inet_service . inet_service; size 262144; flags dynamic,timeout;"


# (table, set or map, name) -> what stands between its braces.
_SETS: Mapping[tuple[str, str, str], str] = {
    (ROUTED, "map", "networks"): "type ifname : verdict;",
    (BRIDGED, "map", "from_port"): "type ifname : verdict;",
    (BRIDGED, "map", "to_port"): "type ifname : verdict;",
    (BRIDGED, "set", "origin4"): "type ifname . ipv4_addr;",
    (BRIDGED, "set", "origin6"): "type ifname . ipv6_addr;",
    (BRIDGED, "set", "flows4"): _flows("ipv4_addr"),
    (BRIDGED, "set", "flows6"): _flows("ipv6_addr"),
    (BRIDGED, "set", "closing4"): _flows("ipv4_addr"),
    (BRIDGED, "set", "closing6"): _flows("ipv6_addr"),
}


def _remembered(*, answer: bool) -> tuple[str, ...]:
    """A packet that may go on, and its connection, kept as long as it is used: a day, or shortly after its end."""
    return (*(rule for version in (4, 6) for rule in _remember(version, flow(version, answer=answer))), "accept")


def _remember(version: int, key: str) -> tuple[str, ...]:
    flows, closing = f"@flows{version}", f"@closing{version}"
    ended = f"update {flows} {{ {key} timeout 20s }} update {closing} {{ {key} timeout 20s }}"
    return (
        f"tcp flags & (fin | rst) != 0 {ended} accept",
        f"tcp flags & (syn | ack) == syn update {flows} {{ {key} timeout 1m }} delete {closing} {{ {key} }} accept",
        f"{key} {closing} accept",
        f"meta l4proto tcp update {flows} {{ {key} timeout 1d }} accept",
        f"meta l4proto {{ udp, sctp }} update {flows} {{ {key} timeout 30s }} accept",
    )


# (table, chain) -> its hook, "" for none; its rules.
_CHAINS: Mapping[tuple[str, str], tuple[str, tuple[str, ...]]] = {
    (ROUTED, "forward"): (
        "type filter hook forward priority filter - 5; policy accept;",
        (
            f'meta mark & {_SEEN} != 0 meta mark set meta mark & 0xefffffff accept comment "met its rules there"',
            'ct state related meta l4proto { icmp, ipv6-icmp } accept comment "errors of what was let through"',
            "iifname vmap @networks",
            "oifname vmap @networks",
        ),
    ),
    (ROUTED, "input"): (
        "type filter hook input priority filter - 5; policy accept;",
        (
            'ct direction reply accept comment "the host itself may speak to its containers"',
            "ct state related meta l4proto { icmp, ipv6-icmp } accept",
            f"icmpv6 type {_DISCOVERY} accept",
            "iifname vmap @networks",
        ),
    ),
    (ROUTED, "output"): (
        "type filter hook output priority filter - 5; policy accept;",
        (f'meta mark & {_RELAYED} != 0 oifname vmap @networks comment "the host as somebody\'s listener"',),
    ),
    (BRIDGED, "admitted"): ("", _remembered(answer=False)),
    (BRIDGED, "answered"): ("", _remembered(answer=True)),
    (BRIDGED, "genuine"): (
        "",
        (
            f"icmpv6 type {_DISCOVERY} return",
            'iifname . ip saddr != @origin4 drop comment "not its own address"',
            "iifname . ip6 saddr != @origin6 drop",
        ),
    ),
    (BRIDGED, "always"): (
        "",
        (
            "ether type arp accept",
            f"meta mark set meta mark | {_SEEN}",
            f"icmpv6 type {_DISCOVERY} accept",
            'ip6 daddr fe80::/10 drop comment "addresses that no rule can name"',
            'ip frag-off & 0x1fff == 1 meta l4proto tcp drop comment "hides the flags from us (RFC 1858)"',
            'ip frag-off & 0x1fff != 0 accept comment "useless without the first fragment"',
            "frag frag-off != 0 accept",
            f"icmp type {_ERRORS4} accept",
            f"icmpv6 type {_ERRORS6} accept",
        ),
    ),
    (BRIDGED, "forward"): (
        "type filter hook forward priority filter; policy accept;",
        ("iifname vmap @from_port", "oifname vmap @to_port"),
    ),
}


# -- text -----------------------------------------------------------------------------------------------------------


def base() -> str:
    """Both tables with what is the same for all networks; what is there already stays, rules are written anew."""
    declared = [f"add table {table}\n" for table in TABLES]
    declared += [f"add {word} {table} {name} {{ {spec} }}\n" for (table, word, name), spec in _SETS.items()]
    for (table, name), (hook, _) in _CHAINS.items():
        declared += [f"add chain {table} {name} {{ {hook} }}\n" if hook else f"add chain {table} {name}\n"]
        declared += [f"flush chain {table} {name}\n"]
    rules = [f"add rule {table} {name} {rule}\n" for (table, name), (_, listed) in _CHAINS.items() for rule in listed]
    return "".join((*declared, *rules))


def drop_tables() -> str:
    return "".join(f"add table {table}\ndelete table {table}\n" for table in TABLES)


Names = Iterable[tuple[str, str, str]]
"""(chain, set or counter; table; name)."""


def written(policing: Policing, there: Names = (), known: Policing | None = None) -> str:
    """One network's part as it shall be. ``there`` are the names of it that the tables have: what is stale goes.

    Sets that stay keep their elements, counters their counts; chains that are as in ``known`` are left alone.
    """
    have = set(there)
    same = set(known.chains) if known is not None else set()
    chains = [chain for chain in policing.chains if chain not in same or ("chain", *chain[:2]) not in have]
    counters = [("counter", table, name) for name in policing.counters for table in TABLES]
    lines = [f"add counter {table} {name}" for word, table, name in counters if (word, table, name) not in have]
    # A set's name says its type: one that is there is the right one. Declaring it again would cost as much as a rule.
    lines += [f"add set {t} {name} {{ {spec} }}" for t, name, spec in policing.sets if ("set", t, name) not in have]
    for table, name, _ in chains:
        lines += [f"add chain {table} {name}", f"flush chain {table} {name}"]
    lines += [f"add rule {table} {name} {rule}" for table, name, rules in chains for rule in rules]
    lines += _deletions(have - set(names(policing)))
    return "".join(f"{line}\n" for line in lines)


def erased(there: Names) -> str:
    """All of one network's part gone; no element of a map may lead to its chains any more."""
    return "".join(f"{line}\n" for line in _deletions(set(there)))


def names(policing: Policing) -> Iterator[tuple[str, str, str]]:
    """(word, table, name) of all that it has in the tables."""
    yield from (("chain", chain.table, chain.name) for chain in policing.chains)
    yield from (("set", each.table, each.name) for each in policing.sets)
    yield from (("counter", table, name) for name in policing.counters for table in TABLES)


def _deletions(stale: set[tuple[str, str, str]]) -> list[str]:
    """Chains are emptied before any of them goes (they lead to each other); then what their rules named."""
    chains = sorted(entry for entry in stale if entry[0] == "chain")
    rest = sorted(entry for entry in stale if entry[0] != "chain")
    return [
        *(f"flush chain {table} {name}" for _, table, name in chains),
        *(f"delete {word} {table} {name}" for word, table, name in (*chains, *rest)),
    ]
