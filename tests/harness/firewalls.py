"""The real ufw and firewalld on an engine's host: run from a tree of unpacked packages, seen by nobody else.

The tree (``./test`` makes it) is laid over /usr and /etc in a mount namespace of its own, beside the host's network.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from harness.machine import Host

TREE = Path(sys.prefix) / "share" / "firewalls"

_MOUNTS = """
set -e
work={work}
mkdir -p $work
mount -t tmpfs tmpfs $work
mkdir $work/etc $work/etc.work $work/firewalld
mount -t overlay overlay -o lowerdir={tree}/usr:/usr /usr
mount -t overlay overlay -o lowerdir={tree}/etc:/etc,upperdir=$work/etc,workdir=$work/etc.work /etc
cp -n /usr/share/ufw/iptables/*.rules /etc/ufw/
chmod 640 /etc/ufw/*.rules
printf 'ENABLED=no\\nLOGLEVEL=off\\n' >/etc/ufw/ufw.conf
echo ready
read _
"""

_BUS = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>
  </policy>
</busconfig>
"""


class Firewalls:
    """Commands of ufw and firewalld for one host."""

    def __init__(self, host: Host, work: Path) -> None:
        self._work = work
        script = _MOUNTS.format(work=work, tree=TREE)
        # Both programs are Debian's Python: what this test's own Python was told is not for them.
        self._holder = host.popen(
            ["env", "-u", "PYTHONPATH", "unshare", "--mount", "sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n"
        self._enter = ["nsenter", f"--net={host.netns}", f"--mount=/proc/{self._holder.pid}/ns/mnt", "--"]
        self._bus = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={work}/bus", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}

    def close(self) -> None:
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        self._holder.stdin.close()
        self._holder.stdout.close()
        self._holder.wait(timeout=10)

    def run(self, *argv: str) -> str:
        done = subprocess.run(
            [*self._enter, *argv], capture_output=True, text=True, check=False, timeout=60, env=self._bus
        )
        assert done.returncode == 0, f"{' '.join(argv)}: {done.stdout}{done.stderr}"
        return done.stdout

    @contextlib.contextmanager
    def ufw(self) -> Iterator[None]:
        """Enabled with its defaults: everything incoming and routed is dropped."""
        self.run("ufw", "--force", "enable")
        try:
            yield
        finally:
            self.run("ufw", "--force", "reset")
            # What ufw leaves of its chains is not worth keeping for the next test.
            self.run("sh", "-c", "nft delete table ip filter; nft delete table ip6 filter")

    @contextlib.contextmanager
    def firewalld(self) -> Iterator[None]:
        """Running with its defaults on a message bus of its own."""
        (self._work.parent / "bus.conf").write_text(_BUS.format(socket=f"{self._work}/bus"))
        bus = self._start("dbus-daemon", f"--config-file={self._work.parent}/bus.conf", "--nofork")
        daemon = self._start("firewalld", "--nofork", "--nopid", f"--system-config={self._work}/firewalld")
        try:
            self._wait_for_firewalld()
            yield
        finally:
            for process in (daemon, bus):
                process.terminate()
                process.wait(timeout=20)

    def _start(self, *argv: str) -> subprocess.Popen[bytes]:
        with (self._work.parent / f"{argv[0]}.log").open("wb") as log:
            return subprocess.Popen([*self._enter, *argv], stdout=log, stderr=log, env=self._bus)

    def _wait_for_firewalld(self) -> None:
        end = time.monotonic() + 30
        asks = [*self._enter, "firewall-cmd", "--state"]
        while subprocess.run(asks, capture_output=True, check=False, env=self._bus).returncode:
            assert time.monotonic() < end, (self._work.parent / "firewalld.log").read_text()
            time.sleep(0.1)
