"""Detach keys and frames, in any pieces."""

from __future__ import annotations

import os

import pytest

from fairlead.cli.streams import Demultiplexer
from fairlead.cli.terminal import DetachKeys, parse_detach_keys
from harness.fakeengine import frame


@pytest.mark.parametrize(
    ("text", "keys"),
    [("ctrl-p,ctrl-q", b"\x10\x11"), ("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", b"\x00\x1b\x1c\x1d\x1e\x1f"),
     ("a,b,DEL", b"ab\x7f"), ("ctrl-a", b"\x01")],
)  # fmt: skip
def test_names_of_keys(text: str, keys: bytes) -> None:
    assert parse_detach_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-A1", "ab", "", "ctrl-", "é"])
def test_no_keys(text: str) -> None:
    with pytest.raises(ValueError, match="Unknown character"):
        parse_detach_keys(text)


def test_keys_that_only_begin_are_held_and_then_sent() -> None:
    keys = DetachKeys(b"\x10\x11")
    assert keys.feed(b"ab\x10") == (b"ab", False)
    assert keys.feed(b"c") == (b"\x10c", False)
    assert keys.feed(b"\x10\x10") == (b"\x10", False)
    assert keys.feed(b"\x11") == (b"", True)


def test_frames_go_to_their_stream(capfd: pytest.CaptureFixture[str]) -> None:
    sink = Demultiplexer()
    whole = frame(1, b"one ") + frame(1, b"") + frame(2, b"two ") + frame(3, b"three ") + frame(0, b"zero")
    for byte in whole:
        sink(bytes([byte]))
    assert capfd.readouterr() == ("one zero", "two three ")


def test_a_frame_larger_than_any_piece(tmp_path: os.PathLike[str]) -> None:
    with open(f"{tmp_path}/out", "wb+") as out:
        sink = Demultiplexer(out.fileno(), out.fileno())
        data = os.urandom(300_000)
        whole = frame(1, data)
        for start in range(0, len(whole), 7000):
            sink(whole[start : start + 7000])
        out.seek(0)
        assert out.read() == data
