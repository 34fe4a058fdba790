"""The resolver alone, without an engine: answers per second and latency, in a network namespace of its own.

    python tests/bench/dns_load.py [SECONDS]

Run as root; it enters a fresh namespace first. Clients, resolver and upstream share the machine's cores.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from fairlead.dns.birth import spawner
from fairlead.dns.control import EndpointNames, Resolver, View

CLIENTS, OUTSTANDING = 4, 50
MSG_DONTWAIT = 0x40
CLONE_NEWNET = 0x40000000
ROOM = 512

libc = ctypes.CDLL(None, use_errno=True)


class Ring:
    """``count`` datagram buffers, and their recvmmsg/sendmmsg headers as raw bytes: struct mmsghdr and struct iovec."""

    _HEADER = struct.Struct("@QI4xQQQQi4xI4x")

    def __init__(self, count: int) -> None:
        self.count = count
        self.buffers = ctypes.create_string_buffer(count * ROOM)
        self._names = ctypes.create_string_buffer(count * 16)
        self._vectors = ctypes.create_string_buffer(count * 16)
        self._headers = ctypes.create_string_buffer(count * self._HEADER.size)
        self.view = memoryview(self.buffers).cast("B")
        for number in range(count):
            self.resize(number, ROOM, named=False)

    def resize(self, number: int, size: int, *, named: bool) -> None:
        vector = ctypes.addressof(self._vectors) + number * 16
        struct.pack_into("@QQ", self._vectors, number * 16, ctypes.addressof(self.buffers) + number * ROOM, size)
        name = ctypes.addressof(self._names) + number * 16 if named else 0
        self._HEADER.pack_into(
            self._headers, number * self._HEADER.size, name, 16 if named else 0, vector, 1, 0, 0, 0, 0
        )

    def length(self, number: int) -> int:
        return int(struct.unpack_from("@I", self._headers, number * self._HEADER.size + 56)[0])

    def receive(self, link: socket.socket, flags: int = 0x10000) -> int:
        return max(0, int(libc.recvmmsg(link.fileno(), self._headers, self.count, flags, None)))

    def send(self, link: socket.socket, count: int) -> int:
        return int(libc.sendmmsg(link.fileno(), self._headers, count, 0))


def question(name: str) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack(">HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)


class Client:
    """Keeps 50 questions outstanding. ``distinct``: each has a name of its own, so that no cache helps."""

    def __init__(self, server: tuple[str, int], name: str, distinct: bool) -> None:
        self.link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.link.connect(server)
        self.link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 200_000))
        self._out, self._in = Ring(OUTSTANDING), Ring(OUTSTANDING)
        self._packet, self._distinct = question(name), distinct
        self._serial = os.getpid() << 20
        for number in range(OUTSTANDING):
            self._out.view[number * ROOM : number * ROOM + len(self._packet)] = self._packet
            self._out.resize(number, len(self._packet), named=False)

    def ask(self, count: int) -> None:
        for number in range(count):
            self._serial += 1
            self._out.view[number * ROOM : number * ROOM + 2] = (self._serial & 0xFFFF).to_bytes(2, "big")
            if self._distinct:
                self._out.view[number * ROOM + 13 : number * ROOM + 25] = b"%012x" % self._serial
        self._out.send(self.link, count)

    def collect(self) -> int:
        got = self._in.receive(self.link)
        if got and (self._in.view[3] & 15 or not self._in.view[7]):
            raise SystemExit(f"an error came as answer: {bytes(self._in.view[:40])!r}")
        return got


def rate(server: tuple[str, int], name: str, seconds: float, *, distinct: bool = False) -> float:
    client = Client(server, name, distinct)
    client.ask(OUTSTANDING)
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        got = client.collect()
        done += got
        client.ask(got or OUTSTANDING)
    return done / (time.perf_counter() - began)


def latency(server: tuple[str, int], name: str, seconds: float, *, distinct: bool = False) -> float:
    """Median microseconds with one question outstanding."""
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.connect(server)
    link.settimeout(2)
    samples, serial, packet = [], 0, question(name)
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        link.send(packet)
        link.recv(512)
        samples.append(time.perf_counter() - began)
        if distinct:
            serial += 1
            packet = question(f"{serial:012x}{name[12:]}")
    return statistics.median(samples) * 1e6


def upstream(link: socket.socket) -> None:
    """Answers everything with 192.0.2.1, as fast as it comes."""
    ring = Ring(64)
    record = b"\xc0\x0c" + struct.pack(">HHIH4B", 1, 1, 60, 4, 192, 0, 2, 1)
    while True:
        for number in range(64):
            ring.resize(number, ROOM, named=True)
        got = ring.receive(link)
        for number in range(got):
            at, size = number * ROOM, ring.length(number)
            ring.view[at + 2 : at + 8] = b"\x81\x80\0\1\0\1"
            ring.view[at + size : at + size + 16] = record
            ring.resize(number, size + 16, named=True)
        ring.send(link, got)


@contextlib.contextmanager
def children(count: int, run: Callable[[], object]) -> Iterator[list[int]]:
    """``count`` forks that print what ``run`` gives; killed at the end if they still run."""
    pids = []
    reads = []
    for _ in range(count):
        read, write = os.pipe()
        if (pid := os.fork()) == 0:
            os.write(write, repr(run()).encode())
            os._exit(0)
        os.close(write)
        pids.append(pid)
        reads.append(read)
    try:
        yield reads
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
            os.waitpid(pid, 0)
        for read in reads:
            os.close(read)


def together(run: Callable[[], float]) -> float:
    with children(CLIENTS, run) as reads:
        return sum(float(os.read(read, 100)) for read in reads)


def serve(path: str) -> None:
    """The resolver with one sandbox, whose port is printed; until stdin ends."""

    async def run() -> None:
        async with asyncio.TaskGroup() as tasks:
            conf = f"{path}.conf"
            resolver = await Resolver.connect(path, spawner(path, resolv_conf=conf, log_file=f"{path}.log"), tasks)
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.bind(("127.0.0.1", 0))
            tcp = socket.create_server(udp.getsockname())
            namespace = os.open("/proc/self/ns/net", os.O_RDONLY)
            await resolver.set_network("net", "bench", [])
            endpoints = [
                EndpointNames(f"e{n}", f"c{n}", (f"web{n}" if n else "web",), (f"10.1.0.{n + 1}",)) for n in range(100)
            ]
            for endpoint in endpoints:
                await resolver.set_endpoint("net", endpoint)
            await resolver.add_sandbox("box", udp, tcp, namespace, View(networks=("net",)))
            print(udp.getsockname()[1], flush=True)
            await asyncio.to_thread(sys.stdin.read)
            stats = await resolver.stats()
            status = Path(f"/proc/{stats['pid']}/status").read_text()
            print("resolver RSS", status.split("VmRSS:")[1].split("\n")[0].strip())
            await resolver.shut_down()

    asyncio.run(run())


def main(seconds: float) -> None:
    if libc.unshare(CLONE_NEWNET):
        raise SystemExit("cannot make a network namespace: run as root")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    above = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    above.bind(("127.0.0.1", 0))
    with tempfile.TemporaryDirectory() as folder, children(1, lambda: upstream(above)):
        path = f"{folder}/resolver.sock"
        Path(f"{path}.conf").write_text(f"nameserver 127.0.0.1#{above.getsockname()[1]}\n")
        process = subprocess.Popen(
            [sys.executable, __file__, "serve", path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        assert process.stdout is not None
        server = ("127.0.0.1", int(process.stdout.readline()))
        far = "0123456789ab.example"
        print(f"container name     {together(lambda: rate(server, 'web', seconds)):9.0f} answers/s")
        print(f"                   {latency(server, 'web', seconds):9.1f} µs")
        print(f"forwarded, new     {together(lambda: rate(server, far, seconds, distinct=True)):9.0f} answers/s")
        print(f"                   {latency(server, far, seconds, distinct=True):9.1f} µs")
        print(f"forwarded, cached  {together(lambda: rate(server, far, seconds)):9.0f} answers/s")
        print(f"                   {latency(server, far, seconds):9.1f} µs")
        process.stdin.close()
        print(process.stdout.read().strip())
        process.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2])
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 3)
