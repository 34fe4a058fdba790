"""What passes on a link of the host: neighbours being told where an address is."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from harness import inside

_ETH_P_ALL = 3
_ARP, _IPV6, _ICMPV6, _ADVERTISEMENT = 0x0806, 0x86DD, 58, 136


class Advert(NamedTuple):
    """A gratuitous ARP or an unsolicited neighbour advertisement. ``at`` is time.monotonic()."""

    at: float
    address: IPv4Address | IPv6Address
    mac: str


class Sniffer:
    """A socket that hears everything on one link, from the moment it is opened."""

    def __init__(self, netns: str, link: str) -> None:
        self._socket = inside.run(netns, lambda: _open(link))

    def adverts(self, seconds: float, enough: int = 1 << 30) -> list[Advert]:
        """All that come in that time; less long when ``enough`` of them were heard."""
        found: list[Advert] = []
        end = time.monotonic() + seconds
        while len(found) < enough and (left := end - time.monotonic()) > 0:
            self._socket.settimeout(left)
            with contextlib.suppress(TimeoutError):
                found += _read(self._socket.recv(2048))
        return found

    def close(self) -> None:
        self._socket.close()


@contextlib.contextmanager
def on(netns: str, link: str) -> Iterator[Sniffer]:
    sniffer = Sniffer(netns, link)
    try:
        yield sniffer
    finally:
        sniffer.close()


def _open(link: str) -> socket.socket:
    door = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    door.bind((link, _ETH_P_ALL))
    return door


def _read(frame: bytes) -> Iterator[Advert]:
    protocol, body = int.from_bytes(frame[12:14], "big"), frame[14:]
    # Own address in both places: nobody asks for itself but to be heard.
    if protocol == _ARP and body[14:18] == body[24:28]:
        yield Advert(time.monotonic(), IPv4Address(body[14:18]), body[8:14].hex(":"))
    if (
        protocol == _IPV6
        and body[6] == _ICMPV6
        and body[40] == _ADVERTISEMENT
        and IPv6Address(body[24:40]).is_multicast
    ):
        yield Advert(time.monotonic(), IPv6Address(body[48:64]), body[66:72].hex(":"))
