"""Throwaway threads: what changes a thread's namespaces is done in one that ends with it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def in_thread(work: Callable[[], T]) -> T:
    """Run ``work`` in a new thread and wait; its result, or its exception, is ours.

    A thread that entered another namespace is never used for anything else: it could not be trusted to come back.
    """
    result: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            result.append(work())
        except BaseException as error:  # noqa: BLE001 (handed to the caller, whatever it is)
            failure.append(error)

    thread = threading.Thread(target=run, name="fairlead-throwaway")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]
