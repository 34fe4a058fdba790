"""Steady questions from inside namespaces, and a count of those that were lost."""

from __future__ import annotations

import contextlib
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from harness import inside


def dns_question(name: str, kind: int = 1, number: int = 0x1234) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)


def ask(server: str, name: str, kind: int = 1, timeout: float = 2.0) -> bytes:
    """The reply to one question; raises OSError when none comes."""
    reply = inside.udp(server, 53, dns_question(name, kind), timeout)
    if reply[3] & 15 or not reply[7]:
        raise OSError(f"{name}: code {reply[3] & 15}, {reply[7]} answers")
    return reply


def fetch(address: str, port: int, timeout: float = 2.0) -> None:
    if not inside.get(address, port, timeout=timeout):
        raise OSError("empty answer")


@dataclass
class Probe:
    """One question asked ``rate`` times a second from inside ``netns`` until told to stop."""

    name: str
    netns: str
    question: Callable[[], object]
    rate: float = 100.0
    asked: int = 0
    lost: list[tuple[float, str]] = field(default_factory=list)
    slowest: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        inside.enter(self.netns)
        due = time.monotonic()
        while not self._stop.is_set():
            self._once()
            # A late question is not made up for: the rate is a ceiling, bursts would measure something else.
            due = max(due + 1 / self.rate, time.monotonic())
            self._stop.wait(due - time.monotonic())

    def _once(self) -> None:
        began = time.monotonic()
        try:
            self.question()
        except (TimeoutError, OSError) as error:
            self.lost.append((began, f"{type(error).__name__}: {error}"))
        self.asked += 1
        self.slowest = max(self.slowest, time.monotonic() - began)

    def stop(self) -> None:
        self._stop.set()
        assert self._thread is not None
        self._thread.join()


@contextlib.contextmanager
def running(probes: Sequence[Probe]) -> Iterator[Sequence[Probe]]:
    """The probes ask while the body runs."""
    for probe in probes:
        probe.start()
    try:
        yield probes
    finally:
        for probe in probes:
            probe.stop()


def losses(probes: Sequence[Probe], until: float = float("inf")) -> list[str]:
    """One line per probe that lost a question asked before ``until``."""
    out = []
    for probe in probes:
        lost = [(when, why) for when, why in probe.lost if when < until]
        if lost:
            out.append(f"{probe.name}: {len(lost)} of {probe.asked} lost, first: {lost[0][1]}")
    return out
