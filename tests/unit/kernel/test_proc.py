"""Processes and those who come to bear their numbers."""

from __future__ import annotations

import os
import signal
import subprocess

from fairlead.kernel import proc


def test_a_process_is_told_from_a_later_one_with_its_number() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        started = proc.start_time(child.pid)
        assert started is not None
        assert proc.is_alive(child.pid, started)
        assert not proc.is_alive(child.pid, started - 1)
        assert proc.open_pidfd(child.pid, started - 1) is None
        assert not proc.kill(child.pid, signal.SIGKILL, started - 1)
        assert child.pid in proc.children(os.getpid())
        assert child.pid in proc.pids()
        assert proc.kill(child.pid, signal.SIGTERM, started)
        assert child.wait(5) == -signal.SIGTERM
    assert proc.start_time(child.pid) is None
    assert not proc.kill(child.pid, signal.SIGTERM)
    assert proc.children(child.pid) == []


def test_a_zombie_is_not_alive() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert not proc.is_alive(child)
    os.waitpid(child, 0)


def test_a_descriptor_outlives_the_process() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        pidfd = proc.open_pidfd(child.pid)
        assert pidfd is not None
        assert proc.send(pidfd, signal.SIGKILL)
        child.wait(5)
        assert not proc.send(pidfd, signal.SIGKILL)
        os.close(pidfd)
    assert proc.namespace(1, "net") == "/proc/1/ns/net"
