"""Forgets tracked UDP flows to host ports whose publishing changed.

A tracked flow keeps the translation it had at its first packet, as long as packets come. A client that never pauses
would go on talking to a container that is gone, or to the host instead of the container that just came.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Collection, Iterable, Iterator

from fairlead.kernel.netlink import ct
from fairlead.kernel.netlink.codec import AF_INET, AF_INET6
from fairlead.kernel.netlink.connection import NETFILTER, Netlink
from fairlead.kernel.netlink.frames import NetlinkError
from fairlead.model.address import Ip
from fairlead.net.state import Element, Step

log = logging.getLogger(__name__)

_PUBLISHING = ("published", "ranges")


def udp_ports(steps: Iterable[Step]) -> set[int]:
    """The UDP host ports whose publishing these steps change."""
    return {port for step in steps if isinstance(step.fact, Element) for port in _ports(step.fact)}


def _ports(element: Element) -> Iterator[int]:
    """Keys end in ``udp . 53`` or ``udp . 8000-8999``, behind an address or not."""
    fields = element.key.split(" . ")
    if not element.container.startswith(_PUBLISHING) or "udp" not in fields[:-1]:
        return
    low, _, high = fields[-1].partition("-")
    yield from range(int(low), int(high or low) + 1)


def forget_udp(ports: Collection[int], is_own: Callable[[Ip], bool]) -> int:
    """Delete the UDP entries for those ports of this host's addresses; how many there were.

    In the calling thread's namespace. A kernel that cannot is no reason to fail: entries end by themselves when
    their client pauses for half a minute.
    """
    connection = Netlink(NETFILTER)
    try:
        stale = [entry for entry in _entries(connection) if entry.port in ports and is_own(entry.destination)]
        replies = connection.exchange([ct.delete_entry(entry) for entry in stale])
        return sum(1 for reply in replies if reply.errno in (0, errno.ENOENT))
    except NetlinkError as error:
        log.info("cannot look through tracked connections: %s", error)
        return 0
    finally:
        connection.close()


def _entries(connection: Netlink) -> Iterator[ct.Entry]:
    for family in (AF_INET, AF_INET6):
        for body in connection.dump(ct.dump_entries(family, ct.UDP)):
            entry = ct.read_entry(body)
            if entry is not None:
                yield entry
