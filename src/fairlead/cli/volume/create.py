"""``fairlead volume create`` and ``rm``."""

from __future__ import annotations

from fairlead.cli.command import AT_MOST_ONE, ONE_OR_MORE, Command, Context, for_each
from fairlead.cli.container.values import pair
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Values, several, switch, text


def _create(context: Context, values: Values, arguments: list[str]) -> None:
    name = values.text("name")
    if name and arguments:
        raise CommandError(
            "conflicting options: cannot specify a volume name through both --name and as a positional arg"
        )
    body = {
        "Name": arguments[0] if arguments else name,
        "Driver": values.text("driver"),
        "DriverOpts": dict(values.get("opt")),
        "Labels": dict(values.get("label")),
    }
    made = context.client.post("/volumes/create", None, {field: value for field, value in body.items() if value})
    assert isinstance(made, dict)
    context.print(made["Name"])


def _remove(context: Context, values: Values, names: list[str]) -> int:
    query = {"force": values.switch("force") or None}
    return for_each(context, names, lambda name: context.client.delete(f"/volumes/{name}", query))


CREATE = Command(
    "[OPTIONS] [VOLUME]",
    _create,
    (
        text("driver", "Specify volume driver name", "d", "local"),
        several("label", "Set metadata for a volume", parse=pair),
        text("name", "Specify volume name", hidden=True),
        several("opt", "Set driver specific options", "o", kind="map", parse=pair, shown_default="map[]"),
    ),
    AT_MOST_ONE,
)
RM = Command(
    "[OPTIONS] VOLUME [VOLUME...]",
    _remove,
    (switch("force", "Force the removal of one or more volumes", "f"),),
    ONE_OR_MORE,
    "Remove one or more volumes. You cannot remove a volume that is in use by a container.",
    completes="volumes",
)
