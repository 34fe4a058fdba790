"""The multiplexed stream: every chunk of stdout and stderr behind an eight-byte header."""

from __future__ import annotations

import struct

STDIN, STDOUT, STDERR, SYSTEM_ERROR = range(4)

MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
RAW = "application/vnd.docker.raw-stream"

_HEADER = struct.Struct(">BxxxI")
_MULTIPLEXED_NAMED = (1, 42)


def frame(stream: int, chunk: bytes) -> bytes:
    """One chunk with its header."""
    return _HEADER.pack(stream, len(chunk)) + chunk


def content_type(*, tty: bool, version: tuple[int, int]) -> str:
    """API 1.42 began to tell multiplexed streams from raw ones."""
    return RAW if tty or version < _MULTIPLEXED_NAMED else MULTIPLEXED
