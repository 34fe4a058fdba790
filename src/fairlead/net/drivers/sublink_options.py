"""The ``-o`` options of macvlan and ipvlan networks: parsed once, with Docker's names, defaults and error texts."""

from __future__ import annotations

from dataclasses import dataclass

from fairlead.errors import EngineError, InvalidArgument
from fairlead.model.network import NetworkSpec
from fairlead.net.drivers.options import MTU, parse_bool, parse_ifname, parse_mtu, parse_value
from fairlead.net.state import LinkKind

PARENT = "parent"
MACVLAN_MODE = "macvlan_mode"
IPVLAN_MODE, IPVLAN_FLAG = "ipvlan_mode", "ipvlan_flag"
HOST_SHIM = "fairlead.host_shim"

PASSTHRU = "passthru"
# In these the kernel routes: containers have no broadcasts and no neighbours, and their way out is the interface.
ROUTED_MODES = frozenset({"l3", "l3s"})

_MACVLAN_MODES = frozenset({"bridge", "private", "vepa", PASSTHRU})
_IPVLAN_MODES = frozenset({"l2", *ROUTED_MODES})
_IPVLAN_FLAGS = frozenset({"bridge", "private", "vepa"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SubLinkOptions:
    """``parent`` "" is none, ``mtu`` 0 the parent's; ``flag`` is ipvlan's only; ``shim``: the host has its own link."""

    mode: str
    flag: str = ""
    parent: str = ""
    mtu: int = 0
    shim: bool = False


def parse_options(spec: NetworkSpec, kind: LinkKind) -> SubLinkOptions:
    """Raises Docker's error for a value that cannot be; options of other drivers are passed over, as in Docker."""
    asked = spec.options
    mode, flag = _macvlan(asked.get(MACVLAN_MODE, "")) if kind is LinkKind.MACVLAN else _ipvlan(spec)
    return SubLinkOptions(
        mode=mode,
        flag=flag,
        parent=_parent(asked.get(PARENT, ""), kind),
        mtu=parse_value(MTU, asked[MTU], parse_mtu) if MTU in asked else 0,
        shim=HOST_SHIM in asked and parse_value(HOST_SHIM, asked[HOST_SHIM], parse_bool),
    )


def _macvlan(mode: str) -> tuple[str, str]:
    if mode and mode not in _MACVLAN_MODES:
        raise EngineError(f"requested macvlan mode '{mode}' is not valid, 'bridge' mode is the macvlan driver default")
    return mode or "bridge", ""


def _ipvlan(spec: NetworkSpec) -> tuple[str, str]:
    mode, flag = spec.options.get(IPVLAN_MODE, ""), spec.options.get(IPVLAN_FLAG, "")
    if mode and mode not in _IPVLAN_MODES:
        raise EngineError(f"requested ipvlan mode '{mode}' is not valid, 'l2' mode is the ipvlan driver default")
    if flag and flag not in _IPVLAN_FLAGS:
        raise EngineError(f"requested ipvlan flag '{flag}' is not valid, 'bridge' is the ipvlan driver default")
    return mode or "l2", flag or "bridge"


def _parent(name: str, kind: LinkKind) -> str:
    if name == "lo":
        raise EngineError(f"loopback interface is not a valid {kind} parent link")
    if not name:
        return ""
    try:
        return parse_ifname(name)
    except ValueError as error:
        raise InvalidArgument(
            f"-o {PARENT}: {error}: a name has 1 to 15 characters, no space, slash or colon"
        ) from error
