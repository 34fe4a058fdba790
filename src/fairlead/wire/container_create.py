"""POST /containers/create and /update: JSON -> ContainerSpec and UpdateSpec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from fairlead.errors import InvalidArgument
from fairlead.model.container import Config, ContainerSpec, HostConfig, RestartPolicy
from fairlead.model.endpoint import EndpointSpec
from fairlead.model.requests import UpdateSpec
from fairlead.wire import body
from fairlead.wire.addresses import parse_mac
from fairlead.wire.container_checks import check_config, check_host, check_limits, check_modes, check_restart
from fairlead.wire.endpoints import EndpointBody, parse_endpoint
from fairlead.wire.ports import parse_bindings

_SEVERAL_NETWORKS = (1, 44)
_CGROUPNS_PRIVATE = (1, 41)
_IPC_PRIVATE = (1, 40)
_ALONE = ("host", "none")


class NetworkingBody(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    endpoints_config: Mapping[str, EndpointBody | None] = {}


def parse_create(text: bytes, version: tuple[int, int]) -> tuple[ContainerSpec, list[str]]:
    """The container asked for, and warnings for what is deprecated; raises InvalidArgument naming the field."""
    given = body.decode(text)
    config = body.convert(given, Config)
    host = _host(body.member(given, "HostConfig"), version)
    networking = _networking(body.member(given, "NetworkingConfig"))
    if not given:
        raise InvalidArgument("config cannot be empty in order to create a container")
    check_config(config)
    check_host(host)
    check_modes(config, host)
    if version < _SEVERAL_NETWORKS and len(networking) > 1:
        names = ", ".join(networking)
        raise InvalidArgument(f"Container cannot be created with multiple network endpoints: {names}")
    networks, warnings = _with_mac(config, host, _networks(host.network_mode, networking), version)
    spec = ContainerSpec(config=config, host=host, networks=networks, ports=parse_bindings(host.port_bindings))
    return spec, warnings


def _host(given: Any, version: tuple[int, int]) -> HostConfig:
    host = HostConfig() if given is None else body.convert(given, HostConfig, "HostConfig")
    changes: dict[str, Any] = {"network_mode": _network_mode(host.network_mode)}
    if not host.cgroupns_mode and version < _CGROUPNS_PRIVATE:
        changes["cgroupns_mode"] = "host"
    if not host.ipc_mode and version < _IPC_PRIVATE:
        changes["ipc_mode"] = "shareable"
    if host.memory_swappiness == -1:
        changes["memory_swappiness"] = None
    if host.restart_policy is None:
        changes["restart_policy"] = RestartPolicy()
    if host.console_size is None:
        changes["console_size"] = (0, 0)
    return msgspec.structs.replace(host, **changes)


def _network_mode(mode: str) -> str:
    return "bridge" if mode in ("", "default") else mode


def _networking(given: Any) -> dict[str, EndpointSpec]:
    if given is None:
        return {}
    bodies = body.convert(given, NetworkingBody, "NetworkingConfig").endpoints_config
    return {_network_mode(name): parse_endpoint(endpoint) for name, endpoint in bodies.items()}


def _networks(mode: str, given: Mapping[str, EndpointSpec]) -> dict[str, EndpointSpec]:
    """The networks to be on, that of NetworkMode first: it is eth0."""
    if mode.startswith("container:"):
        if given:
            raise InvalidArgument(
                "container sharing network namespace with another container or host cannot be connected to any"
                " other network",
            )
        return {}
    if mode in _ALONE:
        _check_alone(mode, given)
        return {mode: given.get(mode, EndpointSpec())}
    if not given:
        return {mode: EndpointSpec()}
    main = {mode: given[mode]} if mode in given else {}
    return main | {name: spec for name, spec in given.items() if name != mode}


def _check_alone(mode: str, given: Mapping[str, EndpointSpec]) -> None:
    if not set(given) - {mode}:
        return
    if mode == "none":
        raise InvalidArgument(
            "container cannot be connected to multiple networks with one of the networks in private (none) mode",
        )
    raise InvalidArgument(
        "container sharing network namespace with another container or host cannot be connected to any other network",
    )


def _with_mac(
    config: Config, host: HostConfig, networks: dict[str, EndpointSpec], version: tuple[int, int]
) -> tuple[dict[str, EndpointSpec], list[str]]:
    """The container-wide MacAddress of old clients belongs to the endpoint on NetworkMode's network."""
    mac = parse_mac(config.mac_address or "")
    if not mac:
        return networks, []
    if host.network_mode == "host" or host.network_mode.startswith("container:"):
        raise InvalidArgument("conflicting options: mac-address and the network mode")
    main = next(iter(networks))
    if networks[main].mac not in ("", mac):
        raise InvalidArgument(
            "the container-wide MAC address must match the endpoint-specific MAC address for the main network,"
            " or be left empty",
        )
    changed = networks | {main: replace(networks[main], mac=mac)}
    if version < _SEVERAL_NETWORKS:
        return changed, []
    return changed, [
        "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.",
    ]


def parse_update(text: bytes) -> UpdateSpec:
    """POST /containers/{id}/update."""
    given = body.parse(text, UpdateSpec)
    check_limits(given)
    if given.restart_policy is not None:
        check_restart(given.restart_policy)
    return given
