"""``.dockerignore``: which paths of a build's context are left out. Patterns are Go's filepath.Match and ``**``."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable

Ignored = Callable[[str], bool]


def parse(text: str) -> Ignored:
    """Whether a path (relative, with slashes) is ignored: the last pattern that matches it or a parent decides."""
    rules = [rule for line in text.removeprefix("\ufeff").splitlines() if (rule := _rule(line)) is not None]

    def ignored(path: str) -> bool:
        verdict = False
        for pattern, keeps in rules:
            if pattern.match(path) or any(pattern.match(parent) for parent in _parents(path)):
                verdict = not keeps
        return verdict

    return ignored


def may_keep_below(text: str) -> bool:
    """Whether an ignored directory may hold something that is kept after all, and so must be looked into."""
    return any(line.strip().startswith("!") for line in text.splitlines())


def _parents(path: str) -> Iterable[str]:
    while path := posixpath.dirname(path):
        yield path


def _rule(line: str) -> tuple[re.Pattern[str], bool] | None:
    pattern = line.strip()
    if not pattern or line.startswith("#"):
        return None
    keeps = pattern.startswith("!")
    pattern = posixpath.normpath(pattern.removeprefix("!").strip()).lstrip("/")
    if pattern in ("", "."):
        return None
    try:
        return re.compile(_regex(pattern)), keeps
    except re.error:
        return re.compile(re.escape(pattern) + r"\Z"), keeps


def _regex(pattern: str) -> str:
    out, at = "", 0
    while at < len(pattern):
        char = pattern[at]
        if pattern.startswith("**/", at):
            out, at = out + "(?:.*/)?", at + 3
        elif pattern.startswith("**", at):
            out, at = out + ".*", at + 2
        elif char == "*":
            out, at = out + "[^/]*", at + 1
        elif char == "?":
            out, at = out + "[^/]", at + 1
        elif char == "[" and (end := pattern.find("]", at + 2)) > 0:
            out, at = out + "[" + pattern[at + 1 : end].replace("\\", "\\\\") + "]", end + 1
        elif char == "\\" and at + 1 < len(pattern):
            out, at = out + re.escape(pattern[at + 1]), at + 2
        else:
            out, at = out + re.escape(char), at + 1
    return out + r"\Z"
