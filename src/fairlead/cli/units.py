"""Sizes and spans of time as Docker writes and reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
_POWERS = "kmgtp"
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)([^\d.]*)")


def human_size(size: float, digits: int = 4) -> str:
    """Powers of 1000: ``13.3kB``."""
    return _scaled(size, 1000.0, _DECIMAL, digits)


def binary_size(size: float) -> str:
    """Powers of 1024: ``12.5MiB``."""
    return _scaled(size, 1024.0, _BINARY, 4)


def _scaled(size: float, base: float, names: Sequence[str], digits: int) -> str:
    index = 0
    while size >= base and index < len(names) - 1:
        size, index = size / base, index + 1
    return f"{size:.{digits}g}{names[index]}"


def parse_size(raw: str) -> int:
    """``512m``, ``1.5 GiB``, ``100``: powers of 1024; raises ValueError in Docker's words."""
    cut = max((raw.rfind(char) for char in "0123456789. "), default=-1)
    if cut < 0:
        raise ValueError(f"invalid size: '{raw}'")
    number, suffix = raw[: cut + 1].removesuffix(" "), raw[cut + 1 :]
    try:
        size = float(number)
    except ValueError as wrong:
        raise ValueError(f'strconv.ParseFloat: parsing "{number}": invalid syntax') from wrong
    if size < 0:
        raise ValueError(f"invalid size: '{raw}'")
    return int(size * _factor(suffix))


def _factor(suffix: str) -> int:
    lower = suffix.lower()
    if lower in {"", "b"}:
        return 1
    power = _POWERS.find(lower[0])
    if power < 0 or lower[1:] not in {"", "b", "ib"}:
        raise ValueError(f"invalid suffix: '{suffix}'")
    return int(1024 ** (power + 1))


def parse_duration(raw: str) -> int:
    """Go's ``1h30m``, ``1.5s``, ``250ms`` in nanoseconds; raises ValueError in Go's words."""
    body = raw.lstrip("+-") if raw[:1] in {"+", "-"} else raw
    if body == "0":
        return 0
    total, position = 0.0, 0
    while position < len(body):
        part = _DURATION_PART.match(body, position)
        if part is None:
            raise ValueError(f'time: invalid duration "{raw}"')
        amount, unit = part.groups()
        if unit not in _UNITS:
            problem = f'unknown unit "{unit}"' if unit else "missing unit"
            raise ValueError(f'time: {problem} in duration "{raw}"')
        total, position = total + float(amount) * _UNITS[unit], part.end()
    if not body:
        raise ValueError(f'time: invalid duration "{raw}"')
    return -int(total) if raw.startswith("-") else int(total)


def human_duration(seconds: float) -> str:
    """``5 minutes``, ``About an hour``, ``3 weeks``."""
    whole, hours = int(seconds), int(seconds / 3600 + 0.5)
    if whole < 1:
        return "Less than a second"
    if whole < 60:
        return "1 second" if whole == 1 else f"{whole} seconds"
    if whole < 3600:
        return "About a minute" if whole < 120 else f"{whole // 60} minutes"
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    for limit, length, unit in ((24 * 14, 24, "days"), (24 * 60, 24 * 7, "weeks"), (24 * 730, 24 * 30, "months")):
        if hours < limit:
            return f"{hours // length} {unit}"
    return f"{whole // 3600 // 24 // 365} years"


def ellipsis(shown: str, width: int) -> str:
    """At most ``width`` characters, the last one an ellipsis when something was cut."""
    return shown if len(shown) <= width else shown[: width - 1] + "…"


def short_id(identifier: str) -> str:
    """The 12 digits that people see."""
    return identifier.removeprefix("sha256:")[:12]
