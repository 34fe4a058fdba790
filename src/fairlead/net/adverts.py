"""Telling the neighbours where an address is: gratuitous ARP (RFC 5227), unsolicited advertisement (RFC 4861)."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

from fairlead.model.address import Ip

_BROADCAST = b"\xff" * 6
_ALL_NODES = IPv6Address("ff02::1")
_ALL_NODES_MAC = bytes.fromhex("333300000001")
_ARP, _IPV6, _ICMPV6 = 0x0806, 0x86DD, 58
_REQUEST = 1
_NEIGHBOUR_ADVERTISEMENT = 136
_OVERRIDE = 0x20000000
_TARGET_LINK_ADDRESS = 2


def frame(mac: bytes, address: Ip) -> bytes:
    """The Ethernet frame that says: ``address`` is at ``mac``."""
    match address:
        case IPv4Address():
            return _gratuitous_arp(mac, address)
        case IPv6Address():
            return _unsolicited_advertisement(mac, address)


def _gratuitous_arp(mac: bytes, address: IPv4Address) -> bytes:
    """An ARP request for the address itself: some stacks learn from no reply that they did not ask for."""
    fixed = struct.pack("!HHBBH", 1, 0x0800, 6, 4, _REQUEST)
    return _ethernet(_BROADCAST, mac, _ARP) + fixed + mac + address.packed + bytes(6) + address.packed


def _unsolicited_advertisement(mac: bytes, address: IPv6Address) -> bytes:
    body = struct.pack("!I", _OVERRIDE) + address.packed + bytes((_TARGET_LINK_ADDRESS, 1)) + mac
    message = struct.pack("!BBH", _NEIGHBOUR_ADVERTISEMENT, 0, 0) + body
    pseudo = address.packed + _ALL_NODES.packed + struct.pack("!II", len(message), _ICMPV6)
    message = message[:2] + struct.pack("!H", _checksum(pseudo + message)) + message[4:]
    header = struct.pack("!IHBB", 6 << 28, len(message), _ICMPV6, 255) + address.packed + _ALL_NODES.packed
    return _ethernet(_ALL_NODES_MAC, mac, _IPV6) + header + message


def _ethernet(to: bytes, source: bytes, protocol: int) -> bytes:
    return to + source + struct.pack("!H", protocol)


def _checksum(octets: bytes) -> int:
    """RFC 1071, of an even number of octets."""
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
