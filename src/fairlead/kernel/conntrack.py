"""Forgets tracked flows to host ports whose publishing changed: UDP ones always, others where a port is taken away.

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
from fairlead.model.port import PortBinding
from fairlead.net.state import Add, Change, Element, Remove, Step

log = logging.getLogger(__name__)

_PUBLISHING = ("published", "ranges")


def udp_ports(steps: Iterable[Step]) -> set[int]:
    """The UDP host ports whose publishing these steps change; not those that only move into a range, or out of one."""
    before: set[tuple[str, int, str]] = set()
    after: set[tuple[str, int, str]] = set()
    for step in steps:
        match step:
            case Add(fact=Element() as element):
                after.update(_translations(element))
            case Remove(fact=Element() as element):
                before.update(_translations(element))
            case Change(before=Element() as old, fact=Element() as element):
                before.update(_translations(old))
                after.update(_translations(element))
            case _:
                continue
    return {port for _, port, _ in before ^ after}


def _translations(element: Element) -> Iterator[tuple[str, int, str]]:
    """(family and address on the host, port, target).

    Keys end in ``udp . 53`` or ``udp . 8000-8999``, behind an address or not.
    """
    *address, protocol, ports = ["", *element.key.split(" . ")]
    if not element.container.startswith(_PUBLISHING) or protocol != "udp":
        return
    low, _, high = ports.partition("-")
    place = " ".join((element.container.removesuffix("_at")[-1], *address))
    for port in range(int(low), int(high or low) + 1):
        yield place, port, element.value if " . " in element.value else f"{element.value} . {port}"


def forget_udp(ports: Collection[int], is_own: Callable[[Ip], bool]) -> int:
    """Delete the UDP entries for those ports of this host's addresses; how many there were.

    In the calling thread's namespace. A kernel that cannot is no reason to fail: entries end by themselves when
    their client pauses for half a minute.
    """
    return forget(ct.UDP, lambda ip, port: port in ports and is_own(ip))


def forget(protocol: int, stale: Callable[[Ip, int], bool], versions: Collection[int] = (4, 6)) -> int:
    """Delete the entries of one protocol whose first packet went to a stale address and port; how many there were."""
    connection = Netlink(NETFILTER)
    try:
        entries = [entry for entry in _entries(connection, protocol, versions) if stale(entry.destination, entry.port)]
        replies = connection.exchange([ct.delete_entry(entry) for entry in entries])
        return sum(1 for reply in replies if reply.errno in (0, errno.ENOENT))
    except NetlinkError as error:
        log.info("cannot look through tracked connections: %s", error)
        return 0
    finally:
        connection.close()


def goes_to(bindings: Iterable[PortBinding], addresses: Iterable[Ip], own: Collection[Ip]) -> Callable[[Ip, int], bool]:
    """Whether a first packet went to one of these host ports, ``own`` being the host's addresses, or past them."""
    bindings, anywhere = list(bindings), set(own)
    places = {(binding.host_ip, binding.host_port) for binding in bindings}
    wild = {(ip.version, port) for ip, port in places if ip.is_unspecified}
    places |= {(address, binding.container.port) for address in addresses for binding in bindings}
    return lambda ip, port: (ip, port) in places or ((ip.version, port) in wild and (ip in anywhere or ip.is_loopback))


def _entries(connection: Netlink, protocol: int, versions: Collection[int]) -> Iterator[ct.Entry]:
    for family in (AF_INET if version == 4 else AF_INET6 for version in versions):
        for body in connection.dump(ct.dump_entries(family, protocol)):
            entry = ct.read_entry(body)
            if entry is not None:
                yield entry
