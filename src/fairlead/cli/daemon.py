"""``fairlead daemon``: reads dockerd's flags and runs the engine."""

from __future__ import annotations

from fairlead.cli.command import NONE, Command, Context
from fairlead.cli.daemonflags import FLAGS, MEANINGLESS, configure
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Values


def _run(context: Context, values: Values, _arguments: list[str]) -> int:
    from fairlead.errors import EngineError  # noqa: PLC0415 - completion of the daemon's flags needs no engine

    configuration = configure(values)
    if configuration.ignored:
        context.warn("warning: without meaning here, ignored: " + ", ".join(configuration.ignored))
    if values.switch("validate"):
        context.print("configuration OK")
        return 0
    from fairlead import boot  # noqa: PLC0415 - the engine comes after its flags are known to be right

    try:
        return boot.run(configuration.settings)
    except EngineError as wrong:
        raise CommandError(f"fairlead daemon: {wrong}") from wrong


DAEMON = Command("[OPTIONS]", _run, (*FLAGS, *MEANINGLESS), NONE)
