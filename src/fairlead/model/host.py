"""What the host looks like to somebody who decides: its routes, links and addresses, read once and handed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fairlead.model.address import Interface, Ip, Prefix


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLink:
    """A link of the host that somebody wants something of; ``kind`` "" is hardware, ``master`` "" is none."""

    kind: str = ""
    mtu: int = 1500
    mac: str = ""
    master: str = ""
    master_kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """A snapshot of the host's network namespace.

    ``routes`` are the destinations of all unicast routes in all tables, default routes and those by our own links left
    out; ``links`` the names of all interfaces, ``addresses`` those on other links than ours; ``default_mtu`` is that of
    the link with the default route (1500 without one); ``ipv6`` says whether the kernel speaks IPv6 here;
    ``nameservers`` are those of the host's resolv.conf. ``asked`` tells of those links, by name, that a decision is
    about, and ``unknown_kinds`` which kinds of link it needs and the kernel lacks.
    """

    routes: tuple[Prefix, ...] = ()
    links: tuple[str, ...] = ()
    addresses: tuple[Interface, ...] = ()
    default_mtu: int = 1500
    ipv6: bool = True
    nameservers: tuple[Ip, ...] = ()
    asked: Mapping[str, HostLink] = field(default_factory=dict)
    unknown_kinds: frozenset[str] = frozenset()
