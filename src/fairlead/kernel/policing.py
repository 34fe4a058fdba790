"""The tables of policies: written in one transaction with their elements, observed, and gone with the last policy.

What a rule reads like once the kernel has it is not what was written. So the rules of a network are remembered in the
kernel's own bytes right after they were written, and are ours as long as those bytes stay the same. A daemon that just
started knows none, and writes all anew: sets and counters stay, no packet is missed.
"""

from __future__ import annotations

import errno
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from fairlead.errors import KernelError
from fairlead.kernel.netlink import tables
from fairlead.kernel.netlink.connection import Netlink
from fairlead.kernel.netlink.frames import NetlinkError
from fairlead.kernel.nft import Nft, NftError, parse_elements
from fairlead.model.policy import Count
from fairlead.net import policytables, ruleset
from fairlead.net.policytables import TABLES
from fairlead.net.state import Add, Change, Element, Fact, Policing, Remove, Step

_EVERYWHERE = ""  # what is the same for all networks

Names = set[tuple[str, str, str]]
# (table, chain) -> a digest of its rules in the order the kernel has them.
Digests = Mapping[tuple[str, str], bytes]


class PolicyTables:
    """The only owner of both tables, in the namespace it was made in."""

    def __init__(self, nft: Nft, netlink: Netlink) -> None:
        """Both of that namespace; they stay the caller's."""
        self._nft, self._netlink = nft, netlink
        self._digests: dict[str, Digests] = {}
        self._written: dict[str, Policing] = {}

    # -- doing ------------------------------------------------------------------------------------------------------

    def apply(self, steps: Sequence[Step]) -> None:
        """All of these steps or none; what is so already is success. Raises KernelError."""
        try:
            self._transact(steps)
        except NftError as error:
            if not (error.missing or error.exists):
                raise _refused(error, errno.EINVAL) from error
            self._apply_difference(steps)
        except NetlinkError as error:
            raise KernelError("read", "the tables of policies", error.errno) from error

    def _apply_difference(self, steps: Sequence[Step]) -> None:
        have = {_key(fact): fact for fact in self.observe()}
        needed = [step for step in steps if not _is_so(step, have)]
        ready = [
            Change(have[_key(s.fact)], s.fact) if isinstance(s, Add) and _key(s.fact) in have else s for s in needed
        ]
        try:
            self._transact(ready)
        except NftError as error:
            raise _refused(error, errno.ENOENT if error.missing else errno.EEXIST) from error

    def _transact(self, steps: Sequence[Step]) -> None:
        gone = [step.fact for step in steps if isinstance(step, Remove) and isinstance(step.fact, Policing)]
        made = [step.fact for step in steps if not isinstance(step, Remove) and isinstance(step.fact, Policing)]
        elements = [step for step in steps if isinstance(step.fact, Element)]
        if gone and not made and not self._others(gone):
            self._nft.run(policytables.drop_tables())
            self._forget_all()
            return
        there = self._names({fact.name for fact in (*gone, *made)})
        text = [policytables.base() if made and _EVERYWHERE not in self._digests else ""]
        text += [ruleset.removals(elements)]
        text += [policytables.erased(there.get(fact.name, set())) for fact in gone]
        known = self._written if _EVERYWHERE in self._digests else {}
        text += [policytables.written(fact, there.get(fact.name, set()), known.get(fact.name)) for fact in made]
        text += [ruleset.additions(elements)]
        if commands := "".join(text):
            self._nft.run(commands)
        self._remember(gone, made)

    def _others(self, gone: Iterable[Policing]) -> bool:
        """Whether any other network has a policy."""
        names = {fact.name for fact in gone}
        return any(name not in names for name in self._all_names() if name)

    def _remember(self, gone: Iterable[Policing], made: Sequence[Policing]) -> None:
        for fact in gone:
            self._digests.pop(fact.name, None)
            self._written.pop(fact.name, None)
        for fact in made:
            chains = ((chain.table, chain.name) for chain in fact.chains)
            self._digests[fact.name] = {key: digest for key in chains for digest in self._digests_of(*key).values()}
            self._written[fact.name] = fact
        if made and _EVERYWHERE not in self._digests:
            self._digests[_EVERYWHERE] = self._all_digests().get(_EVERYWHERE, {})

    def _forget_all(self) -> None:
        self._digests.clear()
        self._written.clear()

    # -- looking ----------------------------------------------------------------------------------------------------

    def observe(self) -> Iterator[Fact]:
        """What is as it was written, as the fact that was written; what was changed or is not known, as an empty one.

        And the elements, but for those that packets and the resolver put there.
        """
        names = self._all_names()
        if not names:
            self._forget_all()
            return
        found = self._all_digests()
        if found.get(_EVERYWHERE) != self._digests.get(_EVERYWHERE):
            self._forget_all()
        for name in names:
            if name and name in self._digests and found.get(name) == self._digests[name]:
                yield self._written[name]
            elif name:
                self._digests.pop(name, None)
                self._written.pop(name, None)
                yield Policing(name=name)
        for entry in sorted(entry for found_names in names.values() for entry in found_names):
            yield from self._elements(*entry)

    def _elements(self, word: str, table: str, name: str) -> Iterator[Element]:
        if word not in ("set", "map") or policytables.is_volatile(name):
            return
        for container, entries in parse_elements(self._nft.listing(f"{word} {table} {name}")).items():
            for key, value in entries.items():
                yield Element(table=table, container=container, key=key, value=value)

    def counts(self) -> Mapping[str, Count]:
        """By the counter's name, over both tables."""
        totals: dict[str, Count] = {}
        for table in TABLES:
            for body in self._dump(tables.dump_objects(table)):
                if (found := tables.read_counter(body, table)) is not None:
                    before = totals.get(found.name, Count())
                    totals[found.name] = Count(before.packets + found.packets, before.octets + found.octets)
        return totals

    def _all_digests(self) -> dict[str, Digests]:
        """By network, and "" for the rest."""
        found: defaultdict[str, dict[tuple[str, str], bytes]] = defaultdict(dict)
        for table in TABLES:
            for key, digest in self._digests_of(table).items():
                found[policytables.network_of(key[1])][key] = digest
        return dict(found)

    def _digests_of(self, table: str, chain: str = "") -> Digests:
        """Of one chain, or of all chains that have rules."""
        digests: defaultdict[tuple[str, str], hashlib._Hash] = defaultdict(hashlib.sha256)
        for body in self._dump(tables.dump_rules(table, chain)):
            found, rule = tables.read_rule(body, table)
            if found and chain in ("", found):
                digests[table, found].update(len(rule).to_bytes(4, "big") + rule)
        return {key: digest.digest() for key, digest in digests.items()}

    def _names(self, wanted: set[str]) -> dict[str, Names]:
        """What the tables have of these networks: as it was written, where that is known; else as it is."""
        known = {name: set(policytables.names(self._written[name])) for name in wanted if name in self._written}
        if wanted <= known.keys():
            return known
        return {name: found for name, found in self._all_names().items() if name in wanted}

    def _all_names(self) -> dict[str, Names]:
        """The chains, sets, maps and counters of both tables, by network."""
        names: defaultdict[str, Names] = defaultdict(set)
        for table in TABLES:
            for body in self._dump(tables.dump_chains(table)):
                names[policytables.network_of(found := tables.read_chain(body, table))].add(("chain", table, found))
            for body in self._dump(tables.dump_sets(table)):
                found, is_map = tables.read_set(body, table)
                names[policytables.network_of(found)].add(("map" if is_map else "set", table, found))
            for body in self._dump(tables.dump_objects(table)):
                if (counter := tables.read_counter(body, table)) is not None:
                    names[policytables.network_of(counter.name)].add(("counter", table, counter.name))
        return {name: kept for name, entries in names.items() if (kept := {entry for entry in entries if entry[2]})}

    def _dump(self, request: bytes) -> list[memoryview]:
        try:
            return self._netlink.dump(request)
        except NetlinkError as error:
            if error.errno == errno.ENOENT:
                return []
            raise


def _key(fact: Fact) -> tuple[str, ...]:
    match fact:
        case Element():
            return (fact.table, fact.container, fact.key)
        case Policing():
            return (fact.name,)
    raise TypeError(f"{fact} is not of the tables of policies")


def _is_so(step: Step, have: Mapping[tuple[str, ...], Fact]) -> bool:
    there = have.get(_key(step.fact))
    return there is None if isinstance(step, Remove) else there == step.fact


def _refused(error: NftError, code: int) -> KernelError:
    return KernelError("change policy", str(error).splitlines()[0], code)
