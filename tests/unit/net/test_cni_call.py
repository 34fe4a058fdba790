from __future__ import annotations

import json
from ipaddress import ip_network
from typing import Any

import pytest

from fairlead.errors import EngineError, InvalidArgument
from fairlead.model.container import Config, Container, ContainerSpec, HostConfig
from fairlead.model.endpoint import EndpointSpec
from fairlead.model.network import IpamConfig, Network
from fairlead.model.port import Protocol
from fairlead.net.cni import call, wishes
from fairlead.net.cni.call import Attached, Bandwidth, Command, Wishes
from fairlead.net.cni.conflist import parse_list, parse_plugin
from fairlead.net.drivers import cni
from unit.net.things import WORLD, binding, endpoint, ip, network

CHAIN = parse_list(
    json.dumps(
        {
            "name": "shop",
            "cniVersion": "1.0.0",
            "plugins": [
                {"type": "bridge", "capabilities": {"ips": True, "mac": True}, "ipam": {"type": "host-local"}},
                {"type": "portmap", "capabilities": {"portMappings": True}},
            ],
        }
    ).encode()
)


def attached(**fields: Any) -> Attached:
    values: dict[str, Any] = {
        "network": "n" * 64,
        "container": "c" * 64,
        "ifname": "eth0",
        "netns": "/run/netns/web",
        "chain": "shop",
        "version": "1.0.0",
        "plugins": tuple(plugin.text for plugin in CHAIN.plugins),
    }
    return Attached(**values | fields)


def told(plugin: int, command: Command = Command.ADD, previous: str = "", **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        call.attachment_input(command, attached(**fields), CHAIN.plugins[plugin], previous)
    )
    return found


def test_a_plugin_reads_its_configuration_with_what_was_added() -> None:
    assert told(0) == {
        "type": "bridge",
        "capabilities": {"ips": True, "mac": True},
        "ipam": {"type": "host-local"},
        "name": "shop",
        "cniVersion": "1.0.0",
    }


def test_and_of_the_wishes_those_it_declares() -> None:
    runtime = json.dumps({"ips": ["10.0.0.9/24"], "portMappings": [{"hostPort": 80}]})
    assert told(0, runtime=runtime)["runtimeConfig"] == {"ips": ["10.0.0.9/24"]}
    assert told(1, runtime=runtime)["runtimeConfig"] == {"portMappings": [{"hostPort": 80}]}


def test_and_what_was_answered_before_it() -> None:
    assert told(1, previous='{"ips": []}')["prevResult"] == {"ips": []}
    assert told(1, Command.DEL, previous='{"ips": []}')["prevResult"] == {"ips": []}
    assert "prevResult" not in told(1, Command.DEL, previous='{"ips": []}', version="0.3.1")


def test_variables() -> None:
    given = call.environment(Command.ADD, attached(arguments="IgnoreUnknown=1"), ("/a", "/b"))
    assert given == {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": "c" * 64,
        "CNI_NETNS": "/run/netns/web",
        "CNI_IFNAME": "eth0",
        "CNI_ARGS": "IgnoreUnknown=1",
        "CNI_PATH": "/a:/b",
    }
    assert call.environment(Command.STATUS, None, ("/a",)) == {"CNI_COMMAND": "STATUS", "CNI_PATH": "/a"}


def test_commands_came_with_versions() -> None:
    assert [v for v in ("0.3.1", "0.4.0", "1.0.0", "1.1.0") if call.knows(v, Command.CHECK)] == [
        "0.4.0",
        "1.0.0",
        "1.1.0",
    ]
    assert [v for v in ("1.0.0", "1.1.0") if call.knows(v, Command.GC) and call.knows(v, Command.STATUS)] == ["1.1.0"]
    assert call.knows("0.1.0", Command.DEL)


def test_collecting_garbage_names_what_is_none() -> None:
    given = json.loads(call.network_input(CHAIN.plugins[0], "shop", "1.1.0", [("c1", "eth0")]))
    assert given["cni.dev/valid-attachments"] == [{"containerID": "c1", "ifname": "eth0"}]
    assert given["cni.dev/attachments"] == given["cni.dev/valid-attachments"]
    assert "cni.dev/valid-attachments" not in json.loads(call.network_input(CHAIN.plugins[0], "shop", "1.1.0"))


def test_wishes_in_the_words_of_the_conventions() -> None:
    asked = Wishes(
        ips=("10.0.0.9/24", "fd00::9"),
        ranges=({"subnet": "10.0.0.0/24"},),
        mac="02:00:00:00:00:01",
        aliases=("db",),
        ports=(binding("0.0.0.0", 8080, 80), binding("::", 8080, 80), binding("127.0.0.1", 53, 53, Protocol.UDP)),
        bandwidth=Bandwidth(ingress_rate=1000, ingress_burst=2000),
        nameservers=("9.9.9.9",),
        search=("shop",),
        dns_options=("ndots:1",),
        cgroup="/fairlead/c",
    )
    assert call.runtime_config(asked) == {
        "ips": ("10.0.0.9/24", "fd00::9"),
        "ipRanges": [[{"subnet": "10.0.0.0/24"}]],
        "mac": "02:00:00:00:00:01",
        "aliases": ("db",),
        "portMappings": [
            {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
            {"hostPort": 53, "containerPort": 53, "protocol": "udp", "hostIP": "127.0.0.1"},
        ],
        "bandwidth": {"ingressRate": 1000, "ingressBurst": 2000, "egressRate": 0, "egressBurst": 0},
        "dns": {"servers": ("9.9.9.9",), "searches": ("shop",), "options": ("ndots:1",)},
        "cgroupPath": "/fairlead/c",
    }
    assert call.runtime_config(Wishes()) == {}
    assert call.runtime_config(Wishes(ports=(binding("0.0.0.0", 8080, 80),)))["portMappings"][0]["hostIP"] == "0.0.0.0"


def test_older_plugins_take_address_and_mac_from_the_environment() -> None:
    asked = Wishes(ips=("10.0.0.9/24",), mac="02:00:00:00:00:01")
    assert call.arguments("A=1;B=2", asked, frozenset()) == "IgnoreUnknown=1;IP=10.0.0.9;MAC=02:00:00:00:00:01;A=1;B=2"
    assert call.arguments("", asked, frozenset({"ips", "mac"})) == "IgnoreUnknown=1"


def container(**host: Any) -> Container:
    spec = ContainerSpec(config=Config(), host=HostConfig(**host))
    return Container(id=endpoint().container, name="web", created=0, image="", spec=spec, cgroup="/c")


def wished(net: Network, spec: EndpointSpec, **host: Any) -> Wishes:
    return wishes.wishes_of(net, endpoint(), spec, container(**host))


def test_what_a_container_asks_for() -> None:
    spec = EndpointSpec(ipv4=ip("10.1.0.9"), ipv6=ip("fd00::9"), aliases=("db",), mac="02:00:00:00:00:09")
    found = wished(network("10.1.0.0/24"), spec, dns=("9.9.9.9",), dns_search=("shop",))
    assert found.ips == ("10.1.0.9/24", "fd00::9")
    assert (found.aliases, found.mac, found.cgroup) == (("db",), "02:00:00:00:00:09", "/c")
    assert (found.nameservers, found.search) == (("9.9.9.9",), ("shop",))


def test_limits_of_bandwidth_come_with_a_burst() -> None:
    options = {"fairlead.bandwidth.ingress": "10mbit", "fairlead.bandwidth.egress": "8kbit"}
    net = network("10.1.0.0/24", options=options)
    own = EndpointSpec(options={"fairlead.bandwidth.ingress.burst": "32kb"})
    assert wished(net, own).bandwidth == Bandwidth(
        ingress_rate=10_000_000, ingress_burst=32 * 1024 * 8, egress_rate=8_000, egress_burst=8 * 2 * 1518
    )
    assert wished(network("10.1.0.0/24"), EndpointSpec()).bandwidth is None


def test_subnets_asked_for_are_ranges() -> None:
    configs = (
        IpamConfig(subnet=ip_network("10.1.0.0/24"), ip_range=ip_network("10.1.0.0/25"), gateway=ip("10.1.0.254")),
        IpamConfig(subnet=ip_network("10.2.0.0/24"), ip_range=ip_network("10.2.0.128/25")),
        IpamConfig(subnet=ip_network("fd00::/64")),
    )
    assert wished(network(ipam=configs), EndpointSpec()).ranges == (
        {"subnet": "10.1.0.0/24", "gateway": "10.1.0.254", "rangeStart": "10.1.0.1", "rangeEnd": "10.1.0.127"},
        {"subnet": "10.2.0.0/24", "rangeStart": "10.2.0.128", "rangeEnd": "10.2.0.254"},
        {"subnet": "fd00::/64"},
    )


def test_what_nobody_serves_and_nobody_would_notice_is_refused() -> None:
    wishes.check({"portMappings": [1], "mac": "x", "aliases": ["a"]}, CHAIN)
    with pytest.raises(InvalidArgument, match="declares the capability ipRanges, which --subnet needs"):
        wishes.check({"ipRanges": [1]}, CHAIN)


def test_what_was_passed_over_is_noticed() -> None:
    got = endpoint("10.1.0.2/24", mac="02:00:00:00:00:05")
    wishes.check_served(EndpointSpec(ipv4=ip("10.1.0.2"), mac="02:00:00:00:00:05"), got, "shop")
    with pytest.raises(EngineError, match=r"gave the address 10.1.0.2/24 where 10.1.0.9 was asked for"):
        wishes.check_served(EndpointSpec(ipv4=ip("10.1.0.9")), got, "shop")
    with pytest.raises(EngineError, match="gave the MAC address 02:00:00:00:00:05 where 02:00:00:00:00:06"):
        wishes.check_served(EndpointSpec(mac="02:00:00:00:00:06"), got, "shop")


@pytest.mark.parametrize(
    ("ipam", "found"),
    [
        ({"subnet": "10.1.0.0/24", "gateway": "10.1.0.1"}, [("10.1.0.0/24", "10.1.0.1")]),
        (
            {"ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00::/64"}]]},
            [("10.1.0.0/24", None), ("fd00::/64", None)],
        ),
        ({"ranges": [[{"subnet": "nonsense"}], "x", [None]]}, []),
        ({"subnet": 7}, []),
        ({"type": "dhcp"}, []),
    ],
)
def test_configured_subnets(ipam: dict[str, Any], found: list[tuple[str, str | None]]) -> None:
    text = json.dumps({"name": "a", "plugins": [{"type": "bridge", "ipam": ipam}, {"type": "portmap"}]})
    subnets = wishes.configured_subnets(parse_list(text.encode()))
    assert [(str(s.prefix), s.gateway and str(s.gateway)) for s in subnets] == found
    assert parse_plugin(b'{"type": "a", "ipam": []}').type == "a"


def cni_network(**fields: Any) -> Network:
    return network(driver="cni", options={"conflist": "shop"}, **fields)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"options": {}}, "needs -o conflist=NAME"),
        ({"options": {"conflist": ""}}, "needs -o conflist=NAME"),
        ({"options": {"conflist": "a", "parent": "eth0"}}, "no option parent"),
        ({"options": {"conflist": "a", "args": "A;B=1"}}, "'A' is not KEY=VALUE"),
        ({"options": {"conflist": "a", "args": "=1"}}, "'=1' is not KEY=VALUE"),
        ({"options": {"conflist": "a", "args": "A=\n"}}, "is not KEY=VALUE"),
        ({"internal": True, "options": {"conflist": "a"}}, "cannot be internal"),
        ({"options": {"conflist": "a"}, "ipam": (IpamConfig(aux={"r": ip("10.0.0.1")}),)}, "auxiliary"),
    ],
)
def test_networks_that_cannot_be(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidArgument, match=complaint):
        cni.check(network(driver="cni", **fields).spec, WORLD.host)


def test_networks_that_can() -> None:
    cni.check(cni_network().spec, WORLD.host)
    options = {"conflist": "/a/b.conflist", "args": "K8S_POD_NAME=web;X=1"}
    cni.check(network(driver="cni", options=options).spec, WORLD.host)
