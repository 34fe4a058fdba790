"""Plugins of the tests' own, run as programs on the engine's host, and what was said to them.

Test modules import these fixtures by name.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.engine import Engine, UnixConnection, wait_until
from harness.machine import Host, Machine

HERE = Path(__file__).parent


class Plugin:
    """One program, ``network`` or ``ipam``, under ``name`` in a directory of plugins."""

    def __init__(self, host: Host, directory: Path, kind: str, name: str) -> None:
        self.name, self.socket = name, directory / f"{name}.sock"
        self.kind = {"network": "NetworkDriver", "ipam": "IpamDriver"}[kind]
        self._host, self._program = host, HERE / f"{kind}_plugin.py"
        self._log, self._faults = directory / f"{name}.calls", directory / f"{name}.faults"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **environment: str) -> None:
        self.socket.unlink(missing_ok=True)
        argv = [sys.executable, str(self._program), str(self.socket), str(self._log), str(self._faults)]
        self._process = self._host.popen(argv, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environment})
        wait_until(self._answers, f"plugin {self.name} listens", 20)

    def _answers(self) -> bool:
        try:
            self.ask("Plugin.Activate")
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL: the socket's file stays, nobody is behind it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(timeout=10)

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        if self.runs:
            self.kill()

    def state(self) -> dict[str, Any]:
        """What it holds: all that was made and not removed."""
        return self.ask("Plugin.State")

    def ask(self, method: str) -> dict[str, Any]:
        """A call of the test's own."""
        link = UnixConnection(str(self.socket), 5)
        try:
            link.request("POST", f"/{method}", b"{}")
            answer: dict[str, Any] = json.loads(link.getresponse().read())
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            link.close()
        return answer

    def faults(self, faults: Mapping[str, object]) -> None:
        """From now on these calls fail in these ways."""
        self._faults.write_text(json.dumps(faults))

    def calls(self) -> list[tuple[str, dict[str, Any]]]:
        """All calls so far, those that only ask what it is left out."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        said = [json.loads(line) for line in lines]
        known = [(entry["call"].partition(".")[2], entry["message"]) for entry in said]
        return [(call, message) for call, message in known if call not in ("Activate", "State")]

    def forget(self) -> None:
        self._log.unlink(missing_ok=True)

    def names(self) -> list[str]:
        return [call for call, _ in self.calls()]

    def last(self, call: str) -> dict[str, Any]:
        """The last message of that call."""
        return [message for name, message in self.calls() if name == call][-1]


@pytest.fixture(scope="module")
def directory(machine: Machine) -> Path:
    path = machine.base / "plugins"
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def daemon_flags(directory: Path) -> list[str]:
    return ["--plugin-dir", str(directory), "--plugin-timeout", "2s"]


@pytest.fixture
def net(engine: Engine, directory: Path) -> Iterator[Plugin]:
    """The network plugin ``testnet``; whatever a test breaks in it, it runs again at the end of the test."""
    yield from _running(engine, Plugin(engine.host, directory, "network", "testnet"))


@pytest.fixture
def ipam(engine: Engine, directory: Path) -> Iterator[Plugin]:
    """The IPAM plugin ``testipam``. In the end it holds nothing."""
    yield from _running(engine, Plugin(engine.host, directory, "ipam", "testipam"))


def _running(engine: Engine, plugin: Plugin) -> Iterator[Plugin]:
    plugin.start()
    yield plugin
    plugin.faults({})
    if not plugin.runs:
        plugin.start()
    engine.clear()
    wait_until(lambda: plugin.state() == {}, f"nothing is left at {plugin.name}: {plugin.state()}", 10, every=0.1)
    plugin.close()
    for leftover in plugin.socket.parent.glob(f"{plugin.name}.*"):
        leftover.unlink()
