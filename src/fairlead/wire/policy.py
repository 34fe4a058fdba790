"""Policies: the rule grammar of the command line, and Docker-style JSON, -> model; model -> JSON.

allow from=PEER to=PEER port=PORTS
PEER   any | network | name:CONTAINER | label:KEY | label:KEY=VALUE | cidr:PREFIX | dns:NAME | dns:*.NAME
PORTS  PORT[-PORT][/tcp|/udp|/sctp] | tcp | udp | sctp | icmp, separated by commas
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_network
from typing import Any

import msgspec

from fairlead.errors import InvalidArgument
from fairlead.model.policy import ANYBODY, Action, Count, Peer, PeerKind, Policy, PolicyView, Rule, Service
from fairlead.wire import body

MOST_RULES = 500

_ACTIONS = "allow or deny"
_PEERS = "any, network, name:CONTAINER, label:KEY[=VALUE], cidr:PREFIX or dns:[*.]NAME"
_PORTED = ("tcp", "udp", "sctp")
_PROTOCOLS = (*_PORTED, "icmp")
_WORDS = "from=, to=, port= or proto="

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,241}\Z")
_LABEL_KEY = re.compile(r"[^\s=\x00-\x1f\x7f]{1,256}\Z")
_LABEL_VALUE = re.compile(r"[^\x00-\x1f\x7f]{0,1024}\Z")
_DNS = re.compile(
    r"(\*\.)?(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\Z"
)
_PORT = re.compile(r"(\d+)(?:-(\d+))?(?:/(\w+))?\Z", re.ASCII)


class RuleBody(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    action: str = ""
    source: str = msgspec.field(default="any", name="From")
    destination: str = msgspec.field(default="any", name="To")
    ports: tuple[str, ...] = ()


class PolicyBody(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    default: str = ""
    rules: tuple[RuleBody, ...] = ()


# -- JSON ---------------------------------------------------------------------------------------------------------


def parse_policy(text: bytes) -> Policy:
    """PUT /fairlead/networks/{id}/policy; raises InvalidArgument naming the rule and the word."""
    given = body.parse(text, PolicyBody)
    if not given.default:
        raise InvalidArgument(f"invalid policy: Default is missing: say {_ACTIONS}")
    default = parse_action(given.default, "Default")
    return checked(default, [_rule(number, each) for number, each in enumerate(given.rules, 1)])


def checked(default: Action, rules: Iterable[Rule]) -> Policy:
    """A policy of these; raises InvalidArgument for a rule that is there twice, and for too many."""
    known: set[str] = set()
    listed = tuple(rules)
    for rule in listed:
        if rule.text in known:
            raise InvalidArgument(f"invalid policy: the rule {rule.text!r} is there twice")
        known.add(rule.text)
    if len(listed) > MOST_RULES:
        raise InvalidArgument(f"invalid policy: {len(listed)} rules: at most {MOST_RULES}, each packet passes them all")
    return Policy(default, listed)


def _rule(number: int, given: RuleBody) -> Rule:
    where = f"rule {number}"
    if not given.action:
        raise InvalidArgument(f"invalid policy: {where}: Action is missing: say {_ACTIONS}")
    action = parse_action(given.action, f"{where}: Action")
    source = parse_peer(given.source, f"{where}: From")
    destination = parse_peer(given.destination, f"{where}: To")
    return _fitting(Rule(action, source, destination, _services(given.ports, f"{where}: Ports")), where)


def policy_entry(view: PolicyView) -> dict[str, Any]:
    """GET /fairlead/networks/{id}/policy: what PUT takes, with ids and counters."""
    return {
        "Default": str(view.policy.default),
        "DefaultPackets": view.default.packets,
        "DefaultBytes": view.default.octets,
        "Rules": [_counted(rule, view.counts.get(rule.id, Count())) for rule in view.policy.rules],
    }


def _counted(rule: Rule, count: Count) -> dict[str, Any]:
    return {**rule_entry(rule), "Packets": count.packets, "Bytes": count.octets}


def policy_body(policy: Policy) -> dict[str, Any]:
    """What PUT takes, and inspect shows."""
    return {"Default": str(policy.default), "Rules": [rule_entry(rule) for rule in policy.rules]}


def rule_entry(rule: Rule) -> dict[str, Any]:
    return {
        "Id": rule.id,
        "Action": str(rule.action),
        "From": rule.source.text,
        "To": rule.destination.text,
        "Ports": [service.text for service in rule.services],
    }


# -- words --------------------------------------------------------------------------------------------------------


def parse_rule(text: str, action: Action | None = None) -> Rule:
    """A rule as typed; its first word is the action unless that is given. Raises InvalidArgument naming the word."""
    words = text.split()
    if action is None:
        if not words:
            raise InvalidArgument(f"invalid rule: it is empty: begin with {_ACTIONS}")
        action = parse_action(words.pop(0), "the first word")
    if not words:
        raise InvalidArgument(f"invalid rule: nothing is said of whom or what: add {_WORDS}")
    return _fitting(_rule_of(action, words), f"{text!r}")


def _rule_of(action: Action, words: list[str]) -> Rule:
    given: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key not in ("from", "to", "port", "proto"):
            raise InvalidArgument(f"invalid rule: {word!r} is not {_WORDS}")
        if key in given:
            raise InvalidArgument(f"invalid rule: {key}= is there twice")
        given[key] = value
    if "proto" in given and "port" in given:
        raise InvalidArgument("invalid rule: port= and proto= exclude each other: a port says its protocol (53/udp)")
    protocols = given["proto"].split(",") if "proto" in given else []
    if any(name not in _PROTOCOLS for name in protocols):
        raise InvalidArgument(f"invalid rule: proto={given['proto']}: each is one of {', '.join(_PROTOCOLS)}")
    ports = given["port"].split(",") if "port" in given else protocols
    return Rule(
        action,
        parse_peer(given["from"], "from=") if "from" in given else ANYBODY,
        parse_peer(given["to"], "to=") if "to" in given else ANYBODY,
        _services(ports, "port="),
    )


def parse_action(text: str, where: str) -> Action:
    if text not in tuple(Action):
        raise InvalidArgument(f"invalid policy: {where}: {text!r} is not {_ACTIONS}")
    return Action(text)


def parse_peer(text: str, where: str) -> Peer:
    kind, colon, value = text.partition(":")
    if kind not in tuple(PeerKind) or bool(colon) == (kind in ("any", "network")):
        raise InvalidArgument(f"invalid policy: {where}: {text!r} is not {_PEERS}")
    return Peer(PeerKind(kind), _value(PeerKind(kind), value, where))


def _value(kind: PeerKind, value: str, where: str) -> str:
    match kind:
        case PeerKind.ANY | PeerKind.NETWORK:
            return ""
        case PeerKind.NAME:
            if _NAME.match(value) is None:
                raise InvalidArgument(f"invalid policy: {where}: {value!r} cannot be the name of a container")
            return value
        case PeerKind.LABEL:
            key, _, content = value.partition("=")
            if _LABEL_KEY.match(key) is None or _LABEL_VALUE.match(content) is None:
                raise InvalidArgument(f"invalid policy: {where}: {value!r} is not KEY or KEY=VALUE of a label")
            return value
        case PeerKind.CIDR:
            return _cidr(value, where)
        case PeerKind.DNS:
            return _dns(value, where)


def _cidr(value: str, where: str) -> str:
    try:
        return str(ip_network(value))
    except ValueError as error:
        raise InvalidArgument(f"invalid policy: {where}: {value!r} is not an address or a prefix: {error}") from error


def _dns(value: str, where: str) -> str:
    name = value.lower().removesuffix(".")
    if _DNS.match(name) is None:
        raise InvalidArgument(
            f"invalid policy: {where}: {value!r} is not a name in DNS: NAME, or *.NAME for all names below it"
        )
    return name


def _services(given: Iterable[str], where: str) -> tuple[Service, ...]:
    return tuple(sorted({_service(text, where) for text in given}))


def _service(text: str, where: str) -> Service:
    if text in _PROTOCOLS:
        return Service(text)
    found = _PORT.match(text)
    if found is None or (found[3] or "tcp") not in _PORTED:
        raise InvalidArgument(
            f"invalid policy: {where}: {text!r} is not a port (80, 53/udp, 8000-8999/tcp), nor tcp, udp, sctp, icmp"
        )
    low, high = int(found[1]), int(found[2] or found[1])
    if not 0 < low <= high < 1 << 16:
        raise InvalidArgument(f"invalid policy: {where}: {text!r}: ports are 1 to 65535, the lower one first")
    return Service(found[3] or "tcp", low, high)


def _fitting(rule: Rule, where: str) -> Rule:
    """What each side may be for itself may not be so together."""
    if rule.source.kind is PeerKind.DNS:
        raise InvalidArgument(
            f"invalid policy: {where}: a name in DNS can stand in to= only: use name: for a container, cidr: for others"
        )
    sides = [side.prefix.version for side in (rule.source, rule.destination) if side.kind is PeerKind.CIDR]
    if len(set(sides)) > 1:
        raise InvalidArgument(f"invalid policy: {where}: one side is IPv4, the other IPv6: no packet is both")
    return rule
