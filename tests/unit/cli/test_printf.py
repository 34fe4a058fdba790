"""Go's verbs and flags; every expectation is what Go's fmt package prints."""

from __future__ import annotations

import pytest

from fairlead.cli.gotemplate.printf import sprintf
from fairlead.cli.gotemplate.quoting import quote
from fairlead.cli.gotemplate.values import show


@pytest.mark.parametrize(
    ("template", "arguments", "written"),
    [
        ("%s|%10s|%-10s|%.2s", ["abc", "abc", "abc", "abc"], "abc|       abc|abc       |ab"),
        ("%q %+q %#q", ['a"b', "é", "x"], '"a\\"b" "\\u00e9" `x`'),
        ("%x %X % x", ["hi", "hi", "hi"], "6869 6869 68 69"),
        ("%d %5d %-5d| %05d %+d % d", [5, 5, 5, 5, 5, 5], "5     5 5    | 00005 +5  5"),
        ("%x %X %#x %o %b %#o %O", [255, 255, 255, 8, 5, 8, 8], "ff FF 0xff 10 101 010 0o10"),
        ("%c %q %U", [65, 65, 0x20AC], "A 'A' U+20AC"),
        ("%.3d %06d", [5, -5], "005 -00005"),
        ("%f %.2f %8.3f %e %g", [1.5, 1.005, 3.14159, 1500.0, 1e21], "1.500000 1.00    3.142 1.500000e+03 1e+21"),
        ("%08.2f %+.1f", [-3.14159, 2.0], "-0003.14 +2.0"),
        ("%t %v", [True, False], "true false"),
        ("%v %v %v %v", [None, 1.0, [1, "a"], {"b": 1, "a": 2}], "<nil> 1 [1 a] map[a:2 b:1]"),
        ("%#v %#v %#v", ["a", [1], {"k": True}], '"a" []interface {}{1} map[string]interface {}{"k":true}'),
        ("%5v|%-5v|%+v", [1, 2, 3], "    1|2    |+3"),
        ("%T %T %T", ["", 1, None], "string int <nil>"),
        ("%s %d", [["a", "b"], [1, 2]], "[a b] [1 2]"),
        ("100%%", [], "100%"),
        ("%*d|%-*d|", [4, 7, 4, 7], "   7|7   |"),
        ("%[2]d %[1]d", [1, 2], "2 1"),
        ("%[1]s %[1]q", ["x"], 'x "x"'),
    ],
)
def test_what_fits(template: str, arguments: list[object], written: str) -> None:
    assert sprintf(template, arguments) == written


@pytest.mark.parametrize(
    ("template", "arguments", "written"),
    [
        ("%d", ["a"], "%!d(string=a)"),
        ("%s", [5], "%!s(int=5)"),
        ("%t", [3], "%!t(int=3)"),
        ("%d", [None], "%!d(<nil>)"),
        ("%d", [], "%!d(MISSING)"),
        ("x", [1, "a"], "x%!(EXTRA int=1, string=a)"),
        ("%z", [1], "%!z(int=1)"),
        ("%", [], "%!(NOVERB)"),
        ("%9999999d", [1], "%!(BADWIDTH)%!(EXTRA int=1)"),
        ("%[3]d", [1], "%!d(BADINDEX)"),
    ],
)
def test_what_does_not_fit_is_said_in_the_text(template: str, arguments: list[object], written: str) -> None:
    assert sprintf(template, arguments) == written


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.0, "1"),
        (0.1, "0.1"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1e-5, "1e-05"),
        (123456789.5, "123456789.5"),
    ],
)
def test_floats_in_their_shortest_form(value: float, shown: str) -> None:
    assert show(value) == shown


def test_quoting() -> None:
    assert quote('tab\tquote"back\\bell\a\x01é\u2028') == '"tab\\tquote\\"back\\\\bell\\a\\x01é\\u2028"'
