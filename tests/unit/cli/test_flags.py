"""Flags by the rules of Go's pflag, whose words Docker's users know."""

from __future__ import annotations

import pytest

from fairlead.cli.errors import BadFlag
from fairlead.cli.flags import Flag, HelpAsked, Values, number, parse, several, switch, text

FLAGS = (
    switch("rm", "remove"),
    switch("tty", "tty", "t"),
    switch("interactive", "stdin", "i"),
    switch("sig-proxy", "signals", default=True),
    text("name", "name", default="none"),
    text("user", "user", "u"),
    number("last", "last", "n", -1),
    number("weight", "weight", kind="uint16"),
    several("env", "env", "e"),
    several("alias", "alias", kind="strings"),
    several("network", "network", also="net"),
    Flag("memory", "bytes", "memory", "m", 0, parse=lambda raw: int(raw, 16)),
)


def read(*words: str, interspersed: bool = True) -> tuple[Values, list[str]]:
    return parse(FLAGS, words, interspersed=interspersed)


def test_defaults() -> None:
    values, arguments = read()
    assert not values.switch("rm")
    assert values.switch("sig-proxy")
    assert (values.text("name"), values.number("last"), values.list("env"), arguments) == ("none", -1, [], [])
    assert not values.changed("name")


def test_forms_of_a_value() -> None:
    values, arguments = read("--name", "a", "--user=b=c", "-n5", "-e", "A=1", "-e=B=2", "-eC=3", "x", "--net", "n")
    assert values.text("name") == "a"
    assert values.text("user") == "b=c"
    assert values.number("last") == 5
    assert values.list("env") == ["A=1", "B=2", "C=3"]
    assert values.list("network") == ["n"]
    assert arguments == ["x"]


def test_switches_take_a_value_only_behind_an_equals_sign() -> None:
    values, arguments = read("--rm", "busybox", "--sig-proxy=false", "-t=0", "-i=T")
    assert values.switch("rm")
    assert values.switch("interactive")
    assert not values.switch("sig-proxy")
    assert not values.switch("tty")
    assert arguments == ["busybox"]


def test_letters_together() -> None:
    values, _ = read("-itu", "root", "-tun")
    assert values.switch("tty")
    assert values.switch("interactive")
    assert values.text("user") == "n"


def test_a_value_may_look_like_a_flag() -> None:
    values, _ = read("--name", "--rm")
    assert values.text("name") == "--rm"
    assert not values.switch("rm")


def test_comma_separated_values_add_up() -> None:
    values, _ = read("--alias", "a,b", '--alias="c,d",e')
    assert values.list("alias") == ["a", "b", "c,d", "e"]


def test_where_flags_end() -> None:
    assert read("a", "--rm", "b")[1] == ["a", "b"]
    assert read("a", "--rm", "b", interspersed=False)[1] == ["a", "--rm", "b"]
    assert read("--", "--rm", "-x")[1] == ["--rm", "-x"]
    assert read("-", "-t")[1] == ["-"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--foo"], "unknown flag: --foo"),
        (["-Z"], "unknown shorthand flag: 'Z' in -Z"),
        (["-tZ"], "unknown shorthand flag: 'Z' in -tZ"),
        (["--name"], "flag needs an argument: --name"),
        (["-u"], "flag needs an argument: 'u' in -u"),
        (["--=x"], "bad flag syntax: --=x"),
        (["---x"], "bad flag syntax: ---x"),
        (
            ["--rm=maybe"],
            'invalid argument "maybe" for "--rm" flag: strconv.ParseBool: parsing "maybe": invalid syntax',
        ),
        (
            ["-n", "x"],
            'invalid argument "x" for "-n, --last" flag: strconv.ParseInt: parsing "x": invalid syntax',
        ),
        (
            ["--weight", "65536"],
            'invalid argument "65536" for "--weight" flag: strconv.ParseUint: parsing "65536": value out of range',
        ),
        (["-m", "zz"], 'invalid argument "zz" for "-m, --memory" flag: invalid literal for int() with base 16: \'zz\''),
    ],
)
def test_mistakes(words: list[str], message: str) -> None:
    with pytest.raises(BadFlag) as raised:
        read(*words)
    assert str(raised.value) == message


def test_help_is_asked_by_its_names_unless_the_letter_is_taken() -> None:
    for word in ("--help", "-h", "-th"):
        with pytest.raises(HelpAsked):
            read(word)
    assert parse((text("hostname", "", "h"),), ["-h", "x"])[0].text("hostname") == "x"


def test_whole_numbers_in_go_s_bases() -> None:
    assert [read("-n", raw)[0].number("last") for raw in ("0x10", "010", "-3", "1_0")] == [16, 8, -3, 10]
