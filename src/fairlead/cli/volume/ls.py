"""``fairlead volume ls``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairlead.cli.command import NONE, Command, Context
from fairlead.cli.filters import encode, filter_flag
from fairlead.cli.flags import Values, switch
from fairlead.cli.listing import Column, Listing, format_flag, label_of, labels_of, write
from fairlead.cli.units import human_size


def _usage(item: Mapping[str, Any], field: str) -> int:
    return int((item.get("UsageData") or {}).get(field, -1))


def _size(item: Mapping[str, Any]) -> str:
    size = _usage(item, "Size")
    return "N/A" if size < 0 else human_size(size)


def _links(item: Mapping[str, Any]) -> str:
    count = _usage(item, "RefCount")
    return "N/A" if count < 0 else str(count)


COLUMNS = {
    "Name": Column("VOLUME NAME", lambda item: item["Name"]),
    "Driver": Column("DRIVER", lambda item: item.get("Driver") or ""),
    "Scope": Column("SCOPE", lambda item: item.get("Scope") or ""),
    "Mountpoint": Column("MOUNTPOINT", lambda item: item.get("Mountpoint") or ""),
    "Labels": Column("LABELS", labels_of),
    "Label": Column("", None, label_of),
    "Links": Column("LINKS", _links),
    "Size": Column("SIZE", _size),
    "Group": Column("GROUP", lambda _item: "N/A"),
    "Availability": Column("AVAILABILITY", lambda _item: "N/A"),
    "Status": Column("STATUS", lambda _item: "N/A"),
}
LISTING = Listing("formatter.volumeContext", COLUMNS, ["Driver", "Name"], "Name")


def _run(context: Context, values: Values, _arguments: list[str]) -> None:
    found = context.client.get("/volumes", {"filters": encode(values.get("filter"))})
    assert isinstance(found, dict)
    volumes = sorted(found.get("Volumes") or [], key=lambda volume: str(volume["Name"]))
    write(context, LISTING, volumes, values.text("format"), quiet=values.switch("quiet"))


LS = Command(
    "[OPTIONS]",
    _run,
    (
        filter_flag('Provide filter values (e.g. "dangling=true")'),
        format_flag(),
        switch("quiet", "Only display volume names", "q"),
    ),
    NONE,
)
