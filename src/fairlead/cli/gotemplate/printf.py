"""Go's fmt.Sprintf on JSON values, with its complaints (``%!d(string=x)``) where verb and value do not fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from fairlead.cli.gotemplate.quoting import quote
from fairlead.cli.gotemplate.values import Record, go_type, is_list, show, show_map

_DIRECTIVE = re.compile(r"%([-+# 0]*)(\*|\d+)?(?:\.(\*|\d+)?)?(?:\[(\d+)\])?(.)?", re.DOTALL)
_HAS_PRECISION = re.compile(r"%[-+# 0]*(?:\*|\d+)?\.")
_BASES = {"d": "d", "x": "x", "X": "X", "o": "o", "b": "b", "O": "o"}
_WIDEST = 1_000_000
_FLOATS = frozenset("feEgGF")


class _Spec(NamedTuple):
    flags: str
    width: int | None
    precision: int | None
    verb: str


def sprintf(template: str, arguments: Sequence[object]) -> str:
    """The formatted text; never raises on odd input, as Go never panics on it."""
    return _Printer(arguments).run(template)


class _Printer:
    def __init__(self, arguments: Sequence[object]) -> None:
        self._arguments = list(arguments)
        self._used = 0
        self._reordered = False

    def run(self, template: str) -> str:
        text = _DIRECTIVE.sub(self._directive, template)
        extra = self._arguments[self._used :]
        # Go does not complain about what is left over once arguments were chosen by number.
        if not extra or self._reordered:
            return text
        listed = ", ".join(f"{go_type(value)}={show(value)}" if value is not None else "<nil>" for value in extra)
        return f"{text}%!(EXTRA {listed})"

    def _directive(self, match: re.Match[str]) -> str:
        flags, width, precision, index, verb = match.groups()
        wide = self._number(width)
        exact = self._number(precision)
        if exact is None and _HAS_PRECISION.match(match.group()):
            exact = 0
        if max(wide or 0, exact or 0) > _WIDEST or (wide or 0) < -_WIDEST:
            return "%!(BADWIDTH)"
        if wide is not None and wide < 0:
            flags, wide = flags + "-", -wide
        if verb is None:
            return "%!(NOVERB)"
        if verb == "%":
            return "%"
        if index is not None:
            self._used, self._reordered = int(index) - 1, True
        if not 0 <= self._used < len(self._arguments):
            return f"%!{verb}({'BADINDEX' if index is not None else 'MISSING'})"
        value = self._arguments[self._used]
        self._used += 1
        return render(_Spec(flags, wide, exact, verb), value)

    def _number(self, text: str | None) -> int | None:
        if text != "*":
            return int(text) if text else None
        self._used += 1
        value = self._arguments[self._used - 1] if self._used <= len(self._arguments) else None
        return value if isinstance(value, int) else None


def render(spec: _Spec, value: object) -> str:
    """One value under one directive, padded."""
    if spec.verb == "T":
        return _pad(spec, go_type(value))
    if spec.verb == "v":
        return _pad(spec, _verb_v(spec, value))
    if is_list(value):
        return "[" + " ".join(render(spec, item) for item in value) + "]"
    if isinstance(value, Mapping | Record):
        return _map(spec, value)
    kind = "nil" if value is None else go_type(value)
    verbs = _VERBS.get(kind, {})
    write = verbs.get(spec.verb)
    if write is None:
        return _wrong(spec, value)
    return _pad(spec, write(spec, value))


def _map(spec: _Spec, value: Mapping[str, object] | Record) -> str:
    plain = value.as_mapping() if isinstance(value, Record) else value
    pairs = (f"{render(spec, key)}:{render(spec, plain[key])}" for key in sorted(plain))
    return "map[" + " ".join(pairs) + "]"


def _wrong(spec: _Spec, value: object) -> str:
    if value is None:
        return f"%!{spec.verb}(<nil>)"
    return f"%!{spec.verb}({go_type(value)}={show(value)})"


def _verb_v(spec: _Spec, value: object) -> str:
    if "#" in spec.flags:
        return _go_syntax(value)
    if isinstance(value, float) and spec.precision is not None:
        return _float(_Spec(spec.flags, spec.width, spec.precision, "g"), value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _signed(spec, show(value))
    return show(value)


def _go_syntax(value: object) -> str:
    match value:
        case str():
            return quote(value)
        case list() | tuple():
            return "[]interface {}{" + ", ".join(_go_syntax(item) for item in value) + "}"
        case dict():
            pairs = ", ".join(f"{quote(key)}:{_go_syntax(value[key])}" for key in sorted(value))
            return "map[string]interface {}{" + pairs + "}"
        case Record():
            return show_map(value.as_mapping())
        case _:
            return show(value)


def _signed(spec: _Spec, text: str) -> str:
    if text.startswith("-"):
        return text
    if "+" in spec.flags:
        return "+" + text
    return " " + text if " " in spec.flags else text


def _integer(spec: _Spec, value: object) -> str:
    assert isinstance(value, int)
    digits = format(abs(value), _BASES[spec.verb])
    if spec.precision is not None:
        digits = digits.rjust(spec.precision, "0")
    prefix = {"x": "0x", "X": "0X", "o": "0", "b": "0b"}.get(spec.verb, "") if "#" in spec.flags else ""
    prefix = "0o" if spec.verb == "O" else prefix
    sign = "-" if value < 0 else _signed(spec, "")
    if "0" in spec.flags and "-" not in spec.flags and spec.precision is None and spec.width is not None:
        digits = digits.rjust(spec.width - len(sign), "0")
    return sign + prefix + digits


def _rune(spec: _Spec, value: object) -> str:
    assert isinstance(value, int)
    char = chr(value) if 0 <= value <= 0x10FFFF else "\ufffd"
    if spec.verb == "U":
        return f"U+{value:04X}" + (f" '{char}'" if "#" in spec.flags else "")
    if spec.verb == "q":
        return "'" + quote(char)[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"
    return char


def _float(spec: _Spec, value: object) -> str:
    assert isinstance(value, float)
    verb = "f" if spec.verb == "F" else spec.verb
    if spec.precision is None and verb in {"g", "G"}:
        return _signed(spec, show(value))
    text = _signed(spec, format(value, f".{6 if spec.precision is None else spec.precision}{verb}"))
    if "0" in spec.flags and "-" not in spec.flags and spec.width is not None:
        sign = text[0] if text[:1] in {"+", "-", " "} else ""
        return sign + text[len(sign) :].rjust(spec.width - len(sign), "0")
    return text


def _string(spec: _Spec, value: object) -> str:
    text = str(value)
    return text if spec.precision is None else text[: spec.precision]


def _quoted(spec: _Spec, value: object) -> str:
    text = _string(spec, value)
    if "#" in spec.flags and "`" not in text and text.isprintable():
        return f"`{text}`"
    return quote(text, ascii_only="+" in spec.flags)


def _hex(spec: _Spec, value: object) -> str:
    octets = _string(spec, value).encode()
    digits = octets.hex(" ") if " " in spec.flags else octets.hex()
    return digits.upper() if spec.verb == "X" else digits


def _boolean(_spec: _Spec, value: object) -> str:
    return show(value)


_Write = Callable[[_Spec, object], str]
_VERBS: Mapping[str, Mapping[str, _Write]] = {
    "string": {"s": _string, "q": _quoted, "x": _hex, "X": _hex},
    "int": dict.fromkeys("dxXobO", _integer) | dict.fromkeys("cqU", _rune),
    "float64": dict.fromkeys(_FLOATS, _float),
    "bool": {"t": _boolean},
}


def _pad(spec: _Spec, text: str) -> str:
    if spec.width is None:
        return text
    if "-" in spec.flags:
        return text.ljust(spec.width)
    return text.rjust(spec.width, "0" if "0" in spec.flags and spec.verb in "svq" else " ")
