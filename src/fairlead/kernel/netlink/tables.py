"""What an nft table has, as nfnetlink messages, pure (linux/netfilter/nf_tables.h).

nft's own listing reads every element of every set first; here rules, names and counts are asked for alone.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from fairlead.kernel.netlink.frames import DUMP, NetlinkError, attributes, message, number, string, text

_SUBSYSTEM = 10
_GETCHAIN, _GETRULE, _GETSET, _GETOBJ = (_SUBSYSTEM << 8 | verb for verb in (4, 7, 10, 19))
_FAMILIES = {"inet": 1, "bridge": 7}
_NFGENMSG = 4
_ANONYMOUS = 1  # a set of one rule's own
_COUNTER = 1
_BYTES, _PACKETS = 1, 2


class TableName(NamedTuple):
    family: int
    name: str

    @classmethod
    def parse(cls, table: str) -> TableName:
        """Of ``inet fairlead``."""
        family, _, name = table.partition(" ")
        return cls(_FAMILIES[family], name)


def _dump(kind: int, table: str, *more: bytes) -> bytes:
    family, name = TableName.parse(table)
    return message(kind, DUMP, b"".join((struct.pack(">BBH", family, 0, 0), text(1, name), *more)))


def dump_chains(table: str) -> bytes:
    return _dump(_GETCHAIN, table)


def dump_rules(table: str, chain: str = "") -> bytes:
    """Of all chains, or of one."""
    return _dump(_GETRULE, table, *((text(2, chain),) if chain else ()))


def dump_sets(table: str) -> bytes:
    return _dump(_GETSET, table)


def dump_objects(table: str) -> bytes:
    return _dump(_GETOBJ, table)


def _read(body: memoryview, table: str) -> dict[int, memoryview]:
    """The attributes; none of what belongs to another table (older kernels do not choose)."""
    if len(body) < _NFGENMSG:
        raise NetlinkError("truncated nftables message")
    wanted = TableName.parse(table)
    found = attributes(body, _NFGENMSG)
    return found if (body[0], string(found.get(1))) == wanted else {}


def read_chain(body: memoryview, table: str) -> str:
    """Its name; "" of another table's."""
    return string(_read(body, table).get(3))


def read_rule(body: memoryview, table: str) -> tuple[str, bytes]:
    """(chain, the rule's expressions in the kernel's own bytes); ("", b"") of another table's."""
    found = _read(body, table)
    return string(found.get(2)), bytes(found.get(4, b""))


def read_set(body: memoryview, table: str) -> tuple[str, bool]:
    """(name, whether it is a map); ("", False) of another table's, and of sets that belong to one rule."""
    found = _read(body, table)
    flags = int.from_bytes(found.get(3, b""), "big")
    return ("", False) if flags & _ANONYMOUS else (string(found.get(2)), bool(flags & 8))


class Counted(NamedTuple):
    name: str
    packets: int
    octets: int


def read_counter(body: memoryview, table: str) -> Counted | None:
    """None of another table's, and of objects that do not count."""
    found = _read(body, table)
    if int.from_bytes(found.get(3, b""), "big") != _COUNTER:
        return None
    counts = attributes(found.get(4, memoryview(b"")))
    return Counted(string(found.get(2)), _big(counts.get(_PACKETS)), _big(counts.get(_BYTES)))


def _big(payload: memoryview | None) -> int:
    number(payload)  # its width is checked there
    return int.from_bytes(payload or b"", "big")
