"""The error tree: what a user can be told, and the HTTP status Docker's clients expect with it."""

from __future__ import annotations

import os
from typing import ClassVar


class EngineError(Exception):
    """A failure with a sentence for the user: ``str(error)`` is what the client prints."""

    status: ClassVar[int] = 500


class NotModified(EngineError):
    """The thing already is as asked (start of a running container)."""

    status = 304


class InvalidArgument(EngineError):
    """What was asked cannot be right: a value, a name, a combination."""

    status = 400


class Unauthorized(EngineError):
    """Credentials are missing or refused."""

    status = 401


class Forbidden(EngineError):
    """Well-formed, but not allowed here (predefined network, overlapping pool)."""

    status = 403


class NotFound(EngineError):
    """No such container, network, image, volume, exec, path."""

    status = 404


class Conflict(EngineError):
    """The name or state is taken by something else."""

    status = 409


class Unsupported(EngineError):
    """Known to Docker, not served here."""

    status = 501


class Unavailable(EngineError):
    """Cannot be served now; the same call may work later."""

    status = 503


class KernelError(EngineError):
    """The kernel refused: verb, object, errno."""

    def __init__(self, verb: str, thing: str, errno: int) -> None:
        """``verb`` and ``thing`` read as a sentence: "cannot add link br-1: file exists"."""
        super().__init__(f"cannot {verb} {thing}: {os.strerror(errno).lower()}")
        self.verb, self.thing, self.errno = verb, thing, errno


class RuntimeFailure(EngineError):
    """The OCI runtime or conmon refused; ``exit_code`` is what the official CLI turns it into (125, 126, 127)."""

    def __init__(self, message: str, exit_code: int = 125) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class PluginError(EngineError):
    """A plugin answered what cannot be used; the sentence names plugin and call."""


class PluginRefused(PluginError):
    """The plugin said no, in its own words."""


class PluginLacks(PluginRefused):
    """The plugin does not know the call: a newer or an optional one."""


class PluginAway(PluginError):
    """The plugin cannot be reached, or does not answer in time; it may be back later."""

    status = 503
