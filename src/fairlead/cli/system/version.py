"""``fairlead version``."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from fairlead import __version__
from fairlead.cli.command import NONE, Command, Context
from fairlead.cli.flags import Values
from fairlead.cli.inspect import render, template_flag
from fairlead.client import ClientError


def _client(context: Context) -> dict[str, Any]:
    machine = os.uname().machine
    return {
        "Version": __version__,
        "ApiVersion": context.client.version,
        "DefaultAPIVersion": context.client.version,
        "PythonVersion": ".".join(map(str, sys.version_info[:3])),
        "Os": "linux",
        "Arch": {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine),
    }


def _run(context: Context, values: Values, _arguments: list[str]) -> int:
    server, problem = _server(context)
    client = _client(context)
    template = values.text("format")
    if template:
        shown = render([{"Client": client, "Server": server}], "{{json .}}" if template == "json" else template)
    else:
        shown = _client_text(client) + (_server_text(server) if server else "")
    context.write(shown)
    if problem:
        context.flush()
        context.warn(problem)
        return 1
    return 0


def _server(context: Context) -> tuple[Mapping[str, Any] | None, str]:
    try:
        found = context.client.get("/version")
    except ClientError as wrong:
        return None, str(wrong)
    assert isinstance(found, dict)
    return found, ""


def _client_text(client: Mapping[str, Any]) -> str:
    rows = [
        ("Version", client["Version"]),
        ("API version", client["ApiVersion"]),
        ("Python version", client["PythonVersion"]),
        ("OS/Arch", f"{client['Os']}/{client['Arch']}"),
    ]
    return "Client:\n" + "".join(f" {name + ':':<18}{value}\n" for name, value in rows)


def _server_text(server: Mapping[str, Any]) -> str:
    platform = (server.get("Platform") or {}).get("Name")
    lines = [f"\nServer: {platform}".rstrip() if platform else "\nServer:"]
    for component in server.get("Components") or []:
        details = _details(component.get("Details") or {})
        lines.append(f" {component['Name']}:")
        rows = [("Version", component["Version"])]
        rows += [(_TITLES.get(name, name), value) for name, value in sorted(details.items(), key=_detail_order)]
        lines += [f"  {title + ':':<18}{value}" for title, value in rows if title and value]
    return "\n".join(lines) + "\n"


_TITLES = {
    "ApiVersion": "API version",
    "GoVersion": "Go version",
    "PythonVersion": "Python version",
    "GitCommit": "Git commit",
    "BuildTime": "Built",
    "Os": "OS",
    "KernelVersion": "Kernel version",
}
_ORDER = tuple(_TITLES)


def _details(found: Mapping[str, str]) -> dict[str, str]:
    """The lowest version served stands behind the highest."""
    details = dict(found)
    lowest = details.pop("MinAPIVersion", "")
    if lowest and details.get("ApiVersion"):
        details["ApiVersion"] += f" (minimum version {lowest})"
    return details


def _detail_order(detail: tuple[str, str]) -> tuple[int, str]:
    name = detail[0]
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER)), name


VERSION = Command("[OPTIONS]", _run, (template_flag(),), NONE)
