"""The one nftables table a sandbox needs, as nfnetlink messages, pure (linux/netfilter/nf_tables.h).

It leads queries for 127.0.0.11:53 to the port on which the embedded DNS listens in there, by rewriting ports without
connection tracking: nothing is bound to port 53, no tracking entry is made per query. Only packets on the loopback
link are looked at, so the container's other traffic passes one comparison.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

from fairlead.kernel.netlink.frames import ACK, APPEND, CREATE, DUMP, attribute, message, nested, text

DNS_ADDRESS = IPv4Address("127.0.0.11")
DNS_TABLE = "fairlead-dns"
_DNS_PORT = 53
_CHAIN = "output"

_SUBSYSTEM = 10
BATCH_BEGIN, BATCH_END = 16, 17
_NEWTABLE, _GETTABLE, _DELTABLE, _NEWCHAIN, _NEWRULE, _GETRULE = (_SUBSYSTEM << 8 | verb for verb in (0, 1, 2, 3, 6, 7))
_AF_UNSPEC, _AF_INET = 0, 2

_LOCAL_OUT, _PRIORITY_RAW = 3, -300
_LOOPBACK_INDEX = 1  # in every network namespace
_NETWORK, _TRANSPORT = 1, 2
_META_OIF, _META_L4PROTO = 5, 16
_EQUAL, _NOT_EQUAL = 0, 1
_REGISTER, _VERDICT = 1, 0
_ACCEPT = 1
_UDP, _TCP = 17, 6
_CHECKSUM_AT = {_UDP: 6, _TCP: 16}
# Rules of the redirection: one for other links, and two ways of two protocols.
RULES = 5
_SOURCE_PORT, _DESTINATION_PORT = 0, 2
_SOURCE_ADDRESS, _DESTINATION_ADDRESS = 12, 16


def dns_redirection(port: int, *, replace: bool = False) -> list[bytes]:
    """The transaction that makes the table for a resolver on that port.

    ``replace`` takes away what was there first; in a fresh namespace nothing is, and the kernel need not wait for
    readers of the old one (10 ms).
    """
    rules = [_skip_other_links()]
    for protocol in (_UDP, _TCP):
        rules.append(_rewrite(protocol, _DESTINATION_ADDRESS, _DESTINATION_PORT, _DNS_PORT, port))
        rules.append(_rewrite(protocol, _SOURCE_ADDRESS, _SOURCE_PORT, port, _DNS_PORT))
    requests = [_new_table(), _delete_table()] if replace else []
    requests += [_new_table(), _new_chain()]
    requests += [_new_rule(rule, last=rule is rules[-1]) for rule in rules]
    return [mark(BATCH_BEGIN), *requests, mark(BATCH_END)]


def get_redirection() -> bytes:
    """Asks for the table; ENOENT where a namespace has none."""
    return _request(_GETTABLE, 0, text(1, DNS_TABLE))


def dump_redirection() -> bytes:
    """Asks for all rules of the table; there are RULES of them while nobody touched it, none without the table."""
    return _request(_GETRULE, DUMP, text(1, DNS_TABLE))


def mark(kind: int) -> bytes:
    """Where a transaction begins or ends."""
    return message(kind, 0, struct.pack(">BBH", _AF_UNSPEC, 0, _SUBSYSTEM))


def _request(kind: int, flags: int, *parts: bytes) -> bytes:
    return message(kind, flags, struct.pack(">BBH", _AF_INET, 0, 0) + b"".join(parts))


def _new_table() -> bytes:
    return _request(_NEWTABLE, CREATE, text(1, DNS_TABLE))


def _delete_table() -> bytes:
    return _request(_DELTABLE, 0, text(1, DNS_TABLE))


def _new_chain() -> bytes:
    hook = nested(4, _be32(1, _LOCAL_OUT), _be32(2, _PRIORITY_RAW))
    return _request(_NEWCHAIN, CREATE, text(1, DNS_TABLE), text(3, _CHAIN), hook, text(7, "filter"))


def _new_rule(expressions: list[bytes], *, last: bool) -> bytes:
    listed = nested(4, *(nested(1, expression) for expression in expressions))
    return _request(_NEWRULE, CREATE | APPEND | (ACK if last else 0), text(1, DNS_TABLE), text(2, _CHAIN), listed)


def _skip_other_links() -> list[bytes]:
    """``oif != lo accept``."""
    verdict = nested(2, nested(2, _be32(1, _ACCEPT)))
    return [
        _meta(_META_OIF),
        _compare(struct.pack("=I", _LOOPBACK_INDEX), _NOT_EQUAL),
        _expression("immediate", _be32(1, _VERDICT), verdict),
    ]


def _rewrite(protocol: int, address_at: int, port_at: int, before: int, after: int) -> list[bytes]:
    """``ip saddr|daddr 127.0.0.11 udp|tcp sport|dport BEFORE notrack udp|tcp sport|dport set AFTER``."""
    return [
        _load(_NETWORK, address_at, 4),
        _compare(DNS_ADDRESS.packed),
        _meta(_META_L4PROTO),
        _compare(bytes([protocol])),
        _load(_TRANSPORT, port_at, 2),
        _compare(struct.pack(">H", before)),
        _expression("notrack"),
        _expression("immediate", _be32(1, _REGISTER), _value(2, struct.pack(">H", after))),
        _store(port_at, _CHECKSUM_AT[protocol]),
    ]


def _expression(name: str, *parts: bytes) -> bytes:
    return text(1, name) + (nested(2, *parts) if parts else b"")


def _be32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">I", value & 0xFFFFFFFF))


def _value(kind: int, raw: bytes) -> bytes:
    return nested(kind, attribute(1, raw))


def _meta(key: int) -> bytes:
    return _expression("meta", _be32(1, _REGISTER), _be32(2, key))


def _compare(raw: bytes, operator: int = _EQUAL) -> bytes:
    return _expression("cmp", _be32(1, _REGISTER), _be32(2, operator), _value(3, raw))


def _load(base: int, offset: int, length: int) -> bytes:
    return _expression("payload", _be32(1, _REGISTER), _be32(2, base), _be32(3, offset), _be32(4, length))


def _store(offset: int, checksum_at: int) -> bytes:
    """Write a port from the register and mend the checksum (NFT_PAYLOAD_CSUM_INET)."""
    where = (_be32(2, _TRANSPORT), _be32(3, offset), _be32(4, 2))
    return _expression("payload", _be32(5, _REGISTER), *where, _be32(6, 1), _be32(7, checksum_at))
