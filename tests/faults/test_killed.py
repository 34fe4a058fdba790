"""kill -9 of the daemon, of the resolver, of both, under load: nobody else notices."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from harness import probes
from harness.engine import Engine, wait_until
from harness.machine import HOST4
from harness.probes import Probe
from harness.terminal import Terminal

ROUNDS = int(os.environ.get("FAIRLEAD_KILLS", "50"))
SEED = int(os.environ.get("FAIRLEAD_SEED", "20261122"))


@pytest.fixture
def loaded(engine: Engine) -> Iterator[Engine]:
    """Web on a user network, published to all and on loopback, and an asker beside it."""
    engine.docker("network", "create", "n")
    argv = ["-p", "8080:80", "-p", "127.0.0.1:8081:80", "--network", "n", "nginx"]
    engine.docker("run", "-d", "--name", "web", *argv)
    engine.docker("run", "-d", "--name", "asker", "--network", "n", "busybox", "sleep", "100000")
    yield engine
    if engine._process is None or engine._process.poll() is not None:
        engine.start()


def questions(engine: Engine) -> list[Probe]:
    inside = engine.netns("asker")
    address = engine.address("web", "n")
    return [
        Probe("dns", inside, lambda: probes.ask("127.0.0.11", "web")),
        Probe("neighbour", inside, lambda: probes.fetch(address, 80)),
        Probe("published", engine.machine.peer.netns, lambda: probes.fetch(HOST4, 8080)),
        Probe("loopback", engine.host.netns, lambda: probes.fetch("127.0.0.1", 8081)),
    ]


class Churn:
    """Containers and networks coming and going; failures while the daemon is down are expected."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._stop = engine, threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(2)]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def _run(self, number: int) -> None:
        names = iter(range(10**9))
        while not self._stop.is_set():
            name = f"x{number}-{next(names)}"
            argv = ["--name", name, "--network", "n", "-p", f"{9000 + number}:80", "busybox", "true"]
            self._engine.docker("run", "--rm", *argv, check=False)
            self._engine.docker("network", "create", name, check=False)
            self._engine.docker("network", "rm", name, check=False)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.timeout(900)
def test_the_daemon_is_killed_again_and_again(loaded: Engine) -> None:
    dice = random.Random(SEED)
    asked = questions(loaded)
    with probes.running(asked), Churn(loaded):
        for _ in range(ROUNDS):
            time.sleep(dice.uniform(0.05, 0.8))
            loaded.kill()
            time.sleep(dice.uniform(0, 0.2))
            loaded.start()
    assert not probes.losses(asked)
    assert loaded.inspect("web")["State"]["Running"] is True
    assert all(probe.asked > 10 * ROUNDS for probe in asked)
    tidy(loaded)


@pytest.mark.timeout(600)
def test_the_resolver_is_killed(loaded: Engine) -> None:
    dice = random.Random(SEED)
    asked = questions(loaded)
    with probes.running(asked):
        for _ in range(ROUNDS):
            before = loaded.resolver
            os.kill(before, signal.SIGKILL)
            killed = time.monotonic()
            wait_until(lambda old=before: _another(loaded, old), "another resolver runs", seconds=2)
            wait_until(lambda: _answers(loaded), "it answers", seconds=2)
            for probe in asked:
                # Questions in flight may die with the process; those asked after it is back may not.
                back = time.monotonic()
                probe.lost[:] = [lost for lost in probe.lost if not (killed - 2.1 <= lost[0] <= back)]
            time.sleep(dice.uniform(0.1, 0.6))
    assert not probes.losses(asked)


def _another(engine: Engine, old: int) -> bool:
    try:
        return engine.resolver != old
    except AssertionError:
        return False


def _answers(engine: Engine) -> bool:
    return engine.docker("exec", "asker", "nslookup", "web.", check=False).returncode == 0


@pytest.mark.timeout(600)
def test_both_are_killed(loaded: Engine) -> None:
    dice = random.Random(SEED)
    kept = [probe for probe in questions(loaded) if probe.name != "dns"]
    with probes.running(kept):
        for _ in range(ROUNDS):
            resolver = loaded.resolver
            loaded.kill()
            os.kill(resolver, signal.SIGKILL)
            time.sleep(dice.uniform(0, 0.2))
            loaded.start()
            wait_until(lambda: _answers(loaded), "names resolve again", seconds=3)
    assert not probes.losses(kept)


@pytest.mark.timeout(200)
def test_a_graceful_stop_is_unnoticed_too(loaded: Engine) -> None:
    asked = questions(loaded)
    with probes.running(asked):
        for _ in range(3):
            time.sleep(0.3)
            loaded.stop()
            time.sleep(0.3)
            loaded.start()
    assert not probes.losses(asked)


def test_output_and_exit_codes_of_the_dark_time_are_kept(loaded: Engine) -> None:
    loaded.docker(
        "run",
        "-d",
        "--name",
        "talker",
        "busybox",
        "sh",
        "-c",
        "for n in $(seq 20); do echo $n; sleep 0.1; done; exit 9",
    )
    time.sleep(0.4)
    loaded.kill()
    time.sleep(2.5)
    loaded.start()
    assert loaded.out("logs", "talker").splitlines() == [str(n) for n in range(1, 21)]
    assert loaded.out("wait", "talker") == "9"


def test_exec_attach_and_stop_work_on_adopted_containers(loaded: Engine) -> None:
    loaded.docker("run", "-dit", "--name", "shell", "busybox", "sh")
    loaded.kill()
    loaded.start()
    assert loaded.execute("shell", "echo", "hello") == "hello\n"
    assert "Welcome" in loaded.execute("asker", "wget", "-q", "-O-", "http://web/")
    with Terminal(["docker", "attach", "shell"], loaded.environment) as screen:
        screen.type("exit 5\n")
        assert screen.end() == 5
    loaded.docker("stop", "-t", "1", "web")
    assert not loaded.host.reaches("127.0.0.1", 8081)


def test_what_went_while_it_was_down_is_cleaned_up(loaded: Engine) -> None:
    loaded.docker("run", "-d", "--rm", "--name", "gone", "busybox", "sleep", "1000")
    pid = loaded.inspect("gone")["State"]["Pid"]
    loaded.kill()
    os.kill(pid, signal.SIGKILL)
    loaded.start()
    wait_until(lambda: loaded.docker("inspect", "gone", check=False).returncode == 1, "--rm is kept")


def test_what_a_killed_daemon_had_no_time_to_record_or_forget(loaded: Engine) -> None:
    """A container's directory without its record, and a sandbox's pin without its note."""
    loaded.docker("run", "-d", "--name", "half", "--network", "n", "busybox", "sleep", "1000")
    found = loaded.inspect("half")
    loaded.kill()
    orphan = loaded.data_root / "containers" / ("0" * 64)
    orphan.mkdir()
    (orphan / "hosts").write_text("127.0.0.1 localhost\n")
    (loaded.exec_root / found["Id"] / "netns").unlink()
    os.kill(found["State"]["Pid"], signal.SIGKILL)
    loaded.start()
    assert not orphan.exists()
    wait_until(lambda: not loaded.inspect("half")["State"]["Running"], "its end was seen")
    assert "half" not in loaded.host.run("ls", "/run/netns").split()
    loaded.docker("start", "half")
    assert loaded.execute("half", "wget", "-q", "-O-", "http://web/").count("Welcome")


def tidy(engine: Engine) -> None:
    """What churn left half made can be removed like anything else."""
    for name in engine.out("ps", "-a", "--format", "{{.Names}}").split():
        if name.startswith("x"):
            engine.docker("rm", "-f", name, check=False)
    for name in engine.out("network", "ls", "--format", "{{.Name}}", "--filter", "type=custom").split():
        if name.startswith("x"):
            engine.docker("network", "rm", name, check=False)
