"""Facts: what can be true of the kernel, and the steps that make one set of facts into another.

A ``State`` is the set of facts of one scope: a network on this host, or one container's sandbox. ``slot`` says which
facts exclude each other: two facts in one slot are the same thing with another value. ``needs`` says which slots must
be there before a fact can be. ``ns`` is "" for the host's network namespace, else the container id of a sandbox.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from fairlead.model.address import Interface, Ip, Prefix

HOST = ""

# Routes, rules and neighbours of ours carry this protocol number, so that they are told from everybody else's
# (rtnetlink(7), rtm_protocol).
ROUTE_PROTOCOL = 200

MAIN_TABLE = 254


class LinkKind(StrEnum):
    BRIDGE = "bridge"
    VETH = "veth"
    MACVLAN = "macvlan"
    IPVLAN = "ipvlan"
    VLAN = "vlan"
    GUEST = "guest"
    LOOPBACK = "loopback"
    IFB = "ifb"


# These stand on another link of the host, their parent, and go when it goes.
ON_PARENT = frozenset({LinkKind.MACVLAN, LinkKind.IPVLAN, LinkKind.VLAN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A network interface.

    A veth pair is one fact on each side; the host's side names its peer (``peer_ns``, ``peer``) and is the one that is
    added: the kernel makes both ends from one message. Of a pair with both ends on the host it is the one whose name
    comes first. ``mac`` "" and ``mtu`` 0 mean whatever the kernel chooses.
    ``alias`` is our mark on host links: ``<container>/<network>`` on a veth, ``<network name>`` on a bridge.
    ``isolated`` is bridge-port isolation (ICC off); ``hairpin`` lets a bridge port send back where it came from.
    ``parent`` names the host's link that a macvlan, ipvlan or VLAN link stands on, whichever namespace it is in;
    ``mode``, ``flag`` and ``vlan`` are that kind's own settings, in the words of ip-link(8).
    A guest is a link that somebody else made on the host, moved into a sandbox: ``peer`` is its name on the host, which
    it gets back when it is removed.
    """

    ns: str
    name: str
    kind: LinkKind
    mtu: int = 0
    mac: str = ""
    master: str = ""
    alias: str = ""
    peer_ns: str = ""
    peer: str = ""
    peer_mac: str = ""
    up: bool = True
    isolated: bool = False
    hairpin: bool = False
    parent: str = ""
    mode: str = ""
    flag: str = ""
    vlan: int = 0
    adopted: bool = False  # not ours: may be set up and addressed, never added or removed


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    ns: str
    link: str
    address: Interface


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route of ours (protocol 200); ``via`` None means on-link. A default route has prefix 0.0.0.0/0 or ::/0."""

    ns: str
    prefix: Prefix
    link: str
    via: Ip | None = None
    source: Ip | None = None
    metric: int = 0
    table: int = MAIN_TABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A policy routing rule of ours (protocol 200), in the family ``version``.

    Packets that match all that is given (``iif`` "" and ``mark`` 0 are any) have their route looked up in ``table``, or
    go on at the rule with priority ``goto``; a rule with neither is a place to go to.
    """

    ns: str
    version: int
    priority: int
    source: Prefix | None = None
    iif: str = ""
    mark: int = 0
    table: int = 0
    goto: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A neighbour of ours (protocol 200) that need not be asked for: this address is at that MAC, permanently."""

    ns: str
    link: str
    address: Ip
    mac: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sysctl:
    """``key`` is the path below /proc/sys with slashes (``net/ipv4/conf/br-1/route_localnet``)."""

    ns: str
    key: str
    value: str


OUR_TABLE = "inet fairlead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Qdisc:
    """What a link sends is held to a rate, delayed, lost: its root queueing discipline (tc-tbf(8), tc-netem(8)).

    ``rate`` is in bits per second, 0 for none; ``burst`` bytes go at once, ``limit`` bytes may wait. ``delay`` and
    ``jitter`` are in microseconds, ``loss`` in millionths of the packets.
    """

    ns: str
    link: str
    rate: int = 0
    burst: int = 0
    limit: int = 0
    delay: int = 0
    jitter: int = 0
    loss: int = 0

    @property
    def impaired(self) -> bool:
        """Whether it takes netem, and not only a rate."""
        return bool(self.delay or self.jitter or self.loss)


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """What comes in by a link passes through another one first (an ifb), and so through that one's Qdisc."""

    ns: str
    link: str
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """An element of a set (``value`` "") or map of a table of ours on the host, in nft's own text form."""

    container: str  # the set's or map's name
    key: str
    value: str = ""
    table: str = OUR_TABLE


class PolicyChain(NamedTuple):
    table: str
    name: str
    rules: tuple[str, ...]


class PolicySet(NamedTuple):
    """``spec`` is what stands between the braces of its declaration."""

    table: str
    name: str
    spec: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Policing:
    """What enforces one network's policy, but for the elements of its sets; every name in it begins with ``name``."""

    name: str
    chains: tuple[PolicyChain, ...] = ()
    sets: tuple[PolicySet, ...] = ()
    counters: tuple[str, ...] = ()  # each in every table of policies


Fact = Link | Address | Route | Rule | Neighbour | Sysctl | Qdisc | Redirect | Element | Policing


def is_policy(fact: Fact) -> bool:
    """Whether it is of the tables of policies."""
    return isinstance(fact, Policing) or (isinstance(fact, Element) and fact.table != OUR_TABLE)


State = frozenset[Fact]
Slot = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Add:
    fact: Fact


@dataclass(frozen=True, slots=True)
class Change:
    """The slot stays, its value changes: ``before`` is what is there now."""

    before: Fact
    fact: Fact


@dataclass(frozen=True, slots=True)
class Remove:
    fact: Fact


Step = Add | Change | Remove


def slot(fact: Fact) -> Slot:
    """Which thing this is a fact about."""
    match fact:
        case Link():
            return ("link", fact.ns, fact.name)
        case Address():
            return ("address", fact.ns, fact.link, str(fact.address))
        case Route():
            return ("route", fact.ns, str(fact.prefix), fact.link, str(fact.metric), str(fact.table))
        case Rule():
            return ("rule", fact.ns, str(fact.version), str(fact.priority))
        case Neighbour():
            return ("neighbour", fact.ns, fact.link, str(fact.address))
        case Sysctl():
            return ("sysctl", fact.ns, fact.key)
        case Qdisc():
            return ("qdisc", fact.ns, fact.link)
        case Redirect():
            return ("redirect", fact.ns, fact.link)
        case Element():
            where = () if fact.table == OUR_TABLE else (fact.table,)
            return ("element", *where, fact.container, fact.key)
        case Policing():
            return ("policy", fact.name)


def makes_pair(link: Link) -> bool:
    """Whether this end of a veth pair is the one that is added, and brings the other along."""
    return link.ns == HOST and (link.peer_ns != HOST or not link.peer or link.name < link.peer)


def needs(fact: Fact) -> Iterator[Slot]:
    """The slots that must be filled before this fact can be added."""
    match fact:
        case Link():
            if fact.master:
                yield ("link", fact.ns, fact.master)
            if fact.parent:
                yield ("link", HOST, fact.parent)
            if fact.kind is LinkKind.VETH and not makes_pair(fact):
                yield ("link", fact.peer_ns, fact.peer)
        case Address():
            yield ("link", fact.ns, fact.link)
        case Route() | Neighbour():
            yield ("link", fact.ns, fact.link)
        case Sysctl():
            parts = fact.key.split("/")
            if len(parts) == 5 and parts[2] in ("conf", "neigh") and parts[3] not in ("all", "default"):
                yield ("link", fact.ns, parts[3])
        case Qdisc():
            yield ("link", fact.ns, fact.link)
        case Redirect():
            yield ("link", fact.ns, fact.link)
            yield ("link", fact.ns, fact.to)
        case Rule() | Element() | Policing():
            return
