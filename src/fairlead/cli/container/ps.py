"""``fairlead ps``."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from fairlead.cli.command import NONE, Command, Context
from fairlead.cli.filters import encode, filter_flag
from fairlead.cli.flags import Values, number, switch
from fairlead.cli.listing import Column, Listing, format_flag, label_of, labels_of, write
from fairlead.cli.units import ellipsis, human_duration, human_size, short_id

Summary = Mapping[str, Any]


def names(container: Summary, *, short: bool) -> str:
    """The container's names without slash; those that a link gave it only in full output."""
    bare = [name.removeprefix("/") for name in container.get("Names") or []]
    return ",".join(name for name in bare if not (short and "/" in name))


def image(container: Summary, *, short: bool) -> str:
    name = str(container.get("Image") or "")
    if not name:
        return "<no image>"
    if not short:
        return name
    digits = str(container.get("ImageID") or "").removeprefix("sha256:")
    if digits and digits.startswith(name.removeprefix("sha256:")):
        return short_id(name)
    repository, at, _digest = name.partition("@sha256:")
    return repository if at else name


def command(container: Summary, *, short: bool) -> str:
    line = str(container.get("Command") or "")
    return json.dumps(ellipsis(line, 20) if short else line, ensure_ascii=False)


def created_at(container: Summary) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(container.get("Created") or 0))


def running_for(container: Summary) -> str:
    return human_duration(time.time() - (container.get("Created") or 0)) + " ago"


def size(container: Summary) -> str:
    shown = human_size(container.get("SizeRw") or 0, 3)
    root = container.get("SizeRootFs") or 0
    return f"{shown} (virtual {human_size(root, 3)})" if root > 0 else shown


def mounts(container: Summary, *, short: bool) -> str:
    shown = [str(mount.get("Name") or mount.get("Source") or "") for mount in container.get("Mounts") or []]
    return ",".join(ellipsis(name, 15) if short else name for name in shown)


def local_volumes(container: Summary) -> str:
    return str(sum(mount.get("Driver") == "local" for mount in container.get("Mounts") or []))


def networks(container: Summary) -> str:
    return ",".join(sorted((container.get("NetworkSettings") or {}).get("Networks") or {}))


def platform(container: Summary) -> str:
    found = (container.get("ImageManifestDescriptor") or {}).get("platform") or {}
    return "/".join(part for part in (found.get("os"), found.get("architecture"), found.get("variant")) if part)


def displayed_ports(ports: Sequence[Mapping[str, Any]]) -> str:
    """``0.0.0.0:80-82->80-82/tcp, 443/tcp``: neighbours are one range where host and container port are the same."""
    ranges: dict[tuple[str, str], list[int]] = {}
    closed: list[str] = []
    mapped: list[str] = []
    for port in sorted(ports, key=_port_order):
        address, private, kind = port.get("IP") or "", int(port["PrivatePort"]), str(port.get("Type") or "")
        if address and port.get("PublicPort") != private:
            mapped.append(f"{_join(address, str(port.get('PublicPort')))}->{private}/{kind}")
            continue
        group = ranges.get((address, kind))
        if group is not None and private == group[1] + 1:
            group[1] = private
            continue
        if group is not None:
            closed.append(_range(address, kind, group))
        ranges[address, kind] = [private, private]
    still_open = [_range(address, kind, group) for (address, kind), group in ranges.items()]
    return ", ".join([*closed, *still_open, *mapped])


def _port_order(port: Mapping[str, Any]) -> tuple[int, str, int, str]:
    return int(port["PrivatePort"]), port.get("IP") or "", port.get("PublicPort") or 0, port.get("Type") or ""


def _range(address: str, kind: str, group: Sequence[int]) -> str:
    first, last = group
    shown = str(first) if first == last else f"{first}-{last}"
    return f"{_join(address, shown)}->{shown}/{kind}" if address else f"{shown}/{kind}"


def _join(address: str, port: str) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def listing(*, short: bool, sizes: bool) -> Listing:
    """The fields of a container; ``short`` cuts ids, images, commands and names of mounts."""
    columns = {
        "ID": Column("CONTAINER ID", lambda item: item["Id"][:12] if short else item["Id"]),
        "Names": Column("NAMES", lambda item: names(item, short=short)),
        "Image": Column("IMAGE", lambda item: image(item, short=short)),
        "Platform": Column("PLATFORM", platform),
        "Command": Column("COMMAND", lambda item: command(item, short=short)),
        "CreatedAt": Column("CREATED AT", created_at),
        "RunningFor": Column("CREATED", running_for),
        "Ports": Column("PORTS", lambda item: displayed_ports(item.get("Ports") or [])),
        "State": Column("STATE", lambda item: item.get("State") or ""),
        "Status": Column("STATUS", lambda item: item.get("Status") or ""),
        "Size": Column("SIZE", size),
        "Labels": Column("LABELS", labels_of),
        "Label": Column("", None, label_of),
        "Mounts": Column("MOUNTS", lambda item: mounts(item, short=short)),
        "LocalVolumes": Column("LOCAL VOLUMES", local_volumes),
        "Networks": Column("NETWORKS", networks),
    }
    table = ["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names", *(["Size"] if sizes else [])]
    return Listing("formatter.ContainerContext", columns, table, "ID")


def _run(context: Context, values: Values, _arguments: list[str]) -> None:
    template = values.text("format")
    quiet = values.switch("quiet")
    if quiet and template not in {"", "table"}:
        context.warn("WARNING: Ignoring custom format, because both --format and --quiet are set.")
        template = ""
    sizes = values.switch("size") or ".Size" in template or "json ." in template
    last = 1 if values.switch("latest") and not values.changed("last") else values.number("last")
    query = {
        "all": values.switch("all") or None,
        "limit": last if last > 0 else None,
        "size": sizes or None,
        "filters": encode(values.get("filter")),
    }
    found = context.client.get("/containers/json", query)
    assert isinstance(found, list)
    shape = listing(short=not values.switch("no-trunc"), sizes=values.switch("size"))
    write(context, shape, found, template, quiet=quiet)


PS = Command(
    "[OPTIONS]",
    _run,
    (
        switch("all", "Show all containers (default shows just running)", "a"),
        filter_flag(),
        format_flag(),
        number("last", "Show n last created containers (includes all states)", "n", -1),
        switch("latest", "Show the latest created container (includes all states)", "l"),
        switch("no-trunc", "Don't truncate output"),
        switch("quiet", "Only display container IDs", "q"),
        switch("size", "Display total file sizes", "s"),
    ),
    NONE,
)
