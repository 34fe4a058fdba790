"""The launch pad: what programs started from it see, and what they do not hold on to."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fairlead.errors import KernelError
from fairlead.kernel import mounts, netns, syscalls
from fairlead.kernel.cgroups import Layout, detect
from fairlead.kernel.launchpad import Launchpad
from fairlead.settings import Settings
from kernel.plumbing import run


@pytest.fixture(params=["private root", "shared root"])
def pad(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Launchpad]:
    """As on this machine, and as under systemd."""
    if request.param == "shared root":
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_SHARED)
    netns.create("before")
    pad = Launchpad(settings)
    yield pad
    pad.close()


def output(pad: Launchpad, *argv: str, prepare: Callable[[], None] | None = None) -> str:
    with pad.spawn(argv, stdout=subprocess.PIPE, prepare=prepare) as process:
        return process.communicate()[0].decode()


def test_pins_are_not_held(pad: Launchpad, machine: Path) -> None:
    netns.create("after")
    seen = output(pad, "cat", "/proc/self/mountinfo")
    assert f"{netns.PINS}/" not in seen
    assert set(netns.pins()) == {"before", "after"}


def test_the_hosts_mounts_stay_as_they_are(pad: Launchpad, settings: Settings) -> None:
    before = run("cat", "/proc/self/mountinfo")
    output(pad, "true", prepare=lambda: mounts.mount("tmpfs", settings.exec_root))
    assert run("cat", "/proc/self/mountinfo") == before


@pytest.mark.skipif(detect() is not Layout.HYBRID, reason="no hybrid cgroups here")
def test_a_hybrid_hosts_version_2_tree_is_out_of_sight(pad: Launchpad) -> None:
    assert " cgroup2 " not in output(pad, "cat", "/proc/self/mountinfo")
    assert " cgroup " in output(pad, "cat", "/proc/self/mountinfo")
    assert os.path.ismount("/sys/fs/cgroup/unified")


def test_what_is_prepared_exists_for_the_program_only(pad: Launchpad, settings: Settings) -> None:
    place = Path(settings.exec_root, "rootfs")
    place.mkdir()

    def prepare() -> None:
        mounts.mount("tmpfs", str(place))
        (place / "inside").touch()

    assert output(pad, "ls", str(place), prepare=prepare) == "inside\n"
    assert list(place.iterdir()) == []
    assert output(pad, "ls", str(place)) == ""


def test_a_failed_preparation_starts_nothing(pad: Launchpad, machine: Path) -> None:
    def prepare() -> None:
        mounts.bind("/no/such/directory", "/mnt")

    with pytest.raises(KernelError):
        pad.spawn(["touch", str(machine / "started")], prepare=prepare)
    assert not (machine / "started").exists()


def test_volumes_mounted_later_are_seen(pad: Launchpad, machine: Path) -> None:
    volume = machine / "volume"
    volume.mkdir()
    mounts.mount("tmpfs", str(volume))
    (volume / "file").touch()
    assert output(pad, "ls", str(volume)) == "file\n"
    mounts.unmount(str(volume))
    assert output(pad, "ls", str(volume)) == ""


def test_descriptors_directory_and_environment_are_as_asked(pad: Launchpad, machine: Path) -> None:
    reading, writing = os.pipe()
    script = f'echo "$PWD $KEY" >/proc/self/fd/{writing}'
    with pad.spawn(["sh", "-c", script], env={"KEY": "value"}, pass_fds=[writing], cwd=str(machine)) as process:
        assert process.wait() == 0
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read() == f"{machine} value\n"


def test_the_exec_root_is_private_while_it_stands(settings: Settings) -> None:
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_SHARED)
    pad = Launchpad(settings)
    assert [entry.shared for entry in mounts.entries() if entry.target == settings.exec_root] == [False]
    again = Launchpad(settings)  # after a crash it is there already
    assert len([entry for entry in mounts.entries() if entry.target == settings.exec_root]) == 1
    container = Path(settings.exec_root, "a" * 64)
    container.mkdir()
    pad.close()
    assert mounts.is_mount(settings.exec_root)  # a container still lives in it
    container.rmdir()
    again.close()
    assert not mounts.is_mount(settings.exec_root)


def test_launching_is_quick(pad: Launchpad, timing: Callable[[str, list[float]], None]) -> None:
    took = []
    for _ in range(15):
        began = time.perf_counter()
        process = pad.spawn(["true"], prepare=lambda: None)
        took.append(time.perf_counter() - began)
        process.wait()
    timing("program launched in mounts of its own", took)
    assert sorted(took)[7] < 0.02
