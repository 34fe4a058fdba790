"""Starting the resolver process: light enough to be done before anything else of a daemon is even loaded."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable

import fairlead


def spawner(path: str, *, resolv_conf: str = "/etc/resolv.conf", log_file: str = "") -> Callable[[], None]:
    """Starts the process in a session of its own. Without site-packages: it needs none, and is up in half the time."""
    source = os.path.dirname(os.path.dirname(os.path.abspath(fairlead.__file__)))
    arguments = ["--socket", path, "--resolv-conf", resolv_conf, *(("--log", log_file) if log_file else ())]
    started: list[subprocess.Popen[bytes]] = []

    def spawn() -> None:
        # Who ended is collected here, at the latest when its successor starts.
        started[:] = [process for process in started if process.poll() is None]
        started.append(
            subprocess.Popen(
                [sys.executable, "-S", "-P", "-m", "fairlead.dns", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
                env={"PYTHONPATH": source, "PATH": os.defpath},
            )
        )

    return spawn


def dial(path: str) -> socket.socket:
    """Connects to the control socket, however long the path of its folder; raises OSError when nobody listens."""
    folder = os.open(os.path.dirname(path) or ".", os.O_PATH | os.O_DIRECTORY)
    try:
        dialled = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            dialled.connect(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
        except OSError:
            dialled.close()
            raise
    finally:
        os.close(folder)
    dialled.setblocking(False)
    return dialled


def is_listening(path: str) -> bool:
    """Whether a process answers there."""
    try:
        dial(path).close()
    except OSError:
        return False
    return True
