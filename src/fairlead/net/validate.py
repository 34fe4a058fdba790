"""Whether what was asked of a network or an endpoint can be: every address error at once, in Docker's words."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.errors import Forbidden, InvalidArgument
from fairlead.model.address import Ip, Prefix
from fairlead.model.endpoint import EndpointSpec
from fairlead.model.network import IpamConfig, Network, NetworkSpec
from fairlead.net.drivers import sublink
from fairlead.net.upstreams import upstreams

_CNI = "cni"


_DHCP = "dhcp"


def check_network(spec: NetworkSpec) -> None:
    """Raises for what no driver could make."""
    if not spec.enable_ipv4 and not spec.enable_ipv6 and not spec.config_only:
        raise InvalidArgument("IPv4 or IPv6 must be enabled")
    if spec.scope not in ("", "local"):
        _refuse_scope(spec.scope)
    if errors := [error for config in spec.ipam for error in _config_errors(config)]:
        raise InvalidArgument("\n".join(("invalid network config:", *errors)))
    _check_overlaps(spec)
    upstreams(spec)


def _refuse_scope(scope: str) -> None:
    if scope == "swarm":
        raise Forbidden("cannot create a swarm scoped network when swarm is not active")
    raise InvalidArgument(f'invalid scope "{scope}": it is local or swarm')


def _check_overlaps(spec: NetworkSpec) -> None:
    subnets = [config.subnet for config in spec.ipam if config.subnet is not None]
    for index, one in enumerate(subnets):
        for other in subnets[index + 1 :]:
            if not one.network_address.is_unspecified and (_contains(one, other) or _contains(other, one)):
                raise InvalidArgument(
                    "invalid network config:\nmultiple overlapping subnet configuration is not supported"
                )


def _config_errors(config: IpamConfig) -> Iterator[str]:
    subnet = config.subnet
    if subnet is None:
        if config.aux and config.ip_range is None and config.gateway is None:
            yield "auxiliary addresses need a subnet that contains them"
        return
    if subnet.is_loopback or subnet.is_multicast:
        yield f"invalid subnet {subnet}: {'loopback' if subnet.is_loopback else 'multicast'} addresses are for no link"
    if config.ip_range is not None and (error := _range_error(config.ip_range, subnet)):
        yield f"invalid ip-range {config.ip_range}: {error}"
    # With "any subnet of this size" nobody knows yet what is inside.
    if subnet.network_address.is_unspecified:
        return
    if config.gateway is not None and (error := _address_error(config.gateway, subnet)):
        yield f"invalid gateway {config.gateway}: {error}"
    for name, address in config.aux.items():
        if error := _address_error(address, subnet):
            yield f"invalid auxiliary address {name}: {error}"


def _range_error(ip_range: Prefix, subnet: Prefix) -> str:
    if ip_range.version != subnet.version:
        return _other_family(subnet)
    if ip_range.prefixlen < subnet.prefixlen:
        return f"CIDR block is bigger than its parent subnet {subnet}"
    if not _contains(subnet, ip_range):
        return f"parent subnet {subnet} doesn't contain ip-range"
    return ""


def _address_error(address: Ip, subnet: Prefix) -> str:
    if address.version != subnet.version:
        return _other_family(subnet)
    return "" if address in subnet else f"parent subnet {subnet} doesn't contain this address"


def _other_family(subnet: Prefix) -> str:
    return f"parent subnet is an IPv{subnet.version} block"


def _contains(outer: Prefix, inner: Prefix) -> bool:
    same = outer.version == inner.version and outer.prefixlen <= inner.prefixlen
    return same and inner.network_address in outer


def check_endpoint(spec: EndpointSpec, network: Network) -> None:
    """Whether a container may be on this network in this way; which address is free is ``ipam``'s question."""
    if network.spec.config_only:
        raise Forbidden(f"cannot create endpoint on configuration-only network {network.name}")
    if network.spec.driver == _CNI:
        return  # its plugins say what they cannot do
    if errors := list(_endpoint_errors(spec, network)):
        raise InvalidArgument("\n".join(("invalid endpoint settings:", *errors)))
    sublink.check_endpoint(spec, network)


def _endpoint_errors(spec: EndpointSpec, network: Network) -> Iterator[str]:
    asked = [address for address in (spec.ipv4, spec.ipv6) if address is not None]
    if network.predefined and asked:
        yield "user-specified IP address is supported on user-defined networks only"
    if network.predefined and spec.aliases:
        yield "network-scoped aliases are only supported for user-defined networks"
    if network.predefined:
        return
    if spec.ipv4 is not None and spec.ipv4.version != 4:
        yield f"invalid IPv4 address: {spec.ipv4}"
    if spec.ipv6 is not None and spec.ipv6.version != 6:
        yield f"invalid IPv6 address: {spec.ipv6}"
    if network.spec.ipam_driver == _DHCP:
        if spec.ipv6 is not None:
            yield "a DHCP server gives no IPv6 addresses: leave out --ip6"
        asked = []  # which addresses there are, the server knows
    for address in asked:
        if not any(address in subnet.prefix for subnet in network.subnets):
            yield f"no configured subnet contains IP address {address}"
    for address in spec.link_local:
        if address.is_multicast or address.is_unspecified or address.is_loopback:
            yield f"invalid link-local IP address: {address}"
