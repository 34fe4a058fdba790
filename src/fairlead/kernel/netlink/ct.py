"""Connection tracking entries as nfnetlink messages, pure (linux/netfilter/nfnetlink_conntrack.h)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from fairlead.kernel.netlink.codec import AF_INET, AF_INET6, ip_of
from fairlead.kernel.netlink.frames import (
    ACK,
    DUMP,
    NESTED,
    NetlinkError,
    attribute,
    attributes,
    message,
    nested,
    u8,
    u32,
)
from fairlead.model.address import Ip
from fairlead.model.port import Protocol

UDP = 17
NUMBERS: Mapping[Protocol, int] = {Protocol.TCP: 6, Protocol.UDP: UDP, Protocol.SCTP: 132}

_SUBSYSTEM = 1
_GET, _DELETE = (_SUBSYSTEM << 8 | verb for verb in (1, 2))
_NFGENMSG = struct.Struct(">BBH")  # family, version, resource
_TUPLE_ORIG, _FILTER = 1, 25
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_IP4_DST, _IP6_DST = 2, 4
_PROTO_NUMBER, _DESTINATION_PORT = 1, 3
_FILTER_ORIG_FLAGS, _FILTER_REPLY_FLAGS = 1, 2
_BY_PROTOCOL = 1 << 3
_PORT = struct.Struct(">H")


@dataclass(frozen=True, slots=True)
class Entry:
    """A tracked connection by what its first packet said; ``key`` is that in the kernel's own bytes."""

    family: int
    destination: Ip
    port: int
    key: bytes


def dump_entries(family: int, protocol: int) -> bytes:
    """All entries of one protocol: the kernel does the choosing (Linux 5.8)."""
    tuples = nested(_TUPLE_ORIG, nested(_TUPLE_PROTO, u8(_PROTO_NUMBER, protocol)))
    chosen = nested(_FILTER, u32(_FILTER_ORIG_FLAGS, _BY_PROTOCOL), u32(_FILTER_REPLY_FLAGS, 0))
    return message(_GET, DUMP, _NFGENMSG.pack(family, 0, 0) + tuples + chosen)


def delete_entry(entry: Entry) -> bytes:
    body = _NFGENMSG.pack(entry.family, 0, 0) + attribute(_TUPLE_ORIG | NESTED, entry.key)
    return message(_DELETE, ACK, body)


def read_entry(body: memoryview) -> Entry | None:
    """None for what has no port or is of another family."""
    if len(body) < _NFGENMSG.size:
        raise NetlinkError("truncated connection")
    family = body[0]
    key = attributes(body, _NFGENMSG.size).get(_TUPLE_ORIG)
    if key is None or family not in (AF_INET, AF_INET6):
        return None
    parts = attributes(key)
    addresses = attributes(parts.get(_TUPLE_IP, memoryview(b"")))
    protocol = attributes(parts.get(_TUPLE_PROTO, memoryview(b"")))
    destination = ip_of(family, addresses.get(_IP4_DST if family == AF_INET else _IP6_DST))
    port = protocol.get(_DESTINATION_PORT)
    if destination is None or port is None or len(port) != _PORT.size:
        return None
    return Entry(family, destination, _PORT.unpack(port)[0], bytes(key))
