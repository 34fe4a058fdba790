"""Durations and sizes in words, as go-units says them."""

from __future__ import annotations

_SECOND = 1_000_000_000
_DAY = 24  # hours


def human_duration(nanoseconds: int) -> str:
    """Less than a second, 1 second, 5 seconds, About a minute, 3 hours, 2 weeks …"""
    seconds = nanoseconds // _SECOND
    minutes = seconds // 60
    if seconds < 1:
        return "Less than a second"
    if seconds == 1:
        return "1 second"
    if seconds < 60:
        return f"{seconds} seconds"
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    return _hours((seconds + 1800) // 3600)


def _hours(hours: int) -> str:
    if hours == 1:
        return "About an hour"
    steps = (
        (_DAY * 2, 1, "hours"),
        (_DAY * 14, _DAY, "days"),
        (_DAY * 60, _DAY * 7, "weeks"),
        (_DAY * 730, _DAY * 30, "months"),
    )
    for limit, unit, word in steps:
        if hours < limit:
            return f"{hours // unit} {word}"
    return f"{hours // (_DAY * 365)} years"


def human_size(size: float) -> str:
    """``1.5kB``, ``72.9MB``: four digits, decimal units."""
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if size < 1000:
            return f"{size:.4g}{unit}"
        size /= 1000
    return f"{size:.4g}EB"
