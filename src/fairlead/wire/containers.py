"""Containers: model -> list entries and inspect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from fairlead.ids import NetworkId
from fairlead.model.container import Container, HealthState, MountPoint, State
from fairlead.model.endpoint import Endpoint
from fairlead.model.port import PortBinding
from fairlead.model.views import Inspected, Listed
from fairlead.wire.durations import human_duration
from fairlead.wire.endpoints import container_networks, first4, first6, gateway_of
from fairlead.wire.ports import port_list, port_map
from fairlead.wire.times import rfc3339

# API < 1.45 lists the container's short id among its aliases; later it is only among DNSNames.
_NO_ID_ALIAS = (1, 45)
_SECOND = 1_000_000_000

# Fields of HostConfig and Config that Go leaves out when they are empty.
_HOST_OMITTED = ("Mounts", "Annotations", "StorageOpt", "Tmpfs", "Sysctls", "Init")
_CONFIG_OMITTED = (
    "ExposedPorts",
    "Healthcheck",
    "ArgsEscaped",
    "NetworkDisabled",
    "MacAddress",
    "StopSignal",
    "StopTimeout",
    "Shell",
)


def container_summary(listed: Listed, version: tuple[int, int], now: int) -> dict[str, Any]:
    """One entry of GET /containers/json; ``now`` makes "Up 5 minutes"."""
    container = listed.container
    entry = {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": listed.image_name,
        "ImageID": container.image,
        "Command": _command(container),
        "Created": container.created // _SECOND,
        "Ports": port_list(_exposed(container), _published(container)) if container.endpoints else [],
        "Labels": container.config.labels or {},
        "State": container.state.status,
        "Status": status_text(container.state, now),
        "HostConfig": _host_summary(container),
        "NetworkSettings": {"Networks": _networks(container, listed, version)},
        "Mounts": [mount_point(mount) for mount in container.mounts],
    }
    if listed.size_root is not None:
        entry |= {"SizeRw": listed.size_rw or 0, "SizeRootFs": listed.size_root}
    return entry


def _networks(container: Container, view: Listed | Inspected, version: tuple[int, int]) -> dict[str, Any]:
    return container_networks(container, view.networks, legacy_aliases=version < _NO_ID_ALIAS)


def _host_summary(container: Container) -> dict[str, Any]:
    summary: dict[str, Any] = {"NetworkMode": container.host.network_mode}
    if container.host.annotations:
        summary["Annotations"] = container.host.annotations
    return summary


def _command(container: Container) -> str:
    """The command line as ``ps`` shows it: arguments with spaces or quotes are quoted."""
    words = (container.path, *container.args)
    return " ".join(_quoted(word) for word in words if word)


def _quoted(word: str) -> str:
    if not any(mark in word for mark in " \t\n'\""):
        return word
    return "'" + word.replace("'", "'\\''") + "'"


def _exposed(container: Container) -> dict[str, Any]:
    return dict(container.config.exposed_ports or {}) | {key: {} for key in container.host.port_bindings or {}}


def _published(container: Container) -> tuple[PortBinding, ...]:
    endpoints = container.endpoints
    found = (binding for e in endpoints for binding in (*e.published, *e.outside.published))
    return tuple(dict.fromkeys(found))


def status_text(state: State, now: int) -> str:
    """Up 5 minutes (healthy), Exited (0) 2 hours ago …"""
    up = human_duration(now - state.started)
    match state.status:
        case "paused":
            return f"Up {up} (Paused)"
        case "running":
            return f"Up {up}{_health_text(state.health)}"
        case "restarting":
            return f"Restarting ({state.exit_code}) {human_duration(now - state.finished)} ago"
        case "removing":
            return "Removal In Progress"
        case "dead":
            return "Dead"
        case "exited" if state.finished:
            return f"Exited ({state.exit_code}) {human_duration(now - state.finished)} ago"
        case _:
            return "Created"


def _health_text(health: HealthState | None) -> str:
    if health is None or health.status == "none":
        return ""
    return " (health: starting)" if health.status == "starting" else f" ({health.status})"


def mount_point(mount: MountPoint) -> dict[str, Any]:
    """One entry of Mounts."""
    entry: dict[str, Any] = {"Type": mount.type}
    if mount.name:
        entry["Name"] = mount.name
    entry |= {"Source": mount.source, "Destination": mount.target}
    if mount.driver:
        entry["Driver"] = mount.driver
    return entry | {"Mode": mount.mode, "RW": mount.rw, "Propagation": mount.propagation}


def container_inspect(view: Inspected, version: tuple[int, int]) -> dict[str, Any]:
    """GET /containers/{id}/json."""
    container = view.container
    entry = {
        "Id": container.id,
        "Created": rfc3339(container.created),
        "Path": container.path,
        "Args": list(container.args),
        "State": _state(container.state),
        "Image": container.image,
        "ResolvConfPath": container.resolv_conf_path,
        "HostnamePath": container.hostname_path,
        "HostsPath": container.hosts_path,
        "LogPath": container.log_path,
        "Name": f"/{container.name}",
        "RestartCount": container.restart_count,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": list(view.execs) or None,
        "HostConfig": _host_config(container),
        "GraphDriver": {"Data": dict(view.graph) or None, "Name": "overlay2"},
        "Mounts": [mount_point(mount) for mount in container.mounts],
        "Config": _config(container),
        "NetworkSettings": _network_settings(view, version),
    } | _ours(view)
    if view.size_root is not None:
        entry |= {"SizeRw": view.size_rw or 0, "SizeRootFs": view.size_root}
    return entry


def _ours(view: Inspected) -> dict[str, Any]:
    """What Docker has no field for, where there is something to say: what others tell of their endpoints."""
    names = {network.id: network.name for network in view.networks.values()}
    told = {
        names[endpoint.network]: {word: dict(value) for word, value in _told_by_others(endpoint) if value}
        for endpoint in view.container.endpoints
        if endpoint.network in names and any(value for _, value in _told_by_others(endpoint))
    }
    return {"Fairlead": {"Networks": told}} if told else {}


def _told_by_others(endpoint: Endpoint) -> tuple[tuple[str, Mapping[str, str]], ...]:
    return ("Plugin", endpoint.outside.shown), ("Lease", endpoint.outside.lease)


def _state(state: State) -> dict[str, Any]:
    entry = {
        "Status": state.status,
        "Running": state.running,
        "Paused": state.status == "paused",
        "Restarting": state.status == "restarting",
        "OOMKilled": state.oom_killed,
        "Dead": state.status == "dead",
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": rfc3339(state.started),
        "FinishedAt": rfc3339(state.finished),
    }
    if state.health is not None:
        entry["Health"] = _health(state.health)
    return entry


def _health(health: HealthState) -> dict[str, Any]:
    log = [
        {
            "Start": rfc3339(probe.start),
            "End": rfc3339(probe.end),
            "ExitCode": probe.exit_code,
            "Output": probe.output,
        }
        for probe in health.log
    ]
    return {"Status": health.status, "FailingStreak": health.failing, "Log": log}


def _host_config(container: Container) -> dict[str, Any]:
    host: dict[str, Any] = _without_empty(msgspec.to_builtins(container.host), _HOST_OMITTED)
    log = host["LogConfig"]
    host["LogConfig"] = {"Type": log["Type"] or container.log_driver, "Config": log["Config"] or {}}
    host["Runtime"] = host["Runtime"] or container.runtime
    return host


def _config(container: Container) -> dict[str, Any]:
    config: dict[str, Any] = _without_empty(msgspec.to_builtins(container.config), _CONFIG_OMITTED)
    return config | {"Labels": config["Labels"] or {}}


def _without_empty(entry: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    for name in names:
        if entry[name] is None:
            del entry[name]
    return entry


def _network_settings(view: Inspected, version: tuple[int, int]) -> dict[str, Any]:
    """With the top-level fields of the default bridge, which scripts of ten years read (gone in API 1.52)."""
    container = view.container
    live = bool(container.endpoints) or container.state.running
    settings = {
        "Bridge": "",
        "SandboxID": container.id if container.sandbox_key and live else "",
        "SandboxKey": container.sandbox_key if live else "",
        "Ports": port_map(_exposed(container), _published(container)) if container.endpoints else {},
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
    }
    return settings | _default_bridge(view) | {"Networks": _networks(container, view, version)}


def _default_bridge(view: Inspected) -> dict[str, Any]:
    network = view.networks.get("bridge")
    endpoint = _endpoint_on(view.container, network.id) if network else None
    v4, v6 = first4(endpoint), first6(endpoint)
    return {
        "EndpointID": endpoint.id if endpoint else "",
        "Gateway": gateway_of(network, endpoint, 4) if v4 else "",
        "GlobalIPv6Address": str(v6.ip) if v6 else "",
        "GlobalIPv6PrefixLen": v6.network.prefixlen if v6 else 0,
        "IPAddress": str(v4.ip) if v4 else "",
        "IPPrefixLen": v4.network.prefixlen if v4 else 0,
        "IPv6Gateway": gateway_of(network, endpoint, 6) if v6 else "",
        "MacAddress": endpoint.mac if endpoint else "",
    }


def _endpoint_on(container: Container, network: NetworkId) -> Endpoint | None:
    return next((endpoint for endpoint in container.endpoints if endpoint.network == network), None)
