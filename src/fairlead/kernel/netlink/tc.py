"""The messages of traffic control that we speak, pure: tbf and netem at a link's root, a redirection of what comes in.

Rates, delays and losses are those of the kernel's own units where it has them in full; what it rounds is said where it
is read (linux/pkt_sched.h, linux/pkt_cls.h, linux/tc_act/tc_mirred.h). Readers raise only NetlinkError.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from fairlead.kernel.netlink.frames import (
    ACK,
    CREATE,
    DUMP,
    EXCL,
    REPLACE,
    NetlinkError,
    attribute,
    attributes,
    message,
    nested,
    number,
    string,
    text,
    u32,
)

NEWQDISC, DELQDISC, GETQDISC = 36, 37, 38
NEWTFILTER, DELTFILTER, GETTFILTER = 44, 45, 46
KINDS = frozenset({NEWQDISC, DELQDISC, NEWTFILTER, DELTFILTER})

_HEADER = struct.Struct("=BxxxiIII")  # family, index, handle, parent, info
_KIND, _OPTIONS = 1, 2

_ROOT, _CLSACT, _INGRESS = 0xFFFFFFFF, 0xFFFFFFF1, 0xFFFFFFF2

# Our marks, each in a place of its own: the kernel keeps a handle's kind, and its place, when it is asked for again.
_TBF, _NETEM, _TBF_IN_NETEM = 0x0F1E_0000, 0x0F1D_0000, 0x0F1C_0000
_CLASS = 1
_PRIORITY = 0x0F1E

_RATESPEC = struct.Struct("=BBHhHI")  # cell_log, linklayer, overhead, cell_align, mpu, bytes per second
_TBF_QOPT = struct.Struct("=12s12sIII")  # rate, peakrate, limit, buffer, mtu
_TBF_PARMS, _TBF_RATE64, _TBF_BURST = 1, 4, 6
_LINKLAYER_ETHERNET = 1
_TICK = 64  # nanoseconds in one of the scheduler's ticks (PSCHED_SHIFT)

_NETEM_QOPT = struct.Struct("=IIIIII")  # latency, limit, loss, gap, duplicate, jitter
_NETEM_LATENCY64, _NETEM_JITTER64 = 10, 11
_NETEM_PACKETS = 20_000  # that are under way at most: two seconds of 100 Mbit/s
_ALL_LOST = 0xFFFFFFFF

_U32_SEL, _U32_ACT = 5, 7
_SELECTOR = struct.Struct("=BBBxHHhhI")  # flags, offshift, nkeys, offmask, off, offoff, hoff, hmask
_TERMINAL = 1
_ACT_KIND, _ACT_OPTIONS = 1, 2
_MIRRED_PARMS = 2
_MIRRED = struct.Struct("=IIiiiiI")  # index, capab, action, refcnt, bindcnt, eaction, ifindex
_STOLEN, _EGRESS_REDIRECT = 4, 1
_ETH_P_ALL = struct.unpack("=H", struct.pack("!H", 3))[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tbf:
    """Bits per second; bytes that go at once; bytes that may wait.

    The kernel counts whole bytes per second, and keeps the burst as the time it takes, in ticks of 64 ns.
    """

    rate: int
    burst: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Netem:
    """Microseconds; ``loss`` in millionths."""

    delay: int = 0
    jitter: int = 0
    loss: int = 0


@dataclass(frozen=True, slots=True)
class QdiscInfo:
    """A queueing discipline as the kernel tells it; ``shape`` where it bears one of our marks."""

    index: int
    kind: str
    handle: int
    parent: int
    shape: Tbf | Netem | None

    @property
    def clsact(self) -> bool:
        """Whether filters may hang on what comes in by the link."""
        return self.parent == _CLSACT


def _header(index: int, handle: int = 0, parent: int = 0, info: int = 0) -> bytes:
    return _HEADER.pack(0, index, handle, parent, info)


# Queueing disciplines


def new_shape(index: int, tbf: Tbf | None, netem: Netem | None) -> Iterator[bytes]:
    """The link's root, whatever was there: one of the two, or the rate below the delay."""
    if netem is not None:
        yield _replace(_header(index, _NETEM, _ROOT), "netem", _netem_options(netem))
        if tbf is not None:
            yield _replace(_header(index, _TBF_IN_NETEM, _NETEM | _CLASS), "tbf", _tbf_options(tbf))
    elif tbf is not None:
        yield _replace(_header(index, _TBF, _ROOT), "tbf", _tbf_options(tbf))


def _replace(header: bytes, kind: str, options: bytes) -> bytes:
    return message(NEWQDISC, ACK | CREATE | REPLACE, header + text(_KIND, kind) + options)


def _tbf_options(tbf: Tbf) -> bytes:
    rate = max(1, tbf.rate // 8)
    spec = _RATESPEC.pack(0, _LINKLAYER_ETHERNET, 0, 0, 0, min(rate, 0xFFFFFFFF))
    parms = _TBF_QOPT.pack(spec, bytes(_RATESPEC.size), tbf.limit, 0, 0)
    parts = [attribute(_TBF_PARMS, parms), u32(_TBF_BURST, tbf.burst)]
    if rate > 0xFFFFFFFF:
        parts.append(attribute(_TBF_RATE64, struct.pack("=Q", rate)))
    return nested(_OPTIONS, *parts)


def _netem_options(netem: Netem) -> bytes:
    loss = netem.loss * _ALL_LOST // 1_000_000
    fixed = _NETEM_QOPT.pack(0, _NETEM_PACKETS, loss, 0, 0, 0)
    times = ((_NETEM_LATENCY64, netem.delay), (_NETEM_JITTER64, netem.jitter))
    return attribute(_OPTIONS, fixed + b"".join(attribute(kind, struct.pack("=q", us * 1000)) for kind, us in times))


def delete_root(index: int) -> bytes:
    return message(DELQDISC, ACK, _header(index, 0, _ROOT))


def delete_rate_in_netem(index: int) -> bytes:
    return message(DELQDISC, ACK, _header(index, 0, _NETEM | _CLASS))


def new_clsact(index: int) -> bytes:
    """A place for filters on what comes in; refused (EEXIST) where there is one."""
    return message(NEWQDISC, ACK | CREATE | EXCL, _header(index, 0xFFFF0000, _CLSACT) + text(_KIND, "clsact"))


def delete_clsact(index: int) -> bytes:
    return message(DELQDISC, ACK, _header(index, 0xFFFF0000, _CLSACT))


def dump_qdiscs() -> bytes:
    """All of the namespace."""
    return message(GETQDISC, DUMP, _header(0))


def read_qdisc(body: memoryview) -> QdiscInfo:
    if len(body) < _HEADER.size:
        raise NetlinkError("truncated queueing discipline")
    _, index, handle, parent, _ = _HEADER.unpack_from(body)
    found = attributes(body, _HEADER.size)
    kind, options = string(found.get(_KIND)), found.get(_OPTIONS)
    shape: Tbf | Netem | None = None
    if handle in (_TBF, _TBF_IN_NETEM) and kind == "tbf" and options is not None:
        shape = _read_tbf(attributes(options))
    elif handle == _NETEM and kind == "netem" and options is not None:
        shape = _read_netem(options)
    return QdiscInfo(index, kind, handle, parent, shape)


def _read_tbf(options: dict[int, memoryview]) -> Tbf:
    parms = options.get(_TBF_PARMS, memoryview(b""))
    if len(parms) < _TBF_QOPT.size:
        raise NetlinkError("truncated rate")
    spec, _, limit, buffer, _ = _TBF_QOPT.unpack_from(parms)
    rate = number(options.get(_TBF_RATE64), _RATESPEC.unpack(spec)[5])
    return Tbf(rate=rate * 8, burst=round(buffer * _TICK * rate / 1_000_000_000), limit=limit)


def _read_netem(options: memoryview) -> Netem:
    if len(options) < _NETEM_QOPT.size:
        raise NetlinkError("truncated delay")
    _, _, loss, _, _, _ = _NETEM_QOPT.unpack_from(options)
    found = attributes(options, _NETEM_QOPT.size)
    delay, jitter = (number(found.get(kind)) // 1000 for kind in (_NETEM_LATENCY64, _NETEM_JITTER64))
    return Netem(delay=delay, jitter=jitter, loss=round(loss * 1_000_000 / _ALL_LOST))


# Redirections


def _filter(index: int) -> bytes:
    return _header(index, 0, _INGRESS, _PRIORITY << 16 | _ETH_P_ALL)


def new_redirect(index: int, to: int) -> bytes:
    """All that comes in by a link goes out by another one, which for an ifb is to come in again."""
    mirred = _MIRRED.pack(0, 0, _STOLEN, 0, 0, _EGRESS_REDIRECT, to)
    options = nested(_ACT_OPTIONS, attribute(_MIRRED_PARMS, mirred))
    action = nested(_U32_ACT, nested(1, text(_ACT_KIND, "mirred"), options))
    # A selector without keys takes every packet.
    selector = attribute(_U32_SEL, _SELECTOR.pack(_TERMINAL, 0, 0, 0, 0, 0, 0, 0))
    body = _filter(index) + text(_KIND, "u32") + nested(_OPTIONS, selector, action)
    return message(NEWTFILTER, ACK | CREATE | EXCL, body)


def delete_redirect(index: int) -> bytes:
    return message(DELTFILTER, ACK, _filter(index))


def dump_filters(index: int) -> bytes:
    """All on what comes in by the link."""
    return message(GETTFILTER, DUMP, _header(index, 0, _INGRESS))


def read_redirect(body: memoryview) -> int | None:
    """Where a redirection of ours leads: the link's number, 0 where that is gone; None for any other filter."""
    if len(body) < _HEADER.size:
        raise NetlinkError("truncated filter")
    *_, info = _HEADER.unpack_from(body)
    found = attributes(body, _HEADER.size)
    if info >> 16 != _PRIORITY or _OPTIONS not in found:
        return None
    actions = attributes(found[_OPTIONS]).get(_U32_ACT)
    action = attributes(actions).get(1) if actions is not None else None
    options = attributes(action).get(_ACT_OPTIONS) if action is not None else None
    mirred = attributes(options).get(_MIRRED_PARMS) if options is not None else None
    if mirred is None or len(mirred) < _MIRRED.size:
        return None
    *_, index = _MIRRED.unpack_from(mirred)
    return int(index)
