"""Policies: which packets may cross a network, and between whom.

Rules are read in their order and the first that matches decides; what none matches is decided by the default. A rule
speaks of the first packet of a connection: answers belong to it, and need no rule of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from ipaddress import ip_network

from fairlead.model.address import Prefix


class Action(StrEnum):
    ALLOW = "allow"
    DENY = "deny"


class PeerKind(StrEnum):
    """How one side of a rule is named. ``any`` is everybody, ``network`` every container of this network."""

    ANY = "any"
    NETWORK = "network"
    NAME = "name"
    LABEL = "label"
    CIDR = "cidr"
    DNS = "dns"


@dataclass(frozen=True, slots=True)
class Peer:
    """One side of a rule. ``value`` is a container's name, ``key`` or ``key=value``, a prefix, or a name in DNS.

    A DNS name may begin with ``*.``: every name below it, but not the name itself.
    """

    kind: PeerKind = PeerKind.ANY
    value: str = ""

    @property
    def text(self) -> str:
        return f"{self.kind}:{self.value}" if self.value else str(self.kind)

    @property
    def prefix(self) -> Prefix:
        """Of a CIDR."""
        return ip_network(self.value)

    @property
    def selects(self) -> bool:
        """Whether containers are chosen by what they are called: the addresses of those are kept in sets."""
        return self.kind in (PeerKind.NAME, PeerKind.LABEL)

    def is_container(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether a container of that name and with those labels is chosen."""
        if self.kind is PeerKind.NAME:
            return self.value == name
        if self.kind is PeerKind.LABEL:
            key, equals, value = self.value.partition("=")
            return key in labels and (not equals or labels[key] == value)
        return False


ANYBODY = Peer()


@dataclass(frozen=True, slots=True, order=True)
class Service:
    """Ports ``low`` to ``high`` of a protocol (tcp, udp, sctp), or with 0 and 0 all of it (icmp has no ports)."""

    protocol: str
    low: int = 0
    high: int = 0

    @property
    def text(self) -> str:
        if not self.low:
            return self.protocol
        span = str(self.low) if self.low == self.high else f"{self.low}-{self.high}"
        return f"{span}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may, or may not, speak to whom. Without ``services`` every protocol is meant."""

    action: Action
    source: Peer = ANYBODY
    destination: Peer = ANYBODY
    services: tuple[Service, ...] = ()

    @property
    def text(self) -> str:
        """The rule as it may be typed; two rules with the same text are the same."""
        ports = f" port={','.join(service.text for service in self.services)}" if self.services else ""
        return f"{self.action} from={self.source.text} to={self.destination.text}{ports}"

    @property
    def id(self) -> str:
        """Follows from what the rule says, so that its counters stay when others come and go around it."""
        return sha256(self.text.encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Policy:
    default: Action = Action.ALLOW
    rules: tuple[Rule, ...] = ()

    @property
    def peers(self) -> tuple[Peer, ...]:
        """Every side of every rule, once."""
        return tuple(dict.fromkeys(peer for rule in self.rules for peer in (rule.source, rule.destination)))


@dataclass(frozen=True, slots=True)
class Count:
    """What a rule decided so far, answers included."""

    packets: int = 0
    octets: int = 0


@dataclass(frozen=True, slots=True)
class PolicyView:
    """A policy with its counters: by rule id, and those of the default."""

    policy: Policy
    counts: Mapping[str, Count]
    default: Count = Count()
