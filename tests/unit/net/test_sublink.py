"""macvlan and ipvlan networks: what they want of the kernel, what they are refused, what they share."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from fairlead.errors import EngineError, Forbidden, InvalidArgument, Unsupported
from fairlead.ids import NetworkId
from fairlead.model.endpoint import EndpointSpec
from fairlead.model.host import HostFacts, HostLink
from fairlead.model.network import IpamConfig, Network, NetworkSpec, Subnet
from fairlead.net.drivers import DRIVERS, parents, shim, sublink
from fairlead.net.state import HOST, Address, Link, LinkKind, Route, State, Sysctl
from unit.net.things import CONTAINER, ID, WORLD, endpoint, network

HOST_FACTS = HostFacts(asked={"eth0": HostLink(mtu=1500)})


def stations(*subnets: str, driver: str = "macvlan", gateway: bool = True, **options: str) -> Network:
    """A settled network on eth0, which is the host's."""
    labels = {word.replace("__", "."): value for word, value in ({"parent": "eth0"} | options).items() if value}
    made = network(*subnets, driver=driver, options=labels)
    if not gateway:
        made = replace(made, subnets=tuple(replace(each, gateway=None) for each in made.subnets))
    made = replace(made, spec=parents.complete(made.spec))
    return parents.settle(made, (), ("eth0",))


def links(state: State) -> list[Link]:
    return sorted((fact for fact in state if isinstance(fact, Link)), key=lambda link: (link.ns, link.name))


def routes(state: State) -> set[tuple[str, str, str]]:
    return {(route.link, str(route.prefix), str(route.via)) for route in state if isinstance(route, Route)}


def test_a_container_has_a_link_on_the_parent() -> None:
    made = stations()
    driver = DRIVERS["macvlan"]
    wanted = driver.sandbox_wants(made, endpoint(), WORLD)
    assert links(wanted) == [
        Link(
            ns=CONTAINER,
            name="eth0",
            kind=LinkKind.MACVLAN,
            mac="02:00:00:00:00:05",
            parent="eth0",
            mode="bridge",
        )
    ]
    assert routes(wanted) == {("eth0", "0.0.0.0/0", "10.1.0.1")}
    assert Address(ns=CONTAINER, link="eth0", address=ip_interface("10.1.0.5/24")) in wanted
    assert driver.wants(made, [endpoint()], WORLD) == frozenset()


def test_an_ipvlan_link_has_mode_and_flag_and_the_parents_mac() -> None:
    made = stations(driver="ipvlan", ipvlan_mode="l3s", ipvlan_flag="vepa", com__docker__network__driver__mtu="1400")
    (link,) = links(DRIVERS["ipvlan"].sandbox_wants(made, endpoint(mac=""), WORLD))
    assert (link.kind, link.mode, link.flag, link.mac, link.mtu) == (LinkKind.IPVLAN, "l3s", "vepa", "", 1400)


@pytest.mark.parametrize("mode", ["l3", "l3s"])
def test_routed_modes_lead_out_by_the_interface(mode: str) -> None:
    made = stations("10.1.0.0/24", "fd00::/64", driver="ipvlan", gateway=False, ipvlan_mode=mode)
    both = endpoint("10.1.0.5/24", "fd00::5/64", mac="")
    wanted = DRIVERS["ipvlan"].sandbox_wants(made, both, WORLD)
    assert routes(wanted) == {("eth0", "0.0.0.0/0", "None"), ("eth0", "::/0", "None")}
    inside = replace(made, spec=replace(made.spec, internal=True))
    assert routes(DRIVERS["ipvlan"].sandbox_wants(inside, both, WORLD)) == set()


def test_the_gateway_is_that_of_the_own_subnet() -> None:
    made = stations("10.1.0.0/24", "10.2.0.0/24")
    wanted = DRIVERS["macvlan"].sandbox_wants(made, endpoint("10.2.0.9/24"), WORLD)
    assert routes(wanted) == {("eth0", "0.0.0.0/0", "10.2.0.1")}


def test_without_a_parent_there_is_a_bridge_of_its_own_and_no_way_out() -> None:
    made = stations(parent="")
    assert (made.parent, made.spec.internal, made.adopted) == (f"dm-{ID[:12]}", True, False)
    wanted = DRIVERS["macvlan"].network_wants(made, WORLD)
    assert [(link.name, link.kind) for link in links(wanted)] == [(f"dm-{ID[:12]}", LinkKind.BRIDGE)]
    assert Sysctl(ns=HOST, key=f"net/ipv6/conf/dm-{ID[:12]}/disable_ipv6", value="1") in wanted
    assert routes(DRIVERS["macvlan"].sandbox_wants(made, endpoint(), WORLD)) == set()
    assert stations(driver="ipvlan", parent="").parent == f"di-{ID[:12]}"


def test_a_vlan_link_is_made_once_for_all_who_share_it() -> None:
    first = parents.settle(stations(parent="eth0.10"), (), ("eth0",))
    other = replace(first, id=NetworkId("b" * 64), spec=replace(first.spec, name="other"), parent="")
    second = parents.settle(other, (first,), ("eth0", "eth0.10"))
    assert (first.adopted, second.adopted) == (False, False)
    (link,) = links(DRIVERS["macvlan"].network_wants(first, WORLD))
    assert (link.name, link.kind, link.parent, link.vlan) == ("eth0.10", LinkKind.VLAN, "eth0", 10)
    assert DRIVERS["macvlan"].network_wants(second, WORLD) == DRIVERS["macvlan"].network_wants(first, WORLD)


def test_a_vlan_link_of_the_hosts_own_is_nobodys_to_make() -> None:
    made = parents.settle(stations(parent="eth0.10"), (), ("eth0", "eth0.10"))
    assert made.adopted
    assert DRIVERS["macvlan"].network_wants(made, WORLD) == frozenset()
    later = replace(made, id=NetworkId("b" * 64))
    assert parents.settle(later, (made,), ("eth0",)).adopted


def test_bridge_networks_have_no_parent() -> None:
    assert parents.settle(network(), (), ("eth0",)) == network()
    assert parents.complete(network().spec) == network().spec
    assert list(parents.wants(network())) == []
    assert list(parents.names(network().spec)) == list(parents.kinds(network().spec)) == []


def check(driver: str = "macvlan", host: HostFacts = HOST_FACTS, **options: str) -> None:
    labels = {word.replace("__", "."): value for word, value in ({"parent": "eth0"} | options).items()}
    DRIVERS[driver].check(NetworkSpec(name="lan", driver=driver, options=labels), host)


def test_what_is_fine() -> None:
    for mode in ("", "bridge", "private", "vepa", "passthru"):
        check(macvlan_mode=mode)
    for mode in ("", "l2", "l3", "l3s"):
        for flag in ("", "bridge", "private", "vepa"):
            check("ipvlan", ipvlan_mode=mode, ipvlan_flag=flag)
    check(parent="")
    check(parent="eth0.4094")
    check(fairlead__host_shim="true")
    check(macvlan_mode="private", fairlead__host_shim="false")


@pytest.mark.parametrize(
    ("driver", "options", "kind", "words"),
    [
        ("ipvlan", {"ipvlan_mode": "l4"}, EngineError, "requested ipvlan mode 'l4' is not valid, 'l2' mode is the"),
        ("ipvlan", {"ipvlan_flag": "x"}, EngineError, "requested ipvlan flag 'x' is not valid, 'bridge' is the"),
        ("ipvlan", {"parent": "lo"}, EngineError, "loopback interface is not a valid ipvlan parent link"),
        ("ipvlan", {"ipvlan_flag": "vepa", "fairlead__host_shim": "1"}, InvalidArgument, "needs ipvlan flag bridge"),
        ("macvlan", {"macvlan_mode": "vepa", "fairlead__host_shim": "1"}, InvalidArgument, "needs macvlan mode bridge"),
        ("macvlan", {"macvlan_mode": "l2"}, EngineError, "requested macvlan mode 'l2' is not valid"),
        ("macvlan", {"parent": "eth1"}, EngineError, "invalid subinterface vlan name eth1"),
        ("macvlan", {"parent": "eth1.5"}, EngineError, "-o parent interface was not found on the host: eth1"),
        ("macvlan", {"parent": "lo.5"}, EngineError, "loopback interface is not a valid macvlan parent link"),
        ("macvlan", {"parent": "eth0.5000"}, EngineError, "vlan id must be between 1-4094, received: 5000"),
        ("macvlan", {"parent": "eth0."}, EngineError, "unable to parse a valid vlan id from:  "),
        ("macvlan", {"parent": "eth0.-5"}, EngineError, "unable to parse a valid vlan id from: -5"),
        ("macvlan", {"parent": "eth0.٣"}, EngineError, "unable to parse a valid vlan id from: ٣"),
        ("macvlan", {"parent": "ééééééééé"}, InvalidArgument, "is not a valid interface name"),
        ("macvlan", {"com__docker__network__driver__mtu": "1501"}, InvalidArgument, "parent interface eth0 has 1500"),
    ],
)
def test_what_is_refused(driver: str, options: dict[str, str], kind: type[EngineError], words: str) -> None:
    with pytest.raises(EngineError, match=words.strip()) as caught:
        check(driver, **options)
    assert type(caught.value) is kind


def test_a_kernel_that_lacks_a_kind() -> None:
    lacking = replace(HOST_FACTS, unknown_kinds=frozenset({"ipvlan", "vlan"}))
    with pytest.raises(Unsupported, match="knows no ipvlan links"):
        check("ipvlan", lacking)
    with pytest.raises(EngineError, match=r"cannot make eth0.10: the host's kernel knows no VLAN links"):
        check(host=lacking, parent="eth0.10")


def test_a_port_gives_its_frames_to_its_bridge() -> None:
    port = replace(HOST_FACTS, asked={"eth0": HostLink(master="br0", master_kind="bridge")})
    with pytest.raises(InvalidArgument, match=r"parent interface eth0 is a port of bridge br0.*name br0 as the parent"):
        check(host=port)
    check(host=replace(HOST_FACTS, asked={"eth0": HostLink(master="blue", master_kind="vrf")}))


def test_ipv6_needs_a_kernel_with_it() -> None:
    spec = NetworkSpec(name="lan", driver="macvlan", enable_ipv6=True, options={"parent": "eth0"})
    with pytest.raises(InvalidArgument, match="IPv6 disabled"):
        DRIVERS["macvlan"].check(spec, replace(HOST_FACTS, ipv6=False))


def beside(driver: str = "macvlan", **options: str) -> Network:
    return replace(stations("10.9.0.0/24", driver=driver, **options), id=NetworkId("b" * 64))


@pytest.mark.parametrize(
    ("mine", "theirs", "words"),
    [
        (stations(), beside("ipvlan"), "one link carries either macvlan or ipvlan"),
        (stations(macvlan_mode="passthru"), beside(), "cannot use mode passthru, macvlan network bbb"),
        (stations(), beside(macvlan_mode="passthru"), "is already using parent interface eth0 in mode passthru"),
        (stations(driver="ipvlan"), beside("ipvlan", ipvlan_mode="l3"), "in mode l3 with flag bridge, which all"),
        (stations(driver="ipvlan"), beside("ipvlan", ipvlan_flag="vepa"), "in mode l2 with flag vepa, which all"),
    ],
)
def test_networks_that_cannot_share_a_parent(mine: Network, theirs: Network, words: str) -> None:
    with pytest.raises(EngineError, match=words):
        parents.check_beside(mine, [theirs])


def test_networks_that_share_a_parent() -> None:
    parents.check_beside(stations(), [stations(), beside(macvlan_mode="private"), network()])
    parents.check_beside(stations(driver="ipvlan"), [beside("ipvlan")])


def test_passthru_has_room_for_one() -> None:
    made = stations(macvlan_mode="passthru")
    sublink.check_room(made, taken=False)
    with pytest.raises(Forbidden, match="hands parent interface eth0 to one container"):
        sublink.check_room(made, taken=True)
    sublink.check_room(stations(), taken=True)


def test_ipvlan_takes_no_mac() -> None:
    asked = EndpointSpec(mac="02:00:00:00:00:01")
    with pytest.raises(EngineError, match="ipvlan interfaces do not support custom mac address assignment"):
        sublink.check_endpoint(asked, stations(driver="ipvlan"))
    sublink.check_endpoint(asked, stations())
    sublink.check_endpoint(EndpointSpec(), stations(driver="ipvlan"))


def shimmed(*subnets: str, **options: str) -> Network:
    made = stations(*subnets, fairlead__host_shim="true", **options)
    chosen = shim.complete(made.spec, made.subnets, [ip_address("10.1.0.2")])
    return replace(made, subnets=tuple(chosen))


def test_a_shims_address_is_the_named_one_or_a_free_one() -> None:
    made = shimmed("10.1.0.0/24", "fd00::/64")
    assert [str(each.aux[shim.AUX]) for each in made.subnets] == ["10.1.0.3", "fd00::2"]
    named = Subnet(prefix=ip_network("10.1.0.0/24"), aux={shim.AUX: ip_address("10.1.0.200")})
    assert shim.complete(made.spec, [named], ()) == (named,)
    without = shim.complete(stations().spec, made.subnets, ())
    assert [dict(each.aux) for each in without] == [{}, {}]
    asked = replace(stations().spec, ipam=(IpamConfig(subnet=named.prefix, aux=named.aux),))
    assert shim.complete(asked, [named], ()) == (named,)
    assert shim.complete(network().spec, made.subnets, ()) is made.subnets


def test_the_shim_is_like_a_containers_link_but_on_the_host() -> None:
    made = shimmed("10.1.0.0/24", "fd00::/64")
    wanted = DRIVERS["macvlan"].network_wants(made, WORLD)
    (link,) = links(wanted)
    own = f"hs-{ID[:12]}"
    assert (link.ns, link.name, link.kind, link.parent, link.mac) == (HOST, own, LinkKind.MACVLAN, "eth0", "")
    held = {str(fact.address) for fact in wanted if isinstance(fact, Address)}
    assert held == {"10.1.0.3/32", "fd00::2/128"}
    values = {fact.key.rpartition("/")[2]: fact.value for fact in wanted if isinstance(fact, Sysctl)}
    assert values == {"arp_ignore": "1", "disable_ipv6": "0", "accept_ra": "0", "accept_dad": "0"}


def test_a_shim_needs_addresses_of_the_engines_own() -> None:
    spec = NetworkSpec(name="lan", driver="macvlan", ipam_driver="dhcp", options={"parent": "eth0", shim.AUX: "true"})
    with pytest.raises(InvalidArgument, match="not IPAM driver dhcp"):
        DRIVERS["macvlan"].check(spec, HOST_FACTS)


def test_a_shim_without_ipv6_has_none() -> None:
    wanted = DRIVERS["macvlan"].network_wants(shimmed(), WORLD)
    assert Sysctl(ns=HOST, key=f"net/ipv6/conf/hs-{ID[:12]}/disable_ipv6", value="1") in wanted
    bare = replace(WORLD, host=replace(WORLD.host, ipv6=False))
    assert not [fact for fact in DRIVERS["macvlan"].network_wants(shimmed(), bare) if "ipv6" in str(fact)]


def test_each_container_is_a_route_and_has_routes_to_the_host() -> None:
    made = shimmed("10.1.0.0/24", "fd00::/64")
    both = endpoint("10.1.0.5/24", "fd00::5/64")
    own = f"hs-{ID[:12]}"
    way_in = DRIVERS["macvlan"].endpoint_wants(made, both, WORLD)
    assert {(str(r.prefix), r.link, str(r.source)) for r in way_in if isinstance(r, Route)} == {
        ("10.1.0.5/32", own, "10.1.0.3"),
        ("fd00::5/128", own, "fd00::2"),
    }
    addresses = tuple(map(ip_interface, ("10.1.0.77/24", "10.1.0.3/32", "192.0.2.1/24", "fd00::77/64")))
    here = replace(WORLD, host=replace(WORLD.host, addresses=addresses))
    way_out = routes(DRIVERS["macvlan"].sandbox_wants(made, both, here))
    assert ("eth0", "10.1.0.77/32", "10.1.0.3") in way_out
    assert ("eth0", "fd00::77/128", "fd00::2") in way_out
    assert len(way_out) == 4  # and two default routes
    assert DRIVERS["macvlan"].endpoint_wants(stations(), both, here) == frozenset()
