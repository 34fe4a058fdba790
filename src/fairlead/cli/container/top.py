"""``fairlead top``."""

from __future__ import annotations

from fairlead.cli.command import Arguments, Command, Context
from fairlead.cli.flags import Values
from fairlead.cli.table import aligned


def _run(context: Context, _values: Values, arguments: list[str]) -> None:
    name, *options = arguments
    listed = context.client.get(f"/containers/{name}/top", {"ps_args": " ".join(options) or None})
    assert isinstance(listed, dict)
    rows = [listed["Titles"], *(listed.get("Processes") or [])]
    context.write(aligned(["\t".join(row) for row in rows], least=20))


TOP = Command("CONTAINER [ps OPTIONS]", _run, (), Arguments(1, 1 << 30), interspersed=False, completes="running")
