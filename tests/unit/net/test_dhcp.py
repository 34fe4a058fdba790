"""DHCP as bytes: what is written reads back, what is nonsense is refused."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from fairlead.model.outside import StaticRoute
from fairlead.net import dhcp
from fairlead.net.dhcp import BROADCAST, UNSPECIFIED, DhcpError, Kind, Message, parse, render, unwrap, wrap

MAC = "02:00:00:00:00:05"
ACK = Message(
    kind=Kind.ACK,
    xid=0x12345678,
    mac=MAC,
    reply=True,
    address=IPv4Address("192.0.2.50"),
    server=IPv4Address("192.0.2.1"),
    mask=IPv4Address("255.255.255.0"),
    routers=(IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")),
    dns=(IPv4Address("192.0.2.3"),),
    domain="lan.example",
    lease=600,
    t1=300,
    t2=500,
    routes=(
        StaticRoute(prefix=IPv4Network("0.0.0.0/0"), via=IPv4Address("192.0.2.9")),
        StaticRoute(prefix=IPv4Network("203.0.113.128/25"), via=IPv4Address("192.0.2.8")),
        StaticRoute(prefix=IPv4Network("198.51.100.7/32")),
    ),
    text="why not",
)
DISCOVER = Message(
    kind=Kind.DISCOVER,
    xid=1,
    mac=MAC,
    seconds=3,
    broadcast=True,
    requested=IPv4Address("192.0.2.50"),
    hostname="web",
    client=b"\xff" + bytes(range(16)),
    wanted=dhcp.WANTED,
)


@pytest.mark.parametrize("message", [ACK, DISCOVER, replace(DISCOVER, own=IPv4Address("192.0.2.50"), seconds=70_000)])
def test_what_is_written_reads_back(message: Message) -> None:
    raw = render(message)
    assert len(raw) >= 300
    assert parse(raw) == replace(message, seconds=min(message.seconds, 0xFFFF))


def test_a_message_as_a_server_sends_it() -> None:
    """The layout, byte by byte, of an offer with padding between its options."""
    head = bytes.fromhex("02010600deadbeef0000800000000000c0000232c000020100000000020000000005") + bytes(10 + 192)
    options = bytes.fromhex("63825363 00 350102 3604c0000201 00 0104ffffff00 330400000e10 ff")
    found = parse(head + options)
    assert (found.kind, found.xid, found.mac, found.broadcast) == (Kind.OFFER, 0xDEADBEEF, MAC, True)
    assert (found.address, found.server) == (IPv4Address("192.0.2.50"), IPv4Address("192.0.2.1"))
    assert (found.mask, found.lease, found.t1) == (IPv4Address("255.255.255.0"), 3600, 0)


def test_options_go_on_in_the_fields_for_names() -> None:
    raw = bytearray(render(Message(kind=Kind.ACK, xid=1, mac=MAC, reply=True)))
    raw[240:] = bytes([53, 1, 5, 52, 1, 3, 255])
    raw[108:236] = bytes([15, 3, *b"lan", 255]).ljust(128, b"\0")
    raw[44:108] = bytes([15, 3, *b".ex", 255]).ljust(64, b"\0")
    assert parse(bytes(raw)).domain == "lan.ex"


def test_a_long_option_is_written_and_read_in_parts() -> None:
    long = replace(DISCOVER, client=bytes(300))
    assert parse(render(long)).client == bytes(300)


def test_names_with_what_no_name_has() -> None:
    raw = render(replace(ACK, domain="lan\x1b[1m.example\0rest"))
    assert parse(raw).domain == "lan[1m.example"


def options(*extra: int) -> bytes:
    bare = render(Message(kind=Kind.ACK, xid=1, mac=MAC, reply=True))[:240]
    return bare + bytes([53, 1, 5, *extra])


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        bytes(240),
        render(ACK)[:239],
        b"\x03" + render(ACK)[1:],
        render(ACK)[:1] + b"\x06" + render(ACK)[2:],
        options(1, 4, 255),
        options(1),
        options(1, 3, 255, 255, 255),
        options(51, 2, 0, 1),
        options(3, 5, 1, 2, 3, 4, 5),
        options(121, 5, 33, 1, 2, 3, 4),
        options(121, 3, 8, 10, 1),
        options()[:240] + bytes([53, 1, 99]),
        options()[:240] + bytes([53, 2, 5, 5]),
        options()[:240],
    ],
)
def test_nonsense_is_refused(raw: bytes) -> None:
    with pytest.raises(DhcpError):
        parse(raw)


def test_a_packet_carries_its_message_and_right_checksums() -> None:
    packet = wrap(b"hello!!", UNSPECIFIED, BROADCAST)
    assert unwrap(packet, port=67) == b"hello!!"
    assert dhcp._checksum(packet[:20]) == 0
    udp = packet[20:]
    pseudo = packet[12:20] + b"\0\x11" + len(udp).to_bytes(2, "big")
    assert dhcp._checksum(pseudo + udp) == 0


def test_ethernets_padding_is_no_part_of_a_packet() -> None:
    assert unwrap(wrap(b"x", UNSPECIFIED, BROADCAST) + bytes(20), port=67) == b"x"


PACKET = wrap(b"hello", IPv4Address("192.0.2.1"), BROADCAST, port=68)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        PACKET[:19],
        b"\x65" + PACKET[1:],
        b"\x44" + PACKET[1:],
        PACKET[:6] + b"\x20\x00" + PACKET[8:],
        PACKET[:9] + b"\x06" + PACKET[10:],
        PACKET[:-1],
        PACKET[:2] + b"\x00\x16" + PACKET[4:22],
        PACKET[:22] + b"\x00\x45" + PACKET[24:],
        PACKET[:24] + b"\xff\xff" + PACKET[26:],
        PACKET[:24] + b"\x00\x07" + PACKET[26:],
    ],
)
def test_what_is_no_whole_packet_for_us_is_refused(packet: bytes) -> None:
    with pytest.raises(DhcpError):
        unwrap(packet)
