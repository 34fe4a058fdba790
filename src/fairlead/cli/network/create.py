"""``fairlead network create``."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from fairlead.cli.command import ONE, Command, Context
from fairlead.cli.container.values import pair
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Values, several, switch, text

Subnet = IPv4Network | IPv6Network
Json = dict[str, Any]


def subnets_of(values: Values, flag: str = "subnet") -> list[Json]:
    """Subnets with the ranges, gateways and reserved addresses in them; raises CommandError in Docker's words."""
    subnets, ranges, gateways = values.list(flag), values.list("ip-range"), values.list("gateway")
    if len(subnets) < len(ranges) or len(subnets) < len(gateways):
        raise CommandError("every ip-range or gateway must have a corresponding subnet")
    configs: dict[Subnet, Json] = {}
    for text_form in subnets:
        subnet = _subnet(text_form)
        if any(subnet.version == other.version and subnet.overlaps(other) for other in configs):
            raise CommandError("multiple overlapping subnet configuration is not supported")
        configs[subnet] = {"Subnet": text_form}
    for text_form in ranges:
        _put(configs, "IPRange", "range", text_form, _subnet(text_form)[0])
    for text_form in gateways:
        _put(configs, "Gateway", "gateway", text_form, _address(text_form, "gateway"))
    for name, text_form in values.get("aux-address"):
        config = _config_of(configs, _address(text_form, "aux-address"), "aux-address", text_form)
        config.setdefault("AuxiliaryAddresses", {})[name] = text_form
    return list(configs.values())


def _ipam(values: Values) -> Json:
    ipam: Json = {"Driver": values.text("ipam-driver"), "Options": dict(values.get("ipam-opt"))}
    return {**ipam, "Config": subnets_of(values)}


def _put(
    configs: dict[Subnet, Json], field: str, what: str, text_form: str, address: IPv4Address | IPv6Address
) -> None:
    config = _config_of(configs, address, what, text_form)
    if field in config:
        kind, where = ("ranges", "on") if what == "range" else ("gateways", "for")
        raise CommandError(
            f"cannot configure multiple {kind} ({text_form}, {config[field]}) "
            f"{where} the same subnet ({config['Subnet']})",
        )
    config[field] = text_form


def _config_of(configs: dict[Subnet, Json], address: IPv4Address | IPv6Address, what: str, text_form: str) -> Json:
    for subnet, config in configs.items():
        if address in subnet:
            return config
    raise CommandError(f"no matching subnet for {what} {text_form}")


def _subnet(text_form: str) -> Subnet:
    try:
        return ip_network(text_form, strict=False)
    except ValueError as wrong:
        raise CommandError(f"invalid CIDR address: {text_form}") from wrong


def _address(text_form: str, what: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(text_form)
    except ValueError as wrong:
        raise CommandError(f"invalid {what} {text_form}: it is no IP address") from wrong


def _options(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    return dict(pairs)


def _run(context: Context, values: Values, arguments: list[str]) -> None:
    body: Json = {
        "Name": arguments[0],
        "Driver": values.text("driver"),
        "Options": _options(values.get("opt")),
        "IPAM": _ipam(values),
        "Internal": values.switch("internal"),
        "Attachable": values.switch("attachable"),
        "Ingress": values.switch("ingress"),
        "Scope": values.text("scope"),
        "ConfigOnly": values.switch("config-only"),
        "Labels": _options(values.get("label")),
    }
    for flag, field in (("ipv4", "EnableIPv4"), ("ipv6", "EnableIPv6")):
        if values.changed(flag):
            body[field] = values.switch(flag)
    if values.text("config-from"):
        body["ConfigFrom"] = {"Network": values.text("config-from")}
    made = context.client.post("/networks/create", None, body)
    assert isinstance(made, dict)
    if made.get("Warning"):
        context.warn(f"WARNING: {made['Warning']}")
    context.print(made["Id"])


CREATE = Command(
    "[OPTIONS] NETWORK",
    _run,
    (
        switch("attachable", "Enable manual container attachment"),
        several("aux-address", "Auxiliary IPv4 or IPv6 addresses used by Network driver", kind="map", parse=pair,
                shown_default="map[]"),
        text("config-from", "The network from which to copy the configuration", completes="networks"),
        switch("config-only", "Create a configuration only network"),
        text("driver", "Driver to manage the Network", "d", "bridge"),
        several("gateway", "IPv4 or IPv6 Gateway for the master subnet", kind="strings"),
        switch("ingress", "Create swarm routing-mesh network"),
        switch("internal", "Restrict external access to the network"),
        several("ip-range", "Allocate container ip from a sub-range", kind="strings"),
        text("ipam-driver", "IP Address Management Driver", default="default"),
        several("ipam-opt", "Set IPAM driver specific options", kind="map", parse=pair, shown_default="map[]"),
        switch("ipv4", "Enable or disable IPv4 address assignment", default=True),
        switch("ipv6", "Enable or disable IPv6 address assignment"),
        several("label", "Set metadata on a network", parse=pair),
        several("opt", "Set driver specific options", "o", kind="map", parse=pair, shown_default="map[]"),
        text("scope", "Control the network's scope"),
        several("subnet", "Subnet in CIDR format that represents a network segment", kind="strings"),
    ),
    ONE,
)  # fmt: skip
