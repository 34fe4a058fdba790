"""What a call can fail with."""

from __future__ import annotations


class ClientError(Exception):
    """``str(error)`` is the sentence for the user."""


class ApiError(ClientError):
    """The engine answered with an error status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"Error response from daemon: {message}")
        self.status = status
        self.message = message


class Unreachable(ClientError):
    """Nobody answers at the address."""


class BrokenAnswer(ClientError):
    """The other side does not speak HTTP as an engine does, or stopped in the middle."""
