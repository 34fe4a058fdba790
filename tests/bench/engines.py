"""An engine under measurement, in a host of its own: fairlead, and dockerd and podman where they are installed."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from harness import images
from harness.engine import Engine, wait_until
from harness.machine import Machine


def children(parent: int) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, IndexError):
                if int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1]) == parent:
                    found.append(int(entry))
    return found


class Peer(Engine):
    """What the jobs need of an engine: its clients come from the harness, its processes are named here."""

    title = ""
    monitor = ""  # the program that stays beside each container
    daemons: Sequence[str] = ()  # words in the command lines of the engine's own processes

    def cli(self) -> list[str]:
        """The command a user types; the official client unless the engine has its own."""
        return ["docker"]

    def host_config(self) -> dict[str, object]:
        """What every container needs in its HostConfig for the engine to be able to start it here."""
        return {}

    def answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self.request("GET", "/_ping")[0] == 200
        return False

    def load_images(self) -> None:
        path = self.base / "images.tar"
        path.write_bytes(images.archive(images.recipes()[:1]))
        self.docker("load", "-i", str(path))

    def memory(self, pids: Sequence[int], kind: str = "Rss") -> float:
        """MiB of these processes together."""
        total = 0
        for pid in pids:
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith(f"{kind}:"):
                        total += int(line.split()[1])
        return total / 1024

    def own_processes(self) -> list[int]:
        """The engine's own, and what these started (a proxy per port names no path of ours)."""
        own = [pid for pid, line in self.command_lines() if any(word in line for word in self.daemons)]
        return own + [pid for pid in children(self.pid) if pid not in own]

    def monitors(self) -> list[int]:
        return [pid for pid, line in self.command_lines() if self.monitor in line.split(" ")[0]]


class Fairlead(Peer):
    title = "fairlead"
    monitor = "conmon"
    daemons = ("fairlead daemon", "fairlead.dns", "fairlead resolver")


class Dockerd(Peer):
    title = "dockerd"
    monitor = "containerd-shim"
    daemons = ("dockerd ", "containerd ", "docker-proxy")

    def start(self, seconds: float = 120) -> float:
        argv = ["dockerd", "--data-root", str(self.data_root), "--exec-root", str(self.exec_root)]
        argv += ["--pidfile", str(self.base / "e.pid"), "--host", f"unix://{self.socket}", "--live-restore"]
        return self._spawn(argv, seconds)

    def _spawn(self, argv: list[str], seconds: float) -> float:
        began = time.monotonic()
        with open(self.log, "ab") as log:
            self._process = self.host.popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        wait_until(self.answers, f"{argv[0]} answers", seconds, every=0.005)
        return time.monotonic() - began


class Podman(Dockerd):
    """Has no daemon: its API server is started for the API jobs, its own CLI runs the rest."""

    title = "podman"
    monitor = "conmon"
    daemons = ("podman ", "aardvark-dns")

    def __init__(self, machine: Machine, name: str) -> None:
        super().__init__(machine, name=name)
        # Its command asks for the file that docker only looks for.
        config = self.base / "docker-config" / "config.json"
        config.parent.mkdir()
        config.write_text("{}")
        # Debian's crun refuses a hybrid host, as long as it sees that it is one.
        machine.host.run("sh", "-c", "umount -l /sys/fs/cgroup/unified 2>/dev/null || true")

    def _options(self) -> list[str]:
        return ["--root", str(self.data_root), "--runroot", str(self.exec_root), "--cgroup-manager", "cgroupfs"]

    def cli(self) -> list[str]:
        return [*self.host.enter, *self._command()]

    def _command(self) -> list[str]:
        return ["podman", *self._options()]

    def host_config(self) -> dict[str, object]:
        """Left to itself it asks for higher limits than root may give where the machine itself is a container."""
        limits = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
        return {
            "Ulimits": [
                {"Name": name, "Soft": most, "Hard": most}
                for name, number in limits.items()
                for most in [min(4096, abs(resource.getrlimit(number)[1]))]
            ]
        }

    def start(self, seconds: float = 20) -> float:
        return self._spawn([*self._command(), "system", "service", "-t", "0", f"unix://{self.socket}"], seconds)

    def stop(self) -> None:
        self._end(signal.SIGTERM)


PROGRAMS: Sequence[tuple[type[Peer], str]] = ((Fairlead, ""), (Dockerd, "dockerd"), (Podman, "podman"))


def installed(wanted: Sequence[str]) -> list[type[Peer]]:
    """Fairlead first, then the peers that are here (or those of them that were asked for)."""
    here = [kind for kind, program in PROGRAMS if not program or shutil.which(program)]
    return [kind for kind in here if not wanted or kind.title in wanted]


@contextlib.contextmanager
def started(kind: type[Peer]):
    """The engine in a fresh host, images loaded; all of it gone afterwards."""
    machine = Machine()
    peer = kind(machine, name=kind.title)
    try:
        peer.start()
        peer.load_images()
        yield peer
    finally:
        peer.close()
        machine.close()


def end(pids: Sequence[int]) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
