"""Real DHCP servers in a namespace of the test's: dnsmasq, and busybox's udhcpd for leases of seconds."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.machine import Host


class Server:
    """A server process; what it says is in ``log``."""

    def __init__(self, host: Host, argv: list[str], log: Path, ready: str) -> None:
        self.log = log
        with open(log, "ab") as out:
            self._process = host.popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        end = time.monotonic() + 5
        while ready not in self.said():
            assert self._process.poll() is None, f"{argv[0]} ended: {self.said()}"
            assert time.monotonic() < end, f"{argv[0]} is not ready: {self.said()}"
            time.sleep(0.01)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def close(self) -> None:
        """Also where it has ended by itself."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Dnsmasq(Server):
    """``range`` is ``first,last``; ``options`` are dnsmasq's own, without the dashes."""

    def __init__(self, host: Host, base: Path, interface: str, addresses: str, *options: str) -> None:
        self.leases = base / "dnsmasq.leases"
        argv = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root", "--no-ping"]
        argv += [f"--interface={interface}", "--bind-interfaces", "--log-dhcp", "--log-facility=-", "--no-resolv"]
        argv += [f"--dhcp-leasefile={self.leases}", f"--pid-file={base / 'dnsmasq.pid'}", f"--dhcp-range={addresses}"]
        argv += [f"--{option}" for option in options]
        super().__init__(host, argv, base / "dnsmasq.log", "DHCP, sockets bound exclusively to interface")

    def lease(self, address: str) -> tuple[str, str] | None:
        """(hostname, client id) of who has that address."""
        for line in self.leases.read_text().splitlines() if self.leases.exists() else ():
            _, _, ip, name, client = line.split()[:5]
            if ip == address:
                return name, client
        return None


class Udhcpd(Server):
    """Leases of any length, out of a pool (first, last)."""

    def __init__(self, host: Host, base: Path, interface: str, pool: tuple[str, str], *lines: str) -> None:
        conf, leases = base / "udhcpd.conf", base / "udhcpd.leases"
        leases.touch()
        settings = [
            f"start {pool[0]}",
            f"end {pool[1]}",
            f"interface {interface}",
            f"lease_file {leases}",
            f"pidfile {base / 'udhcpd.pid'}",
            "min_lease 1",
            "option subnet 255.255.255.0",
            *lines,
        ]
        conf.write_text("\n".join(settings) + "\n")
        super().__init__(host, ["busybox", "udhcpd", "-f", str(conf)], base / "udhcpd.log", "started")
