"""YAML text to plain values that know where they stand.

Mappings and sequences carry the places of what is in them, so that whoever finds a mistake, however late, can name its
line. Plain scalars are read by YAML 1.2's core schema: ``yes`` and ``22:22`` are text, as they are for Compose.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from fairlead.compose.errors import ComposeError, Place

Value = Any  # str | int | float | bool | None | Map | Seq | Tagged

_TAG = "tag:yaml.org,2002:"
# What an alias may blow up to: a file of a few hundred bytes can name a thousand million values.
_MOST_VALUES = 100_000


class Map(dict[str, Value]):
    """A mapping; ``places`` say where the value of a key stands, ``keys_at`` where the key does."""

    __slots__ = ("keys_at", "places")

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.places: dict[str, Place] = {}
        self.keys_at: dict[str, Place] = {}

    def put(self, key: str, value: Value, place: Place | None, key_at: Place | None = None) -> None:
        self[key] = value
        if place is not None:
            self.places[key] = place
            self.keys_at[key] = key_at or place

    def take(self, key: str, source: Map) -> None:
        """The value of ``key`` in another mapping, with its places."""
        self.put(key, source[key], source.places.get(key), source.keys_at.get(key))


class Seq(list[Value]):
    """A sequence; ``places`` are those of its items, in their order."""

    __slots__ = ("places",)

    def __init__(self, items: Any = (), places: Any = ()) -> None:
        super().__init__(items)
        self.places: list[Place | None] = list(places) or [None] * len(self)

    def put(self, value: Value, place: Place | None) -> None:
        self.append(value)
        self.places.append(place)

    def placed(self) -> Iterator[tuple[Value, Place | None]]:
        return zip(self, self.places, strict=True)


class Tagged:
    """A value with ``!reset`` or ``!override`` in front of it, for whoever merges files."""

    __slots__ = ("tag", "value")

    def __init__(self, tag: str, value: Value) -> None:
        self.tag, self.value = tag, value


class _Loader(yaml.CSafeLoader):
    """Scalars by YAML 1.2's core schema, and the merge key, which everybody uses."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own name


for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("merge", "<<", "<"),
):
    _Loader.add_implicit_resolver(
        _TAG + _name, re.compile(f"(?:{_pattern})\\Z"), [*_first, *([""] if _name == "null" else [])]
    )


def parse(text: str, file: str) -> Map:
    """The document in a file; an empty one is an empty mapping. Raises ComposeError."""
    try:
        nodes = list(yaml.compose_all(text, Loader=_Loader))
    except yaml.YAMLError as wrong:
        raise ComposeError(_complaint(wrong), _mark(file, getattr(wrong, "problem_mark", None))) from wrong
    builder = _Builder(file)
    whole = Map()
    for node in nodes:
        value = builder.build(node)
        if isinstance(value, Map):
            for key in value:
                whole.take(key, value)
        elif value is not None:
            raise ComposeError("the file must hold a mapping with services, networks …", builder.place(node))
    return whole


def _complaint(wrong: yaml.YAMLError) -> str:
    problem = getattr(wrong, "problem", None) or str(wrong).splitlines()[0]
    context = getattr(wrong, "context", None)
    return f"this is not YAML: {problem}" + (f" ({context})" if context else "")


def _mark(file: str, mark: Any) -> Place:
    return Place(file, mark.line + 1, mark.column + 1) if mark is not None else Place(file)


class _Builder:
    """Nodes to values; an anchor's value is built once for each alias, so that nobody shares what is changed."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._open: set[int] = set()
        self._left = _MOST_VALUES

    def place(self, node: yaml.Node) -> Place:
        return _mark(self._file, node.start_mark)

    def build(self, node: yaml.Node) -> Value:
        self._left -= 1
        if self._left < 0:
            raise ComposeError(f"more than {_MOST_VALUES} values: an anchor is used too often", self.place(node))
        if node.tag == "!reset":
            return Tagged("reset", None)
        if node.tag == "!override":
            node.tag = _TAG + "str"
            return Tagged("override", self.build(node))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if id(node) in self._open:
            raise ComposeError("an anchor contains itself", self.place(node))
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node)
            assert isinstance(node, yaml.SequenceNode)
            return self._sequence(node)
        finally:
            self._open.discard(id(node))

    def _scalar(self, node: yaml.ScalarNode) -> Value:
        text: str = node.value
        match node.tag.removeprefix(_TAG):
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
            case "float":
                return float(
                    text.replace(".inf", "inf")
                    .replace(".Inf", "inf")
                    .replace(".INF", "inf")
                    .lower()
                    .replace(".nan", "nan")
                )
            case _:
                return text

    def _sequence(self, node: yaml.SequenceNode) -> Seq:
        return Seq([self.build(item) for item in node.value], [self.place(item) for item in node.value])

    def _mapping(self, node: yaml.MappingNode) -> Map:
        found, merged = Map(), Map()
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                self._merge(merged, value_node)
                continue
            key = self._key(key_node)
            if key in found:
                raise ComposeError(
                    f"{key} is here twice, first in line {found.keys_at[key].line}", self.place(key_node)
                )
            found.put(key, self.build(value_node), self.place(value_node), self.place(key_node))
        for key in merged:
            if key not in found:
                found.take(key, merged)
        return found

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise ComposeError("a key must be a word", self.place(node))
        return str(node.value)

    def _merge(self, into: Map, node: yaml.Node) -> None:
        """``<<: *anchor`` or ``<<: [*one, *two]``, the first having precedence."""
        value = self.build(node)
        sources = list(value) if isinstance(value, Seq) else [value]
        for source in sources:
            if not isinstance(source, Map):
                raise ComposeError("only mappings can be merged by <<", self.place(node))
            for key in source:
                if key not in into:
                    into.take(key, source)
