from __future__ import annotations

import pytest

from fairlead.compose import dotenv
from fairlead.compose.errors import ComposeError

FILE = """\
# a comment
A=1
export B = two # behind
C="x\\n${A} # stays"  # behind
D='$A \\n'
E=
F
HOME
G=$A-${NO:-none}
H: yaml-like
M="first
second"
Q='it
is'
"""


def test_a_file_of_variables() -> None:
    assert dotenv.parse(FILE, ".env", {"HOME": "/root"}) == {
        "A": "1",
        "B": "two",
        "C": "x\n1 # stays",
        "D": "$A \\n",
        "E": "",
        "HOME": "/root",
        "G": "1-none",
        "H": "yaml-like",
        "M": "first\nsecond",
        "Q": "it\nis",
    }


def test_the_environment_comes_before_the_file_in_what_is_looked_up() -> None:
    assert dotenv.parse("A=file\nB=$A", ".env", {"A": "environment"}) == {"A": "file", "B": "environment"}


def test_windows_line_ends_and_a_byte_order_mark() -> None:
    assert dotenv.parse("\ufeffA=1\r\nB=2\r\n", ".env", {}) == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A=1\n=x\n", ".env:2:1: a line is NAME=value"),
        ("A B\n", ".env:1:1: A is followed by neither"),
        ("A='x\n", ".env:1:1: a value begins with ' and has no end"),
        ('A="x" y\n', "stands behind a quoted value"),
    ],
)
def test_mistakes_are_said_with_their_line(text: str, said: str) -> None:
    with pytest.raises(ComposeError) as caught:
        dotenv.parse(text, ".env", {})
    assert said in str(caught.value)
