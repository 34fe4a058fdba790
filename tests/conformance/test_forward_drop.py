"""A forward chain of somebody else's that drops: named where people look, and left alone unless told otherwise."""

from __future__ import annotations

import json

import pytest

from harness.engine import Engine, wait_until
from harness.machine import HOST4

THEIRS = "table inet theirs { chain forward { type filter hook forward priority filter; policy drop; }; }"


def warnings(engine: Engine) -> list[str]:
    info = json.loads(engine.out("info", "--format", "json"))
    return [text for text in info["Warnings"] or [] if "forwarded packets" in text]


def test_it_is_named_as_long_as_it_is_there(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "web", "-p", "8080:80", "nginx")
    engine.listens("web", 80)
    assert not warnings(engine)
    engine.host.run("nft", "-f", "-", text=THEIRS)
    wait_until(lambda: warnings(engine), "a warning", seconds=3)
    assert "chain forward of table inet theirs" in warnings(engine)[0]
    assert "--foreign-forward accept" in engine.docker("info").stderr
    assert not engine.machine.peer.reaches(HOST4, 8080)
    assert "fairlead" not in engine.host.run("nft", "list", "table", "inet", "theirs")
    engine.host.run("nft", "delete", "table", "inet", "theirs")
    wait_until(lambda: not warnings(engine), "no warning", seconds=3)
    assert engine.machine.peer.reaches(HOST4, 8080)


@pytest.mark.parametrize("value", ["always", ""])
def test_an_unknown_answer_is_refused(engine: Engine, value: str) -> None:
    done = engine.fairlead("daemon", "--validate", "--foreign-forward", value, check=False)
    assert done.returncode != 0
    assert "invalid --foreign-forward" in done.stderr
