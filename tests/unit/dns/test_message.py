"""DNS messages on the wire, checked against dnspython where it has an opinion."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import pytest

from fairlead.dns import message
from fairlead.dns.message import AAAA, NOERROR, NXDOMAIN, PTR, SRV, A, DnsError


def asked(name: str = "web", kind: str = "A", **more: object) -> bytes:
    return dns.message.make_query(name, kind, **more).to_wire()


def test_parse_reads_question() -> None:
    query = message.parse(asked("Web.MyNet", "AAAA"))
    assert (query.name, query.kind, query.klass) == (b"\3web\5mynet\0", AAAA, message.IN)
    assert query.question.startswith(b"\3Web\5MyNet\0")
    assert query.edns == 0


def test_parse_reads_edns() -> None:
    query = message.parse(asked(use_edns=0, payload=4096, want_dnssec=True))
    assert (query.edns, query.version, query.dnssec) == (4096, 0, True)


def test_edns_size_is_never_below_512() -> None:
    assert message.parse(asked(use_edns=0, payload=100)).edns == 512


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\0" * 11,
        asked()[:-1],
        asked()[:14],
        b"\0\7\x81\x80\0\1\0\0\0\0\0\0\3web\0\0\1\0\1",
        b"\0\7\1\0\0\0\0\0\0\0\0\0\3web\0\0\1\0\1",
        b"\0\7\1\0\0\2\0\0\0\0\0\0\3web\0\0\1\0\1",
        b"\0\7\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1",
        b"\0\7\1\0\0\1\0\0\0\0\0\0\xc0\0\0\1\0\1",
        b"\0\7\1\0\0\1\0\0\0\0\0\0\2we\xc0",
        b"\0\7\1\0\0\1\0\0\0\0\0\0" + b"\x3f" + b"a" * 63 + (b"\x3f" + b"a" * 63) * 3 + b"\0\0\1\0\1",
        b"\0\7\1\0\0\1\0\0\0\0\0\1\3web\0\0\1\0\1\0",
        b"\0\7\1\0\0\1\0\0\0\0\0\1\3web\0\0\1\0\1\0\0\x29\x10\0\0\0\0\0\0\4",
        b"\0\7\1\0\0\1\0\0\0\0\0\0\x50web\0\0\1\0\1",
    ],
    ids=[
        "empty", "header cut", "class cut", "name cut", "an answer", "no question", "two questions",
        "pointer", "pointer to 0", "pointer cut", "name too long", "record cut", "record's content cut", "label type",
    ],
)  # fmt: skip
def test_parse_refuses(packet: bytes) -> None:
    with pytest.raises(DnsError):
        message.parse(packet)


def test_render_keeps_case_id_and_rd() -> None:
    packet = asked("wEb")
    query = message.parse(packet)
    answer = dns.message.from_wire(message.render(query, NOERROR, [message.record(A, 1, bytes([10, 0, 0, 2]))]))
    assert answer.id == query.id
    assert answer.question[0].name.to_text() == "wEb."
    assert answer.answer[0].to_text() == "wEb. 1 IN A 10.0.0.2"
    assert answer.flags == dns.flags.QR | dns.flags.RD | dns.flags.RA


def test_render_without_rd() -> None:
    packet = bytearray(asked())
    packet[2] &= 0xFE
    assert not dns.message.from_wire(message.render(message.parse(bytes(packet)), NXDOMAIN)).flags & dns.flags.RD


def test_render_echoes_edns_only_when_asked() -> None:
    plain = dns.message.from_wire(message.render(message.parse(asked()), NOERROR))
    extended = dns.message.from_wire(message.render(message.parse(asked(use_edns=0)), NOERROR))
    assert (plain.edns, extended.edns, extended.payload) == (-1, 0, message.EDNS_LIMIT)


def test_extended_rcode_goes_into_opt() -> None:
    query = message.parse(asked(use_edns=1))
    answer = dns.message.from_wire(message.render(query, message.BADVERS))
    assert answer.rcode() == dns.rcode.BADVERS


def test_render_truncates_whole_records() -> None:
    records = [message.record(A, 1, bytes([10, 0, 0, n])) for n in range(100)]
    packet = message.render(message.parse(asked()), NOERROR, records, limit=512)
    answer = dns.message.from_wire(packet)
    assert len(packet) <= 512
    assert answer.flags & dns.flags.TC
    assert len(answer.answer[0]) == (512 - 12 - 9) // 16


def test_additional_that_does_not_fit_is_no_truncation() -> None:
    record = message.record(A, 1, bytes(4))
    packet = message.render(message.parse(asked()), NOERROR, [record], [record] * 60, limit=512)
    answer = dns.message.from_wire(packet)
    assert not answer.flags & dns.flags.TC
    assert answer.additional


def test_srv_is_what_clients_read() -> None:
    rdata = message.srv_rdata(8080, message.encode_name("web.mynet"))
    packet = message.render(message.parse(asked("_http._tcp.web", "SRV")), NOERROR, [message.record(SRV, 1, rdata)])
    (record,) = dns.message.from_wire(packet).answer[0]
    assert record.to_text() == "0 0 8080 web.mynet."


def test_encode_name_agrees_with_dnspython() -> None:
    for text in ("web", "web.mynet", "A.b-c_d.e.", "x" * 63):
        assert message.encode_name(text) == dns.name.from_text(text.lower()).to_wire()


@pytest.mark.parametrize("text", ["", ".", "a..b", ".a", "x" * 64, ".".join(["x" * 63] * 4)])
def test_encode_name_refuses(text: str) -> None:
    assert not message.can_be_asked(text)
    with pytest.raises(DnsError):
        message.encode_name(text)


def test_longest_name_is_255_bytes() -> None:
    labels = ["x" * 63] * 3
    longest, too_long = (
        ".".join([*labels, "x" * 61]),
        b"".join(b"\x3f" + b"x" * 63 for _ in range(3)) + b"\x3e" + b"x" * 62,
    )
    wire = message.encode_name(longest)
    assert message.skip_name(wire, 0) == len(wire) == 255
    with pytest.raises(DnsError):
        message.skip_name(too_long + b"\0", 0)


def test_reverse_names() -> None:
    assert message.reverse_name(bytes([10, 0, 0, 2])) == message.encode_name("2.0.0.10.in-addr.arpa")
    six = bytes.fromhex("fd00" + "0" * 27 + "2")
    assert message.reverse_name(six) == message.encode_name("2." + "0." * 27 + "0.0.d.f.ip6.arpa")


def upstream_answer(text: str) -> bytes:
    return dns.message.from_text(text).to_wire()


def test_lifetime_is_the_shortest() -> None:
    packet = upstream_answer(
        "id 1\nflags QR\n;QUESTION\na. IN A\n"
        ";ANSWER\na. 300 IN CNAME b.\nb. 60 IN A 192.0.2.1\n;ADDITIONAL\nns. 7 IN A 1.1.1.1\n"
    )
    seconds, places = message.lifetime(packet)
    assert seconds == 7
    assert [int.from_bytes(packet[at : at + 4], "big") for at in places] == [300, 60, 7]


def test_negative_lifetime_is_by_soa() -> None:
    soa = "id 1\nflags QR\nrcode NXDOMAIN\n;QUESTION\na. IN A\n;AUTHORITY\n. {ttl} IN SOA m. r. 1 2 3 4 {minimum}\n"
    assert message.lifetime(upstream_answer(soa.format(ttl=900, minimum=30)))[0] == 30
    assert message.lifetime(upstream_answer(soa.format(ttl=20, minimum=30)))[0] == 20


def test_negative_without_soa_is_not_kept() -> None:
    assert message.lifetime(upstream_answer("id 1\nflags QR\nrcode NXDOMAIN\n;QUESTION\na. IN A\n"))[0] == 0


def test_opt_has_no_ttl() -> None:
    query = message.parse(asked(use_edns=0))
    packet = message.render(query, NOERROR, [message.record(A, 9, bytes(4))])
    assert message.lifetime(packet) == (9, (12 + 9 + 6,))


def test_refusal_and_failure() -> None:
    packet = asked("web", "PTR")
    bare = dns.message.from_wire(message.refusal(packet, message.FORMERR))
    assert (bare.rcode(), bare.question) == (dns.rcode.FORMERR, [])
    whole = dns.message.from_wire(message.failure(packet, len(packet), message.SERVFAIL))
    assert (whole.rcode(), whole.question[0].rdtype) == (dns.rcode.SERVFAIL, PTR)
