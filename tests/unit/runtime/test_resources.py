from __future__ import annotations

import pytest

from fairlead.model.container import HostConfig, ThrottleDevice, Ulimit, WeightDevice
from fairlead.runtime.resources import (
    DeviceNumber,
    LimitFacts,
    block_device_paths,
    memory_and_swap,
    render_limits,
    render_rlimits,
)


def test_nothing_asked_nothing_rendered() -> None:
    assert render_limits(HostConfig(), LimitFacts()) == {}


@pytest.mark.parametrize(
    ("host", "memory"),
    [
        (HostConfig(memory=100), {"limit": 100, "swap": 200}),
        (HostConfig(memory=100, memory_swap=-1), {"limit": 100, "swap": -1}),
        (
            HostConfig(memory=100, memory_swap=150, memory_reservation=50),
            {"limit": 100, "reservation": 50, "swap": 150},
        ),
        (HostConfig(memory_swappiness=0, oom_kill_disable=True), {"swappiness": 0, "disableOOMKiller": True}),
        (HostConfig(memory_swappiness=-1, oom_kill_disable=False), None),
    ],
)
def test_memory(host: HostConfig, memory: dict[str, object] | None) -> None:
    assert render_limits(host, LimitFacts()).get("memory") == memory


def test_a_kernel_without_swap_accounting_is_not_asked_for_it() -> None:
    assert render_limits(HostConfig(memory=100), LimitFacts(swap=False)) == {"memory": {"limit": 100}}
    assert memory_and_swap(HostConfig(memory=7)) == 14


def test_cpu() -> None:
    assert render_limits(HostConfig(nano_cpus=2_500_000_000), LimitFacts())["cpu"] == {
        "quota": 250000,
        "period": 100000,
    }
    host = HostConfig(
        cpu_shares=5, cpu_quota=1, cpu_period=2, cpuset_cpus="0-1", cpuset_mems="0", cpu_realtime_period=3
    )
    expected = {"shares": 5, "quota": 1, "period": 2, "realtimePeriod": 3, "cpus": "0-1", "mems": "0"}
    assert render_limits(host, LimitFacts())["cpu"] == expected


@pytest.mark.parametrize(("limit", "rendered"), [(5, {"limit": 5}), (0, None), (-1, None), (None, None)])
def test_pids(limit: int | None, rendered: dict[str, int] | None) -> None:
    assert render_limits(HostConfig(pids_limit=limit), LimitFacts()).get("pids") == rendered


def test_block_devices() -> None:
    host = HostConfig(
        blkio_weight=300,
        blkio_weight_device=(WeightDevice(path="/dev/a", weight=10),),
        blkio_device_read_bps=(ThrottleDevice(path="/dev/b", rate=20),),
        blkio_device_write_iops=(ThrottleDevice(path="/dev/a", rate=30),),
    )
    assert block_device_paths(host) == ("/dev/a", "/dev/b")
    facts = LimitFacts(block_devices={"/dev/a": DeviceNumber(8, 0), "/dev/b": DeviceNumber(8, 16)})
    assert render_limits(host, facts)["blockIO"] == {
        "weight": 300,
        "weightDevice": [{"major": 8, "minor": 0, "weight": 10}],
        "throttleReadBpsDevice": [{"major": 8, "minor": 16, "rate": 20}],
        "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 30}],
    }


def test_ulimits_over_the_daemon_s_defaults() -> None:
    host = HostConfig(ulimits=(Ulimit(name="nofile", soft=1, hard=2), Ulimit(name="core", soft=-1, hard=-1)))
    assert render_rlimits(host, {"nofile": (9, 9), "nproc": (3, 4)}) == [
        {"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2},
        {"type": "RLIMIT_NPROC", "soft": 3, "hard": 4},
        {"type": "RLIMIT_CORE", "soft": 2**64 - 1, "hard": 2**64 - 1},
    ]
