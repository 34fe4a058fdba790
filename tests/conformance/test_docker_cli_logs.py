"""`docker logs` in all its forms, and what is kept on disk."""

from __future__ import annotations

import re
import subprocess

import pytest

from harness.engine import Engine, wait_until


@pytest.fixture
def spoken(engine: Engine) -> Engine:
    script = "for n in 1 2 3 4 5; do echo out $n; echo err $n >&2; sleep 0.05; done"
    engine.docker("run", "--name", "box", "busybox", "sh", "-c", script)
    return engine


def test_both_streams(spoken: Engine) -> None:
    done = spoken.docker("logs", "box")
    assert done.stdout.splitlines() == [f"out {n}" for n in range(1, 6)]
    assert done.stderr.splitlines() == [f"err {n}" for n in range(1, 6)]


@pytest.mark.parametrize(("tail", "count"), [("0", 0), ("3", 3), ("all", 10), ("100", 10)])
def test_tail(spoken: Engine, tail: str, count: int) -> None:
    done = spoken.docker("logs", "--tail", tail, "box")
    assert len(done.stdout.splitlines()) + len(done.stderr.splitlines()) == count


def test_timestamps(spoken: Engine) -> None:
    for line in spoken.docker("logs", "-t", "box").stdout.splitlines():
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z out \d", line)


def test_since_and_until(spoken: Engine) -> None:
    lines = spoken.docker("logs", "-t", "box").stdout.splitlines()
    third = lines[2].split()[0]
    since = spoken.docker("logs", "--since", third, "box").stdout.splitlines()
    assert since == ["out 3", "out 4", "out 5"]
    assert spoken.docker("logs", "--until", third, "box").stdout.splitlines() in (
        ["out 1", "out 2"],
        ["out 1", "out 2", "out 3"],
    )
    assert spoken.docker("logs", "--since", "1h", "box").stdout.splitlines()[0] == "out 1"


def test_follow_ends_with_the_container(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "echo one; sleep 0.7; echo two")
    assert engine.docker("logs", "-f", "box").stdout.splitlines() == ["one", "two"]


def test_follow_goes_on_over_a_restart_of_the_reader(engine: Engine) -> None:
    engine.docker(
        "run", "-d", "--name", "box", "busybox", "sh", "-c", "for n in $(seq 50); do echo $n; sleep 0.05; done"
    )
    follower = subprocess.Popen(
        ["docker", "logs", "-f", "--tail", "0", "box"], env=engine.environment, stdout=subprocess.PIPE, text=True
    )
    assert follower.stdout is not None
    first = int(follower.stdout.readline())
    seen = [int(line) for line in follower.communicate(timeout=20)[0].splitlines()]
    assert seen == list(range(first + 1, 51))


def test_a_terminals_log_is_raw(engine: Engine) -> None:
    engine.docker("run", "-dt", "--name", "box", "busybox", "sh", "-c", "echo out; echo err >&2")
    wait_until(lambda: not engine.inspect("box")["State"]["Running"], "it ended")
    raw = subprocess.run(["docker", "logs", "box"], env=engine.environment, capture_output=True, check=True)
    assert (raw.stdout, raw.stderr) == (b"out\r\nerr\r\n", b"")


def test_a_line_without_end_and_a_very_long_one(engine: Engine) -> None:
    script = "printf 'no end'; echo; head -c 100000 /dev/zero | tr '\\0' x; echo; printf last"
    engine.docker("run", "--name", "box", "busybox", "sh", "-c", script)
    assert engine.docker("logs", "box").stdout == "no end\n" + "x" * 100000 + "\nlast"


def test_details_show_the_asked_labels(engine: Engine) -> None:
    argv = ["--log-opt", "labels=colour", "--label", "colour=red", "--log-opt", "env=MOOD", "-e", "MOOD=fine"]
    engine.docker("run", "--name", "box", *argv, "busybox", "echo", "hello")
    assert engine.docker("logs", "--details", "box").stdout == "MOOD=fine,colour=red hello\n"


def test_driver_none_keeps_nothing(engine: Engine) -> None:
    engine.docker("run", "--name", "box", "--log-driver", "none", "busybox", "echo", "hello")
    done = engine.docker("logs", "box", check=False)
    assert done.returncode == 1
    assert "configured logging driver does not support reading" in done.stderr


def test_driver_local(engine: Engine) -> None:
    engine.docker("run", "--name", "box", "--log-driver", "local", "busybox", "echo", "hello")
    assert engine.docker("logs", "box").stdout == "hello\n"
    assert engine.inspect("box")["HostConfig"]["LogConfig"]["Type"] == "local"


def test_max_size_and_max_file_bound_the_log(engine: Engine) -> None:
    options = ["--log-opt", "max-size=20k", "--log-opt", "max-file=3"]
    script = "for n in $(seq 2500); do echo a line of some forty bytes, number $n; done"
    engine.docker("run", "--name", "box", *options, "busybox", "sh", "-c", script)
    lines = engine.docker("logs", "box").stdout.splitlines()
    assert lines[-1].endswith("number 2500")
    kept = [int(line.rpartition(" ")[2]) for line in lines]
    assert kept == list(range(kept[0], 2501))
    assert kept[0] > 1


def test_a_bad_log_option_is_refused(engine: Engine) -> None:
    done = engine.docker("create", "--log-opt", "colour=red", "busybox", check=False)
    assert done.returncode == 1
    assert "unknown log opt 'colour' for json-file log driver" in done.stderr


def test_unknown_container(engine: Engine) -> None:
    done = engine.docker("logs", "nobody", check=False)
    assert done.returncode == 1
    assert "No such container: nobody" in done.stderr


def test_follow_ends_when_the_container_is_removed(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "echo one; sleep 100")
    follower = subprocess.Popen(
        ["docker", "logs", "-f", "box"], env=engine.environment, stdout=subprocess.PIPE, text=True
    )
    assert follower.stdout is not None
    assert follower.stdout.readline() == "one\n"
    engine.docker("rm", "-f", "box")
    assert follower.communicate(timeout=5)[0] == ""


def test_follow_goes_on_over_full_files(engine: Engine) -> None:
    options = ["--log-opt", "max-size=20k", "--log-opt", "max-file=2"]
    script = (
        "for n in $(seq 60); do for m in $(seq 25); do echo a line of forty bytes, number $n.$m; done; sleep 0.02; done"
    )
    engine.docker("run", "-d", "--name", "box", *options, "busybox", "sh", "-c", script)
    shown = engine.docker("logs", "-f", "box", timeout=30).stdout.splitlines()
    numbers = [line.rpartition(" ")[2] for line in shown]
    assert numbers[-1] == "60.25"
    every = [f"{n}.{m}" for n in range(1, 61) for m in range(1, 26)]
    assert numbers == every[every.index(numbers[0]) :]


def test_slow_logs_keep_as_many_files_as_asked(engine: Engine) -> None:
    options = ["--log-opt", "max-size=10k", "--log-opt", "max-file=3"]
    script = "for n in $(seq 40); do head -c 990 /dev/zero | tr '\\0' x; echo; sleep 0.02; done"
    engine.docker("run", "--name", "box", *options, "busybox", "sh", "-c", script)
    shown = engine.docker("logs", "box").stdout.splitlines()
    # Two full files and the one that is being filled; conmon's own words around each line count as well.
    assert 16 <= len(shown) <= 30


def test_a_stopped_containers_log_grows_at_the_next_start(engine: Engine) -> None:
    engine.docker("run", "--name", "box", "busybox", "sh", "-c", "date +%N; printf 'no end'")
    engine.docker("start", "-a", "box")
    shown = engine.docker("logs", "box").stdout
    assert shown.count("no end") == 2
    assert engine.docker("logs", "--tail", "1", "box").stdout == "no end"


def test_times_in_all_forms(spoken: Engine) -> None:
    def count(*flags: str) -> int:
        return len(spoken.docker("logs", *flags, "box").stdout.splitlines())

    assert count("--since", "2020-01-02") == 5
    assert count("--since", "2020-01-02T03:04:05Z") == 5
    assert count("--since", "1577934245.5") == 5
    assert count("--until", "2020-01-02") == 0
    done = spoken.docker("logs", "--since", "yesterday", "box", check=False)
    assert done.returncode == 1
