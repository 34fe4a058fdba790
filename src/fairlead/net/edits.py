"""Changes to a network that exists: which there can be, and what was asked of the network after them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import msgspec

from fairlead import ids
from fairlead.errors import Conflict, Forbidden, InvalidArgument, NotFound
from fairlead.model.address import Prefix
from fairlead.model.container import Container
from fairlead.model.endpoint import Endpoint
from fairlead.model.network import DNS, IpamConfig, Network, NetworkSpec, Subnet
from fairlead.model.requests import NetworkUpdate
from fairlead.net.drivers.options import ADVERT_INTERVAL, ADVERTS, BRIDGE, MTU, PUBLISH_POLICY
from fairlead.net.drivers.sublink_options import HOST_SHIM
from fairlead.net.firewall import GatewayMode
from fairlead.net.shaping import BANDWIDTH, NETEM

_HOST_BINDING = f"{BRIDGE}.host_binding_ipv4"
MODES: Mapping[int, str] = {4: f"{BRIDGE}.gateway_mode_ipv4", 6: f"{BRIDGE}.gateway_mode_ipv6"}

# By driver, the options that may change, each with whether what containers on the network want follows from it.
_CHANGEABLE: Mapping[str, Mapping[str, bool]] = {
    "bridge": {
        MTU: True,
        f"{BRIDGE}.enable_icc": True,
        f"{BRIDGE}.enable_ip_masquerade": False,
        f"{BRIDGE}.inhibit_ipv4": False,
        f"{BRIDGE}.trusted_host_interfaces": True,
        _HOST_BINDING: False,
        MODES[4]: True,
        MODES[6]: True,
        "com.docker.network.host_ipv4": False,
        "com.docker.network.host_ipv6": False,
        PUBLISH_POLICY: True,
        ADVERTS: False,
        ADVERT_INTERVAL: False,
        DNS: False,
    },
    "macvlan": {DNS: False, HOST_SHIM: True},
    "ipvlan": {DNS: False, HOST_SHIM: True},
}
_OF_ANY_DRIVER: Mapping[str, bool] = {DNS: False}
# Families of options that may change with every driver; containers' links follow from them.
_FAMILIES = (f"{BANDWIDTH}.", f"{NETEM}.")


def edited(spec: NetworkSpec, update: NetworkUpdate) -> NetworkSpec:
    """What is asked of the network from now on; raises InvalidArgument for an option that cannot change."""
    changing = (*update.options, *update.remove_options)
    if not spec.config_only:
        _check_changeable(spec, changing)
    removed_labels, removed_options = set(update.remove_labels), set(update.remove_options)
    labels = {key: value for key, value in spec.labels.items() if key not in removed_labels}
    options = {key: value for key, value in spec.options.items() if key not in removed_options}
    return replace(
        spec,
        name=update.name or spec.name,
        labels={**labels, **update.labels},
        options={**options, **update.options},
        ipam=(*_staying(spec.ipam, update.remove_subnets), *update.add_subnets),
    )


def _staying(asked: Iterable[IpamConfig], gone: Sequence[Prefix]) -> Iterable[IpamConfig]:
    return (config for config in asked if config.subnet not in gone)


def _check_changeable(spec: NetworkSpec, labels: Iterable[str]) -> None:
    known = _CHANGEABLE.get(spec.driver, _OF_ANY_DRIVER)
    for label in labels:
        if label not in known and not label.startswith(_FAMILIES):
            able = (*sorted(known), *(f"{family}*" for family in _FAMILIES))
            raise InvalidArgument(
                f"network {spec.name}: option {label} cannot change while the network exists; "
                f"these can: {', '.join(able)}"
            )


def reaches_endpoints(network: Network, update: NetworkUpdate) -> bool:
    """Whether containers on the network may have a say in this, or something to do; else it is the network's alone."""
    known = _CHANGEABLE.get(network.driver, _OF_ANY_DRIVER)
    if update.name or update.add_subnets or update.remove_subnets:
        return True
    return any(known.get(label, True) for label in (*update.options, *update.remove_options))


def concerns_endpoints(before: Network, after: Network) -> bool:
    """Whether what containers on the network want of the kernel may be different now."""
    if (before.name, before.subnets, before.mtu) != (after.name, after.subnets, after.mtu):
        return True
    known = _CHANGEABLE.get(before.driver, _OF_ANY_DRIVER)
    old, new = before.spec.options, after.spec.options
    return any(known.get(label, True) for label in {*old, *new} if old.get(label) != new.get(label))


def left(network: Network, gone: Sequence[Prefix], endpoints: Sequence[tuple[str, Endpoint]]) -> tuple[Subnet, ...]:
    """The subnets that stay; raises where one is not there, or has somebody in it."""
    known = {subnet.prefix for subnet in network.subnets}
    for prefix in gone:
        if prefix not in known:
            listed = ", ".join(str(subnet.prefix) for subnet in network.subnets) or "none"
            raise NotFound(f"network {network.name} has no subnet {prefix}; it has {listed}")
        _check_empty(network, prefix, endpoints)
    return tuple(subnet for subnet in network.subnets if subnet.prefix not in gone)


def check_subnets(before: Network, after: Network) -> None:
    """Raise for subnets in a family that the network does not have, and for a family without any."""
    had, has = ({subnet.prefix.version for subnet in network.subnets} for network in (before, after))
    if fresh := has - had:
        raise InvalidArgument(
            f"network {before.name} was made without IPv{min(fresh)}: its subnets stay in the family it has"
        )
    if lost := had - has:
        raise Forbidden(f"network {before.name} would have no IPv{min(lost)} subnet left: add another one as well")


def _check_empty(network: Network, prefix: Prefix, endpoints: Sequence[tuple[str, Endpoint]]) -> None:
    inside = [(name, e) for name, e in endpoints if any(address in prefix for address in e.addresses)]
    if inside:
        who = ", ".join(f'name:"{name}" id:"{ids.short(endpoint.id)}"' for name, endpoint in inside)
        raise Forbidden(
            f"error while updating network: subnet {prefix} of network {network.name} has active endpoints ({who})"
        )


def check_ways(before: Network, after: Network, endpoints: Iterable[tuple[str, Endpoint]]) -> None:
    """Raise where published ports would have to become another kind: translated ones routed, or the reverse."""
    for version, label in MODES.items():
        old, new = (network.spec.options.get(label, "") == GatewayMode.ROUTED for network in (before, after))
        names = [name for name, endpoint in endpoints if any(b.host_ip.version == version for b in endpoint.published)]
        if old != new and names:
            raise Conflict(
                f"network {before.name}: {label} cannot change between routed and translated while containers "
                f"publish ports through it ({', '.join(names)}): withdraw the ports, or stop the containers, first"
            )


def renamed(container: Container, before: str, after: str) -> Container:
    """A container that asked for the network by its name."""
    networks = {after if name == before else name: spec for name, spec in container.spec.networks.items()}
    mode = after if container.host.network_mode == before else container.host.network_mode
    host = msgspec.structs.replace(container.host, network_mode=mode)
    return replace(container, spec=replace(container.spec, networks=networks, host=host))
