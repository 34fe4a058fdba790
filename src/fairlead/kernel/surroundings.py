"""What else the host has, read once and again only after somebody else changed it.

Reading it takes 0.1 ms for each thousand routes and 50 ms for a thousand links, and every verb on networks asks. The
watch, which hears of every change anyway, says which may matter; before there is one, what was read serves for a while.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from fairlead.kernel import observe
from fairlead.kernel.netlink import codec
from fairlead.kernel.netlink.codec import LinkInfo
from fairlead.kernel.netlink.connection import Netlink
from fairlead.kernel.netlink.frames import Message, NetlinkError
from fairlead.kernel.reaper import CONDEMNED, CONDEMNED_BRIDGES
from fairlead.model.host import HostFacts

_UNWATCHED = 2.0  # seconds


class Surroundings:
    """The host's facts. Of our own links only the names count: they, and what is on them, make nothing read anew."""

    def __init__(self, netlink: Netlink) -> None:
        self._netlink = netlink
        self._facts: HostFacts | None = None
        self._read_at = 0.0
        self._own: set[int] = set()
        self._names: dict[int, str] = {}
        self._renamed = False
        self._catch_up: Callable[[], None] | None = None

    def follow(self, catch_up: Callable[[], None] | None) -> None:
        """From now on somebody calls ``hear_link`` and ``hear`` for all that changes, at the latest in ``catch_up``."""
        self._catch_up = catch_up
        self._facts = None

    def facts(self) -> HostFacts:
        """As it is now; without a follower as it was a moment ago."""
        if self._catch_up is not None:
            self._catch_up()
        elif time.monotonic() - self._read_at > _UNWATCHED:
            self._facts = None
        if self._facts is None:
            self._facts = self._read()
        elif self._renamed:
            self._facts = replace(self._facts, links=tuple(self._names.values()))
        self._renamed = False
        return self._facts

    def _read(self) -> HostFacts:
        links = self._netlink.links()
        self._own = {link.index for link in links if _is_own(link)}
        self._names = {link.index: link.name for link in links if not _is_condemned(link)}
        self._read_at = time.monotonic()
        others = [link for link in links if link.index not in self._own]
        return replace(observe.host_facts(self._netlink, others), links=tuple(self._names.values()))

    def forget(self) -> None:
        """Anything may have changed."""
        self._facts = None

    def hear_link(self, link: LinkInfo, *, gone: bool) -> None:
        if self._facts is None:
            return
        if link.index not in self._own and not _is_own(link):
            self._facts = None
            return
        self._renamed = True
        if gone:
            self._own.discard(link.index)
        else:
            self._own.add(link.index)
        if gone or _is_condemned(link):
            self._names.pop(link.index, None)
        else:
            self._names[link.index] = link.name

    def hear(self, message: Message) -> None:
        """Of an address or a route, after the links that were told with it."""
        if self._facts is not None and self._is_foreign(message):
            self._facts = None

    def _is_foreign(self, message: Message) -> bool:
        try:
            if message.kind in (codec.NEWADDR, codec.DELADDR):
                return codec.read_address(message.body).index not in self._own
            # Most routes are local and broadcast ones, which the kernel makes itself: no need to read those.
            if not codec.is_unicast(message.body):
                return False
            route = codec.read_route(message.body)
            return route is not None and route.index not in self._own
        except NetlinkError:
            return True


def _is_own(link: LinkInfo) -> bool:
    return observe.is_ours(link) or _is_condemned(link)


def _is_condemned(link: LinkInfo) -> bool:
    return link.group in (CONDEMNED, CONDEMNED_BRIDGES)
