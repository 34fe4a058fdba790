"""`fairlead daemon` on a machine of the test's own, and its clients: the docker CLI, docker-py, raw HTTP."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, NotFound

from harness import inside
from harness.machine import Host, Machine

FAIRLEAD = str(Path(sys.executable).parent / "fairlead")
READY = b"API listen on"


class UnixConnection(http.client.HTTPConnection):
    """http.client over a unix socket."""

    def __init__(self, path: str, timeout: float = 30) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def wait_until(holds: Callable[[], object], what: str, seconds: float = 5.0, every: float = 0.02) -> None:
    """Returns as soon as ``holds()``; fails the test with ``what`` when it does not within ``seconds``."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(every)


class Engine:
    """One data root, one exec root, one socket; the daemon on it may be killed and started again."""

    def __init__(self, machine: Machine, *flags: str, name: str = "engine") -> None:
        self.machine, self.host = machine, machine.host
        self.base = machine.base / name
        self.base.mkdir()
        self.data_root, self.exec_root = self.base / "data", self.base / "exec"
        self.socket = str(self.base / "e.sock")
        self.log = self.base / "daemon.log"
        self.flags = list(flags)
        self.seen: set[str] = set()
        self._process: subprocess.Popen[bytes] | None = None
        self._watching = threading.Event()
        self._watcher = threading.Thread(target=self._note_ids, name="ids seen", daemon=True)
        self._watcher.start()

    # -- the daemon's life --------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, seconds: float = 20) -> float:
        """Starts the daemon; the seconds until it said that it listens."""
        argv = [FAIRLEAD, "daemon", "--data-root", str(self.data_root), "--exec-root", str(self.exec_root)]
        argv += ["--pidfile", str(self.base / "e.pid"), "--host", f"unix://{self.socket}", *self.flags]
        before = self.log.stat().st_size if self.log.exists() else 0
        began = time.monotonic()
        with open(self.log, "ab") as log:
            self._process = self.host.popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        while READY not in self._said(before):
            assert self._process.poll() is None, f"the daemon ended:\n{self._said(before).decode()[-4000:]}"
            assert time.monotonic() - began < seconds, (
                f"not ready in {seconds} s:\n{self._said(before).decode()[-4000:]}"
            )
            time.sleep(0.005)
        return time.monotonic() - began

    def _said(self, start: int = 0) -> bytes:
        with open(self.log, "rb") as log:
            log.seek(start)
            return log.read()

    def _note_ids(self) -> None:
        """Ids of all containers that ever had a directory: what the leak check looks for among cgroups."""
        while not self._watching.wait(0.05):
            for parent in (self.exec_root, self.data_root / "containers"):
                with contextlib.suppress(OSError):
                    self.seen.update(name for name in os.listdir(parent) if len(name) == 64)

    def stop(self) -> None:
        """SIGTERM, as a service manager would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: containers, names and ports must not notice."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(timeout=20)

    @contextlib.contextmanager
    def with_flags(self, *flags: str) -> Iterator[None]:
        """The daemon with further flags; afterwards, with nothing left on it, without them again."""
        usual = self.flags
        try:
            self.flags = [*usual, *flags]
            self.stop()
            self.start()
            yield
        finally:
            self.flags = usual
            if self._process is not None and self._process.poll() is None:
                self.clear()
                self.stop()
            self.start()

    def processes(self, word: str) -> list[int]:
        """Processes of this engine whose command line has ``word``."""
        return [pid for pid, line in self.command_lines() if word in line]

    def command_lines(self) -> Iterator[tuple[int, str]]:
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) != os.getpid():
                with contextlib.suppress(OSError):
                    line = Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                    if str(self.base) in line:
                        yield int(entry), line

    @property
    def resolver(self) -> int:
        """The pid of the DNS process."""
        found = self.processes("fairlead.dns") or self.processes("fairlead resolver")
        assert len(found) == 1, f"resolver processes: {found}"
        return found[0]

    def close(self) -> None:
        """Removes what is left through the API, stops the daemon, then whatever still runs of it."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(Exception):
                self.clear()
            self.stop()
        self._watching.set()
        self._watcher.join()
        for pid, _ in list(self.command_lines()):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    # -- clients ------------------------------------------------------------------------------------------------------

    @property
    def environment(self) -> dict[str, str]:
        keep = {name: os.environ[name] for name in ("PATH", "LANG", "DOCKER_API_VERSION") if name in os.environ}
        return keep | {
            "HOME": str(self.base),
            "DOCKER_CONFIG": str(self.base / "docker-config"),
            "DOCKER_HOST": f"unix://{self.socket}",
            "DOCKER_CLI_HINTS": "false",
            "DOCKER_BUILDKIT": "0",
        }

    def docker(
        self, *args: str, check: bool = True, text: str | None = None, timeout: float = 25
    ) -> subprocess.CompletedProcess[str]:
        """The official docker CLI against this engine."""
        return self._client("docker", args, check=check, text=text, timeout=timeout)

    def fairlead(
        self, *args: str, check: bool = True, text: str | None = None, timeout: float = 25
    ) -> subprocess.CompletedProcess[str]:
        """Our own CLI against this engine."""
        return self._client(FAIRLEAD, args, check=check, text=text, timeout=timeout)

    def _client(
        self, program: str, args: tuple[str, ...], *, check: bool, text: str | None, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [program, *args],
            input="" if text is None else text,
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(
                f"{Path(program).name} {' '.join(args)}: exit {done.returncode}: {done.stderr.strip()}"
            )
        return done

    def out(self, *args: str) -> str:
        """Standard output of a docker command, stripped."""
        return self.docker(*args).stdout.strip()

    def inspect(self, name: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self.out("inspect", name))
        return found[0]

    def netns(self, name: str) -> str:
        """The path of a running container's network namespace."""
        return f"/proc/{self.inspect(name)['State']['Pid']}/ns/net"

    def listens(self, name: str, port: int) -> None:
        """Waits until the program in the container answers on ``port``: it starts when its container has."""
        netns = self.netns(name)

        def answers() -> bool:
            with contextlib.suppress(OSError):
                return inside.run(netns, lambda: inside.exchange("127.0.0.1", port, b"GET / HTTP/1.0\r\n\r\n")) != b""
            return False

        wait_until(answers, f"{name} listens on {port}")

    def network(self, name: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self.out("network", "inspect", name))
        return found[0]

    def address(self, name: str, network: str = "bridge") -> str:
        return str(self.inspect(name)["NetworkSettings"]["Networks"][network]["IPAddress"])

    def address6(self, name: str, network: str) -> str:
        return str(self.inspect(name)["NetworkSettings"]["Networks"][network]["GlobalIPv6Address"])

    def execute(self, name: str, *argv: str, check: bool = True) -> str:
        """Standard output of a command in a container."""
        return self.docker("exec", name, *argv, check=check).stdout

    def request(
        self, method: str, path: str, body: object = None, *, headers: dict[str, str] | None = None, timeout: float = 30
    ) -> tuple[int, dict[str, str], bytes]:
        """One HTTP call: status, headers with lower-case names, body. A body of bytes goes as it is, else as JSON."""
        link = UnixConnection(self.socket, timeout)
        payload = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        given = {"Content-Type": "application/json"} if payload is not None else {}
        try:
            link.request(method, path, payload, given | (headers or {}))
            reply = link.getresponse()
            return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()
        finally:
            link.close()

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """One JSON call: status and the decoded answer (None when there is none)."""
        status, _, text = self.request(method, path, body)
        return status, json.loads(text) if text.strip() else None

    @contextlib.contextmanager
    def low(self) -> Iterator[docker.APIClient]:
        """docker-py's low-level client."""
        client = docker.APIClient(base_url=f"unix://{self.socket}", version="auto", timeout=30)
        try:
            yield client
        finally:
            client.close()

    @contextlib.contextmanager
    def high(self) -> Iterator[docker.DockerClient]:
        """docker-py's high-level client."""
        client = docker.DockerClient(base_url=f"unix://{self.socket}", version="auto", timeout=30)
        try:
            yield client
        finally:
            client.close()

    # -- for many tests -----------------------------------------------------------------------------------------------

    def load(self, archive: Path) -> None:
        self.docker("load", "-i", str(archive))

    def clear(self) -> None:
        """No container, custom network or volume is left; images stay."""
        with self.low() as api:
            for container in api.containers(all=True, quiet=True):
                with contextlib.suppress(NotFound):
                    with contextlib.suppress(APIError):
                        api.unpause(container["Id"])
                    api.remove_container(container["Id"], v=True, force=True)
            # Those that others have their configuration from go last.
            for network in sorted(api.networks(), key=lambda entry: entry["ConfigOnly"]):
                if network["Name"] not in ("bridge", "host", "none"):
                    with contextlib.suppress(NotFound):
                        api.remove_network(network["Id"])
            for volume in api.volumes()["Volumes"] or ():
                with contextlib.suppress(NotFound):
                    api.remove_volume(volume["Name"], force=True)


def second_host(engine: Engine) -> Host:
    """The host on the other end of the outer link."""
    return engine.machine.peer
