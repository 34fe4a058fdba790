"""The DNS codec: round trips, agreement with dnspython, and only its own error on any bytes."""

from __future__ import annotations

import contextlib

import dns.message
from hypothesis import example, given
from hypothesis import strategies as st

from fairlead.dns import message
from fairlead.dns.cache import Cache
from fairlead.dns.message import DnsError

QUERY = b"\0\7\1\0\0\1\0\0\0\0\0\0"
LABELS = st.text(st.sampled_from("abcXYZ0129-_"), min_size=1, max_size=63)
NAMES = st.lists(LABELS, min_size=1, max_size=5).map(".".join).filter(lambda name: len(name) < 250)
KINDS = st.sampled_from(["A", "AAAA", "PTR", "MX", "TXT", "SRV", "HTTPS", "ANY"])


@st.composite
def queries(draw: st.DrawFn) -> bytes:
    edns = draw(st.sampled_from([None, 0, 1]))
    payload = draw(st.integers(0, 65535))
    query = dns.message.make_query(draw(NAMES), draw(KINDS), use_edns=edns, payload=payload)
    query.id = draw(st.integers(0, 65535))
    return query.to_wire()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A real query with some bytes changed, cut or added."""
    packet = bytearray(draw(queries()))
    for _ in range(draw(st.integers(0, 4))):
        packet[draw(st.integers(0, len(packet) - 1))] = draw(st.integers(0, 255))
    return bytes(packet[: draw(st.integers(0, len(packet)))]) + draw(st.binary(max_size=8))


@given(queries())
def test_reads_what_dnspython_writes(packet: bytes) -> None:
    query, theirs = message.parse(packet), dns.message.from_wire(packet)
    assert query.id == theirs.id
    assert query.name == theirs.question[0].name.to_wire().lower()
    assert query.kind == theirs.question[0].rdtype
    assert (query.edns > 0) == (theirs.edns >= 0)


@given(st.binary(max_size=600) | damaged() | st.binary(max_size=20).map(lambda tail: QUERY + tail))
@example(QUERY + b"\2\0\0\2\0\0\xc0")
def test_any_bytes(packet: bytes) -> None:
    with contextlib.suppress(DnsError):
        query = message.parse(packet)
        assert packet[12 : 12 + len(query.question)] == query.question
    with contextlib.suppress(DnsError):
        seconds, places = message.lifetime(packet)
        assert seconds >= 0
        assert all(12 <= at <= len(packet) - 4 for at in places)
    if len(packet) >= 4:
        cache = Cache(1)
        cache.put(b"", packet, 0.0)
        kept = cache.get(b"", 1.0)
        assert kept is None or len(kept) == len(packet)


@given(queries(), st.lists(st.binary(min_size=4, max_size=4), max_size=80), st.integers(512, 4096))
def test_dnspython_reads_what_we_write(packet: bytes, contents: list[bytes], limit: int) -> None:
    query = message.parse(packet)
    records = [message.record(message.A, 1, content) for content in contents]
    answer = message.render(query, message.NOERROR, records, limit=limit)
    theirs = dns.message.from_wire(answer)
    assert len(answer) <= limit
    assert theirs.id == query.id
    assert theirs.question[0].name.to_wire().lower() == query.name
    shown = sum(len(rrset) for rrset in theirs.answer)
    assert bool(theirs.flags & dns.flags.TC) == (shown < len(set(contents)) and len(answer) > limit - 16)


@given(NAMES)
def test_names(name: str) -> None:
    wire = message.encode_name(name)
    assert message.skip_name(bytes(12) + wire, 12) == 12 + len(wire)
    assert wire == wire.lower()
