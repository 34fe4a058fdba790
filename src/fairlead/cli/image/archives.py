"""``fairlead load``, ``save`` and ``import``: images as archives."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from fairlead.cli import progress, reference
from fairlead.cli.command import NONE, ONE_OR_MORE, ONE_OR_TWO, Command, Context
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Values, several, switch, text
from fairlead.cli.output import read_chunks, save
from fairlead.client import Query


def _load(context: Context, values: Values, _arguments: list[str]) -> None:
    path = values.text("input")
    if not path and sys.stdin.isatty():
        raise CommandError("requested load from stdin, but stdin is empty")
    quiet = values.switch("quiet") or not sys.stdout.isatty()
    query = {"quiet": quiet, "platform": values.text("platform") or None}
    with context.client.stream("POST", "/images/load", query, read_chunks(path or "-")) as response:
        progress.show(response.objects(), sys.stdout)


def _save(context: Context, values: Values, arguments: list[str]) -> None:
    with context.client.stream("GET", "/images/get", {"names": arguments}) as response:
        save(values.text("output"), response.pieces(), command="save")


def _import(context: Context, values: Values, arguments: list[str]) -> None:
    source, *target = arguments
    named = reference.parse(target[0]) if target else reference.Reference("", "", "")
    is_url = source.startswith(("http://", "https://"))
    query: Query = {
        "fromSrc": source if is_url else "-",
        "repo": named.name or None,
        "tag": named.tag or None,
        "message": values.text("message") or None,
        "platform": values.text("platform") or None,
        "changes": values.list("change"),
    }
    body: Iterable[bytes] = () if is_url else read_chunks(source)
    with context.client.stream("POST", "/images/create", query, body) as response:
        progress.show(response.objects(), sys.stdout)


LOAD = Command(
    "[OPTIONS]",
    _load,
    (
        text("input", "Read from tar archive file, instead of STDIN", "i", completes="files"),
        text("platform", "Load only the given platform variant"),
        switch("quiet", "Suppress the load output", "q"),
    ),
    NONE,
)
SAVE = Command(
    "[OPTIONS] IMAGE [IMAGE...]",
    _save,
    (
        text("output", "Write to a file, instead of STDOUT", "o", completes="files"),
        text("platform", "Save only the given platform variant", hidden=True),
    ),
    ONE_OR_MORE,
    completes="images",
)
IMPORT = Command(
    "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    _import,
    (
        several("change", "Apply Dockerfile instruction to the created image", "c"),
        text("message", "Set commit message for imported image", "m"),
        text("platform", "Set platform if server is multi-platform capable"),
    ),
    ONE_OR_TWO,
    completes="files",
)
