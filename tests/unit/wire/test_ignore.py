from __future__ import annotations

import pytest

from fairlead.wire.ignore import may_keep_below, parse


@pytest.mark.parametrize(
    ("patterns", "ignored", "kept"),
    [
        ("*.md", ["a.md"], ["sub/a.md", "a.txt"]),
        ("**/*.md", ["a.md", "x/y/a.md"], ["a.txt"]),
        ("node_modules", ["node_modules", "node_modules/x/y"], ["src/node_modules"]),
        ("/a/b/", ["a/b", "a/b/c"], ["a", "b"]),
        ("*\n!keep", ["x", "y/z"], ["keep", "keep/x"]),
        ("docs\n!docs/README*", ["docs/a"], ["docs/README.md"]),
        ("a?c\n[xy]1", ["abc", "x1"], ["ac", "z1"]),
        ("# nothing\n\n  \n.", [], ["a", ".git"]),
        ("a/**/z", ["a/z", "a/b/c/z"], ["a/b"]),
        ("[", ["["], ["x"]),
    ],
)
def test_patterns(patterns: str, ignored: list[str], kept: list[str]) -> None:
    found = parse(patterns)
    assert [path for path in ignored if not found(path)] == []
    assert [path for path in kept if found(path)] == []


def test_a_directory_must_be_looked_into_where_something_is_kept_after_all() -> None:
    assert may_keep_below("a\n!a/b")
    assert not may_keep_below("a\nb")
