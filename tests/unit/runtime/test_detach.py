from __future__ import annotations

import pytest

from fairlead.errors import InvalidArgument
from fairlead.runtime.detach import DetachMatcher, parse_detach_keys


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("", b"\x10\x11"),
        ("ctrl-p,ctrl-q", b"\x10\x11"),
        ("ctrl-@,ctrl-a,ctrl-z,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", b"\x00\x01\x1a\x1b\x1c\x1d\x1e\x1f"),
        ("a,b", b"ab"),
        ("DEL", b"\x7f"),
    ],
)
def test_keys(keys: str, expected: bytes) -> None:
    assert parse_detach_keys(keys) == expected


@pytest.mark.parametrize("keys", ["ctrl-1", "ab", "a,,b", "ctrl-", "é"])
def test_what_is_no_key_is_refused(keys: str) -> None:
    with pytest.raises(InvalidArgument, match="Invalid detach keys"):
        parse_detach_keys(keys)


def test_the_sequence_in_pieces() -> None:
    matcher = DetachMatcher()
    assert matcher.feed(b"abc\x10") == (b"abc", False)
    assert matcher.feed(b"\x11rest") == (b"", True)


def test_a_beginning_that_does_not_go_on_is_passed() -> None:
    matcher = DetachMatcher()
    assert matcher.feed(b"\x10") == (b"", False)
    assert matcher.feed(b"\x10") == (b"\x10", False)
    assert matcher.feed(b"x") == (b"\x10x", False)
    assert matcher.feed(b"y\x10") == (b"y", False)
    assert matcher.flush() == b"\x10"
    assert matcher.flush() == b""


def test_without_keys_everything_passes() -> None:
    assert DetachMatcher(b"").feed(b"\x10\x11") == (b"\x10\x11", False)
