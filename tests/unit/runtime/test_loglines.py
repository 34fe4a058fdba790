from __future__ import annotations

from fairlead.runtime.loglines import LineParser, LogLine, parse_seconds

STAMP = b"2026-01-02T03:04:05.000000006+01:00"
TIME = 1767319445 * 10**9 + 6


def lines(*records: bytes) -> list[LogLine]:
    parser = LineParser()
    return [line for record in records for line in parser.feed(STAMP + b" " + record + b"\n")] + list(parser.flush())


def test_whole_lines() -> None:
    assert lines(b"stdout F one", b"stderr F ", b"stdout F a b  c\r") == [
        LogLine(TIME, 1, b"one\n"),
        LogLine(TIME, 2, b"\n"),
        LogLine(TIME, 1, b"a b  c\r\n"),
    ]


def test_split_lines_are_joined_by_stream() -> None:
    assert lines(b"stdout P one ", b"stderr F err", b"stdout F two") == [
        LogLine(TIME, 2, b"err\n"),
        LogLine(TIME, 1, b"one two\n"),
    ]


def test_a_line_without_end_is_told_at_the_end() -> None:
    assert lines(b"stderr P x", b"stdout P y") == [LogLine(TIME, 1, b"y"), LogLine(TIME, 2, b"x")]


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    piece = b"stdout P " + b"x" * 8192
    assert [len(line.data) for line in lines(piece, piece, piece)] == [16384, 8192]


def test_pieces_of_any_size_make_the_same() -> None:
    text = STAMP + b" stdout F one\n" + STAMP + b" stdout P two\n"
    parser = LineParser()
    got = [line for at in range(len(text)) for line in parser.feed(text[at : at + 1])]
    assert got == [LogLine(TIME, 1, b"one\n")]


def test_what_is_not_conmon_s_is_left_out() -> None:
    assert lines(b"stdlog F x", b"", b"stdout") == []


def test_times() -> None:
    assert parse_seconds(b"1970-01-01T01:00:00.5+01:00") == 0
    assert parse_seconds(b"no time at all") == 0
    parser = LineParser()
    (line,) = parser.feed(b"1970-01-01T00:00:01.5+00:00 stdout F x\n")
    assert line.time_ns == 1_500_000_000
