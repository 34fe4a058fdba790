"""Do something from inside a network namespace, in a thread that enters it and is thrown away."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def enter(netns: str) -> None:
    """Moves the calling thread into ``netns`` (a path under /proc or /run/netns) for the rest of its life."""
    fd = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns", netns)
    finally:
        os.close(fd)


def run(netns: str, call: Callable[[], T]) -> T:
    """What ``call`` returns when it runs inside ``netns``; its exception is raised here."""
    box: list[T] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            enter(netns)
            box.append(call())
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            failure.append(error)

    thread = threading.Thread(target=body, name=f"inside {netns}")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return box[0]


def exchange(address: str, port: int, payload: bytes, timeout: float = 3.0) -> bytes:
    """All that the TCP server at ``address`` answers to ``payload`` until it closes."""
    with socket.create_connection((address, port), timeout=timeout) as link:
        if payload:
            link.sendall(payload)
        parts = []
        while part := link.recv(65536):
            parts.append(part)
    return b"".join(parts)


def get(address: str, port: int, path: str = "/", timeout: float = 3.0) -> str:
    """The body of a plain HTTP/1.0 GET; raises OSError where nothing answers."""
    reply = exchange(address, port, f"GET {path} HTTP/1.0\r\nHost: test\r\n\r\n".encode(), timeout)
    _, _, body = reply.partition(b"\r\n\r\n")
    return body.decode()


def arrives(sender: socket.socket, receiver: socket.socket, patience: float) -> bool:
    """Whether what is sent now over a connection comes out at its other end, whatever was sent before it."""
    token = os.urandom(8)
    sender.sendall(token)
    receiver.settimeout(patience)
    heard = b""
    with contextlib.suppress(TimeoutError):
        while token not in heard:
            heard += receiver.recv(4096)
    return token in heard


@contextlib.contextmanager
def udp_echo(netns: str, port: int) -> Iterator[None]:
    """A UDP server inside ``netns`` that sends back what it gets."""

    def bound() -> socket.socket:
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("0.0.0.0", port))
        return server

    server = run(netns, bound)
    server.settimeout(0.1)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                packet, asker = server.recvfrom(65536)
                server.sendto(packet, asker)

    thread = threading.Thread(target=serve, name=f"udp echo {port}")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        server.close()


@contextlib.contextmanager
def tcp_echo(netns: str, port: int) -> Iterator[None]:
    """A TCP server inside ``netns``, in both families, that sends back what it gets on every connection."""
    server = run(netns, lambda: socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True))
    links: list[socket.socket] = []

    def serve(link: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := link.recv(65536):
                link.sendall(part)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                links.append(server.accept()[0])
                threading.Thread(target=serve, args=links[-1:], name=f"tcp echo {port}", daemon=True).start()

    thread = threading.Thread(target=accept, name=f"tcp echo server {port}")
    thread.start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for each in (server, *links):
            # Whoever reads is woken; then a reset, or an end that nobody answers would keep its namespace for long.
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            each.close()


def udp(address: str, port: int, payload: bytes, timeout: float = 2.0) -> bytes:
    """The first datagram that comes back."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as link:
        link.settimeout(timeout)
        link.connect((address, port))
        link.send(payload)
        return link.recv(65536)
