"""What a Compose file may hold, pure: shapes to check values against, each mistake named with its place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fairlead.compose.errors import ComposeError, Place
from fairlead.compose.tree import Map, Seq, Tagged, Value


class Shape(Protocol):
    """A check on a value, and the words for what it wants."""

    @property
    def words(self) -> str:
        """``a list``, ``text``: what a sentence says must be there."""

    def fits(self, value: Value) -> bool:
        """Whether the value is of this outer form at all; what is in it is for ``check``."""

    def check(self, value: Value, path: str, place: Place | None) -> None:
        """Raise ComposeError for the first thing that is wrong, however deep."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """One of some Python types; nothing (``key:``) is allowed where ``empty`` says so."""

    words: str
    types: tuple[type, ...]
    empty: bool = True

    def fits(self, value: Value) -> bool:
        if value is None:
            return self.empty
        return isinstance(value, self.types) and (not isinstance(value, bool) or bool in self.types)

    def check(self, value: Value, path: str, place: Place | None) -> None:
        if not self.fits(value):
            raise ComposeError(f"{path} must be {self.words}, not {_shown(value)}", place)


@dataclass(frozen=True, slots=True)
class Word:
    """Text out of a few."""

    choices: tuple[str, ...]

    @property
    def words(self) -> str:
        return "one of " + ", ".join(self.choices)

    def fits(self, value: Value) -> bool:
        return isinstance(value, str)

    def check(self, value: Value, path: str, place: Place | None) -> None:
        if value not in self.choices:
            raise ComposeError(f"{path} must be {self.words}, not {_shown(value)}", place)


@dataclass(frozen=True, slots=True)
class ListOf:
    """A sequence of equal things."""

    item: Shape
    words: str = "a list"

    def fits(self, value: Value) -> bool:
        return isinstance(value, Seq) or value is None

    def check(self, value: Value, path: str, place: Place | None) -> None:
        if not self.fits(value):
            raise ComposeError(f"{path} must be {self.words}, not {_shown(value)}", place)
        for number, (item, at) in enumerate((value or Seq()).placed()):
            _check_inside(self.item, item, f"{path}[{number}]", at)


@dataclass(frozen=True, slots=True)
class MapOf:
    """A mapping from free names to equal things; names that begin with ``x-`` are nobody's business."""

    item: Shape
    words: str = "a mapping"

    def fits(self, value: Value) -> bool:
        return isinstance(value, Map) or value is None

    def check(self, value: Value, path: str, place: Place | None) -> None:
        if not self.fits(value):
            raise ComposeError(f"{path} must be {self.words}, not {_shown(value)}", place)
        for key, item in (value or {}).items():
            if not key.startswith("x-"):
                _check_inside(self.item, item, f"{path}.{key}", value.places.get(key))


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping with known keys."""

    fields: Mapping[str, Shape]
    required: tuple[str, ...] = ()
    words: str = "a mapping"

    def fits(self, value: Value) -> bool:
        return isinstance(value, Map) or value is None

    def check(self, value: Value, path: str, place: Place | None) -> None:
        if not self.fits(value):
            raise ComposeError(f"{path} must be {self.words}, not {_shown(value)}", place)
        inside: Map = value if value is not None else Map()
        for key, item in inside.items():
            self._check_field(inside, key, item, f"{path}.{key}" if path else key)
        for key in self.required:
            if key not in inside:
                raise ComposeError(f"{path} needs {key}", place)

    def _check_field(self, inside: Map, key: str, item: Value, path: str) -> None:
        if key.startswith("x-"):
            return
        if key not in self.fields:
            raise ComposeError(f"{path}: no such key{_meant(key, self.fields)}", inside.keys_at.get(key))
        _check_inside(self.fields[key], item, path, inside.places.get(key))


@dataclass(frozen=True, slots=True)
class Either:
    """The first alternative whose outer form fits is the one that must hold."""

    alternatives: Sequence[Shape] = field(default_factory=tuple)

    @property
    def words(self) -> str:
        return " or ".join(alternative.words for alternative in self.alternatives)

    def fits(self, value: Value) -> bool:
        return any(alternative.fits(value) for alternative in self.alternatives)

    def check(self, value: Value, path: str, place: Place | None) -> None:
        for alternative in self.alternatives:
            if alternative.fits(value):
                alternative.check(value, path, place)
                return
        raise ComposeError(f"{path} must be {self.words}, not {_shown(value)}", place)


@dataclass(frozen=True, slots=True)
class Anything:
    words: str = "anything"

    def fits(self, value: Value) -> bool:  # noqa: ARG002 - anything does
        return True

    def check(self, value: Value, path: str, place: Place | None) -> None:
        """Nothing can be wrong."""


def either(*alternatives: Shape) -> Either:
    return Either(alternatives)


def _check_inside(shape: Shape, value: Value, path: str, place: Place | None) -> None:
    """A value with a tag is checked for what the tag leaves of it."""
    if not isinstance(value, Tagged):
        shape.check(value, path, place)
    elif value.tag != "reset":
        shape.check(value.value, path, place)


def _shown(value: Value) -> str:
    match value:
        case Map():
            return "a mapping"
        case Seq():
            return "a list"
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case _:
            return str(value)


def _meant(key: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(key, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
