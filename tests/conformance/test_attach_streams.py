"""Attach and exec on the wire: who may leave, what an end of input means, detach keys the engine itself looks for."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.engine import Engine, wait_until
from harness.hijack import Hijacked

STDIN = "stream=1&stdin=1&stdout=1&stderr=1"
DETACH = b"\x10\x11"


def attach(engine: Engine, name: str, query: str = STDIN) -> Hijacked:
    return Hijacked(engine.socket, f"/v1.51/containers/{name}/attach?{query}")


def create(engine: Engine, name: str, **config: object) -> None:
    status, answer = engine.call("POST", f"/containers/create?name={name}", {"Image": "busybox", **config})
    assert status == 201, answer


def start(engine: Engine, name: str) -> None:
    assert engine.call("POST", f"/containers/{name}/start")[0] == 204


def is_running(engine: Engine, name: str) -> bool:
    return bool(engine.inspect(name)["State"]["Running"])


@contextmanager
def events(engine: Engine, container: str) -> Iterator[list[str]]:
    """The actions told of a container while the block runs, known at its end."""
    actions: list[str] = []
    since = f"{time.time():.9f}"
    yield actions
    # A stream of the past ends at "until"; what was told a moment ago must be in it.
    time.sleep(0.1)
    query = f'since={since}&until={time.time():.9f}&filters={{"container":["{container}"]}}'
    _, _, text = engine.request("GET", f"/events?{query}".replace('"', "%22"))
    actions += [json.loads(line)["Action"] for line in text.splitlines()]


@pytest.fixture
def cat(engine: Engine) -> Engine:
    """A container that repeats its input; its stdin stays open from one client to the next."""
    create(engine, "box", Cmd=["cat"], OpenStdin=True)
    start(engine, "box")
    return engine


@pytest.fixture
def once(engine: Engine) -> Engine:
    """The same, made for one client as ``docker run -i`` does; not started."""
    create(engine, "box", Cmd=["cat"], OpenStdin=True, StdinOnce=True, AttachStdin=True)
    return engine


def test_the_answer_names_the_kind_of_stream(cat: Engine) -> None:
    with attach(cat, "box") as stream:
        assert stream.status == 101
        assert "Content-Type: application/vnd.docker.multiplexed-stream" in stream.head
    create(cat, "tty", Cmd=["sleep", "100"], Tty=True)
    start(cat, "tty")
    with attach(cat, "tty") as stream:
        assert "Content-Type: application/vnd.docker.raw-stream" in stream.head


def test_an_open_stdin_outlives_its_clients(cat: Engine) -> None:
    with attach(cat, "box") as stream:
        stream.send(b"one\n")
        assert stream.frame() == (1, b"one\n")
        stream.half_close()
        assert stream.rest() == b""
    with attach(cat, "box") as stream:
        stream.send(b"two\n")
        assert stream.frame() == (1, b"two\n")
        stream.reset()
    assert is_running(cat, "box")


def test_logs_come_before_what_is_new(cat: Engine) -> None:
    with attach(cat, "box") as stream:
        stream.send(b"old\n")
        stream.frame()
    with attach(cat, "box", STDIN + "&logs=1") as stream:
        assert stream.frame() == (1, b"old\n")
        stream.send(b"new\n")
        assert stream.frame() == (1, b"new\n")


def test_logs_alone_end_by_themselves(cat: Engine) -> None:
    with attach(cat, "box") as stream:
        stream.send(b"old\n")
        stream.frame()
    with attach(cat, "box", "logs=1&stdout=1") as stream:
        assert stream.frame() == (1, b"old\n")
        assert stream.rest() == b""


def test_one_client_writes_and_another_reads(cat: Engine) -> None:
    with attach(cat, "box", "stream=1&stdout=1") as reader, attach(cat, "box", "stream=1&stdin=1") as writer:
        writer.send(b"across\n")
        assert reader.frame() == (1, b"across\n")


def test_only_the_streams_asked_for(engine: Engine) -> None:
    create(engine, "box", Cmd=["sh", "-c", "echo out; echo err >&2"])
    with attach(engine, "box", "stream=1&stderr=1") as stream:
        start(engine, "box")
        assert stream.frame() == (2, b"err\n")
        assert stream.rest() == b""


def test_the_end_of_input_reaches_a_program_with_one_client(once: Engine) -> None:
    with attach(once, "box") as stream:
        start(once, "box")
        stream.send(b"last\n")
        stream.half_close()
        assert stream.frame() == (1, b"last\n")
        assert stream.rest() == b""
    wait_until(lambda: not is_running(once, "box"), "cat saw the end of its input")


def test_a_lost_client_is_the_end_of_input_too(once: Engine) -> None:
    with attach(once, "box") as stream:
        start(once, "box")
        stream.send(b"x\n")
        stream.frame()
        stream.reset()
    wait_until(lambda: not is_running(once, "box"), "cat saw the end of its input")
    assert once.inspect("box")["State"]["ExitCode"] == 0


def test_a_watcher_that_leaves_is_no_end_of_input(once: Engine) -> None:
    with attach(once, "box") as feeder, attach(once, "box", "stream=1&stdout=1") as watcher:
        start(once, "box")
        feeder.send(b"one\n")
        assert watcher.frame() == (1, b"one\n")
        watcher.reset()
        time.sleep(0.2)
        feeder.send(b"two\n")
        assert [feeder.frame(), feeder.frame()] == [(1, b"one\n"), (1, b"two\n")]


def test_the_engine_knows_the_detach_keys(engine: Engine) -> None:
    create(engine, "tty", Cmd=["sh"], Tty=True, OpenStdin=True)
    start(engine, "tty")
    with events(engine, "tty") as actions, attach(engine, "tty") as stream:
        stream.send(b"echo $((6*7))\n")
        stream.expect(b"42\r\n")
        stream.send(DETACH)
        stream.rest()
    assert actions == ["attach", "detach"]
    with attach(engine, "tty", STDIN + "&detachKeys=ctrl-a,x") as stream:
        stream.send(DETACH + b"\x01x")
        stream.rest()
    assert is_running(engine, "tty")


def test_the_engine_knows_the_detach_keys_of_an_exec(engine: Engine) -> None:
    create(engine, "box", Cmd=["sleep", "100"])
    start(engine, "box")
    asked = {"AttachStdin": True, "AttachStdout": True, "Tty": True, "Cmd": ["sh"], "DetachKeys": "ctrl-a,x"}
    with events(engine, "box") as actions:
        _, made = engine.call("POST", "/containers/box/exec", asked)
        with Hijacked(engine.socket, f"/v1.51/exec/{made['Id']}/start", {"Tty": True}) as stream:
            stream.send(b"echo $((6*7))\n")
            stream.expect(b"42\r\n")
            stream.send(b"\x01x")
            stream.rest()
    assert actions == ["exec_create: sh", "exec_start: sh", "exec_detach"]
    status, found = engine.call("GET", f"/exec/{made['Id']}/json")
    assert (status, found["Running"]) == (200, True)


def test_bad_detach_keys(engine: Engine) -> None:
    create(engine, "box", Cmd=["sleep", "100"])
    start(engine, "box")
    status, _, text = engine.request("POST", "/containers/box/attach?stream=1&stdout=1&detachKeys=ctrl-")
    assert status == 400
    assert b"Invalid detach keys (ctrl-) provided" in text


@pytest.mark.parametrize(
    ("prepare", "status", "sentence"),
    [
        ((), 404, b"No such container: box"),
        (("run -d --name box busybox sleep 100", "pause box"), 409, b"container box is paused"),
    ],
)
def test_what_cannot_be_attached_to(engine: Engine, prepare: tuple[str, ...], status: int, sentence: bytes) -> None:
    for command in prepare:
        engine.docker(*command.split())
    with attach(engine, "box") as stream:
        assert stream.status == status
        assert sentence in stream.rest()


def test_the_code_of_an_exec_is_there_when_its_stream_ends(engine: Engine) -> None:
    create(engine, "box", Cmd=["sleep", "100"])
    start(engine, "box")
    for code in range(20):
        asked = {"AttachStdout": True, "Cmd": ["sh", "-c", f"exit {code}"]}
        _, made = engine.call("POST", "/containers/box/exec", asked)
        with Hijacked(engine.socket, f"/v1.51/exec/{made['Id']}/start", {}) as stream:
            assert stream.rest() == b""
        _, found = engine.call("GET", f"/exec/{made['Id']}/json")
        assert (found["Running"], found["ExitCode"]) == (False, code)
