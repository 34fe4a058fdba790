"""`docker exec`, `docker attach` and detach keys."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from harness.engine import Engine, wait_until
from harness.terminal import Terminal

DETACH = b"\x10\x11"


@pytest.fixture
def sleeper(engine: Engine) -> Iterator[Engine]:
    engine.docker("run", "-d", "--name", "c", "-e", "FROM=run", "busybox", "sleep", "1000")
    yield engine
    engine.docker("rm", "-f", "c", check=False)


def test_streams_and_code(sleeper: Engine) -> None:
    done = sleeper.docker("exec", "c", "sh", "-c", "echo out; echo err >&2; exit 9", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (9, "out\n", "err\n")


def test_input(sleeper: Engine) -> None:
    assert sleeper.docker("exec", "-i", "c", "tr", "a-z", "A-Z", text="shout\n").stdout == "SHOUT\n"


def test_large_input_and_output(sleeper: Engine) -> None:
    text = "0123456789abcdef" * (1 << 17)
    assert sleeper.docker("exec", "-i", "c", "cat", text=text).stdout == text


def test_environment_user_and_directory(sleeper: Engine) -> None:
    argv = ["-e", "ADDED=yes", "-u", "1000:50", "-w", "/tmp", "c", "sh", "-c", "echo $FROM $ADDED; id -u; id -g; pwd"]
    assert sleeper.docker("exec", *argv).stdout.split() == ["run", "yes", "1000", "50", "/tmp"]


def test_user_by_name_gets_its_groups(sleeper: Engine) -> None:
    assert sleeper.execute("c", "id").startswith("uid=0(root)")
    assert (
        sleeper.docker("exec", "-u", "ann", "c", "id").stdout.strip() == "uid=1000(ann) gid=1000(ann) groups=50(staff)"
    )


def test_detached(sleeper: Engine) -> None:
    sleeper.docker("exec", "-d", "c", "touch", "/made")
    wait_until(lambda: sleeper.docker("exec", "c", "test", "-e", "/made", check=False).returncode == 0, "it ran")


def test_terminal(sleeper: Engine) -> None:
    argv = ["docker", "exec", "-it", "c", "sh", "-c", "stty size; echo; exit 4"]
    with Terminal(argv, sleeper.environment, rows=33, columns=77) as screen:
        screen.expect("33 77")
        assert screen.end() == 4


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["c", "no-such-program"], 127, "executable file not found in $PATH"),
        (["c", "/etc/passwd"], 126, "permission denied"),
        (["nobody", "true"], 1, "No such container: nobody"),
        (["-u", "stranger", "c", "true"], 126, "unable to find user stranger"),
    ],
)
def test_refusals(sleeper: Engine, argv: list[str], code: int, message: str) -> None:
    done = sleeper.docker("exec", *argv, check=False)
    assert done.returncode == code, done
    assert message in done.stderr + done.stdout


def test_not_running(engine: Engine) -> None:
    container = engine.out("create", "--name", "idle", "busybox")
    done = engine.docker("exec", "idle", "true", check=False)
    assert done.returncode == 1
    assert f"container {container} is not running" in done.stderr.lower()


def test_paused(sleeper: Engine) -> None:
    sleeper.docker("pause", "c")
    done = sleeper.docker("exec", "c", "true", check=False)
    assert done.returncode == 1
    assert "is paused, unpause the container before exec" in done.stderr
    sleeper.docker("unpause", "c")


def test_privileged_has_all_capabilities(sleeper: Engine) -> None:
    def effective(*flags: str) -> int:
        return int(sleeper.docker("exec", *flags, "c", "grep", "CapEff", "/proc/self/status").stdout.split()[1], 16)

    assert effective() == 0xA80425FB
    assert effective("--privileged") & 0x1FFFFFFFFF == 0x1FFFFFFFFF


def test_exec_ends_with_the_container(sleeper: Engine) -> None:
    process = subprocess.Popen(["docker", "exec", "c", "sleep", "500"], env=sleeper.environment)
    wait_until(lambda: "sleep 500" in sleeper.out("top", "c"), "it runs")
    sleeper.docker("kill", "c")
    assert process.wait(timeout=10) == 137


def test_exec_is_listed_while_it_runs(sleeper: Engine) -> None:
    sleeper.docker("exec", "-d", "c", "sleep", "500")
    wait_until(lambda: "sleep 500" in sleeper.out("top", "c"), "it runs")
    (exec_id,) = sleeper.inspect("c")["ExecIDs"]
    status, found = sleeper.call("GET", f"/exec/{exec_id}/json")
    assert status == 200
    assert (found["Running"], found["ProcessConfig"]["entrypoint"]) == (True, "sleep")


def test_attach_shows_new_output_and_passes_input(engine: Engine) -> None:
    engine.docker("run", "-di", "--name", "c", "busybox", "cat")
    done = engine.docker("attach", "c", text="hello\n")
    assert done.stdout == "hello\n"
    wait_until(lambda: not engine.inspect("c")["State"]["Running"], "cat ended with its input")


def test_attach_returns_the_exit_code(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "c", "busybox", "sh", "-c", "sleep 1; echo late; exit 6")
    done = engine.docker("attach", "--no-stdin", "c", check=False)
    assert (done.returncode, done.stdout) == (6, "late\n")


def test_attach_to_what_does_not_run(engine: Engine) -> None:
    engine.docker("create", "--name", "c", "busybox")
    done = engine.docker("attach", "c", check=False)
    assert done.returncode == 1
    assert "You cannot attach to a stopped container, start it first" in done.stderr


def test_two_attached_clients_see_the_same(engine: Engine) -> None:
    engine.docker("run", "-dit", "--name", "c", "busybox", "sh")
    with (
        Terminal(["docker", "attach", "c"], engine.environment) as one,
        Terminal(["docker", "attach", "c"], engine.environment) as two,
    ):
        time.sleep(0.3)
        one.type("echo $((6*7))\n")
        one.expect("42\r\n")
        two.expect("42\r\n")


@pytest.mark.parametrize(
    ("flags", "keys"), [((), DETACH), (("--detach-keys", "ctrl-a,x"), b"\x01x"), (("--detach-keys", "q"), b"q")]
)
def test_detach_keys_on_attach(engine: Engine, flags: tuple[str, ...], keys: bytes) -> None:
    engine.docker("run", "-dit", "--name", "c", "busybox", "sh")
    with Terminal(["docker", "attach", *flags, "c"], engine.environment) as screen:
        screen.type("echo $((6*7))\n")
        screen.expect("42\r\n")
        for key in keys:
            screen.type(bytes([key]))
        assert screen.end() == 0
    assert engine.inspect("c")["State"]["Running"] is True


def test_a_part_of_the_detach_keys_is_input(engine: Engine) -> None:
    engine.docker("run", "-dit", "--name", "c", "busybox", "sh", "-c", "stty raw -echo; echo up; od -An -tx1 -N3")
    wait_until(lambda: "up" in engine.out("logs", "c"), "the program reads")
    with Terminal(["docker", "attach", "c"], engine.environment) as screen:
        for key in (b"\x10", b"a", b"b"):
            screen.type(key)
        screen.expect("10 61 62")


def test_detach_keys_on_run_and_exec(engine: Engine) -> None:
    with Terminal(["docker", "run", "-it", "--name", "c", "busybox", "sh"], engine.environment) as screen:
        screen.expect("# ")
        screen.type(DETACH)
        assert screen.end() == 0
    with Terminal(["docker", "exec", "-it", "c", "sh"], engine.environment) as screen:
        screen.expect("# ")
        screen.type(DETACH)
        screen.expect("read escape sequence")
        screen.end()
    assert engine.inspect("c")["State"]["Running"] is True


def test_events_tell_of_attach_and_detach(engine: Engine) -> None:
    since = str(int(time.time()) - 1)
    engine.docker("run", "-dit", "--name", "c", "busybox", "sh")
    with Terminal(["docker", "attach", "c"], engine.environment) as screen:
        screen.type("echo $((6*7))\n")
        screen.expect("42\r\n")
        screen.type(DETACH)
        screen.end()
    until = str(int(time.time()) + 1)
    shown = engine.out(
        "events", "--since", since, "--until", until, "--filter", "container=c", "--format", "{{json .}}"
    )
    actions = [json.loads(line)["Action"] for line in shown.splitlines()]
    assert actions[-2:] == ["attach", "detach"]


def test_attach_does_not_proxy_signals_when_told(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "c", "busybox", "sleep", "100")
    process = subprocess.Popen(["docker", "attach", "--no-stdin", "--sig-proxy=false", "c"], env=engine.environment)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=10)
    assert engine.inspect("c")["State"]["Running"] is True
