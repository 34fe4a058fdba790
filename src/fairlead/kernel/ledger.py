"""What was applied, and in which terms: so that what is observed can be told in the same terms.

A fact leaves open what the kernel may choose (``mtu`` 0, ``mac`` ""); observed, it has values. Where we know that it
was left open, it is told as open again, and so compares equal to what was asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from fairlead.model.address import Interface
from fairlead.net.state import Address, Fact, Link, Sysctl


@dataclass(slots=True)
class Ledger:
    """The links, addresses and sysctls that this process has applied and not removed."""

    links: dict[tuple[str, str], Link] = field(default_factory=dict)
    addresses: set[tuple[str, str, Interface]] = field(default_factory=set)
    sysctls: dict[tuple[str, str], str] = field(default_factory=dict)

    def enter(self, fact: Fact) -> None:
        match fact:
            case Link():
                self.links[fact.ns, fact.name] = fact
            case Address():
                self.addresses.add((fact.ns, fact.link, fact.address))
            case Sysctl():
                self.sysctls[fact.ns, fact.key] = fact.value
            case _:
                return

    def strike(self, fact: Fact) -> None:
        match fact:
            case Link():
                self.links.pop((fact.ns, fact.name), None)
            case Address():
                self.addresses.discard((fact.ns, fact.link, fact.address))
            case Sysctl():
                self.sysctls.pop((fact.ns, fact.key), None)
            case _:
                return

    def forget(self, ns: str) -> None:
        """A namespace is gone with all that was in it."""
        self.links = {key: link for key, link in self.links.items() if key[0] != ns}
        self.addresses = {entry for entry in self.addresses if entry[0] != ns}
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
