from __future__ import annotations

import pytest

from fairlead.compose import tree
from fairlead.compose.errors import ComposeError, Place
from fairlead.compose.tree import Tagged


def test_values_know_where_they_stand() -> None:
    found = tree.parse("services:\n  web:\n    ports:\n      - 80\n", "c.yaml")
    web = found["services"]["web"]
    assert found["services"].keys_at["web"] == Place("c.yaml", 2, 3)
    assert web["ports"].places == [Place("c.yaml", 4, 9)]
    assert str(Place("c.yaml", 4, 9)) == "c.yaml:4:9"


def test_scalars_are_those_of_yaml_1_2() -> None:
    text = "[yes, no, on, 22:22, 0o10, 0x10, 1.5, true, ~, '', 1e3, 007, '1', .5]"
    assert list(tree.parse(f"a: {text}", "f")["a"]) == [
        "yes", "no", "on", "22:22", 8, 16, 1.5, True, None, "", 1000.0, 7, "1", 0.5
    ]  # fmt: skip


def test_anchors_are_copied_and_merge_keys_fill_in() -> None:
    found = tree.parse("x-a: &a {one: 1, two: 2}\nb: {<<: *a, two: 3}\nc: *a\nd: {<<: [{p: 1}, {p: 2, q: 2}]}\n", "f")
    assert found["b"] == {"two": 3, "one": 1}
    assert found["d"] == {"p": 1, "q": 2}
    assert found["c"] is not found["x-a"]


def test_tags_are_kept_for_who_merges() -> None:
    found = tree.parse("a: !reset null\nb: !override [1]\n", "f")
    assert isinstance(found["a"], Tagged)
    assert (found["a"].tag, found["b"].tag, list(found["b"].value)) == ("reset", "override", [1])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "f:2:1: this is not YAML"),
        ("- a\n", "f:1:1: the file must hold a mapping"),
        ("a: 1\na: 2\n", "f:2:1: a is here twice, first in line 1"),
        ("a: &a [*a]\n", "an anchor contains itself"),
        ("? [a]\n: 1\n", "f:1:3: a key must be a word"),
        ("a: {<<: 1}\n", "only mappings can be merged"),
        ("a: !!python/object:os.system {}\n", None),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, said: str | None) -> None:
    if said is None:
        assert tree.parse(text, "f")["a"] == {}
        return
    with pytest.raises(ComposeError) as caught:
        tree.parse(text, "f")
    assert said in str(caught.value)


def test_an_anchor_cannot_blow_up() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    with pytest.raises(ComposeError, match="an anchor is used too often"):
        tree.parse("\n".join(lines), "f")
