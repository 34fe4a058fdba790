"""Durations and sizes as Compose files write them: ``1m30s``, ``512m``, ``1.5gb``."""

from __future__ import annotations

import re

from fairlead.compose.errors import ComposeError

_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(h|ms|us|µs|ns|m|s)")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([bkmgtp]?)(?:i?b)?\Z", re.IGNORECASE)


def seconds(text: str, what: str) -> float:
    """``1m30s`` in seconds; raises ComposeError naming ``what``."""
    found = list(_PART.finditer(text))
    if not found or "".join(part[0] for part in found) != text:
        raise ComposeError(f'{what}: "{text}" is no duration: write 90s, 1m30s, 500ms')
    return sum(float(part[1]) * _SECONDS[part[2]] for part in found)


def nanoseconds(text: str, what: str) -> int:
    return round(seconds(text, what) * 1e9)


def octets(value: object, what: str) -> int:
    """``512m`` in octets, k being 1024; raises ComposeError naming ``what``."""
    if isinstance(value, int):
        return value
    text = str(value).strip()
    if text == "-1":
        return -1
    found = _SIZE.match(text)
    if found is None:
        raise ComposeError(f'{what}: "{text}" is no size: write 1048576, 512m, 1.5g')
    return int(float(found[1]) * 1024 ** " kmgtp".index(found[2].lower() if found[2] not in "bB" else " "))


def whole(value: object, what: str) -> int:
    try:
        return int(str(value), 0) if not isinstance(value, int) else value
    except ValueError:
        raise ComposeError(f'{what}: "{value}" is no whole number') from None


def number(value: object, what: str) -> float:
    try:
        return float(str(value))
    except ValueError:
        raise ComposeError(f'{what}: "{value}" is no number') from None


def flag(value: object, what: str) -> bool:
    if isinstance(value, bool):
        return value
    match str(value).lower():
        case "true" | "yes" | "on" | "y" | "1":
            return True
        case "false" | "no" | "off" | "n" | "0" | "":
            return False
    raise ComposeError(f'{what}: "{value}" is neither true nor false')
