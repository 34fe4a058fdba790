"""`docker run` and the life of a container, as the official CLI sees it."""

from __future__ import annotations

import json
import re
import subprocess
import time

import pytest

from harness.engine import Engine, wait_until
from harness.terminal import Terminal


def test_output_goes_to_the_right_streams(engine: Engine) -> None:
    done = engine.docker("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_the_exit_code_is_the_programs(engine: Engine, code: int) -> None:
    assert engine.docker("run", "--rm", "busybox", "sh", "-c", f"exit {code}", check=False).returncode == code


def test_a_missing_program_is_127(engine: Engine) -> None:
    done = engine.docker("run", "--rm", "busybox", "no-such-program", check=False)
    assert done.returncode == 127
    assert "executable file not found in $PATH" in done.stderr
    assert engine.out("ps", "-aq") == ""


def test_a_file_that_is_no_program_is_126(engine: Engine) -> None:
    done = engine.docker("run", "--rm", "busybox", "/etc/passwd", check=False)
    assert done.returncode == 126
    assert "permission denied" in done.stderr


def test_a_refusal_by_the_engine_is_125(engine: Engine) -> None:
    done = engine.docker("run", "--rm", "--network", "nowhere", "busybox", check=False)
    assert done.returncode == 125
    assert "network nowhere not found" in done.stderr


def test_a_missing_image_is_125(engine: Engine) -> None:
    done = engine.docker("run", "--rm", "--pull", "never", "missing", check=False)
    assert done.returncode == 125
    assert "No such image: missing:latest" in done.stderr


def test_standard_input_reaches_the_program(engine: Engine) -> None:
    text = "".join(f"line {n}\n" for n in range(20000))
    assert engine.docker("run", "--rm", "-i", "busybox", "cat", text=text).stdout == text


def test_half_close_ends_the_input_only(engine: Engine) -> None:
    done = engine.docker("run", "--rm", "-i", "busybox", "sh", "-c", "cat; sleep 0.3; echo after", text="before\n")
    assert done.stdout == "before\nafter\n"


def test_many_megabytes_arrive_complete(engine: Engine) -> None:
    command = "docker run --rm busybox sh -c 'dd if=/dev/zero bs=1M count=24 2>/dev/null' | wc -c"
    done = subprocess.run(command, shell=True, env=engine.environment, capture_output=True, timeout=60, check=True)
    assert int(done.stdout) == 24 << 20


def test_detached_prints_the_id(engine: Engine) -> None:
    shown = engine.out("run", "-d", "busybox", "sleep", "100")
    assert re.fullmatch("[0-9a-f]{64}", shown)
    assert engine.inspect(shown)["State"]["Status"] == "running"


def test_random_names_are_words(engine: Engine) -> None:
    engine.docker("create", "busybox")
    assert re.fullmatch("[a-z]+_[a-z]+[0-9]*", engine.out("ps", "-a", "--format", "{{.Names}}"))


def test_a_taken_name_is_refused(engine: Engine) -> None:
    container = engine.out("create", "--name", "one", "busybox")
    done = engine.docker("create", "--name", "one", "busybox", check=False)
    assert done.returncode == 1
    message = f'Conflict. The container name "/one" is already in use by container "{container}"'
    assert message in done.stderr


def test_terminal_size_and_type(engine: Engine) -> None:
    argv = ["docker", "run", "--rm", "-it", "busybox", "sh", "-c", "sleep 0.5; stty size; tty; echo $TERM; read x"]
    with Terminal(argv, engine.environment, rows=37, columns=111) as screen:
        screen.expect("37 111")
        screen.expect("/dev/pts/0")
        screen.expect("xterm")
        screen.type("\n")
        assert screen.end() == 0


def test_resize_is_passed_on(engine: Engine) -> None:
    argv = [
        "docker",
        "run",
        "--rm",
        "-it",
        "busybox",
        "sh",
        "-c",
        "trap 'stty size' WINCH; while sleep 0.1; do :; done",
    ]
    with Terminal(argv, engine.environment) as screen:
        time.sleep(0.8)
        screen.resize(41, 99)
        screen.process.send_signal(28)
        screen.expect("41 99")
        screen.type(b"\x03")
        screen.end()


def test_control_c_interrupts(engine: Engine) -> None:
    script = "trap 'exit 130' INT; echo up; while :; do sleep 0.1; done"
    with Terminal(["docker", "run", "--rm", "-it", "busybox", "sh", "-c", script], engine.environment) as screen:
        screen.expect("up")
        screen.type(b"\x03")
        assert screen.end() == 130


def test_signals_are_proxied(engine: Engine) -> None:
    script = "trap 'echo got TERM; exit 7' TERM; echo up; while :; do sleep 0.1; done"
    argv = ["docker", "run", "--rm", "busybox", "sh", "-c", script]
    process = subprocess.Popen(argv, env=engine.environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.terminate()
    assert process.communicate(timeout=10)[0] == "got TERM\n"
    assert process.returncode == 7


def test_stop_sends_the_stop_signal_and_waits(engine: Engine) -> None:
    script = "trap 'echo bye; exit 3' USR1; echo up; while :; do sleep 0.05; done"
    engine.docker("run", "-d", "--name", "box", "--stop-signal", "USR1", "busybox", "sh", "-c", script)
    wait_until(lambda: "up" in engine.out("logs", "box"), "the trap is set")
    engine.docker("stop", "box")
    assert engine.out("logs", "box") == "up\nbye"
    assert engine.inspect("box")["State"]["ExitCode"] == 3


def test_stop_kills_after_the_timeout(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
    began = time.monotonic()
    engine.docker("stop", "-t", "1", "box")
    assert 0.9 < time.monotonic() - began < 4
    assert engine.inspect("box")["State"]["ExitCode"] == 137


def test_start_again_keeps_the_file_system(engine: Engine) -> None:
    engine.docker("run", "--name", "box", "busybox", "sh", "-c", "echo x >> /seen; wc -l < /seen")
    engine.docker("start", "-a", "box")
    assert engine.out("logs", "box").split() == ["1", "2"]


def test_restart_gets_a_new_process_and_keeps_the_address(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    engine.docker("run", "-d", "--name", "box", "--network", "n", "busybox", "sleep", "100")
    before = engine.inspect("box")
    engine.docker("restart", "-t", "0", "box")
    after = engine.inspect("box")
    assert before["State"]["Pid"] != after["State"]["Pid"]
    assert after["State"]["Running"] is True


def test_pause_freezes_and_unpause_thaws(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "while :; do echo tick; sleep 0.05; done")
    engine.docker("pause", "box")
    assert "(Paused)" in engine.out("ps", "--format", "{{.Status}}")
    before = engine.out("logs", "box").count("tick")
    time.sleep(0.4)
    assert engine.out("logs", "box").count("tick") == before
    engine.docker("unpause", "box")
    wait_until(lambda: engine.out("logs", "box").count("tick") > before, "it ticks again")


def test_kill_and_its_signals(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "100")
    assert engine.out("kill", "box") == "box"
    wait_until(lambda: not engine.inspect("box")["State"]["Running"], "it has ended")
    assert engine.inspect("box")["State"]["ExitCode"] == 137
    done = engine.docker("kill", "box", check=False)
    assert done.returncode == 1
    assert "is not running" in done.stderr


def test_wait_prints_the_code(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "sleep 0.4; exit 5")
    assert engine.out("wait", "box") == "5"


def test_rm_refuses_what_runs_unless_forced(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "100")
    done = engine.docker("rm", "box", check=False)
    assert done.returncode == 1
    assert "container is running: stop the container before removing or force remove" in done.stderr
    assert engine.out("rm", "-f", "box") == "box"
    assert engine.docker("rm", "box", check=False).returncode == 1


def test_rename(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "old", "busybox", "sleep", "100")
    engine.docker("rename", "old", "new")
    assert engine.out("ps", "--format", "{{.Names}}") == "new"
    assert engine.host.run("ls", "/run/netns").split() == ["new"]


def test_rm_option_removes_container_and_anonymous_volume(engine: Engine) -> None:
    engine.docker("run", "--rm", "-v", "/scratch", "busybox", "touch", "/scratch/x")
    assert engine.out("ps", "-aq") == ""
    wait_until(lambda: engine.out("volume", "ls", "-q") == "", "its volume is gone")


def test_cidfile(engine: Engine) -> None:
    path = engine.base / "cid"
    engine.docker("run", "--rm", "--cidfile", str(path), "busybox", "true")
    assert re.fullmatch("[0-9a-f]{64}", path.read_text())


def test_top(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "100")
    lines = engine.out("top", "box").splitlines()
    assert lines[0].split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert lines[1].endswith("sleep 100")
    assert engine.out("top", "box", "-o", "pid,comm").splitlines()[0].split() == ["PID", "COMMAND"]


def test_stats_has_memory_and_network(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "-m", "64m", "busybox", "sh", "-c", "ping -c 3 172.17.0.1; sleep 100")
    shown = json.loads(engine.out("stats", "--no-stream", "--format", "{{json .}}", "box"))
    assert shown["Name"] == "box"
    assert "64MiB" in shown["MemUsage"]
    assert not shown["NetIO"].startswith("0B / 0B")
    assert int(shown["PIDs"]) >= 1


def test_update_changes_limits_live(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "-m", "64m", "busybox", "sleep", "100")
    engine.docker("update", "-m", "48m", "--memory-swap", "96m", "--pids-limit", "77", "box")
    host = engine.inspect("box")["HostConfig"]
    assert (host["Memory"], host["PidsLimit"]) == (48 << 20, 77)
    wait_until(
        lambda: "48MiB" in engine.out("stats", "--no-stream", "--format", "{{.MemUsage}}", "box"), "the new limit shows"
    )


def test_commit_makes_an_image(engine: Engine) -> None:
    engine.docker("run", "--name", "box", "busybox", "sh", "-c", "echo kept > /kept")
    engine.docker("commit", "-c", 'CMD ["cat", "/kept"]', "-m", "a note", "-a", "me", "box", "committed:1")
    try:
        assert engine.out("run", "--rm", "committed:1") == "kept"
        assert engine.inspect("committed:1")["Comment"] == "a note"
    finally:
        engine.docker("rmi", "-f", "committed:1")


def test_export_is_the_whole_file_system(engine: Engine) -> None:
    engine.docker("run", "--name", "box", "busybox", "sh", "-c", "echo kept > /kept")
    path = engine.base / "export.tar"
    engine.docker("export", "-o", str(path), "box")
    listing = subprocess.run(["tar", "-tf", str(path)], capture_output=True, text=True, check=True).stdout.split()
    assert {"kept", "bin/busybox", "etc/passwd"} <= {name.removeprefix("./") for name in listing}


def test_diff_shows_changes_additions_and_deletions(engine: Engine) -> None:
    script = "echo x > /etc/group; rm /etc/hostname; mkdir /new; touch /new/file; rm -r /home/ann"
    engine.docker("run", "--name", "box", "busybox", "sh", "-c", script)
    lines = set(engine.out("diff", "box").splitlines())
    assert {"C /etc", "C /etc/group", "A /new", "A /new/file", "C /home", "D /home/ann"} <= lines
