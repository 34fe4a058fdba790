"""Restart policies and health checks."""

from __future__ import annotations

import time

from harness.engine import Engine, wait_until


def count(engine: Engine, name: str) -> int:
    return int(engine.inspect(name)["RestartCount"])


def test_on_failure_gives_up_after_its_number(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "--restart", "on-failure:2", "busybox", "sh", "-c", "echo run; exit 5")
    wait_until(
        lambda: engine.inspect("box")["State"]["Status"] == "exited" and count(engine, "box") == 2, "two more runs", 8
    )
    assert engine.out("logs", "box").splitlines() == ["run"] * 3
    assert engine.inspect("box")["State"]["ExitCode"] == 5


def test_on_failure_leaves_success_alone(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "--restart", "on-failure", "busybox", "true")
    wait_until(lambda: engine.inspect("box")["State"]["Status"] == "exited", "it ended")
    time.sleep(0.5)
    assert count(engine, "box") == 0


def test_always_waits_longer_each_time(engine: Engine) -> None:
    engine.docker(
        "run", "-d", "--name", "box", "--restart", "always", "busybox", "sh", "-c", "date +%s.%N >> /t; exit 0"
    )
    wait_until(lambda: count(engine, "box") >= 4, "four restarts", 12)
    assert engine.inspect("box")["State"]["Status"] in ("restarting", "running")
    engine.docker("stop", "-t", "0", "box")
    before = count(engine, "box")
    time.sleep(1)
    assert count(engine, "box") == before
    assert engine.inspect("box")["State"]["Status"] == "exited"


def test_stop_wins_over_a_restart_at_any_moment(engine: Engine) -> None:
    """Also while the next process is being made: the mark that it was stopped must not get lost."""
    for step in range(12):
        engine.docker("run", "-d", "--name", "box", "--restart", "always", "busybox", "true")
        time.sleep(0.02 * step)
        engine.docker("stop", "-t", "0", "box", timeout=8)
        assert engine.inspect("box")["State"]["Status"] == "exited"
        engine.docker("rm", "box")


def test_a_killed_program_is_restarted_with_names_and_ports(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    engine.docker("run", "-d", "--name", "web", "--restart", "always", "--network", "n", "-p", "8080:80", "nginx")
    pid = engine.inspect("web")["State"]["Pid"]
    engine.host.run("kill", "-9", str(pid))
    wait_until(lambda: engine.inspect("web")["State"]["Pid"] not in (0, pid), "it runs again", 5)
    wait_until(lambda: engine.host.reaches("127.0.0.1", 8080), "it is published again")
    assert "Welcome" in engine.out("run", "--rm", "--network", "n", "busybox", "wget", "-q", "-O-", "http://web/")


def test_kill_by_the_user_ends_unless_stopped(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "--restart", "unless-stopped", "busybox", "sleep", "100")
    engine.docker("stop", "-t", "0", "box")
    time.sleep(0.5)
    assert engine.inspect("box")["State"]["Status"] == "exited"


def test_a_restarting_container_can_be_removed(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "--restart", "always", "busybox", "false")
    wait_until(lambda: count(engine, "box") >= 1, "it restarts")
    assert engine.out("rm", "-f", "box") == "box"


def test_health_becomes_healthy_and_unhealthy(engine: Engine) -> None:
    argv = ["--health-cmd", "test -e /well && echo fine", "--health-interval", "200ms", "--health-retries", "2"]
    engine.docker("run", "-d", "--name", "box", *argv, "busybox", "sleep", "100")
    assert engine.inspect("box")["State"]["Health"]["Status"] == "starting"
    engine.docker("exec", "box", "touch", "/well")
    wait_until(lambda: engine.inspect("box")["State"]["Health"]["Status"] == "healthy", "healthy")
    assert "(healthy)" in engine.out("ps", "--format", "{{.Status}}")
    assert engine.out("ps", "-q", "--filter", "health=healthy") != ""
    engine.docker("exec", "box", "rm", "/well")
    wait_until(lambda: engine.inspect("box")["State"]["Health"]["Status"] == "unhealthy", "unhealthy")
    health = engine.inspect("box")["State"]["Health"]
    assert health["FailingStreak"] >= 2
    assert health["Log"][-1]["ExitCode"] == 1
    assert any(entry["Output"] == "fine\n" for entry in health["Log"])


def test_health_timeout(engine: Engine) -> None:
    argv = [
        "--health-cmd",
        "sleep 60",
        "--health-interval",
        "200ms",
        "--health-timeout",
        "300ms",
        "--health-retries",
        "1",
    ]
    engine.docker("run", "-d", "--name", "box", *argv, "busybox", "sleep", "100")
    wait_until(lambda: engine.inspect("box")["State"]["Health"]["Status"] == "unhealthy", "unhealthy")
    assert "exceeded timeout" in engine.inspect("box")["State"]["Health"]["Log"][-1]["Output"]


def test_health_events_and_no_healthcheck(engine: Engine) -> None:
    since = str(time.time())
    engine.docker(
        "run", "-d", "--name", "box", "--health-cmd", "true", "--health-interval", "150ms", "busybox", "sleep", "100"
    )
    wait_until(lambda: engine.inspect("box")["State"]["Health"]["Status"] == "healthy", "healthy")
    shown = engine.out("events", "--since", since, "--until", str(time.time()), "--format", "{{.Action}}")
    assert "health_status: healthy" in shown.splitlines()
    engine.docker("run", "-d", "--name", "dee", "--no-healthcheck", "busybox", "sleep", "100")
    assert "Health" not in engine.inspect("dee")["State"]


def test_restart_policies_survive_the_daemon(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "again", "--restart", "always", "busybox", "sleep", "100")
    engine.docker("run", "-d", "--name", "stopped", "--restart", "unless-stopped", "busybox", "sleep", "100")
    engine.docker("stop", "-t", "0", "stopped")
    pid = engine.inspect("again")["State"]["Pid"]
    engine.kill()
    engine.host.run("kill", "-9", str(pid))
    engine.start()
    wait_until(lambda: engine.inspect("again")["State"]["Pid"] not in (0, pid), "it runs again", 5)
    assert engine.inspect("stopped")["State"]["Status"] == "exited"


def test_a_restart_that_the_daemon_did_not_live_to_make(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "--restart", "on-failure", "busybox", "sh", "-c", "echo run; exit 1")
    wait_until(lambda: count(engine, "box") >= 2, "it is being restarted", 8)
    wait_until(lambda: engine.inspect("box")["State"]["Status"] == "restarting", "it waits", 8)
    engine.kill()
    runs = len(next(engine.data_root.glob("containers/*/*.log")).read_text().splitlines())
    engine.start()
    wait_until(lambda: len(engine.out("logs", "box").splitlines()) > runs, "it runs again", 5)


def test_failures_stopped_by_hand_stay_down(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "--restart", "on-failure", "busybox", "sleep", "100")
    engine.docker("stop", "-t", "0", "box")
    engine.kill()
    engine.start()
    time.sleep(0.5)
    assert engine.inspect("box")["State"]["Status"] == "exited"
