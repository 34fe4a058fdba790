"""Control groups of this machine, under a name of the test: counted, frozen, killed, removed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from fairlead.ids import ContainerId
from fairlead.kernel.cgroups import Cgroups, Layout

PARENT = f"/fairlead-test-{os.getpid()}"


@pytest.fixture
def cgroups() -> Cgroups:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    return Cgroups()


@pytest.fixture
def member(cgroups: Cgroups) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A cgroup with a busy process in it."""
    path = cgroups.path_for(ContainerId("a" * 64), PARENT)
    for top in cgroups._hierarchies:
        try:
            os.makedirs(top + path)
        except OSError as error:
            pytest.skip(f"cgroups are not ours to make here: {error}")
    process = subprocess.Popen(["sh", "-c", "while :; do :; done"])
    for directory in cgroups.directories(path):
        for name in ("cpuset.cpus", "cpuset.mems"):
            inherit(directory, name)
        with open(f"{directory}/cgroup.procs", "w", encoding="ascii") as file:
            file.write(str(process.pid))
    yield path, process
    process.kill()
    process.wait()
    cgroups.remove(PARENT)
    assert not cgroups.exists(PARENT)


def inherit(directory: str, name: str) -> None:
    """A version 1 cpuset is born empty and takes nobody."""
    above = os.path.dirname(directory)
    if not os.path.exists(f"{directory}/{name}") or os.path.exists(f"{directory}/cgroup.controllers"):
        return
    if above.endswith(PARENT):
        inherit(above, name)
    with (
        open(f"{above}/{name}", encoding="ascii") as source,
        open(f"{directory}/{name}", "w", encoding="ascii") as file,
    ):
        file.write(source.read())


def state(pid: int) -> str:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rsplit(")", 1)[1].split()[0]


def test_processes_and_counters(cgroups: Cgroups, member: tuple[str, subprocess.Popen[bytes]]) -> None:
    path, process = member
    assert cgroups.pids(path) == [process.pid]
    assert cgroups.children(PARENT) == [path]
    sample = cgroups.sample(path)
    assert sample.memory_limit == 0
    assert cgroups.oom_kills(path) == 0
    if os.path.exists("/sys/fs/cgroup/pids") or cgroups.layout is Layout.V2:
        assert sample.pids == 1


def test_freezing_stops_and_thawing_goes_on(cgroups: Cgroups, member: tuple[str, subprocess.Popen[bytes]]) -> None:
    path, process = member
    cgroups.freeze(path)
    assert state(process.pid) in "DS"
    cgroups.thaw(path)
    assert state(process.pid) == "R"


def test_killing_reaches_a_frozen_cgroup(cgroups: Cgroups, member: tuple[str, subprocess.Popen[bytes]]) -> None:
    path, process = member
    cgroups.freeze(path)
    assert cgroups.kill(path) == [process.pid]
    assert process.wait(5) == -9


def test_an_unknown_cgroup_counts_nothing(cgroups: Cgroups) -> None:
    assert cgroups.sample("/no/such").memory == 0
    assert cgroups.pids("/no/such") == []
    cgroups.remove("/no/such")
    assert cgroups.path_for(ContainerId("a"), "") == "/fairlead/a"
