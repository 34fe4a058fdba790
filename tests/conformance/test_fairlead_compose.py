"""``fairlead compose`` alone: projects brought up, changed, looked into and taken down."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from harness.engine import Engine, wait_until
from harness.machine import HOST4

FILE = """
services:
  web:
    image: nginx
    ports: ["8080:80"]
    depends_on:
      db: {condition: service_healthy}
    networks: [front, back]
    secrets: [token]
    configs: [{source: motd, target: /etc/motd}]
    environment: ["WHO=${WHO:-nobody}"]
    stop_grace_period: 0s
  db:
    image: busybox
    command: sh -c 'touch /data/ok; exec sleep 1000'
    healthcheck: {test: "test -f /data/ok", interval: 100ms}
    networks: {back: {aliases: [database]}}
    volumes: ["data:/data"]
    stop_grace_period: 0s
  tool: {image: busybox, profiles: [tools], command: "echo hi", network_mode: none}
networks: {front: , back: {internal: true}}
volumes: {data: }
secrets: {token: {content: "s3cret"}}
configs: {motd: {content: "hello"}}
"""


class Directory:
    """A project's directory, and the command run in it."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self.engine, self.path = engine, path

    def write(self, text: str, name: str = "compose.yaml") -> None:
        (self.path / name).write_text(text)

    def compose(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.engine.fairlead("compose", "--project-directory", str(self.path), *words, check=check)

    def states(self) -> dict[str, str]:
        lines = self.compose("ps", "-a", "--format", "json").stdout.splitlines()
        return {found["Name"]: found["State"] for found in map(json.loads, lines)}


@pytest.fixture
def directory(engine: Engine, tmp_path: Path) -> Directory:
    path = tmp_path / "demo"
    path.mkdir()
    found = Directory(engine, path)
    found.write(FILE)
    return found


def test_up_in_the_order_of_health_and_down_again(directory: Directory) -> None:
    engine = directory.engine
    said = directory.compose("up", "-d").stderr
    assert said.index("demo-db-1  Healthy") < said.index("demo-web-1  Starting")
    assert "Welcome" in engine.machine.peer.get(HOST4, 8080)
    assert directory.compose("exec", "-T", "web", "cat", "/run/secrets/token", "/etc/motd").stdout == "s3crethello"
    assert "1 packets received" in directory.compose("exec", "-T", "web", "ping", "-c", "1", "database").stdout
    assert directory.compose("exec", "-T", "db", "ping", "-c", "1", "-W", "1", "web", check=False).returncode == 0
    assert directory.states() == {"demo-web-1": "running", "demo-db-1": "running"}
    directory.compose("down", "-v")
    assert not directory.states()
    assert "demo" not in engine.out("network", "ls") + engine.out("volume", "ls")


def test_an_unchanged_project_is_left_as_it_is(directory: Directory) -> None:
    directory.compose("up", "-d")
    before = directory.engine.inspect("demo-web-1")["Id"]
    said = directory.compose("up", "-d").stderr
    assert "Running" in said
    assert "Start" not in said
    assert directory.engine.inspect("demo-web-1")["Id"] == before


def test_what_changed_is_made_anew_and_nothing_else(directory: Directory) -> None:
    directory.compose("up", "-d")
    ids = {name: directory.engine.inspect(name)["Id"] for name in ("demo-web-1", "demo-db-1")}
    directory.write("WHO=you\n", ".env")
    assert "recreate container demo-web-1" in directory.compose("--dry-run", "up").stdout
    directory.compose("up", "-d")
    assert directory.engine.inspect("demo-web-1")["Id"] != ids["demo-web-1"]
    assert directory.engine.inspect("demo-db-1")["Id"] == ids["demo-db-1"]
    assert "WHO=you" in directory.engine.inspect("demo-web-1")["Config"]["Env"]


def test_scaling_and_orphans(directory: Directory) -> None:
    directory.compose("up", "-d", "db")
    directory.compose("up", "-d", "--scale", "db=3", "db")
    assert sorted(directory.states()) == ["demo-db-1", "demo-db-2", "demo-db-3"]
    directory.compose("scale", "db=1")
    assert list(directory.states()) == ["demo-db-1"]
    directory.write("services: {other: {image: busybox, command: sleep 1000, stop_grace_period: 0s}}")
    assert "Found orphan containers ([demo-db-1])" in directory.compose("up", "-d").stderr
    directory.compose("up", "-d", "--remove-orphans")
    assert list(directory.states()) == ["demo-other-1"]


def test_run_and_its_exit_code(directory: Directory) -> None:
    assert directory.compose("run", "--rm", "-T", "tool").stdout == "hi\n"
    done = directory.compose("run", "--rm", "-T", "-e", "A=1", "tool", "sh", "-c", 'echo "$A"; exit 7', check=False)
    assert (done.returncode, done.stdout) == (7, "1\n")
    assert not directory.states()


def test_verbs_on_states(directory: Directory) -> None:
    directory.compose("up", "-d", "db")
    for verb, state in (
        ("pause", "paused"),
        ("unpause", "running"),
        ("stop", "exited"),
        ("start", "running"),
        ("restart", "running"),
        ("kill", "exited"),
    ):
        directory.compose(verb)
        wait_until(lambda: directory.states() == {"demo-db-1": state}, f"{verb}: {state}")  # noqa: B023
    directory.compose("rm", "-f")
    assert not directory.states()


def test_logs_bear_names(directory: Directory) -> None:
    directory.write("services: {a: {image: busybox, command: echo one}, b: {image: busybox, command: echo two}}")
    said = directory.compose("up").stdout
    assert sorted(said.splitlines()) == ["a-1  | one", "b-1  | two"]
    assert directory.compose("logs", "a").stdout == "a-1  | one\n"
    assert directory.compose("logs", "--no-log-prefix", "b").stdout == "two\n"


def test_a_failed_dependency_stops_those_behind_it(directory: Directory) -> None:
    directory.write(
        "services:\n"
        "  first: {image: busybox, command: 'false'}\n"
        "  then: {image: busybox, command: sleep 9, depends_on: {first: {condition: service_completed_successfully}}}\n"
    )
    done = directory.compose("up", "-d", check=False)
    assert done.returncode == 1
    assert "dependency failed to start: container demo-first-1 exited (1)" in done.stderr
    assert "demo-then-1" not in directory.states()


def test_looking(directory: Directory) -> None:
    directory.compose("up", "-d")
    assert directory.compose("port", "web", "80").stdout.strip() == "0.0.0.0:8080"
    assert directory.compose("config", "--services").stdout.split() == ["db", "web"]
    assert json.loads(directory.compose("config", "--format", "json").stdout)["name"] == "demo"
    assert "demo" in directory.compose("ls").stdout
    assert "busybox" in directory.compose("images").stdout
    assert "sleep 1000" in directory.compose("top").stdout
    read = directory.compose("-f", "-", "config", "--quiet", check=False)
    assert read.returncode in (0, 1)


def test_mistakes_are_said_and_nothing_is_made(directory: Directory) -> None:
    directory.write("services:\n  web:\n    imagee: nginx\n")
    done = directory.compose("up", "-d", check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "compose.yaml:3:5: services.web.imagee: no such key; did you mean image?\n",
    )
    directory.write("services: {web: {image: no-such-image, pull_policy: never}}")
    done = directory.compose("up", "-d", check=False)
    assert (done.returncode, done.stderr) == (1, "No such image: no-such-image\n")
    assert not directory.states()


def test_images_are_built_where_they_are_missing_or_asked_for(directory: Directory) -> None:
    (directory.path / "app").mkdir()
    directory.write(
        "FROM busybox\nARG WHO\nRUN --mount=type=secret,id=t test -s /run/secrets/t && echo $WHO > /who\n",
        "app/Dockerfile",
    )
    directory.write(
        "services:\n"
        "  app:\n"
        "    build: {context: app, args: {WHO: me}, secrets: [t]}\n"
        "    command: cat /who\n"
        "  inline:\n"
        "    image: made-inline\n"
        "    build: {context: app, dockerfile_inline: 'FROM busybox'}\n"
        "    command: echo inline\n"
        "secrets: {t: {content: hidden}}\n"
    )
    assert sorted(directory.compose("up").stdout.splitlines()) == ["app-1     | me", "inline-1  | inline"]
    directory.write("FROM busybox\nRUN echo other > /who\n", "app/Dockerfile")
    assert directory.compose("run", "--rm", "-T", "app").stdout == "me\n"
    directory.compose("up", "-d", "--build")
    wait_until(lambda: directory.compose("logs", "--no-log-prefix", "app").stdout == "other\n", "the new image runs")
    directory.compose("down", "--rmi", "all")
    assert "demo-app" not in directory.engine.out("images")
    directory.engine.docker("image", "prune", "-f")
