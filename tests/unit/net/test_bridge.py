from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import pytest

from fairlead.errors import EngineError, Forbidden, InvalidArgument
from fairlead.model.host import HostFacts
from fairlead.model.network import IpamConfig, NetworkSpec, Subnet
from fairlead.net.drivers import DRIVERS, bridge
from fairlead.net.firewall import GatewayMode
from fairlead.net.state import HOST, Address, Element, Link, Route, State, Sysctl
from fairlead.net.world import World
from fairlead.settings import PublishPolicy, Settings
from unit.net.things import CONTAINER, WORLD, binding, endpoint, network

B = "com.docker.network.bridge"


def links(state: State) -> list[Link]:
    return [fact for fact in state if isinstance(fact, Link)]


def addresses(state: State) -> set[str]:
    return {str(fact.address) for fact in state if isinstance(fact, Address)}


def sysctls(state: State) -> dict[str, str]:
    return {fact.key: fact.value for fact in state if isinstance(fact, Sysctl)}


def routes(state: State) -> set[tuple[str, str]]:
    return {(str(fact.prefix), str(fact.via)) for fact in state if isinstance(fact, Route)}


def test_a_network_is_a_bridge_with_the_gateways_addresses() -> None:
    state = bridge.network_wants(network("10.1.0.0/24", "fd00:1::/64"), WORLD)
    (link,) = links(state)
    assert (link.name, link.alias, link.mtu) == ("br-0123456789ab", "shop", 1500)
    assert int(link.mac[:2], 16) & 3 == 2  # locally administered, not multicast
    assert addresses(state) == {"10.1.0.1/24", "fd00:1::1/64"}
    assert sysctls(state) == {
        "net/ipv4/conf/br-0123456789ab/route_localnet": "1",
        "net/ipv4/ip_forward": "1",
        "net/ipv6/conf/br-0123456789ab/disable_ipv6": "0",
        "net/ipv6/conf/br-0123456789ab/accept_dad": "0",
        "net/ipv6/conf/all/forwarding": "1",
    }


def test_without_ipv6_the_bridge_has_none() -> None:
    assert sysctls(bridge.network_wants(network(), WORLD))["net/ipv6/conf/br-0123456789ab/disable_ipv6"] == "1"
    deaf = replace(WORLD, host=HostFacts(ipv6=False))
    assert not any("ipv6" in key for key in sysctls(bridge.network_wants(network(), deaf)))


def test_forwarding_is_left_alone_when_told_so_and_for_internal_networks() -> None:
    told = World(settings=Settings(ip_forward=False), host=HostFacts())
    assert not any(
        "forward" in key for key in sysctls(bridge.network_wants(network("10.1.0.0/24", "fd00:1::/64"), told))
    )
    internal = network("10.1.0.0/24", "fd00:1::/64", internal=True)
    assert sysctls(bridge.network_wants(internal, WORLD)).keys() == {
        "net/ipv6/conf/br-0123456789ab/disable_ipv6",
        "net/ipv6/conf/br-0123456789ab/accept_dad",
    }


def test_an_adopted_bridge_keeps_its_looks() -> None:
    adopted = replace(network(options={f"{B}.name": "br0"}), bridge="br0", adopted=True)
    (link,) = links(bridge.network_wants(adopted, WORLD))
    assert (link.name, link.adopted, link.mac, link.mtu, link.alias) == ("br0", True, "", 0, "")
    assert addresses(bridge.network_wants(adopted, WORLD)) == {"10.1.0.1/24"}


def test_the_mtu_is_asked_for_or_the_daemons_or_the_hosts() -> None:
    def mtu(host: int, daemon: int | None, asked: str) -> int:
        world = World(settings=Settings(mtu=daemon), host=HostFacts(default_mtu=host))
        options = {"com.docker.network.driver.mtu": asked} if asked else {}
        (link,) = links(bridge.network_wants(network(options=options), world))
        return link.mtu

    assert (mtu(1450, None, ""), mtu(1450, 1400, ""), mtu(1450, 1400, "9000")) == (1450, 1400, 9000)


def test_bridges_without_an_address() -> None:
    inhibited = network("10.1.0.0/24", "fd00:1::/64", options={f"{B}.inhibit_ipv4": "true"})
    assert addresses(bridge.network_wants(inhibited, WORLD)) == {"fd00:1::1/64"}
    isolated = network(internal=True, options={f"{B}.gateway_mode_ipv4": "isolated"})
    assert addresses(bridge.network_wants(isolated, WORLD)) == set()
    bare = replace(network(), subnets=(Subnet(prefix=ip_network("10.1.0.0/24")),))
    assert addresses(bridge.network_wants(bare, WORLD)) == set()


def test_wants_is_the_network_and_its_endpoints() -> None:
    shop, one = network(), endpoint(published=(binding("0.0.0.0", 8080, 80),))
    other = endpoint("10.1.0.6/24", host_ifname="veth0000002")
    state = bridge.wants(shop, (one, other), WORLD)
    assert state == bridge.network_wants(shop, WORLD) | bridge.endpoint_wants(shop, one, WORLD) | bridge.endpoint_wants(
        shop, other, WORLD
    )
    assert bridge.wants(shop, (), WORLD) == bridge.network_wants(shop, WORLD)


def test_the_hosts_end_of_an_endpoint() -> None:
    state = bridge.endpoint_wants(network(), endpoint(), WORLD)
    (link,) = links(state)
    assert (link.ns, link.name, link.master, link.alias) == (HOST, "veth0000001", "br-0123456789ab", "web/shop")
    assert (link.peer_ns, link.peer, link.peer_mac) == (CONTAINER, "eth0", "02:00:00:00:00:05")
    assert (link.isolated, link.hairpin) == (False, False)


def test_without_names_the_alias_has_the_id() -> None:
    (link,) = links(bridge.endpoint_wants(network(), endpoint(names=()), WORLD))
    assert link.alias == f"{'c' * 12}/shop"


def test_without_icc_bridge_ports_are_isolated() -> None:
    (link,) = links(bridge.endpoint_wants(network(options={f"{B}.enable_icc": "false"}), endpoint(), WORLD))
    assert link.isolated


def test_publishing_turns_round_inside_the_bridge() -> None:
    state = bridge.endpoint_wants(network(), endpoint(published=(binding("0.0.0.0", 8080, 80),)), WORLD)
    (link,) = links(state)
    assert link.hairpin
    assert Element(container="published4", key="tcp . 8080", value="10.1.0.5 . 80") in state


def test_the_sandboxs_end() -> None:
    own = endpoint(
        "10.1.0.5/24",
        "fd00:1::5/64",
        link_local=(ip_interface("169.254.3.3/16"),),
        sysctls={"net/ipv4/conf/IFNAME/log_martians": "1"},
        ifname="lan0",
    )
    state = bridge.sandbox_wants(network("10.1.0.0/24", "fd00:1::/64"), own, WORLD)
    (link,) = links(state)
    assert (link.ns, link.name, link.mac, link.peer) == (CONTAINER, "lan0", "02:00:00:00:00:05", "veth0000001")
    assert addresses(state) == {"10.1.0.5/24", "fd00:1::5/64", "169.254.3.3/16"}
    assert routes(state) == {("0.0.0.0/0", "10.1.0.1"), ("::/0", "fd00:1::1")}
    assert sysctls(state) == {"net/ipv4/conf/lan0/log_martians": "1", "net/ipv6/conf/lan0/disable_ipv6": "0"}
    assert all(fact.ns == CONTAINER for fact in state if not isinstance(fact, Element))


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"gateway4": False}, {("::/0", "fd00:1::1")}),
        ({"gateway6": False}, {("0.0.0.0/0", "10.1.0.1")}),
        ({"gateway4": False, "gateway6": False}, set()),
    ],
)
def test_only_the_gateway_carries_default_routes(fields: dict[str, Any], wanted: set[tuple[str, str]]) -> None:
    own = endpoint("10.1.0.5/24", "fd00:1::5/64", **fields)
    assert routes(bridge.sandbox_wants(network("10.1.0.0/24", "fd00:1::/64"), own, WORLD)) == wanted


def test_internal_networks_have_no_default_route() -> None:
    assert routes(bridge.sandbox_wants(network(internal=True), endpoint(), WORLD)) == set()


def test_another_host_may_be_the_gateway() -> None:
    aux = {"DefaultGatewayIPv4": ip_address("10.1.0.254")}
    shop = replace(
        network(), subnets=(Subnet(prefix=ip_network("10.1.0.0/24"), gateway=ip_address("10.1.0.1"), aux=aux),)
    )
    assert routes(bridge.sandbox_wants(shop, endpoint(), WORLD)) == {("0.0.0.0/0", "10.1.0.254")}
    assert addresses(bridge.network_wants(shop, WORLD)) == {"10.1.0.1/24"}


def test_the_bridges_name() -> None:
    assert bridge.bridge_name(network()) == "br-0123456789ab"
    assert bridge.bridge_name(network(options={f"{B}.name": "lan"})) == "lan"


def spec(*configs: IpamConfig, **fields: Any) -> NetworkSpec:
    return NetworkSpec(name="shop", ipam=configs, **fields)


def options(**given: str) -> NetworkSpec:
    return spec(options={f"{B}.{name}": value for name, value in given.items()})


def test_options_are_parsed_once_with_dockers_defaults() -> None:
    plain = bridge.parse_options(spec())
    assert plain == bridge.BridgeOptions()
    full = bridge.parse_options(
        spec(
            options={
                f"{B}.name": "lan",
                f"{B}.enable_ip_masquerade": "0",
                f"{B}.enable_icc": "F",
                f"{B}.host_binding_ipv4": "127.0.0.1",
                f"{B}.gateway_mode_ipv4": "routed",
                f"{B}.gateway_mode_ipv6": "",
                f"{B}.inhibit_ipv4": "T",
                f"{B}.trusted_host_interfaces": "wg0:eth1",
                f"{B}.default_bridge": "true",
                "com.docker.network.driver.mtu": "+1400",
                "com.docker.network.container_iface_prefix": "wan",
                "com.docker.network.host_ipv4": "192.0.2.9",
                "com.docker.network.host_ipv6": "2001:db8::9",
                "com.example.anything": "else",
            }
        )
    )
    assert full == bridge.BridgeOptions(
        name="lan",
        masquerade=False,
        icc=False,
        publish_ip=ip_address("127.0.0.1"),
        mode4=GatewayMode.ROUTED,
        inhibit_ipv4=True,
        trusted=("wg0", "eth1"),
        default_bridge=True,
        mtu=1400,
        iface_prefix="wan",
        snat4=ip_address("192.0.2.9"),
        snat6=ip_address("2001:db8::9"),
    )
    assert full.snat == (ip_address("192.0.2.9"), ip_address("2001:db8::9"))


@pytest.mark.parametrize("text", ["", "0.0.0.0"])
def test_every_address_is_published_on_by_either_name(text: str) -> None:
    assert bridge.parse_options(options(host_binding_ipv4=text)).publish_ip is None


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (options(enable_icc="maybe"), 'enable_icc value: maybe (strconv.ParseBool: parsing "maybe": invalid syntax)'),
        (options(host_binding_ipv4="x"), "host_binding_ipv4 value: x (nil ip)"),
        (options(gateway_mode_ipv4="x"), "gateway_mode_ipv4 value: x (unknown gateway mode x)"),
        (options(name="sixteen-letters-"), "name value: sixteen-letters-"),
        (options(name="a b"), "name value: a b"),
        (options(name='a"b'), "name value:"),
        (options(name="a\nb"), "name value:"),
        (options(name=".."), "name value: .."),
        (options(trusted_host_interfaces="wg0:"), "trusted_host_interfaces value: wg0:"),
        (spec(options={"com.docker.network.driver.mtu": "x"}), 'value: x (strconv.Atoi: parsing "x": invalid syntax)'),
        (spec(options={"com.docker.network.driver.mtu": "-1"}), "invalid MTU number: -1"),
        (spec(options={"com.docker.network.container_iface_prefix": "thirteen-long"}), "container_iface_prefix value"),
        (spec(options={"com.docker.network.host_ipv4": "fd00::1"}), "fd00::1 is not an IPv4 address"),
        (spec(options={"fairlead.publish_policy": "ufw"}), "publish_policy value: ufw (choose open or host-firewall)"),
        (spec(enable_ipv6=True), "IPv6 disabled"),
    ],
)
def test_wrong_options_are_refused_by_name(wrong: NetworkSpec, text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        bridge.check(wrong, HostFacts(ipv6=not wrong.enable_ipv6))
    assert text in str(caught.value)


def test_an_isolated_gateway_is_for_internal_networks() -> None:
    isolated = {f"{B}.gateway_mode_ipv4": "isolated"}
    bridge.check(spec(options=isolated, internal=True), HostFacts())
    with pytest.raises(EngineError, match="gateway mode 'isolated' can only be used for an internal network"):
        bridge.check(spec(options=isolated), HostFacts())


def test_several_subnets_share_the_bridge() -> None:
    home = network("10.1.0.0/24", "10.2.0.0/24", "fd00:1::/64", "fd00:2::/64")
    bridge.check(spec(*(IpamConfig(subnet=subnet.prefix) for subnet in home.subnets), enable_ipv6=True), HostFacts())
    assert addresses(bridge.network_wants(home, WORLD)) == {
        "10.1.0.1/24", "10.2.0.1/24", "fd00:1::1/64", "fd00:2::1/64",
    }  # fmt: skip
    outwards = {fact.key for fact in bridge.network_wants(home, WORLD) if getattr(fact, "container", "")[:4] == "masq"}
    assert outwards == {"10.1.0.0/24", "10.2.0.0/24", "fd00:1::/64", "fd00:2::/64"}


def test_a_container_in_one_of_several_subnets() -> None:
    home = network("10.1.0.0/24", "10.2.0.0/24", "fd00:1::/64", "fd00:2::/64")
    state = bridge.sandbox_wants(home, endpoint("10.2.0.5/24", "fd00:1::5/64"), WORLD)
    assert routes(state) == {
        ("0.0.0.0/0", "10.2.0.1"),
        ("::/0", "fd00:1::1"),
        ("10.1.0.0/24", "None"),
        ("fd00:2::/64", "None"),
    }
    assert routes(bridge.sandbox_wants(home, endpoint("10.1.0.5/24", gateway4=False), WORLD)) == {
        ("10.2.0.0/24", "None")
    }


@pytest.mark.parametrize(("driver", "name"), [("host", "host"), ("null", "none")])
def test_host_and_none_hold_nothing_and_are_there_once(driver: str, name: str) -> None:
    module, own = DRIVERS[driver], network(name=name)
    module.check(NetworkSpec(name=name, driver=driver), HostFacts())
    assert module.bridge_name(own) == ""
    assert module.network_wants(own, WORLD) == module.wants(own, (), WORLD) == frozenset()
    assert module.endpoint_wants(own, endpoint(), WORLD) == module.sandbox_wants(own, endpoint(), WORLD) == frozenset()
    with pytest.raises(Forbidden, match=f'only one instance of "{driver}" network is allowed'):
        module.check(NetworkSpec(name="mine", driver=driver), HostFacts())


def test_who_decides_about_published_ports_is_the_engines_word_unless_the_network_has_one() -> None:
    strict = World(settings=Settings(publish_policy=PublishPolicy.HOST_FIREWALL), host=HostFacts())
    label = "fairlead.publish_policy"
    assert not bridge.is_judged(network(), WORLD)
    assert bridge.is_judged(network(), strict)
    assert bridge.is_judged(network(options={label: "host-firewall"}), WORLD)
    assert not bridge.is_judged(network(options={label: "open"}), strict)
    assert not bridge.is_judged(network(internal=True), strict)


@pytest.mark.parametrize(
    ("options", "internal", "without"),
    [
        ({}, False, set()),
        ({"gateway_mode_ipv4": "isolated"}, True, {4}),
        ({"gateway_mode_ipv6": "isolated"}, True, {6}),
        ({"inhibit_ipv4": "true"}, True, {4}),
        ({"inhibit_ipv4": "true"}, False, set()),
    ],
)
def test_families_in_which_nobody_is_the_gateway(options: dict[str, str], internal: bool, without: set[int]) -> None:
    spec = NetworkSpec(name="n", internal=internal, options={f"{B}.{name}": value for name, value in options.items()})
    assert bridge.gatewayless(spec) == without


@pytest.mark.parametrize(
    ("label", "value", "message"),
    [
        ("nmsgs", "x", r'value for option com.docker.network.advertise_addr_nmsgs "x" must be an integer'),
        ("nmsgs", "4", "must be in the range 0 to 3"),
        ("nmsgs", "-1", "must be in the range 0 to 3"),
        ("ms", "1s", r'value for option com.docker.network.advertise_addr_ms "1s" must be integer milliseconds'),
        ("ms", "99", "must be in the range 100 to 2000"),
        ("ms", "2001", "must be in the range 100 to 2000"),
    ],
)
def test_adverts_have_bounds(label: str, value: str, message: str) -> None:
    spec = NetworkSpec(name="n", options={f"com.docker.network.advertise_addr_{label}": value})
    with pytest.raises(InvalidArgument, match=message):
        bridge.check(spec, HostFacts())


def test_an_adopted_bridge_keeps_the_addresses_it_had() -> None:
    adopted = replace(network(), bridge="br0", adopted=True, found=(ip_interface("10.1.0.1/24"),))
    assert addresses(bridge.network_wants(adopted, WORLD)) == set()


def test_with_direct_routing_published_ports_are_listed_for_all() -> None:
    open_world = replace(WORLD, settings=Settings(allow_direct_routing=True))
    wants = bridge.wants(network(), [endpoint(published=(binding("0.0.0.0", 8080, 80),))], open_world)
    elements = {(fact.container, fact.key) for fact in wants if isinstance(fact, Element)}
    assert {("direct", '"br-0123456789ab"'), ("ports4", "10.1.0.5 . tcp . 80")} <= elements


@pytest.mark.parametrize(
    ("icc", "default", "adopted", "wanted"),
    [
        ("false", "true", False, "1"),
        ("false", "true", True, "1"),
        ("true", "true", True, "0"),
        ("true", "true", False, None),
        ("false", "false", False, None),
    ],
)
def test_the_host_routes_between_isolated_ports_of_the_default_bridge(
    icc: str, default: str, adopted: bool, wanted: str | None
) -> None:
    options = {f"{B}.name": "br0", f"{B}.enable_icc": icc, f"{B}.default_bridge": default}
    state = bridge.network_wants(replace(network(options=options), bridge="br0", adopted=adopted), WORLD)
    assert sysctls(state).get("net/ipv4/conf/br0/proxy_arp_pvlan") == wanted
