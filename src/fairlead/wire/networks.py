"""Networks: create, connect and disconnect requests -> model; model -> inspect and list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from fairlead.errors import InvalidArgument
from fairlead.model.address import Ip
from fairlead.model.container import StrMap
from fairlead.model.endpoint import Endpoint, EndpointSpec
from fairlead.model.network import IpamConfig, Network, NetworkSpec
from fairlead.model.views import NetworkView
from fairlead.wire import body
from fairlead.wire.addresses import parse_ip, parse_prefix
from fairlead.wire.endpoints import EndpointBody, first4, first6, parse_endpoint
from fairlead.wire.policy import policy_body
from fairlead.wire.times import rfc3339


class IpamConfigBody(msgspec.Struct, frozen=True, kw_only=True):
    subnet: str = msgspec.field(default="", name="Subnet")
    ip_range: str = msgspec.field(default="", name="IPRange")
    gateway: str = msgspec.field(default="", name="Gateway")
    aux: StrMap = msgspec.field(default={}, name="AuxiliaryAddresses")


class IpamBody(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    driver: str = ""
    options: StrMap = {}
    config: tuple[IpamConfigBody, ...] = ()


class ConfigFromBody(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    network: str = ""


class NetworkCreateBody(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    name: str = ""
    driver: str = ""
    scope: str = ""
    enable_ipv4: bool | None = msgspec.field(default=None, name="EnableIPv4")
    enable_ipv6: bool | None = msgspec.field(default=None, name="EnableIPv6")
    ipam: IpamBody | None = msgspec.field(default=None, name="IPAM")
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    config_from: ConfigFromBody | None = None
    options: StrMap = {}
    labels: StrMap = {}


class ConnectBody(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    container: str = ""
    endpoint_config: EndpointBody | None = None


class DisconnectBody(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    container: str = ""
    force: bool = False


_IPV4_GIVEN = (1, 48)  # EnableIPv4 means nothing to older clients


def parse_create(text: bytes, version: tuple[int, int]) -> NetworkSpec:
    """POST /networks/create; raises InvalidArgument naming the field, all address errors joined as Docker does."""
    given = body.parse(text, NetworkCreateBody)
    ipam = given.ipam or IpamBody()
    enable_ipv4 = given.enable_ipv4 if version >= _IPV4_GIVEN else None
    said = {4: enable_ipv4, 6: given.enable_ipv6}
    return NetworkSpec(
        name=given.name,
        driver=given.driver or "bridge",
        scope=given.scope or "local",
        enable_ipv4=enable_ipv4 is not False,
        enable_ipv6=given.enable_ipv6 is True,
        open_families=tuple(version for version, enable in said.items() if enable is None),
        ipam_driver=ipam.driver or "default",
        ipam_options=ipam.options,
        ipam=parse_pools(ipam.config),
        internal=given.internal,
        attachable=given.attachable,
        ingress=given.ingress,
        config_only=given.config_only,
        config_from=given.config_from.network if given.config_from else "",
        options=given.options,
        labels=given.labels,
    )


def parse_pools(given: tuple[IpamConfigBody, ...]) -> tuple[IpamConfig, ...]:
    """Subnets as asked for; raises InvalidArgument with every error there is."""
    pools: list[IpamConfig] = []
    errors: list[str] = []
    for config in given:
        try:
            pools.append(_pool(config))
        except InvalidArgument as error:
            errors.append(str(error))
    if errors:
        raise InvalidArgument("\n".join(("invalid network config:", *errors)))
    return tuple(pools)


def _pool(given: IpamConfigBody) -> IpamConfig:
    aux: dict[str, Any] = {}
    for name, text in given.aux.items():
        aux[name] = parse_ip(text, f"auxiliary address {name}:")
        if aux[name] is None:
            raise InvalidArgument(f"invalid auxiliary address {name}: it is empty")
    return IpamConfig(
        subnet=parse_prefix(given.subnet, "subnet"),
        ip_range=parse_prefix(given.ip_range, "ip-range"),
        gateway=parse_ip(given.gateway, "gateway"),
        aux=aux,
    )


def parse_connect(text: bytes) -> tuple[str, EndpointSpec]:
    """POST /networks/{id}/connect: the container and how it wants to be there."""
    given = body.parse(text, ConnectBody)
    if not given.container:
        raise InvalidArgument("invalid connect request: Container is empty")
    return given.container, parse_endpoint(given.endpoint_config)


def parse_disconnect(text: bytes) -> tuple[str, bool]:
    given = body.parse(text, DisconnectBody)
    if not given.container:
        raise InvalidArgument("invalid disconnect request: Container is empty")
    return given.container, given.force


def network_summary(network: Network) -> dict[str, Any]:
    """One entry of GET /networks."""
    spec = network.spec
    return {
        "Name": spec.name,
        "Id": network.id,
        "Created": rfc3339(network.created),
        "Scope": spec.scope,
        "Driver": spec.driver,
        "EnableIPv4": spec.enable_ipv4,
        "EnableIPv6": spec.enable_ipv6,
        "IPAM": {
            "Driver": spec.ipam_driver,
            "Options": dict(spec.ipam_options) or ({} if spec.ipam else None),
            "Config": _ipam_config(network),
        },
        "Internal": spec.internal,
        "Attachable": spec.attachable,
        "Ingress": spec.ingress,
        "ConfigFrom": {"Network": spec.config_from},
        "ConfigOnly": spec.config_only,
        "Containers": {},
        "Options": dict(spec.options),
        "Labels": dict(spec.labels),
    }


_STATUS = (1, 51)  # older clients know of no Status


def network_inspect(view: NetworkView, version: tuple[int, int], *, services: bool = False) -> dict[str, Any]:
    """GET /networks/{id}; ``services`` (verbose) lists the services of a swarm, of which there are none."""
    containers = {endpoint.container: _attachment(name, endpoint) for name, endpoint in view.endpoints}
    entry = network_summary(view.network) | {"Containers": containers} | _ours(view.network)
    if version >= _STATUS:
        entry |= {"Status": {"IPAM": {"Subnets": {str(prefix): _usage(*use) for prefix, use in view.usage.items()}}}}
    return entry | {"Services": {}} if services else entry


def _usage(in_use: int, available: int) -> dict[str, int]:
    return {"IPsInUse": in_use, "DynamicIPsAvailable": available}


def _ours(network: Network) -> dict[str, Any]:
    """What Docker has no field for, where there is something to say."""
    return {"Fairlead": {"Policy": policy_body(network.policy)}} if network.policy is not None else {}


def _ipam_config(network: Network) -> list[dict[str, Any]]:
    entries = []
    for subnet in network.subnets:
        entry: dict[str, Any] = {"Subnet": str(subnet.prefix)}
        if subnet.ip_range is not None:
            entry["IPRange"] = str(subnet.ip_range)
        if subnet.gateway is not None:
            entry["Gateway"] = str(subnet.gateway)
        if subnet.aux:
            entry["AuxiliaryAddresses"] = _texts(subnet.aux)
        entries.append(entry)
    return entries or _asked(network.spec.ipam)


def _asked(pools: tuple[IpamConfig, ...]) -> list[dict[str, Any]]:
    """A config-only network decides nothing: it shows what was asked."""
    shown: Mapping[str, str] = {"subnet": "Subnet", "ip_range": "IPRange", "gateway": "Gateway"}
    entries: list[dict[str, Any]] = []
    for pool in pools:
        entry: dict[str, Any] = {
            word: str(value) for name, word in shown.items() if (value := getattr(pool, name)) is not None
        }
        entries.append(entry | ({"AuxiliaryAddresses": _texts(pool.aux)} if pool.aux else {}))
    return entries


def _texts(aux: Mapping[str, Ip]) -> dict[str, str]:
    return {name: str(address) for name, address in aux.items()}


def _attachment(name: str, endpoint: Endpoint) -> dict[str, str]:
    return {
        "Name": name,
        "EndpointID": endpoint.id,
        "MacAddress": endpoint.mac,
        "IPv4Address": str(first4(endpoint) or ""),
        "IPv6Address": str(first6(endpoint) or ""),
    }
