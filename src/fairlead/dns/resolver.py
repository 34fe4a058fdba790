"""What to answer: the rules of Docker's embedded DNS as functions of zone, view and question."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from fairlead.dns import message
from fairlead.dns.message import AAAA, ANY, PTR, SRV, A, Query
from fairlead.dns.view import View
from fairlead.dns.zone import Entry, Zone, address_record

# So many orders of one answer's addresses are kept ready and take turns.
_ORDERS = 16


class Answer(NamedTuple):
    """Records for the question, and others that belong beside them."""

    records: tuple[bytes, ...]
    additional: tuple[bytes, ...] = ()


class NoData:
    """The name is known here, but has nothing of this type: never NXDOMAIN, never asked elsewhere."""


class NxDomain:
    """The name is for us to know, and does not exist."""


class Elsewhere:
    """Not for us: upstream servers know."""


Verdict = Answer | NoData | NxDomain | Elsewhere

NO_DATA: Final = NoData()
NX_DOMAIN: Final = NxDomain()
ELSEWHERE: Final = Elsewhere()


class Aliases(NamedTuple):
    """The --link names of one view, encoded."""

    names: Mapping[bytes, Entry]


def compile_aliases(view: View) -> Aliases:
    """Raises DnsError where an address is none; a name that cannot be asked is left out."""
    names = {}
    for alias, addresses in view.aliases.items():
        found = [address_record(address) for address in addresses]
        if message.can_be_asked(alias):
            name = message.encode_name(alias)
            names[name] = Entry(
                target=name,
                a=tuple(rr for kind, rr in found if kind == A),
                aaaa=tuple(rr for kind, rr in found if kind == AAAA),
                srv={},
                beside=(),
            )
    return Aliases(names)


def decide(zone: Zone, view: View, aliases: Aliases, name: bytes, kind: int) -> Verdict:
    """The verdict on a question of class IN; ``name`` is lower-case on the wire's form.

    Order: --link names, then each network's own names in gateway order, then ``name.network``. The first network that
    has addresses of the family asked for answers alone.
    """
    if kind == PTR:
        pointer = zone.pointer(view.networks, name)
        return ELSEWHERE if pointer is None else Answer((pointer,))
    if (alias := aliases.names.get(name)) is not None:
        return _of_kind((alias,), kind) or NO_DATA
    known = False
    for bearers in zone.bearers(view.networks, name):
        known = True
        if (answer := _of_kind(tuple(bearers.values()), kind)) is not None:
            return answer
    if known:
        return NO_DATA
    if kind == SRV:
        return _service(zone, view, name)
    if view.ndots_set and kind in (A, AAAA) and len(name) == name[0] + 2:
        return NX_DOMAIN
    return ELSEWHERE


def _of_kind(entries: Sequence[Entry], kind: int) -> Answer | None:
    if kind == A:
        found = tuple(rr for entry in entries for rr in entry.a)
    elif kind == AAAA:
        found = tuple(rr for entry in entries for rr in entry.aaaa)
    elif kind == ANY:
        found = tuple(rr for entry in entries for rr in (*entry.a, *entry.aaaa))
    else:
        return None
    return Answer(found) if found else None


def _service(zone: Zone, view: View, name: bytes) -> Verdict:
    """``_http._tcp.web``: the port of that name of whoever bears the rest; elsewhere when nobody here does."""
    cut = 0
    for _ in range(2):
        if not (name[cut] and name[cut + 1 : cut + 2] == b"_"):
            return ELSEWHERE
        cut += name[cut] + 1
    verdict: Verdict = ELSEWHERE
    for bearers in zone.bearers(view.networks, name[cut:]):
        verdict = NX_DOMAIN
        having = [entry for entry in bearers.values() if name[:cut] in entry.srv]
        if having:
            return Answer(
                tuple(rr for entry in having for rr in entry.srv[name[:cut]]),
                tuple(rr for entry in having for rr in entry.beside),
            )
    return verdict


def respond(
    query: Query,
    verdict: Answer | NoData | NxDomain,
    limit: int,
    shuffle: Callable[[list[bytes]], None],
) -> list[bytes]:
    """The answer, in as many orders of its records as shall take turns: several addresses share the load."""
    if query.version:
        return [message.render(query, message.BADVERS)]
    match verdict:
        case NxDomain():
            return [message.render(query, message.NXDOMAIN)]
        case NoData():
            return [message.render(query, message.NOERROR)]
        case Answer():
            shuffled = list(verdict.records)
            shuffle(shuffled)
            turns = range(min(len(shuffled), _ORDERS))
            return [
                message.render(query, message.NOERROR, shuffled[turn:] + shuffled[:turn], verdict.additional, limit)
                for turn in turns
            ]
