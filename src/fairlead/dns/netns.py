"""Sockets: with room for bursts, and opened inside another namespace by a thread that enters it and is thrown away."""

from __future__ import annotations

import _thread
import ctypes
import os
import socket
from collections.abc import Callable
from contextlib import suppress

OpenSocket = Callable[[int, int], socket.socket]

_CLONE_NEWNET = 0x40000000
_SO_RCVBUFFORCE = 33
# A burst of some thousand questions, or of what comes while a successor of this process starts.
_ROOM = 1 << 21


def open_here(family: int, kind: int) -> socket.socket:
    """A non-blocking socket in the process's own namespace."""
    return socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)


def enlarge(sock: socket.socket) -> None:
    """Lets more datagrams wait than the machine's default of about 250; memory is used only while they do."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM)


def opener(netns_fd: int) -> OpenSocket:
    """Opens non-blocking sockets inside that namespace; the descriptor stays the caller's."""

    def open_there(family: int, kind: int) -> socket.socket:
        return _in_namespace(netns_fd, lambda: open_here(family, kind))

    return open_there


def _in_namespace(netns_fd: int, make: Callable[[], socket.socket]) -> socket.socket:
    libc = ctypes.CDLL(None, use_errno=True)
    made: list[socket.socket] = []
    failed: list[OSError] = []
    done = _thread.allocate_lock()
    done.acquire()

    def run() -> None:
        try:
            if libc.setns(netns_fd, _CLONE_NEWNET):
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
            made.append(make())
        except OSError as error:
            failed.append(error)
        finally:
            done.release()

    _thread.start_new_thread(run, ())
    done.acquire()
    if failed:
        raise failed[0]
    return made[0]
