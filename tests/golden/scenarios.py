"""The situations whose rulesets are kept as golden files, and shown in docs/rulesets.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface

from fairlead.ids import ContainerId, EndpointId, NetworkId
from fairlead.model.endpoint import Endpoint
from fairlead.model.host import HostFacts
from fairlead.model.network import Network, NetworkSpec
from fairlead.model.policy import Action
from fairlead.model.port import ContainerPort, PortBinding, Protocol
from fairlead.net import firewall, ipam, policing, policytables, ruleset
from fairlead.net.drivers import DRIVERS
from fairlead.net.policing import Member
from fairlead.net.state import Add, Element, Policing
from fairlead.net.world import World
from fairlead.settings import Settings
from fairlead.wire.policy import checked, parse_rule

_BRIDGE = "com.docker.network.bridge"
_EVERYWHERE = (IPv4Address("0.0.0.0"), IPv6Address("::"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One network with at most one container on it; ``command`` is how a person gets there."""

    name: str
    title: str
    command: str
    says: str
    options: Mapping[str, str] = field(default_factory=dict)
    ipv6: bool = False
    internal: bool = False
    published: tuple[PortBinding, ...] | None = None
    settings: Settings = field(default_factory=Settings)
    linked: tuple[ContainerPort, ...] = ()


def _bindings(
    *ports: tuple[int, int], at: tuple[IPv4Address | IPv6Address, ...] = _EVERYWHERE, protocol: Protocol = Protocol.TCP
) -> tuple[PortBinding, ...]:
    return tuple(
        PortBinding(container=ContainerPort(port=inner, protocol=protocol), host_ip=ip, host_port=outer)
        for outer, inner in ports
        for ip in at
    )


SCENARIOS = (
    Scenario(
        name="network",
        title="A network",
        command="docker network create shop",
        says="Its bridge is one of ours, its containers reach each other, and leave under the host's address. "
        "Everything that is routed to the bridge and was neither published nor asked for from inside is dropped.",
    ),
    Scenario(
        name="dual-stack",
        title="A network with IPv6",
        command="docker network create --ipv6 shop",
        says="The IPv6 subnet is a unique local one, so it is masqueraded too.",
        ipv6=True,
    ),
    Scenario(
        name="port",
        title="A published port",
        command="docker run --network shop -p 8080:80 nginx",
        says="One element. The second one lets the container reach itself through the host.",
        published=_bindings((8080, 80)),
    ),
    Scenario(
        name="port-dual-stack",
        title="A published port, both families",
        command="docker run --network shop -p 8080:80 -p 5353:53/udp nginx   # shop has IPv6",
        says="One element for each family. The kernel cannot translate `::1`: a listener serves it.",
        ipv6=True,
        published=(*_bindings((8080, 80)), *_bindings((5353, 53), protocol=Protocol.UDP)),
    ),
    Scenario(
        name="port-address",
        title="A port published on one address",
        command="docker run --network shop -p 127.0.0.1:8080:80 -p 192.0.2.1:8443:443 nginx",
        says="Keyed by the address as well. Packets to 127/8 that come from anywhere but the host itself are dropped "
        "in chain `loopback`.",
        published=(
            *_bindings((8080, 80), at=(ip_address("127.0.0.1"),)),
            *_bindings((8443, 443), at=(ip_address("192.0.2.1"),)),
        ),
    ),
    Scenario(
        name="range",
        title="A thousand ports",
        command="docker run --network shop -p 8000-8999:8000-8999 nginx",
        says="A range that keeps its numbers is one element, however long.",
        published=_bindings(*((port, port) for port in range(8000, 9000))),
    ),
    Scenario(
        name="range-moved",
        title="A range with other numbers inside",
        command="docker run --network shop -p 8000-8003:80-83 nginx",
        says="nft cannot translate one range into another with the same offset, so each port is an element.",
        published=_bindings(*((8000 + offset, 80 + offset) for offset in range(4))),
    ),
    Scenario(
        name="no-icc",
        title="Containers kept from each other",
        command=f"docker network create -o {_BRIDGE}.enable_icc=false shop",
        says="The ports of the bridge are isolated from each other; the element keeps them from each other through the "
        "gateway as well. Published ports stay reachable.",
        options={f"{_BRIDGE}.enable_icc": "false"},
    ),
    Scenario(
        name="link",
        title="A link where containers are kept from each other",
        command="fairlead daemon --icc=false\ndocker run --name db --expose 5432 postgres\ndocker run --link db app",
        says="What `app` (172.17.0.3) sends to the exposed port of `db` (172.17.0.2) is routed and let through.",
        options={f"{_BRIDGE}.enable_icc": "false"},
        linked=(ContainerPort(port=5432),),
    ),
    Scenario(
        name="internal",
        title="An internal network",
        command="docker network create --internal vault",
        says="Nothing is routed in or out, and ports are not published, whatever -p says.",
        internal=True,
        published=_bindings((8080, 80)),
    ),
    Scenario(
        name="routed",
        title="A routed network",
        command=f"docker network create -o {_BRIDGE}.gateway_mode_ipv4=routed shop\n"
        "docker run --network shop -p 80 -p 443 nginx",
        says="No translation: published ports are let in at the container's own address, and ICMP.",
        options={f"{_BRIDGE}.gateway_mode_ipv4": "routed"},
        published=_bindings((32768, 80), (32769, 443)),
    ),
    Scenario(
        name="unprotected",
        title="A network without a port filter",
        command=f"docker network create -o {_BRIDGE}.gateway_mode_ipv4=nat-unprotected shop",
        says="Every port is let in at the container's own address; published ports are translated as well.",
        options={f"{_BRIDGE}.gateway_mode_ipv4": "nat-unprotected"},
        published=_bindings((8080, 80)),
    ),
    Scenario(
        name="trusted",
        title="An interface that is trusted",
        command=f"docker network create -o {_BRIDGE}.trusted_host_interfaces=wg0 shop",
        says="What comes in by that interface may go to published ports at the container's own address.",
        options={f"{_BRIDGE}.trusted_host_interfaces": "wg0"},
        published=_bindings((8080, 80), (8443, 443)),
    ),
    Scenario(
        name="host-firewall",
        title="A port about which the host's firewall decides",
        command="docker network create -o fairlead.publish_policy=host-firewall shop\n"
        "docker run --network shop -p 8080:80 -p 192.0.2.1:8443:443 nginx",
        says="A packet from outside to such a port is not translated when it comes in, so the host's own input rules "
        "see it: chain `arrive`. What they let in is marked in chain `input`, behind them, and sent round by the "
        "tables of the single families; it comes in again at `fl-in`, and is translated there.",
        options={"fairlead.publish_policy": "host-firewall"},
        published=(*_bindings((8080, 80)), *_bindings((8443, 443), at=(ip_address("192.0.2.1"),))),
    ),
    Scenario(
        name="direct",
        title="Direct routing",
        command="fairlead daemon --allow-direct-routing\ndocker run --network shop -p 8080:80 nginx",
        says="Published ports are let in at the container's own address as well, from everywhere.",
        published=_bindings((8080, 80)),
        settings=Settings(allow_direct_routing=True),
    ),
    Scenario(
        name="routed-ipv6",
        title="IPv6 routed, IPv4 translated",
        command=f"docker network create --ipv6 -o {_BRIDGE}.gateway_mode_ipv6=routed shop\n"
        "docker run --network shop -p 8080:80 nginx",
        says="Each family has a mode of its own. The port that is claimed on the host is that of IPv4.",
        options={f"{_BRIDGE}.gateway_mode_ipv6": "routed"},
        ipv6=True,
        published=(
            *_bindings((8080, 80), at=(IPv4Address("0.0.0.0"),)),
            *_bindings((0, 80), at=(IPv6Address("::"),)),
        ),
    ),
    Scenario(
        name="unprotected-ipv6",
        title="IPv6 without a port filter",
        command=f"docker network create --ipv6 -o {_BRIDGE}.gateway_mode_ipv6=nat-unprotected shop",
        says="Every port is let in at the container's own IPv6 address; IPv4 is as always.",
        options={f"{_BRIDGE}.gateway_mode_ipv6": "nat-unprotected"},
        ipv6=True,
    ),
    Scenario(
        name="isolated",
        title="A network that the host is not on",
        command=f"docker network create --internal -o {_BRIDGE}.gateway_mode_ipv4=isolated vault",
        says="An internal network to the firewall. The host is not on it because its bridge has no address.",
        options={f"{_BRIDGE}.gateway_mode_ipv4": "isolated"},
        internal=True,
        published=_bindings((8080, 80)),
    ),
    Scenario(
        name="inhibited",
        title="A gateway that is somebody else's",
        command=f"docker network create -o {_BRIDGE}.inhibit_ipv4=true shop",
        says="The bridge gets no address; what the router on it sends through this host is masqueraded as always.",
        options={f"{_BRIDGE}.inhibit_ipv4": "true"},
    ),
    Scenario(
        name="no-masquerade",
        title="Containers that leave under their own address",
        command=f"docker network create -o {_BRIDGE}.enable_ip_masquerade=false shop",
        says="The subnet stands in no set of sources to translate.",
        options={f"{_BRIDGE}.enable_ip_masquerade": "false"},
    ),
    Scenario(
        name="binding",
        title="A network that publishes on one address",
        command=f"docker network create -o {_BRIDGE}.host_binding_ipv4=127.0.0.1 shop\n"
        "docker run --network shop -p 8080:80 nginx",
        says="As if every `-p` had named the address.",
        options={f"{_BRIDGE}.host_binding_ipv4": "127.0.0.1"},
        published=_bindings((8080, 80), at=(IPv4Address("127.0.0.1"),)),
    ),
    Scenario(
        name="snat",
        title="A source address of its own",
        command="docker network create -o com.docker.network.host_ipv4=192.0.2.9 shop",
        says="Containers leave under that address instead of the one the route would choose.",
        options={"com.docker.network.host_ipv4": "192.0.2.9"},
    ),
)


POLICY_COMMAND = """\
docker network create --ipv6 shop
docker run -d --network shop --name db postgres
docker run -d --network shop --name web --label tier=web nginx
fairlead network policy set shop --default deny \\
    --rule 'allow from=label:tier=web to=name:db port=5432' \\
    --rule 'allow from=network to=dns:*.example.org port=443'"""


def policy() -> str:
    """Both tables of policies after that command, as text that loads them."""
    rules = [
        parse_rule("allow from=label:tier=web to=name:db port=5432"),
        parse_rule("allow from=network to=dns:*.example.org port=443"),
    ]
    shop = replace(_network(Scenario(name="shop", title="", command="", says="", ipv6=True)), bridge="br-c0ffeec0ffee")
    shop = replace(shop, policy=checked(Action.DENY, rules))
    facts = set(policing.network_facts(shop))
    for number, (name, labels) in enumerate((("db", {}), ("web", {"tier": "web"})), 1):
        endpoint = replace(_endpoint(shop, (), number), host_ifname=f"veth000000{number}")
        facts.update(policing.endpoint_facts(shop, Member(endpoint, name, labels)))
    parts = [policytables.written(fact) for fact in facts if isinstance(fact, Policing)]
    return "".join((policytables.base(), *parts, ruleset.additions(Add(fact) for fact in facts)))


def elements(scenario: Scenario) -> frozenset[Element]:
    """What the drivers want in our table for it; ids are fixed, so the text is the same every time."""
    network = _network(scenario)
    endpoints = () if scenario.published is None else (_endpoint(network, scenario.published),)
    facts = DRIVERS["bridge"].wants(network, endpoints, World(settings=scenario.settings, host=HostFacts()))
    db, app = (_at(network, ip_address(text)) for text in ("172.17.0.2", "172.17.0.3"))
    return frozenset(
        (*(fact for fact in facts if isinstance(fact, Element)), *firewall.link_elements(app, db, scenario.linked))
    )


def _at(network: Network, address: IPv4Address | IPv6Address) -> Endpoint:
    return replace(_endpoint(network, ()), addresses=(ip_interface(f"{address}/16"),))


def _network(scenario: Scenario) -> Network:
    spec = NetworkSpec(
        name=scenario.name, enable_ipv6=scenario.ipv6, internal=scenario.internal, options=scenario.options
    )
    subnets, _ = ipam.choose_subnets(spec, taken=(), pools=(), routes=(), ula_seed=b"golden")
    return Network(id=NetworkId("c0ffee" * 10 + "c0ff"), spec=spec, created=0, subnets=subnets)


def _endpoint(network: Network, published: tuple[PortBinding, ...], number: int = 1) -> Endpoint:
    return Endpoint(
        id=EndpointId("e" * 64),
        network=network.id,
        container=ContainerId("a" * 64),
        mac="02:00:00:00:00:02",
        addresses=tuple(
            ip_interface(f"{subnet.prefix.network_address + 1 + number}/{subnet.prefix.prefixlen}")
            for subnet in network.subnets
        ),
        names=("web",),
        published=published,
        host_ifname="veth0000001",
    )
