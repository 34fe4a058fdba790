"""What is known to be there of ours, and in which terms it was asked for.

A fact leaves open what the kernel may choose (``mtu`` 0, ``mac`` ""); observed, it has values. Where we know that it
was left open, it is told as open again, and so compares equal to what was asked. What the kernel tells of is a sign of
damage only where it contradicts the ledger; our own changes agree with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from fairlead.model.address import Interface, Prefix
from fairlead.net.state import Address, Fact, Link, Route, Rule, Sysctl


@dataclass(slots=True)
class Ledger:
    """The links, addresses, routes, rules and sysctls of ours: applied, or found, and not removed since."""

    links: dict[tuple[str, str], Link] = field(default_factory=dict)
    parents: set[str] = field(default_factory=set)  # links of the host that something of ours stands, or stood, on
    addresses: set[tuple[str, str, Interface]] = field(default_factory=set)
    routes: set[tuple[str, str, Prefix]] = field(default_factory=set)
    rules: set[tuple[str, int, int]] = field(default_factory=set)
    sysctls: dict[tuple[str, str], str] = field(default_factory=dict)

    def enter(self, fact: Fact) -> None:
        match fact:
            case Link():
                self.links[fact.ns, fact.name] = fact
                if fact.parent:
                    self.parents.add(fact.parent)
            case Address():
                self.addresses.add((fact.ns, fact.link, fact.address))
            case Route():
                self.routes.add((fact.ns, fact.link, fact.prefix))
            case Rule():
                self.rules.add((fact.ns, fact.version, fact.priority))
            case Sysctl():
                self.sysctls[fact.ns, fact.key] = fact.value
            case _:
                return

    def learn(self, facts: Iterable[Fact]) -> None:
        """Enter what was found, where nothing is known of it yet."""
        for fact in facts:
            if not isinstance(fact, Link) or (fact.ns, fact.name) not in self.links:
                self.enter(fact)

    def strike(self, fact: Fact) -> None:
        match fact:
            case Link():
                self.links.pop((fact.ns, fact.name), None)
            case Address():
                self.addresses.discard((fact.ns, fact.link, fact.address))
            case Route():
                self.routes.discard((fact.ns, fact.link, fact.prefix))
            case Rule():
                self.rules.discard((fact.ns, fact.version, fact.priority))
            case Sysctl():
                self.sysctls.pop((fact.ns, fact.key), None)
            case _:
                return

    def forget(self, ns: str) -> None:
        """A sandbox is gone with all that was in it, and with the host's ends of its pairs."""
        self.links = {key: link for key, link in self.links.items() if ns not in (link.ns, link.peer_ns)}
        self.addresses = {entry for entry in self.addresses if entry[0] != ns}
        self.routes = {entry for entry in self.routes if entry[0] != ns}
        self.rules = {entry for entry in self.rules if entry[0] != ns}
        self.sysctls = {key: value for key, value in self.sysctls.items() if key[0] != ns}

    def in_our_terms(self, seen: Link) -> Link:
        """The observed link with those things left open that were left open when it was applied."""
        asked = self.links.get((seen.ns, seen.name))
        if asked is None:
            return seen
        if asked.adopted:
            return replace(asked, up=seen.up)
        return replace(
            seen,
            mtu=seen.mtu if asked.mtu else 0,
            mac=seen.mac if asked.mac else "",
            peer_mac=seen.peer_mac or asked.peer_mac,
        )

    def standing_on(self, parent: str) -> frozenset[str]:
        """The namespaces in which something stands on that link of the host."""
        return frozenset(link.ns for link in self.links.values() if link.parent == parent)

    def has_address(self, ns: str, address: Interface) -> bool:
        return any((owner, found) == (ns, address) for owner, _, found in self.addresses)

    def has_route(self, ns: str, prefix: Prefix) -> bool:
        return any((owner, found) == (ns, prefix) for owner, _, found in self.routes)
