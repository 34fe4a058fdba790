"""Sizes and spans as Docker writes and reads them."""

from __future__ import annotations

import pytest

from fairlead.cli.times import api_time
from fairlead.cli.units import binary_size, ellipsis, human_duration, human_size, parse_duration, parse_size, short_id


@pytest.mark.parametrize(
    ("size", "digits", "shown"),
    [
        (0, 3, "0B"),
        (999, 3, "999B"),
        (1000, 3, "1kB"),
        (12345, 3, "12.3kB"),
        (123456789, 3, "123MB"),
        (123456789, 4, "123.5MB"),
        (10**18, 4, "1EB"),
    ],
)
def test_human_size(size: int, digits: int, shown: str) -> None:
    assert human_size(size, digits) == shown


def test_binary_size() -> None:
    assert [binary_size(size) for size in (0, 1024, 1536, 52428800)] == ["0B", "1KiB", "1.5KiB", "50MiB"]


@pytest.mark.parametrize(
    ("raw", "size"),
    [("100", 100), ("1k", 1024), ("1.5 GiB", 1610612736), ("2mb", 2097152), ("3B", 3), ("1T", 1 << 40), ("1 kb", 1024)],
)
def test_parse_size(raw: str, size: int) -> None:
    assert parse_size(raw) == size


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("foo", "invalid size: 'foo'"),
        ("3q", "invalid suffix: 'q'"),
        ("3kx", "invalid suffix: 'kx'"),
        ("-3", "invalid size: '-3'"),
        ("1.2.3k", 'strconv.ParseFloat: parsing "1.2.3": invalid syntax'),
        ("", "invalid size: ''"),
    ],
)
def test_no_size(raw: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse_size(raw)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("raw", "nanoseconds"),
    [
        ("1s", 10**9),
        ("1h30m", 5400 * 10**9),
        ("1.5s", 1500 * 10**6),
        ("250ms", 250 * 10**6),
        ("0", 0),
        ("-2m", -120 * 10**9),
    ],
)
def test_parse_duration(raw: str, nanoseconds: int) -> None:
    assert parse_duration(raw) == nanoseconds


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("foo", 'time: invalid duration "foo"'),
        ("5", 'time: missing unit in duration "5"'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        ("", 'time: invalid duration ""'),
    ],
)
def test_no_duration(raw: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse_duration(raw)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.2, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (120, "2 minutes"),
        (3600, "About an hour"),
        (7300, "2 hours"),
        (47 * 3600, "47 hours"),
        (3 * 86400, "3 days"),
        (20 * 86400, "2 weeks"),
        (100 * 86400, "3 months"),
        (800 * 86400, "2 years"),
    ],
)
def test_human_duration(seconds: float, shown: str) -> None:
    assert human_duration(seconds) == shown


def test_shortening() -> None:
    assert ellipsis("abcdef", 6) == "abcdef"
    assert ellipsis("abcdefg", 6) == "abcde…"
    assert short_id("sha256:" + "ab" * 32) == "abababababab"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("", ""),
        ("10m", "400.000000000"),
        ("1767323045", "1767323045.000000000"),
        ("1767323045.5", "1767323045.500000000"),
        ("2026-01-02T03:04:05Z", "1767323045.000000000"),
        ("2026-01-02T03:04:05.123456789+01:00", "1767319445.123456789"),
    ],
)
def test_points_in_time(raw: str, shown: str) -> None:
    assert api_time(raw, 1000.0) == shown


def test_no_point_in_time() -> None:
    with pytest.raises(ValueError, match="a time is a span"):
        api_time("yesterday", 0.0)
