"""One engine per module, in a host of its own; after each test all is as it was before it.

conftest.py files import these fixtures by name.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import images, snapshot
from harness.engine import Engine, wait_until
from harness.machine import Machine


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All images of the tests as one docker-archive."""
    path = tmp_path_factory.mktemp("images") / "all.tar"
    path.write_bytes(images.archive(images.recipes()))
    return path


@pytest.fixture(scope="session", autouse=True)
def able() -> None:
    """These tests need root and the official client; `./test` installs it."""
    if os.geteuid():
        pytest.skip("needs root")
    if not shutil.which("docker"):
        pytest.skip("needs the docker command line client: ./test installs it")


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    machine = Machine()
    yield machine
    machine.close()


@pytest.fixture(scope="module")
def daemon_flags() -> list[str]:
    """Flags of the module's daemon; a module that needs some defines this fixture itself."""
    return []


@pytest.fixture(scope="module")
def running(machine: Machine, archive: Path, daemon_flags: list[str]) -> Iterator[Engine]:
    """The module's engine with the images loaded."""
    engine = Engine(machine, *daemon_flags)
    try:
        engine.start()
        engine.load(archive)
        yield engine
        left = _left_after_stop(engine)
    finally:
        engine.close()
    assert not left, left


@pytest.fixture(scope="module")
def pristine(running: Engine) -> dict[str, frozenset[str]]:
    """What the host holds when the engine has nothing to do."""
    return snapshot.take(running)


@pytest.fixture
def engine(running: Engine, pristine: dict[str, frozenset[str]]) -> Iterator[Engine]:
    """The module's engine; what the test made through it is removed afterwards, and nothing may be left."""
    yield running
    running.clear()
    found: dict[str, list[str]] = {}

    def clean() -> bool:
        found.clear()
        found.update(snapshot.difference(pristine, snapshot.take(running)))
        return not found

    try:
        wait_until(clean, "all is as it was before", seconds=5, every=0.2)
    except AssertionError:
        pytest.fail(f"left behind: {found}")


def _left_after_stop(engine: Engine) -> list[str]:
    """Processes of an engine that was stopped and has no containers: none but its resolver may live on."""
    engine.clear()
    engine.stop()
    return [line for _, line in engine.command_lines() if "conmon" in line or "crun" in line]
