"""A container's stdio through conmon's attach socket, and Docker's frames for it on the wire."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from fairlead.errors import Conflict

STDIN, STDOUT, STDERR = 0, 1, 2

_HEADER = struct.Struct(">BxxxL")
# conmon writes at most this much and the stream's number in one packet, and reads at most 8 KiB.
_LARGEST_PACKET = 64 << 10
_LARGEST_INPUT = 8192
# conmon numbers the streams from 1, Docker from 0.
_STREAM_OFFSET = 1
_RESIZE = 1
_REOPEN_LOG = 2


def frame(stream: int, data: bytes) -> bytes:
    """Docker's multiplexed form: stream, length, payload."""
    return _HEADER.pack(stream, len(data)) + data


class Attachment:
    """One client's share of a container's (or exec's) stdio.

    conmon copies all output to every attachment, and waits for slow ones. Where it does not leave stdin open, it
    closes the process's stdin as soon as *one* attachment closes its sending side or goes: see ``Console``.
    """

    def __init__(self, sock: socket.socket) -> None:
        """``sock`` is a connected, non-blocking SOCK_SEQPACKET socket; ours from now on."""
        self._socket = sock
        self._loop = asyncio.get_running_loop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def read(self) -> tuple[int, bytes] | None:
        """The next output: stream 1 or 2, and bytes; None at the end."""
        try:
            packet = await self._loop.sock_recv(self._socket, _LARGEST_PACKET)
        except ConnectionResetError:
            return None
        return (packet[0] - _STREAM_OFFSET, packet[1:]) if packet else None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[int, bytes]:
        output = await self.read()
        if output is None:
            raise StopAsyncIteration
        return output

    async def write(self, data: bytes) -> None:
        """Give the process input; lost silently when it has closed its stdin, as on a pipe nobody reads."""
        for start in range(0, len(data), _LARGEST_INPUT):
            try:
                await self._loop.sock_sendall(self._socket, data[start : start + _LARGEST_INPUT])
            except (BrokenPipeError, ConnectionResetError):
                return

    def close_stdin(self) -> None:
        """No more input from here; output goes on."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._socket.close()

    def stop_reading(self) -> socket.socket:
        """Give the socket up without closing it: conmon stops copying output here and leaves stdin alone."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)
        return self._socket


class Console:
    """The attach point of one running container or exec: its bundle directory with ``attach`` and ``ctl``.

    ``closes_with_client`` (StdinOnce) says that conmon closes stdin when a client goes. Clients that only watch must
    not do that: their sockets are kept here until the console is closed.
    """

    def __init__(self, bundle: str, *, closes_with_client: bool = False) -> None:
        self._bundle = bundle
        self._closes_with_client = closes_with_client
        self._parked: list[socket.socket] = []

    def attach(self) -> Attachment:
        """A new attachment; whatever the process writes from now on is read there. Raises Conflict when it is gone."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            with _short_path(self._bundle, "attach") as path:
                sock.connect(path)
        except OSError as error:
            sock.close()
            if error.errno in (errno.ENOENT, errno.ECONNREFUSED, errno.EAGAIN):
                raise Conflict("the container's streams are gone: it is not running") from error
            raise
        return Attachment(sock)

    def leave(self, attachment: Attachment, *, with_stdin: bool) -> None:
        """The client went. One that fed stdin closes it where StdinOnce says so; another one changes nothing."""
        if self._closes_with_client and not with_stdin:
            self._parked.append(attachment.stop_reading())
        else:
            attachment.close()

    def resize(self, height: int, width: int) -> None:
        """Give the terminal a size; raises Conflict when there is nobody to do it."""
        self._control(f"{_RESIZE} {height} {width}\n")

    def reopen_log(self) -> None:
        """Let conmon begin a new log file in the place of the old one."""
        self._control(f"{_REOPEN_LOG} 0 0\n")

    def close(self) -> None:
        """The process ended: let go of what was kept."""
        for sock in self._parked:
            sock.close()
        self._parked.clear()

    def _control(self, line: str) -> None:
        try:
            fifo = os.open(os.path.join(self._bundle, "ctl"), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise Conflict("the container's terminal is gone: it is not running") from error
        try:
            os.write(fifo, line.encode())
        finally:
            os.close(fifo)


@contextlib.contextmanager
def _short_path(folder: str, name: str) -> Iterator[str]:
    """A path to ``name`` that fits into sun_path however long ``folder`` is."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
