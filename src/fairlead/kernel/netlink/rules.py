"""Policy routing rules as rtnetlink messages, pure: which table a packet's route is looked up in (fib_rules.h)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from fairlead.kernel.netlink.codec import AF_INET, AF_INET6, prefix_of
from fairlead.kernel.netlink.frames import (
    ACK,
    CREATE,
    DUMP,
    EXCL,
    NetlinkError,
    attribute,
    attributes,
    message,
    number,
    string,
    text,
    u8,
    u32,
)
from fairlead.model.address import Prefix

NEWRULE, DELRULE, GETRULE = 32, 33, 34
_RULE = struct.Struct("=BBBBBxxBI")  # family, dst, src, tos, table, action, flags
_FRA_SRC, _FRA_IIFNAME, _FRA_GOTO, _FRA_PRIORITY = 2, 3, 4, 6
_FRA_FWMARK, _FRA_TABLE, _FRA_PROTOCOL = 10, 15, 21
_TO_TABLE, _GOTO, _NOP = 1, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleEntry:
    """A rule: what is given must match; then look into ``table``, or go on at rule ``goto``, or (neither) nothing."""

    version: int
    priority: int
    source: Prefix | None = None
    iif: str = ""
    mark: int = 0
    table: int = 0
    goto: int = 0
    protocol: int = 0


def new_rule(rule: RuleEntry) -> bytes:
    return message(NEWRULE, ACK | CREATE | EXCL, _body(rule))


def delete_rule(rule: RuleEntry) -> bytes:
    return message(DELRULE, ACK, _body(rule))


def _body(rule: RuleEntry) -> bytes:
    family = AF_INET if rule.version == 4 else AF_INET6
    action = _TO_TABLE if rule.table else _GOTO if rule.goto else _NOP
    length = 0 if rule.source is None else rule.source.prefixlen
    parts = [_RULE.pack(family, 0, length, 0, 0, action, 0), u32(_FRA_PRIORITY, rule.priority)]
    if rule.source is not None:
        parts.append(attribute(_FRA_SRC, rule.source.network_address.packed))
    if rule.iif:
        parts.append(text(_FRA_IIFNAME, rule.iif))
    parts += [
        u32(kind, value)
        for kind, value in ((_FRA_FWMARK, rule.mark), (_FRA_TABLE, rule.table), (_FRA_GOTO, rule.goto))
        if value
    ]
    if rule.protocol:
        parts.append(u8(_FRA_PROTOCOL, rule.protocol))
    return b"".join(parts)


def dump_rules(family: int = 0) -> bytes:
    return message(GETRULE, DUMP, _RULE.pack(family, 0, 0, 0, 0, 0, 0))


def read_rule(body: memoryview) -> RuleEntry | None:
    """None for the families that are not IP."""
    if len(body) < _RULE.size:
        raise NetlinkError("truncated rule")
    family, _, length, _, table, action, _ = _RULE.unpack_from(body)
    if family not in (AF_INET, AF_INET6):
        return None
    found = attributes(body, _RULE.size)
    return RuleEntry(
        version=4 if family == AF_INET else 6,
        priority=number(found.get(_FRA_PRIORITY)),
        source=prefix_of(family, found[_FRA_SRC], length) if _FRA_SRC in found else None,
        iif=string(found.get(_FRA_IIFNAME)),
        mark=number(found.get(_FRA_FWMARK)),
        table=number(found.get(_FRA_TABLE), table) if action == _TO_TABLE else 0,
        goto=number(found.get(_FRA_GOTO)) if action == _GOTO else 0,
        protocol=number(found.get(_FRA_PROTOCOL)),
    )
