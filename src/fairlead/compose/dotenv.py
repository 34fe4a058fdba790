"""Files of variables (``.env``, ``env_file``), pure: ``NAME=value`` lines with shell-like quotes.

Single quotes keep everything as it is, double quotes know escapes and variables, and both may run over several lines.
A `` #`` behind an unquoted value begins a comment. A name without ``=`` has its value in the environment, if any.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from fairlead.compose.errors import ComposeError, Place
from fairlead.compose.interpolation import Interpolator

_LINE = re.compile(r"[ \t]*(?:export[ \t]+)?([^\s=:#]+)[ \t]*(?:([=:])[ \t]*)?")
_ESCAPES = {
    "n": "\n",
    "r": "\r",
    "t": "\t",
    '"': '"',
    "\\": "\\",
    "$": "$$",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "v": "\v",
}


def parse(text: str, file: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of a file; later lines see earlier ones, and the environment before them. Raises ComposeError."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        end = _line_end(text, at)
        if not text[at:end].strip() or text[at:end].lstrip().startswith("#"):
            at = end + 1
            continue
        at = _take(text, at, Place(file, text.count("\n", 0, at) + 1, 1), found, environment)
    return found


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _take(text: str, at: int, place: Place, found: dict[str, str], environment: Mapping[str, str]) -> int:
    """One variable into ``found``; where the next line begins."""
    line = _LINE.match(text, at)
    if line is None:
        raise ComposeError(f"a line is NAME=value, not {text[at : _line_end(text, at)].strip()!r}", place)
    name = line[1]
    if line[2] is None:
        end = _line_end(text, at)
        if text[line.end() : end].strip():
            raise ComposeError(f"{name} is followed by neither = nor the end of the line", place)
        if name in environment:
            found[name] = environment[name]
        return end + 1
    lookup = Interpolator({**found, **environment})
    start = line.end()
    match text[start : start + 1]:
        case "'":
            raw, end = _quoted(text, start, "'", place)
            found[name] = raw
        case '"':
            raw, end = _quoted(text, start, '"', place)
            found[name] = lookup.text(_unescaped(raw), place)
        case _:
            end = _line_end(text, start)
            found[name] = lookup.text(_uncommented(text[start:end]), place)
    return end + 1


def _quoted(text: str, start: int, quote: str, place: Place) -> tuple[str, int]:
    """What stands between the quotes, and where that line ends; behind them only a comment may stand."""
    at = start + 1
    while at < len(text) and text[at] != quote:
        at += 2 if text[at] == "\\" and quote == '"' else 1
    if at >= len(text):
        raise ComposeError(f"a value begins with {quote} and has no end", place)
    end = _line_end(text, at)
    behind = text[at + 1 : end].strip()
    if behind and not behind.startswith("#"):
        raise ComposeError(f"{behind!r} stands behind a quoted value", place)
    return text[start + 1 : at], end


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], "\\" + found[1]), text, flags=re.DOTALL)


def _uncommented(text: str) -> str:
    return re.split(r"(?:^|[ \t])#", text, maxsplit=1)[0].strip()
