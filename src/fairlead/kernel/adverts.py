"""Frames of ours on a link in a sandbox: its addresses told to the neighbours."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from fairlead.kernel import netns
from fairlead.kernel.netns import Namespace
from fairlead.model.address import Ip
from fairlead.net import adverts


def send(ns: Namespace, link: str, addresses: Sequence[Ip]) -> None:
    """One frame for each address, with the link's own MAC; raises OSError where the link is gone or down.

    No socket stays: it would keep the namespace of a container that ended.
    """
    netns.run_in(ns, lambda: _send_here(link, addresses))


def _send_here(link: str, addresses: Sequence[Ip]) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as door:
        door.bind((link, 0))
        mac = door.getsockname()[4]
        for address in addresses:
            door.send(adverts.frame(mac, address))
