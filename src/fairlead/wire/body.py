"""Request bodies as Go's encoding/json reads them, into typed structs.

Docker's clients lean on three habits of Go: ``null`` leaves a field at its default, field names match whatever their
case, and a command may be one string instead of a list. A body is brought into plain form first; msgspec validates it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from fairlead.errors import InvalidArgument

T = TypeVar("T", bound=msgspec.Struct)

# strslice.StrSlice: fields that Docker also takes as one string (the Cmd of an exec is none of them).
_STRING_OR_LIST = {
    "Config": frozenset({"Cmd", "Entrypoint", "Shell"}),
    "HostConfig": frozenset({"CapAdd", "CapDrop"}),
}

_INT64 = 1 << 63

_AT_PATH = re.compile(r"^(.*) - at `\$\.?(.*)`$", re.DOTALL)
_JSON_KINDS = {"int": "a number", "float": "a number", "str": "a string", "bool": "a boolean"}
_KIND = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")

Plain = Callable[[Any], Any]

_decoder = msgspec.json.Decoder()


def decode(body: bytes) -> Any:
    """Any JSON value; raises InvalidArgument for an empty body, for what is not JSON and for nesting without end."""
    if not body.strip():
        raise InvalidArgument("invalid JSON: got EOF while reading request body")
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"invalid JSON: {error}") from error


def parse(body: bytes, kind: type[T]) -> T:
    """A struct of ``kind`` from a JSON object; raises InvalidArgument naming the field that is wrong."""
    return convert(decode(body), kind)


def convert(value: Any, kind: type[T], where: str = "") -> T:
    """The same for JSON already decoded; ``where`` is the field that held it."""
    if not isinstance(value, dict):
        raise InvalidArgument(f"invalid JSON: {_subject(where)} must be an object, not {_name_of(value)}")
    try:
        return msgspec.convert(_plain(kind)(value), type=kind)
    except msgspec.ValidationError as error:
        raise InvalidArgument(f"invalid JSON: {_sentence(str(error), where)}") from error


def member(value: Mapping[str, Any], name: str) -> Any:
    """The member called ``name`` in any case; None when absent."""
    if name in value:
        return value[name]
    folded = name.casefold()
    return next((item for key, item in value.items() if key.casefold() == folded), None)


def _subject(where: str) -> str:
    return where or "request body"


def _name_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case _:
            return "a list"


def _sentence(message: str, where: str) -> str:
    found = _AT_PATH.match(message)
    text, path = (found[1], found[2]) if found else (message, "")
    subject = ".".join(part for part in (where, path) if part) or "request body"
    if (kinds := _KIND.search(text)) is not None:
        return f"{subject} must be {_kinds(kinds[1])}, not {_kinds(kinds[2])}"
    return f"{subject}: {text[0].lower()}{text[1:]}"


def _kinds(names: str) -> str:
    wanted = [name.strip() for name in names.split("|") if name.strip() != "null"]
    words = {"array": "a list", "object": "an object", "null": "null", **_JSON_KINDS}
    return " or ".join(words.get(name, name) for name in wanted) or "null"


@cache
def _plain(kind: type) -> Plain:
    """A function that brings a decoded object into the form of the struct ``kind``."""
    names = {field.name: field.encode_name for field in msgspec.structs.fields(kind)}
    hints = get_type_hints(kind)
    lists = _STRING_OR_LIST.get(kind.__name__, frozenset())
    fields = {
        encoded: _listed if encoded in lists else _of_type(hints[name], encoded) for name, encoded in names.items()
    }
    folded = {encoded.casefold(): encoded for encoded in fields}

    def plain(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        out: dict[str, Any] = {}
        for key, item in value.items():
            name = key if key in fields else folded.get(key.casefold())
            if item is None or name is None:
                continue
            inner = fields[name]
            out[name] = item if inner is None else inner(item)
        return out

    return plain


def _of_type(hint: Any, name: str) -> Plain | None:
    """How to bring a value of type ``hint`` into plain form; None when it is already."""
    if get_origin(hint) in (Union, UnionType):
        found = (_of_type(arm, name) for arm in get_args(hint) if arm is not type(None))
        return next((inner for inner in found if inner is not None), None)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _plain(hint)
    if hint is int:
        return _int64(name)
    if get_origin(hint) is tuple and (inner := _of_type(get_args(hint)[0], "")) is not None:
        return _each(inner)
    if isinstance(get_origin(hint), type) and issubclass(get_origin(hint), Mapping):
        return _of_mapping(get_args(hint)[1])
    return None


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _int64(name: str) -> Plain:
    """Python's numbers have no end; the kernel's have."""

    def check(value: Any) -> Any:
        if isinstance(value, int) and not -_INT64 <= value < _INT64:
            raise InvalidArgument(f"invalid JSON: {name or 'a number'} is out of range: {value}")
        return value

    return check


def _each(inner: Plain) -> Plain:
    return lambda value: [inner(item) for item in value] if isinstance(value, list) else value


def _of_mapping(hint: Any) -> Plain | None:
    inner = _of_type(hint, "")
    if inner is None:
        return None
    return lambda value: {key: inner(item) for key, item in value.items()} if isinstance(value, dict) else value
