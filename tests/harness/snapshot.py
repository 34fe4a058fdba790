"""Everything an engine may leave behind, as a value: what is there after a test must be what was there before."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from harness.engine import Engine

CGROUPS = Path("/sys/fs/cgroup")
CONDEMNED = "flx"  # links on their way out, renamed until one deletion takes them all


def take(engine: Engine) -> dict[str, frozenset[str]]:
    """Links, addresses, routes, nft objects, named namespaces, mounts and directories of this engine's host."""
    host = engine.host
    return {
        "links": frozenset(
            f"{link['ifname']} {link.get('link_type')} mtu {link['mtu']} {link.get('ifalias', '')}"
            for link in _json(host.run("ip", "-j", "-d", "link"))
        ),
        "addresses": frozenset(
            f"{link['ifname']} {address['local']}/{address['prefixlen']}"
            for link in _json(host.run("ip", "-j", "address"))
            for address in link["addr_info"]
            if address["scope"] != "link"
        ),
        "routes": frozenset(_routes(host.run("ip", "route", "show", "table", "all"))),
        "nft": frozenset(_nft(host.run("nft", "-j", "list", "ruleset"))),
        "namespaces": frozenset(host.run("ls", "/run/netns").split()),
        "mounts": frozenset(_mounts(engine)),
        "records": frozenset(_names(engine.data_root / "containers")),
        "sandboxes": frozenset(name for name in _names(engine.exec_root) if len(name) == 64),
        "monitors": frozenset(str(pid) for pid in engine.processes("conmon")),
        "cgroups": frozenset(_cgroups(engine.seen)),
    }


def difference(before: dict[str, frozenset[str]], after: dict[str, frozenset[str]]) -> dict[str, list[str]]:
    """What appeared (+) and what vanished (-), per kind; empty when all is as it was."""
    out = {}
    for kind, had in before.items():
        changes = [f"+ {item}" for item in sorted(after[kind] - had)] + [
            f"- {item}" for item in sorted(had - after[kind])
        ]
        if changes:
            out[kind] = changes
    return out


def _json(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text or "[]")
    return found


def _names(directory: Path) -> list[str]:
    return os.listdir(directory) if directory.exists() else []


def _routes(text: str) -> list[str]:
    # Carrier, and the kernel's own link-local and multicast routes, come and go in their own time; the anycast address
    # of a router is there from the first time that IPv6 forwarding was needed.
    lines = [line.replace(" linkdown", "").strip() for line in text.splitlines()]
    passing = ("fe80:", "ff00::", "anycast ")
    return [line for line in lines if not any(mark in line for mark in passing)]


def _nft(text: str) -> list[str]:
    """Tables, chains, rules and each single element, without handles and counters."""
    out = []
    for entry in json.loads(text)["nftables"]:
        ((kind, thing),) = entry.items()
        if kind == "metainfo":
            continue
        elements = thing.pop("elem", [])
        out.append(f"{kind} {_plain(thing)}")
        out += [f"element {thing.get('name')} {_plain(element)}" for element in elements]
    return out


def _plain(thing: Any) -> str:
    return json.dumps(_without_counts(thing), sort_keys=True)


def _without_counts(thing: Any) -> Any:
    if isinstance(thing, dict):
        return {key: _without_counts(value) for key, value in thing.items() if key not in ("handle", "counter")}
    if isinstance(thing, list):
        return [_without_counts(value) for value in thing]
    return thing


def _mounts(engine: Engine) -> list[str]:
    """Mount points where the engine makes some; others of this machine come and go under a copied mount namespace."""
    places = (str(engine.base), "/run/netns", str(CGROUPS))
    lines = Path(f"/proc/{engine.host.pid}/mountinfo").read_text().splitlines()
    found = [(line.split()[4], line.split(" - ")[1].split()[0]) for line in lines]
    return [f"{point} {kind}" for point, kind in found if point.startswith(places)]


def _cgroups(ids: set[str]) -> list[str]:
    """Directories of the containers ``ids`` anywhere in the cgroup tree."""
    return [path for path, names, _ in os.walk(CGROUPS) for name in names if any(part in ids for part in _ids(name))]


def _ids(name: str) -> list[str]:
    return [name, name.removeprefix("fairlead-").removesuffix(".scope")]
