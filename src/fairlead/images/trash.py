"""Directories that are gone at once and deleted when there is time."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import threading
import time

# What ends a container's life goes on meanwhile; and one thread deletes what a hundred of them leave.
_PAUSE = 0.1


class Trash:
    """A directory on the same file system as what is thrown away."""

    def __init__(self, path: str) -> None:
        self._path = path
        os.makedirs(path, mode=0o700, exist_ok=True)

    def discard(self, path: str) -> None:
        """``path`` is not there any more when this returns; its deletion, which may take seconds, goes on behind."""
        try:
            os.rename(path, os.path.join(self._path, secrets.token_hex(8)))
        except FileNotFoundError:
            return
        self._delete_behind()

    def sweep(self) -> None:
        """Delete what is there, now: what an earlier run left."""
        for name in os.listdir(self._path):
            _delete(os.path.join(self._path, name))

    def _delete_behind(self) -> None:
        """Unless somebody is at it already: whoever holds the directory's lock."""
        lock = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return
        threading.Thread(target=self._empty, args=(lock,), name="trash", daemon=True).start()

    def _empty(self, lock: int) -> None:
        time.sleep(_PAUSE)
        tried: set[str] = set()
        try:
            while fresh := set(os.listdir(self._path)) - tried:
                for name in fresh:
                    _delete(os.path.join(self._path, name))
                tried |= fresh
        except FileNotFoundError:
            return  # the whole data root went
        finally:
            os.close(lock)


def _delete(path: str) -> None:
    # Two deletions of one directory may meet (a sweep at start); whatever is left goes at the next start.
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
        return
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
