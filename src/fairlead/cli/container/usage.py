"""What a container uses, out of two samples of the stats call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from fairlead.cli.listing import Column, Listing
from fairlead.cli.units import binary_size, human_size

Json = Mapping[str, Any]


class Usage(NamedTuple):
    """``known`` is false while no sample came: then everything shows as dashes."""

    container: str
    id: str
    name: str
    known: bool = False
    cpu: float = 0.0
    memory: int = 0
    limit: int = 0
    received: int = 0
    sent: int = 0
    read: int = 0
    written: int = 0
    pids: int = 0


def measured(container: str, sample: Json) -> Usage:
    memory: Json = sample.get("memory_stats") or {}
    networks = (sample.get("networks") or {}).values()
    blocks = (sample.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []
    return Usage(
        container,
        str(sample.get("id") or ""),
        str(sample.get("name") or "").removeprefix("/"),
        known=True,
        cpu=_cpu_percent(sample.get("precpu_stats") or {}, sample.get("cpu_stats") or {}),
        memory=_used_memory(memory),
        limit=memory.get("limit") or 0,
        received=sum(network.get("rx_bytes", 0) for network in networks),
        sent=sum(network.get("tx_bytes", 0) for network in networks),
        read=_blocks(blocks, "r"),
        written=_blocks(blocks, "w"),
        pids=(sample.get("pids_stats") or {}).get("current") or 0,
    )


def _cpu_percent(before: Json, now: Json) -> float:
    """Of one CPU: two busy ones are 200."""
    used = _total(now) - _total(before)
    passed = (now.get("system_cpu_usage") or 0) - (before.get("system_cpu_usage") or 0)
    cpus = now.get("online_cpus") or len((now.get("cpu_usage") or {}).get("percpu_usage") or ())
    return used / passed * cpus * 100 if used > 0 and passed > 0 else 0.0


def _total(cpu: Json) -> int:
    return int((cpu.get("cpu_usage") or {}).get("total_usage") or 0)


def _used_memory(memory: Json) -> int:
    """Without the page cache that the kernel gives back on demand; its name differs between cgroup v1 and v2."""
    usage, details = memory.get("usage") or 0, memory.get("stats") or {}
    for name in ("total_inactive_file", "inactive_file"):
        cache = details.get(name)
        if cache is not None and cache < usage:
            return int(usage - cache)
    return int(usage)


def _blocks(entries: Any, letter: str) -> int:
    return sum(entry.get("value", 0) for entry in entries if str(entry.get("op", "")).lower().startswith(letter))


def _memory_percent(use: Usage) -> str:
    if not use.known:
        return "--"
    return f"{use.memory / use.limit * 100 if use.limit else 0:.2f}%"


def _pair(use: Usage, left: float, right: float) -> str:
    return f"{human_size(left, 3)} / {human_size(right, 3)}" if use.known else "--"


def _memory(use: Usage) -> str:
    return f"{binary_size(use.memory)} / {binary_size(use.limit)}" if use.known else "-- / --"


def listing(*, short: bool) -> Listing:
    columns = {
        "Container": Column("CONTAINER", lambda use: use.container),
        "ID": Column("CONTAINER ID", lambda use: use.id[:12] if short else use.id),
        "Name": Column("NAME", lambda use: use.name or "--"),
        "CPUPerc": Column("CPU %", lambda use: f"{use.cpu:.2f}%" if use.known else "--"),
        "MemUsage": Column("MEM USAGE / LIMIT", _memory),
        "MemPerc": Column("MEM %", _memory_percent),
        "NetIO": Column("NET I/O", lambda use: _pair(use, use.received, use.sent)),
        "BlockIO": Column("BLOCK I/O", lambda use: _pair(use, use.read, use.written)),
        "PIDs": Column("PIDS", lambda use: str(use.pids) if use.known else "--"),
    }
    table = ["ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"]
    return Listing("container.statsContext", columns, table, "ID")
