"""Limits: what is asked for stands in the container's cgroup and holds."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead.runtime.resources import LimitFacts, render_limits
from kernel.runtime_harness import CGROUPS, PARENT, Box, Place, make_place

pytestmark = pytest.mark.skipif(not (CGROUPS / "memory").is_dir(), reason="reads the files of cgroup v1")


@pytest.fixture(params=["crun", "runc"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with make_place(tmp_path, request.param) as made:
        yield made


def value(box: Box, name: str) -> str:
    return (CGROUPS / name.partition(".")[0] / PARENT / box.id / name).read_text().strip()


def running(place: Place, check: str, **host: object) -> list[str]:
    """The values of cgroup files (space-separated names) while a container with these limits runs."""

    async def life() -> list[str]:
        box = Box(place, "sleep", "60", host=host)
        try:
            await box.create()
            await box.start()
            return [value(box, name) for name in check.split()]
        finally:
            await box.remove()

    return asyncio.run(life())


def test_memory_and_swap(place: Place) -> None:
    limit = 64 << 20
    names = "memory.limit_in_bytes memory.soft_limit_in_bytes"
    assert running(place, names, memory=limit, memory_reservation=limit // 2) == [str(limit), str(limit // 2)]
    if (CGROUPS / "memory/memory.memsw.limit_in_bytes").exists():
        assert running(place, "memory.memsw.limit_in_bytes", memory=limit) == [str(2 * limit)]


def test_cpus_shares_and_sets(place: Place) -> None:
    names = "cpu.cfs_quota_us cpu.cfs_period_us cpu.shares"
    assert running(place, names, nano_cpus=1_500_000_000, cpu_shares=333) == ["150000", "100000", "333"]
    assert running(place, names, cpu_quota=20000, cpu_period=50000) == ["20000", "50000", "1024"]
    assert running(place, "cpuset.cpus cpuset.mems", cpuset_cpus="0", cpuset_mems="0") == ["0", "0"]


def test_pids(place: Place) -> None:
    assert running(place, "pids.max", pids_limit=7) == ["7"]
    assert running(place, "pids.max", pids_limit=-1) == ["max"]


def test_update_changes_a_running_container(place: Place) -> None:
    async def life() -> list[str]:
        box = Box(place, "sleep", "60", host={"memory": 64 << 20, "memory_swap": -1})
        try:
            await box.create()
            await box.start()
            changed = Box(place, "x", host={"memory": 32 << 20, "memory_swap": -1, "cpu_shares": 77}).container.host
            await box.oci.update(box.id, render_limits(changed, LimitFacts()))
            return [value(box, name) for name in ("memory.limit_in_bytes", "cpu.shares")]
        finally:
            await box.remove()

    assert asyncio.run(life()) == [str(32 << 20), "77"]


def test_too_much_memory_ends_the_container_and_is_counted(place: Place) -> None:
    async def life() -> tuple[int, str]:
        host = {"memory": 16 << 20, "memory_swap": 16 << 20}
        box = Box(place, "dd", "if=/dev/zero", "of=/dev/null", "bs=60M", "count=1", host=host)
        try:
            code, _, _ = await box.run()
            return code, value(box, "memory.oom_control").splitlines()[-1]
        finally:
            await box.remove()

    assert asyncio.run(life()) == (137, "oom_kill 1")


def test_pause_resume_processes_state_and_kill(place: Place) -> None:
    async def life() -> None:
        box = Box(place, "sh", "-c", "trap 'exit 5' USR1; while :; do echo ready; sleep 0.05; done")
        try:
            launched = await box.create()
            assert (await box.oci.state(box.id))["status"] == "created"
            await box.start()
            assert (await box.oci.state(box.id))["status"] == "running"
            assert launched.pid in await box.oci.processes(box.id)
            await box.oci.pause(box.id)
            assert (await box.oci.state(box.id))["status"] == "paused"
            assert value(box, "freezer.state") == "FROZEN"
            await box.oci.resume(box.id)
            assert value(box, "freezer.state") == "THAWED"
            async with asyncio.timeout(5):
                await box.console.attach().read()
            await box.oci.kill(box.id, signal.SIGUSR1)
            assert await box.exited() == 5
        finally:
            await box.remove()
        assert box.id not in box.oci.known()

    asyncio.run(life())
