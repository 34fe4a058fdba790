"""How fast and how late traffic between two network namespaces really is."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable

from harness import inside

_SETTLE = 0.4  # seconds before the measurement: the burst goes, TCP finds its pace
_HURRIED_END = struct.pack("ii", 1, 0)  # SO_LINGER: what is queued is dropped, not waited for


def megabits(sender: str, receiver: str, address: str, *, seconds: float = 1.2, port: int = 5201) -> float:
    """What one TCP stream from ``sender`` to ``address`` in ``receiver`` (paths of namespaces) brings, in Mbit/s."""
    server = inside.run(receiver, lambda: socket.create_server(("0.0.0.0", port)))
    server.settimeout(5)
    link = inside.run(sender, lambda: socket.create_connection((address, port), timeout=5))
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _HURRIED_END)
    incoming, _ = server.accept()
    pump = threading.Thread(target=_pump, args=(link,), name="traffic")
    pump.start()
    try:
        _drain(incoming, _SETTLE)
        began = time.monotonic()
        received = _drain(incoming, seconds)
        return received * 8 / (time.monotonic() - began) / 1e6
    finally:
        link.shutdown(socket.SHUT_RDWR)
        pump.join()
        for each in (link, incoming, server):
            each.close()


def _pump(link: socket.socket) -> None:
    try:
        while True:
            link.sendall(bytes(65536))
    except OSError:
        return


def _drain(incoming: socket.socket, seconds: float) -> int:
    """What comes in that time, in bytes."""
    end, received = time.monotonic() + seconds, 0
    while (left := end - time.monotonic()) > 0:
        incoming.settimeout(left)
        try:
            received += len(incoming.recv(1 << 20))
        except TimeoutError:
            break
    return received


def holds(measure: Callable[[], float], megabits: float, *, tolerance: float = 0.15, tries: int = 4) -> bool:
    """Whether traffic is held to that rate: never above it, and up to it where the machine has time for it.

    Headers are allowed for: TCP brings 95.6 % of a rate that counts whole frames.
    """
    for _ in range(tries):
        part = measure() / 0.956 / megabits
        if part > 1 + tolerance:
            return False
        if part >= 1 - tolerance:
            return True
    return False
