"""``fairlead network check``."""

from __future__ import annotations

from fairlead.cli.command import ONE, Command, Context
from fairlead.cli.flags import Values
from fairlead.cli.table import aligned


def _run(context: Context, _values: Values, arguments: list[str]) -> int:
    found = context.client.post(f"/fairlead/networks/{arguments[0]}/check")
    assert isinstance(found, dict)
    if found["Error"]:
        context.warn(found["Error"])
    rows = [f"{each['Name']}\t{each['Interface']}\t{each['Error'] or 'ok'}" for each in found["Containers"]]
    context.print(aligned(["NAME\tINTERFACE\tSTATE", *rows]).rstrip("\n"))
    return 1 if found["Error"] or any(each["Error"] for each in found["Containers"]) else 0


CHECK = Command(
    "NETWORK",
    _run,
    (),
    ONE,
    "Ask the CNI plugins of a network whether all is as they made it; exit code 1 when something is not",
    completes="networks",
)
