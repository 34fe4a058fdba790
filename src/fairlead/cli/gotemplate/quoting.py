"""Go's strconv.Quote, and the escapers that templates offer for HTML, JavaScript and URLs."""

from __future__ import annotations

_NAMED = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
}
_HTML = {"\0": "\ufffd", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"}
_JS = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}
_URL_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~")


def quote(text: str, *, ascii_only: bool = False) -> str:
    """A double-quoted Go string literal that means ``text``."""
    return '"' + "".join(_quoted(char, ascii_only) for char in text) + '"'


def _quoted(char: str, ascii_only: bool) -> str:
    if char in _NAMED:
        return _NAMED[char]
    if char.isprintable() and (char.isascii() or not ascii_only):
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def html(text: str) -> str:
    return "".join(_HTML.get(char, char) for char in text)


def javascript(text: str) -> str:
    return "".join(_js(char) for char in text)


def _js(char: str) -> str:
    if char in _JS:
        return _JS[char]
    if ord(char) < 0x20 or not (char.isascii() or char.isprintable()):
        return f"\\u{ord(char):04X}"
    return char


def url_query(text: str) -> str:
    return "".join(_url(char) for char in text)


def _url(char: str) -> str:
    if char in _URL_SAFE:
        return char
    return "+" if char == " " else "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))
