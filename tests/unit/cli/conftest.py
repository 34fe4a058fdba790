"""A fake engine, and our command run in this process against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from fairlead.cli.main import main
from harness.fakeengine import FakeEngine, fake_engine


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    with fake_engine(tmp_path) as running:
        yield running


@pytest.fixture
def run(engine: FakeEngine, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """``run("ps", "-a")``: the exit code and what was written to both descriptors."""
    monkeypatch.setenv("FAIRLEAD_HOST", engine.host)
    monkeypatch.setenv("DOCKER_CONFIG", "/nonexistent")

    def call(*words: str) -> Outcome:
        code = main(words)
        return Outcome(code, *capfd.readouterr())

    return call
