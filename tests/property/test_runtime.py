"""What any bytes and any splitting of them do to the runtime's parsers."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from fairlead.errors import EngineError
from fairlead.runtime import inotify, seccomp, security
from fairlead.runtime.detach import DetachMatcher, parse_detach_keys
from fairlead.runtime.failures import explain
from fairlead.runtime.loglines import LineParser
from fairlead.runtime.users import Accounts, resolve


def pieces(text: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[start:end] for start, end in pairwise(at)]


TYPED = st.lists(st.sampled_from([b"a", b"b", b"\x10", b"\x11"]), max_size=40).map(b"".join)
CUTS = st.lists(st.integers(0, 50), max_size=8)


@given(TYPED, CUTS, st.sampled_from([b"\x10\x11", b"aab", b"a", b"abab"]))
def test_detaching_does_not_depend_on_how_input_arrives(text: bytes, cuts: list[int], keys: bytes) -> None:
    matcher, passed, detached = DetachMatcher(keys), b"", False
    for piece in pieces(text, cuts):
        got, detached = matcher.feed(piece)
        passed += got
        if detached:
            break
    assert detached == (keys in text)
    assert passed + (b"" if detached else matcher.flush()) == text.partition(keys)[0]


RECORD = st.tuples(
    st.sampled_from([b"stdout", b"stderr"]),
    st.sampled_from([b"F", b"P"]),
    st.binary(max_size=20).filter(lambda b: b"\n" not in b),
)


@given(st.lists(RECORD, max_size=20), CUTS)
def test_no_byte_of_a_log_is_lost(records: list[tuple[bytes, bytes, bytes]], cuts: list[int]) -> None:
    stamp = b"2026-01-02T03:04:05.000000006+00:00"
    text = b"".join(b" ".join((stamp, *record)) + b"\n" for record in records)
    parser = LineParser()
    lines = [line for piece in pieces(text, cuts) for line in parser.feed(piece)] + list(parser.flush())
    for number, name in ((1, b"stdout"), (2, b"stderr")):
        written = b"".join(data + (b"\n" if end == b"F" else b"") for stream, end, data in records if stream == name)
        assert b"".join(line.data for line in lines if line.stream == number) == written


@given(st.binary(max_size=200))
def test_any_bytes_are_read_as_a_log_or_as_events(data: bytes) -> None:
    parser = LineParser()
    list(parser.feed(data))
    list(parser.flush())
    list(inotify.parse(data))


@given(st.text(max_size=40))
def test_any_text_is_understood_or_refused(text: str) -> None:
    attempts = (
        lambda: parse_detach_keys(text),
        lambda: security.parse([text]),
        lambda: resolve(text, (text,), Accounts(passwd=text, group=text)),
        lambda: seccomp.load_profile(text, [], seccomp.Platform()),
    )
    for attempt in attempts:
        with suppress(EngineError):
            attempt()
    assert explain(text, text)
