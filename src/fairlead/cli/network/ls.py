"""``fairlead network ls``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairlead.cli.command import NONE, Command, Context
from fairlead.cli.filters import encode, filter_flag
from fairlead.cli.flags import Values, switch
from fairlead.cli.listing import Column, Listing, format_flag, label_of, labels_of, write


def _yes(item: Mapping[str, Any], field: str, *, otherwise: bool = False) -> str:
    return "true" if item.get(field, otherwise) else "false"


def _created(item: Mapping[str, Any]) -> str:
    """Go's way of writing a time: ``2026-01-31 12:00:00.123456789 +0000 UTC``."""
    shown = str(item.get("Created") or "0001-01-01T00:00:00Z").replace("T", " ")
    return shown[:-1] + " +0000 UTC" if shown.endswith("Z") else f"{shown[:-6]} {shown[-6:-3]}{shown[-2:]}"


def listing(*, short: bool) -> Listing:
    columns = {
        "ID": Column("NETWORK ID", lambda item: item["Id"][:12] if short else item["Id"]),
        "Name": Column("NAME", lambda item: item["Name"]),
        "Driver": Column("DRIVER", lambda item: item.get("Driver") or ""),
        "Scope": Column("SCOPE", lambda item: item.get("Scope") or ""),
        "IPv4": Column("IPV4", lambda item: _yes(item, "EnableIPv4", otherwise=True)),
        "IPv6": Column("IPV6", lambda item: _yes(item, "EnableIPv6")),
        "Internal": Column("INTERNAL", lambda item: _yes(item, "Internal")),
        "Labels": Column("LABELS", labels_of),
        "Label": Column("", None, label_of),
        "CreatedAt": Column("CREATED AT", _created),
    }
    return Listing("network.networkContext", columns, ["ID", "Name", "Driver", "Scope"], "ID")


def _run(context: Context, values: Values, _arguments: list[str]) -> None:
    found = context.client.get("/networks", {"filters": encode(values.get("filter"))})
    assert isinstance(found, list)
    found.sort(key=lambda network: (network["Name"].lower(), network["Id"]))
    shape = listing(short=not values.switch("no-trunc"))
    write(context, shape, found, values.text("format"), quiet=values.switch("quiet"))


LS = Command(
    "[OPTIONS]",
    _run,
    (
        filter_flag('Provide filter values (e.g. "driver=bridge")'),
        format_flag(),
        switch("no-trunc", "Do not truncate the output"),
        switch("quiet", "Only display network IDs", "q"),
    ),
    NONE,
)
