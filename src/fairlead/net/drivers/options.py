"""The bridge driver's ``-o`` options: parsed once from text, with Docker's names, defaults and error texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, TypeVar

from fairlead.errors import EngineError, InvalidArgument
from fairlead.model.address import Ip
from fairlead.model.network import NetworkSpec
from fairlead.net.firewall import GatewayMode
from fairlead.settings import PublishPolicy

T = TypeVar("T")

BRIDGE = "com.docker.network.bridge"
BRIDGE_NAME = f"{BRIDGE}.name"
MTU = "com.docker.network.driver.mtu"
IFACE_PREFIX = "com.docker.network.container_iface_prefix"
PUBLISH_POLICY = "fairlead.publish_policy"
ADVERTS = "com.docker.network.advertise_addr_nmsgs"
ADVERT_INTERVAL = "com.docker.network.advertise_addr_ms"

_MOST_ADVERTS = 3  # RFC 5227, 2.3 and RFC 4861, 10: MAX_NEIGHBOR_ADVERTISEMENT
_LONGEST_MTU = 65535
# What the kernel's hands call a link that waits to be deleted.
_CONDEMNED = re.compile(r"flx[0-9a-f]+\Z")
_LONGEST_IFNAME = 15
_IFNAME = re.compile(r"[^\s/:]{1,15}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeOptions:
    """``name`` "" and ``mtu`` 0 are for the engine to choose; ``publish_ip`` None is every address.

    ``publish_policy`` None is the engine's.
    ``adverts`` is how often a container's addresses are told to its neighbours when it joins.
    """

    name: str = ""
    masquerade: bool = True
    icc: bool = True
    publish_ip: Ip | None = None
    mode4: GatewayMode = GatewayMode.NAT
    mode6: GatewayMode = GatewayMode.NAT
    inhibit_ipv4: bool = False
    trusted: tuple[str, ...] = ()
    default_bridge: bool = False
    mtu: int = 0
    iface_prefix: str = "eth"
    snat4: Ip | None = None
    snat6: Ip | None = None
    publish_policy: PublishPolicy | None = None
    adverts: int = 3
    advert_interval: float = 1.0  # seconds

    @property
    def snat(self) -> tuple[Ip, ...]:
        return tuple(address for address in (self.snat4, self.snat6) if address is not None)


def parse_options(spec: NetworkSpec) -> BridgeOptions:
    """Raises InvalidArgument for a value that cannot be; options of other drivers are passed over, as in Docker."""
    values: dict[str, Any] = {}
    for label, text in spec.options.items():
        if (known := _OPTIONS.get(label)) is not None:
            field, parse = known
            values[field] = parse_value(label, text, parse)
    return BridgeOptions(**values)


def check_options(spec: NetworkSpec) -> BridgeOptions:
    """The options, if they fit the network as well."""
    options = parse_options(spec)
    for mode in (options.mode4, options.mode6):
        if mode is GatewayMode.ISOLATED and not spec.internal:
            raise EngineError("gateway mode 'isolated' can only be used for an internal network")
    for address, version in ((options.snat4, 4), (options.snat6, 6)):
        if address is not None and address.version != version:
            raise InvalidArgument(f"com.docker.network.host_ipv{version}: {address} is not an IPv{version} address")
    return options


def parse_value(label: str, text: str, parse: Callable[[str], T]) -> T:
    """The value; what ``parse`` finds wrong with it is told together with the option's name."""
    try:
        return parse(text)
    except ValueError as error:
        raise InvalidArgument(f"failed to parse {label} value: {text} ({error})") from error


# strconv.ParseBool's words.
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def parse_bool(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def parse_mtu(text: str) -> int:
    if re.fullmatch(r"[+-]?\d+", text, re.ASCII) is None:
        raise ValueError(f'strconv.Atoi: parsing "{text}": invalid syntax')
    mtu = int(text)
    if not 0 <= mtu <= _LONGEST_MTU:
        raise InvalidArgument(f"invalid MTU number: {mtu}")
    return mtu


def _parse_ip(text: str) -> Ip:
    try:
        return ip_address(text)
    except ValueError:
        raise ValueError("nil ip") from None


def _parse_publish_ip(text: str) -> Ip | None:
    """Both "" and 0.0.0.0 mean every address, IPv6 included (Docker's rule)."""
    return None if text in ("", "0.0.0.0") else _parse_ip(text)


def _parse_mode(text: str) -> GatewayMode:
    try:
        return GatewayMode(text) if text else GatewayMode.NAT
    except ValueError:
        raise ValueError(f"unknown gateway mode {text}") from None


def _parse_publish_policy(text: str) -> PublishPolicy | None:
    try:
        return PublishPolicy(text) if text else None
    except ValueError:
        raise ValueError(f"choose {' or '.join(PublishPolicy)}") from None


def _parse_adverts(text: str) -> int:
    if re.fullmatch(r"[+-]?\d+", text, re.ASCII) is None:
        raise InvalidArgument(f'value for option {ADVERTS} "{text}" must be an integer')
    if int(text) not in range(_MOST_ADVERTS + 1):
        raise InvalidArgument(f"{ADVERTS} must be in the range 0 to {_MOST_ADVERTS}")
    return int(text)


def _parse_advert_interval(text: str) -> float:
    if re.fullmatch(r"[+-]?\d+", text, re.ASCII) is None:
        raise InvalidArgument(f'value for option {ADVERT_INTERVAL} "{text}" must be integer milliseconds')
    if not 100 <= int(text) <= 2000:
        raise InvalidArgument(f"{ADVERT_INTERVAL} must be in the range 100 to 2000")
    return int(text) / 1000


def parse_ifname(text: str) -> str:
    """A name the kernel takes for an interface: 1 to 15 bytes, no space, slash or colon, not ``.`` or ``..``."""
    if _IFNAME.match(text) is None or text in (".", "..") or not text.isprintable() or '"' in text:
        raise ValueError(f'"{text}" is not a valid interface name')
    if len(text.encode()) > _LONGEST_IFNAME:
        raise ValueError(f'"{text}" is not a valid interface name')
    return text


def is_ifname(text: str) -> bool:
    try:
        parse_ifname(text)
    except ValueError:
        return False
    return True


def _parse_prefix(text: str) -> str:
    # The kernel's limit is 15; the number behind the prefix needs room.
    return parse_ifname(f"{text}000")[:-3] if text else "eth"


def _parse_interfaces(text: str) -> tuple[str, ...]:
    return tuple(parse_ifname(name) for name in text.split(":")) if text else ()


def _parse_name(text: str) -> str:
    if _CONDEMNED.match(text):
        raise ValueError(f'"{text}" is a name for links on their way out')
    return parse_ifname(text) if text else ""


_OPTIONS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    BRIDGE_NAME: ("name", _parse_name),
    f"{BRIDGE}.enable_ip_masquerade": ("masquerade", parse_bool),
    f"{BRIDGE}.enable_icc": ("icc", parse_bool),
    f"{BRIDGE}.host_binding_ipv4": ("publish_ip", _parse_publish_ip),
    f"{BRIDGE}.gateway_mode_ipv4": ("mode4", _parse_mode),
    f"{BRIDGE}.gateway_mode_ipv6": ("mode6", _parse_mode),
    f"{BRIDGE}.inhibit_ipv4": ("inhibit_ipv4", parse_bool),
    f"{BRIDGE}.trusted_host_interfaces": ("trusted", _parse_interfaces),
    f"{BRIDGE}.default_bridge": ("default_bridge", parse_bool),
    MTU: ("mtu", parse_mtu),
    IFACE_PREFIX: ("iface_prefix", _parse_prefix),
    "com.docker.network.host_ipv4": ("snat4", _parse_ip),
    "com.docker.network.host_ipv6": ("snat6", _parse_ip),
    PUBLISH_POLICY: ("publish_policy", _parse_publish_policy),
    ADVERTS: ("adverts", _parse_adverts),
    ADVERT_INTERVAL: ("advert_interval", _parse_advert_interval),
}
