"""Streams, exits and failures of real containers and execs, as Docker's clients see them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from fairlead.errors import Conflict, RuntimeFailure
from fairlead.kernel import proc
from fairlead.model.requests import ExecSpec
from fairlead.runtime import bundle
from fairlead.runtime.conmon import LaunchExec, Monitor, RunningExec
from fairlead.runtime.crun import send_signal
from fairlead.runtime.exits import ExitWatch, forget_exit, read_exit
from fairlead.runtime.streams import Attachment, Console
from fairlead.runtime.users import Identity
from kernel.runtime_harness import Box, Place, make_place, run_box


@pytest.fixture(params=["crun", "runc"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with make_place(tmp_path, request.param) as made:
        yield made


@pytest.fixture
def crun(tmp_path: Path) -> Iterator[Place]:
    with make_place(tmp_path, "crun") as made:
        yield made


async def everything(attachment: Attachment) -> dict[int, bytes]:
    got = {1: b"", 2: b""}
    async for stream, data in attachment:
        got[stream] += data
    return got


def test_streams_are_kept_apart_and_the_code_is_told(place: Place) -> None:
    assert run_box(place, "sh", "-c", "echo out; echo err >&2; exit 7") == (7, "out\n", "err\n")


def test_a_lot_of_output_arrives_whole(crun: Place) -> None:
    code, out, _ = run_box(crun, "sh", "-c", "seq 1 200000")
    assert code == 0
    assert out.split() == [str(number) for number in range(1, 200001)]


def test_input_ends_where_the_client_ends_it(crun: Place) -> None:
    async def life() -> tuple[dict[int, bytes], int]:
        box = Box(crun, "sh", "-c", "wc -c; echo done", config={"open_stdin": True, "stdin_once": True})
        try:
            await box.create()
            attachment = box.console.attach()
            await box.start()
            await attachment.write(b"x" * 300_000)
            attachment.close_stdin()
            got = await everything(attachment)
            attachment.close()
            return got, await box.exited()
        finally:
            await box.remove()

    assert asyncio.run(life()) == ({1: b"300000\ndone\n", 2: b""}, 0)


def test_a_watcher_that_leaves_does_not_end_input(crun: Place) -> None:
    """Conmon closes stdin when any client goes; only the one that fed it may have that effect."""

    async def life() -> dict[int, bytes]:
        box = Box(crun, "cat", config={"open_stdin": True, "stdin_once": True})
        try:
            await box.create()
            watcher, feeder = box.console.attach(), box.console.attach()
            await box.start()
            await feeder.write(b"one ")
            assert await feeder.read() == (1, b"one ")
            box.console.leave(watcher, with_stdin=False)
            await asyncio.sleep(0.05)
            await feeder.write(b"two")
            feeder.close_stdin()
            return await everything(feeder)
        finally:
            await box.remove()

    assert asyncio.run(life())[1] == b"two"


def test_open_stdin_outlives_its_clients(crun: Place) -> None:
    async def life() -> tuple[int, bytes] | None:
        box = Box(crun, "cat", config={"open_stdin": True})
        try:
            await box.create()
            await box.start()
            first = box.console.attach()
            await first.write(b"a")
            assert await first.read() == (1, b"a")
            box.console.leave(first, with_stdin=True)
            async with box.console.attach() as second:
                await second.write(b"b")
                return await second.read()
        finally:
            await box.remove()

    assert asyncio.run(life()) == (1, b"b")


def test_a_terminal_has_the_size_it_is_given(place: Place) -> None:
    async def life() -> bytes:
        script = "stty size; read x; stty size; test -t 0 && echo terminal"
        box = Box(place, "sh", "-c", script, config={"tty": True, "open_stdin": True}, host={"console_size": (11, 22)})
        try:
            await box.create()
            async with box.console.attach() as attachment:
                await box.start()
                first = await attachment.read()
                box.console.resize(33, 44)
                await attachment.write(b"go\n")
                rest = await everything(attachment)
            return (first or (1, b""))[1] + rest[1]
        finally:
            await box.remove()

    lines = asyncio.run(life()).decode().split("\r\n")
    assert lines[0] == "11 22"
    assert "33 44" in lines
    assert "terminal" in lines


def test_several_clients_see_the_same(crun: Place) -> None:
    async def life() -> list[bytes]:
        box = Box(crun, "sh", "-c", "sleep 0.1; echo hello")
        try:
            await box.create()
            clients = [box.console.attach() for _ in range(3)]
            await box.start()
            return [(await everything(client))[1] for client in clients]
        finally:
            await box.remove()

    assert asyncio.run(life()) == [b"hello\n"] * 3


def test_nobody_attaches_to_what_is_gone(crun: Place) -> None:
    async def life() -> None:
        box = Box(crun, "true")
        await box.run()
        with pytest.raises(Conflict, match="not running"):
            box.console.attach()
        with pytest.raises(Conflict, match="not running"):
            box.console.resize(1, 2)
        await box.remove()

    asyncio.run(life())


def test_exits_are_told_once_and_those_of_before_too(crun: Place) -> None:
    async def life() -> list[tuple[str, int]]:
        told: list[tuple[str, int]] = []
        before, later = Box(crun, "sh", "-c", "exit 3"), Box(crun, "sh", "-c", "exit 4")
        await before.run()
        both = asyncio.Event()

        def note(container: str, code: int) -> None:
            told.append((container, code))
            if len(told) == 2:
                both.set()

        watch = ExitWatch(crun.exits, note)
        watch.open()
        await later.run()
        async with asyncio.timeout(10):
            await both.wait()
        watch.close()
        assert told == [(before.id, 3), (later.id, 4)]
        forget_exit(crun.exits, before.id)
        forget_exit(crun.exits, before.id)
        assert read_exit(crun.exits, before.id) is None
        for box in (before, later):
            await box.remove()
        return told

    asyncio.run(life())


async def signal_until_gone(pid: int) -> None:
    for _ in range(1000):
        send_signal(pid, signal.SIGKILL)
        await asyncio.sleep(0.005)


def test_a_signal_ends_a_container_with_its_number(place: Place) -> None:
    async def life() -> int:
        box = Box(place, "sleep", "60")
        try:
            launched = await box.create()
            await box.start()
            send_signal(launched.pid, signal.SIGKILL)
            code = await box.exited()
            with pytest.raises(Conflict, match="not running"):
                await signal_until_gone(launched.pid)
            return code
        finally:
            await box.remove()

    assert asyncio.run(life()) == 137


def test_a_monitor_that_goes_is_told_whoever_started_it(crun: Place) -> None:
    async def life() -> None:
        gone: list[int] = []
        box = Box(crun, "sleep", "60", on_gone=gone.append)
        launched = await box.create()
        await box.start()
        later = Monitor(spawn=crun.spawn.spawn, on_gone=lambda pid: gone.append(-pid))
        later.adopt(launched.monitor)
        os.kill(launched.monitor, signal.SIGKILL)
        async with asyncio.timeout(5):
            while len(gone) < 2:  # noqa: ASYNC110 (two callbacks)
                await asyncio.sleep(0.005)
        assert sorted(gone) == [-launched.monitor, launched.monitor]
        assert read_exit(crun.exits, box.id) is None
        later.adopt(launched.monitor)
        await asyncio.sleep(0.01)
        assert len(gone) == 3
        await box.remove()

    asyncio.run(life())


def test_discard_lets_the_id_be_used_again(crun: Place) -> None:
    async def life() -> None:
        box = Box(crun, "true")
        assert (await box.run())[0] == 0
        box.oci.discard(box.id)
        assert box.oci.known() == ()
        forget_exit(crun.exits, box.id)
        assert (await box.run())[0] == 0
        await box.remove()

    asyncio.run(life())


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        ("nothing", 127, 'exec: "nothing": executable file not found in $PATH'),
        ("/no/where", 127, 'exec: "/no/where": stat /no/where: no such file or directory'),
        ("/etc/passwd", 126, 'exec: "/etc/passwd": permission denied'),
        ("/etc", 126, "permission denied"),
    ],
)
def test_what_cannot_be_run_is_told_as_docker_does(place: Place, command: str, code: int, text: str) -> None:
    with pytest.raises(RuntimeFailure) as told:
        run_box(place, command)
    prefix = "failed to create task for container: failed to create shim task: OCI runtime create failed: "
    assert str(told.value).startswith(prefix + place.runtime)
    assert text in str(told.value)
    assert told.value.exit_code == code


def test_a_broken_bundle_is_told(crun: Place) -> None:
    async def life() -> None:
        box = Box(crun, "true", rootfs="/does/not/exist")
        try:
            with pytest.raises(RuntimeFailure, match="No such file or directory") as told:
                await box.create()
            assert told.value.exit_code == 125
        finally:
            await box.remove()

    asyncio.run(life())


class Execs:
    """A running container and execs in it."""

    def __init__(self, place: Place, **more: object) -> None:
        self.box = Box(place, "sleep", "60", **more)
        self.number = 0

    async def __aenter__(self) -> Self:
        await self.box.create()
        await self.box.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.box.remove()

    async def begin(self, spec: ExecSpec, identity: Identity) -> tuple[RunningExec, Attachment]:
        self.number += 1
        folder = self.box.bundle / f"exec{self.number}"
        folder.mkdir()
        rendered = bundle.render_exec(spec, bundle=self.box.spec(), identity=identity)
        (folder / "process.json").write_bytes(rendered)
        running = await self.box.monitor.launch_exec(
            LaunchExec(
                id=self.box.id,
                exec_id=folder.name,
                bundle=str(folder),
                runtime=self.box.place.program,
                terminal=spec.tty,
                stdin=spec.stdin,
            )
        )
        return running, Console(str(folder), closes_with_client=True).attach()

    async def run(
        self, *command: str, feed: bytes = b"", identity: Identity | None = None, **more: object
    ) -> tuple[int, dict[int, bytes]]:
        spec = ExecSpec(cmd=command, stdin=bool(feed), **more)
        async with asyncio.timeout(20):
            running, attachment = await self.begin(spec, identity or Identity(home="/root"))
            async with attachment:
                assert await running.release() > 0
                if feed:
                    await attachment.write(feed)
                    attachment.close_stdin()
                got = await everything(attachment)
            return await running.wait(), got


def test_exec_runs_beside_the_container_s_process(place: Place) -> None:
    async def life() -> None:
        async with Execs(place, config={"env": ("A=1",), "working_dir": "/work"}) as execs:
            script = "pwd; echo $A$B; echo err >&2; exit 5"
            assert await execs.run("sh", "-c", script, env=("B=2",)) == (5, {1: b"/work\n12\n", 2: b"err\n"})
            assert await execs.run("cat", feed=b"y" * 100_000) == (0, {1: b"y" * 100_000, 2: b""})
            # crun 1.8 gives an exec's terminal its size while the process starts already.
            script = "tty; until stty size 2>/dev/null; do :; done; echo $TERM"
            code, got = await execs.run("sh", "-c", script, tty=True, console_size=(12, 34))
            assert (code, got[1]) == (0, b"/dev/pts/0\r\n12 34\r\nxterm\r\n")
            web = Identity(uid=33, gid=44, groups=(44,), home="/srv/web")
            code, got = await execs.run("sh", "-c", "id -u; echo $HOME; pwd", identity=web, working_dir="/tmp")
            assert got[1] == b"33\n/srv/web\n/tmp\n"

    asyncio.run(life())


def test_exec_is_as_confined_as_the_container(place: Place) -> None:
    async def life() -> None:
        async with Execs(place, host={"cap_drop": ("ALL",)}) as execs:
            _, got = await execs.run("grep", "-E", "CapEff|Seccomp:", "/proc/self/status")
            assert got[1].split() == [b"CapEff:", b"0" * 16, b"Seccomp:", b"2"]
            _, got = await execs.run("grep", "CapEff", "/proc/self/status", privileged=True)
            assert int(got[1].split()[1], 16) > 1 << 38

    asyncio.run(life())


def test_exec_of_nothing_fails_as_in_docker(place: Place) -> None:
    async def life() -> None:
        async with Execs(place) as execs:
            with pytest.raises(RuntimeFailure, match=r'exec: "nothing": executable file not found in \$PATH') as told:
                await execs.run("nothing")
            assert told.value.exit_code == 127
            assert str(told.value).startswith("OCI runtime exec failed: exec failed: ")
            with pytest.raises(RuntimeFailure, match="permission denied") as told:
                await execs.run("/etc/passwd")
            assert told.value.exit_code == 126

    asyncio.run(life())


def test_no_descriptor_and_no_zombie_is_left(crun: Place) -> None:
    async def life() -> None:
        async with Execs(crun) as execs:
            await execs.run("true")
            await asyncio.sleep(0.05)
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(5):
                await execs.run("true")
                with pytest.raises(RuntimeFailure):
                    await execs.run("nothing")
            await asyncio.sleep(0.05)
            assert len(os.listdir("/proc/self/fd")) == before

    # Other tests of this run may have left helpers of theirs running.
    others = proc.children(os.getpid())
    asyncio.run(life())
    assert proc.children(os.getpid()) == others
