"""Limits: --memory, --cpus, --pids-limit, --ulimit and their kin as OCI resources and rlimits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fairlead.model.container import HostConfig, ThrottleDevice, WeightDevice

Json = dict[str, Any]

_NANO = 1_000_000_000
_CPUS_PERIOD = 100_000
# --ulimit's default when no other limit is given is the daemon's own; the kernel's "no limit" is all ones.
_UNLIMITED = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class DeviceNumber:
    major: int
    minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitFacts:
    """What rendering limits must know of the host: swap accounting, and the numbers of the block devices named."""

    swap: bool = True
    block_devices: Mapping[str, DeviceNumber] = field(default_factory=dict)


def render_limits(host: HostConfig, facts: LimitFacts) -> Json:
    """OCI ``linux.resources`` without devices; only what was asked for is in it."""
    parts = {
        "memory": _memory(host, facts),
        "cpu": _cpu(host),
        "pids": _pids(host),
        "blockIO": _block_io(host, facts),
    }
    return {name: part for name, part in parts.items() if part}


def render_rlimits(host: HostConfig, defaults: Mapping[str, tuple[int, int]]) -> list[Json]:
    """The container's ulimits over the daemon's defaults."""
    chosen = {**defaults, **{limit.name: (limit.soft, limit.hard) for limit in host.ulimits or ()}}
    return [
        {"type": f"RLIMIT_{name.upper()}", "soft": _rlimit(soft), "hard": _rlimit(hard)}
        for name, (soft, hard) in chosen.items()
    ]


def _rlimit(value: int) -> int:
    return _UNLIMITED if value < 0 else value


def memory_and_swap(host: HostConfig) -> int:
    """Docker's rule: without --memory-swap a limited container may swap as much again as it has memory."""
    if host.memory > 0 and host.memory_swap == 0:
        return host.memory * 2
    return host.memory_swap


def _memory(host: HostConfig, facts: LimitFacts) -> Json:
    memory: Json = {}
    if host.memory > 0:
        memory["limit"] = host.memory
    if host.memory_reservation > 0:
        memory["reservation"] = host.memory_reservation
    if (swap := memory_and_swap(host)) != 0 and facts.swap:
        memory["swap"] = swap
    if host.memory_swappiness is not None and host.memory_swappiness >= 0:
        memory["swappiness"] = host.memory_swappiness
    if host.oom_kill_disable:
        memory["disableOOMKiller"] = True
    return memory


def _cpu(host: HostConfig) -> Json:
    cpu: Json = {
        "shares": host.cpu_shares,
        "quota": host.cpu_quota,
        "period": host.cpu_period,
        "realtimeRuntime": host.cpu_realtime_runtime,
        "realtimePeriod": host.cpu_realtime_period,
        "cpus": host.cpuset_cpus,
        "mems": host.cpuset_mems,
    }
    if host.nano_cpus > 0:
        cpu["period"] = _CPUS_PERIOD
        cpu["quota"] = host.nano_cpus * _CPUS_PERIOD // _NANO
    return {name: value for name, value in cpu.items() if value}


def _pids(host: HostConfig) -> Json:
    """0 and -1 both mean no limit."""
    return {"limit": host.pids_limit} if host.pids_limit is not None and host.pids_limit > 0 else {}


def _block_io(host: HostConfig, facts: LimitFacts) -> Json:
    block: Json = {
        "weight": host.blkio_weight,
        "weightDevice": list(_weights(host.blkio_weight_device or (), facts)),
        "throttleReadBpsDevice": _rates(host.blkio_device_read_bps, facts),
        "throttleWriteBpsDevice": _rates(host.blkio_device_write_bps, facts),
        "throttleReadIOPSDevice": _rates(host.blkio_device_read_iops, facts),
        "throttleWriteIOPSDevice": _rates(host.blkio_device_write_iops, facts),
    }
    return {name: value for name, value in block.items() if value}


def _weights(devices: Iterable[WeightDevice], facts: LimitFacts) -> Iterable[Json]:
    for device in devices:
        number = facts.block_devices[device.path]
        yield {"major": number.major, "minor": number.minor, "weight": device.weight}


def _rates(devices: Iterable[ThrottleDevice] | None, facts: LimitFacts) -> list[Json]:
    numbered = ((facts.block_devices[device.path], device.rate) for device in devices or ())
    return [{"major": number.major, "minor": number.minor, "rate": rate} for number, rate in numbered]


def block_device_paths(host: HostConfig) -> tuple[str, ...]:
    """The devices whose numbers ``LimitFacts.block_devices`` must hold."""
    named = (
        host.blkio_weight_device,
        host.blkio_device_read_bps,
        host.blkio_device_write_bps,
        host.blkio_device_read_iops,
        host.blkio_device_write_iops,
    )
    return tuple(dict.fromkeys(device.path for group in named for device in group or ()))
