"""Steps as the bridge driver wants them, and iproute2 to look at what came of them."""

from __future__ import annotations

import json
import subprocess
from ipaddress import ip_interface, ip_network
from typing import Any

from fairlead.kernel import netns
from fairlead.kernel.netns import Namespace
from fairlead.net.state import HOST, Add, Address, Link, LinkKind, Remove, Route, Step

BRIDGE = "br-0123456789ab"
CONTAINER = "c" * 64


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def ip(*argv: str) -> list[dict[str, Any]]:
    out = run("ip", "-j", "-d", *argv)
    return [entry for entry in json.loads(out or "[]") if entry]


def ip_inside(ns: Namespace, *argv: str) -> list[dict[str, Any]]:
    return netns.run_in(ns, lambda: ip(*argv))


def bridge(name: str = BRIDGE, **fields: Any) -> Link:
    return Link(**{"ns": HOST, "name": name, "kind": LinkKind.BRIDGE, "alias": "net1", "mtu": 1500, **fields})


def network(subnet: str = "10.9.0.1/16") -> list[Step]:
    return [Add(bridge()), Add(Address(ns=HOST, link=BRIDGE, address=ip_interface(subnet)))]


def endpoint(number: int = 2, container: str = CONTAINER, ifname: str = "eth0", **fields: Any) -> list[Step]:
    """A container's plumbing on the bridge, as the bridge driver wants it."""
    mac = f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"
    host = Link(
        **{
            "ns": HOST,
            "name": f"veth{number:07x}",
            "kind": LinkKind.VETH,
            "mtu": 1500,
            "master": BRIDGE,
            "alias": "web/net1",
            "peer_ns": container,
            "peer": ifname,
            "peer_mac": mac,
            **fields,
        }
    )
    inside = Link(ns=container, name=ifname, kind=LinkKind.VETH, mtu=1500, mac=mac, peer_ns=HOST, peer=host.name)
    address = ip_interface(f"10.9.{number >> 8}.{number & 255}/16")
    default = Route(ns=container, prefix=ip_network("0.0.0.0/0"), link=ifname, via=ip_interface("10.9.0.1/16").ip)
    return [Add(host), Add(inside), Add(Address(ns=container, link=ifname, address=address)), Add(default)]


def undone(steps: list[Step]) -> list[Step]:
    return [Remove(step.fact) for step in reversed(steps)]


def facts(steps: list[Step], ns: str) -> frozenset[Any]:
    return frozenset(step.fact for step in steps if getattr(step.fact, "ns", HOST) == ns)
