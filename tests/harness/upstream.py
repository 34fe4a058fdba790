"""The DNS server of the second host: `upstream.py LOG ADDRESS…` answers from a fixed zone until it is killed.

Names: google.com and example.test are the second host itself; many.test has twenty addresses; big.test a TXT answer
that needs TCP; slow.test waits 0.3 s; refused.test and broken.test are REFUSED and SERVFAIL; *.bench is 192.0.2.1 with
a TTL of 0; www.shop.test is an alias of an alias of the second host, brief.shop.test has a TTL of 1; all else is
NXDOMAIN. Each question is logged as `protocol asker name type`, except those for *.bench.
"""

from __future__ import annotations

import ipaddress
import selectors
import socket
import struct
import sys
import time
from collections.abc import Iterator

A, CNAME, PTR, TXT, AAAA, OPT = 1, 5, 12, 16, 28, 41
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5

ADDRESSES = {
    "google.com": ["198.51.100.2", "2001:db8:51::2"],
    "example.test": ["198.51.100.2", "2001:db8:51::2"],
    "four.test": ["198.51.100.2"],
    "slow.test": ["198.51.100.2"],
    "many.test": [f"192.0.2.{n}" for n in range(1, 21)],
    "api.shop.test": ["198.51.100.2", "2001:db8:51::2"],
    "brief.shop.test": ["198.51.100.2"],
    "origin.cdn.test": ["198.51.100.2", "2001:db8:51::2"],
}
ALIASES = {"www.shop.test": "edge.cdn.test", "edge.cdn.test": "origin.cdn.test"}
CODES = {"refused.test": REFUSED, "broken.test": SERVFAIL}
BIG = b"".join(bytes([250]) + b"x" * 250 for _ in range(8))


def question(packet: bytes) -> tuple[str, int, int]:
    """Name, type and the offset behind the only question."""
    labels, at = [], 12
    while length := packet[at]:
        labels.append(packet[at + 1 : at + 1 + length].decode("latin-1"))
        at += 1 + length
    return ".".join(labels), struct.unpack_from(">H", packet, at + 1)[0], at + 5


def records(name: str, kind: int) -> Iterator[tuple[int, bytes]]:
    if name == "big.test" and kind == TXT:
        yield TXT, BIG
    if name.endswith(".bench") and kind == A:
        yield A, bytes([192, 0, 2, 1])
    for text in ADDRESSES.get(name, ()):
        address = ipaddress.ip_address(text)
        if kind == (A if address.version == 4 else AAAA):
            yield kind, address.packed


def wire(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def answer(packet: bytes, limit: int) -> bytes:
    name, kind, end = question(packet)
    key = name.lower()
    if key == "slow.test":
        time.sleep(0.3)
    ttl = 0 if key.endswith(".bench") else 1 if key == "brief.shop.test" else 60
    owner, body = b"\xc0\x0c", []
    while key in ALIASES:
        key = ALIASES[key]
        target = wire(key)
        body.append(owner + struct.pack(">HHLH", CNAME, 1, ttl, len(target)) + target)
        owner = target
    body += [owner + struct.pack(">HHLH", kind, 1, ttl, len(data)) + data for kind, data in records(key, kind)]
    known = key in ADDRESSES or key == "big.test" or key.endswith(".bench")
    code = CODES.get(key, NOERROR if known else NXDOMAIN)
    reply = b"".join(body)
    truncated = end + len(reply) > limit
    flags = 0x8180 | code | (0x0200 if truncated else 0)
    counts = (1, 0 if truncated else len(body), 0, 0)
    return packet[:2] + struct.pack(">HHHHH", flags, *counts) + packet[12:end] + (b"" if truncated else reply)


def udp_limit(packet: bytes) -> int:
    """What the asker's EDNS option offers, 512 without one."""
    _, _, end = question(packet)
    if len(packet) >= end + 11 and packet[end] == 0 and packet[end + 2] == OPT:
        return int(struct.unpack_from(">H", packet, end + 3)[0])
    return 512


def exactly(link: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        part = link.recv(count - len(got))
        if not part:
            raise ConnectionError
        got += part
    return got


class Server:
    def __init__(self, log: str, addresses: list[str]) -> None:
        self.log = open(log, "a", buffering=1)  # noqa: SIM115 - for the process's life
        self.selector = selectors.DefaultSelector()
        self.ready: dict[bytes, bytes] = {}  # replies of the bench names, without their ids: the quick way
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                link = socket.socket(family, kind)
                link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                link.bind((address, 53))
                if kind == socket.SOCK_STREAM:
                    link.listen(64)
                self.selector.register(link, selectors.EVENT_READ)

    def note(self, protocol: str, asker: str, packet: bytes) -> None:
        name, kind, _ = question(packet)
        if not name.endswith(".bench"):
            self.log.write(f"{protocol} {asker} {name} {kind}\n")

    def datagram(self, link: socket.socket) -> None:
        packet, asker = link.recvfrom(4096)
        if reply := self.ready.get(packet[2:]):
            link.sendto(packet[:2] + reply, asker)
            return
        self.note("udp", asker[0], packet)
        made = answer(packet, udp_limit(packet))
        if b"\5bench\0" in packet:
            self.ready[packet[2:]] = made[2:]
        link.sendto(made, asker)

    def stream(self, listener: socket.socket) -> None:
        link, asker = listener.accept()
        with link:
            link.settimeout(2)
            packet = exactly(link, struct.unpack(">H", exactly(link, 2))[0])
            self.note("tcp", asker[0], packet)
            reply = answer(packet, 65535)
            link.sendall(struct.pack(">H", len(reply)) + reply)

    def serve(self) -> None:
        while True:
            for key, _ in self.selector.select():
                link = key.fileobj
                assert isinstance(link, socket.socket)
                try:
                    self.datagram(link) if link.type == socket.SOCK_DGRAM else self.stream(link)
                except (OSError, IndexError, struct.error):
                    continue


if __name__ == "__main__":
    server = Server(sys.argv[1], sys.argv[2:])
    print("ready", flush=True)
    server.serve()
