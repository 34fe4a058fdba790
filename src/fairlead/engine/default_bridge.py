"""What the daemon's flags say of the network ``bridge``: its options, its subnets, and whose bridge it is on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fairlead.errors import InvalidArgument
from fairlead.model.address import Interface, Ip, Prefix
from fairlead.model.network import OTHER_GATEWAY, IpamConfig, NetworkSpec
from fairlead.net.drivers.options import BRIDGE, BRIDGE_NAME, MTU
from fairlead.settings import Settings

NONE = "none"  # as --bridge: there is no default network


def spec(settings: Settings, name: str, own: Sequence[Interface]) -> NetworkSpec:
    """On the bridge ``name``; ``own`` are the addresses that a bridge of the administrator's has already."""
    options = {
        BRIDGE_NAME: name,
        f"{BRIDGE}.default_bridge": "true",
        f"{BRIDGE}.enable_icc": str(settings.icc).lower(),
        f"{BRIDGE}.enable_ip_masquerade": str(settings.ip_masq).lower(),
        f"{BRIDGE}.host_binding_ipv4": str(settings.publish_ip or "0.0.0.0"),
    }
    if settings.mtu:
        options[MTU] = str(settings.mtu)
    four = _Family("default-gateway", 4, settings.bip, settings.fixed_cidr, settings.default_gateway)
    six = _Family("default-gateway-v6", 6, settings.bip6, settings.fixed_cidr_v6, settings.default_gateway_v6)
    families = (four, six) if settings.ipv6 else (four,)
    ipam = tuple(config for family in families if (config := family.config(own)) is not None)
    return NetworkSpec(name="bridge", options=options, ipam=ipam, enable_ipv6=settings.ipv6)


class _Family(NamedTuple):
    """The flags about one family."""

    gateway_flag: str
    version: int
    bip: Interface | None
    fixed: Prefix | None
    gateway: Ip | None

    def config(self, own: Sequence[Interface]) -> IpamConfig | None:
        """None where nothing is said: the engine chooses."""
        address = self.bip or self._chosen(own)
        subnet = address.network if address is not None else self.fixed
        if subnet is None and self.gateway is None:
            return None
        if self.gateway is not None and (subnet is None or self.gateway not in subnet):
            raise InvalidArgument(
                f"--{self.gateway_flag} {self.gateway} is not in the subnet of the default bridge: name that subnet, "
                f"with --{'bip' if self.version == 4 else 'bip6'}"
            )
        return IpamConfig(
            subnet=subnet,
            gateway=address.ip if address is not None else None,
            ip_range=self.fixed,
            aux={OTHER_GATEWAY[self.version]: self.gateway} if self.gateway is not None else {},
        )

    def _chosen(self, own: Sequence[Interface]) -> Interface | None:
        """Of several the one around --fixed-cidr, as in Docker; link-local ones are the kernel's."""
        mine = [each for each in own if each.version == self.version and not (each.version == 6 and each.is_link_local)]
        around = [each for each in mine if self.fixed is not None and self.fixed.network_address in each.network]
        return next(iter((*around, *mine)), None)
