"""The Compose verbs that show: the project as it was understood, and what there is of it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from fairlead import __version__
from fairlead.cli.command import ANY, NONE, TWO, Command, Context
from fairlead.cli.compose.common import containers, load, named_project
from fairlead.cli.container.ps import command, displayed_ports, running_for
from fairlead.cli.container.ps import image as shown_image
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Values, number, several, switch, text
from fairlead.cli.listing import Column, Listing, format_flag, write
from fairlead.cli.table import aligned
from fairlead.cli.units import human_size, short_id
from fairlead.compose.body import PREFIX
from fairlead.compose.plan import service_digest
from fairlead.compose.render import rendered

# -- config -----------------------------------------------------------------------------------------------------------


def _config(context: Context, values: Values, services: list[str]) -> None:
    project = load(context, services).project
    if values.switch("quiet"):
        return
    listed = {
        "services": project.needed_by(()),
        "volumes": list(project.volumes),
        "networks": list(project.networks),
        "profiles": sorted({p for s in (*project.services.values(), *project.disabled.values()) for p in s.profiles}),
        "images": sorted({service.image for service in project.services.values()}),
    }
    for name, lines in listed.items():
        if values.switch(name):
            for line in lines:
                context.print(line)
            return
    if values.text("hash"):
        wanted = services or (list(project.services) if values.text("hash") == "*" else values.text("hash").split(","))
        for name in wanted:
            context.print(f"{name} {service_digest(project, project.find(name))}")
        return
    context.write(rendered(project, values.text("format") or "yaml", services))


# -- ps, ls, images ---------------------------------------------------------------------------------------------------


def _label(name: str) -> Column:
    return Column(name.upper(), lambda item: (item.get("Labels") or {}).get(f"{PREFIX}{name}", ""))


def _exit_code(item: Mapping[str, Any]) -> int:
    status = str(item.get("Status") or "")
    return int(status[8:].partition(")")[0]) if status.startswith("Exited (") else 0


_PS = Listing(
    "formatter.ContainerContext",
    {
        "ID": Column("CONTAINER ID", lambda item: item["Id"][:12]),
        "Name": Column("NAME", lambda item: item["Names"][0].lstrip("/")),
        "Names": Column("NAMES", lambda item: item["Names"][0].lstrip("/")),
        "Image": Column("IMAGE", lambda item: shown_image(item, short=True)),
        "Command": Column("COMMAND", lambda item: command(item, short=True)),
        "Project": _label("project"),
        "Service": _label("service"),
        "RunningFor": Column("CREATED", running_for),
        "State": Column("STATE", lambda item: item["State"]),
        "Status": Column("STATUS", lambda item: item["Status"]),
        "Health": Column("HEALTH", lambda item: (item.get("Health") or {}).get("Status", "")),
        "ExitCode": Column("EXIT CODE", _exit_code),
        "Ports": Column("PORTS", lambda item: displayed_ports(item.get("Ports") or [])),
        "Publishers": Column("PUBLISHERS", lambda item: _publishers(item)),  # noqa: PLW0108 - defined below
    },
    ("Name", "Image", "Command", "Service", "RunningFor", "Status", "Ports"),
    "ID",
)


def _publishers(item: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "URL": port.get("IP", ""),
            "TargetPort": port["PrivatePort"],
            "PublishedPort": port.get("PublicPort", 0),
            "Protocol": port["Type"],
        }
        for port in item.get("Ports") or ()
    ]


def _ps(context: Context, values: Values, services: list[str]) -> None:
    those = containers(context, services)
    states = {state.partition("=")[2] or state for state in values.list("filter")} | set(values.list("status"))
    if values.switch("services"):
        for name in dict.fromkeys(c.service for c in those if not states or c.state in states):
            context.print(name)
        return
    shown = [c for c in those if c.state in states or (not states and (values.switch("all") or c.is_up))]
    write(context, _PS, [dict(c.raw) for c in shown], values.text("format"), quiet=values.switch("quiet"))


_LS = Listing(
    "formatter.StackContext",
    {
        "Name": Column("NAME", lambda item: item["Name"]),
        "Status": Column("STATUS", lambda item: item["Status"]),
        "ConfigFiles": Column("CONFIG FILES", lambda item: item["ConfigFiles"]),
    },
    ("Name", "Status", "ConfigFiles"),
    "Name",
)


def _ls(context: Context, values: Values, _arguments: list[str]) -> None:
    listed = context.client.get(
        "/containers/json", {"all": True, "filters": json.dumps({"label": [f"{PREFIX}project"]})}
    )
    assert isinstance(listed, list)
    projects: dict[str, dict[str, Any]] = {}
    for item in listed:
        labels = item["Labels"]
        found = projects.setdefault(labels[f"{PREFIX}project"], {"states": [], "files": ""})
        found["states"].append(item["State"])
        found["files"] = found["files"] or labels.get(f"{PREFIX}project.config_files", "")
    rows = [
        {"Name": name, "Status": _states(found["states"]), "ConfigFiles": found["files"]}
        for name, found in sorted(projects.items())
        if values.switch("all") or any(state in ("running", "paused", "restarting") for state in found["states"])
    ]
    write(context, _LS, rows, values.text("format"), quiet=values.switch("quiet"))


def _states(states: list[str]) -> str:
    return ", ".join(f"{state}({states.count(state)})" for state in sorted(set(states)))


_IMAGES = Listing(
    "formatter.ImageContext",
    {
        "Container": Column("CONTAINER", lambda item: item["Container"]),
        "Repository": Column("REPOSITORY", lambda item: item["Repository"]),
        "Tag": Column("TAG", lambda item: item["Tag"]),
        "ID": Column("IMAGE ID", lambda item: short_id(item["ID"])),
        "Size": Column("SIZE", lambda item: human_size(item["Size"], 3)),
    },
    ("Container", "Repository", "Tag", "ID", "Size"),
    "ID",
)


def _images(context: Context, values: Values, services: list[str]) -> None:
    rows = []
    for container in containers(context, services):
        found = context.client.get(f"/images/{container.image_id}/json")
        assert isinstance(found, dict)
        name, _, tag = (found.get("RepoTags") or ["<none>:<none>"])[0].rpartition(":")
        rows.append(
            {"Container": container.name, "Repository": name, "Tag": tag, "ID": found["Id"], "Size": found["Size"]}
        )
    write(context, _IMAGES, rows, values.text("format"), quiet=values.switch("quiet"))


# -- top, port, events, version ---------------------------------------------------------------------------------------


def _top(context: Context, _values: Values, services: list[str]) -> None:
    for container in containers(context, services):
        if container.state != "running":
            continue
        listed = context.client.get(f"/containers/{container.id}/top")
        assert isinstance(listed, dict)
        context.print(container.name)
        rows = [listed["Titles"], *(listed.get("Processes") or [])]
        context.write(aligned(["\t".join(row) for row in rows]))
        context.print("")


def _port(context: Context, values: Values, arguments: list[str]) -> None:
    service, private = arguments
    wanted = [c for c in containers(context, [service]) if c.number == values.number("index")]
    if not wanted:
        raise CommandError(f'service "{service}" is not running container #{values.number("index")}')
    for port in wanted[0].raw.get("Ports") or ():
        if str(port["PrivatePort"]) == private and port["Type"] == values.text("protocol") and port.get("PublicPort"):
            address = port.get("IP", "")
            context.print(f"[{address}]:{port['PublicPort']}" if ":" in address else f"{address}:{port['PublicPort']}")
            return
    raise CommandError(f"no port {private}/{values.text('protocol')} for container {wanted[0].name}")


def _events(context: Context, values: Values, services: list[str]) -> None:
    filters = {"type": ["container"], "label": [f"{PREFIX}project={named_project(context)}"]}
    with context.client.stream("GET", "/events", {"filters": json.dumps(filters)}) as response:
        for event in response.objects():
            assert isinstance(event, dict)
            attributes = event["Actor"]["Attributes"]
            service = attributes.get(f"{PREFIX}service", "")
            if services and service not in services:
                continue
            context.print(_event_line(event, attributes, service, as_json=values.switch("json")))
            context.flush()


def _event_line(event: Mapping[str, Any], attributes: Mapping[str, str], service: str, *, as_json: bool) -> str:
    stamp = (
        time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event["time"])) + f".{event['timeNano'] % 10**9 // 1000:06d}"
    )
    own = {key: value for key, value in attributes.items() if not key.startswith(PREFIX)}
    if as_json:
        return json.dumps(
            {
                "action": event["Action"],
                "attributes": own,
                "id": event["Actor"]["ID"],
                "service": service,
                "time": stamp.replace(" ", "T"),
                "type": "container",
            }
        )
    told = ", ".join(f"{key}={value}" for key, value in sorted(own.items()))
    return f"{stamp} container {event['Action']} {event['Actor']['ID']} ({told})"


def _version(context: Context, values: Values, _arguments: list[str]) -> None:
    if values.switch("short"):
        context.print(__version__)
    elif values.text("format") == "json":
        context.print(json.dumps({"version": __version__}))
    else:
        context.print(f"fairlead compose version {__version__}")


CONFIG = Command(
    "[OPTIONS] [SERVICE...]",
    _config,
    (
        text("format", "Format the output. Values: [yaml | json]"),
        text("hash", "Print the service config hash, one per line."),
        switch("images", "Print the image names, one per line."),
        switch("networks", "Print the network names, one per line."),
        switch("profiles", "Print the profile names, one per line."),
        switch("quiet", "Only validate the configuration, don't print anything", "q"),
        switch("services", "Print the service names, one per line."),
        switch("volumes", "Print the volume names, one per line."),
    ),
    ANY,
)
PS = Command(
    "[OPTIONS] [SERVICE...]",
    _ps,
    (
        switch("all", "Show all stopped containers (including those created by the run command)", "a"),
        several("filter", "Filter services by a property (supported filters: status)"),
        format_flag(),
        switch("no-trunc", "Don't truncate output"),
        switch("orphans", "Include orphaned services (not declared by project)", default=True),
        switch("quiet", "Only display IDs", "q"),
        switch("services", "Display services"),
        several("status", "Filter services by status"),
    ),
    ANY,
)
LS = Command(
    "[OPTIONS]",
    _ls,
    (
        switch("all", "Show all stopped Compose projects", "a"),
        format_flag(),
        switch("quiet", "Only display names", "q"),
    ),
    NONE,
)
IMAGES = Command("[OPTIONS] [SERVICE...]", _images, (format_flag(), switch("quiet", "Only display IDs", "q")), ANY)
TOP = Command("[SERVICES...]", _top, (), ANY)
PORT = Command(
    "[OPTIONS] SERVICE PRIVATE_PORT",
    _port,
    (
        number("index", "Index of the container if service has multiple replicas", "", 1),
        text("protocol", "tcp or udp", "", "tcp"),
    ),
    TWO,
)
EVENTS = Command("[OPTIONS] [SERVICE...]", _events, (switch("json", "Output events as a stream of json objects"),), ANY)
VERSION = Command(
    "[OPTIONS]",
    _version,
    (
        text("format", "Format the output. Values: [pretty | json]", "f"),
        switch("short", "Shows only Compose's version number"),
    ),
    NONE,
)
