"""The daemon's end of the control socket: frames with descriptors, both ways, on the daemon's asyncio loop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from fairlead.dns import protocol
from fairlead.dns.message import DnsError
from fairlead.dns.protocol import Decoder, Json

_RIGHTS_SPACE = socket.CMSG_SPACE(256 * array("i").itemsize)


class Channel:
    """One connection: ``send`` puts a frame on its way, ``received`` gets each that comes, ``lost`` is called once."""

    def __init__(
        self,
        connected: socket.socket,
        received: Callable[[Json, list[int]], None],
        lost: Callable[[], None],
    ) -> None:
        self._socket, self._received, self._lost = connected, received, lost
        self._loop = asyncio.get_running_loop()
        self._decoder = Decoder()
        self._fds: list[int] = []
        self._outgoing: deque[tuple[bytes, list[int]]] = deque()
        self._open = True
        self._loop.add_reader(connected.fileno(), self._read)

    def send(self, frame: bytes, fds: Sequence[int] = ()) -> None:
        """In the order of the calls. The descriptors may be closed by the caller as soon as this returns."""
        if not self._open:
            return
        # Duplicates: what cannot be sent at once is sent when the other side has read.
        self._outgoing.append((frame, [os.dup(fd) for fd in fds]))
        if len(self._outgoing) == 1:
            self._flush()

    def end_peer(self) -> None:
        """The process that listens on the other side dies, and the connection with it."""
        credentials = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        with suppress(ProcessLookupError):
            os.kill(struct.unpack("3i", credentials)[0], signal.SIGKILL)

    def close(self) -> None:
        """Without ``lost`` being called."""
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        _close_all(self._fds)
        for _frame, fds in self._outgoing:
            _close_all(fds)
        self._outgoing.clear()

    def _fail(self) -> None:
        if self._open:
            self.close()
            self._lost()

    def _flush(self) -> None:
        try:
            while self._outgoing:
                self._send_first()
        except BlockingIOError:
            self._loop.add_writer(self._socket.fileno(), self._flush)
        except OSError:
            # The reader sees the end too; there the answers that were sent before it are still read.
            self._loop.remove_writer(self._socket.fileno())
        else:
            self._loop.remove_writer(self._socket.fileno())

    def _send_first(self) -> None:
        frame, fds = self._outgoing[0]
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
        sent = self._socket.sendmsg([frame], rights)
        _close_all(fds)
        if sent < len(frame):
            self._outgoing[0] = (frame[sent:], [])
        else:
            self._outgoing.popleft()

    def _read(self) -> None:
        try:
            part, control, _flags, _from = self._socket.recvmsg(1 << 18, _RIGHTS_SPACE, socket.MSG_CMSG_CLOEXEC)
            for level, kind, rights in control:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    self._fds += array("i", rights[: len(rights) // 4 * 4])
            if not part:
                self._fail()
                return
            for frame in self._decoder.feed(part):
                count = protocol.number(frame, "fds")
                fds, self._fds = self._fds[:count], self._fds[count:]
                self._received(frame, fds)
        except BlockingIOError:
            return
        except (OSError, DnsError):
            self._fail()


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        with suppress(OSError):
            os.close(fd)
    fds.clear()
