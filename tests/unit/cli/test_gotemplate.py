"""Go's text/template: what each construct writes, and the words of each mistake (taken from Docker's client)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from fairlead.cli.gotemplate import Template, TemplateError
from fairlead.cli.gotemplate.functions import HEADER_FUNCTIONS
from fairlead.cli.gotemplate.values import FieldError

CONTAINER = {
    "Id": "4e1243bd22c6",
    "Name": "/web",
    "Driver": "overlay2",
    "Args": ["-c", "x y"],
    "Created": 5,
    "Ratio": 1.5,
    "Nothing": None,
    "State": {"Status": "running", "Running": True, "Pid": 123, "ExitCode": 0},
    "Config": {"Env": ["A=b", "C=d"], "Labels": {"b": "2", "a": "1"}},
    "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "::", "HostPort": "8080"}], "443/tcp": None}},
    "Mounts": [{"Type": "bind", "Source": "/a"}, {"Type": "volume", "Source": "/b"}],
}


def render(source: str, data: object = CONTAINER) -> str:
    return Template(source).render(data)


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("plain text, } and { alone", "plain text, } and { alone"),
        ("{{.State.Status}}", "running"),
        ("{{.}}", "map[a:1]"),
        ("{{.ID}}", "4e1243bd22c6"),
        ("{{(index .Args 1)}}", "x y"),
        ("{{.Config.Env}} {{.Config.Labels}}", "[A=b C=d] map[a:1 b:2]"),
        ("{{.State.Running}} {{.State.Pid}} {{.Ratio}}", "true 123 1.5"),
        ("{{.Nothing}}", "<no value>"),
        ("{{print .Nothing}}", "<nil>"),
        ("{{true}} {{3}} {{0x1F}} {{1_000}} {{'a'}} {{-2}} {{017}} {{1e3}}", "true 3 31 1000 97 -2 15 1000"),
        ('{{"a\\tb\\x41\\u00e9"}} {{`raw\\n`}}', "a\tbAé raw\\n"),
    ],
)
def test_values(source: str, written: str) -> None:
    data = {"a": 1} if source == "{{.}}" else CONTAINER
    assert render(source, data) == written


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
        ("{{if .Nothing}}a{{else if .State.ExitCode}}b{{else if .Name}}c{{else}}d{{end}}", "c"),
        ("{{with .State}}{{.Pid}}{{end}}", "123"),
        ("{{with .Nothing}}a{{else}}none{{end}}", "none"),
        ("{{with .Nothing}}a{{else with .State}}{{.Pid}}{{end}}", "123"),
        ("{{with $x := .Name}}{{$x}}{{.}}{{end}}", "/web/web"),
        ("{{range .Args}}<{{.}}>{{end}}", "<-c><x y>"),
        ("{{range $i, $e := .Args}}{{if $i}},{{end}}{{$e}}{{end}}", "-c,x y"),
        ("{{range $e := .Args}}{{$e}};{{end}}", "-c;x y;"),
        ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}} {{end}}", "a=1 b=2 "),
        ("{{range .Nothing}}a{{else}}empty{{end}}", "empty"),
        ("{{range 3}}{{.}}{{end}}", "012"),
        ('{{range .Args}}{{if eq . "x y"}}{{break}}{{end}}{{.}}{{end}}', "-c"),
        ('{{range .Args}}{{if eq . "-c"}}{{continue}}{{end}}{{.}}{{end}}', "x y"),
        ("{{range .Mounts}}{{.Type}}:{{$.Name}} {{end}}", "bind:/web volume:/web "),
        ("{{$n := 0}}{{range .Args}}{{$n = 1}}{{end}}{{$n}}", "1"),
        ("{{range $i, $m := .Mounts}}{{$m.Source}}{{end}}", "/a/b"),
    ],
)
def test_control(source: str, written: str) -> None:
    assert render(source) == written


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("a {{- 1 -}} b", "a1b"),
        ("a {{/* a comment */}} b", "a  b"),
        ("a {{- /* a comment */ -}} b", "ab"),
        ("{{/* }} */}}x", "x"),
        ("{{ 3 }}", "3"),
        ("x\n{{- 1}}\n", "x1\n"),
        ("{{-3}}", "-3"),
    ],
)
def test_trimming_and_comments(source: str, written: str) -> None:
    assert render(source) == written


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("{{json .Config.Labels}}", '{"b":"2","a":"1"}'),
        ('{{json "<&>"}}', '"<&>"'),
        ('{{join .Args "+"}}', "-c+x y"),
        ('{{split "a/b/c" "/"}} {{index (split "a/b" "/") 1}}', "[a b c] b"),
        ('{{upper "ab"}} {{lower "AB"}} {{title "hello wor-ld"}}', "AB ab Hello Wor-Ld"),
        ('{{pad "x" 1 2}}|{{pad "" 1 2}}|', " x  ||"),
        ('{{truncate "abcdef" 3}} {{truncate "ab" 5}}', "abc ab"),
        ('{{println "a" 1}}', "a 1\n"),
        ('{{print 1 2 "a" "b" 3}}', "1 2ab3"),
        ("{{html \"<a href='x'>&\"}}", "&lt;a href=&#39;x&#39;&gt;&amp;"),
        ('{{js "\'<a>="}}', "\\'\\u003Ca\\u003E\\u003D"),
        ('{{urlquery "a b&c/é"}}', "a+b%26c%2F%C3%A9"),
        ('{{len .Args}} {{len .Config.Labels}} {{len "é"}}', "2 2 2"),
        ('{{index .NetworkSettings.Ports "80/tcp" 0 "HostPort"}}', "8080"),
        ('{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}', "8080"),
        ('{{index .Config.Labels "zzz"}}', "<no value>"),
        ("{{slice .Id 0 4}} {{slice .Args 1}} {{slice .Id 10}}", "4e12 [x y] c6"),
        ('{{and 1 0 2}} {{and 1 2}} {{or 0 "" 3}} {{or 0 ""}}|{{not 0}}', "0 2 3 |true"),
        ('{{eq 1 1}} {{eq 1 2 3 1}} {{ne "a" "b"}} {{eq "a" "a"}}', "true true true true"),
        ('{{lt 1 2}} {{le 2 2}} {{gt "b" "a"}} {{ge 1.5 2.5}}', "true true true false"),
        ('{{.Name | printf "%s-%s" "x" | upper}}', "X-/WEB"),
        ("{{if and .State .State.Running}}up{{end}}", "up"),
        ("{{if or .Nothing (eq .State.Pid 123)}}yes{{end}}", "yes"),
    ],
)
def test_functions(source: str, written: str) -> None:
    assert render(source) == written


def test_a_field_that_docker_leaves_out_when_empty_is_nothing() -> None:
    assert render("{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}") == "none"


def test_arguments_are_not_evaluated_behind_the_deciding_one() -> None:
    assert render("{{and .Nothing .No.Such.Field}}") == "<no value>"
    assert render("{{or .Name .No.Such.Field}}") == "/web"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{.Foo}}", 'template: :1:2: executing "" at <.Foo>: map has no entry for key "Foo"'),
        ("{{.State.Foo}}", 'template: :1:8: executing "" at <.State.Foo>: map has no entry for key "Foo"'),
        ("a\n {{.Foo}}", 'template: :2:3: executing "" at <.Foo>: map has no entry for key "Foo"'),
        ("{{.Name.Foo}}", 'template: :1:7: executing "" at <.Name.Foo>: can\'t evaluate field Foo in type string'),
        (
            "{{.Nothing.Foo}}",
            'template: :1:10: executing "" at <.Nothing.Foo>: nil pointer evaluating interface {}.Foo',
        ),
        (
            "{{index .Args 5}}",
            'template: :1:2: executing "" at <index .Args 5>: error calling index: index out of range: 5',
        ),
        (
            '{{index .Nothing "a"}}',
            'template: :1:2: executing "" at <index .Nothing "a">: error calling index: index of untyped nil',
        ),
        (
            '{{lt 1 "a"}}',
            'template: :1:2: executing "" at <lt 1 "a">: error calling lt: incompatible types for comparison',
        ),
        ("{{len 3}}", 'template: :1:2: executing "" at <len 3>: error calling len: len of type int'),
        ("{{len}}", 'template: :1:2: executing "" at <len>: wrong number of args for len: want 1 got 0'),
        ("{{1 2}}", 'template: :1:2: executing "" at <1>: can\'t give argument to non-function 1'),
        ("{{.Name 1}}", 'template: :1:2: executing "" at <.Name>: Name is not a method but has arguments'),
        ("{{nil}}", 'template: :1:2: executing "" at <nil>: nil is not a command'),
        ("{{range .Ratio}}{{end}}", 'template: :1:8: executing "" at <.Ratio>: range can\'t iterate over 1.5'),
    ],
)
def test_mistakes_while_writing(source: str, message: str) -> None:
    with pytest.raises(TemplateError) as raised:
        render(source)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{.Name", "template: :1: unclosed action"),
        ("a\n{{.Name", "template: :2: unclosed action"),
        ("{{foo}}", 'template: :1: function "foo" not defined'),
        ("{{if .Name}}x", "template: :1: unexpected EOF"),
        ("{{range .Args}}{{.}}", "template: :1: unexpected EOF"),
        ("{{end}}", "template: :1: unexpected {{end}}"),
        ("{{else}}", "template: :1: unexpected {{else}}"),
        ("{{if}}x{{end}}", "template: :1: missing value for if"),
        ("{{}}", "template: :1: missing value for command"),
        ("{{$y}}", 'template: :1: undefined variable "$y"'),
        ("{{with $x := 1}}{{end}}{{$x}}", 'template: :1: undefined variable "$x"'),
        ('{{"a" | "b"}}', "template: :1: non executable command in pipeline stage 2"),
        ('{{"open}}', "template: :1: unterminated quoted string"),
        ("{{`open}}", "template: :1: unterminated raw quoted string"),
        ("{{(1}}", "template: :1: unclosed left paren"),
        ("{{1)}}", "template: :1: unexpected right paren"),
        ("{{/* open", "template: :1: unclosed comment"),
        ("{{break}}", "template: :1: {{break}} outside {{range}}"),
        ("{{.Name |}}", "template: :1: missing value for command"),
        ("{{1 }} {{ # }}", 'template: :1: unexpected "#" in command'),
        ("{{if 1}}{{else}}{{else}}{{end}}", "template: :1: expected end; found {{else}}"),
        ("{{'ab'}}", "template: :1: malformed character constant: 'ab'"),
    ],
)
def test_mistakes_while_reading(source: str, message: str) -> None:
    with pytest.raises(TemplateError) as raised:
        Template(source)
    assert str(raised.value) == message


class Row:
    """A record with a field, a method and a plain name that is missing."""

    def field(self, name: str, arguments: Sequence[object]) -> object:
        if name == "Label":
            return f"label {arguments[0]}"
        if name in self.as_mapping():
            return self.as_mapping()[name]
        raise FieldError(f"can't evaluate field {name} in type *test.row")

    def as_mapping(self) -> Mapping[str, object]:
        return {"ID": "<1>", "Names": "web"}


def test_records_compute_their_fields_and_have_methods() -> None:
    assert render('{{.ID}} {{.Label "x"}} {{.Label "y" | upper}}', Row()) == "<1> label x LABEL Y"
    assert render("{{json .}}", Row()) == '{"ID":"\\u003c1\\u003e","Names":"web"}'
    assert (
        render("{{.}} {{range $k, $v := .}}{{$k}},{{end}}{{if .}}yes{{end}}", Row())
        == "map[ID:<1> Names:web] ID,Names,yes"
    )
    with pytest.raises(TemplateError, match=r"executing \"\" at <\.Foo>: can't evaluate field Foo in type \*test\.row"):
        render("{{.Foo}}", Row())


def test_headers_are_left_alone_by_functions_on_data() -> None:
    header = Template("{{upper .A}} {{json .A}} {{truncate .A 1}}").with_functions(HEADER_FUNCTIONS)
    assert header.render({"A": "Name"}) == "Name Name Name"
