"""The daemon's side: kills on both ends, versions, many sandboxes, strangers on the control socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import fairlead
from fairlead.dns import protocol
from fairlead.dns.birth import dial
from fairlead.dns.control import EndpointNames, HeldPort, Resolver, View
from fairlead.errors import Unavailable
from fairlead.kernel import netns
from fairlead.kernel.netns import Namespace
from fairlead.kernel.sandbox import Sandbox, open_sandbox
from kernel.dns_lab import VIEW, WEB, Processes, ask, found, furnish, running, until, with_resolver


class Probe(threading.Thread):
    """Asks for web from inside, 200 times a second, and waits for each answer as a libc does."""

    def __init__(self, ns: Namespace) -> None:
        super().__init__(daemon=True)
        self.answered = self.lost = 0
        self.slowest = 0.0
        self._ns, self._stopping = ns, threading.Event()
        self.start()

    def run(self) -> None:
        netns.run_in(self._ns, self._probe)

    def _probe(self) -> None:
        question = b"\0\7\1\0\0\1\0\0\0\0\0\0\3web\0\0\1\0\1"
        while not self._stopping.wait(0.005):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
                link.settimeout(5)
                began = time.monotonic()
                try:
                    link.sendto(question, ("127.0.0.11", 53))
                    assert link.recv(512)[-4:] == bytes([10, 0, 0, 2])
                    self.answered += 1
                except (OSError, AssertionError):
                    self.lost += 1
                self.slowest = max(self.slowest, time.monotonic() - began)

    def stop(self) -> None:
        self._stopping.set()
        self.join()


@contextlib.contextmanager
def probing(ns: Namespace) -> Iterator[Probe]:
    probe = Probe(ns)
    try:
        yield probe
    finally:
        probe.stop()


def test_killed_process_loses_no_question(machine: Path, sandbox: Sandbox) -> None:
    async def body(resolver: Resolver, processes: Processes) -> None:
        restarts: list[float] = []
        resolver.on_restart = lambda: restarts.append(time.monotonic())
        await furnish(resolver, sandbox)
        with probing(sandbox.ns) as probe:
            for number in range(5):
                await asyncio.sleep(0.1)
                processes.current.kill()
                # Said while nobody is there: the next process knows it.
                await resolver.set_endpoint("n1", EndpointNames(f"x{number}", "c", (f"x{number}",), ("10.0.0.9",)))
                await until(lambda number=number: _equal(len(restarts), number + 1))
                assert found(await ask(sandbox.ns, f"x{number}")) == ["10.0.0.9"]
        assert probe.lost == 0
        assert probe.answered > 50
        assert probe.slowest < 1.0
        assert len(processes.started) == 6

    with_resolver(machine, body)


def test_a_process_that_does_not_answer_is_replaced(
    machine: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairlead.dns.control._BEAT", 0.05)
    monkeypatch.setattr("fairlead.dns.control._HEARING", 0.5)

    async def body(resolver: Resolver, processes: Processes) -> None:
        restarts: list[float] = []
        resolver.on_restart = lambda: restarts.append(time.monotonic())
        await furnish(resolver, sandbox)
        stopped = processes.current
        stopped.send_signal(signal.SIGSTOP)
        # Said while nobody listens: whoever takes its place knows it.
        await resolver.set_endpoint("n1", EndpointNames("late", "c", ("late",), ("10.0.0.9",)))
        await until(lambda: _equal(len(restarts), 1))
        assert found(await ask(sandbox.ns, "late")) == ["10.0.0.9"]
        assert stopped.wait(5) == -signal.SIGKILL
        assert len(processes.started) == 2

    with_resolver(machine, body)


def test_a_process_that_answers_is_left_alone(machine: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairlead.dns.control._BEAT", 0.01)

    async def body(resolver: Resolver, processes: Processes) -> None:
        await furnish(resolver, sandbox)
        await asyncio.sleep(0.3)
        assert len(processes.started) == 1

    with_resolver(machine, body)


async def _equal(left: int, right: int) -> bool:
    return left == right


def test_all_is_told_again(machine: Path, sandbox: Sandbox) -> None:
    async def body(resolver: Resolver, processes: Processes) -> None:
        await furnish(resolver, sandbox)
        sockets = [socket.create_server(("127.0.0.1", 20_000 + number)) for number in range(600)]
        await resolver.hold_ports("c", [HeldPort("tcp", "127.0.0.1", s.getsockname()[1], s) for s in sockets])
        for sock in sockets:
            sock.close()
        before = await resolver.stats()
        processes.current.kill()
        processes.current.wait()
        with pytest.raises(Unavailable):
            await resolver.stats()

        async def same() -> bool:
            with contextlib.suppress(Unavailable):
                return {**await resolver.stats(), "pid": 0} == {**before, "pid": 0, "remembered": 0}
            return False

        await until(same)

    with_resolver(machine, body)


def test_daemon_that_comes_back_knows_everything(machine: Path, sandbox: Sandbox) -> None:
    async def body(resolver: Resolver, processes: Processes) -> None:
        await furnish(resolver, sandbox, View(networks=("n1",), aliases={"l": ("10.0.0.8",)}))
        await resolver.close()
        with probing(sandbox.ns) as probe:
            async with running(processes) as again:
                held = await again.held()
                assert (held.sandboxes, held.networks) == (("box",), ("n1",))
                udp, tcp = (await again.adopt()).sandboxes["box"]
                assert udp.getsockname() == tcp.getsockname() == sandbox.udp.getsockname()
                udp.close()
                tcp.close()
                # Known well enough to make good a process that dies now.
                processes.current.kill()
                await until(lambda: _equal(len(processes.started), 2))
                assert found(await ask(sandbox.ns, "l")) == ["10.0.0.8"]
                await again.set_endpoint("n1", WEB._replace(id="e9", names=("later",)))
                assert found(await ask(sandbox.ns, "later")) == ["10.0.0.2"]
        assert probe.lost == 0

    with_resolver(machine, body)


def test_process_of_another_version_is_replaced(
    machine: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hold(listening: socket.socket) -> None:
        """The container's end of a relayed connection: says back what it hears."""
        link, _peer = listening.accept()
        while part := link.recv(100):
            link.sendall(part)
        link.close()

    async def body(resolver: Resolver, processes: Processes) -> None:
        await furnish(resolver, sandbox)
        with (
            socket.create_server(("127.0.0.1", 0)) as container,
            socket.create_server(("::1", 0), family=socket.AF_INET6) as published,
        ):
            threading.Thread(target=hold, args=(container,), daemon=True).start()
            port = HeldPort("tcp", "::1", published.getsockname()[1], published, container.getsockname())
            await resolver.hold_ports("c", [port])
            link = socket.create_connection(published.getsockname()[:2], timeout=5)
            link.send(b"before")
            assert await asyncio.to_thread(link.recv, 100) == b"before"
            await resolver.close()
            monkeypatch.setattr(fairlead, "__version__", "0.0.other")
            with probing(sandbox.ns) as probe:
                async with running(processes) as again:
                    old, new = processes.started
                    assert (await again.stats())["pid"] == new.pid
                    await asyncio.sleep(0.3)
                    # The connection is still relayed, by the one that took it.
                    link.send(b"after")
                    assert await asyncio.to_thread(link.recv, 100) == b"after"
                    assert old.poll() is None
                    link.close()
                    assert await asyncio.to_thread(old.wait, 3) == 0
                    assert (await again.stats())["ports"] == 1
            assert probe.lost == 0

    with_resolver(machine, body)


def test_shut_down_ends_the_process(machine: Path) -> None:
    async def body(resolver: Resolver, processes: Processes) -> None:
        await resolver.shut_down()
        assert await asyncio.to_thread(processes.current.wait, 3) == 0

    with_resolver(machine, body)


def test_shut_down_of_one_that_has_gone(machine: Path) -> None:
    async def body(resolver: Resolver, processes: Processes) -> None:
        processes.current.kill()
        await resolver.shut_down()
        assert len(processes.started) == 1

    with_resolver(machine, body)


def test_second_process_leaves_the_first_alone(machine: Path, sandbox: Sandbox) -> None:
    async def body(resolver: Resolver, processes: Processes) -> None:
        await furnish(resolver, sandbox)
        processes.spawn()
        assert await asyncio.to_thread(processes.current.wait, 3) == 0
        assert found(await ask(sandbox.ns, "web")) == ["10.0.0.2"]
        assert (await resolver.stats())["pid"] == processes.started[0].pid

    with_resolver(machine, body)


def test_signals_of_a_terminal_do_not_end_it(machine: Path) -> None:
    async def body(resolver: Resolver, processes: Processes) -> None:
        pid = (await resolver.stats())["pid"]
        for number in (signal.SIGHUP, signal.SIGINT):
            os.kill(pid, number)
        assert (await resolver.stats())["pid"] == pid
        assert os.getsid(pid) == pid
        assert Path(f"/proc/{pid}/comm").read_text() == "fairlead-dns\n"

    with_resolver(machine, body)


def test_strangers_on_the_control_socket(machine: Path, sandbox: Sandbox) -> None:
    async def body(resolver: Resolver, processes: Processes) -> None:
        await furnish(resolver, sandbox)
        assert os.stat(processes.socket).st_mode & 0o777 == 0o600
        descriptors = len(list(Path(f"/proc/{processes.current.pid}/fd").iterdir()))
        for junk in (
            b"\xff" * 100,
            b"\0\0\0\2[]",
            protocol.encode({"id": 1}),
            protocol.encode({"id": 1, "fds": 0, "ops": [{"op": "sandbox"}]}),
            protocol.encode({"id": 1, "fds": 9, "ops": []}),
            b"\0\0\1\0{",
        ):
            link = dial(processes.socket)
            with contextlib.suppress(OSError):
                socket.send_fds(link, [junk], [0, 1, 2])
                link.settimeout(0.2)
                link.recv(1000)
            link.close()
        await resolver.stats()
        assert len(list(Path(f"/proc/{processes.current.pid}/fd").iterdir())) == descriptors
        assert found(await ask(sandbox.ns, "web")) == ["10.0.0.2"]

    with_resolver(machine, body)


def test_refusals_are_the_engines_errors(machine: Path) -> None:
    async def body(resolver: Resolver, _processes: Processes) -> None:
        for refused in (
            lambda: resolver.set_view("nobody", View()),
            lambda: resolver.set_endpoint("nowhere", WEB),
            lambda: resolver.set_network("n", "n", [WEB._replace(addresses=("x",))]),
        ):
            with pytest.raises(Unavailable):
                await refused()

    with_resolver(machine, body)


def test_process_that_does_not_start(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairlead.dns.control._BIRTH", 0.1)

    async def run() -> None:
        async with asyncio.TaskGroup() as tasks:
            with pytest.raises(Unavailable):
                await Resolver.connect(str(machine / "resolver.sock"), lambda: None, tasks)

    asyncio.run(run())


def test_thousand_sandboxes(machine: Path, timing: Callable[[str, list[float]], None]) -> None:
    """In one process, each asked; and all of them told again to a successor."""
    boxes = [open_sandbox(f"box{number}", {}) for number in range(1000)]

    async def body(resolver: Resolver, processes: Processes) -> None:
        await resolver.set_network("n1", "mynet", [])
        spent = []
        for number, box in enumerate(boxes):
            began = time.perf_counter()
            await resolver.add_sandbox(f"id{number}", box.udp, box.tcp, box.ns.fd, VIEW)
            name = EndpointNames(
                f"e{number}", f"c{number}", (f"name{number}",), (f"10.1.{number // 250}.{number % 250}",)
            )
            await resolver.set_endpoint("n1", name)
            spent.append(time.perf_counter() - began)
        timing("one more sandbox", spent)
        assert statistics.median(spent[-100:]) < 3 * statistics.median(spent[:100]) + 0.001
        await _ask_all(boxes)
        assert _resident(processes.current.pid) < 25_000
        processes.current.kill()
        began = time.monotonic()
        await _ask_all(boxes[:1])
        timing("successor knows 1,000", [time.monotonic() - began])
        assert time.monotonic() - began < 3
        await _ask_all(boxes)
        await resolver.close()
        began = time.monotonic()
        async with running(processes) as again:
            timing("daemon learns 1,000", [time.monotonic() - began])
            assert len((await again.held()).sandboxes) == 1000
            for number in range(1000):
                await again.remove_sandbox(f"id{number}")
            assert (await again.stats())["sandboxes"] == 0

    try:
        with_resolver(machine, body)
    finally:
        for box in boxes:
            box.udp.close()
            box.tcp.close()
            netns.remove(box.ns)


async def _ask_all(boxes: list[Sandbox]) -> None:
    for number in range(0, len(boxes), 50):
        other = (number + 7) % len(boxes)
        assert found(await ask(boxes[number].ns, f"name{other}")) == [f"10.1.{other // 250}.{other % 250}"]


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0])
