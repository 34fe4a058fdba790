"""Control groups of every layout: where a container's are, what they count, freezing, killing, removing."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum

from fairlead.errors import KernelError
from fairlead.ids import ContainerId

_ROOT = "/sys/fs/cgroup"
_DEFAULT_PARENT = "/fairlead"
_UNLIMITED = (1 << 63) - 4096 - 1  # v1 says "no limit" as the largest multiple of a page
_NANOSECONDS = 1_000_000_000
_TICK = _NANOSECONDS // os.sysconf("SC_CLK_TCK")
_REMOVE_PATIENCE = 1.0
_REMOVE_STEP = 0.002


class Layout(StrEnum):
    """Version 1 alone, version 2 alone, or version 1 with a version 2 tree for what is left (hybrid)."""

    V1 = "v1"
    V2 = "v2"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True)
class BlockCount:
    """``operation`` is read, write, sync …, as in Docker's blkio_stats."""

    major: int
    minor: int
    operation: str
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a container's cgroups count now. Times in nanoseconds, sizes in bytes, a limit of 0 is none."""

    cpu_total: int = 0
    cpu_user: int = 0
    cpu_system: int = 0
    cpu_each: tuple[int, ...] = ()
    periods: int = 0
    throttled_periods: int = 0
    throttled_time: int = 0
    memory: int = 0
    memory_peak: int = 0
    memory_limit: int = 0
    memory_failures: int = 0
    memory_detail: Mapping[str, int] = field(default_factory=dict)
    pids: int = 0
    pids_limit: int = 0
    block_bytes: tuple[BlockCount, ...] = ()
    block_operations: tuple[BlockCount, ...] = ()


def detect(root: str = _ROOT) -> Layout:
    if os.path.exists(f"{root}/cgroup.controllers"):
        return Layout.V2
    return Layout.HYBRID if os.path.exists(f"{root}/unified/cgroup.controllers") else Layout.V1


class Cgroups:
    """The cgroups of this machine; a container's is named by its path below each hierarchy's root."""

    def __init__(self, root: str = _ROOT) -> None:
        self.layout = detect(root)
        self._root = root
        self._hierarchies = [root] if self.layout is Layout.V2 else list(_v1_hierarchies(root))

    def path_for(self, container: ContainerId, parent: str = "") -> str:
        """Where a container's cgroup is to be: below ``parent`` (--cgroup-parent), else below ours."""
        above = "/" + parent.strip("/") if parent.strip("/") else _DEFAULT_PARENT
        return f"{above}/{container}"

    def directories(self, path: str) -> list[str]:
        """The directories of a cgroup that exist, one per hierarchy."""
        return [found for top in self._hierarchies if os.path.isdir(found := top + path)]

    def exists(self, path: str) -> bool:
        return bool(self.directories(path))

    def children(self, parent: str = _DEFAULT_PARENT) -> list[str]:
        """The cgroups right below one, in any hierarchy."""
        names = {name for top in self.directories(parent) for name in os.listdir(top) if os.path.isdir(f"{top}/{name}")}
        return [f"{parent}/{name}" for name in sorted(names)]

    def pids(self, path: str) -> list[int]:
        """The processes in a cgroup and below."""
        found: set[int] = set()
        for directory in self.directories(path)[:1] if self.layout is Layout.V2 else self.directories(path):
            for below, _, _ in os.walk(directory):
                found.update(map(int, _read(f"{below}/cgroup.procs").split()))
        return sorted(found)

    def sample(self, path: str) -> Sample:
        """All counters at once; zeros where the cgroup, or a controller, is not there."""
        return _sample_v2(self._root + path) if self.layout is Layout.V2 else _sample_v1(self._root, path)

    def freeze(self, path: str) -> None:
        """Stop every process of the cgroup; returns when all stand still."""
        self._set_frozen(path, frozen=True)

    def thaw(self, path: str) -> None:
        self._set_frozen(path, frozen=False)

    def _set_frozen(self, path: str, *, frozen: bool) -> None:
        if self.layout is Layout.V2:
            state, value, wanted = f"{self._root}{path}/cgroup.freeze", str(int(frozen)), f"frozen {int(frozen)}"
            check = f"{self._root}{path}/cgroup.events"
        else:
            check = state = f"{self._root}/freezer{path}/freezer.state"
            wanted = value = "FROZEN" if frozen else "THAWED"
        _write(state, value)
        deadline = time.monotonic() + _REMOVE_PATIENCE
        while wanted not in _read(check) and time.monotonic() < deadline:
            time.sleep(_REMOVE_STEP)

    def kill(self, path: str) -> list[int]:
        """SIGKILL to every process in there; those that were found. A frozen cgroup is thawed, or none would die."""
        if self.layout is Layout.V2 and os.path.exists(f"{self._root}{path}/cgroup.kill"):
            found = self.pids(path)
            with suppress(KernelError):
                _write(f"{self._root}{path}/cgroup.kill", "1")
            return found
        found = self.pids(path)
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with suppress(KernelError):
            self._set_frozen(path, frozen=False)
        return found

    def oom_kills(self, path: str) -> int:
        """How often the kernel killed in there for want of memory."""
        if self.layout is Layout.V2:
            return _table(f"{self._root}{path}/memory.events").get("oom_kill", 0)
        return _table(f"{self._root}/memory{path}/memory.oom_control").get("oom_kill", 0)

    def remove(self, path: str) -> None:
        """Remove the cgroup and what is below from every hierarchy; processes that are dying are waited for."""
        for directory in self.directories(path):
            for below, _, _ in os.walk(directory, topdown=False):
                _remove_directory(below)


def _v1_hierarchies(root: str) -> Iterator[str]:
    """The mounted hierarchies; names like ``cpu`` that only link to ``cpu,cpuacct`` are left out."""
    with suppress(FileNotFoundError), os.scandir(root) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name != "unified" and entry.is_dir(follow_symlinks=False):
                yield entry.path


def _remove_directory(directory: str) -> None:
    deadline = time.monotonic() + _REMOVE_PATIENCE
    while True:
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            return
        except OSError as error:
            # A killed process leaves its cgroup only once it is reaped.
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise KernelError("remove cgroup", directory, error.errno or 0) from error
            time.sleep(_REMOVE_STEP)
        else:
            return


def _read(path: str) -> str:
    """The content, "" where there is none: a cgroup may go at any moment."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _write(path: str, value: str) -> None:
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(value)
    except OSError as error:
        raise KernelError("write", path, error.errno or 0) from error


def _number(path: str) -> int:
    """A count; 0 for none, "max" and version 1's "no limit"."""
    content = _read(path).strip()
    value = int(content) if content.isdecimal() else 0
    return 0 if value >= _UNLIMITED else value


def _table(path: str) -> dict[str, int]:
    """``name value`` lines."""
    pairs = (line.rsplit(None, 1) for line in _read(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _sample_v1(root: str, path: str) -> Sample:
    memory, accounts, pids = f"{root}/memory{path}", f"{root}/cpuacct{path}", f"{root}/pids{path}"
    times = _table(f"{accounts}/cpuacct.stat")
    throttling = _table(f"{root}/cpu{path}/cpu.stat")
    return Sample(
        cpu_total=_number(f"{accounts}/cpuacct.usage"),
        cpu_user=times.get("user", 0) * _TICK,
        cpu_system=times.get("system", 0) * _TICK,
        cpu_each=tuple(map(int, _read(f"{accounts}/cpuacct.usage_percpu").split())),
        periods=throttling.get("nr_periods", 0),
        throttled_periods=throttling.get("nr_throttled", 0),
        throttled_time=throttling.get("throttled_time", 0),
        memory=_number(f"{memory}/memory.usage_in_bytes"),
        memory_peak=_number(f"{memory}/memory.max_usage_in_bytes"),
        memory_limit=_number(f"{memory}/memory.limit_in_bytes"),
        memory_failures=_number(f"{memory}/memory.failcnt"),
        memory_detail=_table(f"{memory}/memory.stat"),
        pids=_number(f"{pids}/pids.current"),
        pids_limit=_number(f"{pids}/pids.max"),
        block_bytes=tuple(_blocks_v1(f"{root}/blkio{path}/blkio.throttle.io_service_bytes_recursive")),
        block_operations=tuple(_blocks_v1(f"{root}/blkio{path}/blkio.throttle.io_serviced_recursive")),
    )


def _blocks_v1(path: str) -> Iterator[BlockCount]:
    """Lines like ``254:0 Read 4096``; the totals at the end are left out."""
    for line in _read(path).splitlines():
        match line.split():
            case [device, operation, value] if ":" in device:
                major, _, minor = device.partition(":")
                yield BlockCount(int(major), int(minor), operation.lower(), int(value))


def _sample_v2(directory: str) -> Sample:
    cpu, events = _table(f"{directory}/cpu.stat"), _table(f"{directory}/memory.events")
    blocks = list(_blocks_v2(f"{directory}/io.stat"))
    return Sample(
        cpu_total=cpu.get("usage_usec", 0) * 1000,
        cpu_user=cpu.get("user_usec", 0) * 1000,
        cpu_system=cpu.get("system_usec", 0) * 1000,
        periods=cpu.get("nr_periods", 0),
        throttled_periods=cpu.get("nr_throttled", 0),
        throttled_time=cpu.get("throttled_usec", 0) * 1000,
        memory=_number(f"{directory}/memory.current"),
        memory_peak=_number(f"{directory}/memory.peak"),
        memory_limit=_number(f"{directory}/memory.max"),
        memory_failures=events.get("oom", 0),
        memory_detail=_table(f"{directory}/memory.stat"),
        pids=_number(f"{directory}/pids.current"),
        pids_limit=_number(f"{directory}/pids.max"),
        block_bytes=_chosen(blocks, {"rbytes": "read", "wbytes": "write"}),
        block_operations=_chosen(blocks, {"rios": "read", "wios": "write"}),
    )


def _blocks_v2(path: str) -> Iterator[BlockCount]:
    """Lines like ``254:0 rbytes=4096 wbytes=0 rios=1 …``, under the kernel's names."""
    for line in _read(path).splitlines():
        device, *pairs = line.split()
        major, _, minor = device.partition(":")
        for key, _, value in (pair.partition("=") for pair in pairs):
            if minor.isdecimal() and value.isdecimal():
                yield BlockCount(int(major), int(minor), key, int(value))


def _chosen(blocks: list[BlockCount], names: Mapping[str, str]) -> tuple[BlockCount, ...]:
    """Those counts, under Docker's names."""
    return tuple(replace(block, operation=names[block.operation]) for block in blocks if block.operation in names)


def host_cpu() -> tuple[int, int]:
    """(time all processors spent on everything, in nanoseconds; how many are online): Docker's system_cpu_usage."""
    lines = _read("/proc/stat").splitlines()
    busy = sum(map(int, lines[0].split()[1:8])) * _TICK if lines else 0
    return busy, sum(1 for line in lines if line.startswith("cpu") and line[3:4].isdecimal())


def host_memory() -> int:
    """All memory in bytes: what a container without a limit may use."""
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0
