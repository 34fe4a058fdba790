"""DHCP for IPv4 as bytes, pure (RFC 2131, 2132, 3396, 3442): messages, and the UDP packets they travel in.

Whatever the bytes, only DhcpError comes out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network

from fairlead.model.outside import StaticRoute

SERVER_PORT, CLIENT_PORT = 67, 68
UNSPECIFIED, BROADCAST = IPv4Address(0), IPv4Address("255.255.255.255")
FOREVER = 0xFFFFFFFF

_FIXED = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s")
_COOKIE = b"\x63\x82\x53\x63"
_REQUEST, _REPLY, _ETHERNET = 1, 2, 1
_BROADCAST_FLAG = 0x8000
_LEAST = 300  # what a BOOTP relay takes (RFC 1542, 2.1)
_LONGEST_OPTION = 255

_IP = struct.Struct("!BBHHHBBH4s4s")
_UDP = struct.Struct("!HHHH")
_UDP_PROTOCOL, _TTL = 17, 64
_FRAGMENT = 0x3FFF  # more fragments, or an offset


class DhcpError(Exception):
    """The bytes are no DHCP message, or say what cannot be."""


class Kind(IntEnum):
    """Option 53."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


class Option(IntEnum):
    PAD = 0
    MASK = 1
    ROUTERS = 3
    DNS = 6
    HOSTNAME = 12
    DOMAIN = 15
    REQUESTED = 50
    LEASE = 51
    OVERLOAD = 52
    KIND = 53
    SERVER = 54
    WANTED = 55
    TEXT = 56
    LARGEST = 57
    T1 = 58
    T2 = 59
    CLIENT = 61
    ROUTES = 121
    END = 255


# What a client asks for (option 55); classless routes come before routers (RFC 3442).
WANTED = bytes([Option.MASK, Option.ROUTES, Option.ROUTERS, Option.DNS, Option.DOMAIN, Option.T1, Option.T2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message; ``mask`` None and times 0 are options that are not there.

    ``address`` is the one that a server gives (yiaddr), ``own`` the one that the client uses already (ciaddr).
    """

    kind: Kind
    xid: int
    mac: str
    seconds: int = 0
    reply: bool = False
    broadcast: bool = False
    own: IPv4Address = UNSPECIFIED
    address: IPv4Address = UNSPECIFIED
    requested: IPv4Address | None = None
    server: IPv4Address | None = None
    mask: IPv4Address | None = None
    routers: tuple[IPv4Address, ...] = ()
    dns: tuple[IPv4Address, ...] = ()
    domain: str = ""
    hostname: str = ""
    client: bytes = b""
    lease: int = 0
    t1: int = 0
    t2: int = 0
    routes: tuple[StaticRoute, ...] = ()
    text: str = ""
    wanted: bytes = b""


# Writing


def render(message: Message) -> bytes:
    head = _FIXED.pack(
        _REPLY if message.reply else _REQUEST,
        _ETHERNET,
        6,
        0,
        message.xid,
        min(message.seconds, 0xFFFF),
        _BROADCAST_FLAG if message.broadcast else 0,
        message.own.packed,
        message.address.packed,
        bytes(4),
        bytes(4),
        _mac_bytes(message.mac),
        b"",
        b"",
    )
    options = b"".join(_chunks(code, value) for code, value in _options(message) if value)
    return (head + _COOKIE + options + bytes([Option.END])).ljust(_LEAST, b"\0")


def _options(message: Message) -> Iterator[tuple[int, bytes]]:
    yield Option.KIND, bytes([message.kind])
    yield Option.CLIENT, message.client
    for code, address in (
        (Option.REQUESTED, message.requested),
        (Option.SERVER, message.server),
        (Option.MASK, message.mask),
    ):
        yield code, b"" if address is None else address.packed
    for code, seconds in ((Option.LEASE, message.lease), (Option.T1, message.t1), (Option.T2, message.t2)):
        yield code, struct.pack("!I", seconds) if seconds else b""
    yield Option.ROUTES, b"".join(map(_route_bytes, message.routes))
    yield Option.ROUTERS, b"".join(address.packed for address in message.routers)
    yield Option.DNS, b"".join(address.packed for address in message.dns)
    for code, words in (
        (Option.HOSTNAME, message.hostname),
        (Option.DOMAIN, message.domain),
        (Option.TEXT, message.text),
    ):
        yield code, words.encode()
    yield Option.WANTED, message.wanted


def _chunks(code: int, value: bytes) -> bytes:
    """A value that is longer than an option goes into several of the same code (RFC 3396)."""
    parts = (value[start : start + _LONGEST_OPTION] for start in range(0, len(value), _LONGEST_OPTION))
    return b"".join(bytes([code, len(part)]) + part for part in parts)


def _route_bytes(route: StaticRoute) -> bytes:
    length = route.prefix.prefixlen
    via = UNSPECIFIED if route.via is None else route.via
    return bytes([length]) + route.prefix.network_address.packed[: (length + 7) // 8] + via.packed


def _mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


# Reading


def parse(data: bytes) -> Message:
    """Raises DhcpError for anything else than one whole message about an Ethernet interface."""
    if len(data) < _FIXED.size + len(_COOKIE) or data[_FIXED.size : _FIXED.size + 4] != _COOKIE:
        raise DhcpError("no DHCP message")
    op, kind, size, _, xid, seconds, flags, own, address, _, _, hardware, sname, file = _FIXED.unpack_from(data)
    if op not in (_REQUEST, _REPLY) or (kind, size) != (_ETHERNET, 6):
        raise DhcpError("not about an Ethernet interface")
    found = _all_options(data[_FIXED.size + 4 :], sname, file)
    return Message(
        kind=_kind(found),
        xid=xid,
        mac=hardware[:6].hex(":"),
        seconds=seconds,
        reply=op == _REPLY,
        broadcast=bool(flags & _BROADCAST_FLAG),
        own=IPv4Address(own),
        address=IPv4Address(address),
        requested=_address(found, Option.REQUESTED),
        server=_address(found, Option.SERVER),
        mask=_address(found, Option.MASK),
        routers=_addresses(found, Option.ROUTERS),
        dns=_addresses(found, Option.DNS),
        domain=_words(found, Option.DOMAIN),
        hostname=_words(found, Option.HOSTNAME),
        client=found.get(Option.CLIENT, b""),
        lease=_seconds(found, Option.LEASE),
        t1=_seconds(found, Option.T1),
        t2=_seconds(found, Option.T2),
        routes=tuple(_routes(found.get(Option.ROUTES, b""))),
        text=_words(found, Option.TEXT),
        wanted=found.get(Option.WANTED, b""),
    )


def _all_options(options: bytes, sname: bytes, file: bytes) -> Mapping[int, bytes]:
    """With those in the fields that a full message lends for it (RFC 2132, 9.3)."""
    found: dict[int, bytes] = {}
    _collect(options, found)
    overload = found.get(Option.OVERLOAD, b"\0")[:1]
    for bit, field in ((1, file), (2, sname)):
        if overload and overload[0] & bit:
            _collect(field, found)
    return found


def _collect(field: bytes, found: dict[int, bytes]) -> None:
    at = 0
    while at < len(field):
        code = field[at]
        if code == Option.END:
            return
        if code == Option.PAD:
            at += 1
            continue
        if at + 1 >= len(field) or at + 2 + field[at + 1] > len(field):
            raise DhcpError("an option is longer than the message")
        found[code] = found.get(code, b"") + field[at + 2 : at + 2 + field[at + 1]]
        at += 2 + field[at + 1]


def _kind(found: Mapping[int, bytes]) -> Kind:
    value = found.get(Option.KIND, b"")
    try:
        return Kind(int.from_bytes(value, "big"))
    except ValueError as error:
        raise DhcpError("a message of no known kind") from error


def _address(found: Mapping[int, bytes], code: Option) -> IPv4Address | None:
    value = found.get(code)
    if value is None:
        return None
    if len(value) != 4:
        raise DhcpError(f"option {code}: not an address")
    return IPv4Address(value)


def _addresses(found: Mapping[int, bytes], code: Option) -> tuple[IPv4Address, ...]:
    value = found.get(code, b"")
    if len(value) % 4:
        raise DhcpError(f"option {code}: not addresses")
    return tuple(IPv4Address(value[at : at + 4]) for at in range(0, len(value), 4))


def _seconds(found: Mapping[int, bytes], code: Option) -> int:
    value = found.get(code)
    if value is None:
        return 0
    if len(value) != 4:
        raise DhcpError(f"option {code}: not a time")
    return int.from_bytes(value, "big")


def _words(found: Mapping[int, bytes], code: Option) -> str:
    """Printable text; servers write host and domain names with a NUL at the end, or worse."""
    text = found.get(code, b"").split(b"\0", 1)[0].decode(errors="replace")
    return "".join(letter for letter in text if letter.isprintable())


def _routes(value: bytes) -> Iterator[StaticRoute]:
    at = 0
    while at < len(value):
        length = value[at]
        octets = (length + 7) // 8
        end = at + 1 + octets + 4
        if length > 32 or end > len(value):
            raise DhcpError("option 121: not routes")
        prefix = IPv4Network((value[at + 1 : at + 1 + octets].ljust(4, b"\0"), length), strict=False)
        via = IPv4Address(value[end - 4 : end])
        yield StaticRoute(prefix=prefix, via=None if via == UNSPECIFIED else via)
        at = end


# Packets


def wrap(payload: bytes, source: IPv4Address, destination: IPv4Address, *, port: int = SERVER_PORT) -> bytes:
    """The IP packet, as a client sends it that has no address for the kernel to send from."""
    length = _UDP.size + len(payload)
    pseudo = source.packed + destination.packed + struct.pack("!HH", _UDP_PROTOCOL, length)
    bare = _UDP.pack(CLIENT_PORT if port == SERVER_PORT else SERVER_PORT, port, length, 0)
    total = _checksum(pseudo + bare + payload) or 0xFFFF
    udp = bare[:6] + struct.pack("!H", total) + payload
    head = _IP.pack(0x45, 0xC0, _IP.size + length, 0, 0, _TTL, _UDP_PROTOCOL, 0, source.packed, destination.packed)
    return head[:10] + struct.pack("!H", _checksum(head)) + head[12:] + udp


def unwrap(packet: bytes, *, port: int = CLIENT_PORT) -> bytes:
    """What a UDP packet to that port carries.

    The checksum is not looked at: where the sender is on this machine, the kernel leaves it to a network card.
    """
    if len(packet) < _IP.size or packet[0] >> 4 != 4:
        raise DhcpError("no IPv4 packet")
    header = (packet[0] & 15) * 4
    total, fragment, protocol = (int.from_bytes(packet[at : at + size], "big") for at, size in ((2, 2), (6, 2), (9, 1)))
    if header < _IP.size or protocol != _UDP_PROTOCOL or fragment & _FRAGMENT or total > len(packet):
        raise DhcpError("no whole UDP packet")
    datagram = packet[header:total]
    if len(datagram) < _UDP.size:
        raise DhcpError("truncated UDP packet")
    _, destination, length, _ = _UDP.unpack_from(datagram)
    if destination != port or not _UDP.size <= length <= len(datagram):
        raise DhcpError("for another port, or longer than it is")
    return datagram[_UDP.size : length]


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
