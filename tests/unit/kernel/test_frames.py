"""Netlink's outer form."""

from __future__ import annotations

import struct

import pytest

from fairlead.kernel.netlink import frames
from fairlead.kernel.netlink.frames import Message, NetlinkError


def test_a_request_is_a_header_and_its_body() -> None:
    raw = frames.message(16, frames.ACK, b"body")
    assert struct.unpack_from("=IHHII", raw) == (20, 16, frames.ACK | frames.REQUEST, 0, 0)
    assert list(frames.messages(raw)) == [Message(16, 5, 0, 0, memoryview(b"body"))]


def test_several_messages_stand_on_four_byte_boundaries() -> None:
    raw = frames.message(1, 0, b"a") + b"\0\0\0" + frames.message(2, 0, b"")
    assert [(message.kind, bytes(message.body)) for message in frames.messages(raw)] == [(1, b"a"), (2, b"")]


@pytest.mark.parametrize(
    "raw", [b"x", struct.pack("=IHHII", 15, 0, 0, 0, 0), struct.pack("=IHHII", 17, 0, 0, 0, 0), b"\0" * 16]
)
def test_lying_lengths_are_malformed(raw: bytes) -> None:
    with pytest.raises(NetlinkError):
        list(frames.messages(raw))


def test_attributes_are_padded_and_found() -> None:
    raw = frames.text(3, "eth0") + frames.u32(4, 1500) + frames.u8(5, 1) + frames.nested(18, frames.text(1, "veth"))
    assert len(raw) % 4 == 0
    found = frames.attributes(memoryview(raw))
    assert frames.string(found[3]) == "eth0"
    assert (frames.number(found[4]), frames.number(found[5]), frames.number(found.get(9), 7)) == (1500, 1, 7)
    assert frames.string(frames.attributes(found[18])[1]) == "veth"


@pytest.mark.parametrize("raw", [struct.pack("=HH", 3, 1), struct.pack("=HH", 9, 1) + b"1234"])
def test_lying_attributes_are_malformed(raw: bytes) -> None:
    with pytest.raises(NetlinkError):
        frames.attributes(memoryview(raw))


def test_a_number_has_a_width() -> None:
    assert frames.number(memoryview(struct.pack("=Q", 1 << 40))) == 1 << 40
    with pytest.raises(NetlinkError):
        frames.number(memoryview(b"123"))


def test_text_that_is_not_utf8_stays_readable() -> None:
    assert frames.string(memoryview(b"a\xff\0rest")) == "a\\xff"
    assert frames.string(None) == ""


def test_refusals_have_the_kernels_words_where_it_says_any() -> None:
    echoed = frames.message(16, 0, b"")
    words = frames.text(1, "bad attribute")
    plain = Message(frames.ERROR, 0, 1, 0, memoryview(struct.pack("=i", -17) + echoed))
    capped = Message(frames.ERROR, 0x300, 1, 0, memoryview(struct.pack("=i", -22) + echoed + words))
    long = frames.message(16, 0, b"request ")
    whole = Message(frames.ERROR, 0x200, 1, 0, memoryview(struct.pack("=i", -22) + long + words))
    done = Message(frames.ERROR, 0x100, 1, 0, memoryview(struct.pack("=i", 0) + echoed))
    assert [frames.refusal(each) for each in (plain, capped, whole, done)] == [
        (17, ""),
        (22, "bad attribute"),
        (22, "bad attribute"),
        (0, ""),
    ]
    with pytest.raises(NetlinkError):
        frames.refusal(Message(frames.ERROR, 0, 1, 0, memoryview(b"1")))
