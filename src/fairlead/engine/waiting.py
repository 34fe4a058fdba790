"""Waiting for a container to end: armed first, answered later, so that no exit is missed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass

from fairlead.ids import ContainerId
from fairlead.model.container import Container
from fairlead.model.requests import WaitCondition
from fairlead.model.views import WaitResult


@dataclass(frozen=True, slots=True)
class Waiter:
    """One armed wait."""

    future: asyncio.Future[WaitResult]

    async def result(self) -> WaitResult:
        return await self.future


class Waiters:
    """All armed waits, by container and condition."""

    def __init__(self) -> None:
        self._armed: defaultdict[tuple[ContainerId, str], list[asyncio.Future[WaitResult]]] = defaultdict(list)

    def arm(self, container: Container, condition: WaitCondition) -> Waiter:
        future: asyncio.Future[WaitResult] = asyncio.get_running_loop().create_future()
        if condition == "not-running" and not container.state.running:
            future.set_result(_result(container))
        else:
            self._armed[container.id, condition].append(future)
        return Waiter(future)

    def tell(self, container: Container, condition: WaitCondition) -> None:
        """The condition holds now."""
        result = _result(container)
        for future in self._armed.pop((container.id, condition), ()):
            if not future.done():
                future.set_result(result)


def _result(container: Container) -> WaitResult:
    """The exit code; why a start failed is told to whoever asked for the start, as dockerd has it."""
    return WaitResult(status_code=container.state.exit_code)
