"""``fairlead network rm``."""

from __future__ import annotations

from fairlead.cli.command import ONE_OR_MORE, Command, Context
from fairlead.cli.flags import Values, switch
from fairlead.client import ApiError


def _run(context: Context, values: Values, names: list[str]) -> int:
    code = 0
    for name in names:
        try:
            context.client.delete(f"/networks/{name}")
        except ApiError as wrong:
            if values.switch("force") and wrong.status == 404:
                continue
            context.warn(str(wrong))
            code = 1
        else:
            context.print(name)
    return code


RM = Command(
    "NETWORK [NETWORK...]",
    _run,
    (switch("force", "Do not error if the network does not exist", "f"),),
    ONE_OR_MORE,
    completes="networks",
)
