"""``fairlead update``."""

from __future__ import annotations

from typing import Any

from fairlead.cli.command import ONE_OR_MORE, Command, Context
from fairlead.cli.container.body import parse_restart, update_limits
from fairlead.cli.container.options import resources
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Values, text
from fairlead.client import ApiError


def _run(context: Context, values: Values, names: list[str]) -> int:
    body = _body(values)
    warnings: list[str] = []
    problems: list[str] = []
    for name in names:
        try:
            answer = context.client.post(f"/containers/{name}/update", None, body)
        except ApiError as wrong:
            problems.append(str(wrong))
            continue
        context.print(name)
        warnings += (answer or {}).get("Warnings") or [] if isinstance(answer, dict) else []
    for warning in warnings:
        context.warn(f"WARNING: {warning}")
    if problems:
        raise CommandError("\n".join(problems))
    return 0


def _body(values: Values) -> dict[str, Any]:
    asked = (*(flag.name for flag in resources(update=True)), "restart")
    if not values.any_changed(*asked):
        raise CommandError("you must provide one or more flags when using this command")
    body = update_limits(values)
    if values.text("restart"):
        try:
            body["RestartPolicy"] = parse_restart(values.text("restart"))
        except ValueError as wrong:
            raise CommandError(str(wrong)) from wrong
    return body


UPDATE = Command(
    "[OPTIONS] CONTAINER [CONTAINER...]",
    _run,
    (*resources(update=True), text("restart", "Restart policy to apply when a container exits")),
    ONE_OR_MORE,
    completes="containers",
)
