"""Netlink's outer form, pure: messages in a datagram, attributes in a message (netlink(7), linux/netlink.h)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

HEADER = struct.Struct("=IHHII")  # length, kind, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")
_S32 = struct.Struct("=i")

ERROR = 2
DONE = 3

REQUEST = 0x1
ACK = 0x4
DUMP = 0x300
EXCL = 0x200
CREATE = 0x400
APPEND = 0x800
REPLACE = 0x100
CAPPED = 0x100  # on an error message: the request is not echoed
ACK_TLVS = 0x200  # on an error message: attributes with text follow

NESTED = 0x8000
TYPE_MASK = 0x3FFF
_ERROR_TEXT = 1  # NLMSGERR_ATTR_MSG


class NetlinkError(Exception):
    """The kernel refused a message, or what came is not netlink.

    ``errno`` is 0 for malformed bytes; ``index`` says which message of a batch was refused.
    """

    def __init__(self, text: str, errno: int = 0, index: int = 0) -> None:
        super().__init__(text)
        self.errno, self.index = errno, index


class Message(NamedTuple):
    """One netlink message without its header's length."""

    kind: int
    flags: int
    sequence: int
    port: int
    body: memoryview


def attribute(kind: int, payload: bytes) -> bytes:
    length = 4 + len(payload)
    return _ATTRIBUTE.pack(length, kind) + payload + bytes(-length & 3)


def nested(kind: int, *attributes: bytes) -> bytes:
    return attribute(kind | NESTED, b"".join(attributes))


def u32(kind: int, value: int) -> bytes:
    return struct.pack("=HHI", 8, kind, value)


def u16(kind: int, value: int) -> bytes:
    return struct.pack("=HHHxx", 6, kind, value)


def u8(kind: int, value: int) -> bytes:
    return struct.pack("=HHBxxx", 5, kind, value)


def text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def message(kind: int, flags: int, body: bytes) -> bytes:
    """A request with sequence 0; the connection puts in the real one when it sends."""
    return HEADER.pack(HEADER.size + len(body), kind, flags | REQUEST, 0, 0) + body


def messages(datagram: bytes) -> Iterator[Message]:
    """The messages of one datagram; raises NetlinkError where lengths lie."""
    view, offset, end = memoryview(datagram), 0, len(datagram)
    while offset < end:
        if end - offset < HEADER.size:
            raise NetlinkError("truncated message header")
        length, kind, flags, sequence, port = HEADER.unpack_from(view, offset)
        if length < HEADER.size or length > end - offset:
            raise NetlinkError("message length out of bounds")
        yield Message(kind, flags, sequence, port, view[offset + HEADER.size : offset + length])
        offset += (length + 3) & ~3


def attributes(body: memoryview, offset: int = 0) -> dict[int, memoryview]:
    """Attributes from ``offset`` on, the last of a kind winning; raises NetlinkError where lengths lie."""
    found: dict[int, memoryview] = {}
    end = len(body)
    while end - offset >= 4:
        length, kind = _ATTRIBUTE.unpack_from(body, offset)
        if length < 4 or length > end - offset:
            raise NetlinkError("attribute length out of bounds")
        found[kind & TYPE_MASK] = body[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def number(payload: memoryview | None, default: int = 0) -> int:
    """An unsigned number of 1, 2, 4 or 8 bytes in host order."""
    if payload is None:
        return default
    if len(payload) not in (1, 2, 4, 8):
        raise NetlinkError("number of odd width")
    return int.from_bytes(payload, "little" if _LITTLE else "big")


def string(payload: memoryview | None) -> str:
    """Text up to its NUL; bytes that are not UTF-8 are kept readable (an alias may hold any)."""
    return "" if payload is None else bytes(payload).split(b"\0", 1)[0].decode(errors="backslashreplace")


def refusal(reply: Message) -> tuple[int, str]:
    """(errno, the kernel's own words if any) of an ERROR message; (0, "") is an acknowledgement."""
    if len(reply.body) < 4:
        raise NetlinkError("truncated error message")
    code = -_S32.unpack_from(reply.body)[0]
    if not reply.flags & ACK_TLVS or code == 0:
        return code, ""
    return code, string(attributes(reply.body, _echo_end(reply)).get(_ERROR_TEXT))


def _echo_end(reply: Message) -> int:
    """Where the attributes of an error message begin: behind the echoed header, or the whole echoed request."""
    if reply.flags & CAPPED or len(reply.body) < 8:
        return 4 + HEADER.size
    echoed: int = struct.unpack_from("=I", reply.body, 4)[0]
    return 4 + ((echoed + 3) & ~3)


def joined(requests: Sequence[bytes], first_sequence: int) -> bytes:
    """One datagram of all requests, numbered from ``first_sequence``."""
    datagram = bytearray()
    for sequence, request in enumerate(requests, first_sequence):
        at = len(datagram)
        datagram += request
        datagram += bytes(-len(request) & 3)
        struct.pack_into("=I", datagram, at + 8, sequence & 0xFFFFFFFF)
    return bytes(datagram)


_LITTLE = struct.pack("=H", 1) == b"\1\0"
