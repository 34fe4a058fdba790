"""``fairlead history``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from fairlead.cli.command import ONE, Command, Context
from fairlead.cli.flags import Values, switch, text
from fairlead.cli.listing import Column, Listing, format_flag, write
from fairlead.cli.units import ellipsis, human_duration, human_size, short_id


def listing(*, short: bool, human: bool) -> Listing:
    def identifier(item: Mapping[str, Any]) -> str:
        return short_id(item["Id"]) if short else str(item["Id"])

    def created_by(item: Mapping[str, Any]) -> str:
        line = str(item.get("CreatedBy") or "").replace("\t", " ")
        return ellipsis(line, 45) if short else line

    def since(item: Mapping[str, Any]) -> str:
        return _since(item.get("Created") or 0) if human else _at(item.get("Created") or 0)

    def size(item: Mapping[str, Any]) -> str:
        return human_size(item.get("Size") or 0, 3) if human else str(item.get("Size") or 0)

    columns = {
        "ID": Column("IMAGE", identifier),
        "CreatedSince": Column("CREATED" if human else "CREATED AT", since),
        "CreatedAt": Column("CREATED AT", lambda item: _at(item.get("Created") or 0)),
        "CreatedBy": Column("CREATED BY", created_by),
        "Size": Column("SIZE", size),
        "Comment": Column("COMMENT", lambda item: item.get("Comment") or ""),
    }
    table = ["ID", "CreatedSince", "CreatedBy", "Size", "Comment"]
    return Listing("formatter.historyContext", columns, table, "ID")


def _since(moment: int) -> str:
    # Docker writes 0 for a layer without a date.
    return human_duration(time.time() - moment) + " ago" if moment > 0 else "N/A"


def _at(moment: int) -> str:
    shown = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(moment))
    zone = shown[-5:]
    return shown[:-5] + ("Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}")


def _run(context: Context, values: Values, arguments: list[str]) -> None:
    layers = context.client.get(f"/images/{arguments[0]}/history")
    assert isinstance(layers, list)
    shape = listing(short=not values.switch("no-trunc"), human=values.switch("human"))
    write(context, shape, layers, values.text("format"), quiet=values.switch("quiet"))


HISTORY = Command(
    "[OPTIONS] IMAGE",
    _run,
    (
        format_flag(),
        switch("human", "Print sizes and dates in human readable format", "H", default=True),
        switch("no-trunc", "Don't truncate output"),
        text("platform", "Show history for the given platform"),
        switch("quiet", "Only show image IDs", "q"),
    ),
    ONE,
    completes="images",
)
