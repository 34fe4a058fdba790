"""What is known to be there of ours, and in which terms it was asked for.

A fact leaves open what the kernel may choose (``mtu`` 0, ``mac`` ""); observed, it has values. Where we know that it
was left open, it is told as open again, and so compares equal to what was asked. What the kernel tells of is a sign of
damage only where it contradicts the ledger; our own changes agree with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from fairlead.model.address import Interface, Prefix
from fairlead.net.state import Address, Fact, Link, Qdisc, Redirect, Route, Rule, Sysctl

# The kernel keeps a burst as the time that it takes, in ticks of 64 ns: so many a second, for bytes from bits.
_TICKS = 8 * 1_000_000_000 // 64


@dataclass(slots=True)
class Ledger:
    """What of ours was applied, or found, and not removed since."""

    links: dict[tuple[str, str], Link] = field(default_factory=dict)
    parents: set[str] = field(default_factory=set)  # links of the host that something of ours stands, or stood, on
    addresses: set[tuple[str, str, Interface]] = field(default_factory=set)
    routes: set[tuple[str, str, Prefix]] = field(default_factory=set)
    rules: set[tuple[str, int, int]] = field(default_factory=set)
    sysctls: dict[tuple[str, str], str] = field(default_factory=dict)
    shapes: dict[tuple[str, str], Qdisc] = field(default_factory=dict)
    redirects: set[tuple[str, str]] = field(default_factory=set)

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
            case Qdisc():
                self.shapes[fact.ns, fact.link] = fact
            case Redirect():
                self.redirects.add((fact.ns, fact.link))
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
                self._unshape((fact.ns, fact.name))
            case Address():
                self.addresses.discard((fact.ns, fact.link, fact.address))
            case Route():
                self.routes.discard((fact.ns, fact.link, fact.prefix))
            case Rule():
                self.rules.discard((fact.ns, fact.version, fact.priority))
            case Sysctl():
                self.sysctls.pop((fact.ns, fact.key), None)
            case Qdisc():
                self.shapes.pop((fact.ns, fact.link), None)
            case Redirect():
                self.redirects.discard((fact.ns, fact.link))
            case _:
                return

    def forget(self, ns: str) -> None:
        """A sandbox is gone with all that was in it, and with the host's ends of its pairs."""
        for key in {*self.shapes, *self.redirects}:
            if key[0] == ns or (key in self.links and self.links[key].peer_ns == ns):
                self._unshape(key)
        self.links = {key: link for key, link in self.links.items() if ns not in (link.ns, link.peer_ns)}
        self.addresses = {entry for entry in self.addresses if entry[0] != ns}
        self.routes = {entry for entry in self.routes if entry[0] != ns}
        self.rules = {entry for entry in self.rules if entry[0] != ns}
        self.sysctls = {key: value for key, value in self.sysctls.items() if key[0] != ns}

    def _unshape(self, link: tuple[str, str]) -> None:
        self.shapes.pop(link, None)
        self.redirects.discard(link)

    def is_shaped(self, ns: str) -> bool:
        """Whether a rate, a delay or a redirection of ours is known in that namespace."""
        return any(owner == ns for owner, _ in (*self.shapes, *self.redirects))

    def rounded(self, seen: Qdisc) -> Qdisc:
        """What was asked for, where what is seen is no more than the kernel's rounding away from it."""
        asked = self.shapes.get((seen.ns, seen.link))
        if asked is None or abs(seen.burst - asked.burst) > 1 + asked.rate // _TICKS:
            return seen
        return asked if replace(seen, burst=asked.burst) == asked else seen

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
