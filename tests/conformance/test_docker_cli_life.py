"""The turns of a container's life that `docker run` does not show: failed starts, waits, counts, events."""

from __future__ import annotations

import json
import subprocess
import threading
import time

import pytest

from harness.engine import Engine, wait_until

FAILED = 'exec: "missing": executable file not found in $PATH'


def actions(engine: Engine, since: float, name: str) -> list[str]:
    """What was told of a container: its actions, a kill with its signal."""
    time.sleep(0.1)
    shown = engine.out(
        *("events", "--since", f"{since:.9f}", "--until", f"{time.time():.9f}", "--filter", f"container={name}"),
        *("--format", "{{json .}}"),
    )
    found = [json.loads(line) for line in shown.splitlines()]
    return [
        f"kill {event['Actor']['Attributes']['signal']}" if event["Action"] == "kill" else event["Action"]
        for event in found
        if event["Type"] == "container"
    ]


def state(engine: Engine, name: str) -> dict[str, object]:
    found: dict[str, object] = engine.inspect(name)["State"]
    return found


# -- starts that fail -------------------------------------------------------------------------------------------------


def test_a_failed_start_is_on_record(engine: Engine) -> None:
    engine.docker("create", "--name", "box", "busybox", "missing")
    done = engine.docker("start", "box", check=False)
    assert done.returncode == 1
    found = state(engine, "box")
    assert (found["Status"], found["ExitCode"], found["Running"]) == ("created", 127, False)
    assert FAILED in str(found["Error"])


def test_a_failed_start_with_rm_is_told_once_and_leaves_no_volume(engine: Engine) -> None:
    done = engine.docker("run", "--rm", "-v", "/scratch", "busybox", "missing", check=False)
    assert done.returncode == 127
    assert done.stderr.count("executable file not found") == 1
    assert engine.out("ps", "-aq") == ""
    assert engine.out("volume", "ls", "-q") == ""


def test_a_start_can_succeed_after_one_that_failed(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "donor", "busybox", "sleep", "100")
    engine.docker("create", "--name", "box", "--network", "container:donor", "busybox", "echo", "ran")
    engine.docker("stop", "-t", "0", "donor")
    done = engine.docker("start", "box", check=False)
    assert "cannot join network namespace of a non running container" in done.stderr
    engine.docker("start", "donor")
    assert engine.docker("start", "-a", "box").stdout == "ran\n"
    assert state(engine, "box")["Error"] == ""


def test_a_failed_first_start_is_not_retried(engine: Engine) -> None:
    done = engine.docker("run", "-d", "--name", "box", "--restart", "always", "busybox", "missing", check=False)
    assert done.returncode == 127
    time.sleep(0.5)
    assert engine.inspect("box")["RestartCount"] == 0
    assert state(engine, "box")["Status"] == "created"


# -- waits ------------------------------------------------------------------------------------------------------------


def test_each_condition_of_wait_has_its_moment(engine: Engine) -> None:
    engine.docker("create", "--name", "box", "busybox", "sh", "-c", "exit 3")
    told: dict[str, tuple[int, object]] = {}

    def wait(condition: str) -> None:
        told[condition] = engine.call("POST", f"/containers/box/wait?condition={condition}")

    threads = [threading.Thread(target=wait, args=(word,)) for word in ("not-running", "next-exit", "removed")]
    for thread in threads:
        thread.start()
    wait_until(lambda: "not-running" in told, "what does not run needs no waiting")
    time.sleep(0.2)
    assert set(told) == {"not-running"}
    engine.docker("start", "box")
    wait_until(lambda: "next-exit" in told, "it ended")
    assert "removed" not in told
    engine.docker("rm", "box")
    for thread in threads:
        thread.join(5)
    assert told == {
        "not-running": (200, {"StatusCode": 0}),
        "next-exit": (200, {"StatusCode": 3}),
        "removed": (200, {"StatusCode": 3}),
    }


def test_wait_refuses(engine: Engine) -> None:
    assert engine.call("POST", "/containers/box/wait")[0] == 404
    engine.docker("create", "--name", "box", "busybox")
    status, answer = engine.call("POST", "/containers/box/wait?condition=happy")
    assert (status, answer) == (400, {"message": 'invalid condition: "happy"'})


def test_a_client_at_a_removed_container_ends(engine: Engine) -> None:
    argv = ["docker", "run", "--name", "box", "busybox", "sleep", "100"]
    with subprocess.Popen(argv, env=engine.environment, stdin=subprocess.DEVNULL) as client:
        wait_until(lambda: engine.out("ps", "-q") != "", "it runs")
        engine.docker("rm", "-f", "box")
        assert client.wait(timeout=5) == 137


# -- events -----------------------------------------------------------------------------------------------------------


def test_events_of_stop_kill_and_removal(engine: Engine) -> None:
    began = time.time()
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "100")
    engine.docker("stop", "-t", "0", "box")
    engine.docker("start", "box")
    engine.docker("kill", "-s", "WINCH", "box")
    engine.docker("kill", "box")
    engine.docker("rename", "box", "crate")
    engine.docker("rm", "crate")
    life = actions(engine, began, engine.out("events", "--since", f"{began:.9f}", "--until", f"{time.time():.9f}",
                                             "--filter", "event=create", "--format", "{{.Actor.ID}}"))  # fmt: skip
    stopped = ["create", "start", "kill 15", "kill 9", "die", "stop"]
    assert life == [*stopped, "start", "kill 28", "kill 9", "die", "rename", "destroy"]


def test_events_of_pause_and_update(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "100")
    began = time.time()
    engine.docker("pause", "box")
    engine.docker("unpause", "box")
    engine.docker("update", "--cpus", "0.5", "box")
    engine.docker("restart", "-t", "0", "box")
    assert actions(engine, began, "box") == [
        *("pause", "unpause", "update", "kill 15", "kill 9", "die", "stop", "start", "restart")
    ]


def test_volumes_are_told_of(engine: Engine) -> None:
    began = time.time()
    engine.docker("run", "--rm", "-v", "data:/data:ro", "busybox", "true")
    wait_until(lambda: engine.out("ps", "-aq") == "", "it is gone")
    shown = engine.out(
        *("events", "--since", f"{began:.9f}", "--until", f"{time.time():.9f}", "--filter", "type=volume"),
        *("--format", "{{json .}}"),
    )
    told = [json.loads(line) for line in shown.splitlines()]
    assert [event["Action"] for event in told] == ["create", "mount", "unmount"]
    attributes = told[1]["Actor"]["Attributes"]
    assert (attributes["destination"], attributes["read/write"]) == ("/data", "false")


# -- restarts ---------------------------------------------------------------------------------------------------------


def test_a_start_by_hand_counts_restarts_anew(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "--restart", "on-failure:2", "busybox", "sh", "-c", "echo ran; exit 1")

    def gave_up() -> bool:
        found = engine.inspect("box")
        return found["State"]["Status"] == "exited" and found["RestartCount"] == 2

    wait_until(gave_up, "two restarts", 8)
    engine.docker("start", "box")
    wait_until(lambda: engine.out("logs", "box").count("ran") == 6 and gave_up(), "two more restarts", 8)


def test_a_new_policy_is_obeyed_at_the_next_exit(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "100")
    engine.docker("update", "--restart", "always", "box")
    pid = engine.inspect("box")["State"]["Pid"]
    engine.host.run("kill", "-9", str(pid))
    wait_until(lambda: engine.inspect("box")["State"]["Pid"] not in (0, pid), "it runs again")
    engine.docker("update", "--restart", "no", "box")
    engine.host.run("kill", "-9", str(engine.inspect("box")["State"]["Pid"]))
    wait_until(lambda: state(engine, "box")["Status"] == "exited", "it stays down")


def test_auto_removed_containers_take_no_policy(engine: Engine) -> None:
    engine.docker("run", "-d", "--rm", "--name", "box", "busybox", "sleep", "100")
    done = engine.docker("update", "--restart", "always", "box", check=False)
    assert done.returncode == 1
    assert "Restart policy cannot be updated because AutoRemove is enabled" in done.stderr


# -- stopping ---------------------------------------------------------------------------------------------------------


def test_a_stop_timeout_of_ones_own(engine: Engine) -> None:
    script = "trap '' TERM; while :; do sleep 0.1; done"
    engine.docker("run", "-d", "--name", "box", "--stop-timeout", "1", "busybox", "sh", "-c", script)
    began = time.monotonic()
    engine.docker("stop", "box")
    assert 0.9 < time.monotonic() - began < 4


@pytest.mark.parametrize("verb", [("stop", "-t", "0"), ("kill",), ("rm", "-f"), ("restart", "-t", "0")])
def test_what_is_paused_can_be_ended(engine: Engine, verb: tuple[str, ...]) -> None:
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "100")
    pid = engine.inspect("box")["State"]["Pid"]
    engine.docker("pause", "box")
    engine.docker(*verb, "box")
    assert not engine.host.run("sh", "-c", f"cat /proc/{pid}/cmdline 2>/dev/null || true").startswith("sleep")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("kill", "-s", "FLAG", "box"), "invalid signal: FLAG"),
        (("pause", "idle"), "is not running"),
        (("unpause", "box"), "is not paused"),
        (("rename", "box", "idle"), 'The container name "/idle" is already in use'),
        (("rename", "box", "a/b"), "Invalid container name (a/b)"),
        (("rename", "box", "box"), "Renaming a container with the same name as its current name"),
        (("update", "-m", "200m", "box"), "Memory limit should be smaller than already set memoryswap limit"),
        (("update", "--cpus", "1000", "box"), "range of CPUs is from 0.01"),
        (("top", "idle"), "is not running"),
        (("top", "box", "-eo", "args"), "Couldn't find PID field in ps output"),
        (("kill", "idle"), "is not running"),
        (("start", "nobody"), "No such container: nobody"),
        (("stop", "nobody"), "No such container: nobody"),
    ],
)
def test_refusals(engine: Engine, argv: tuple[str, ...], message: str) -> None:
    engine.docker("run", "-d", "--name", "box", "-m", "64m", "busybox", "sleep", "100")
    engine.docker("create", "--name", "idle", "busybox")
    done = engine.docker(*argv, check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert engine.inspect("box")["State"]["Status"] == "running"


# -- health -----------------------------------------------------------------------------------------------------------


def test_failures_in_the_start_period_do_not_count(engine: Engine) -> None:
    argv = ["--health-cmd", "test -e /well", "--health-interval", "30s", "--health-start-period", "20s"]
    script = "sleep 3; touch /well; sleep 100"
    engine.docker(
        "run", "-d", "--name", "box", *argv, "--health-start-interval", "100ms", "busybox", "sh", "-c", script
    )
    wait_until(lambda: len(engine.inspect("box")["State"]["Health"]["Log"]) >= 3, "it was looked at often")
    found = engine.inspect("box")["State"]["Health"]
    assert (found["Status"], found["FailingStreak"]) == ("starting", 0)
    wait_until(lambda: engine.inspect("box")["State"]["Health"]["Status"] == "healthy", "healthy")


def test_a_probe_that_takes_too_long_is_ended(engine: Engine) -> None:
    argv = ["--health-cmd", "sleep 77", "--health-interval", "100ms", "--health-timeout", "200ms"]
    engine.docker("run", "-d", "--name", "box", *argv, "--health-retries", "2", "busybox", "sleep", "100")
    wait_until(lambda: engine.inspect("box")["State"]["Health"]["Status"] == "unhealthy", "unhealthy")
    probe = engine.inspect("box")["State"]["Health"]["Log"][0]
    assert probe["ExitCode"] == -1
    assert "Health check exceeded timeout" in probe["Output"]
    assert engine.out("top", "box").count("sleep 77") <= 1


def test_health_begins_anew_with_each_start(engine: Engine) -> None:
    argv = ["--health-cmd", "true", "--health-interval", "200ms"]
    engine.docker("run", "-d", "--name", "box", *argv, "busybox", "sleep", "100")
    wait_until(lambda: engine.inspect("box")["State"]["Health"]["Status"] == "healthy", "healthy")
    engine.docker("stop", "-t", "0", "box")
    assert engine.inspect("box")["State"]["Health"]["Status"] == "unhealthy"
    engine.docker("start", "box")
    assert engine.inspect("box")["State"]["Health"]["Status"] == "starting"
    wait_until(lambda: engine.inspect("box")["State"]["Health"]["Status"] == "healthy", "healthy again")


def test_no_probe_outlives_its_container(engine: Engine) -> None:
    """Whatever a probe was about when the container went: nothing of it is left, as after each test is looked for."""
    argv = ["--health-cmd", "true", "--health-interval", "1ms"]
    for step in range(15):
        engine.docker("run", "-d", "--name", "box", *argv, "busybox", "sleep", "100")
        time.sleep(0.02 + 0.011 * step)
        engine.docker("rm", "-f", "box")
    wait_until(lambda: not engine.processes("conmon"), "no monitor is left")
