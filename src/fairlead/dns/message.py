"""DNS messages on the wire (RFC 1035, 6891): just what a resolver between containers and upstream servers needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from struct import error as struct_error
from typing import NamedTuple

A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, OPT, ANY = 1, 2, 5, 6, 12, 15, 16, 28, 33, 41, 255
IN = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16

HEADER = 12
# The size a client without EDNS can take (RFC 1035 2.3.4), and the one we announce ourselves.
PLAIN_LIMIT = 512
EDNS_LIMIT = 1232
MAXIMUM = 65535

QR, TC, RD, RA = 0x8000, 0x0200, 0x0100, 0x0080
_OPCODE = 0x7800
_DO = 0x8000
_POINTER = 0xC0

_HEAD = Struct(">HHHHHH")
_TYPE_CLASS = Struct(">HH")
_RECORD = Struct(">HHIH")
# Name: a pointer to the question's, so that the answer keeps the asker's own case (0x20).
_OWNER = b"\xc0\x0c"


class DnsError(Exception):
    """These bytes are no DNS message that can be answered."""


class Query(NamedTuple):
    """A question. ``name`` is lower-case, on the wire's form; ``question`` the raw section; ``edns`` 0 without EDNS."""

    id: int
    flags: int
    name: bytes
    kind: int
    klass: int
    question: bytes
    edns: int = 0
    version: int = 0
    dnssec: bool = False


class Record(NamedTuple):
    """Where one resource record of a message lies."""

    section: int
    kind: int
    ttl: int
    ttl_at: int
    rdata_at: int
    end: int


# -- names --------------------------------------------------------------------------------------------------------


def encode_name(text: str) -> bytes:
    """Wire form, lower-case; raises DnsError where a label or the whole is empty or too long."""
    labels = text.lower().removesuffix(".").encode("utf-8", "surrogateescape").split(b".")
    if any(not 0 < len(label) < 64 for label in labels):
        raise DnsError(f"{text!r} has an empty label or one over 63 bytes")
    wire = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    if len(wire) > 255:
        raise DnsError(f"{text!r} is longer than 255 bytes")
    return wire


def can_be_asked(text: str) -> bool:
    """Whether the name fits into a DNS message at all."""
    try:
        encode_name(text)
    except DnsError:
        return False
    return True


def skip_name(packet: bytes, at: int, *, pointers: bool = True) -> int:
    """The offset behind the name at ``at``; a compression pointer, where allowed, ends it."""
    limit = at + 255
    while at < min(len(packet), limit):
        length = packet[at]
        if length == 0:
            return at + 1
        if length >= _POINTER and pointers and at + 2 <= len(packet):
            return at + 2
        if length > 63:
            break
        at += length + 1
    raise DnsError("a name that does not end, or not as it may")


def reverse_name(packed: bytes) -> bytes:
    """The wire form of the in-addr.arpa or ip6.arpa name of a packed address."""
    if len(packed) == 4:
        return encode_name(".".join(str(byte) for byte in reversed(packed)) + ".in-addr.arpa")
    return encode_name(".".join(reversed(packed.hex())) + ".ip6.arpa")


# -- reading ------------------------------------------------------------------------------------------------------


def parse(packet: bytes) -> Query:
    """The one question of a query; raises DnsError on anything else, whatever the bytes."""
    if len(packet) < HEADER:
        raise DnsError("shorter than a header")
    number, flags, questions, answers, authorities, additionals = _HEAD.unpack_from(packet)
    if flags & QR:
        raise DnsError("an answer, not a question")
    if questions != 1:
        raise DnsError(f"{questions} questions")
    # Nothing stands before a question's name that it could point to.
    end = skip_name(packet, HEADER, pointers=False)
    if len(packet) < end + 4:
        raise DnsError("the question is cut off")
    kind, klass = _TYPE_CLASS.unpack_from(packet, end)
    query = Query(number, flags, packet[HEADER:end].lower(), kind, klass, packet[HEADER : end + 4])
    for record in _records(packet, end + 4, (answers, authorities, additionals)):
        if record.kind == OPT and record.section == 2:
            size = int.from_bytes(packet[record.ttl_at - 2 : record.ttl_at], "big")
            version = record.ttl >> 16 & 0xFF
            return query._replace(edns=max(size, PLAIN_LIMIT), version=version, dnssec=bool(record.ttl & _DO))
    return query


def _records(packet: bytes, at: int, counts: Sequence[int]) -> Iterator[Record]:
    try:
        for section, count in enumerate(counts):
            for _ in range(count):
                at = skip_name(packet, at)
                kind, _klass, ttl, length = _RECORD.unpack_from(packet, at)
                end = at + 10 + length
                if end > len(packet):
                    raise DnsError("a record runs over the end")
                yield Record(section, kind, ttl, at + 4, at + 10, end)
                at = end
    except struct_error as error:
        raise DnsError("a record is cut off") from error


def records(packet: bytes) -> Iterator[Record]:
    """Every record of a message with one question; raises DnsError on the way where it is malformed."""
    if len(packet) < HEADER:
        raise DnsError("shorter than a header")
    _number, _flags, questions, *counts = _HEAD.unpack_from(packet)
    at = HEADER
    for _ in range(questions):
        at = skip_name(packet, at) + 4
    yield from _records(packet, at, counts)


def lifetime(packet: bytes) -> tuple[int, tuple[int, ...]]:
    """For how many seconds an answer may be kept (0: not at all), and where its TTLs stand.

    A negative answer counts by its SOA: the lesser of that record's TTL and its MINIMUM (RFC 2308 5).
    """
    found = [record for record in records(packet) if record.kind != OPT]
    places = tuple(record.ttl_at for record in found)
    if any(record.section == 0 for record in found):
        return min(record.ttl if record.ttl < 1 << 31 else 0 for record in found), places
    for record in found:
        if record.kind == SOA and record.section == 1 and record.end - record.rdata_at >= 20:
            minimum = int.from_bytes(packet[record.end - 4 : record.end], "big")
            return min(record.ttl, minimum), places
    return 0, places


# -- writing ------------------------------------------------------------------------------------------------------


def record(kind: int, ttl: int, rdata: bytes, owner: bytes = _OWNER) -> bytes:
    """A resource record; without ``owner`` its name is the question's."""
    return owner + _RECORD.pack(kind, IN, ttl, len(rdata)) + rdata


def srv_rdata(port: int, target: bytes) -> bytes:
    """Priority and weight 0; the target is never compressed (RFC 2782)."""
    return b"\0\0\0\0" + port.to_bytes(2, "big") + target


def render(
    query: Query,
    rcode: int,
    answers: Iterable[bytes] = (),
    additional: Iterable[bytes] = (),
    limit: int = MAXIMUM,
) -> bytes:
    """The whole answer. Records that do not fit are left out, with TC set where they are answers (RFC 2181 9)."""
    opt = _opt(query, rcode)
    room = limit - HEADER - len(query.question) - len(opt)
    kept, room, cut = _fitting(answers, room)
    extra, _room, _cut = _fitting(() if cut else additional, room)
    flags = QR | query.flags & (_OPCODE | RD) | RA | (TC if cut else 0) | rcode & 0xF
    head = _HEAD.pack(query.id, flags, 1, len(kept), 0, len(extra) + (1 if opt else 0))
    return b"".join((head, query.question, *kept, *extra, opt))


def _opt(query: Query, rcode: int) -> bytes:
    if not query.edns:
        return b""
    return b"\0" + _RECORD.pack(OPT, EDNS_LIMIT, rcode >> 4 << 24 | (_DO if query.dnssec else 0), 0)


def _fitting(parts: Iterable[bytes], room: int) -> tuple[list[bytes], int, bool]:
    kept: list[bytes] = []
    for part in parts:
        if len(part) > room:
            return kept, room, True
        kept.append(part)
        room -= len(part)
    return kept, room, False


def refusal(packet: bytes, rcode: int) -> bytes:
    """A bare header that says no, for a query of which more cannot be understood; needs a whole header."""
    number, flags, *_counts = _HEAD.unpack_from(packet)
    return _HEAD.pack(number, QR | flags & (_OPCODE | RD) | RA | rcode & 0xF, 0, 0, 0, 0)


def failure(packet: bytes, question_end: int, rcode: int) -> bytes:
    """An answer with the question and no record; the question is known to end at ``question_end``."""
    number, flags, *_counts = _HEAD.unpack_from(packet)
    head = _HEAD.pack(number, QR | flags & (_OPCODE | RD) | RA | rcode & 0xF, 1, 0, 0, 0)
    return head + packet[HEADER:question_end]
