"""`docker exec`, `docker attach` and detach keys."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.engine import Engine, wait_until
from harness.terminal import Terminal

DETACH = b"\x10\x11"


def own_capabilities() -> int:
    """Those of this process: a machine need not have all that the kernel knows."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("CapEff:")[2].split()[0], 16)


@pytest.fixture
def sleeper(engine: Engine) -> Iterator[Engine]:
    engine.docker("run", "-d", "--name", "box", "-e", "FROM=run", "busybox", "sleep", "1000")
    yield engine
    engine.docker("rm", "-f", "box", check=False)


def test_streams_and_code(sleeper: Engine) -> None:
    done = sleeper.docker("exec", "box", "sh", "-c", "echo out; echo err >&2; exit 9", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (9, "out\n", "err\n")


def test_input(sleeper: Engine) -> None:
    assert sleeper.docker("exec", "-i", "box", "tr", "a-z", "A-Z", text="shout\n").stdout == "SHOUT\n"


def test_large_input_and_output(sleeper: Engine) -> None:
    text = "0123456789abcdef" * (1 << 17)
    assert sleeper.docker("exec", "-i", "box", "cat", text=text).stdout == text


def test_environment_user_and_directory(sleeper: Engine) -> None:
    argv = ["-e", "ADDED=yes", "-u", "1000:50", "-w", "/tmp", "box", "sh", "-c", "echo $FROM $ADDED; id -u; id -g; pwd"]
    assert sleeper.docker("exec", *argv).stdout.split() == ["run", "yes", "1000", "50", "/tmp"]


def test_user_by_name_gets_its_groups(sleeper: Engine) -> None:
    assert sleeper.execute("box", "id").startswith("uid=0(root)")
    shown = sleeper.docker("exec", "-u", "ann", "box", "id").stdout
    assert shown.startswith("uid=1000(ann) gid=1000(ann)")
    assert "50(staff)" in shown


def test_detached(sleeper: Engine) -> None:
    sleeper.docker("exec", "-d", "box", "touch", "/made")
    wait_until(lambda: sleeper.docker("exec", "box", "test", "-e", "/made", check=False).returncode == 0, "it ran")


def test_terminal(sleeper: Engine) -> None:
    argv = ["docker", "exec", "-it", "box", "sh", "-c", "stty size; echo; exit 4"]
    with Terminal(argv, sleeper.environment, rows=33, columns=77) as screen:
        screen.expect("33 77")
        assert screen.end() == 4


@pytest.mark.parametrize(
    ("argv", "codes", "message"),
    [
        # Engines give either code: the client takes it from the exec's inspection.
        (["box", "no-such-program"], {126, 127}, "executable file not found in $PATH"),
        (["box", "/etc/passwd"], {126}, "permission denied"),
        (["nobody", "true"], {1}, "No such container: nobody"),
        (["-u", "stranger", "box", "true"], {126}, "unable to find user stranger"),
    ],
)
def test_refusals(sleeper: Engine, argv: list[str], codes: set[int], message: str) -> None:
    done = sleeper.docker("exec", *argv, check=False)
    assert done.returncode in codes, done
    assert message in done.stderr + done.stdout


def test_not_running(engine: Engine) -> None:
    container = engine.out("create", "--name", "idle", "busybox")
    done = engine.docker("exec", "idle", "true", check=False)
    assert done.returncode == 1
    assert f"container {container} is not running" in done.stderr.lower()


def test_paused(sleeper: Engine) -> None:
    sleeper.docker("pause", "box")
    done = sleeper.docker("exec", "box", "true", check=False)
    assert done.returncode == 1
    assert "is paused, unpause the container before exec" in done.stderr
    sleeper.docker("unpause", "box")


def test_privileged_has_all_capabilities(sleeper: Engine) -> None:
    def effective(*flags: str) -> int:
        return int(sleeper.docker("exec", *flags, "box", "grep", "CapEff", "/proc/self/status").stdout.split()[1], 16)

    assert effective() == 0xA80425FB
    assert effective("--privileged") == own_capabilities()


def test_exec_ends_with_the_container(sleeper: Engine) -> None:
    process = subprocess.Popen(["docker", "exec", "box", "sleep", "500"], env=sleeper.environment)
    wait_until(lambda: "sleep 500" in sleeper.out("top", "box"), "it runs")
    sleeper.docker("kill", "box")
    assert process.wait(timeout=10) == 137


def test_exec_is_listed_while_it_runs(sleeper: Engine) -> None:
    sleeper.docker("exec", "-d", "box", "sleep", "500")
    wait_until(lambda: "sleep 500" in sleeper.out("top", "box"), "it runs")
    (exec_id,) = sleeper.inspect("box")["ExecIDs"]
    status, found = sleeper.call("GET", f"/exec/{exec_id}/json")
    assert status == 200
    assert (found["Running"], found["ProcessConfig"]["entrypoint"]) == (True, "sleep")


def test_attach_shows_new_output_and_passes_input(engine: Engine) -> None:
    engine.docker("create", "-i", "--name", "box", "busybox", "cat")
    assert engine.docker("start", "-ai", "box", text="hello\n").stdout == "hello\n"
    wait_until(lambda: not engine.inspect("box")["State"]["Running"], "cat ended with its input")


def test_detached_input_stays_open_for_the_next_client(engine: Engine) -> None:
    engine.docker("run", "-di", "--name", "box", "busybox", "sh", "-c", "read a; read b; echo $a $b")
    for word in ("one", "two"):
        with Terminal(["docker", "attach", "box"], engine.environment) as screen:
            screen.type(f"{word}\n")
            time.sleep(0.3)
    wait_until(lambda: not engine.inspect("box")["State"]["Running"], "both were read")
    assert engine.out("logs", "box") == "one two"


def test_attach_returns_the_exit_code(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "sleep 1; echo late; exit 6")
    done = engine.docker("attach", "--no-stdin", "box", check=False)
    assert (done.returncode, done.stdout) == (6, "late\n")


def test_attach_to_what_does_not_run(engine: Engine) -> None:
    engine.docker("create", "--name", "box", "busybox")
    done = engine.docker("attach", "box", check=False)
    assert done.returncode == 1
    assert "You cannot attach to a stopped container, start it first" in done.stderr


def test_two_attached_clients_see_the_same(engine: Engine) -> None:
    engine.docker("run", "-dit", "--name", "box", "busybox", "sh")
    with (
        Terminal(["docker", "attach", "box"], engine.environment) as one,
        Terminal(["docker", "attach", "box"], engine.environment) as two,
    ):
        time.sleep(0.3)
        one.type("echo $((6*7))\n")
        one.expect("42\r\n")
        two.expect("42\r\n")


@pytest.mark.parametrize(
    ("flags", "keys"), [((), DETACH), (("--detach-keys", "ctrl-a,x"), b"\x01x"), (("--detach-keys", "q"), b"q")]
)
def test_detach_keys_on_attach(engine: Engine, flags: tuple[str, ...], keys: bytes) -> None:
    engine.docker("run", "-dit", "--name", "box", "busybox", "sh")
    with Terminal(["docker", "attach", *flags, "box"], engine.environment) as screen:
        screen.type("echo $((6*7))\n")
        screen.expect("42\r\n")
        for key in keys:
            screen.type(bytes([key]))
        # The client looks for the keys too, and calls leaving by them an error.
        screen.expect("read escape sequence")
        screen.end()
    assert engine.inspect("box")["State"]["Running"] is True


def test_a_part_of_the_detach_keys_is_input(engine: Engine) -> None:
    engine.docker("run", "-dit", "--name", "box", "busybox", "sh", "-c", "stty raw -echo; echo up; od -An -tx1 -N3")
    wait_until(lambda: "up" in engine.out("logs", "box"), "the program reads")
    with Terminal(["docker", "attach", "box"], engine.environment) as screen:
        for key in (b"\x10", b"a", b"b"):
            screen.type(key)
        screen.expect("10 61 62")


def test_detach_keys_on_run_and_exec(engine: Engine) -> None:
    with Terminal(["docker", "run", "-it", "--name", "box", "busybox", "sh"], engine.environment) as screen:
        screen.expect("# ")
        screen.type(DETACH)
        assert screen.end() == 0
    with Terminal(["docker", "exec", "-it", "box", "sh"], engine.environment) as screen:
        screen.expect("# ")
        screen.type(DETACH)
        screen.expect("read escape sequence")
        screen.end()
    assert engine.inspect("box")["State"]["Running"] is True
