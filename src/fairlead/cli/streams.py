"""Moves bytes between the caller's standard streams and a hijacked connection."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterable, Iterator

from fairlead.cli.terminal import DetachKeys
from fairlead.client.http import Upgraded

_CHUNK = 32 * 1024
# More typed or piped input than this waits until the engine has taken some.
_MOST_PENDING = 256 * 1024
_HEADER = 8
_GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL

Sink = Callable[[bytes], None]


def write_all(descriptor: int, data: bytes) -> None:
    """Writes everything, also to a terminal or pipe that takes it in pieces."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            select.select([], [descriptor], [])


def to_stdout(data: bytes) -> None:
    write_all(1, data)


class Demultiplexer:
    """Docker's frames, fed in any pieces, to standard output and standard error."""

    def __init__(self, stdout: int = 1, stderr: int = 2) -> None:
        self._descriptors = {0: stdout, 1: stdout, 2: stderr, 3: stderr}
        self._buffer = bytearray()
        self._left = 0
        self._descriptor = stdout

    def __call__(self, data: bytes) -> None:
        self._buffer += data
        while self._buffer:
            if not self._left and not self._next_frame():
                return
            piece = bytes(self._buffer[: self._left])
            del self._buffer[: self._left]
            self._left -= len(piece)
            write_all(self._descriptor, piece)

    def _next_frame(self) -> bool:
        """Reads a frame's header when it is there whole; empty frames are passed over."""
        while len(self._buffer) >= _HEADER:
            stream = self._buffer[0]
            self._left = int.from_bytes(self._buffer[4:_HEADER], "big")
            self._descriptor = self._descriptors.get(stream, 1)
            del self._buffer[:_HEADER]
            if self._left:
                return bool(self._buffer)
        return False


def sink_for(*, tty: bool) -> Sink:
    return to_stdout if tty else Demultiplexer()


def copy_out(pieces: Iterable[bytes] | Iterator[bytes], sink: Sink) -> None:
    for piece in pieces:
        sink(piece)


class Exchange:
    """One attached session. It ends when the engine closes its side, or when the detach keys are typed."""

    def __init__(self, connection: Upgraded, sink: Sink, stdin: int | None, keys: DetachKeys | None) -> None:
        """``stdin`` is the descriptor to read from, None for nothing; ``keys`` are watched for when it is a TTY."""
        self._connection = connection
        self._sink = sink
        self._stdin = stdin
        self._keys = keys
        self._pending = bytearray()
        self._writing_ends = False
        self.detached = False

    def run(self) -> None:
        """Returns at the end of the output."""
        self._connection.set_blocking(False)
        if self._read_connection():
            return
        while True:
            ready = self._wait()
            if ready.get(self._stdin if self._stdin is not None else -1):
                self._read_stdin()
            if self.detached:
                return
            self._write_pending()
            if ready.get(self._connection.fileno()) and self._read_connection():
                return

    def _wait(self) -> dict[int, int]:
        poll = select.poll()
        poll.register(self._connection.fileno(), select.POLLIN | (select.POLLOUT if self._pending else 0))
        if self._stdin is not None and len(self._pending) < _MOST_PENDING:
            poll.register(self._stdin, select.POLLIN)
        return dict(poll.poll())

    def _read_stdin(self) -> None:
        assert self._stdin is not None
        try:
            data = os.read(self._stdin, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._stdin = None
            self._writing_ends = True
            return
        if self._keys is not None:
            data, self.detached = self._keys.feed(data)
        self._pending += data

    def _write_pending(self) -> None:
        try:
            if self._pending:
                del self._pending[: self._connection.write_some(bytes(self._pending[:_CHUNK]))]
        except (BrokenPipeError, ConnectionResetError):
            # The process no longer reads; what it still writes is read to the end.
            self._pending.clear()
            self._stdin = None
        if self._writing_ends and not self._pending:
            self._writing_ends = False
            self._connection.close_writing()

    def _read_connection(self) -> bool:
        """Hands on what is there; true at the end."""
        while True:
            data = self._connection.read_some(_CHUNK)
            if data is None:
                return False
            if not data:
                return True
            self._sink(data)
