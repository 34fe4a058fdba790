"""A resolver process of the test's own, upstream servers that do as they are told, and clients inside sandboxes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset

import fairlead
from fairlead.dns.control import EndpointNames, Resolver, View
from fairlead.kernel import netns
from fairlead.kernel.netns import Namespace
from fairlead.kernel.sandbox import Sandbox

RESOLVER = "127.0.0.11"
WEB = EndpointNames("e1", "c1", ("web", "www", "0123456789ab"), ("10.0.0.2", "fd00::2"))
DB = EndpointNames("e2", "c2", ("db",), ("10.0.0.3",))
VIEW = View(networks=("n1",))


class Upstream(threading.Thread):
    """A DNS server on UDP and TCP: ``replies`` says what each name gets, all else is NXDOMAIN.

    A reply is an address, an rcode, a callable of the question that gives a whole answer, or None for silence.
    ``asked`` remembers how, what and from where.
    """

    def __init__(self, address: str = "127.0.0.1", replies: dict[str, object] | None = None) -> None:
        super().__init__(daemon=True)
        self.replies: dict[str, object] = replies or {}
        self.has_tcp = True
        self.asked: list[tuple[str, str, tuple[str, int]]] = []
        self.ttl = 60
        self._tcp = socket.create_server((address, 0))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(self._tcp.getsockname())
        self.address = f"{address}#{self._tcp.getsockname()[1]}"
        self._stopping = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._stopping.is_set():
            ready, _, _ = select.select([self._udp, self._tcp], [], [], 0.05)
            if self._udp in ready:
                packet, peer = self._udp.recvfrom(4096)
                if (answer := self._answer(packet, "udp", peer)) is not None:
                    self._udp.sendto(answer, peer)
            if self._tcp in ready:
                link, peer = self._tcp.accept()
                with link:
                    if self.has_tcp:
                        self._stream(link, peer)

    def _stream(self, link: socket.socket, peer: tuple[str, int]) -> None:
        size = struct.unpack(">H", link.recv(2))[0]
        if (answer := self._answer(link.recv(size), "tcp", peer)) is not None:
            link.sendall(struct.pack(">H", len(answer)) + answer)

    def _answer(self, packet: bytes, protocol: str, peer: tuple[str, int]) -> bytes | None:
        question = dns.message.from_wire(packet)
        name = question.question[0].name.to_text().rstrip(".")
        self.asked.append((protocol, name, peer))
        reply = self.replies.get(name.lower(), dns.rcode.NXDOMAIN)
        if reply is None:
            return None
        answer = dns.message.make_response(question, recursion_available=True)
        if callable(reply):
            return reply(question, protocol)
        if isinstance(reply, str):
            answer.answer.append(dns.rrset.from_text(question.question[0].name, self.ttl, "IN", "A", reply))
        else:
            answer.set_rcode(dns.rcode.Rcode(reply))
        return answer.to_wire()

    def count(self, name: str, protocol: str = "udp") -> int:
        return sum(1 for how, what, _peer in self.asked if (how, what.lower()) == (protocol, name))

    def close(self) -> None:
        self._stopping.set()
        self.join()
        self._udp.close()
        self._tcp.close()


@contextlib.contextmanager
def upstreams(*addresses: str) -> Iterator[list[Upstream]]:
    with contextlib.ExitStack() as undo:
        servers = []
        for address in addresses:
            servers.append(Upstream(address))
            undo.callback(servers[-1].close)
        yield servers


def name_servers(folder: Path, *servers: Upstream) -> None:
    """Into the resolv.conf that the process follows, replaced as a careful program does it."""
    fresh = folder / "resolv.conf.new"
    fresh.write_text("".join(f"nameserver {server.address}\n" for server in servers))
    fresh.rename(folder / "resolv.conf")


class Processes:
    """Starts resolver processes, and knows them: none is left when the test ends."""

    def __init__(self, folder: Path) -> None:
        self.socket = str(folder / "resolver.sock")
        self.log = folder / "resolver.log"
        self._conf = folder / "resolv.conf"
        self.started: list[subprocess.Popen[bytes]] = []

    def spawn(self) -> None:
        source = os.path.dirname(os.path.dirname(os.path.abspath(fairlead.__file__)))
        argv = ["--socket", self.socket, "--resolv-conf", str(self._conf), "--log", str(self.log)]
        self.started.append(
            subprocess.Popen([sys.executable, "-S", "-m", "fairlead.dns", *argv], env={"PYTHONPATH": source}, cwd="/")
        )

    @property
    def current(self) -> subprocess.Popen[bytes]:
        return self.started[-1]

    def close(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()
        logged = self.log.read_text() if self.log.exists() else ""
        assert "Traceback" not in logged, logged


@contextlib.asynccontextmanager
async def running(processes: Processes) -> AsyncIterator[Resolver]:
    async with asyncio.TaskGroup() as tasks:
        resolver = await Resolver.connect(processes.socket, processes.spawn, tasks)
        try:
            yield resolver
        finally:
            await resolver.close()


def with_resolver(folder: Path, body: Callable[[Resolver, Processes], Awaitable[None]]) -> None:
    """Runs ``body`` with a resolver process and a client of it; the process has logged no error."""
    if not (folder / "resolv.conf").exists():
        name_servers(folder)
    processes = Processes(folder)

    async def run() -> None:
        async with running(processes) as resolver:
            await body(resolver, processes)

    try:
        asyncio.run(run())
    finally:
        processes.close()


async def furnish(resolver: Resolver, box: Sandbox, view: View = VIEW) -> None:
    """One sandbox that sees web and db on mynet."""
    await resolver.set_network("n1", "mynet", [WEB, DB])
    await resolver.add_sandbox("box", box.udp, box.tcp, box.ns.fd, view)


async def ask(ns: Namespace, name: str, kind: str = "A", *, tcp: bool = False, **more: object) -> dns.message.Message:
    """A question from inside, to the address that resolv.conf names there."""
    question = dns.message.make_query(name, kind, **more)

    def send() -> dns.message.Message:
        if tcp:
            return dns.query.tcp(question, RESOLVER, timeout=6)
        return dns.query.udp(question, RESOLVER, timeout=6, ignore_unexpected=True)

    return await asyncio.to_thread(lambda: netns.run_in(ns, send))


def found(answer: dns.message.Message) -> list[str]:
    return sorted(record.to_text() for rrset in answer.answer for record in rrset)


async def until(true: Callable[[], Awaitable[bool]], seconds: float = 2.0) -> float:
    """Seconds until it was true."""
    began = time.monotonic()
    while not await true():
        assert time.monotonic() - began < seconds
        await asyncio.sleep(0.01)
    return time.monotonic() - began
