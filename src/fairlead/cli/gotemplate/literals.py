"""Go's constants: interpreted strings, character constants and numbers."""

from __future__ import annotations

import re

_SIMPLE = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
    "'": "'",
    '"': '"',
}
_ESCAPE = re.compile(r"\\(?:([abfnrtv\\'\"])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.?))")
_PREFIXED = re.compile(r"[+-]?0[xXoObB]")
_OCTAL = re.compile(r"[+-]?0[0-7_]+\Z")
_MAX_RUNE = 0x10FFFF


def unquote(text: str) -> str:
    """The value of ``"…"``; raises ValueError."""
    return _ESCAPE.sub(_unescape, text[1:-1])


def character(text: str) -> int:
    """The code point of ``'x'``; raises ValueError."""
    inner = _ESCAPE.sub(_unescape, text[1:-1])
    if len(inner) != 1:
        raise ValueError(f"malformed character constant: {text}")
    return ord(inner)


def number(text: str) -> int | float:
    """An int where Go would have one, else a float; raises ValueError."""
    try:
        if _PREFIXED.match(text):
            return int(text, 0)
        if _OCTAL.match(text):
            return int(text, 8)
        return int(text)
    except ValueError:
        return _floating(text)


def _floating(text: str) -> float:
    try:
        return float(text)
    except ValueError as wrong:
        raise ValueError(f'bad number syntax: "{text}"') from wrong


def _unescape(match: re.Match[str]) -> str:
    simple, byte, short, long, octal, other = match.groups()
    if simple:
        return _SIMPLE[simple]
    if octal:
        return chr(int(octal, 8))
    if other is not None:
        raise ValueError("invalid syntax")
    code = int(byte or short or long, 16)
    if code > _MAX_RUNE or 0xD800 <= code < 0xE000:
        raise ValueError("invalid syntax")
    return chr(code)
