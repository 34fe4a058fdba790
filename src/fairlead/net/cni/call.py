"""One run of one plugin: what stands in its environment and what it reads from standard input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from fairlead.model.port import PortBinding
from fairlead.net.cni.conflist import Plugin, since


class Command(StrEnum):
    ADD = "ADD"
    DEL = "DEL"
    CHECK = "CHECK"
    GC = "GC"
    STATUS = "STATUS"
    VERSION = "VERSION"


# The version of the protocol in which a command came; the others have been there from the first.
_CAME_WITH: Mapping[Command, str] = {Command.CHECK: "0.4.0", Command.GC: "1.1.0", Command.STATUS: "1.1.0"}

# DEL is told the result of ADD since this one.
_DEL_IS_TOLD = "0.4.0"


def knows(version: str, command: Command) -> bool:
    """Whether plugins that speak ``version`` may be given this command."""
    return since(version, _CAME_WITH.get(command, "0.1.0"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bandwidth:
    """Bits per second and bits; 0 is no limit. Ingress is what the container receives."""

    ingress_rate: int = 0
    ingress_burst: int = 0
    egress_rate: int = 0
    egress_burst: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What an endpoint asks for beyond an interface: each is told to those plugins that declare that they serve it."""

    ips: tuple[str, ...] = ()
    ranges: tuple[Mapping[str, str], ...] = ()
    mac: str = ""
    aliases: tuple[str, ...] = ()
    ports: tuple[PortBinding, ...] = ()
    bandwidth: Bandwidth | None = None
    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    cgroup: str = ""


def runtime_config(wishes: Wishes) -> dict[str, Any]:
    """By capability, in the form of the conventions (CONVENTIONS.md of the specification); only what was asked for."""
    dns = {"servers": wishes.nameservers, "searches": wishes.search, "options": wishes.dns_options}
    found = {
        "ips": wishes.ips,
        # Each set of ranges gives one address: one set per family and subnet asked for.
        "ipRanges": [[each] for each in wishes.ranges],
        "mac": wishes.mac,
        "aliases": wishes.aliases,
        "portMappings": _port_mappings(wishes.ports),
        "bandwidth": _bandwidth(wishes.bandwidth),
        "dns": dns if any(dns.values()) else {},
        "cgroupPath": wishes.cgroup,
    }
    return {name: value for name, value in found.items() if value}


def _bandwidth(wish: Bandwidth | None) -> dict[str, int]:
    if wish is None:
        return {}
    return {
        "ingressRate": wish.ingress_rate,
        "ingressBurst": wish.ingress_burst,
        "egressRate": wish.egress_rate,
        "egressBurst": wish.egress_burst,
    }


def _port_mappings(bindings: Iterable[PortBinding]) -> list[dict[str, Any]]:
    """One entry per mapping: where both families' wildcards were asked for, one without an address says so."""
    hosts: dict[tuple[Any, int], list[str]] = {}
    for binding in bindings:
        hosts.setdefault((binding.container, binding.host_port), []).append(str(binding.host_ip))
    return [
        {
            "hostPort": host_port,
            "containerPort": port.port,
            "protocol": str(port.protocol),
            **({"hostIP": address} if address else {}),
        }
        for (port, host_port), addresses in hosts.items()
        for address in ([""] if {"0.0.0.0", "::"} <= {*addresses} else addresses)
    ]


def arguments(asked: str, wishes: Wishes, capabilities: frozenset[str]) -> str:
    """CNI_ARGS: the administrator's own, and what older plugins take addresses from, unless there is a better way."""
    parts = ["IgnoreUnknown=1"]
    if "ips" not in capabilities:
        parts += [f"IP={ip.partition('/')[0]}" for ip in wishes.ips[:1]]
    if wishes.mac and "mac" not in capabilities:
        parts.append(f"MAC={wishes.mac}")
    return ";".join([*parts, *(part for part in asked.split(";") if part)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """What is said of one endpoint to every plugin of its chain, the same at ADD, CHECK and DEL.

    ``plugins`` are their configurations as they were at ADD, ``runtime`` is ``runtime_config`` as JSON, ``result``
    what ADD answered in the end, "" while it has not, ``inode`` the namespace it was done in. A record: the intention
    is saved before the first plugin runs.
    """

    network: str
    container: str
    ifname: str
    netns: str
    chain: str
    version: str
    plugins: tuple[str, ...]
    runtime: str = "{}"
    arguments: str = ""
    result: str = ""
    inode: int = 0
    disable_check: bool = False


def environment(command: Command, attached: Attached | None, path: Sequence[str]) -> dict[str, str]:
    """The CNI_ variables; ``attached`` is None for commands that are about no container."""
    told = {"CNI_COMMAND": str(command), "CNI_PATH": ":".join(path)}
    if attached is None:
        # Plugins written before VERSION insist on what it has no use for.
        return told | ({"CNI_NETNS": "dummy", "CNI_IFNAME": "dummy"} if command is Command.VERSION else {})
    return told | {
        "CNI_CONTAINERID": attached.container,
        "CNI_NETNS": attached.netns,
        "CNI_IFNAME": attached.ifname,
        "CNI_ARGS": attached.arguments,
    }


def version_input(version: str) -> bytes:
    return msgspec.json.encode({"cniVersion": version})


def attachment_input(command: Command, attached: Attached, plugin: Plugin, previous: str) -> bytes:
    """What a plugin is told of a container; ``previous`` is the result so far, "" when there is none."""
    runtime = msgspec.json.decode(attached.runtime)
    config = _configured(plugin, attached.chain, attached.version)
    if chosen := {name: value for name, value in runtime.items() if name in plugin.capabilities}:
        config["runtimeConfig"] = chosen
    if previous and (command is not Command.DEL or since(attached.version, _DEL_IS_TOLD)):
        config["prevResult"] = msgspec.json.decode(previous)
    return msgspec.json.encode(config)


def network_input(plugin: Plugin, chain: str, version: str, valid: Iterable[tuple[str, str]] | None = None) -> bytes:
    """What a plugin is told for STATUS and, with the attachments (container, ifname) that are still there, for GC."""
    config = _configured(plugin, chain, version)
    if valid is not None:
        attachments = [{"containerID": container, "ifname": ifname} for container, ifname in valid]
        # The specification's name, and the one that the first plugins with GC look for.
        config |= {"cni.dev/valid-attachments": attachments, "cni.dev/attachments": attachments}
    return msgspec.json.encode(config)


def _configured(plugin: Plugin, chain: str, version: str) -> dict[str, Any]:
    config: dict[str, Any] = msgspec.json.decode(plugin.text)
    return config | {"name": chain, "cniVersion": version}
