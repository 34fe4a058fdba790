"""GET /containers/{id}/stats: a sample in Docker's shape."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from fairlead.model.views import BlockCount, StatsSample
from fairlead.wire.times import ZERO, rfc3339

NO_CPU: dict[str, Any] = {
    "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
    "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
}
_NO_BLOCK_IO = dict.fromkeys(
    (
        "io_service_bytes_recursive",
        "io_serviced_recursive",
        "io_queue_recursive",
        "io_service_time_recursive",
        "io_wait_time_recursive",
        "io_merged_recursive",
        "io_time_recursive",
        "sectors_recursive",
    ),
)


def stats(sample: StatsSample) -> dict[str, Any]:
    """One sample; ``paired`` adds the one before it, which clients need to compute CPU per cent."""
    entry: dict[str, Any] = {
        "name": f"/{sample.name}",
        "id": sample.id,
        "read": rfc3339(sample.read) if sample.running else ZERO,
        "preread": ZERO,
        "pids_stats": _pids(sample),
        "blkio_stats": _block_io(sample),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": _cpu(sample) if sample.running else NO_CPU,
        "precpu_stats": NO_CPU,
        "memory_stats": _memory(sample) if sample.running else {},
    }
    if sample.interfaces:
        entry["networks"] = {name: asdict(counters) for name, counters in sample.interfaces.items()}
    return entry


def paired(entry: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
    """``entry`` with the CPU figures of the sample before it."""
    if before is None:
        return entry
    return entry | {"preread": before["read"], "precpu_stats": before["cpu_stats"]}


def _pids(sample: StatsSample) -> dict[str, int]:
    if not sample.running:
        return {}
    return {"current": sample.pids} | ({"limit": sample.pids_limit} if sample.pids_limit else {})


def _cpu(sample: StatsSample) -> dict[str, Any]:
    usage: dict[str, Any] = {"total_usage": sample.cpu_total}
    if sample.percpu:
        usage["percpu_usage"] = list(sample.percpu)
    return {
        "cpu_usage": usage | {"usage_in_kernelmode": sample.cpu_kernel, "usage_in_usermode": sample.cpu_user},
        "system_cpu_usage": sample.system_cpu,
        "online_cpus": sample.online_cpus,
        "throttling_data": {
            "periods": sample.throttling_periods,
            "throttled_periods": sample.throttled_periods,
            "throttled_time": sample.throttled_time,
        },
    }


def _memory(sample: StatsSample) -> dict[str, Any]:
    entry: dict[str, Any] = {"usage": sample.memory_usage}
    if sample.memory_max_usage:
        entry["max_usage"] = sample.memory_max_usage
    entry["stats"] = dict(sample.memory)
    if sample.memory_failcnt:
        entry["failcnt"] = sample.memory_failcnt
    return entry | {"limit": sample.memory_limit}


def _block_io(sample: StatsSample) -> dict[str, Any]:
    return _NO_BLOCK_IO | {
        "io_service_bytes_recursive": _counts(sample.blkio_bytes),
        "io_serviced_recursive": _counts(sample.blkio_ops),
    }


def _counts(counts: Iterable[BlockCount]) -> list[dict[str, Any]] | None:
    return [asdict(count) for count in counts] or None
