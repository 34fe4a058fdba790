"""The CLI's parsers on any text, and its streams in any pieces."""

from __future__ import annotations

import itertools
import os
import socket
import tempfile
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.cli.container import values as read
from fairlead.cli.container.attachments import parse_network
from fairlead.cli.container.mounts import parse_mount
from fairlead.cli.container.publish import exposed, port_map
from fairlead.cli.errors import BadFlag, CommandError
from fairlead.cli.flags import HelpAsked, number, parse, several, switch, text
from fairlead.cli.reference import parse as parse_reference
from fairlead.cli.streams import Demultiplexer
from fairlead.cli.table import aligned
from fairlead.cli.terminal import DetachKeys, parse_detach_keys
from fairlead.cli.times import api_time
from fairlead.cli.units import human_size, parse_duration, parse_size
from fairlead.client.errors import BrokenAnswer
from fairlead.client.http import Request, Response
from harness.fakeengine import frame


class Silent:
    """An error without a sentence."""


def outcome(call: Callable[[], object], error: type[Exception]) -> object:
    """What came of a call: its value, or the one error that may come."""
    try:
        return call()
    except error as wrong:
        return wrong if str(wrong) else Silent()


likely = st.text(st.sampled_from("0123456789.:-/=,[]abcdefxKMGtcpudp \"'smh@+eE_")) | st.text()


@pytest.mark.parametrize(
    "parser",
    [
        parse_size,
        parse_duration,
        parse_mount,
        parse_network,
        lambda raw: port_map([raw]),
        lambda raw: exposed([raw]),
        read.ulimit,
        read.cpus,
        read.gpus,
        read.extra_host,
        read.domain,
        read.device_rule,
        read.weight_device,
        read.rate_device,
        read.count_device,
        parse_detach_keys,
        lambda raw: api_time(raw, 1e9),
    ],
    ids=lambda parser: parser.__name__,
)
@given(raw=likely)
def test_parsers_raise_only_value_error(parser: Callable[[str], object], raw: str) -> None:
    assert not isinstance(outcome(lambda: parser(raw), ValueError), Silent)


@given(
    st.lists(
        st.sampled_from(
            ["--rm", "-t", "-x", "--name", "--name=", "-n", "5", "--", "-", "--rm=0", "-tn3", "a", "-h", "=", "--="]
        )
    )
)
def test_flags_end_in_values_or_a_sentence(words: list[str]) -> None:
    flags = (switch("rm", ""), switch("tty", "", "t"), text("name", ""), number("n", "", "n"), several("x", "", "x"))
    try:
        _, arguments = parse(flags, words)
    except (BadFlag, HelpAsked):
        return
    assert all(argument in words for argument in arguments)


@given(likely)
def test_references_are_refused_with_a_sentence_or_keep_their_parts(raw: str) -> None:
    named = outcome(lambda: parse_reference(raw), CommandError)
    assert not isinstance(named, Silent)
    if not isinstance(named, CommandError):
        assert parse_reference(str(named)) == named


@given(st.integers(0, 2**62))
def test_a_size_read_back_is_close(size: int) -> None:
    shown = human_size(size, 4).removesuffix("B")
    factor = {"k": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4, "P": 1000**5, "E": 1000**6}.get(shown[-1:], 1)
    assert float(shown.rstrip("kMGTPE")) * factor == pytest.approx(size, rel=1e-3)


cells = st.lists(st.lists(st.text("ab é", max_size=12), min_size=3, max_size=3), min_size=1, max_size=6)


@given(cells)
def test_columns_stand_below_each_other(rows: list[list[str]]) -> None:
    lines = aligned(["\t".join(row) for row in rows]).removesuffix("\n").split("\n")
    starts = [0]
    for column in (0, 1):
        starts.append(starts[-1] + max(10, *(len(row[column]) + 3 for row in rows)))
    for line, row in zip(lines, rows, strict=True):
        for start, cell in zip(starts, row, strict=True):
            assert line[start : start + len(cell)] == cell


def split(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:stop] for start, stop in itertools.pairwise(places)]


@given(st.binary(max_size=40), st.lists(st.integers(0, 100), max_size=5))
def test_detach_keys_do_not_depend_on_the_pieces(typed: bytes, cuts: list[int]) -> None:
    keys = b"\x01\x01\x02"
    data = bytes(byte % 4 for byte in typed)
    whole, detached = DetachKeys(keys).feed(data)
    in_pieces, out = DetachKeys(keys), b""
    stopped = False
    for piece in split(data, cuts):
        sent, stopped = in_pieces.feed(piece)
        out += sent
        if stopped:
            break
    assert (out, stopped) == (whole, detached)


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=30)), max_size=8), st.lists(st.integers(0, 500)))
def test_frames_do_not_depend_on_the_pieces(frames: list[tuple[int, bytes]], cuts: list[int]) -> None:
    data = b"".join(frame(stream, payload) for stream, payload in frames)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        sink = Demultiplexer(out.fileno(), err.fileno())
        for piece in split(data, cuts):
            sink(piece)
        for stream, file in ((1, out), (2, err)):
            file.seek(0)
            assert file.read() == b"".join(payload for kind, payload in frames if kind == stream)


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=6))
def test_chunks_come_together_again(chunks: list[bytes]) -> None:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    assert answered(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body) == b"".join(chunks)


@given(st.binary(max_size=300))
def test_any_answer_is_a_body_or_broken(data: bytes) -> None:
    for head in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
        assert not isinstance(outcome(lambda head=head: answered(head + data), BrokenAnswer), Silent)


def answered(data: bytes) -> bytes:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        return Response(ours, Request("GET", "/", {})).read()


def test_descriptors_are_given_back() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        answered(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
    assert len(os.listdir("/proc/self/fd")) == before
