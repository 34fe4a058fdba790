"""Elements of our nft table as one nfnetlink transaction, pure (linux/netfilter/nf_tables.h).

libnftables reads the whole table's frame before each change: 0.25 ms for the few elements of a network, against 0.04
for these messages. What has no form here (a type that is not in the table below, very many elements) is its business.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_network
from itertools import groupby

from fairlead.kernel.netlink.frames import ACK, CREATE, attribute, message, nested, text
from fairlead.kernel.netlink.nf import BATCH_BEGIN, BATCH_END, mark
from fairlead.net import ruleset
from fairlead.net.state import Element, Step

_INET = 1
_NEW_ELEMENTS, _DELETE_ELEMENTS = 10 << 8 | 12, 10 << 8 | 14
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS, _LIST_ITEM = 1, 2, 3, 1
_KEY, _DATA, _FLAGS, _KEY_END, _VALUE = 1, 2, 3, 10, 1
_INTERVAL_END = 1

# One message's list of elements is an attribute, and so no longer than 64 KiB.
_AT_ONCE = 200
# The socket's send buffer takes this much in one datagram, whatever the host's limits.
_LONGEST = 96 << 10

_PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132, "icmp": 1, "ipv6-icmp": 58}
_FAMILIES = {"ipv4": 2, "ipv6": 10}


class NoFormError(Exception):
    """It can be said in nft's text only."""


def _ifname(word: str) -> bytes:
    if len(word) < 3 or word[0] != '"' or word[-1] != '"' or "*" in word:
        raise NoFormError(word)
    return word[1:-1].encode().ljust(16, b"\0")


def _service(word: str) -> bytes:
    return struct.pack(">H", int(word))


_TYPES: Mapping[str, Callable[[str], bytes]] = {
    "ifname": _ifname,
    "ipv4_addr": lambda word: IPv4Address(word).packed,
    "ipv6_addr": lambda word: IPv6Address(word).packed,
    "inet_proto": lambda word: bytes((_PROTOCOLS[word],)),
    "inet_service": _service,
    "nf_proto": lambda word: bytes((_FAMILIES[word],)),
}


def transaction(steps: Iterable[Step]) -> list[bytes]:
    """Deletions first, as in ``ruleset.transaction``; raises NoFormError for what cannot be said so."""
    removed, added = ruleset.sorted_out(steps)
    requests = [*_messages(_DELETE_ELEMENTS, removed), *_messages(_NEW_ELEMENTS, added)]
    if sum(map(len, requests)) > _LONGEST or not requests:
        raise NoFormError
    # Only the last one's acknowledgement is waited for; a refusal comes for whichever is refused.
    kind, flags = struct.unpack_from("=HH", requests[-1], 4)
    requests[-1] = message(kind, flags | ACK, requests[-1][16:])
    return [mark(BATCH_BEGIN), *requests, mark(BATCH_END)]


def _messages(kind: int, elements: list[Element]) -> Iterator[bytes]:
    try:
        for container, group in groupby(sorted(elements, key=_container), key=_container):
            kind_of = ruleset.CONTAINERS[container]
            form = _form(kind_of.type, kind_of.interval)
            items = [item for element in group for item in form.items(element, data=kind == _NEW_ELEMENTS)]
            for start in range(0, len(items), _AT_ONCE):
                yield _message(kind, container, items[start : start + _AT_ONCE])
    except (KeyError, ValueError, struct.error) as error:
        raise NoFormError(str(error)) from error


def _container(element: Element) -> str:
    return element.container


def _message(kind: int, container: str, items: list[bytes]) -> bytes:
    listed = nested(_LIST_ELEMENTS, *(nested(_LIST_ITEM, item) for item in items))
    where = text(_LIST_TABLE, ruleset.TABLE) + text(_LIST_SET, container)
    flags = CREATE if kind == _NEW_ELEMENTS else 0
    return message(kind, flags, struct.pack(">BBH", _INET, 0, 0) + where + listed)


class _Form:
    """How the elements of one set or map are written."""

    def __init__(self, kind: str, *, interval: bool) -> None:
        key, _, value = kind.partition(" : ")
        self._key, self._data = _fields(key), _fields(value) if value else ()
        self._interval = interval

    def items(self, element: Element, *, data: bool) -> Iterator[bytes]:
        """One item; two for an interval of a single field, which the kernel keeps as where it begins and ends."""
        value = nested(_DATA, _value(self._data, element.value.split(" . "))) if data and self._data else b""
        words = element.key.split(" . ")
        if not self._interval:
            yield nested(_KEY, _value(self._key, words)) + value
            return
        spans = [_span(word) for word in words]
        low = nested(_KEY, _value(self._key, [first for first, _ in spans]))
        high = _value(self._key, [last for _, last in spans])
        if len(spans) > 1:
            yield low + nested(_KEY_END, high) + value
            return
        yield low + value
        if (behind := _behind(high)) is not None:
            yield nested(_KEY, behind) + attribute(_FLAGS, struct.pack(">I", _INTERVAL_END))


@lru_cache(maxsize=256)
def _form(kind: str, interval: bool) -> _Form:
    return _Form(kind, interval=interval)


def _fields(kind: str) -> tuple[Callable[[str], bytes], ...]:
    return tuple(_TYPES[word] for word in kind.split(" . "))


def _value(fields: tuple[Callable[[str], bytes], ...], words: list[str]) -> bytes:
    """The bytes of one value; parts of a concatenation take whole registers of 32 bits."""
    if len(words) != len(fields):
        raise NoFormError(" . ".join(words))
    parts = [field(word) for field, word in zip(fields, words, strict=True)]
    if len(parts) > 1:
        parts = [part + bytes(-len(part) & 3) for part in parts]
    return attribute(_VALUE, b"".join(parts))


def _span(word: str) -> tuple[str, str]:
    """``10.0.0.0/24``, ``8000-8999`` or one value, as first and last."""
    if "/" in word:
        prefix = ip_network(word)
        return str(prefix.network_address), str(prefix.broadcast_address)
    first, dash, last = word.partition("-")
    # A protocol's name may have a dash.
    return (first, last) if dash and word not in _PROTOCOLS else (word, word)


def _behind(value: bytes) -> bytes | None:
    """The first value that is no longer in it; None where there is none."""
    raw = value[4:]
    following = int.from_bytes(raw, "big") + 1
    if following >> 8 * len(raw):
        return None
    return attribute(_VALUE, following.to_bytes(len(raw), "big"))
