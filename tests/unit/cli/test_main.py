"""The command as a whole: finding verbs, help, unknown words, and what starting it loads."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from fairlead.cli.catalog import GROUPS, groups
from harness.fakeengine import FakeEngine, Reply
from unit.cli.conftest import Outcome, Run


def test_every_command_has_its_page(run: Run) -> None:
    calls = [[name] for name in groups()] + [[noun, name] for noun, group in GROUPS.items() for name in group.entries]
    for words in calls:
        outcome = run(*words, "--help")
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.startswith(f"Usage:  fairlead {' '.join(words)}")


def test_all_ways_to_call_a_command(engine: FakeEngine, run: Run) -> None:
    engine.on("GET", "/containers/json", Reply([]))
    shown = {run(*words).out for words in (["ps"], ["container", "ls"], ["container", "list"], ["container", "ps"])}
    assert len(shown) == 1
    assert (
        "fairlead container ls, fairlead container list, fairlead container ps, fairlead ps" in run("ps", "--help").out
    )


def test_help_of_everything(run: Run) -> None:
    for words in ([], ["--help"], ["help"], ["-h"]):
        assert run(*words).out.startswith("Usage:  fairlead [OPTIONS] COMMAND\n")
    assert run("help", "ps").out == run("ps", "--help").out
    assert "  connect     Connect a container to a network\n" in run("network").out
    assert run("--version").out.startswith("fairlead version ")


@pytest.mark.parametrize(
    ("words", "outcome"),
    [
        (
            ["foo"],
            Outcome(1, "", "fairlead: unknown command: fairlead foo\n\nRun 'fairlead --help' for more information\n"),
        ),
        (
            ["network", "foo"],
            Outcome(
                1,
                "",
                "fairlead: unknown command: fairlead network foo\n\n"
                "Run 'fairlead network --help' for more information\n",
            ),
        ),
        (
            ["stop"],
            Outcome(
                1,
                "",
                "fairlead: 'fairlead stop' requires at least 1 argument\n\n"
                "Usage:  fairlead stop [OPTIONS] CONTAINER [CONTAINER...]\n\n"
                "See 'fairlead stop --help' for more information\n",
            ),
        ),
        (
            ["rename", "a"],
            Outcome(
                1,
                "",
                "fairlead: 'fairlead rename' requires 2 arguments\n\n"
                "Usage:  fairlead rename CONTAINER NEW_NAME\n\nRun 'fairlead rename --help' for more information\n",
            ),
        ),
    ],
)
def test_words_that_are_none(run: Run, words: list[str], outcome: Outcome) -> None:
    assert run(*words) == outcome


def test_the_host_may_be_named_in_three_ways(engine: FakeEngine, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.on("GET", "/containers/json", Reply([]))
    monkeypatch.setenv("FAIRLEAD_HOST", "unix:///nowhere")
    assert run("-H", engine.host, "ps").code == 0
    assert run("ps").code == 1
    monkeypatch.delenv("FAIRLEAD_HOST")
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    assert run("ps").code == 0
    assert run("-H", "a", "-H", "b", "ps").err == "Specify only one -H\n"
    assert run("-H", "ftp://x", "ps").err == "invalid bind address (ftp://x): unsupported proto 'ftp'\n"


def test_an_interrupt_ends_quietly(engine: FakeEngine) -> None:
    engine.on("GET", "/containers/json", Reply([]))
    watching = subprocess.Popen(
        [sys.executable, "-m", "fairlead.cli.main", "-H", engine.host, "stats"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job, as these tests may be, ignores interrupts, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    assert watching.stdout is not None
    watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    _, complaint = watching.communicate(timeout=10)
    assert (watching.returncode, complaint) == (130, "")


def test_a_reader_that_went_away_is_no_traceback(engine: FakeEngine) -> None:
    engine.on("GET", "/containers/json", Reply([{"Id": "a" * 64, "Names": ["/" + "n" * 1000]}] * 500))
    command = f"{sys.executable} -m fairlead.cli.main -H {engine.host} ps --no-trunc | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("CONTAINER ID")
    assert done.stderr == ""


def test_a_start_loads_nothing_heavy() -> None:
    """`fairlead ps` must answer like `docker ps`: each of these would cost as much as all the rest."""
    script = (
        "import sys; from fairlead.cli.main import main; code = main(['-H', 'unix:///nowhere', 'ps']);"
        "print(*sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    heavy = {"click", "rich", "aiohttp", "msgspec", "asyncio", "http.client", "email", "dataclasses", "inspect",
             "threading", "subprocess", "logging", "ipaddress", "urllib.parse", "ssl", "tarfile"}  # fmt: skip
    assert loaded & heavy == set()
