"""Cuts a template into tokens: text, and what stands between ``{{`` and ``}}``."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from typing import NamedTuple

from fairlead.cli.gotemplate.errors import TemplateError, at

KEYWORDS = frozenset({"if", "else", "end", "range", "with", "break", "continue", "define", "template", "block"})
_SPACE = " \t\r\n"


class Token(NamedTuple):
    """``kind`` is text, open, close, or one of an action's words; ``glued`` says that no blank stands before it."""

    kind: str
    text: str
    offset: int
    glued: bool = False


# The order matters: a field before the lone dot, := before =, a number before the dot it may begin with.
_WORDS = re.compile(
    r"""
    (?P<string>"(?:\\[^\n]|[^"\\\n])*")
  | (?P<raw>`[^`]*`)
  | (?P<char>'(?:\\[^\n]|[^'\\\n])+')
  | (?P<number>[+-]?(?:
        0[xX][0-9a-fA-F_]+ | 0[oO][0-7_]+ | 0[bB][01_]+
      | (?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?
    ))
  | (?P<field>\.[^\W\d]\w*)
  | (?P<dot>\.)
  | (?P<variable>\$\w*)
  | (?P<declare>:=)
  | (?P<assign>=)
  | (?P<comma>,)
  | (?P<pipe>\|)
  | (?P<left>\()
  | (?P<right>\))
  | (?P<word>[^\W\d]\w*)
    """,
    re.VERBOSE,
)


def tokenize(source: str) -> Iterator[Token]:
    """All tokens in order; trim markers and comments are already applied."""
    position, trim = 0, False
    while True:
        start = source.find("{{", position)
        text = source[position:] if start < 0 else source[position:start]
        offset = position
        if trim:
            stripped = text.lstrip(_SPACE)
            offset, text = offset + len(text) - len(stripped), stripped
        if start >= 0 and _trims_left(source, start):
            text = text.rstrip(_SPACE)
        if text:
            yield Token("text", text, offset)
        if start < 0:
            return
        inside = start + (3 if _trims_left(source, start) else 2)
        comment = _comment_end(source, inside)
        if comment is not None:
            position, trim = comment
            continue
        yield Token("open", "{{", start)
        position, trim = yield from _action(source, inside)


def line_of(source: str, offset: int) -> int:
    return source.count("\n", 0, offset) + 1


def _trims_left(source: str, start: int) -> bool:
    return source[start + 2 : start + 3] == "-" and source[start + 3 : start + 4] in set(_SPACE)


def _comment_end(source: str, inside: int) -> tuple[int, bool] | None:
    """Where the text goes on behind a comment, and whether it is trimmed there; None when no comment begins here."""
    begin = inside
    if source[inside - 1] == "-":
        begin += len(source[inside:]) - len(source[inside:].lstrip(_SPACE))
    if not source.startswith("/*", begin):
        return None
    end = source.find("*/", begin)
    if end < 0:
        raise at(line_of(source, begin), "unclosed comment")
    end += 2
    if source.startswith("}}", end):
        return end + 2, False
    if source[end : end + 1] in set(_SPACE) and source.startswith("-}}", end + 1):
        return end + 4, True
    raise at(line_of(source, begin), "comment ends before closing delimiter")


def _action(source: str, position: int) -> Generator[Token, None, tuple[int, bool]]:
    """The tokens of one action; returns (offset behind it, whether the text behind is trimmed)."""
    glued, depth = False, 0
    while True:
        if _closes_trimmed(source, position):
            yield _close(source, position, depth)
            return position + 4, True
        if source.startswith("}}", position):
            yield _close(source, position, depth)
            return position + 2, False
        if position >= len(source):
            raise at(line_of(source, position), "unclosed action")
        if source[position] in _SPACE:
            position, glued = position + 1, False
            continue
        token = _word(source, position, glued)
        depth += {"left": 1, "right": -1}.get(token.kind, 0)
        if depth < 0:
            raise at(line_of(source, position), "unexpected right paren")
        yield token
        position, glued = position + len(token.text), True


def _closes_trimmed(source: str, position: int) -> bool:
    return source[position : position + 1] in set(_SPACE) and source.startswith("-}}", position + 1)


def _close(source: str, position: int, depth: int) -> Token:
    if depth:
        raise at(line_of(source, position), "unclosed left paren")
    return Token("close", "}}", position)


def _word(source: str, position: int, glued: bool) -> Token:
    match = _WORDS.match(source, position)
    if match is None or match.lastgroup is None:
        raise _unexpected(source, position)
    kind, text = match.lastgroup, match.group()
    if kind == "word":
        kind = _word_kind(text)
    return Token(kind, text, position, glued)


def _word_kind(text: str) -> str:
    if text in KEYWORDS:
        return text
    if text in {"true", "false"}:
        return "bool"
    return "nil" if text == "nil" else "identifier"


def _unexpected(source: str, position: int) -> TemplateError:
    line, char = line_of(source, position), source[position]
    if char == '"':
        return at(line, "unterminated quoted string")
    if char == "`":
        return at(line, "unterminated raw quoted string")
    if char == "'":
        return at(line, "unterminated character constant")
    return at(line, f"unexpected {_go_quote(char)} in command")


def _go_quote(char: str) -> str:
    return f'"{char}"' if char.isprintable() else f"U+{ord(char):04X}"
