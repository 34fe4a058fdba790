"""The same files by the official Compose and by ours, and one after the other: what one starts the other knows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.engine import Engine, wait_until
from harness.machine import HOST4

PLUGIN = Path(sys.prefix) / "share" / "docker" / "cli-plugins" / "docker-compose"
pytestmark = pytest.mark.skipif(not PLUGIN.exists(), reason="no official Compose: ./test fetches it where it can")

FILE = """
services:
  web:
    image: nginx
    ports: ["8080:80"]
    depends_on: {db: {condition: service_healthy}}
    networks: [front, back]
    stop_grace_period: 0s
  db:
    image: busybox
    command: sh -c 'touch /data/ok; exec sleep 1000'
    healthcheck: {test: "test -f /data/ok", interval: 100ms}
    networks: {back: {aliases: [database], ipv4_address: 10.77.0.9}}
    volumes: ["data:/data"]
    stop_grace_period: 0s
networks:
  front: {}
  back: {internal: true, ipam: {config: [{subnet: 10.77.0.0/24}]}}
volumes: {data: }
"""


class Clients:
    """A project's directory and two programs for it."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self.engine, self.path = engine, path

    def official(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self._run([str(PLUGIN)], words, check=check)

    def ours(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self._run([str(Path(sys.prefix) / "bin" / "fairlead"), "compose"], words, check=check)

    def _run(self, program: list[str], words: tuple[str, ...], *, check: bool) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*program, *words],
            cwd=self.path,
            env={**self.engine.environment, "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        assert not (check and done.returncode), f"{words}: {done.stderr}"
        return done

    def names(self, program: str) -> set[str]:
        lines = getattr(self, program)("ps", "-a", "--format", "json").stdout.splitlines()
        return {json.loads(line)["Name"] for line in lines}


@pytest.fixture
def clients(engine: Engine, tmp_path: Path) -> Clients:
    path = tmp_path / "demo"
    path.mkdir()
    (path / "compose.yaml").write_text(FILE)
    return Clients(engine, path)


@pytest.mark.parametrize("program", ["official", "ours"])
def test_a_project_comes_up_works_and_goes(clients: Clients, program: str) -> None:
    compose = getattr(clients, program)
    compose("up", "-d")
    assert "Welcome" in clients.engine.machine.peer.get(HOST4, 8080)
    assert "1 packets received" in compose("exec", "-T", "web", "ping", "-c", "1", "database").stdout
    assert clients.engine.inspect("demo-db-1")["NetworkSettings"]["Networks"]["demo_back"]["IPAddress"] == "10.77.0.9"
    assert compose("port", "web", "80").stdout.strip() == "0.0.0.0:8080"
    before = clients.engine.inspect("demo-web-1")["Id"]
    compose("up", "-d")
    assert clients.engine.inspect("demo-web-1")["Id"] == before
    compose("up", "-d", "--scale", "web=1", "--force-recreate", "web")
    assert clients.engine.inspect("demo-web-1")["Id"] != before
    compose("down", "-v")
    assert not clients.names(program)
    assert "demo" not in clients.engine.out("network", "ls") + clients.engine.out("volume", "ls")


@pytest.mark.parametrize(("first", "second"), [("official", "ours"), ("ours", "official")])
def test_what_one_starts_the_other_lists_changes_and_stops(clients: Clients, first: str, second: str) -> None:
    getattr(clients, first)("up", "-d")
    other = getattr(clients, second)
    assert clients.names(second) == {"demo-web-1", "demo-db-1"}
    other("stop", "web")
    wait_until(lambda: not clients.engine.inspect("demo-web-1")["State"]["Running"], "web is stopped")
    other("start", "web")
    other("up", "-d", "--scale", "web=1")
    assert "Welcome" in clients.engine.machine.peer.get(HOST4, 8080)
    assert "demo" in other("ls").stdout
    other("down", "-v")
    assert not clients.names(first)


@pytest.mark.parametrize("program", ["official", "ours"])
def test_namespaces_of_another_service_profiles_and_one_off_runs(clients: Clients, program: str) -> None:
    compose = getattr(clients, program)
    (clients.path / "compose.yaml").write_text(
        "services:\n"
        "  vpn: {image: nginx, stop_grace_period: 0s}\n"
        "  app: {image: busybox, network_mode: 'service:vpn', command: sleep 1000, stop_grace_period: 0s}\n"
        "  tool: {image: busybox, profiles: [tools], command: 'echo ${WORD:-none}'}\n"
    )
    (clients.path / ".env").write_text("WORD=said\n")
    compose("up", "-d")
    assert "Welcome" in compose("exec", "-T", "app", "wget", "-q", "-O-", "http://127.0.0.1/").stdout
    assert "said" in compose("run", "--rm", "-T", "tool").stdout
    assert clients.names(program) == {"demo-vpn-1", "demo-app-1"}
    compose("down")


@pytest.mark.parametrize("program", ["official", "ours"])
def test_images_are_built(clients: Clients, program: str) -> None:
    compose = getattr(clients, program)
    (clients.path / "Dockerfile").write_text("FROM busybox\nARG WHO\nRUN echo $WHO > /who\nCMD cat /who\n")
    (clients.path / "compose.yaml").write_text("services: {app: {build: {context: ., args: {WHO: me}}}}")
    assert "| me" in compose("up", "--build").stdout
    compose("down", "--rmi", "all")
    assert "demo-app" not in clients.engine.out("images")
    clients.engine.docker("image", "prune", "-f")
