"""Reading counters of either version from trees of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairlead.ids import ContainerId
from fairlead.kernel.cgroups import BlockCount, Cgroups, Layout, Sample, detect

PATH = "/fairlead/" + "a" * 64


def write(base: Path, **files: str) -> None:
    base.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (base / name.replace("__", ".")).write_text(content, encoding="ascii")


@pytest.fixture
def v2(tmp_path: Path) -> Cgroups:
    write(tmp_path, cgroup__controllers="cpu memory")
    write(
        tmp_path / PATH[1:],
        cgroup__procs="12\n7\n",
        cpu__stat="usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 9\nnr_throttled 1\nthrottled_usec 4\n",
        memory__current="4096\n",
        memory__max="max\n",
        memory__stat="anon 1024\nfile 3072\n",
        memory__events="low 0\noom 2\noom_kill 1\n",
        pids__current="2\n",
        pids__max="100\n",
        io__stat="254:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n",
    )
    return Cgroups(str(tmp_path))


@pytest.fixture
def v1(tmp_path: Path) -> Cgroups:
    (tmp_path / "unified").mkdir()
    write(tmp_path / "unified", cgroup__controllers="hugetlb")
    (tmp_path / "cpu").symlink_to(tmp_path / "cpu,cpuacct")
    (tmp_path / "cpuacct").symlink_to(tmp_path / "cpu,cpuacct")
    write(
        tmp_path / "cpu,cpuacct" / PATH[1:],
        cpuacct__usage="5000\n",
        cpuacct__stat="user 3\nsystem 2\n",
        cpuacct__usage_percpu="2000 3000 \n",
        cpu__stat="nr_periods 9\nnr_throttled 1\nthrottled_time 4\n",
        cgroup__procs="7\n",
    )
    write(
        tmp_path / "memory" / PATH[1:],
        memory__usage_in_bytes="4096\n",
        memory__max_usage_in_bytes="8192\n",
        memory__limit_in_bytes="9223372036854771712\n",
        memory__failcnt="3\n",
        memory__stat="cache 1\ntotal_rss 2\n",
        memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
        cgroup__procs="7\n12\n",
    )
    write(
        tmp_path / "blkio" / PATH[1:],
        blkio__throttle__io_service_bytes_recursive="254:0 Read 10\n254:0 Write 20\nTotal 30\n",
    )
    return Cgroups(str(tmp_path))


def test_layouts(v1: Cgroups, tmp_path: Path) -> None:
    assert v1.layout is Layout.HYBRID
    assert detect(str(tmp_path / "blkio")) is Layout.V1
    write(tmp_path, cgroup__controllers="cpu")
    assert detect(str(tmp_path)) is Layout.V2


def test_version_2_counters(v2: Cgroups) -> None:
    assert v2.sample(PATH) == Sample(
        cpu_total=5000,
        cpu_user=3000,
        cpu_system=2000,
        periods=9,
        throttled_periods=1,
        throttled_time=4000,
        memory=4096,
        memory_limit=0,
        memory_failures=2,
        memory_detail={"anon": 1024, "file": 3072},
        pids=2,
        pids_limit=100,
        block_bytes=(BlockCount(254, 0, "read", 10), BlockCount(254, 0, "write", 20)),
        block_operations=(BlockCount(254, 0, "read", 1), BlockCount(254, 0, "write", 2)),
    )
    assert v2.oom_kills(PATH) == 1
    assert v2.pids(PATH) == [7, 12]


def test_version_1_counters(v1: Cgroups) -> None:
    sample = v1.sample(PATH)
    assert (sample.cpu_total, sample.cpu_each) == (5000, (2000, 3000))
    assert sample.cpu_user == 3 * sample.cpu_system // 2
    assert (sample.memory, sample.memory_peak, sample.memory_limit, sample.memory_failures) == (4096, 8192, 0, 3)
    assert sample.block_bytes == (BlockCount(254, 0, "read", 10), BlockCount(254, 0, "write", 20))
    assert v1.oom_kills(PATH) == 4
    assert v1.pids(PATH) == [7, 12]


def test_hierarchies_that_are_mere_links_count_once(v1: Cgroups) -> None:
    assert [Path(found).parts[-3] for found in v1.directories(PATH)] == ["blkio", "cpu,cpuacct", "memory"]


def test_paths(v2: Cgroups) -> None:
    container = ContainerId("a" * 64)
    assert v2.path_for(container) == PATH
    assert v2.path_for(container, "/lxc/x/") == f"/lxc/x/{container}"
    assert v2.children() == [PATH]
    assert v2.children("/none") == []


def test_a_container_that_is_gone_counts_nothing(v1: Cgroups, v2: Cgroups) -> None:
    assert v1.sample("/gone") == Sample()
    assert v2.sample("/gone") == Sample()
