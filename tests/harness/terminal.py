"""A command on a pseudo-terminal of its own: type, wait for text, press keys."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self


class Terminal:
    """``with Terminal(["docker", "attach", "c"], env) as screen:`` type, then expect."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], *, rows: int = 24, columns: int = 80) -> None:
        self._master, slave = pty.openpty()
        self.resize(rows, columns)
        self.process = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, env={**env, "TERM": "xterm"}, start_new_session=True
        )
        os.close(slave)
        self.seen = ""
        self._read_to = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str | bytes) -> None:
        os.write(self._master, text.encode() if isinstance(text, str) else text)

    def expect(self, text: str, seconds: float = 10) -> str:
        """What was shown since the last expectation, up to and including ``text``."""
        end = time.monotonic() + seconds
        while (at := self.seen.find(text, self._read_to)) < 0:
            left = end - time.monotonic()
            assert left > 0, f"{text!r} not shown in {seconds} s; shown: {self.seen[self._read_to :]!r}"
            if not self._read(left):
                raise AssertionError(f"ended before {text!r}; shown: {self.seen[self._read_to :]!r}")
        shown, self._read_to = self.seen[self._read_to : at + len(text)], at + len(text)
        return shown

    def _read(self, seconds: float) -> bool:
        """False at the end of the terminal."""
        ready, _, _ = select.select([self._master], [], [], seconds)
        if not ready:
            return True
        with contextlib.suppress(OSError):
            if part := os.read(self._master, 65536):
                self.seen += part.decode("utf-8", "replace")
                return True
        return False

    def end(self, seconds: float = 10) -> int:
        """The exit code, all output read."""
        end = time.monotonic() + seconds
        while self._read(max(0.0, end - time.monotonic())) and time.monotonic() < end:
            pass
        return self.process.wait(timeout=max(0.1, end - time.monotonic()))
