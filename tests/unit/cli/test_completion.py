"""What each shell is offered, word by word."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from harness.fakeengine import FakeEngine, Reply
from unit.cli.conftest import Run


@pytest.fixture(autouse=True)
def things(engine: FakeEngine) -> None:
    containers = [
        {"Names": ["/web"], "Image": "nginx", "State": "running"},
        {"Names": ["/old"], "Image": "busybox", "State": "exited"},
    ]
    engine.on("GET", "/containers/json", Reply(containers))
    engine.on("GET", "/images/json", Reply([{"RepoTags": ["nginx:1", "<none>:<none>"]}]))
    engine.on("GET", "/networks", Reply([{"Name": "bridge", "Driver": "bridge"}]))
    engine.on("GET", "/volumes", Reply({"Volumes": [{"Name": "vol"}]}))


@pytest.mark.parametrize(
    ("words", "offers"),
    [
        (["net"], ["network"]),
        (["p"], ["pause", "port", "ps", "pull"]),
        (["network", "c"], ["check", "connect", "create"]),
        (["stop", ""], ["web"]),
        (["start", ""], ["old"]),
        (["rm", ""], ["old", "web"]),
        (["rm", "web", ""], ["old"]),
        (["logs", "web", ""], []),
        (["container", "rm", "o"], ["old"]),
        (["run", "--net"], ["--network", "--network-alias"]),
        (["run", "--network", ""], ["bridge"]),
        (["run", "-v", ""], ["vol"]),
        (["run", "-it", ""], ["nginx:1"]),
        (["run", "--rm", "nginx:1", ""], [":files"]),
        (["exec", "-it", ""], ["web"]),
        (["network", "connect", ""], ["bridge"]),
        (["network", "connect", "bridge", ""], ["old", "web"]),
        (["volume", "rm", ""], ["vol"]),
        (["load", "-i", ""], [":files"]),
        (["-H", ""], []),
        (["--ver"], ["--version"]),
        (["nonsense", ""], []),
        (["ps", "-a", "--for"], ["--format"]),
    ],
)
def test_offers(run: Run, words: list[str], offers: list[str]) -> None:
    shown = [line.partition("\t")[0] for line in run("__complete", "--", *words).out.splitlines()]
    assert sorted(shown) == offers


def test_an_engine_that_does_not_answer_offers_no_names(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRLEAD_HOST", "unix:///nowhere")
    outcome = run("__complete", "--", "stop", "")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_are_what_their_shell_reads(run: Run, shell: str) -> None:
    script = run("completion", shell).out
    assert "__complete" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


def test_unknown_shell(run: Run) -> None:
    assert run("completion", "csh").err == "unknown shell: csh: one of bash, zsh, fish\n"


def test_bash_really_completes(run: Run, engine: FakeEngine, tmp_path: object) -> None:
    from harness.engine import FAIRLEAD

    script = run("completion", "bash").out
    asked = (
        f"{script}\nCOMP_WORDS=({FAIRLEAD} network c); COMP_CWORD=2; compopt() {{ :; }}; _fairlead; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", asked],
        capture_output=True,
        text=True,
        check=True,
        env={"FAIRLEAD_HOST": engine.host, "PATH": "/usr/bin:/bin"},
    )
    assert done.stdout.split() == ["check", "connect", "create"]
