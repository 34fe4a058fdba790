"""The process's one loop: readiness of descriptors, and timers.

Not asyncio: a question answered is a read, a lookup and a write, and everything between them counts twice.
"""

from __future__ import annotations

import heapq
import os
import select
import sys
import time
import traceback
from collections.abc import Callable

from fairlead.dns.haste import SPELL, Haste

READ = select.EPOLLIN
WRITE = select.EPOLLOUT

_Ready = Callable[[int], None]


class Loop:
    """Calls back when a watched descriptor is ready (with the epoll events) or a time has come."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, _Ready] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = 0
        self._running = True
        self._haste = Haste(cores=os.cpu_count() or 1)

    def watch(self, fd: int, ready: _Ready, events: int = READ) -> None:
        """Calls ``ready`` on these events from now on, in place of what was called before."""
        known = fd in self._watched
        self._watched[fd] = ready
        if known:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)

    def forget(self, fd: int) -> None:
        """To be called before the descriptor is closed; a descriptor not watched is fine."""
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def later(self, seconds: float, due: Callable[[], None]) -> None:
        self._serial += 1
        heapq.heappush(self._timers, (time.monotonic() + seconds, self._serial, due))

    def stop(self) -> None:
        self._running = False

    def run(self) -> None:
        """Until ``stop``. An error in a callback is ours: it is logged, and everybody else is still served."""
        watched, clock = self._watched, time.perf_counter
        quiet = clock()
        while self._running:
            for fd, events in self._wait(quiet):
                try:
                    # A callback before this one in the batch may have forgotten it.
                    if (ready := watched.get(fd)) is not None:
                        ready(events)
                except Exception:  # noqa: BLE001 (the task supervisor of this process)
                    traceback.print_exc(file=sys.stderr)
            self._ring()
            quiet = clock()

    def _wait(self, quiet: float) -> list[tuple[int, int]]:
        """What is ready, with everything done since ``quiet``; for a moment awake, where that pays, else asleep."""
        poll, clock = self._epoll.poll, time.perf_counter
        if self._haste.awake:
            end = quiet + SPELL
            while clock() < end:
                if found := poll(0, 256):
                    self._haste.gained()
                    return found
            self._haste.missed(clock())
        found = poll(self._patience(), 256)
        now = clock()
        self._haste.slept(now - quiet, now)
        return found

    def _patience(self) -> float | None:
        if not self._timers:
            return None
        return max(self._timers[0][0] - time.monotonic(), 0)

    def _ring(self) -> None:
        timers = self._timers
        while timers and timers[0][0] <= time.monotonic():
            _when, _serial, due = heapq.heappop(timers)
            try:
                due()
            except Exception:  # noqa: BLE001 (the task supervisor of this process)
                traceback.print_exc(file=sys.stderr)
