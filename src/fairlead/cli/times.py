"""Points in time as users write them (``10m``, a date, seconds) to what the API takes (``seconds.nanoseconds``)."""

from __future__ import annotations

import re
import time

from fairlead.cli.units import parse_duration

_SECONDS = re.compile(r"(\d+)(?:\.(\d{1,9}))?\Z")
_DATE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?)?(Z|[+-]\d\d:\d\d)?\Z",
)


def api_time(text: str, now: float) -> str:
    """Raises ValueError for what is neither a span before ``now``, nor a date, nor seconds since 1970."""
    if not text:
        return ""
    try:
        return _render(now - parse_duration(text) / 1e9)
    except ValueError:
        pass
    seconds = _SECONDS.match(text)
    if seconds is not None:
        return f"{seconds[1]}.{(seconds[2] or '').ljust(9, '0')}"
    date = _DATE.match(text)
    if date is None:
        raise ValueError(
            f"invalid value {text!r}: a time is a span (10m), a date (2006-01-02T15:04:05Z) or seconds since 1970"
        )
    return _date(date)


def _render(moment: float) -> str:
    nanoseconds = int(moment * 1e9)
    return f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09d}"


def _date(match: re.Match[str]) -> str:
    import calendar  # noqa: PLC0415 - only for dates

    year, month, day, hour, minute, second, fraction, zone = match.groups()
    fields = (int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
    if zone is None:
        # Without a zone it is the caller's own.
        moment = int(time.mktime((*fields, 0, 0, -1)))
    else:
        moment = calendar.timegm((*fields, 0, 0, 0)) - _offset(zone)
    return f"{moment}.{(fraction or '').ljust(9, '0')}"


def _offset(zone: str) -> int:
    if zone == "Z":
        return 0
    seconds = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
    return -seconds if zone[0] == "-" else seconds
