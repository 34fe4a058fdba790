"""What is, told: inspect, top, stats."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from fairlead.errors import Conflict, EngineError
from fairlead.kernel.cgroups import BlockCount as Counted
from fairlead.kernel.cgroups import host_cpu, host_memory
from fairlead.model.container import Container
from fairlead.model.views import BlockCount, Inspected, InterfaceCounters, StatsSample, Top

if TYPE_CHECKING:
    from fairlead.engine.core import Engine


async def inspect(engine: Engine, container: Container, size: bool) -> Inspected:
    rootfs = engine.containers.rootfs(container)
    image = engine.images.get(container.image)
    size_rw = await engine.in_thread(rootfs.size) if size else None
    return Inspected(
        container=container,
        image=image,
        networks=engine.networks.of(container),
        execs=engine.execs.of(container.id),
        graph=engine.launching.graph(container),
        size_rw=size_rw,
        size_root=None if size_rw is None else size_rw + (image.size if image else 0),
    )


_DEFAULT_PS = "-ef"


async def top(engine: Engine, container: Container, ps_args: str) -> Top:
    """ps(1) on the host, its lines for the container's processes, as dockerd does it."""
    if container.state.status not in ("running", "paused"):
        raise Conflict(f"container {container.id} is not running")
    words = (ps_args or _DEFAULT_PS).split()
    pids = set(engine.launching.pids(container))
    code, output, complaint = await engine.launching.run_program(["ps", *words])
    if code != 0:
        raise EngineError(f"error running ps: {complaint.strip() or code}")
    lines = output.splitlines()
    titles = tuple(lines[0].split())
    if "PID" not in titles:
        raise EngineError("Couldn't find PID field in ps output")
    place = titles.index("PID")
    rows = [tuple(line.split(None, len(titles) - 1)) for line in lines[1:]]
    mine = tuple(row for row in rows if len(row) > place and row[place].isdigit() and int(row[place]) in pids)
    return Top(titles=titles, processes=mine)


async def stats(engine: Engine, container: Container) -> StatsSample:
    """One sample; of a container that does not run, zeroes."""
    if container.state.status not in ("running", "paused"):
        return StatsSample(read=time.time_ns(), name=container.name, id=container.id, running=False)
    sample = engine.cgroups.sample(container.cgroup)
    system, online = host_cpu()
    return StatsSample(
        read=time.time_ns(),
        name=container.name,
        id=container.id,
        cpu_total=sample.cpu_total,
        cpu_kernel=sample.cpu_system,
        cpu_user=sample.cpu_user,
        percpu=sample.cpu_each,
        system_cpu=system,
        online_cpus=online,
        throttling_periods=sample.periods,
        throttled_periods=sample.throttled_periods,
        throttled_time=sample.throttled_time,
        memory_usage=sample.memory,
        memory_max_usage=sample.memory_peak,
        memory_failcnt=sample.memory_failures,
        memory_limit=sample.memory_limit or host_memory(),
        memory=sample.memory_detail,
        pids=sample.pids,
        pids_limit=sample.pids_limit,
        blkio_bytes=tuple(_block(count) for count in sample.block_bytes),
        blkio_ops=tuple(_block(count) for count in sample.block_operations),
        interfaces=interface_counters(container.state.pid),
    )


def _block(count: Counted) -> BlockCount:
    return BlockCount(major=count.major, minor=count.minor, op=count.operation, value=count.value)


def interface_counters(pid: int) -> dict[str, InterfaceCounters]:
    """/proc/PID/net/dev of a container's first process, loopback left out (proc(5) for the columns)."""
    counters = {}
    try:
        with open(f"/proc/{pid}/net/dev", encoding="ascii") as file:
            lines = file.read().splitlines()[2:]
    except OSError:
        return {}
    for line in lines:
        name, _, columns = line.partition(":")
        n = [int(word) for word in columns.split()]
        if name.strip() != "lo":
            counters[name.strip()] = InterfaceCounters(
                rx_bytes=n[0], rx_packets=n[1], rx_errors=n[2], rx_dropped=n[3],
                tx_bytes=n[8], tx_packets=n[9], tx_errors=n[10], tx_dropped=n[11],
            )  # fmt: skip
    return counters
