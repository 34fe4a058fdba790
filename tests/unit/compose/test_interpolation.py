from __future__ import annotations

import pytest

from fairlead.compose import tree
from fairlead.compose.errors import ComposeError
from fairlead.compose.interpolation import Interpolator

VARIABLES = {"A": "a", "EMPTY": "", "B_1": "b"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("$A-$B_1.x", "a-b.x"),
        ("${A}b", "ab"),
        ("$$A $$$A", "$A $a"),
        ("${NO}", ""),
        ("${NO-x}", "x"),
        ("${EMPTY-x}", ""),
        ("${EMPTY:-x}", "x"),
        ("${NO:-${A}-${ALSO:-y}}", "a-y"),
        ("${A:+set}${NO:+set}", "set"),
        ("${EMPTY+set}${EMPTY:+not}", "set"),
        ("${A?needed}", "a"),
        ("${NO:-http://x:80/$$}", "http://x:80/$"),
    ],
)
def test_variables(text: str, result: str) -> None:
    assert Interpolator(VARIABLES).text(text) == result


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("${NO:?set it}", "required variable NO is missing a value: set it"),
        ("${EMPTY:?}", "required variable EMPTY is missing a value"),
        ("${A", "is not closed"),
        ("${A!x}", "is not closed"),
        ("${}", "no variable begins so"),
        ("$ 5", "write $$ for a dollar"),
        ("end$", "write $$ for a dollar"),
        ("${A:-" * 40 + "}" * 40, "variables in variables"),
    ],
)
def test_mistakes(text: str, said: str) -> None:
    with pytest.raises(ComposeError) as caught:
        Interpolator({}).text(text)
    assert said in str(caught.value)


def test_everywhere_but_in_keys_and_with_places() -> None:
    missing: set[str] = set()
    raw = tree.parse("a$A: {b: [$A, 1, true], c: !override [$NO]}", "f")
    found = Interpolator(VARIABLES, missing.add).everywhere(raw)
    assert list(found["a$A"]["b"]) == ["a", 1, True]
    assert list(found["a$A"]["c"].value) == [""]
    assert found["a$A"].places == raw["a$A"].places
    assert missing == {"NO"}
