"""Questions before something is taken away."""

from __future__ import annotations

import sys

from fairlead.cli.errors import CommandError


def confirmed(warning: str) -> bool:
    """Asks on the terminal; only "y" and "yes" mean yes. Interrupting it ends the command."""
    sys.stdout.write(f"{warning}\nAre you sure you want to continue? [y/N] ")
    sys.stdout.flush()
    answer = sys.stdin.readline().strip().lower()
    return answer in {"y", "yes"}


def must_confirm(warning: str, *, forced: bool) -> None:
    if not forced and not confirmed(warning):
        raise CommandError("", 0)
