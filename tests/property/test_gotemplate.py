"""Templates on any text and any JSON: only their own error comes out, and laws hold that Go's have."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from fairlead.cli.gotemplate import Template, TemplateError
from fairlead.cli.gotemplate.functions import FUNCTIONS
from fairlead.cli.gotemplate.literals import unquote
from fairlead.cli.gotemplate.printf import sprintf
from fairlead.cli.gotemplate.quoting import quote

texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=True) | texts,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["A", "B", "Id"]) | texts, inner, max_size=3)
    ),
    max_leaves=8,
)
words = st.sampled_from(
    [
        *"{{ }} {{- -}} . .A .Id.B $ $x := = , | ( ) 's' `r` 'c' 1 -2.5 0x1F true nil".replace("'s'", '"s"').split(),
        *["if", "else", "end", "range", "with", "break", "continue", "/*", "*/"],
        " ",
        "text\n",
        *FUNCTIONS,
    ],
)
sources = st.lists(words, max_size=20).map(" ".join) | st.lists(words, max_size=20).map("".join) | st.text()


@given(sources, values)
def test_only_its_own_error_comes_out(source: str, value: object) -> None:
    try:
        written = Template(source).render(value)
    except TemplateError as wrong:
        written = str(wrong).removeprefix("template: :")
        assert written[:1].isdigit(), wrong  # noqa: PT017 - the one error that may come
    assert isinstance(written, str)


@given(texts.filter(lambda text: "{{" not in text), values)
def test_text_without_actions_is_itself(text: str, value: object) -> None:
    assert Template(text).render(value) == text


@given(texts)
def test_a_quoted_literal_means_its_text(text: str) -> None:
    assert unquote(quote(text)) == text
    assert Template("{{" + quote(text) + "}}").render(None) == text
    assert Template("{{. | printf " + quote("%q") + "}}").render(text) == quote(text)


@given(values)
def test_json_can_be_read_back(value: object) -> None:
    written = Template("{{json .}}").render(value)
    assert repr(json.loads(written)) == repr(json.loads(json.dumps(value)))


@given(st.dictionaries(texts, st.integers()), texts)
def test_index_finds_what_is_there(mapping: dict[str, int], key: str) -> None:
    shown = Template("{{index . " + quote(key) + "}}").render(mapping)
    assert shown == (str(mapping[key]) if key in mapping else "<no value>")


@given(st.lists(st.integers()))
def test_range_and_len_agree(items: list[int]) -> None:
    assert Template("{{range .}}x{{end}}").render(items) == "x" * int(Template("{{len .}}").render(items))
    assert Template("{{range $i, $e := .}}{{$i}}:{{$e}};{{end}}").render(items) == "".join(
        f"{index}:{item};" for index, item in enumerate(items)
    )


@given(st.integers(), st.integers())
def test_comparisons_are_an_order(left: int, right: int) -> None:
    source = "{{lt .A .B}} {{ge .A .B}} {{eq .A .B}} {{ne .A .B}} {{le .A .B}} {{gt .A .B}}"
    shown = Template(source).render({"A": left, "B": right}).split()
    truths = [left < right, left >= right, left == right, left != right, left <= right, left > right]
    assert shown == [str(truth).lower() for truth in truths]


@given(st.text(), st.lists(values, max_size=4))
def test_printf_never_fails(template: str, arguments: list[object]) -> None:
    assert isinstance(sprintf(template, arguments), str)


@given(st.text("%dsvqxXtTfeEgGcUbo+-# 0123456789.*[]", max_size=12), st.lists(values, max_size=4))
def test_printf_never_fails_on_directives(template: str, arguments: list[object]) -> None:
    limited = template if sum(char.isdigit() for char in template) < 4 else "%s"
    assert isinstance(sprintf(limited, arguments), str)


@given(st.integers(), st.integers(0, 30))
def test_printf_pads_to_the_width(number: int, width: int) -> None:
    right, left = sprintf(f"%{width}d|%-{width}d", [number, number]).split("|")
    assert right == str(number).rjust(width)
    assert left == str(number).ljust(width)
