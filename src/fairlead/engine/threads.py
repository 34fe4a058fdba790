"""Work in a thread that is thrown away: for what changes the thread itself (its mount or network namespace)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_own_thread(work: Callable[[], T]) -> T:
    """The result of ``work``, run in a fresh thread; cancelling the wait lets the thread finish unheard."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def tell(error: BaseException | None, value: T | None) -> None:
        if outcome.done():
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(value)  # type: ignore[arg-type]  # T may itself be None

    def run() -> None:
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001 (carried over to whoever waits)
            loop.call_soon_threadsafe(tell, error, None)
        else:
            loop.call_soon_threadsafe(tell, None, value)

    threading.Thread(target=run, name="own thread", daemon=True).start()
    return await outcome
