"""``fairlead daemon``: reads dockerd's flags and runs the engine."""

from __future__ import annotations

import gc
import os
from types import ModuleType

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
    try:
        return _engine().run(configuration.settings) or 0
    except EngineError as wrong:
        raise CommandError(f"fairlead daemon: {wrong}") from wrong


def _engine() -> ModuleType:
    """The daemon's modules, loaded as fast as may be, after its flags are known to be right.

    aiohttp's client reads all of the system's certificates when it is imported; the daemon only serves (registries
    are skopeo's), so they are hidden meanwhile. Nothing that is imported is ever garbage.
    """
    before = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = os.devnull
    gc.disable()
    try:
        from fairlead import daemon  # noqa: PLC0415
    finally:
        gc.enable()
        if before is None:
            del os.environ["SSL_CERT_FILE"]
        else:
            os.environ["SSL_CERT_FILE"] = before
    gc.freeze()
    return daemon


DAEMON = Command("[OPTIONS]", _run, (*FLAGS, *MEANINGLESS), NONE)
