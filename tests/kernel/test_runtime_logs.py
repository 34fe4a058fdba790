"""Logs that conmon really wrote: read, followed, bounded and rotated; and account files read in layers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead.runtime.loglines import LogLine
from fairlead.runtime.logrotation import LogRotation, keep, remove_logs, rotated_files
from fairlead.runtime.logs import read_logs
from fairlead.runtime.users import Accounts, read_accounts
from kernel.runtime_harness import Box, Place, make_place


@pytest.fixture
def crun(tmp_path: Path) -> Iterator[Place]:
    with make_place(tmp_path, "crun") as made:
        yield made


class Asked:
    """What read_logs is asked, with everything wanted by default."""

    def __init__(self, path: str, **more: object) -> None:
        defaults = {
            "follow": False,
            "tail": None,
            "since": 0,
            "until": 0,
            "stdout": True,
            "stderr": True,
            "running": lambda: False,
        }
        self.lines = read_logs(path, **{**defaults, **more})

    async def all(self) -> list[LogLine]:
        return [line async for line in self.lines]

    async def text(self) -> str:
        return b"".join(line.data for line in await self.all()).decode()


def test_logs_of_a_container(crun: Place) -> None:
    script = "echo one; echo two >&2; sleep 0.02; printf three; sleep 0.02; echo four;"
    script += "head -c 40000 /dev/zero | tr '\\0' x; printf end"

    async def life() -> None:
        box = Box(crun, "sh", "-c", script)
        await box.run()
        lines = await Asked(box.log).all()
        out = b"".join(line.data for line in lines if line.stream == 1)
        assert out == b"one\nthreefour\n" + b"x" * 40000 + b"end"
        assert [line.data for line in lines if line.stream == 2] == [b"two\n"]
        assert await Asked(box.log, stdout=False).text() == "two\n"
        assert (await Asked(box.log, since=lines[2].time_ns).all())[0].data == b"threefour\n"
        assert b"threefour\n" not in [line.data for line in await Asked(box.log, until=lines[1].time_ns).all()]
        assert all(len(line.data) <= 3 * 8192 for line in lines)
        await box.remove()

    asyncio.run(life())


def test_tail(crun: Place) -> None:
    async def life() -> None:
        box = Box(crun, "sh", "-c", "seq 1 20000")
        await box.run()
        assert await Asked(box.log, tail=3).text() == "19998\n19999\n20000\n"
        assert await Asked(box.log, tail=0).text() == ""
        assert len(await Asked(box.log, tail=9999).all()) == 9999
        assert len(await Asked(box.log, tail=99999).all()) == 20000
        await box.remove()

    asyncio.run(life())


def test_following_sees_every_line_and_ends_with_the_container(crun: Place) -> None:
    async def life() -> None:
        box = Box(crun, "sh", "-c", "for i in 1 2 3 4 5; do echo line $i; sleep 0.02; done")
        running = True
        await box.create()
        reading = asyncio.ensure_future(Asked(box.log, follow=True, running=lambda: running).text())
        await box.start()
        assert await box.exited() == 0
        running = False
        ended = asyncio.get_running_loop().time()
        assert await reading == "".join(f"line {number}\n" for number in range(1, 6))
        assert asyncio.get_running_loop().time() - ended < 0.5
        await box.remove()

    asyncio.run(life())


def test_rotation_keeps_as_many_files_as_asked(crun: Place) -> None:
    async def life() -> None:
        box = Box(crun, "sh", "-c", "i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo number $i; usleep 500; done")
        rotation = LogRotation()
        rotation.add(box.log, 3)
        await box.create(log_max=2000)
        followed = asyncio.ensure_future(Asked(box.log, follow=True, running=lambda: not ended.is_set()).text())
        ended = asyncio.Event()
        await box.start()
        await box.exited()
        ended.set()
        rotation.discard(box.log)
        names = sorted(os.path.basename(name).removeprefix(f"{box.id}.log") for name in rotated_files(box.log))
        assert names == [".1", ".2"]
        assert all(os.path.getsize(name) <= 2100 for name in rotated_files(box.log))
        lines = (await Asked(box.log).text()).splitlines()
        assert lines == [f"number {number}" for number in range(201 - len(lines), 201)]
        assert 60 < len(lines) < 200
        # Who follows sees them all, also those whose files are gone by now.
        assert (await followed).splitlines() == [f"number {number}" for number in range(1, 201)]
        rotation.close()
        remove_logs(box.log)
        assert not [name for name in os.listdir(crun.root) if name.startswith(f"{box.id}.log")]
        await box.remove()

    asyncio.run(life())


def write(path: Path, *texts: str) -> None:
    with path.open("a") as file:
        file.writelines(f"2026-01-02T03:04:05.000000006+00:00 stdout F {text}\n" for text in texts)


def test_what_was_rotated_while_nobody_looked_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "log"
    write(log, "a")
    keep(str(log), 3)
    # conmon's way: a new file renamed over the old one.
    fresh = tmp_path / "log.tmp"
    write(fresh, "b")
    fresh.rename(log)
    assert asyncio.run(Asked(str(log)).text()) == "a\nb\n"
    keep(str(log), 3)
    assert [os.path.basename(name) for name in rotated_files(str(log))] == ["log.1"]
    assert asyncio.run(Asked(str(log), tail=2).text()) == "a\nb\n"
    assert asyncio.run(Asked(str(log), tail=1).text()) == "b\n"


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert asyncio.run(Asked(str(tmp_path / "none")).text()) == ""


def test_accounts_come_from_the_topmost_layer_that_has_them(tmp_path: Path) -> None:
    upper, middle, lower = (tmp_path / name for name in ("upper", "middle", "lower"))
    for layer in (upper, middle, lower):
        (layer / "etc").mkdir(parents=True)
    (lower / "etc/passwd").write_text("lower")
    (lower / "etc/group").write_text("groups")
    layers = [str(upper), str(middle), str(lower)]
    assert read_accounts(layers) == Accounts(passwd="lower", group="groups")
    (middle / "etc/passwd").write_text("middle")
    assert read_accounts(layers).passwd == "middle"
    (tmp_path / "secret").write_text("of the host")
    # A link is followed inside the layer only.
    (upper / "etc/passwd").symlink_to("../../secret")
    assert read_accounts(layers).passwd == "middle"
    (upper / "secret").write_text("inside")
    assert read_accounts(layers).passwd == "inside"


def test_a_whiteout_and_an_opaque_directory_hide_accounts_below(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    for layer in (upper, lower):
        (layer / "etc").mkdir(parents=True)
    (lower / "etc/passwd").write_text("lower")
    (lower / "etc/group").write_text("lower")
    os.mknod(upper / "etc/passwd", 0o20000, os.makedev(0, 0))
    assert read_accounts([str(upper), str(lower)]) == Accounts(passwd="", group="lower")
    os.setxattr(upper / "etc", "trusted.overlay.opaque", b"y")
    assert read_accounts([str(upper), str(lower)]) == Accounts()


def test_an_account_file_that_is_no_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    os.mkfifo(tmp_path / "etc/passwd")
    (tmp_path / "etc/group").mkdir()
    assert read_accounts([str(tmp_path)]) == Accounts()
