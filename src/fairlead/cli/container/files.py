"""``fairlead diff``, ``export`` and ``commit``."""

from __future__ import annotations

from fairlead.cli import reference
from fairlead.cli.command import ONE, ONE_OR_TWO, Command, Context
from fairlead.cli.flags import Values, several, switch, text
from fairlead.cli.output import save

_KINDS = {0: "C", 1: "A", 2: "D"}


def _diff(context: Context, _values: Values, arguments: list[str]) -> None:
    changes = context.client.get(f"/containers/{arguments[0]}/changes")
    assert isinstance(changes, list | None)
    for change in changes or []:
        context.print(f"{_KINDS[change['Kind']]} {change['Path']}")


def _export(context: Context, values: Values, arguments: list[str]) -> None:
    with context.client.stream("GET", f"/containers/{arguments[0]}/export") as response:
        save(values.text("output"), response.pieces(), command="save")


def _commit(context: Context, values: Values, arguments: list[str]) -> None:
    container, *target = arguments
    named = reference.parse(target[0]) if target else reference.Reference("", "", "")
    query = {
        "container": container,
        "repo": named.name or None,
        "tag": named.tag or None,
        "comment": values.text("message") or None,
        "author": values.text("author") or None,
        "pause": None if values.switch("pause") else False,
        "changes": "\n".join(values.list("change")) or None,
    }
    made = context.client.post("/commit", query)
    assert isinstance(made, dict)
    context.print(made["Id"])


DIFF = Command("CONTAINER", _diff, (), ONE, completes="containers")
EXPORT = Command(
    "[OPTIONS] CONTAINER",
    _export,
    (text("output", "Write to a file, instead of STDOUT", "o", completes="files"),),
    ONE,
    completes="containers",
)
COMMIT = Command(
    "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    _commit,
    (
        text("author", 'Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")', "a"),
        several("change", "Apply Dockerfile instruction to the created image", "c"),
        text("message", "Commit message", "m"),
        switch("pause", "Pause container during commit", "p", default=True),
    ),
    ONE_OR_TWO,
    completes="containers",
)
