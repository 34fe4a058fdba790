"""The way from one state to another: steps of which each is legal when its turn comes.

Removals come first, what depends on a thing before the thing; then additions and changes, a thing before what depends
on it. Firewall elements stand at the outer ends: what publishes goes before its target does, and comes after it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from fairlead.net.state import (
    HOST,
    Add,
    Address,
    Change,
    Element,
    Fact,
    Link,
    LinkKind,
    Neighbour,
    Policing,
    Qdisc,
    Redirect,
    Remove,
    Route,
    Rule,
    Slot,
    State,
    Step,
    Sysctl,
    makes_pair,
    needs,
    slot,
)

Slots = Mapping[Slot, Fact]


def plan(have: State, want: State) -> tuple[Step, ...]:
    """The steps from ``have`` to ``want``; none when ``have`` satisfies it.

    A sysctl has no absence: one that is no longer wanted keeps its value. An adopted link is never removed.
    """
    before, after = _by_slot(have), _by_slot(want)
    lost = _lost(before, after)
    return (*_removals(before, after, lost), *_additions(before, after, lost))


def satisfied(have: Fact, want: Fact) -> bool:
    """Whether what is there is what is wanted, where the kernel's own choices and unseen fields do not count."""
    if isinstance(have, Link) and isinstance(want, Link):
        return _seen(have, want) == replace(want, adopted=False)
    return have == want


def _seen(have: Link, want: Link) -> Link:
    """``have`` with the fields filled in from ``want`` that are free, or that cannot be seen from its side."""
    return replace(
        have,
        mtu=have.mtu if want.mtu else 0,
        mac=have.mac if want.mac else "",
        alias=have.alias if want.alias else "",
        peer_ns=want.peer_ns if not have.peer else have.peer_ns,
        peer=have.peer or want.peer,
        peer_mac=have.peer_mac or want.peer_mac,
        adopted=False,
    )


def _by_slot(state: State) -> Slots:
    return {slot(fact): fact for fact in state}


def _lost(before: Slots, after: Slots) -> frozenset[Slot]:
    """The slots that a change of kind takes away: such a link is made anew, and what stood on it goes with it."""
    anew = {key for key, want in after.items() if _other_kind(before.get(key), want)}
    astray = {key for key, fact in before.items() if isinstance(fact, Redirect) and _strays(key, fact, before, after)}
    if not anew:
        return frozenset(astray)
    anew |= {key for key, fact in before.items() if isinstance(fact, Link) and ("link", HOST, fact.parent) in anew}
    return frozenset(
        anew | astray | {key for key, fact in before.items() if not isinstance(fact, Link) and anew & {*needs(fact)}}
    )


def _strays(key: Slot, fact: Redirect, before: Slots, after: Slots) -> bool:
    """Wanted still, and where it leads now is taken away: it is made anew."""
    target = before.get(("link", fact.ns, fact.to))
    return key in after and isinstance(target, Link) and not target.adopted and slot(target) not in after


def out_of_reach(want: State, missing: Collection[str]) -> frozenset[Slot]:
    """What cannot be while those links of the host are missing that are not ours to make, and all that needs it."""
    lost: set[Slot] = {("link", HOST, name) for name in missing}
    before = 0
    while before != len(lost):
        before = len(lost)
        lost.update(slot(fact) for fact in want if not lost.isdisjoint(needs(fact)))
    return frozenset(lost)


def foreign_parents(want: State) -> frozenset[str]:
    """The links of the host that something wanted stands on, and that are not wanted themselves."""
    links = [fact for fact in want if isinstance(fact, Link)]
    return frozenset(link.parent for link in links if link.parent) - {link.name for link in links if link.ns == HOST}


def _other_kind(have: Fact | None, want: Fact) -> bool:
    if not isinstance(have, Link) or not isinstance(want, Link):
        return False
    moved = bool(have.peer) and (have.peer_ns, have.peer) != (want.peer_ns, want.peer)
    return moved or _nature(have) != _nature(want)


def _nature(link: Link) -> tuple[object, ...]:
    """What a link cannot change."""
    return link.kind, link.parent, link.mode, link.flag, link.vlan


def _removals(before: Slots, after: Slots, lost: frozenset[Slot]) -> Iterator[Step]:
    gone = [fact for key, fact in before.items() if _goes(key, fact, before, after, lost)]
    return (Remove(fact) for fact in sorted(gone, key=_rank, reverse=True))


def _goes(key: Slot, fact: Fact, before: Slots, after: Slots, lost: frozenset[Slot]) -> bool:
    match fact:
        case Sysctl():
            return False
        case Link():
            return key in lost or (key not in after and not fact.adopted)
        case Qdisc() | Redirect():
            kept = key in after and not _astray(fact, before, after)
            return not kept and key not in lost and not _falls(fact, before, after)
        case Address() | Neighbour() | Route() | Rule() | Element() | Policing():
            return key not in after and key not in lost


def _astray(fact: Fact, before: Slots, after: Slots) -> bool:
    """It leads to a link that goes: it is taken off first, and made anew if it is to lead elsewhere."""
    if not isinstance(fact, Redirect):
        return False
    target = ("link", fact.ns, fact.to)
    return target in before and target not in after


def _falls(fact: Qdisc | Redirect, before: Slots, after: Slots) -> bool:
    """Its link is removed anyway, and it with that; one that stays would drop what is led to a link that is gone."""
    link = before.get(("link", fact.ns, fact.link))
    return isinstance(link, Link) and not link.adopted and slot(link) not in after


def _additions(before: Slots, after: Slots, lost: frozenset[Slot]) -> Iterator[Step]:
    for fact in sorted(after.values(), key=_rank):
        have = before.get(slot(fact))
        if have is None or slot(fact) in lost or _astray(have, before, after):
            yield Add(fact)
        elif not satisfied(have, fact) or _freed(fact, lost):
            yield Change(have, fact)


def _stands(link: Link) -> bool:
    return bool(link.parent) and link.kind is not LinkKind.VLAN


def _freed(fact: Fact, lost: frozenset[Slot]) -> bool:
    """A port whose bridge is made anew must be put into it again."""
    return isinstance(fact, Link) and bool(fact.master) and ("link", fact.ns, fact.master) in lost


def _rank(fact: Fact) -> tuple[int, int, Slot]:
    """Ascending is an order in which facts can be added; the slot only makes it the same order every time."""
    match fact:
        case Link():
            # A bridge or VLAN link, then what stands on it on the host, then what is in a sandbox or was brought along.
            brought = fact.kind is LinkKind.VETH and not makes_pair(fact)
            standing = bool(fact.master) or _stands(fact)
            return (0, 2 if fact.ns != HOST or brought else 1 if standing else 0, slot(fact))
        case Sysctl():
            # Before addresses: an interface with disable_ipv6 refuses them.
            return (1, 0, slot(fact))
        case Qdisc():
            return (1, 1, slot(fact))
        case Redirect():
            # Behind the rate of the link it leads to, so that nothing passes that one unheld.
            return (1, 2, slot(fact))
        case Address():
            return (2, 0, slot(fact))
        case Route():
            # A gateway must be reachable when a route names it.
            return (3, 1 if fact.via is not None else 0, slot(fact))
        case Neighbour():
            return (2, 1, slot(fact))
        case Rule():
            # A rule that leads into a table after the table, one that goes to another after that one.
            return (4, 1 if fact.goto else 0, slot(fact))
        case Policing():
            return (5, 0, slot(fact))
        case Element():
            return (6, 0, slot(fact))
