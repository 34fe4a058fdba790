"""Who may pass at the same time: calls about single containers side by side, one about a whole network alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Gate:
    """GC must not meet an ADD or DEL of the same network (specification, "GC")."""

    def __init__(self) -> None:
        self._turn = asyncio.Condition()
        self._inside = 0
        self._closed = False

    @asynccontextmanager
    async def beside_others(self) -> AsyncIterator[None]:
        async with self._turn:
            await self._turn.wait_for(lambda: not self._closed)
            self._inside += 1
        try:
            yield
        finally:
            async with self._turn:
                self._inside -= 1
                self._turn.notify_all()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        async with self._turn:
            await self._turn.wait_for(lambda: not self._closed)
            self._closed = True
        try:
            async with self._turn:
                await self._turn.wait_for(lambda: not self._inside)
            yield
        finally:
            async with self._turn:
                self._closed = False
                self._turn.notify_all()
