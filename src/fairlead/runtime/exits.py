"""How containers ended: conmon writes the exit code of each into one directory, which is watched here."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

from fairlead.ids import ContainerId, is_full_id
from fairlead.runtime import inotify

OnExit = Callable[[ContainerId, int], None]


def read_exit(folder: str, container: str) -> int | None:
    """The exit code that conmon left for a container; None while there is none."""
    try:
        with open(os.path.join(folder, container), "rb") as file:
            return int(file.read(16))
    except (FileNotFoundError, ValueError):
        return None


def forget_exit(folder: str, container: str) -> None:
    """Take the exit code away, so that the next run of the container starts without one."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(folder, container))


class ExitWatch:
    """Calls ``on_exit`` in the event loop for every exit file that is there or appears, once for each."""

    def __init__(self, folder: str, on_exit: OnExit) -> None:
        """``folder`` must exist; watching begins with ``open``."""
        self._folder = folder
        self._on_exit = on_exit
        self._inotify: inotify.Inotify | None = None

    def open(self) -> None:
        """Watch, then report what was there before: so nothing falls between."""
        self._inotify = inotify.Inotify()
        self._inotify.watch(self._folder, inotify.MOVED_TO | inotify.CLOSE_WRITE)
        asyncio.get_running_loop().add_reader(self._inotify.fileno(), self._read)
        self.scan()

    def scan(self) -> None:
        """Report every exit file that is there."""
        for name in os.listdir(self._folder):
            self._report(name)

    def close(self) -> None:
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.fileno())
            self._inotify.close()
            self._inotify = None

    def _read(self) -> None:
        assert self._inotify is not None
        for event in self._inotify.events():
            if event.mask & inotify.OVERFLOW:
                self.scan()
            else:
                self._report(event.name)

    def _report(self, name: str) -> None:
        # conmon writes <id>.XXXXXX first and renames it: only whole names count.
        if not is_full_id(name):
            return
        code = read_exit(self._folder, name)
        if code is not None:
            self._on_exit(ContainerId(name), code)
