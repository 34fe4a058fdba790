"""CNI for a test's engine: a directory of configurations, the real plugins, and one of the tests' own that misbehaves.

That plugin, ``actor``, writes down every call, and does what its configuration says: ``"on": {"ADD": "fail"}``.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

REAL = Path(sys.prefix) / "share/cni/usr/lib/cni"
ACTOR = Path(__file__).with_name("cniactor.py")


class Cni:
    """Below ``base``: net.d, bin (the actor under several names), what the actors were asked, and host-local's data."""

    def __init__(self, base: Path) -> None:
        self.conf, self.bin, self.data, self._calls = base / "net.d", base / "bin", base / "data", base / "calls"
        for directory in (self.conf, self.bin, self.data):
            directory.mkdir(parents=True)
        for name in ("actor", "second", "third"):
            self.program(name)

    @property
    def flags(self) -> list[str]:
        flags = ["--cni-conf-dir", str(self.conf), "--cni-timeout", "3"]
        return [*flags, "--cni-bin-dir", str(self.bin), "--cni-bin-dir", str(REAL)]

    def program(self, name: str) -> Path:
        """The actor under that name."""
        path = self.bin / name
        path.write_text(f"#!{sys.executable} -IS\n{ACTOR.read_text()}")
        path.chmod(0o755)
        return path

    def write(self, name: str, *plugins: Mapping[str, Any], version: str = "1.0.0", **fields: Any) -> Path:
        """A .conflist with these plugins."""
        path = self.conf / f"{name}.conflist"
        path.write_text(json.dumps({"cniVersion": version, "name": name, "plugins": plugins, **fields}))
        return path

    def actor(self, name: str = "actor", **config: Any) -> dict[str, Any]:
        """Its configuration; ``on`` maps commands to what it does."""
        return {"type": name, "calls": str(self._calls), "dataDir": str(self.data), **config}

    def ipam(self, subnet: str, **more: Any) -> dict[str, Any]:
        return {"type": "host-local", "dataDir": str(self.data), "ranges": [[{"subnet": subnet}]], **more}

    def bridge(self, subnet: str, name: str = "cni0", **more: Any) -> dict[str, Any]:
        """The real bridge plugin as it is mostly configured."""
        ipam = self.ipam(subnet, routes=[{"dst": "0.0.0.0/0"}])
        return {"type": "bridge", "bridge": name, "isGateway": True, "ipMasq": True, "ipam": ipam, **more}

    def calls(self, *commands: str) -> list[dict[str, Any]]:
        """What actors were asked so far (``env``, ``input``), without VERSION unless asked for."""
        found = [json.loads(line) for line in self._calls.read_text().splitlines()] if self._calls.exists() else []
        wanted = commands or ("ADD", "DEL", "CHECK", "GC", "STATUS")
        return [call for call in found if call["env"]["CNI_COMMAND"] in wanted]

    def forget(self) -> None:
        self._calls.unlink(missing_ok=True)

    def held(self, name: str) -> list[str]:
        """Addresses that host-local has given away on that network."""
        directory = self.data / name
        return sorted(p.name for p in directory.iterdir() if p.name[0].isdigit()) if directory.exists() else []

    def clear(self) -> None:
        for directory in (self.conf, self.data):
            shutil.rmtree(directory)
            directory.mkdir()
        self.forget()


def steps(calls: list[dict[str, Any]]) -> Iterator[str]:
    """``ADD actor``, … in the order in which it happened."""
    return (f"{call['env']['CNI_COMMAND']} {call['input']['type']}" for call in calls)
