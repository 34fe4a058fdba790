"""The functions a template may call: Go's own and those that Docker adds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from fairlead.cli.gotemplate import quoting
from fairlead.cli.gotemplate.printf import sprintf
from fairlead.cli.gotemplate.values import Record, go_type, is_list, show, truth

GoFunction = Callable[[Sequence[object]], object]


class CallError(Exception):
    """The arguments do not fit; the evaluator adds which call."""


class WrongCount(CallError):
    """Go finds this before the call: its sentence has no "error calling"."""


def to_json(value: object) -> str:
    """Docker's ``json``: compact, and only in rows of a list are the characters of HTML escaped."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=_plain)
    if isinstance(value, Record):
        return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return text


def _plain(value: object) -> object:
    if isinstance(value, Record):
        return dict(value.as_mapping())
    return str(value)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise CallError(f"expected string; found {go_type(value)}")


def _whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise CallError(f"expected integer; found {go_type(value)}")


def _takes(name: str, count: int) -> Callable[[GoFunction], GoFunction]:
    """A function of exactly ``count`` arguments; any other number raises Go's error."""

    def wrap(function: GoFunction) -> GoFunction:
        def checked(arguments: Sequence[object]) -> object:
            if len(arguments) != count:
                raise WrongCount(f"wrong number of args for {name}: want {count} got {len(arguments)}")
            return function(arguments)

        return checked

    return wrap


def _at_least(name: str, count: int, arguments: Sequence[object]) -> None:
    if len(arguments) < count:
        raise WrongCount(f"wrong number of args for {name}: want at least {count} got {len(arguments)}")


@_takes("split", 2)
def _split(arguments: Sequence[object]) -> object:
    text, separator = _text(arguments[0]), _text(arguments[1])
    return text.split(separator) if separator else list(text)


@_takes("join", 2)
def _join(arguments: Sequence[object]) -> object:
    items, separator = arguments
    if items is not None and not is_list(items):
        raise CallError(f"expected []string; found {go_type(items)}")
    return _text(separator).join(_text(item) for item in items or ())


@_takes("title", 1)
def _title(arguments: Sequence[object]) -> object:
    words, previous = [], " "
    for char in _text(arguments[0]):
        words.append(char if previous.isalnum() or previous in "_'" else char.upper())
        previous = char
    return "".join(words)


@_takes("lower", 1)
def _lower(arguments: Sequence[object]) -> object:
    return _text(arguments[0]).lower()


@_takes("upper", 1)
def _upper(arguments: Sequence[object]) -> object:
    return _text(arguments[0]).upper()


@_takes("pad", 3)
def _pad(arguments: Sequence[object]) -> object:
    text, before, behind = _text(arguments[0]), _whole(arguments[1]), _whole(arguments[2])
    return " " * before + text + " " * behind if text else text


@_takes("truncate", 2)
def _truncate(arguments: Sequence[object]) -> object:
    text, length = _text(arguments[0]), _whole(arguments[1])
    return text[: max(length, 0)]


@_takes("json", 1)
def _json(arguments: Sequence[object]) -> object:
    return to_json(arguments[0])


@_takes("len", 1)
def _len(arguments: Sequence[object]) -> object:
    (value,) = arguments
    if isinstance(value, str):
        return len(value.encode())
    if is_list(value) or isinstance(value, Mapping):
        return len(value)
    if value is None:
        raise CallError("len of untyped nil")
    raise CallError(f"len of type {go_type(value)}")


@_takes("not", 1)
def _not(arguments: Sequence[object]) -> object:
    return not truth(arguments[0])


def _index(arguments: Sequence[object]) -> object:
    _at_least("index", 1, arguments)
    value = arguments[0]
    for key in arguments[1:]:
        value = _item(value, key)
    return value


def _item(value: object, key: object) -> object:
    if value is None:
        raise CallError("index of untyped nil")
    if isinstance(value, Mapping):
        # Go gives the zero value of the map's type for a key that is not there: nil here.
        return value.get(key) if isinstance(key, str) else _refuse_key(key)
    if not is_list(value) and not isinstance(value, str):
        raise CallError(f"can't index item of type {go_type(value)}")
    position = _position(key)
    if position >= len(value):
        raise CallError(f"index out of range: {position}")
    return ord(value[position]) if isinstance(value, str) else value[position]


def _refuse_key(key: object) -> object:
    raise CallError(f"value has type {go_type(key)}; should be string")


def _position(key: object) -> int:
    if not isinstance(key, int) or isinstance(key, bool):
        raise CallError(f"cannot index slice/array with type {go_type(key)}")
    if key < 0:
        raise CallError(f"index out of range: {key}")
    return key


def _slice(arguments: Sequence[object]) -> object:
    _at_least("slice", 1, arguments)
    value, *bounds = arguments
    if not is_list(value) and not isinstance(value, str):
        raise CallError(f"can't slice item of type {go_type(value)}")
    if len(bounds) > (2 if isinstance(value, str) else 3):
        raise CallError(
            "cannot 3-index slice a string" if isinstance(value, str) else f"too many slice indexes: {len(bounds)}"
        )
    places = [_position(bound) for bound in bounds]
    for place in places:
        if place > len(value):
            raise CallError(f"index out of range: {place}")
    start, stop = (places[0] if places else 0), (places[1] if len(places) > 1 else len(value))
    if start > stop:
        raise CallError(f"invalid slice index: {start} > {stop}")
    return value[start:stop]


def _printf(arguments: Sequence[object]) -> object:
    _at_least("printf", 1, arguments)
    return sprintf(_text(arguments[0]), arguments[1:])


def _print(arguments: Sequence[object]) -> object:
    """Go's Sprint: a blank between two operands when neither is a string."""
    parts: list[str] = []
    for index, value in enumerate(arguments):
        if index and not isinstance(value, str) and not isinstance(arguments[index - 1], str):
            parts.append(" ")
        parts.append(show(value))
    return "".join(parts)


def _println(arguments: Sequence[object]) -> object:
    return " ".join(show(value) for value in arguments) + "\n"


def _one_text(arguments: Sequence[object]) -> str:
    return str(_print(arguments))


def _html(arguments: Sequence[object]) -> object:
    return quoting.html(_one_text(arguments))


def _js(arguments: Sequence[object]) -> object:
    return quoting.javascript(_one_text(arguments))


def _urlquery(arguments: Sequence[object]) -> object:
    return quoting.url_query(_one_text(arguments))


def _call(arguments: Sequence[object]) -> object:
    _at_least("call", 1, arguments)
    raise CallError(f"non-function of type {go_type(arguments[0])}")


def _kind(value: object) -> str:
    match value:
        case bool():
            return "bool"
        # JSON does not tell 1 from 1.0, so neither do comparisons here (Go's typed structs have ints).
        case int() | float():
            return "number"
        case str():
            return "string"
        case None:
            return "nil"
        case _:
            raise CallError("non-comparable type: " + go_type(value))


def _same(left: object, right: object) -> bool:
    kinds = {_kind(left), _kind(right)}
    if "nil" in kinds:
        return left is right
    if len(kinds) > 1:
        raise CallError("incompatible types for comparison")
    return left == right


def _eq(arguments: Sequence[object]) -> object:
    _at_least("eq", 1, arguments)
    if len(arguments) == 1:
        raise CallError("missing argument for comparison")
    return any(_same(arguments[0], other) for other in arguments[1:])


@_takes("ne", 2)
def _ne(arguments: Sequence[object]) -> object:
    return not _same(arguments[0], arguments[1])


def _less(left: object, right: object) -> bool:
    if _kind(left) != _kind(right):
        raise CallError("incompatible types for comparison")
    if isinstance(left, str) and isinstance(right, str):
        return left.encode("utf-8", "surrogatepass") < right.encode("utf-8", "surrogatepass")
    if isinstance(left, bool) or not isinstance(left, int | float) or not isinstance(right, int | float):
        raise CallError("invalid type for comparison")
    return left < right


@_takes("lt", 2)
def _lt(arguments: Sequence[object]) -> object:
    return _less(arguments[0], arguments[1])


@_takes("le", 2)
def _le(arguments: Sequence[object]) -> object:
    return _less(arguments[0], arguments[1]) or _same(arguments[0], arguments[1])


@_takes("gt", 2)
def _gt(arguments: Sequence[object]) -> object:
    return _less(arguments[1], arguments[0])


@_takes("ge", 2)
def _ge(arguments: Sequence[object]) -> object:
    return _less(arguments[1], arguments[0]) or _same(arguments[0], arguments[1])


# "and" and "or" evaluate their arguments one by one, so the evaluator holds them; they are here to be known.
def _lazy(arguments: Sequence[object]) -> object:
    raise AssertionError(arguments)


FUNCTIONS: Mapping[str, GoFunction] = {
    "and": _lazy,
    "or": _lazy,
    "call": _call,
    "eq": _eq,
    "ge": _ge,
    "gt": _gt,
    "html": _html,
    "index": _index,
    "join": _join,
    "js": _js,
    "json": _json,
    "le": _le,
    "len": _len,
    "lower": _lower,
    "lt": _lt,
    "ne": _ne,
    "not": _not,
    "pad": _pad,
    "print": _print,
    "printf": _printf,
    "println": _println,
    "slice": _slice,
    "split": _split,
    "title": _title,
    "truncate": _truncate,
    "upper": _upper,
    "urlquery": _urlquery,
}


def _first(arguments: Sequence[object]) -> object:
    return arguments[0] if arguments else ""


# In a header line these leave the column's name alone; it is not data to be cut or split.
HEADER_FUNCTIONS: Mapping[str, GoFunction] = {
    **FUNCTIONS,
    **dict.fromkeys(("json", "lower", "upper", "title", "truncate", "split", "join", "pad", "println"), _first),
}
