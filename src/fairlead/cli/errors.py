"""Why a command ends with something else than 0."""

from __future__ import annotations


class CommandError(Exception):
    """A sentence for standard error and the exit code; an empty sentence prints nothing."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class BadFlag(Exception):
    """A flag that does not exist, lacks its value or has a wrong one: the usage is shown with it."""


class BadArguments(Exception):
    """Too many or too few arguments."""
