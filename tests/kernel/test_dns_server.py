"""Names inside a sandbox, asked at 127.0.0.11:53 as a container's libc asks."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from pathlib import Path

import dns.flags
import dns.rcode

from fairlead.dns.control import EndpointNames, Resolver, View
from fairlead.kernel import netns
from fairlead.kernel.netns import Namespace
from fairlead.kernel.sandbox import Sandbox
from kernel.dns_lab import DB, WEB, Processes, ask, found, furnish, with_resolver


def test_names_by_udp_and_tcp(machine: Path, sandbox: Sandbox) -> None:
    async def body(resolver: Resolver, _processes: Processes) -> None:
        await furnish(resolver, sandbox)
        for tcp in (False, True):
            for name in ("web", "www", "0123456789ab", "WEB.mynet", "web.mynet."):
                assert found(await ask(sandbox.ns, name, tcp=tcp)) == ["10.0.0.2"]
            assert found(await ask(sandbox.ns, "web", "AAAA", tcp=tcp)) == ["fd00::2"]
            for kind in ("AAAA", "MX", "TXT"):
                nothing = await ask(sandbox.ns, "db", kind, tcp=tcp)
                assert (nothing.rcode(), found(nothing)) == (dns.rcode.NOERROR, [])
            assert found(await ask(sandbox.ns, "2.0.0.10.in-addr.arpa", "PTR", tcp=tcp)) == ["web.mynet."]

    with_resolver(machine, body)


def test_changes_are_seen_by_the_next_question(machine: Path, sandbox: Sandbox) -> None:
    async def body(resolver: Resolver, _processes: Processes) -> None:
        await furnish(resolver, sandbox, View(networks=("n1",), forward=False))
        for number in range(20):
            await resolver.set_endpoint("n1", WEB._replace(addresses=(f"10.0.1.{number}",)))
            assert found(await ask(sandbox.ns, "web")) == [f"10.0.1.{number}"]
        await resolver.set_endpoint("n1", WEB._replace(names=("shop",)))
        assert (await ask(sandbox.ns, "web")).rcode() == dns.rcode.SERVFAIL
        assert found(await ask(sandbox.ns, "shop")) == ["10.0.0.2"]
        await resolver.set_view("box", View(networks=("n1", "n2"), forward=False))
        await resolver.set_network("n2", "other", [EndpointNames("e7", "c7", ("web",), ("10.2.0.7",))])
        assert found(await ask(sandbox.ns, "web")) == ["10.2.0.7"]
        await resolver.remove_endpoint("n2", "e7")
        assert (await ask(sandbox.ns, "web")).rcode() == dns.rcode.SERVFAIL
        await resolver.set_view("box", View(forward=False))
        assert (await ask(sandbox.ns, "db")).rcode() == dns.rcode.SERVFAIL
        await resolver.remove_network("n1")
        await resolver.remove_network("n1")

    with_resolver(machine, body)


def test_many_addresses_are_truncated_for_udp_only(machine: Path, sandbox: Sandbox) -> None:
    async def body(resolver: Resolver, _processes: Processes) -> None:
        await furnish(resolver, sandbox)
        replicas = [EndpointNames(f"r{n}", f"c{n}", ("many",), (f"10.3.{n // 250}.{n % 250 + 1}",)) for n in range(600)]
        await resolver.set_network("n1", "mynet", replicas)
        short = await ask(sandbox.ns, "many")
        assert short.flags & dns.flags.TC
        assert 20 <= len(found(short)) <= 31
        assert not (await ask(sandbox.ns, "many", use_edns=0, payload=16000)).flags & dns.flags.TC
        whole = await ask(sandbox.ns, "many", tcp=True)
        assert not whole.flags & dns.flags.TC
        assert len(found(whole)) == 600

    with_resolver(machine, body)


def test_addresses_take_turns(machine: Path, sandbox: Sandbox) -> None:
    async def body(resolver: Resolver, _processes: Processes) -> None:
        await furnish(resolver, sandbox)
        for number in range(4):
            await resolver.set_endpoint("n1", EndpointNames(f"r{number}", "c", ("api",), (f"10.0.0.{number}",)))
        first = [(await ask(sandbox.ns, "api")).answer[0][0].to_text() for _ in range(8)]
        assert sorted(first) == sorted(f"10.0.0.{number}" for number in (0, 1, 2, 3, 0, 1, 2, 3))

    with_resolver(machine, body)


def test_container_may_serve_port_53_itself(machine: Path, sandbox: Sandbox) -> None:
    def own_server() -> bytes:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
        ):
            server.bind(("0.0.0.0", 53))
            server.settimeout(2)
            client.sendto(b"mine", ("127.0.0.1", 53))
            return server.recv(100)

    async def body(resolver: Resolver, _processes: Processes) -> None:
        await furnish(resolver, sandbox)
        assert netns.run_in(sandbox.ns, own_server) == b"mine"
        assert found(await ask(sandbox.ns, "db")) == ["10.0.0.3"]

    with_resolver(machine, body)


def raw(ns: Namespace, packet: bytes) -> bytes:
    def send() -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.settimeout(0.15)
            link.sendto(packet, ("127.0.0.11", 53))
            try:
                return link.recv(600)
            except TimeoutError:
                return b""

    return netns.run_in(ns, send)


def test_nonsense_is_refused_or_dropped(machine: Path, sandbox: Sandbox) -> None:
    good = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + b"\3web\0\0\1\0\1"

    async def body(resolver: Resolver, _processes: Processes) -> None:
        await furnish(resolver, sandbox)
        for packet, rcode in (
            (b"", None),
            (b"x" * 11, None),
            (good[:2] + b"\x81" + good[3:], None),
            (good[:2] + b"\x29" + good[3:], dns.rcode.NOTIMP),
            (good[:-1], dns.rcode.FORMERR),
            (good[:12], dns.rcode.FORMERR),
            (good[:4] + b"\0\2" + good[6:], dns.rcode.FORMERR),
            (good[:10] + b"\0\1" + good[12:], dns.rcode.FORMERR),
            (good[:12] + b"\xff" * 4000, dns.rcode.FORMERR),
        ):
            answer = await asyncio.to_thread(raw, sandbox.ns, packet)
            assert (answer[3] & 15 if answer else None) == rcode, packet
        assert found(await ask(sandbox.ns, "web")) == ["10.0.0.2"]

    with_resolver(machine, body)


def test_one_connection_many_questions_and_half_close(machine: Path, sandbox: Sandbox) -> None:
    question = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + b"\3web\0\0\1\0\1"

    def converse() -> bytes:
        with socket.create_connection(("127.0.0.11", 53), timeout=5) as link:
            for byte in (struct.pack(">H", len(question)) + question) * 3:
                link.send(bytes((byte,)))
            link.shutdown(socket.SHUT_WR)
            received = b""
            while part := link.recv(4096):
                received += part
            return received

    async def body(resolver: Resolver, _processes: Processes) -> None:
        await furnish(resolver, sandbox)
        received = await asyncio.to_thread(netns.run_in, sandbox.ns, converse)
        assert received.count(bytes([10, 0, 0, 2])) == 3

    with_resolver(machine, body)


def test_connections_that_misbehave(machine: Path, sandbox: Sandbox) -> None:
    def misbehave() -> None:
        links = [socket.create_connection(("127.0.0.11", 53), timeout=5) for _ in range(150)]
        for number, link in enumerate(links):
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with contextlib.suppress(OSError):
                link.send((b"\0\0", b"\0\5hello", b"\xff\xff" + b"x" * 500, b"\0")[number % 4])
        for link in links:
            link.close()

    async def body(resolver: Resolver, _processes: Processes) -> None:
        await furnish(resolver, sandbox)
        await asyncio.to_thread(netns.run_in, sandbox.ns, misbehave)
        assert found(await ask(sandbox.ns, "web", tcp=True)) == ["10.0.0.2"]

    with_resolver(machine, body)


def test_removed_sandbox_lets_its_namespace_go(machine: Path, sandbox: Sandbox) -> None:
    async def body(resolver: Resolver, processes: Processes) -> None:
        def descriptors() -> int:
            return len(list(Path(f"/proc/{processes.current.pid}/fd").iterdir()))

        await resolver.stats()
        before = descriptors()
        await furnish(resolver, sandbox)
        assert descriptors() == before + 3
        assert found(await ask(sandbox.ns, "db")) == [DB.addresses[0]]
        await resolver.remove_sandbox("box")
        await resolver.remove_sandbox("box")
        assert descriptors() == before

    with_resolver(machine, body)
