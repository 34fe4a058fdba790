"""Traffic control messages: what is asked of the kernel, and what of its answers is ours."""

from __future__ import annotations

import struct

import pytest

from fairlead.kernel.netlink import tc
from fairlead.kernel.netlink.frames import (
    NetlinkError,
    attribute,
    attributes,
    messages,
    nested,
    number,
    string,
    text,
    u32,
)
from fairlead.kernel.netlink.tc import Netem, Tbf

RATE = Tbf(rate=10_000_000, burst=12_500, limit=75_000)
LATE = Netem(delay=20_000, jitter=1_500, loss=10_000)


def sent(raw: bytes) -> tuple[tuple[int, ...], str, memoryview]:
    """(index, handle, parent, info), kind and options of a request."""
    (message,) = messages(raw)
    found = attributes(message.body, 20)
    return struct.unpack_from("=iIII", message.body, 4), string(found.get(1)), found.get(2, memoryview(b""))


def told(index: int, handle: int, parent: int, kind: str, options: bytes) -> memoryview:
    return memoryview(struct.pack("=BxxxiIII", 0, index, handle, parent, 1) + text(1, kind) + options)


def test_a_rate_is_asked_for_in_bytes_without_a_table() -> None:
    (raw,) = tc.new_shape(7, RATE, None)
    place, kind, options = sent(raw)
    assert (place, kind) == ((7, 0x0F1E0000, 0xFFFFFFFF, 0), "tbf")
    found = attributes(options)
    assert struct.unpack_from("=BBHhHI", found[1]) == (0, 1, 0, 0, 0, 1_250_000)
    assert struct.unpack_from("=III", found[1], 24) == (75_000, 0, 0)
    assert number(found[6]) == 12_500
    assert 4 not in found


def test_a_rate_beyond_32_bits_has_64() -> None:
    (raw,) = tc.new_shape(7, Tbf(rate=40_000_000_000, burst=1, limit=1), None)
    found = attributes(sent(raw)[2])
    assert struct.unpack_from("=I", found[1], 8)[0] == 0xFFFFFFFF
    assert number(found[4]) == 5_000_000_000


def test_a_delay_is_asked_for_in_nanoseconds() -> None:
    (raw,) = tc.new_shape(7, None, LATE)
    place, kind, options = sent(raw)
    assert (place, kind) == ((7, 0x0F1D0000, 0xFFFFFFFF, 0), "netem")
    assert struct.unpack_from("=IIIIII", options)[2] == 0xFFFFFFFF // 100
    found = attributes(options, 24)
    assert (number(found[10]), number(found[11])) == (20_000_000, 1_500_000)


def test_a_rate_goes_into_the_delay() -> None:
    outer, inner = tc.new_shape(7, RATE, LATE)
    assert sent(outer)[1] == "netem"
    assert sent(inner)[0] == (7, 0x0F1C0000, 0x0F1D0001, 0)
    assert list(tc.new_shape(7, None, None)) == []


def test_the_kernels_answer_reads_back() -> None:
    spec = struct.pack("=BBHhHI", 0, 1, 0, 0, 0, 1_250_000)
    ticks = 12_500 * 1_000_000_000 // 1_250_000 // 64
    parms = struct.pack("=12s12sIII", spec, bytes(12), 75_000, ticks, 0)
    found = tc.read_qdisc(told(7, 0x0F1E0000, 0xFFFFFFFF, "tbf", nested(2, attribute(1, parms))))
    assert (found.index, found.shape) == (7, RATE)
    beyond = nested(2, attribute(1, parms), attribute(4, struct.pack("=Q", 5_000_000_000)))
    shape = tc.read_qdisc(told(7, 0x0F1C0000, 1, "tbf", beyond)).shape
    assert isinstance(shape, Tbf)
    assert shape.rate == 40_000_000_000
    (raw,) = tc.new_shape(7, None, LATE)
    (message,) = messages(raw)
    assert tc.read_qdisc(message.body).shape == LATE


def test_what_does_not_bear_our_mark_is_nobodys_business() -> None:
    assert tc.read_qdisc(told(7, 0x10000, 0xFFFFFFFF, "tbf", nested(2))).shape is None
    assert tc.read_qdisc(told(7, 0x0F1E0000, 0xFFFFFFFF, "sfq", nested(2))).shape is None
    assert tc.read_qdisc(told(7, 0xFFFF0000, 0xFFFFFFF1, "clsact", b"")).clsact


@pytest.mark.parametrize(
    "body",
    [
        memoryview(b"\0" * 8),
        told(7, 0x0F1E0000, 0xFFFFFFFF, "tbf", nested(2)),
        told(7, 0x0F1D0000, 0xFFFFFFFF, "netem", attribute(2, b"\0" * 8)),
    ],
)
def test_what_is_cut_short_is_an_error(body: memoryview) -> None:
    with pytest.raises(NetlinkError):
        tc.read_qdisc(body)


def test_a_redirection_reads_back_and_others_do_not() -> None:
    (message,) = messages(tc.new_redirect(7, 9))
    assert tc.read_redirect(message.body) == 9
    (message,) = messages(tc.delete_redirect(7))
    assert tc.read_redirect(message.body) is None
    strangers = struct.pack("=BxxxiIII", 0, 7, 0, 0xFFFFFFF2, 1 << 16) + text(1, "u32") + nested(2, u32(1, 1))
    assert tc.read_redirect(memoryview(strangers)) is None
    with pytest.raises(NetlinkError):
        tc.read_redirect(memoryview(b"\0" * 4))
