"""inspect of containers, images, networks and volumes."""

from __future__ import annotations

import json

import pytest

from harness.fakeengine import Call, FakeEngine, Reply
from unit.cli.conftest import Run


@pytest.fixture(autouse=True)
def things(engine: FakeEngine) -> None:
    def named(name: str, thing: object) -> object:
        def answer(call: Call) -> Reply:
            return (
                Reply(thing) if name in call.path.split("/")[2:] else Reply({"message": f"not there: {call.path}"}, 404)
            )

        return answer

    engine.on("GET", "/containers/[^/]+/json", named("web", {"Id": "1", "Name": "/web", "State": {"Pid": 5}}))
    engine.on("GET", "/images/[^/]+/json", named("nginx", {"Id": "2", "RepoTags": ["nginx:1"]}))
    engine.on("GET", "/networks/[^/]+", named("net", {"Id": "3", "Name": "net"}))
    engine.on("GET", "/volumes/[^/]+", named("vol", {"Name": "vol"}))


def test_whole_and_indented(run: Run) -> None:
    outcome = run("inspect", "web", "vol")
    assert outcome.code == 0
    assert json.loads(outcome.out) == [{"Id": "1", "Name": "/web", "State": {"Pid": 5}}, {"Name": "vol"}]
    assert '\n    {\n        "Id": "1",\n' in outcome.out


def test_what_is_not_there_is_said_behind_what_is(run: Run) -> None:
    outcome = run("inspect", "nope", "net")
    assert (outcome.code, json.loads(outcome.out)) == (1, [{"Id": "3", "Name": "net"}])
    assert outcome.err == "Error: No such object: nope\n"


def test_of_one_kind_only(engine: FakeEngine, run: Run) -> None:
    assert run("inspect", "--type", "image", "web").code == 1
    assert [call.path for call in engine.calls] == ["/images/web/json"]
    outcome = run("inspect", "--type", "planet", "x")
    assert outcome.code == 1
    assert outcome.err.startswith('unknown type: "planet"')


@pytest.mark.parametrize("noun", ["container", "image", "network", "volume"])
def test_each_noun_has_its_own(engine: FakeEngine, run: Run, noun: str) -> None:
    outcome = run(noun, "inspect", "nope")
    assert outcome.code == 1
    assert outcome.err == f"Error response from daemon: not there: {engine.calls[0].path}\n"


def test_templates(run: Run) -> None:
    assert run("inspect", "-f", "{{.Name}} {{.State.Pid}}", "web").out == "/web 5\n"
    assert run("inspect", "-f", "json", "vol").out == '[{"Name":"vol"}]\n'
    assert run("inspect", "--format={{json .State}}", "web").out == '{"Pid":5}\n'


def test_a_template_that_is_none_is_refused_before_anything_is_asked(engine: FakeEngine, run: Run) -> None:
    outcome = run("inspect", "-f", "{{.Name", "web")
    assert (outcome.code, outcome.err) == (64, "template parsing error: template: :1: unclosed action\n")
    assert engine.calls == []


def test_a_template_that_does_not_fit(run: Run) -> None:
    outcome = run("inspect", "-f", "{{.Foo}}", "web")
    assert (outcome.code, outcome.out) == (1, "\n")
    assert outcome.err == (
        'template parsing error: template: :1:2: executing "" at <.Foo>: map has no entry for key "Foo"\n'
    )
