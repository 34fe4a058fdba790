"""Directories that are gone at once and deleted when there is time."""

from __future__ import annotations

import os
import secrets
import shutil
import threading


class Trash:
    """A directory on the same file system as what is thrown away."""

    def __init__(self, path: str) -> None:
        self._path = path
        os.makedirs(path, mode=0o700, exist_ok=True)

    def discard(self, path: str) -> None:
        """``path`` is not there any more when this returns; its deletion, which may take seconds, goes on behind."""
        if (grave := self.bury(path)) is not None:
            threading.Thread(target=_delete, args=(grave,), name="trash", daemon=True).start()

    def bury(self, path: str) -> str | None:
        """Move it out of the way; where it is now, None if it was not there."""
        grave = os.path.join(self._path, secrets.token_hex(8))
        try:
            os.rename(path, grave)
        except FileNotFoundError:
            return None
        return grave

    def sweep(self) -> None:
        """Delete what an earlier run left."""
        for name in os.listdir(self._path):
            _delete(os.path.join(self._path, name))


def _delete(path: str) -> None:
    # Two deletions of one directory may meet (a sweep at start); whatever is left goes at the next start.
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        try:
            os.unlink(path)
        except FileNotFoundError:
            return
