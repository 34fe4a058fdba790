"""Load generators and the server they load; each runs as a process of its own inside a namespace.

load.py dns SERVER NAME SECONDS OUTSTANDING   answers per second
load.py latency SERVER NAME SECONDS           median microseconds with one question outstanding
load.py http ADDRESS PORT SECONDS             new connections per second
load.py send ADDRESS PORT SECONDS             gigabits per second over one connection
load.py serve PORT                            answers one fixed page per connection, until killed
load.py sink PORT                             takes all that comes over each connection, until killed
"""

from __future__ import annotations

import ctypes
import socket
import statistics
import struct
import sys
import time

PAGE = b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
REQUEST = b"GET / HTTP/1.0\r\n\r\n"
MSG_DONTWAIT, MSG_WAITFORONE = 0x40, 0x10000


class IoVector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class MessageHeader(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(IoVector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class Message(ctypes.Structure):
    _fields_ = (("header", MessageHeader), ("length", ctypes.c_uint))


class Batch:
    """``count`` datagrams sent or received by one system call: the client must not be the bottleneck."""

    def __init__(self, count: int, content: bytes) -> None:
        self.count = count
        self._buffers = [ctypes.create_string_buffer(content.ljust(512, b"\0"), 512) for _ in range(count)]
        size = len(content) or 512
        self._vectors = (IoVector * count)(*(IoVector(ctypes.addressof(item), size) for item in self._buffers))
        self._messages = (Message * count)()
        for number in range(count):
            self._messages[number].header.vectors = ctypes.pointer(self._vectors[number])
            self._messages[number].header.vector_count = 1
        self._libc = ctypes.CDLL(None, use_errno=True)

    def send(self, link: socket.socket, count: int) -> int:
        return int(self._libc.sendmmsg(link.fileno(), self._messages, count, 0))

    def receive(self, link: socket.socket) -> int:
        """At least one, unless the socket's timeout passes: then 0."""
        got = int(self._libc.recvmmsg(link.fileno(), self._messages, self.count, MSG_WAITFORONE, None))
        return max(0, got)

    def good(self, number: int) -> bool:
        """Whether datagram ``number`` is an answer without error and with a record."""
        packet = self._buffers[number].raw
        return not packet[3] & 15 and packet[7] > 0


def question(name: str) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack(">HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)


def connected(server: str) -> socket.socket:
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.connect((server, 53))
    # A real receive timeout, which recvmmsg honours too.
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 200_000))
    return link


def dns(server: str, name: str, seconds: float, outstanding: int) -> float:
    link = connected(server)
    questions, answers = Batch(outstanding, question(name)), Batch(outstanding, b"")
    began, done = time.perf_counter(), 0
    questions.send(link, outstanding)
    while time.perf_counter() - began < seconds:
        got = answers.receive(link)
        if got and not answers.good(0):
            raise SystemExit(f"{name}: the answer is an error")
        done += got
        # Nothing for 0.2 s: those questions are lost, the pipeline is filled anew.
        questions.send(link, got or outstanding)
    return done / (time.perf_counter() - began)


def latency(server: str, name: str, seconds: float) -> float:
    link, packet = connected(server), question(name)
    samples = []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        link.send(packet)
        link.recv(512)
        samples.append(time.perf_counter() - began)
    return statistics.median(samples) * 1e6


def http(address: str, port: int, seconds: float) -> float:
    began, done = time.perf_counter(), 0
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    while time.perf_counter() - began < seconds:
        with socket.socket(family, socket.SOCK_STREAM) as link:
            # Closed by a reset: thousands of connections in TIME_WAIT a second would use up the ports.
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            link.connect((address, port))
            link.send(REQUEST)
            if not link.recv(200):
                raise SystemExit("empty answer")
        done += 1
    return done / (time.perf_counter() - began)


def serve(port: int) -> None:
    with socket.create_server(("0.0.0.0", port), backlog=1024) as listener:
        print("ready", flush=True)
        while True:
            link, _ = listener.accept()
            with link:
                link.recv(200)
                link.send(PAGE)


def send(address: str, port: int, seconds: float) -> float:
    block, sent = bytes(1 << 18), 0
    with socket.create_connection((address, port)) as link:
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            sent += link.send(block)
        # What the other end has not taken has not arrived.
        link.shutdown(socket.SHUT_WR)
        link.recv(1)
        return sent * 8 / (time.perf_counter() - began) / 1e9


def sink(port: int) -> None:
    room = bytearray(1 << 20)
    with socket.create_server(("0.0.0.0", port)) as listener:
        print("ready", flush=True)
        while True:
            link, _ = listener.accept()
            with link:
                while link.recv_into(room):
                    pass


def main(job: str, *given: str) -> None:
    match job:
        case "dns":
            print(dns(given[0], given[1], float(given[2]), int(given[3])))
        case "latency":
            print(latency(given[0], given[1], float(given[2])))
        case "http":
            print(http(given[0], int(given[1]), float(given[2])))
        case "send":
            print(send(given[0], int(given[1]), float(given[2])))
        case "sink":
            sink(int(given[0]))
        case "serve":
            serve(int(given[0]))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
