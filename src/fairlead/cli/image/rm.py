"""``fairlead rmi`` and ``fairlead tag``."""

from __future__ import annotations

from fairlead.cli import reference
from fairlead.cli.command import ONE_OR_MORE, TWO, Command, Context
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Values, several, switch
from fairlead.client import ApiError


def _remove(context: Context, values: Values, names: list[str]) -> int:
    force = values.switch("force")
    query = {"force": force or None, "noprune": values.switch("no-prune") or None}
    problems: list[str] = []
    fatal = False
    for name in names:
        try:
            gone = context.client.delete(f"/images/{name}", query)
        except ApiError as wrong:
            problems.append(str(wrong))
            fatal = fatal or wrong.status != 404
            continue
        assert isinstance(gone, list)
        for item in gone:
            context.print(f"Deleted: {item['Deleted']}" if item.get("Deleted") else f"Untagged: {item['Untagged']}")
    if problems and (fatal or not force):
        raise CommandError("\n".join(problems))
    for problem in problems:
        context.warn(problem)
    return 0


def _tag(context: Context, _values: Values, arguments: list[str]) -> None:
    source, target = arguments
    try:
        named = reference.parse(target)
    except CommandError as wrong:
        raise CommandError(f'Error parsing reference: "{target}" is not a valid repository/tag: {wrong}') from wrong
    if named.digest:
        raise CommandError("refusing to create a tag with a digest reference")
    context.client.post(f"/images/{source}/tag", {"repo": named.name, "tag": named.tag or "latest"})


RM = Command(
    "[OPTIONS] IMAGE [IMAGE...]",
    _remove,
    (
        switch("force", "Force removal of the image", "f"),
        switch("no-prune", "Do not delete untagged parents"),
        several("platform", "Remove only the given platform variant", kind="strings", hidden=True),
    ),
    ONE_OR_MORE,
    completes="images",
)
TAG = Command("SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", _tag, (), TWO, completes="images")
