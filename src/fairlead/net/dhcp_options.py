"""What users may say about DHCP: options of a network (``--ipam-opt``) and of an endpoint (``--driver-opt``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256

from fairlead.errors import InvalidArgument
from fairlead.model.container import Container
from fairlead.model.endpoint import Endpoint, EndpointSpec
from fairlead.model.network import Network, NetworkSpec
from fairlead.net.drivers.sublink_options import HOST_SHIM
from fairlead.net.lease import Client

NAME = "dhcp"

TIMEOUT = "fairlead.dhcp.timeout"
HOSTNAME, CLIENT_ID = "fairlead.dhcp.hostname", "fairlead.dhcp.client_id"

_OURS, _ENDPOINT = "fairlead.dhcp.", (HOSTNAME, CLIENT_ID)

_DRIVERS = frozenset({"bridge", "macvlan"})
_USUAL_TIMEOUT, _LONGEST_TIMEOUT = 10.0, 60.0
_TIMEOUT = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)(ms|s)\Z", re.ASCII)
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\Z", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2})+\Z")
_LONGEST_ID = 254
_DUID_UUID = b"\x00\x04"  # RFC 6355


def check_network(spec: NetworkSpec) -> None:
    """Raises InvalidArgument for a network whose addresses no DHCP server can give."""
    if spec.driver == "ipvlan":
        raise InvalidArgument(
            "ipvlan containers share their parent's MAC, by which DHCP servers tell clients apart: use macvlan"
        )
    if spec.driver not in _DRIVERS:
        raise InvalidArgument(f"the DHCP IPAM driver is for macvlan and bridge networks, not {spec.driver}")
    if spec.ipam:
        raise InvalidArgument("the DHCP server chooses addresses: leave out --subnet, --gateway and --ip-range")
    if HOST_SHIM in spec.options:
        raise InvalidArgument(f"{HOST_SHIM} needs an address of its own, and the DHCP server gives none: leave it out")
    if not spec.enable_ipv4:
        raise InvalidArgument("DHCP gives IPv4 addresses: leave out --ipv4=false")
    if strange := sorted(label for label in spec.ipam_options if label != TIMEOUT):
        raise InvalidArgument(f"the DHCP IPAM driver has no option {strange[0]}: it has {TIMEOUT}")
    timeout_of(spec)


def check_parent(network: Network) -> None:
    """Raises InvalidArgument where no server can be reached."""
    if network.driver == "bridge" and not network.adopted:
        raise InvalidArgument(
            "a bridge network takes its addresses by DHCP only over a bridge that leads to the server: "
            "make one with a real interface in it and name it, -o com.docker.network.bridge.name=br0"
        )
    if network.driver == "macvlan" and network.spec.internal and "parent" not in network.spec.options:
        raise InvalidArgument("a macvlan network without a parent leads to no DHCP server: give -o parent=eth0")


def timeout_of(spec: NetworkSpec) -> float:
    """Seconds that a start waits for a server."""
    text = spec.ipam_options.get(TIMEOUT)
    if text is None:
        return _USUAL_TIMEOUT
    found = _TIMEOUT.match(text)
    seconds = 0.0 if found is None else float(found[1]) / (1000 if found[2] == "ms" else 1)
    if not 0 < seconds <= _LONGEST_TIMEOUT:
        raise InvalidArgument(f"failed to parse {TIMEOUT} value: {text} (a time is up to 60s, as in 10s or 500ms)")
    return seconds


def client_of(endpoint: Endpoint, spec: EndpointSpec, container: Container) -> Client:
    """Who asks: the same at every start of the container, so that it is given the same address again."""
    if strange := sorted(label for label in spec.options if label.startswith(_OURS) and label not in _ENDPOINT):
        raise InvalidArgument(f"invalid endpoint settings:\nthere is no option {strange[0]}: {' and '.join(_ENDPOINT)}")
    name = spec.options.get(HOSTNAME, "")
    if name and _LABEL.match(name) is None:
        raise InvalidArgument(f"invalid endpoint settings:\n{HOSTNAME}: {name} is no host name")
    own = container.config.hostname
    chosen = name or (own if own and not container.id.startswith(own) else container.name)
    return Client(
        mac=endpoint.mac,
        id=_client_id(spec.options, endpoint),
        hostname=_as_label(chosen),
        wanted=spec.ipv4 if spec.ipv4 is not None and spec.ipv4.version == 4 else None,
        only=spec.ipv4 is not None,
    )


def _as_label(name: str) -> str:
    """A container's name may have what a host's may not."""
    return re.sub(r"[^A-Za-z0-9-]+", "-", name.partition(".")[0], flags=re.ASCII).strip("-")[:63].strip("-")


def _client_id(options: Mapping[str, str], endpoint: Endpoint) -> bytes:
    """Option 61: as asked, in octets (``01:02:…``) or in words; else an id of the container's own (RFC 4361)."""
    asked = options.get(CLIENT_ID, "")
    if not asked:
        digest = sha256(endpoint.container.encode()).digest()
        return b"\xff" + sha256(endpoint.network.encode()).digest()[:4] + _DUID_UUID + digest[:16]
    raw = bytes.fromhex(asked.replace(":", "")) if _HEX.match(asked.lower()) else b"\0" + asked.encode()
    if len(raw) > _LONGEST_ID:
        raise InvalidArgument(f"invalid endpoint settings:\n{CLIENT_ID}: more than {_LONGEST_ID} octets")
    return raw


def stable_mac(endpoint: Endpoint) -> str:
    """Locally administered and the same at every start: many servers know their clients by nothing else."""
    octets = bytearray(sha256(f"{endpoint.container}/{endpoint.network}".encode()).digest()[:6])
    octets[0] = octets[0] & 0xFC | 0x02
    return octets.hex(":")
