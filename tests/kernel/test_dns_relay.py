"""Held host ports, and the few that are relayed."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from fairlead.dns.control import HeldPort, Resolver
from fairlead.kernel.ports import bind_port
from fairlead.model.port import Protocol
from kernel.dns_lab import Processes, running, with_resolver

LINGER = struct.pack("ii", 1, 0)


@contextmanager
def server(converse: Callable[[socket.socket], None]) -> Iterator[tuple[str, int]]:
    """A TCP server in a container's place: ``converse`` has each connection."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=256)

    def accept() -> None:
        while True:
            try:
                link, _peer = listening.accept()
            except OSError:
                return
            threading.Thread(target=lambda link=link: (converse(link), link.close()), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
        listening.close()


def everything(link: socket.socket) -> bytes:
    parts = []
    while part := link.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def listener() -> socket.socket:
    return socket.create_server(("::1", 0), family=socket.AF_INET6, backlog=256)


def held(sock: socket.socket, target: tuple[str, int] | None, protocol: str = "tcp") -> HeldPort:
    return HeldPort(protocol, "::1", sock.getsockname()[1], sock, target)


def test_relays_both_ways_with_half_close(machine: Path) -> None:
    content = os.urandom(8 << 20)

    def converse(link: socket.socket) -> None:
        link.sendall(hashlib.sha256(everything(link)).digest() + content)

    def client(port: int) -> bytes:
        with socket.create_connection(("::1", port), timeout=20) as link:
            link.sendall(content)
            link.shutdown(socket.SHUT_WR)
            return everything(link)

    async def body(resolver: Resolver, _processes: Processes) -> None:
        with listener() as sock, server(converse) as target:
            await resolver.hold_ports("c", [held(sock, target)])
            clients = [asyncio.to_thread(client, sock.getsockname()[1]) for _ in range(3)]
            for received in [await each for each in clients]:
                assert received == hashlib.sha256(content).digest() + content
            await asyncio.sleep(0.05)
            assert (await resolver.stats())["relayed"] == 0

    with_resolver(machine, body)


def test_slow_reader_does_not_fill_memory(machine: Path) -> None:
    def converse(link: socket.socket) -> None:
        link.sendall(bytes(64 << 20))

    async def body(resolver: Resolver, processes: Processes) -> None:
        with listener() as sock, server(converse) as target:
            await resolver.hold_ports("c", [held(sock, target)])
            with socket.create_connection(sock.getsockname()[:2], timeout=20) as link:
                await asyncio.sleep(0.3)
                status = Path(f"/proc/{processes.current.pid}/status").read_text()
                assert int(status.split("VmRSS:")[1].split()[0]) < 32_000
                assert len(await asyncio.to_thread(everything, link)) == 64 << 20

    with_resolver(machine, body)


def test_resets_are_passed_on(machine: Path) -> None:
    def converse(link: socket.socket) -> None:
        link.recv(1)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)

    async def body(resolver: Resolver, _processes: Processes) -> None:
        with listener() as sock, server(converse) as target:
            await resolver.hold_ports("c", [held(sock, target)])
            with socket.create_connection(sock.getsockname()[:2], timeout=5) as link:
                link.send(b"x")
                with pytest.raises(ConnectionResetError):
                    await asyncio.to_thread(link.recv, 1)

    with_resolver(machine, body)


def test_client_that_goes_takes_the_other_end_along(machine: Path) -> None:
    ended = threading.Event()

    def converse(link: socket.socket) -> None:
        with pytest.raises(ConnectionResetError):
            everything(link)
        ended.set()

    async def body(resolver: Resolver, _processes: Processes) -> None:
        with listener() as sock, server(converse) as target:
            await resolver.hold_ports("c", [held(sock, target)])
            link = socket.create_connection(sock.getsockname()[:2], timeout=5)
            link.send(b"x")
            await asyncio.sleep(0.05)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
            link.close()
            assert await asyncio.to_thread(ended.wait, 2)

    with_resolver(machine, body)


def test_nobody_at_the_target(machine: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        target = gone.getsockname()

    async def body(resolver: Resolver, _processes: Processes) -> None:
        with listener() as sock:
            await resolver.hold_ports("c", [held(sock, target)])

            def attempt() -> bytes:
                with socket.create_connection(sock.getsockname()[:2], timeout=5) as link:
                    return link.recv(1)

            with pytest.raises(ConnectionResetError):
                await asyncio.to_thread(attempt)

    with_resolver(machine, body)


def test_many_connections(machine: Path) -> None:
    def converse(link: socket.socket) -> None:
        link.sendall(link.recv(100))

    def client(port: int) -> int:
        done = 0
        for number in range(100):
            with socket.create_connection(("::1", port), timeout=10) as link:
                link.sendall(b"%d" % number)
                done += link.recv(100) == b"%d" % number
        return done

    async def body(resolver: Resolver, processes: Processes) -> None:
        with listener() as sock, server(converse) as target:
            await resolver.hold_ports("c", [held(sock, target)])
            clients = [asyncio.to_thread(client, sock.getsockname()[1]) for _ in range(4)]
            assert [await each for each in clients] == [100] * 4
            await asyncio.sleep(0.05)
            assert len(list(Path(f"/proc/{processes.current.pid}/fd").iterdir())) < 15

    with_resolver(machine, body)


def hears(bound: socket.socket) -> bool:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.sendto(b"x", ("::1", bound.getsockname()[1]))
    return bool(select.select([bound], [], [], 0.05)[0])


def test_datagrams_find_their_way_back(machine: Path) -> None:
    container = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    container.bind(("127.0.0.1", 0))
    container.settimeout(2)
    bound = bind_port(Protocol.UDP, ip_address("::"), 20_000)
    assert not hears(bound)

    async def body(resolver: Resolver, _processes: Processes) -> None:
        await resolver.hold_ports("c", [held(bound, container.getsockname(), "udp")])
        clients = [socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(3)]
        for number, client in enumerate(clients):
            client.settimeout(2)
            # Connected: only what comes from the very address that was asked is received.
            client.connect(("::1", bound.getsockname()[1]))
            client.send(b"question %d" % number)
        for _ in clients:
            data, peer = container.recvfrom(100)
            container.sendto(b"re: " + data, peer)
        for number, client in enumerate(clients):
            assert client.recv(100) == b"re: question %d" % number
            client.close()

    try:
        with_resolver(machine, body)
    finally:
        container.close()
        bound.close()


def test_thousand_ports_are_held_until_released(machine: Path) -> None:
    def taken(port: int) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as attempt:
            return attempt.connect_ex(("127.0.0.1", port)) == 0 or _bind(attempt, port) == errno.EADDRINUSE

    def _bind(attempt: socket.socket, port: int) -> int:
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError as error:
            return error.errno or -1
        return 0

    async def body(resolver: Resolver, processes: Processes) -> None:
        sockets = [socket.create_server(("127.0.0.1", 20_000 + number)) for number in range(1000)]
        ports = [HeldPort("tcp", "127.0.0.1", sock.getsockname()[1], sock) for sock in sockets]
        began = time.monotonic()
        await resolver.hold_ports("c", ports)
        spent = time.monotonic() - began
        for sock in sockets:
            sock.close()
        assert (await resolver.stats())["ports"] == 1000
        await resolver.close()
        assert all(taken(20_000 + number) for number in (0, 500, 999))
        async with running(processes) as again:
            assert [port.port for port in (await again.held()).ports["c"]] == list(range(20_000, 21_000))
            assert len((await again.adopt()).ports["c"]) == 1000
            await again.release_some_ports("c", [("tcp", "127.0.0.1", 20_500), ("tcp", "127.0.0.1", 1)])
            assert not taken(20_500)
            assert (await again.stats())["ports"] == len((await again.held()).ports["c"]) == 999
            await again.release_ports("c")
            await again.release_ports("c")
            assert (await again.stats())["ports"] == 0
        assert not any(taken(20_000 + number) for number in (0, 500, 999))
        assert len(processes.started) == 1
        assert spent < 1.0

    with_resolver(machine, body)


def test_held_ports_can_be_relayed_elsewhere(machine: Path) -> None:
    def says(word: bytes) -> Callable[[socket.socket], None]:
        return lambda link: link.sendall(word)

    def client(port: int) -> bytes:
        with socket.create_connection(("::1", port), timeout=5) as link:
            return everything(link)

    async def body(resolver: Resolver, _processes: Processes) -> None:
        with listener() as sock, server(says(b"one")) as one, server(says(b"two")) as two:
            port = sock.getsockname()[1]
            await resolver.hold_ports("c", [held(sock, one)])
            assert await asyncio.to_thread(client, port) == b"one"
            await resolver.retarget_ports("c", {("tcp", "::1", port): two})
            assert await asyncio.to_thread(client, port) == b"two"
            (name,) = (await resolver.held()).ports["c"]
            assert name.target == two

    with_resolver(machine, body)
