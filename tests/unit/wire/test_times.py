from __future__ import annotations

import pytest

from fairlead.errors import InvalidArgument
from fairlead.wire.durations import human_duration, human_size
from fairlead.wire.times import parse_duration, parse_moment, parse_until, rfc3339, rfc3339_fixed

SECOND = 10**9


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (0, "0001-01-01T00:00:00Z"),
        (1_700_000_000 * SECOND, "2023-11-14T22:13:20Z"),
        (1_700_000_000 * SECOND + 120_000_000, "2023-11-14T22:13:20.12Z"),
        (1_700_000_000 * SECOND + 1, "2023-11-14T22:13:20.000000001Z"),
    ],
)
def test_rfc3339_trims_zeros(moment: int, text: str) -> None:
    assert rfc3339(moment) == text


def test_rfc3339_fixed_does_not() -> None:
    assert rfc3339_fixed(1_700_000_000 * SECOND) == "2023-11-14T22:13:20.000000000Z"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("", 0),
        ("1700000000", 1_700_000_000 * SECOND),
        ("1700000000.5", 1_700_000_000 * SECOND + 500_000_000),
        ("1700000000.000000001", 1_700_000_000 * SECOND + 1),
        ("-5", -5 * SECOND),
        ("2023-11-14T22:13:20Z", 1_700_000_000 * SECOND),
        ("2023-11-14T22:13:20.000000001Z", 1_700_000_000 * SECOND + 1),
        ("2023-11-14T23:13:20+01:00", 1_700_000_000 * SECOND),
        ("2023-11-14T22:13", 1_700_000_000 * SECOND - 20 * SECOND),
        ("1970-01-02", 86_400 * SECOND),
    ],
)
def test_moments(text: str, moment: int) -> None:
    assert parse_moment(text) == moment


@pytest.mark.parametrize("text", ["never", "1h", "2023-13-01", "1.1234567890", "2023-11-14T25:00:00Z", "٣", "1e9"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid time"):
        parse_moment(text)


def test_durations_count_back() -> None:
    assert parse_duration("1h30m") == 5400 * SECOND
    assert parse_duration("1.5s") == 1_500_000_000
    assert parse_duration("10") is None
    assert parse_duration("1h x") is None
    assert parse_until("10s", 60 * SECOND) == 50 * SECOND
    assert parse_until("7", 60 * SECOND) == 7 * SECOND


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.5, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (3599, "59 minutes"),
        (3600, "About an hour"),
        (5400, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (14 * 86400, "2 weeks"),
        (60 * 86400, "2 months"),
        (800 * 86400, "2 years"),
        (-5, "Less than a second"),
    ],
)
def test_human_durations(seconds: float, words: str) -> None:
    assert human_duration(int(seconds * SECOND)) == words


def test_human_sizes() -> None:
    assert [human_size(size) for size in (0, 999, 1000, 72_900_000)] == ["0B", "999B", "1kB", "72.9MB"]
    assert human_size(1e19) == "10EB"
