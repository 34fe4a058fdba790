"""``--network`` and the flags of the first network, to NetworkMode and EndpointsConfig."""

from __future__ import annotations

from typing import Any

from fairlead.cli.container.values import is_mac, pair
from fairlead.cli.flags import Values, comma_separated, parse_int

Json = dict[str, Any]

_PREDEFINED = frozenset({"default", "bridge", "host", "none"})


def parse_network(raw: str) -> Json:
    """``name`` or ``name=…,alias=…,ip=…``; raises ValueError in Docker's words. Docker lowers the whole long form."""
    if "=" not in raw:
        return {"target": raw}
    options: Json = {}
    for part in comma_separated(raw):
        key, equals, value = part.lower().partition("=")
        if not equals or not key:
            raise ValueError(f"invalid field {part}")
        _set(options, key.strip(), value.strip())
    if not options.get("target"):
        raise ValueError("network name/id is not specified")
    return options


def _set(options: Json, key: str, value: str) -> None:
    match key:
        case "name":
            options["target"] = value
        case "alias" | "link-local-ip":
            options.setdefault(key, []).append(value)
        case "ip" | "ip6" | "mac-address":
            options[key] = value
        case "driver-opt":
            name, setting = pair(value)
            options.setdefault(key, {})[name] = setting
        case "gw-priority":
            options[key] = _priority(value)
        case _:
            raise ValueError(f"invalid field key {key}")


def _priority(value: str) -> int:
    try:
        return parse_int(value)
    except ValueError as wrong:
        raise ValueError(f"invalid gw-priority ({value}): {wrong}") from wrong


def attachments(values: Values) -> tuple[str, Json]:
    """The network mode and the endpoints; raises ValueError for a combination that cannot be."""
    networks: list[Json] = [dict(network) for network in values.get("network")] or [{"target": "default"}]
    _merge_into_first(networks[0], values)
    endpoints: Json = {}
    for index, network in enumerate(networks):
        target = network["target"]
        if target in endpoints or (index and target in _PREDEFINED and target == networks[0]["target"]):
            raise ValueError(f'network "{target}" is specified multiple times')
        if len(networks) > 1 and not _is_user_defined(target):
            raise ValueError(
                "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
            )
        endpoints[target] = endpoint(network)
    mode = networks[0]["target"]
    kept = {name: config for name, config in endpoints.items() if config or _is_user_defined(name)}
    return mode, kept


def _is_user_defined(target: str) -> bool:
    return target not in _PREDEFINED and not target.startswith("container:")


def _merge_into_first(network: Json, values: Values) -> None:
    """The flags without a network's name belong to the first one; naming the same thing twice is refused."""
    _one(network, "alias", values.list("network-alias"), "--network-alias and per-network alias")
    if network["target"] not in {"default", "bridge"} and _is_user_defined(network["target"]):
        _one(network, "link", values.list("link"), "--link and per-network links")
    _one(network, "ip", values.text("ip"), "--ip and per-network IPv4 address")
    _one(network, "ip6", values.text("ip6"), "--ip6 and per-network IPv6 address")
    _one(
        network,
        "link-local-ip",
        values.list("link-local-ip"),
        "--link-local-ip and per-network link-local IP addresses",
    )
    _one(network, "mac-address", values.text("mac-address"), "--mac-address and per-network MAC address")
    if network.get("alias") and not _is_user_defined(network["target"]):
        raise ValueError("network-scoped aliases are only supported for user-defined networks")


def _one(network: Json, key: str, value: str | list[str], conflict: str) -> None:
    if not value:
        return
    if key in network:
        raise ValueError(f"conflicting options: cannot specify both {conflict}")
    network[key] = value


def endpoint(network: Json) -> Json:
    """Docker's EndpointSettings of what was asked, without what was not."""
    mac = network.get("mac-address", "")
    if mac and not is_mac(mac):
        raise ValueError(f"{mac} is not a valid mac address")
    ipam = _present(
        IPv4Address=network.get("ip"),
        IPv6Address=network.get("ip6"),
        LinkLocalIPs=network.get("link-local-ip"),
    )
    return _present(
        IPAMConfig=ipam,
        Aliases=network.get("alias"),
        Links=network.get("link"),
        MacAddress=mac,
        DriverOpts=network.get("driver-opt"),
        GwPriority=network.get("gw-priority"),
    )


def _present(**fields: Any) -> Json:
    return {name: value for name, value in fields.items() if value}
