"""Events: published once, told to every subscriber, the last ones kept for ``since``."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping

from fairlead.model.event import Event

# dockerd keeps 256; a restart of a hundred containers alone makes several hundred.
_KEPT = 4096
# A subscriber that does not read is dropped rather than kept in memory without end.
_BACKLOG = 16384


class Events:
    """The engine's event stream."""

    def __init__(self) -> None:
        self._kept: deque[Event] = deque(maxlen=_KEPT)
        self._subscribers: set[asyncio.Queue[Event | None]] = set()

    def publish(self, kind: str, action: str, actor: str, attributes: Mapping[str, str]) -> None:
        event = Event(time=time.time_ns(), kind=kind, action=action, actor=actor, attributes=dict(attributes))
        self._kept.append(event)
        for queue in tuple(self._subscribers):
            if queue.qsize() >= _BACKLOG:
                self._subscribers.discard(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait(event)

    async def subscribe(
        self,
        since: int | None = None,
        until: int | None = None,
        matches: Callable[[Event], bool] = lambda _: True,
    ) -> AsyncIterator[Event]:
        """Events from ``since`` to ``until`` (nanoseconds; None: from now, for ever), oldest first."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._subscribers.add(queue)
        try:
            for event in tuple(self._kept):
                wanted = since is not None and since <= event.time and (until is None or event.time <= until)
                if wanted and matches(event):
                    yield event
            while (event_or_end := await self._next(queue, until)) is not None:
                if matches(event_or_end):
                    yield event_or_end
        finally:
            self._subscribers.discard(queue)

    @staticmethod
    async def _next(queue: asyncio.Queue[Event | None], until: int | None) -> Event | None:
        if until is None:
            return await queue.get()
        try:
            async with asyncio.timeout(max(0.0, (until - time.time_ns()) / 1e9)):
                event = await queue.get()
        except TimeoutError:
            return None
        return event if event is not None and event.time <= until else None

    def close(self) -> None:
        """Ends every subscription."""
        for queue in self._subscribers:
            queue.put_nowait(None)
        self._subscribers.clear()
