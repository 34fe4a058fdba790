"""Moments: nanoseconds since the epoch <-> RFC 3339 and Docker's ``seconds.nanoseconds``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from fairlead.errors import InvalidArgument

ZERO = "0001-01-01T00:00:00Z"

_SECOND = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNIX = re.compile(r"(-?\d{1,11})(?:\.(\d{1,9}))?\Z", re.ASCII)
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d(?::\d\d(?::\d\d)?)?)(?:\.(\d{1,9})\d*)?)?(Z|z|[+-]\d\d:\d\d)?\Z",
    re.ASCII,
)
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)", re.ASCII)
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": _SECOND,
    "m": 60 * _SECOND,
    "h": 3600 * _SECOND,
}


def rfc3339(nanoseconds: int) -> str:
    """UTC with as many fractional digits as needed, as Go's RFC3339Nano; 0 is Go's zero time."""
    if nanoseconds == 0:
        return ZERO
    seconds, fraction = divmod(nanoseconds, _SECOND)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    return f"{text}.{fraction:09d}".rstrip("0") + "Z" if fraction else f"{text}Z"


def rfc3339_fixed(nanoseconds: int) -> str:
    """UTC with all nine digits, as log lines carry it."""
    seconds, fraction = divmod(nanoseconds, _SECOND)
    return f"{(_EPOCH + timedelta(seconds=seconds)).strftime('%Y-%m-%dT%H:%M:%S')}.{fraction:09d}Z"


def parse_rfc3339(text: str) -> int:
    """Nanoseconds of an RFC 3339 moment; a missing zone is UTC, a missing time midnight. Raises InvalidArgument."""
    found = _RFC3339.match(text)
    if found is None:
        raise InvalidArgument(f'invalid time "{text}": give seconds since the epoch or an RFC 3339 date')
    date, clock, fraction, zone = found.groups()
    padded = f"{clock or '00'}:00:00"[:8]
    try:
        moment = datetime.fromisoformat(f"{date}T{padded}{_zone(zone)}")
    except ValueError as error:
        raise InvalidArgument(f'invalid time "{text}": {error}') from error
    return (moment - _EPOCH) // timedelta(seconds=1) * _SECOND + int((fraction or "0").ljust(9, "0"))


def _zone(zone: str | None) -> str:
    return "+00:00" if zone is None or zone in "Zz" else zone


def parse_moment(text: str) -> int:
    """``seconds[.nanoseconds]`` or RFC 3339, as ``since`` and ``until`` carry it; "" is 0."""
    if not text:
        return 0
    found = _UNIX.match(text)
    if found is None:
        return parse_rfc3339(text)
    seconds, fraction = int(found[1]), int((found[2] or "0").ljust(9, "0"))
    return seconds * _SECOND + (fraction if seconds >= 0 else -fraction)


def parse_until(text: str, now: int) -> int:
    """A moment, or a Go duration (``1h30m``) counted back from ``now``: the ``until`` filter of prune."""
    duration = parse_duration(text)
    return parse_moment(text) if duration is None else now - duration


def parse_duration(text: str) -> int | None:
    """Nanoseconds of a Go duration; None for what is none."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return int(sum(float(number) * _UNITS[unit] for number, unit in parts))
