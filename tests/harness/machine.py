"""A "host" of the test's own: network and mount namespace, an outer link to a second host, an upstream DNS server.

Nothing here touches the machine's own network: both hosts are namespaces held open by a process that ends with the
test process (its stdin is our pipe), so that even a killed run leaves none of them behind.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from harness import inside

T = TypeVar("T")

HOST4, PEER4, OUTER4 = "198.51.100.1", "198.51.100.2", "198.51.100.0/24"
HOST6, PEER6 = "2001:db8:51::1", "2001:db8:51::2"
UPSTREAM = Path(__file__).with_name("upstream.py")

# The namespace's own sysfs, with the cgroup tree of this machine moved back beneath it; its own /run/netns, so that
# container names of several tests never meet; a resolv.conf that names the second host.
PRIVATE_MOUNTS = """
set -e
mkdir -p /run/netns {base}/cgroup
awk '$5 ~ "^/run/netns" {{print $5}}' /proc/self/mountinfo | sort -ru | xargs -r umount -l
mount -t tmpfs -o mode=755 tmpfs /run/netns
mount --rbind /sys/fs/cgroup {base}/cgroup
umount -l /sys
mount -t sysfs sysfs /sys
mount --rbind {base}/cgroup /sys/fs/cgroup
umount -l {base}/cgroup
rmdir {base}/cgroup
mount --bind {base}/resolv.conf /etc/resolv.conf
ip link set lo up
"""


def patiently(call: Callable[[], T], seconds: float = 2.0) -> T:
    """What ``call`` returns once it is not refused any more."""
    end = time.monotonic() + seconds
    while True:
        try:
            return call()
        except ConnectionError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


class Holder:
    """Namespaces held open by one idle process."""

    def __init__(self, *kinds: str) -> None:
        self._process = subprocess.Popen(
            ["unshare", *kinds, "sh", "-c", "echo ready; read _"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        self.pid = self._process.pid

    @property
    def netns(self) -> str:
        return f"/proc/{self.pid}/ns/net"

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait(timeout=10)


class Host:
    """A network namespace (with mounts of its own where asked) and commands run in it."""

    def __init__(self, holder: Holder, *, mounts: bool) -> None:
        self._holder = holder
        self.netns = holder.netns
        self.pid = holder.pid
        self.enter = ["nsenter", f"--net={holder.netns}"]
        if mounts:
            self.enter.append(f"--mount=/proc/{holder.pid}/ns/mnt")
        self.enter.append("--")

    def run(self, *argv: str, check: bool = True, text: str | None = None, timeout: float = 30) -> str:
        """Standard output of a command run here; standard error is in the exception when it fails."""
        done = subprocess.run(
            [*self.enter, *argv], input=text, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def popen(self, argv: Sequence[str], **how: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*self.enter, *argv], **how)  # type: ignore[call-overload]

    def call(self, what: Callable[[], T]) -> T:
        """``what`` run in a thread inside this host's network."""
        return inside.run(self.netns, what)

    def get(self, address: str, port: int, path: str = "/", timeout: float = 3.0) -> str:
        """The page; a server that was only just started is given the time to listen."""
        return self.call(lambda: patiently(lambda: inside.get(address, port, path, timeout), timeout))

    def exchange(self, address: str, port: int, payload: bytes = b"") -> bytes:
        """All that a TCP server answers to ``payload``, with the same patience."""
        return self.call(lambda: patiently(lambda: inside.exchange(address, port, payload)))

    def reaches(self, address: str, port: int, timeout: float = 0.7) -> bool:
        """Whether anything at all answers a GET there."""
        try:
            return bool(self.call(lambda: inside.exchange(address, port, b"GET / HTTP/1.0\r\n\r\n", timeout)))
        except OSError:
            return False

    def udp(self, address: str, port: int, payload: bytes, timeout: float = 2.0) -> bytes:
        return self.call(lambda: inside.udp(address, port, payload, timeout))


class Machine:
    """The host an engine runs on, the second host on its outer link, and the DNS server there."""

    def __init__(self, *, ipv6: bool = True) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="fl-", ignore_cleanup_errors=True)
        self.base = Path(self._directory.name)
        self.resolv_conf = self.base / "resolv.conf"
        self.resolv_conf.write_text(f"nameserver {PEER4}\n")
        self._held = [Holder("--net", "--mount"), Holder("--net")]
        self.host, self.peer = Host(self._held[0], mounts=True), Host(self._held[1], mounts=False)
        self.host.run("sh", text=PRIVATE_MOUNTS.format(base=self.base))
        self._link(ipv6=ipv6)
        self.queries = self.base / "queries.log"
        self._upstream = self._start_upstream(ipv6=ipv6)

    def _link(self, *, ipv6: bool) -> None:
        self.peer.run("ip", "link", "set", "lo", "up")
        self.host.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", str(self.peer.pid))
        for host, four, six in ((self.host, HOST4, HOST6), (self.peer, PEER4, PEER6)):
            host.run("ip", "address", "add", f"{four}/24", "dev", "eth0")
            if ipv6:
                host.run("ip", "address", "add", f"{six}/64", "dev", "eth0", "nodad")
            host.run("ip", "link", "set", "eth0", "up")
        self.host.run("ip", "route", "add", "default", "via", PEER4)
        # The second host tries hard to get at container addresses: it routes all private ranges to the first.
        self.peer.run("ip", "route", "add", "172.16.0.0/12", "via", HOST4)
        self.peer.run("ip", "route", "add", "10.0.0.0/8", "via", HOST4)
        if ipv6:
            self.host.run("ip", "-6", "route", "add", "default", "via", PEER6)
            self.peer.run("ip", "-6", "route", "add", "fd00::/8", "via", HOST6)

    def _start_upstream(self, *, ipv6: bool) -> subprocess.Popen[bytes]:
        addresses = [PEER4, PEER6] if ipv6 else [PEER4]
        process = self.peer.popen(
            [sys.executable, str(UPSTREAM), str(self.queries), *addresses], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    def close(self) -> None:
        """Ends the DNS server and lets go of the namespaces."""
        self._upstream.kill()
        self._upstream.wait()
        assert self._upstream.stdout is not None
        self._upstream.stdout.close()
        for holder in self._held:
            holder.close()
        self._directory.cleanup()
