"""The resolver's loop: awake while somebody asks on, asleep otherwise."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead.dns.haste import Haste
from fairlead.dns.loop import Loop


class Echo:
    """A loop in a thread of its own that gives every datagram back; ``asleep`` is how much of the time it slept."""

    def __init__(self, haste: Haste) -> None:
        self.near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.near.settimeout(5)
        self._loop = Loop()
        self._loop._haste = haste
        self._loop.watch(far.fileno(), lambda _events: self._answer(far))
        self._far = far
        self._thread = threading.Thread(target=self._loop.run)
        self._thread.start()

    def _answer(self, far: socket.socket) -> None:
        data = far.recv(100)
        if data == b"stop":
            self._loop.stop()
        far.send(data)

    def ask(self, data: bytes = b"x") -> None:
        self.near.send(data)
        assert self.near.recv(100) == data

    def spent(self) -> float:
        """Seconds of processor time of the loop's thread."""
        on_core, *_ = Path(f"/proc/self/task/{self._thread.native_id}/schedstat").read_text(encoding="ascii").split()
        return int(on_core) / 1e9

    def close(self) -> None:
        self.ask(b"stop")
        self._thread.join()
        self.near.close()
        self._far.close()


class Keen(Haste):
    """Would always await the next question awake."""

    def __init__(self) -> None:
        super().__init__(cores=2)
        self.awake, self.missing, self.gains = True, 0, 0

    def slept(self, gap: float, now: float) -> None:
        self.awake = True

    def gained(self) -> None:
        self.gains += 1

    def missed(self, now: float) -> None:
        self.missing += 1
        super().missed(now)


@pytest.fixture
def keen() -> Iterator[tuple[Echo, Keen]]:
    haste = Keen()
    echo = Echo(haste)
    yield echo, haste
    echo.close()


def test_it_sleeps_after_a_spell_in_vain(keen: tuple[Echo, Keen]) -> None:
    echo, haste = keen
    for _ in range(20):
        echo.ask()
    missed, spent = haste.missing, echo.spent()
    time.sleep(0.1)
    assert haste.missing - missed <= 1
    assert echo.spent() - spent < 0.02
    assert not haste.awake


def test_every_question_is_answered_awake_or_asleep(keen: tuple[Echo, Keen]) -> None:
    echo, haste = keen
    for number in range(200):
        echo.ask(os.urandom(8))
        if number % 20 == 0:
            time.sleep(0.001)
    assert haste.gains + haste.missing >= 1
