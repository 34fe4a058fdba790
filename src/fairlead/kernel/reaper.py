"""Deletes links behind everybody's back: the kernel takes 15 to 30 ms for one, and hardly more for a hundred.

Whoever removes a link *condemns* it: it is put down, off its bridge, under a meaningless name, into a group. The thread
here deletes the whole group in one message once the host has been quiet for a moment. A crash in between costs nothing:
the group is swept at the next start.
"""

from __future__ import annotations

import errno
import logging
import threading
import time

from fairlead.kernel.netlink.codec import LinkEdit, delete_group, set_link
from fairlead.kernel.netlink.connection import Netlink
from fairlead.kernel.netlink.frames import NetlinkError

CONDEMNED = 0x0F1EAD
CONDEMNED_PREFIX = "flx"

_QUIET = 0.03  # while the kernel deletes, every other change of links waits
_PATIENCE = 1.0

log = logging.getLogger(__name__)


def condemn(index: int, *, enslaved: bool) -> list[bytes]:
    """The messages that make a link vanish for all purposes; its name is free at once.

    Down before renamed: kernels before 6.2 refuse to rename a link that is up.
    """
    edit = LinkEdit(up=False, group=CONDEMNED, alias="", master=0 if enslaved else None)
    return [set_link(index, edit), set_link(index, LinkEdit(name=f"{CONDEMNED_PREFIX}{index:x}"))]


class Reaper:
    """One thread and one rtnetlink socket of the namespace it was made in."""

    def __init__(self) -> None:
        self._netlink = Netlink()
        self._changed = threading.Condition()
        self._condemned, self._deleted = 1, 0  # rounds; the first is for what a former daemon left
        self._hurry = self._closing = False
        self._since = self._touched = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="fairlead-reaper", daemon=True)
        self._thread.start()

    def touch(self, *, condemned: bool) -> None:
        """Somebody worked on links; ``condemned``: and left some to delete."""
        with self._changed:
            self._touched = time.monotonic()
            if not condemned:
                return
            if self._condemned == self._deleted:
                self._since = self._touched
            self._condemned += 1
            self._changed.notify_all()

    def settle(self) -> None:
        """Return when nothing that was condemned before is left."""
        with self._changed:
            wanted = self._condemned
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._deleted >= wanted)

    def close(self) -> None:
        """Delete what is left, then end."""
        self.settle()
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self._netlink.close()

    def _run(self) -> None:
        while self._wait():
            with self._changed:
                now = self._condemned
                self._hurry = False
            self._delete()
            with self._changed:
                self._deleted = now
                self._changed.notify_all()

    def _wait(self) -> bool:
        """Wait for something to delete and a quiet moment; False when closing."""
        with self._changed:
            while not self._closing:
                delay = self._delay()
                if delay is not None and delay <= 0:
                    return True
                self._changed.wait(delay)
            return False

    def _delay(self) -> float | None:
        """Seconds until deleting may begin; None with nothing to delete."""
        if self._condemned == self._deleted:
            return None
        if self._hurry:
            return 0
        now = time.monotonic()
        return min(self._touched + _QUIET - now, self._since + _PATIENCE - now)

    def _delete(self) -> None:
        try:
            self._netlink.batch([delete_group(CONDEMNED)])
        except NetlinkError as error:
            if error.errno != errno.ENODEV:  # nobody in the group
                log.warning("cannot delete condemned links: %s", error)
