"""``$NAME`` and ``${NAME…}`` in values, pure, by the rules of the Compose Specification.

``${A:-x}`` is x when A is unset or empty, ``${A-x}`` when it is unset; ``:?`` and ``?`` refuse with a message; ``:+``
and ``+`` are x when A is set; what stands behind the sign may hold variables itself. ``$$`` is a dollar.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from fairlead.compose.errors import ComposeError, Place
from fairlead.compose.tree import Map, Seq, Tagged, Value

_NAME = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_SIGN = re.compile(r":?[-?+]")
_DEEPEST = 32


class Interpolator:
    """Replaces variables; ``unset`` is told of each name that has no value and no default."""

    def __init__(self, variables: Mapping[str, str], unset: Callable[[str], None] = lambda _: None) -> None:
        self._variables = variables
        self._unset = unset

    def everywhere(self, value: Value, place: Place | None = None) -> Value:
        """All text in a tree, keys left as they are."""
        match value:
            case str():
                return self.text(value, place)
            case Map():
                found = Map()
                for key, item in value.items():
                    found.put(
                        key, self.everywhere(item, value.places.get(key)), value.places.get(key), value.keys_at.get(key)
                    )
                return found
            case Seq():
                return Seq([self.everywhere(item, at) for item, at in value.placed()], value.places)
            case Tagged():
                return Tagged(value.tag, self.everywhere(value.value, place))
            case _:
                return value

    def text(self, text: str, place: Place | None = None) -> str:
        """Raises ComposeError for what is no variable, and for one that is required and missing."""
        if "$" not in text:
            return text
        result, rest = self._until(text, 0, "", place, 0)
        assert rest == len(text)
        return result

    def _until(self, text: str, at: int, end: str, place: Place | None, depth: int) -> tuple[str, int]:
        """The text from ``at`` to the sign ``end`` (or to its end), and where that is."""
        if depth > _DEEPEST:
            raise ComposeError(f"variables in variables in variables: {text[:40]}", place)
        parts: list[str] = []
        while at < len(text) and not (end and text[at] == end):
            if text[at] == "$":
                part, at = self._variable(text, at, place, depth)
                parts.append(part)
            else:
                stop = _next(text, at, end)
                parts.append(text[at:stop])
                at = stop
        return "".join(parts), at

    def _variable(self, text: str, at: int, place: Place | None, depth: int) -> tuple[str, int]:
        if text.startswith("$$", at):
            return "$", at + 2
        if text.startswith("${", at):
            return self._braced(text, at, place, depth)
        name = _NAME.match(text, at + 1)
        if name is None:
            raise ComposeError(f'"{text}" has a $ that begins no variable: write $$ for a dollar', place)
        return self._value(name[0]), name.end()

    def _braced(self, text: str, at: int, place: Place | None, depth: int) -> tuple[str, int]:
        name = _NAME.match(text, at + 2)
        if name is None:
            raise ComposeError(f'"{text}": no variable begins so: a name follows ${{', place)
        sign = _SIGN.match(text, name.end())
        behind, stop = "", name.end()
        if sign is not None:
            behind, stop = self._until(text, sign.end(), "}", place, depth + 1)
        if stop >= len(text) or text[stop] != "}":
            raise ComposeError(f'"{text}": ${{{name[0]} is not closed by }} or has a sign that means nothing', place)
        return self._chosen(name[0], sign[0] if sign else "", behind, place), stop + 1

    def _chosen(self, name: str, sign: str, behind: str, place: Place | None) -> str:
        value = self._variables.get(name)
        there = value is not None and (bool(value) or not sign.startswith(":"))
        match sign[-1:]:
            case "-":
                return value if there and value is not None else behind
            case "+":
                return behind if there else ""
            case "?" if not there:
                raise ComposeError(
                    f"required variable {name} is missing a value" + (f": {behind}" if behind else ""), place
                )
            case _:
                return self._value(name)

    def _value(self, name: str) -> str:
        value = self._variables.get(name)
        if value is None:
            self._unset(name)
            return ""
        return value


def _next(text: str, at: int, end: str) -> int:
    """Where the next sign is that means something."""
    found = [place for sign in ("$", end) if sign and (place := text.find(sign, at)) >= 0]
    return min(found, default=len(text))
