"""run, start, attach and exec: the order of calls, the streams and the exit codes."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.fakeengine import Call, FakeEngine, Reply, frame
from unit.cli.conftest import Outcome, Run

ID = "c" * 64


class Stage:
    """An engine with one container: what it prints, how it ends, and what it was sent."""

    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.output = frame(1, b"out\n") + frame(2, b"err\n")
        self.stdin = b""
        self.reads = False
        self.started = threading.Event()
        self.code = 0
        engine.on("POST", "/containers/create", Reply({"Id": ID, "Warnings": []}, 201))
        engine.on("POST", f"/containers/{ID}/attach", Reply(hijack=self._attached))
        engine.on("POST", f"/containers/{ID}/start", self._start)
        engine.on("POST", f"/containers/{ID}/wait", lambda _call: Reply(chunks=self._wait()))
        engine.on("POST", f"/containers/{ID}/(resize|kill)", Reply(None))

    def _start(self, _call: Call) -> Reply:
        self.started.set()
        return Reply(None, 204)

    def _attached(self, connection: socket.socket) -> None:
        self.started.wait(5)
        while self.reads and (data := connection.recv(65536)):
            self.stdin += data
        connection.sendall(self.output)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)

    def _wait(self) -> Iterator[bytes]:
        self.started.wait(5)
        yield b'{"StatusCode":%d}\n' % self.code

    @property
    def order(self) -> list[str]:
        return [call.path.rpartition("/")[2] for call in self.engine.calls]


@pytest.fixture
def stage(engine: FakeEngine) -> Stage:
    return Stage(engine)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """What standard input says, up to its end."""

    def put(data: bytes) -> None:
        reader, writer = os.pipe()
        os.write(writer, data)
        os.close(writer)
        os.dup2(reader, 0)
        os.close(reader)

    saved = os.dup(0)
    monkeypatch.setattr("sys.stdin", open(saved, closefd=False))  # noqa: SIM115 - never read
    yield put  # type: ignore[misc]
    os.dup2(saved, 0)
    os.close(saved)


def test_attached_from_before_the_start(stage: Stage, run: Run) -> None:
    stage.code = 3
    assert run("run", "--name", "x", "busybox", "sh", "-c", "exit 3") == Outcome(3, "out\n", "err\n")
    assert stage.order == ["create", "attach", "wait", "start"]
    create, attach, wait, _start = stage.engine.calls
    assert create.query == {"name": "x"}
    assert create.json()["Cmd"] == ["sh", "-c", "exit 3"]
    assert attach.query == {"stream": "1", "stdout": "1", "stderr": "1"}
    assert wait.query == {"condition": "next-exit"}


def test_removed_containers_are_waited_for_until_they_are_gone(stage: Stage, run: Run) -> None:
    run("run", "--rm", "busybox")
    assert stage.engine.called("POST", ".*/wait")[0].query == {"condition": "removed"}
    assert stage.engine.calls[0].json()["HostConfig"]["AutoRemove"] is True


def test_detached(stage: Stage, run: Run) -> None:
    assert run("run", "-d", "busybox") == Outcome(0, f"{ID}\n", "")
    assert stage.order == ["create", "start"]
    assert "AttachStdout" not in stage.engine.calls[0].json()


def test_standard_input_and_its_end_are_passed_on(stage: Stage, run: Run, typed: Callable[[bytes], None]) -> None:
    stage.reads = True
    typed(b"some input\n" * 5000)
    assert run("run", "-i", "busybox", "cat").code == 0
    assert stage.stdin == b"some input\n" * 5000
    assert stage.engine.calls[1].query["stdin"] == "1"


def test_a_missing_image_is_pulled(stage: Stage, run: Run) -> None:
    there: list[Call] = []

    def create(_call: Call) -> Reply:
        return Reply({"Id": ID}, 201) if there else Reply({"message": "No such image: busybox:latest"}, 404)

    def pull(call: Call) -> Reply:
        there.append(call)
        return Reply(
            chunks=[b'{"status":"Pulling from library/busybox","id":"latest"}\n', b'{"status":"Status: new"}\n']
        )

    stage.engine.on("POST", "/containers/create", create)
    stage.engine.on("POST", "/images/create", pull)
    outcome = run("run", "busybox")
    assert outcome.out == "out\n"
    assert outcome.err.startswith(
        "Unable to find image 'busybox:latest' locally\nlatest: Pulling from library/busybox\nStatus: new\n",
    )
    assert there[0].query == {"fromImage": "busybox", "tag": "latest"}


def test_pull_never_and_always(stage: Stage, run: Run) -> None:
    stage.engine.on("POST", "/containers/create", Reply({"message": "No such image: busybox:latest"}, 404))
    outcome = run("run", "--pull", "never", "busybox")
    assert outcome.code == 125
    assert outcome.err == (
        "fairlead: Error response from daemon: No such image: busybox:latest\n\n"
        "Run 'fairlead run --help' for more information\n"
    )
    stage.engine.on(
        "POST", "/images/create", Reply(chunks=[b'{"error":"no registry","errorDetail":{"message":"no registry"}}\n'])
    )
    assert run("run", "--pull", "always", "busybox").err == "no registry\n"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('exec: "foo": executable file not found in $PATH', 127),
        ("exec: /etc/passwd: permission denied", 126),
        ("exec: /: is a directory", 126),
        ("driver failed programming external connectivity: port is already allocated", 125),
    ],
)
def test_a_start_that_fails(stage: Stage, run: Run, message: str, code: int) -> None:
    stage.engine.on("POST", f"/containers/{ID}/start", Reply({"message": message}, 400))
    outcome = run("run", "busybox", "foo")
    assert outcome.code == code
    assert outcome.err.startswith(f"fairlead: Error response from daemon: {message}\n")


def test_the_id_is_written_to_a_file_that_must_be_new(stage: Stage, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "cid"
    run("run", "--cidfile", str(path), "busybox")
    assert path.read_text() == ID
    outcome = run("run", "--cidfile", str(path), "busybox")
    assert outcome.code == 1
    assert outcome.err == (f"container ID file found, make sure the other container isn't running or delete {path}\n")
    stage.engine.on("POST", "/containers/create", Reply({"message": "no"}, 409))
    run("run", "--cidfile", str(tmp_path / "other"), "busybox")
    assert not (tmp_path / "other").exists()


def test_what_cannot_be_asked_together(stage: Stage, run: Run) -> None:
    assert (
        run("run", "-d", "-a", "stdout", "x").err == "conflicting options: cannot specify both --attach and --detach\n"
    )
    assert run("run", "--rm", "--restart", "always", "x").code == 125
    assert run("run", "UPPER").err == "invalid reference format: repository name (library/UPPER) must be lowercase\n"
    assert stage.engine.calls == []


def test_a_terminal_is_needed_for_a_tty_with_input(run: Run, typed: Callable[[bytes], None]) -> None:
    typed(b"")
    outcome = run("run", "-it", "busybox")
    assert outcome.code == 1
    assert "not a terminal" in outcome.err


def test_create_prints_the_id_and_the_warnings(stage: Stage, run: Run) -> None:
    stage.engine.on("POST", "/containers/create", Reply({"Id": ID, "Warnings": ["careful"]}, 201))
    assert run("create", "busybox") == Outcome(0, f"{ID}\n", "WARNING: careful\n")


def test_attach_ends_with_the_container_s_code(stage: Stage, run: Run) -> None:
    stage.code = 7
    stage.started.set()
    stage.engine.on("GET", "/containers/box/json", Reply({"Id": ID, "State": {"Running": True}, "Config": {}}))
    assert run("attach", "box") == Outcome(7, "out\n", "err\n")


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"Running": False}, "cannot attach to a stopped container, start it first\n"),
        ({"Running": True, "Paused": True}, "cannot attach to a paused container, unpause it first\n"),
        ({"Running": True, "Restarting": True}, "cannot attach to a restarting container, wait until it is running\n"),
    ],
)
def test_attach_needs_a_running_container(stage: Stage, run: Run, state: object, message: str) -> None:
    stage.engine.on("GET", "/containers/box/json", Reply({"Id": ID, "State": state, "Config": {}}))
    assert run("attach", "box") == Outcome(1, "", message)


def test_start_attached(stage: Stage, run: Run) -> None:
    stage.code = 2
    found = {"Id": ID, "State": {}, "Config": {"Tty": False}, "HostConfig": {"AutoRemove": False}}
    stage.engine.on("GET", "/containers/box/json", Reply(found))
    assert run("start", "-a", "box") == Outcome(2, "out\n", "err\n")
    assert run("start", "-a", "box", "other").err == "you cannot start and attach multiple containers at once\n"


def test_start_goes_on_behind_a_failure(engine: FakeEngine, run: Run) -> None:
    engine.on("POST", "/containers/a/start", Reply({"message": "No such container: a"}, 404))
    engine.on("POST", "/containers/b/start", Reply(None, 204))
    outcome = run("start", "a", "b")
    assert (outcome.code, outcome.out) == (1, "b\n")
    assert outcome.err == ("Error response from daemon: No such container: a\nError: failed to start containers: a\n")


class TestExec:
    @pytest.fixture(autouse=True)
    def box(self, stage: Stage) -> None:
        stage.started.set()
        stage.engine.on("POST", "/containers/box/exec", Reply({"Id": "e1"}, 201))
        stage.engine.on("POST", "/exec/e1/start", Reply(hijack=stage._attached))
        stage.engine.on("GET", "/exec/e1/json", lambda _call: Reply({"ExitCode": stage.code}))

    def test_streams_and_exit_code(self, stage: Stage, run: Run) -> None:
        stage.code = 4
        assert run("exec", "-e", "A=1", "-w", "/w", "-u", "me", "box", "ls", "-l") == Outcome(4, "out\n", "err\n")
        made, start = stage.engine.calls[:2]
        assert made.json() == {
            "AttachStdout": True, "AttachStderr": True, "Env": ["A=1"], "WorkingDir": "/w", "User": "me",
            "Cmd": ["ls", "-l"],
        }  # fmt: skip
        assert start.json() == {"Detach": False, "Tty": False}
        assert start.headers["upgrade"] == "tcp"

    def test_detached(self, stage: Stage, run: Run) -> None:
        stage.engine.on("POST", "/exec/e1/start", Reply(None))
        assert run("exec", "-d", "box", "true") == Outcome(0, "", "")
        assert stage.engine.calls[1].json() == {"Detach": True, "Tty": False}
        assert "AttachStdout" not in stage.engine.calls[0].json()

    def test_input(self, stage: Stage, run: Run, typed: Callable[[bytes], None]) -> None:
        stage.reads = True
        typed(b"abc")
        run("exec", "-i", "box", "cat")
        assert stage.stdin == b"abc"

    @pytest.mark.parametrize(("message", "code"), [("executable file not found in $PATH", 127), ("is not running", 1)])
    def test_what_cannot_run(self, stage: Stage, run: Run, message: str, code: int) -> None:
        stage.engine.on("POST", "/exec/e1/start", Reply({"message": message}, 400))
        assert run("exec", "box", "foo") == Outcome(code, "", f"Error response from daemon: {message}\n")
