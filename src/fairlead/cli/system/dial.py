"""``fairlead system dial-stdio``: the far end of an ``ssh://`` address."""

from __future__ import annotations

from fairlead.cli.command import NONE, Command, Context
from fairlead.cli.flags import Values
from fairlead.cli.streams import Exchange, to_stdout


def _run(context: Context, _values: Values, _arguments: list[str]) -> None:
    connection = context.client.raw()
    try:
        Exchange(connection, to_stdout, 0, None).run()
    finally:
        connection.close()


DIAL = Command("", _run, (), NONE)
