"""The engine itself: /info, /version and /system/df."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from fairlead.model.views import Component, DiskUsage, Info, Version
from fairlead.wire.containers import container_summary
from fairlead.wire.images import image_summary
from fairlead.wire.times import rfc3339
from fairlead.wire.versions import HIGHEST, LOWEST, render_version
from fairlead.wire.volumes import volume_usage

_FIREWALL_SHOWN = (1, 49)
_NO_BRIDGE_NF = (1, 50)
_NO_BUILDER_SIZE = (1, 42)

KINDS = ("container", "image", "volume", "build-cache")


def version(item: Version) -> dict[str, Any]:
    """GET /version."""
    engine = Component(
        name="Engine",
        version=item.version,
        details={
            "ApiVersion": render_version(HIGHEST),
            "Arch": item.arch,
            "BuildTime": item.build_time,
            "Experimental": "false",
            "GitCommit": item.commit,
            "GoVersion": item.language,
            "KernelVersion": item.kernel,
            "MinAPIVersion": render_version(LOWEST),
            "Os": item.os,
        },
    )
    return {
        "Platform": {"Name": "fairlead"},
        "Components": [_component(part) for part in (engine, *_parts(item))],
        "Version": item.version,
        "ApiVersion": render_version(HIGHEST),
        "MinAPIVersion": render_version(LOWEST),
        "GitCommit": item.commit,
        "GoVersion": item.language,
        "Os": item.os,
        "Arch": item.arch,
        "KernelVersion": item.kernel,
        "BuildTime": item.build_time,
    }


def _parts(item: Version) -> list[Component]:
    return [part for part in item.components if part.name != "Engine"]


def _component(part: Component) -> dict[str, Any]:
    return {"Name": part.name, "Version": part.version, "Details": dict(part.details)}


def info(item: Info, api: tuple[int, int]) -> dict[str, Any]:
    """GET /info."""
    return (
        _counts(item) | _abilities(item, api) | _machine(item) | _registries(item) | _inside(item) | _others(item, api)
    )


def _counts(item: Info) -> dict[str, Any]:
    return {
        "ID": item.id,
        "Containers": item.running + item.paused + item.stopped,
        "ContainersRunning": item.running,
        "ContainersPaused": item.paused,
        "ContainersStopped": item.stopped,
        "Images": item.images,
        "Driver": item.driver,
        "DriverStatus": [list(pair) for pair in item.driver_status],
        "Plugins": {
            "Volume": list(item.volume_drivers),
            "Network": list(item.network_drivers),
            "IPAM": list(item.ipam_drivers),
            "Authorization": None,
            "Log": list(item.log_drivers),
        },
    }


def _abilities(item: Info, api: tuple[int, int]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "MemoryLimit": item.memory_limit,
        "SwapLimit": item.swap_limit,
        "CpuCfsPeriod": item.cpu_cfs,
        "CpuCfsQuota": item.cpu_cfs,
        "CPUShares": item.cpu_shares,
        "CPUSet": item.cpuset,
        "PidsLimit": item.pids_limit,
        "IPv4Forwarding": item.ipv4_forwarding,
        "OomKillDisable": item.oom_kill_disable,
    }
    if api < _NO_BRIDGE_NF:
        entry |= {"BridgeNfIptables": False, "BridgeNfIp6tables": False}
    return entry


def _machine(item: Info) -> dict[str, Any]:
    return {
        "Debug": item.debug,
        "NFd": item.descriptors,
        "NGoroutines": item.tasks,
        "NEventsListener": item.listeners,
        "SystemTime": rfc3339(item.time),
        "LoggingDriver": item.log_driver,
        "CgroupDriver": item.cgroup_driver,
        "CgroupVersion": item.cgroup_version,
        "KernelVersion": item.kernel,
        "OperatingSystem": item.operating_system,
        "OSVersion": item.os_version,
        "OSType": "linux",
        "Architecture": item.architecture,
        "NCPU": item.cpus,
        "MemTotal": item.memory,
        "Name": item.name,
    }


def _registries(item: Info) -> dict[str, Any]:
    docker = {"Name": "docker.io", "Mirrors": list(item.registry_mirrors), "Secure": True, "Official": True}
    insecure = {
        name: {"Name": name, "Mirrors": [], "Secure": False, "Official": False}
        for name in item.insecure_registries
        if "/" not in name
    }
    return {
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": {
            "InsecureRegistryCIDRs": [name for name in item.insecure_registries if "/" in name] or ["127.0.0.0/8"],
            "IndexConfigs": {"docker.io": docker} | insecure,
            "Mirrors": list(item.registry_mirrors) or None,
        },
        "HttpProxy": item.http_proxy,
        "HttpsProxy": item.https_proxy,
        "NoProxy": item.no_proxy,
    }


def _inside(item: Info) -> dict[str, Any]:
    return {
        "GenericResources": None,
        "DockerRootDir": item.root,
        "Labels": list(item.labels),
        "ExperimentalBuild": False,
        "ServerVersion": item.version,
        "Runtimes": {name: {"path": path} for name, path in item.runtimes.items()},
        "DefaultRuntime": item.default_runtime,
        "Swarm": {
            "NodeID": "",
            "NodeAddr": "",
            "LocalNodeState": "inactive",
            "ControlAvailable": False,
            "Error": "",
            "RemoteManagers": None,
        },
        "LiveRestoreEnabled": True,
        "Isolation": "",
        "InitBinary": item.init_binary,
    }


def _others(item: Info, api: tuple[int, int]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "ContainerdCommit": {"ID": ""},
        "RuncCommit": {"ID": item.runtime_version},
        "InitCommit": {"ID": ""},
        "SecurityOptions": list(item.security_options),
        "CDISpecDirs": [],
        "Warnings": list(item.warnings) or None,
    }
    if item.address_pools:
        entry["DefaultAddressPools"] = [{"Base": base, "Size": size} for base, size in item.address_pools]
    if api >= _FIREWALL_SHOWN:
        entry["FirewallBackend"] = {"Driver": "nftables"}
    return entry


def disk_usage(usage: DiskUsage, kinds: Collection[str], api: tuple[int, int], now: int) -> dict[str, Any]:
    """GET /system/df; families that were not asked for are null."""
    wanted = frozenset(kinds or KINDS)
    images = [image_summary(item.image, api, item.containers, item.shared) for item in usage.images]
    containers = [container_summary(item, api, now) for item in usage.containers]
    entry: dict[str, Any] = {
        "LayersSize": usage.layers_size if "image" in wanted else 0,
        "Images": images if "image" in wanted else None,
        "Containers": containers if "container" in wanted else None,
        "Volumes": [volume_usage(item) for item in usage.volumes] if "volume" in wanted else None,
        "BuildCache": [] if "build-cache" in wanted else None,
    }
    if api < _NO_BUILDER_SIZE:
        entry["BuilderSize"] = 0
    return entry
