"""Neighbours and forwarding entries as rtnetlink messages, pure: which MAC an address has, and what is behind it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from fairlead.kernel.netlink.codec import AF_BRIDGE, AF_INET, AF_INET6, family_of, ip_of, mac_bytes
from fairlead.kernel.netlink.frames import (
    ACK,
    CREATE,
    DUMP,
    REPLACE,
    NetlinkError,
    attribute,
    attributes,
    message,
    number,
    u8,
)
from fairlead.model.address import Ip

NEWNEIGH, DELNEIGH, GETNEIGH = 28, 29, 30
_NEIGHBOUR = struct.Struct("=BxxxiHBB")  # family, index, state, flags, type
_NDA_DST, _NDA_LLADDR, _NDA_PROTOCOL = 1, 2, 12
_NUD_PERMANENT, _NTF_SELF, _NTF_MASTER = 0x80, 0x02, 0x04


@dataclass(frozen=True, slots=True)
class NeighbourInfo:
    index: int
    address: Ip | None
    mac: str
    state: int
    protocol: int


def new_neighbour(index: int, address: Ip, mac: str, protocol: int = 0) -> bytes:
    """A permanent neighbour: this address is at that MAC."""
    header = _NEIGHBOUR.pack(family_of(address), index, _NUD_PERMANENT, 0, 0)
    body = header + attribute(_NDA_DST, address.packed) + attribute(_NDA_LLADDR, mac_bytes(mac))
    return message(NEWNEIGH, ACK | CREATE | REPLACE, body + (u8(_NDA_PROTOCOL, protocol) if protocol else b""))


def delete_neighbour(index: int, address: Ip) -> bytes:
    header = _NEIGHBOUR.pack(family_of(address), index, 0, 0, 0)
    return message(DELNEIGH, ACK, header + attribute(_NDA_DST, address.packed))


def new_fdb(index: int, mac: str, remote: Ip | None = None, *, own: bool = False) -> bytes:
    """That MAC is behind this link (and, on a VXLAN link with ``own``, behind that remote host)."""
    return message(NEWNEIGH, ACK | CREATE | REPLACE, _fdb_body(index, mac, remote, own=own))


def delete_fdb(index: int, mac: str, remote: Ip | None = None, *, own: bool = False) -> bytes:
    return message(DELNEIGH, ACK, _fdb_body(index, mac, remote, own=own))


def _fdb_body(index: int, mac: str, remote: Ip | None, *, own: bool) -> bytes:
    header = _NEIGHBOUR.pack(AF_BRIDGE, index, _NUD_PERMANENT, _NTF_SELF if own else _NTF_MASTER, 0)
    body = header + attribute(_NDA_LLADDR, mac_bytes(mac))
    return body if remote is None else body + attribute(_NDA_DST, remote.packed)


def dump_neighbours(family: int) -> bytes:
    return message(GETNEIGH, DUMP, _NEIGHBOUR.pack(family, 0, 0, 0, 0))


def read_neighbour(body: memoryview) -> NeighbourInfo:
    if len(body) < _NEIGHBOUR.size:
        raise NetlinkError("truncated neighbour")
    _, index, state, _, _ = _NEIGHBOUR.unpack_from(body)
    found = attributes(body, _NEIGHBOUR.size)
    at = found.get(_NDA_DST)
    # A forwarding entry has family AF_BRIDGE and the remote host's address, of either family.
    address = ip_of(AF_INET6 if at is not None and len(at) == 16 else AF_INET, at)
    mac = bytes(found.get(_NDA_LLADDR, b"")).hex(":")
    return NeighbourInfo(index, address, mac, state, number(found.get(_NDA_PROTOCOL)))
