"""Deletes links behind everybody's back: the kernel takes 15 to 30 ms for one, and every other change waits for it.

Whoever removes a link *condemns* it: off its bridge, under a meaningless name, into a group, veths down. The thread
here deletes it once the host has been quiet for a moment. A hundred veth pairs take the kernel no longer than one, so
their group goes in one message; bridges take their time each (measured: 18 ms), so they go one by one and let whoever
has work to do pass in between. A crash costs nothing: the groups are swept at the next start.
"""

from __future__ import annotations

import errno
import logging
import threading
import time

from fairlead.kernel.netlink.codec import LinkEdit, delete_group, delete_link, set_link
from fairlead.kernel.netlink.connection import Netlink
from fairlead.kernel.netlink.frames import NetlinkError

CONDEMNED = 0x0F1EAD
CONDEMNED_BRIDGES = 0x0F1EAE
CONDEMNED_PREFIX = "flx"

_QUIET = 0.03  # while the kernel deletes, every other change of links waits
_PATIENCE = 1.0
_BACKLOG = 8  # so many bridges on their way out halve our patience

log = logging.getLogger(__name__)


def condemn(index: int, *, enslaved: bool, bridge: bool) -> bytes:
    """The message that makes a link vanish for all purposes; its name is free at once.

    A bridge stays up until it is deleted: without addresses and ports it does nothing, and for each link that goes
    down (as for each address that goes) the kernel looks through all tracked connections. Kernels before 6.2 refuse
    to rename a link that is up, with EBUSY: for them there is ``condemn_slowly``.
    """
    group = CONDEMNED_BRIDGES if bridge else CONDEMNED
    name, master = f"{CONDEMNED_PREFIX}{index:x}", 0 if enslaved else None
    return set_link(index, LinkEdit(name=name, group=group, alias="", master=master, up=None if bridge else False))


def condemn_slowly(index: int, *, enslaved: bool, bridge: bool) -> list[bytes]:
    return [set_link(index, LinkEdit(up=False)), condemn(index, enslaved=enslaved, bridge=bridge)]


class Reaper:
    """One thread and one rtnetlink socket of the namespace it was made in."""

    def __init__(self) -> None:
        self._netlink = Netlink()
        self._changed = threading.Condition()
        self._condemned, self._deleted = 1, 0  # rounds; the first is for what a former daemon left
        self._backlog = 0
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
            self._backlog = self._delete()
            with self._changed:
                if self._backlog:
                    self._since = time.monotonic()
                    continue
                self._deleted = now
                self._hurry = self._hurry and self._deleted < self._condemned
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
        patience = _PATIENCE / (1 + self._backlog / _BACKLOG)
        return min(self._touched + _QUIET - now, self._since + patience - now)

    def _delete(self) -> int:
        """All veths and one bridge; how many bridges are left."""
        self._send(delete_group(CONDEMNED))
        bridges = [link.index for link in self._netlink.links() if link.group == CONDEMNED_BRIDGES]
        if bridges:
            self._send(delete_link(bridges[0]))
        return max(0, len(bridges) - 1)

    def _send(self, request: bytes) -> None:
        try:
            self._netlink.batch([request])
        except NetlinkError as error:
            if error.errno != errno.ENODEV:  # nobody in the group, or gone by itself
                log.warning("cannot delete condemned links: %s", error)
