"""The caller's terminal: raw mode, its size, and the keys that detach."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q"
_CONTROLS = {f"ctrl-{char}": ord(char) - ord("a") + 1 for char in "abcdefghijklmnopqrstuvwxyz"} | {
    "ctrl-@": 0,
    "ctrl-[": 27,
    "ctrl-\\": 28,
    "ctrl-]": 29,
    "ctrl-^": 30,
    "ctrl-_": 31,
    "DEL": 127,
}


def parse_detach_keys(text: str) -> bytes:
    """``ctrl-p,ctrl-q`` or single characters as bytes; raises ValueError."""
    codes = bytearray()
    for key in text.split(","):
        if key in _CONTROLS:
            codes.append(_CONTROLS[key])
        elif len(key) == 1 and key.isascii():
            codes += key.encode()
        else:
            raise ValueError(f"Unknown character: '{key}'")
    return bytes(codes)


class DetachKeys:
    """Watches typed bytes for the sequence; bytes that may begin it are held back until the next one decides."""

    def __init__(self, sequence: bytes) -> None:
        self._sequence = sequence
        self._matched = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """(what to send on, whether the sequence was completed)."""
        out = bytearray()
        for byte in data:
            if self._matched and byte != self._sequence[self._matched]:
                out += self._sequence[: self._matched]
                self._matched = 0
            if self._sequence and byte == self._sequence[self._matched]:
                self._matched += 1
                if self._matched == len(self._sequence):
                    return bytes(out), True
            else:
                out.append(byte)
        return bytes(out), False


def is_terminal(descriptor: int) -> bool:
    return os.isatty(descriptor)


def size(descriptor: int) -> tuple[int, int]:
    """(rows, columns); zeros when it is no terminal."""
    try:
        found = os.get_terminal_size(descriptor)
    except OSError:
        return 0, 0
    return found.lines, found.columns


@contextmanager
def raw_mode(descriptor: int) -> Iterator[None]:
    """The terminal passes every key on as it is typed; afterwards it is as it was."""
    import termios  # noqa: PLC0415 - only with a TTY
    import tty  # noqa: PLC0415

    before = termios.tcgetattr(descriptor)
    # Without flushing: what was typed ahead is meant for the process.
    tty.setraw(descriptor, termios.TCSANOW)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
