"""``fairlead images``."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fairlead.cli.command import AT_MOST_ONE, Command, Context
from fairlead.cli.filters import encode, filter_flag
from fairlead.cli.flags import Values, switch
from fairlead.cli.listing import Column, Listing, format_flag, write
from fairlead.cli.units import human_duration, human_size, short_id

_NONE = "<none>"


def rows(images: Iterable[Mapping[str, Any]], *, digests: bool) -> Iterator[Mapping[str, Any]]:
    """One row for each name of each image, as Docker lists them; an image without a name has one."""
    for image in images:
        named = _names(image, digests=digests)
        for repository, tag, digest in named or [(_NONE, _NONE, _NONE)]:
            yield {**image, "Repository": repository, "Tag": tag, "Digest": digest}


def _names(image: Mapping[str, Any], *, digests: bool) -> list[tuple[str, str, str]]:
    by_repository = {}
    for reference in image.get("RepoDigests") or []:
        repository, _, digest = reference.partition("@")
        by_repository[repository] = digest
    found = []
    for reference in image.get("RepoTags") or []:
        repository, _, tag = reference.rpartition(":")
        if reference != f"{_NONE}:{_NONE}":
            found.append((repository, tag, by_repository.get(repository, _NONE)))
    tagged = {repository for repository, _, _ in found}
    untagged = [(name, _NONE, digest) for name, digest in by_repository.items() if name not in tagged and name != _NONE]
    return found + (untagged if digests or not found else [])


def listing(*, short: bool, digests: bool) -> Listing:
    def identifier(item: Mapping[str, Any]) -> str:
        return short_id(item["Id"]) if short else str(item["Id"])

    columns = {
        "ID": Column("IMAGE ID", identifier),
        "Repository": Column("REPOSITORY", lambda item: item["Repository"]),
        "Tag": Column("TAG", lambda item: item["Tag"]),
        "Digest": Column("DIGEST", lambda item: item["Digest"]),
        "CreatedSince": Column("CREATED", lambda item: _since(item.get("Created") or 0)),
        "CreatedAt": Column("CREATED AT", lambda item: _at(item.get("Created") or 0)),
        "Size": Column("SIZE", lambda item: human_size(item.get("Size") or 0, 3)),
        "Containers": Column("CONTAINERS", lambda item: _count(item.get("Containers"))),
        "SharedSize": Column("SHARED SIZE", lambda item: _bytes(item.get("SharedSize"))),
        "UniqueSize": Column("UNIQUE SIZE", _unique),
        "VirtualSize": Column("SIZE", lambda item: human_size(item.get("Size") or 0)),
    }
    table = ["Repository", "Tag", *(["Digest"] if digests else []), "ID", "CreatedSince", "Size"]
    return Listing("formatter.imageContext", columns, table, "ID")


def _since(moment: int) -> str:
    return human_duration(time.time() - moment) + " ago"


def _at(moment: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(moment))


def _count(number: int | None) -> str:
    return "N/A" if number is None or number < 0 else str(number)


def _bytes(number: int | None) -> str:
    return "N/A" if number is None or number < 0 else human_size(number)


def _unique(item: Mapping[str, Any]) -> str:
    shared = item.get("SharedSize")
    return "N/A" if shared is None or shared < 0 else human_size((item.get("Size") or 0) - shared)


def _run(context: Context, values: Values, arguments: list[str]) -> None:
    filters = list(values.get("filter"))
    if arguments:
        filters.append(("reference", arguments[0]))
    found = context.client.get("/images/json", {"all": values.switch("all") or None, "filters": encode(filters)})
    assert isinstance(found, list)
    digests, quiet, template = values.switch("digests"), values.switch("quiet"), values.text("format")
    shape = listing(short=not values.switch("no-trunc"), digests=digests)
    shown = rows(found, digests=digests or ".Digest" in template)
    write(context, shape, shown, template, quiet=quiet)


LS = Command(
    "[OPTIONS] [REPOSITORY[:TAG]]",
    _run,
    (
        switch("all", "Show all images (default hides intermediate images)", "a"),
        switch("digests", "Show digests"),
        filter_flag(),
        format_flag(),
        switch("no-trunc", "Don't truncate output"),
        switch("quiet", "Only show image IDs", "q"),
    ),
    AT_MOST_ONE,
    completes="images",
)
