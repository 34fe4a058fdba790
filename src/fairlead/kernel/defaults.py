"""Default routes that others made in a sandbox: taken over, so that the engine says which network leads out."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.errors import KernelError
from fairlead.kernel.netlink import codec
from fairlead.kernel.netlink.codec import LinkInfo, RouteEntry
from fairlead.kernel.netlink.frames import NetlinkError
from fairlead.kernel.netns import Namespace
from fairlead.model.address import Ip

# Made by the kernel itself, and learned from router advertisements (rtnetlink(7), linux/rtnetlink.h).
_NOT_CONFIGURED = (2, 9)


def take_over(ns: Namespace, link: LinkInfo) -> Sequence[Ip]:
    """The gateways to which this interface's default routes led, at most one of each family; the routes are gone."""
    found = [
        route
        for route in ns.netlink.routes()
        if route.index == link.index
        and route.via is not None
        and not route.prefix.prefixlen
        and route.unicast
        and route.protocol not in _NOT_CONFIGURED
    ]
    gone = [
        codec.delete_route(RouteEntry(prefix=route.prefix, index=route.index, via=route.via, metric=route.metric))
        for route in found
    ]
    try:
        ns.netlink.batch(gone)
    except NetlinkError as error:
        raise KernelError("take over the default route of", link.name, error.errno) from error
    first = {route.via.version: route.via for route in reversed(found) if route.via is not None}
    return tuple(first[version] for version in sorted(first))
