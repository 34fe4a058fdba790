"""What macvlan, ipvlan and VLAN links have of their own in IFLA_INFO_DATA, pure (linux/if_link.h)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from fairlead.kernel.netlink.frames import attributes, number, u16, u32

MACVLAN_MODES: Mapping[str, int] = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}
IPVLAN_MODES: Mapping[str, int] = {"l2": 0, "l3": 1, "l3s": 2}
IPVLAN_FLAGS: Mapping[str, int] = {"bridge": 0, "private": 1, "vepa": 2}

_MACVLAN_MODE = 1
_IPVLAN_MODE, _IPVLAN_FLAGS = 1, 2
_VLAN_ID = 1


class Nature(NamedTuple):
    """The settings of one kind of link; what another kind has is left empty."""

    mode: str = ""
    flag: str = ""
    vlan: int = 0


NO_NATURE = Nature()


def render(kind: str, nature: Nature) -> bytes:
    """The attributes for a link that is to be made; raises KeyError for a mode or flag that does not exist."""
    match kind:
        case "macvlan":
            return u32(_MACVLAN_MODE, MACVLAN_MODES[nature.mode])
        case "ipvlan":
            return u16(_IPVLAN_MODE, IPVLAN_MODES[nature.mode]) + u16(_IPVLAN_FLAGS, IPVLAN_FLAGS[nature.flag])
        case "vlan":
            return u16(_VLAN_ID, nature.vlan)
    return b""


def parse(kind: str, about: memoryview) -> Nature:
    """What the kernel says of a link; empty words for what is not known here."""
    match kind:
        case "macvlan":
            return Nature(mode=_word(MACVLAN_MODES, number(attributes(about).get(_MACVLAN_MODE))))
        case "ipvlan":
            found = attributes(about)
            return Nature(
                mode=_word(IPVLAN_MODES, number(found.get(_IPVLAN_MODE))),
                flag=_word(IPVLAN_FLAGS, number(found.get(_IPVLAN_FLAGS))),
            )
        case "vlan":
            return Nature(vlan=number(attributes(about).get(_VLAN_ID)))
    return NO_NATURE


def _word(words: Mapping[str, int], value: int) -> str:
    return next((word for word, known in words.items() if known == value), "")
