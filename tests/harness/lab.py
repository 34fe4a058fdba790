"""A host with our firewall, containers on its networks, and a second host beside it: namespaces, links, real traffic.

Everything runs in this process: sockets are opened inside the namespaces by throwaway threads.
"""

from __future__ import annotations

import contextlib
import secrets
import selectors
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Protocol as Protocol_
from typing import TypeVar

from fairlead.ids import ContainerId, EndpointId, NetworkId
from fairlead.kernel import netns, sysctl
from fairlead.kernel.apply import Kernel
from fairlead.kernel.netns import Namespace
from fairlead.model.endpoint import Endpoint
from fairlead.model.host import HostFacts
from fairlead.model.network import Network, NetworkSpec
from fairlead.model.policy import Action
from fairlead.model.port import ContainerPort, PortBinding, Protocol
from fairlead.net import ipam, judgement, policing, ruleset
from fairlead.net.drivers import DRIVERS, bridge
from fairlead.net.plan import plan
from fairlead.net.policing import Member
from fairlead.net.state import Fact
from fairlead.net.world import World
from fairlead.settings import Settings
from fairlead.wire.policy import checked, parse_rule
from harness import inside

T = TypeVar("T")

HOST4, SECOND4 = "192.0.2.1", "192.0.2.2"
HOST6, SECOND6 = "2001:db8:9::1", "2001:db8:9::2"

# Long enough for a busy machine, short enough for the many tests in which nothing may come.
PATIENCE = 0.35


def publish(text: str) -> tuple[PortBinding, ...]:
    """``192.0.2.1:8080:80/udp`` or ``8000-8009:8000-8009``; without an address on every one, of both families."""
    ports, _, protocol = text.partition("/")
    head, container = ports.rsplit(":", 1)
    address, _, host = head.rpartition(":")
    addresses: list[IPv4Address | IPv6Address]
    addresses = [ip_address(address.strip("[]"))] if address else [IPv4Address("0.0.0.0"), IPv6Address("::")]
    pairs = zip(_span(host), _span(container), strict=True)
    return tuple(
        PortBinding(
            container=ContainerPort(port=inner, protocol=Protocol(protocol or "tcp")), host_ip=ip, host_port=outer
        )
        for outer, inner in pairs
        for ip in addresses
    )


def _span(text: str) -> range:
    low, _, high = text.partition("-")
    return range(int(low), int(high or low) + 1)


class Pinned(Protocol_):
    """What has the path of a network namespace."""

    @property
    def path(self) -> str: ...


class Servers:
    """Answers every TCP connection and every datagram with ``<name> <address of who asks>``."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._stop, wake = socket.socketpair()
        self._selector.register(wake, selectors.EVENT_READ, None)
        self._wake = wake
        self._thread = threading.Thread(target=self._run, name="servers")
        self._thread.start()

    def serve(self, ns: Pinned, name: str, protocol: str, port: int, address: str = "::") -> None:
        server = inside.run(ns.path, lambda: _listener(protocol, address, port))
        self._selector.register(server, selectors.EVENT_READ, name)
        self._stop.send(b"again")

    def close(self) -> None:
        self._stop.close()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            self._selector.unregister(key.fileobj)
            key.fileobj.close()  # type: ignore[union-attr]  # only sockets are registered
        self._selector.close()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is not None:
                    _answer(key.fileobj, key.data)  # type: ignore[arg-type]  # only sockets are registered
                elif not self._wake.recv(64):
                    return


def _answer(server: socket.socket, name: str) -> None:
    with contextlib.suppress(OSError):
        if server.type == socket.SOCK_DGRAM:
            _, peer = server.recvfrom(2048)
            server.sendto(_line(name, peer[0]), peer)
            return
        link, peer = server.accept()
        with link:
            link.sendall(_line(name, peer[0]))


def _line(name: str, peer: str) -> bytes:
    return f"{name} {peer.removeprefix('::ffff:')}".encode()


def _listener(protocol: str, address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = socket.socket(family, socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM)
    if protocol == "sctp":
        server.close()
        server = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.bind((address, port))
    if protocol != "udp":
        server.listen(64)
    return server


class Lab:
    """One host namespace under our firewall, a second host, and whatever networks and containers are put on it."""

    def __init__(self) -> None:
        self._mark = secrets.token_hex(3)
        self._namespaces: list[Namespace] = []
        self.servers = Servers()
        self.host = self._namespace("host")
        self.second = self._namespace("second")
        self._outer_link()
        self.kernel = netns.run_in(self.host, lambda: Kernel(Settings()))
        self.world = World(settings=Settings(), host=HostFacts())
        self.networks: dict[str, Network] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.spaces: dict[str, Namespace] = {}
        self.facts: frozenset[Fact] = frozenset()
        self.inside(lambda: self.kernel.nft.run(ruleset.USER_RULESET))
        self.inside(lambda: self.kernel.nft.load(ruleset.load([])))

    def close(self) -> None:
        self.servers.close()
        self.kernel.nft.close()
        self.kernel.host.close()
        for ns in self._namespaces:
            netns.remove(ns)

    def _namespace(self, name: str) -> Namespace:
        ns = netns.create(f"lab-{self._mark}-{name}")
        self._namespaces.append(ns)
        return ns

    def ip(self, ns: Namespace, *words: str) -> None:
        subprocess.run(["ip", "-n", ns.name, *words], check=True, capture_output=True)

    def _outer_link(self) -> None:
        self.ip(self.host, "link", "add", "up0", "type", "veth", "peer", "name", "eth0", "netns", self.second.name)
        for ns, link, addresses in (
            (self.host, "up0", (f"{HOST4}/24", f"{HOST6}/64")),
            (self.second, "eth0", (f"{SECOND4}/24", f"{SECOND6}/64")),
        ):
            self.ip(ns, "link", "set", link, "up")
            for address in addresses:
                self.ip(ns, "addr", "add", address, "dev", link, *(("nodad",) if ":" in address else ()))
        # The second host tries to go straight to containers.
        self.ip(self.second, "route", "add", "172.16.0.0/12", "via", HOST4)
        self.ip(self.second, "route", "add", "fd00::/8", "via", HOST6)

    def inside(self, work: Callable[[], T]) -> T:
        """Run ``work`` in the host's namespace."""
        return netns.run_in(self.host, work)

    def network(
        self, name: str, *, options: dict[str, str] | None = None, ipv6: bool = False, internal: bool = False
    ) -> Network:
        spec = NetworkSpec(name=name, enable_ipv6=ipv6, internal=internal, options=options or {})
        taken = [subnet.prefix for network in self.networks.values() for subnet in network.subnets]
        DRIVERS["bridge"].check(spec, self.world.host)
        subnets, _ = ipam.choose_subnets(spec, taken=taken, pools=(), routes=(), ula_seed=b"lab")
        network = Network(id=NetworkId(secrets.token_hex(32)), spec=spec, created=0, subnets=subnets)
        self.networks[name] = replace(network, bridge=DRIVERS["bridge"].bridge_name(network))
        self.settle()
        return self.networks[name]

    def container(self, name: str, network: str, *published: str) -> Endpoint:
        ns = self._namespace(name)
        self.spaces[name] = ns
        home = self.networks[network]
        used = {address.ip for endpoint in self.endpoints.values() for address in endpoint.addresses}
        families = {subnet.prefix.version: subnet for subnet in home.subnets}
        addresses = tuple(ipam.choose_address([families[version]], used=used) for version in sorted(families))
        container = ContainerId(secrets.token_hex(32))
        self.kernel.add_sandbox(container, ns)
        self.endpoints[name] = Endpoint(
            id=EndpointId(secrets.token_hex(32)),
            network=home.id,
            container=container,
            mac=":".join(("02", *(f"{byte:02x}" for byte in secrets.token_bytes(5)))),
            addresses=addresses,
            names=(name,),
            published=tuple(binding for text in published for binding in publish(text)),
            host_ifname=f"veth{secrets.token_hex(4)[:7]}",
            gateway4=True,
            gateway6=True,
        )
        self.settle()
        return self.endpoints[name]

    def wanted(self) -> frozenset[Fact]:
        by_id = {network.id: network for network in self.networks.values()}
        facts: set[Fact] = set()
        for network in by_id.values():
            driver = DRIVERS[network.driver]
            if network.driver == "bridge" and bridge.is_judged(network, self.world):
                facts |= judgement.facts(ipv6=self.world.host.ipv6)
            facts.update(policing.network_facts(network))
            for name, endpoint in self.endpoints.items():
                if endpoint.network == network.id:
                    facts.update(policing.endpoint_facts(network, Member(endpoint, name, {})))
            mine = [endpoint for endpoint in self.endpoints.values() if endpoint.network == network.id]
            facts |= driver.wants(network, mine, self.world)
            for endpoint in mine:
                facts |= driver.sandbox_wants(network, endpoint, self.world)
        return frozenset(facts)

    def policy(self, network: str, default: Action, *rules: str) -> None:
        """The network's policy from now on."""
        policy = checked(default, [parse_rule(rule) for rule in rules])
        self.networks[network] = replace(self.networks[network], policy=policy)
        self.settle()

    def settle(self) -> None:
        """Make the host what the records want."""
        want = self.wanted()
        self.inside(lambda: self.kernel.apply(plan(self.facts, want)))
        self.facts = want

    def space(self, name: str) -> Namespace:
        return {"host": self.host, "second": self.second}.get(name) or self.spaces[name]

    def serve(self, name: str, *specs: str) -> None:
        """``80/tcp`` or ``127.0.0.1 80/tcp`` each."""
        for spec in specs:
            address, _, port = spec.rpartition(" ")
            number, _, protocol = port.partition("/")
            self.servers.serve(self.space(name), name, protocol or "tcp", int(number), address or "::")

    def ask(self, who: str, address: str, port: int, protocol: str = "tcp", source: str = "") -> str:
        """What the server at that address answers: its name and the address it saw; "" when nothing comes."""
        return ask(self.space(who).path, address, port, protocol, source=source)

    def address(self, name: str, version: int = 4) -> str:
        return str(next(a.ip for a in self.endpoints[name].addresses if a.version == version))

    def gateway(self, network: str, version: int = 4) -> str:
        return str(next(s.gateway for s in self.networks[network].subnets if s.prefix.version == version))

    def set(self, name: str, key: str, value: str) -> None:
        netns.run_in(self.space(name), lambda: sysctl.write(key, value))

    def nft(self, text: str) -> None:
        self.inside(lambda: self.kernel.nft.run(text))


def ask(
    netns: str, address: str, port: int, protocol: str = "tcp", *, source: str = "", patience: float = PATIENCE
) -> str:
    """What a server answers to somebody in that namespace; "" when nothing comes in that time."""
    return inside.run(netns, lambda: _ask(address, port, protocol, source, patience))


def _ask(address: str, port: int, protocol: str, source: str, patience: float) -> str:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    number = getattr(socket, "IPPROTO_SCTP", 132) if protocol == "sctp" else 0
    with socket.socket(family, kind, number) as link, contextlib.suppress(OSError):
        link.settimeout(patience)
        if source:
            link.bind((source, 0))
        link.connect((address, port))
        if protocol == "udp":
            link.send(b"who")
        return link.recv(2048).decode()
    return ""


@contextlib.contextmanager
def opened() -> Iterator[Lab]:
    lab = Lab()
    try:
        yield lab
    finally:
        lab.close()
