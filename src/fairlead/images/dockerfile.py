"""Dockerfiles, pure: text to instructions and stages, and variables put into their words.

The grammar is that of Docker's builder: parser directives, continued lines, flags before the arguments, here-documents.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from fairlead.errors import InvalidArgument

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*\Z")
_FLAG = re.compile(r"--([a-z][a-z-]*)(?:=(\"[^\"]*\"|'[^']*'|\S*))?(?:\s+|\Z)")
_HEREDOC = re.compile(r"<<(-?)(?:([\"'])([A-Za-z_][A-Za-z0-9_]*)\2|([A-Za-z_][A-Za-z0-9_]*))")
_WORDS = frozenset(
    (
        *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER"),
        *("ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
    )
)
_WITH_FLAGS = frozenset({"ADD", "COPY", "FROM", "RUN"})
_WITH_HEREDOCS = frozenset({"ADD", "COPY", "RUN"})
_DEEPEST = 16


class Heredoc(NamedTuple):
    """A file in the Dockerfile; ``expands`` where its word was not quoted."""

    name: str
    content: str
    expands: bool


class Instruction(NamedTuple):
    """One instruction. ``text`` is what stands behind the word and its flags, ``line`` counts from 1."""

    word: str
    text: str
    line: int
    flags: Mapping[str, tuple[str, ...]] = {}
    heredocs: tuple[Heredoc, ...] = ()

    def flag(self, name: str) -> str:
        """The last value given, "" when there is none."""
        return self.flags.get(name, ("",))[-1]

    @property
    def words(self) -> tuple[str, ...] | None:
        """The exec form ``["a", "b"]``; None for the shell form."""
        return json_words(self.text)

    def shown(self) -> str:
        given = [
            f"--{name}={value}" if value else f"--{name}" for name, several in self.flags.items() for value in several
        ]
        return " ".join((self.word, *given, self.text)).rstrip()


class Stage(NamedTuple):
    """From one FROM to the next; ``name`` is "" or in lower case."""

    base: str
    name: str
    platform: str
    line: int
    instructions: tuple[Instruction, ...]


class Dockerfile(NamedTuple):
    """``arguments`` are the ARGs before the first FROM."""

    arguments: tuple[Instruction, ...]
    stages: tuple[Stage, ...]
    escape: str


def json_words(text: str) -> tuple[str, ...] | None:
    if not text.startswith("["):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return tuple(value) if isinstance(value, list) and all(isinstance(word, str) for word in value) else None


def parse(text: str) -> Dockerfile:
    """Raises InvalidArgument naming the line."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    escape = _directives(lines).get("escape", "\\")
    if escape not in ("\\", "`"):
        raise InvalidArgument(f"dockerfile parse error line 1: invalid escape token '{escape}' does not match ` or \\")
    instructions = list(_instructions(lines, escape))
    if not instructions:
        raise InvalidArgument("the Dockerfile cannot be empty")
    return _staged(instructions, escape)


def _directives(lines: Sequence[str]) -> dict[str, str]:
    """The comments at the very top that have a meaning."""
    found: dict[str, str] = {}
    for line in lines:
        directive = _DIRECTIVE.match(line.strip())
        if directive is None or directive[1].lower() in found:
            break
        found[directive[1].lower()] = directive[2]
    return found


def _instructions(lines: Sequence[str], escape: str) -> Iterator[Instruction]:
    at = 0
    while at < len(lines):
        stripped = lines[at].strip()
        if not stripped or stripped.startswith("#"):
            at += 1
            continue
        start = at + 1
        text, at = _logical_line(lines, at, escape)
        instruction = instruction_of(text, start)
        if instruction.word in _WITH_HEREDOCS and instruction.words is None:
            heredocs, at = _heredocs(instruction, lines, at)
            instruction = instruction._replace(heredocs=heredocs)
        yield instruction


def _logical_line(lines: Sequence[str], at: int, escape: str) -> tuple[str, int]:
    """A line with those that continue it; comments and blank lines between them are no part of it."""
    parts: list[str] = []
    while at < len(lines):
        line = lines[at]
        at += 1
        if parts and (not line.strip() or line.strip().startswith("#")):
            continue
        bare = line.rstrip()
        if not bare.endswith(escape):
            parts.append(line)
            break
        parts.append(bare[:-1])
    return "".join(parts).strip(), at


def instruction_of(text: str, line: int) -> Instruction:
    """One instruction, heredocs left out; raises InvalidArgument for an unknown word or a missing argument."""
    word, _, rest = text.replace("\t", " ", 1).partition(" ")
    word = word.upper()
    if word not in _WORDS:
        raise InvalidArgument(f"dockerfile parse error line {line}: unknown instruction: {word}")
    rest = rest.strip()
    flags: dict[str, tuple[str, ...]] = {}
    while word in _WITH_FLAGS and (flag := _FLAG.match(rest)):
        flags[flag[1]] = (*flags.get(flag[1], ()), (flag[2] or "").strip("\"'"))
        rest = rest[flag.end() :]
    if not rest:
        raise InvalidArgument(f"dockerfile parse error line {line}: {word} requires at least one argument")
    return Instruction(word, rest, line, flags)


def _heredocs(instruction: Instruction, lines: Sequence[str], at: int) -> tuple[tuple[Heredoc, ...], int]:
    found: list[Heredoc] = []
    for mark in _HEREDOC.finditer(instruction.text):
        name, content = mark[3] or mark[4], []
        while True:
            if at >= len(lines):
                raise InvalidArgument(f"dockerfile parse error line {instruction.line}: unterminated heredoc {name}")
            line = lines[at].lstrip("\t") if mark[1] else lines[at]
            at += 1
            if line == name:
                break
            content.append(line + "\n")
        found.append(Heredoc(name, "".join(content), expands=not mark[2]))
    return tuple(found), at


def without_heredocs(text: str) -> str:
    return _HEREDOC.sub("", text).strip()


def is_only_heredoc(text: str) -> bool:
    """``RUN <<EOF``: the file itself is what runs."""
    return _HEREDOC.fullmatch(text.strip()) is not None


def _staged(instructions: Sequence[Instruction], escape: str) -> Dockerfile:
    arguments: list[Instruction] = []
    stages: list[Stage] = []
    for instruction in instructions:
        if instruction.word == "FROM":
            stages.append(_stage(instruction))
        elif stages:
            last = stages[-1]
            stages[-1] = last._replace(instructions=(*last.instructions, instruction))
        elif instruction.word == "ARG":
            arguments.append(instruction)
        else:
            raise InvalidArgument(f"dockerfile parse error line {instruction.line}: no build stage in current context")
    if not stages:
        raise InvalidArgument("no build stage in current context: the Dockerfile has no FROM")
    return Dockerfile(tuple(arguments), tuple(stages), escape)


def _stage(instruction: Instruction) -> Stage:
    match instruction.text.split():
        case [base]:
            return Stage(base, "", instruction.flag("platform"), instruction.line, ())
        case [base, word, name] if word.upper() == "AS":
            if not re.fullmatch(r"[a-z][a-z0-9._-]*", name.lower()):
                raise InvalidArgument(
                    f'dockerfile parse error line {instruction.line}: invalid name for build stage: "{name}"'
                )
            return Stage(base, name.lower(), instruction.flag("platform"), instruction.line, ())
    raise InvalidArgument(
        f"dockerfile parse error line {instruction.line}: FROM requires either one or three arguments"
    )


# -- variables -----------------------------------------------------------------------------------------------------

Lookup = Callable[[str], str | None]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]")
_SIGN = re.compile(r":?[-+?]")


def expand(text: str, lookup: Lookup, escape: str = "\\") -> str:
    """``$A``, ``${A}``, ``${A:-x}``, ``${A:+x}`` (and without the colon) in words.

    Quotes stay as they are, and between single ones nothing is put in; an escaped dollar is a dollar.
    """
    return _Expansion(text, lookup, escape).until("", 0, 0)[0]


class _Expansion(NamedTuple):
    text: str
    lookup: Lookup
    escape: str

    def until(self, end: str, at: int, depth: int) -> tuple[str, int]:
        """What stands from ``at`` to the sign ``end`` (or to the end of the text), and where that is."""
        if depth > _DEEPEST:
            raise InvalidArgument(f"variables in variables in variables: {self.text[:40]}")
        found: list[str] = []
        quoted = False
        while at < len(self.text) and (quoted or not end or self.text[at] != end):
            char = self.text[at]
            quoted ^= char == "'" and not end
            if char == self.escape and at + 1 < len(self.text) and not quoted:
                found.append("$" if self.text[at + 1] == "$" else self.text[at : at + 2])
                at += 2
            elif char == "$" and not quoted:
                value, at = self._variable(at, depth)
                found.append(value)
            else:
                found.append(char)
                at += 1
        return "".join(found), at

    def _variable(self, at: int, depth: int) -> tuple[str, int]:
        if not self.text.startswith("${", at):
            name = _NAME.match(self.text, at + 1)
            return (self.lookup(name[0]) or "", name.end()) if name else ("$", at + 1)
        name = _NAME.match(self.text, at + 2)
        if name is None:
            raise InvalidArgument(f"failed to process {self.text!r}: bad substitution")
        sign = _SIGN.match(self.text, name.end())
        behind, at = "", name.end()
        if sign is not None:
            behind, at = self.until("}", sign.end(), depth + 1)
        if at >= len(self.text) or self.text[at] != "}":
            raise InvalidArgument(
                f"failed to process {self.text!r}: syntax error: missing '}}' or unsupported modifier"
            )
        return self._chosen(name[0], sign[0] if sign else "", behind), at + 1

    def _chosen(self, name: str, sign: str, behind: str) -> str:
        value = self.lookup(name)
        there = value is not None and (bool(value) or not sign.startswith(":"))
        match sign[-1:]:
            case "-":
                return (value or "") if there else behind
            case "+":
                return behind if there else ""
            case "?" if not there:
                raise InvalidArgument(f"{name}: {behind or 'not set'}")
            case _:
                return value or ""
