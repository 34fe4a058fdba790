"""The address notions every other module speaks of, one name each, whatever the family.

For the type checker each is the union of the two ``ipaddress`` classes. At run time each is an abstract class with
those two registered, because msgspec decodes at most one custom type per union; ``codec`` knows them.
"""

from __future__ import annotations

from abc import ABC
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Ip = IPv4Address | IPv6Address
    Interface = IPv4Interface | IPv6Interface
    Prefix = IPv4Network | IPv6Network
else:

    class Ip(ABC):  # noqa: B024 (a marker)
        """Marker: IPv4Address or IPv6Address."""

    class Interface(ABC):  # noqa: B024 (a marker)
        """Marker: IPv4Interface or IPv6Interface."""

    class Prefix(ABC):  # noqa: B024 (a marker)
        """Marker: IPv4Network or IPv6Network."""

    for marker, families in (
        (Ip, (IPv4Address, IPv6Address)),
        (Interface, (IPv4Interface, IPv6Interface)),
        (Prefix, (IPv4Network, IPv6Network)),
    ):
        for family in families:
            marker.register(family)


__all__ = ["Interface", "Ip", "Prefix"]
