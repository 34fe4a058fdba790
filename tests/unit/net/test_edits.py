"""Which changes a network takes while it exists, and what it is after them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from fairlead.errors import Conflict, Forbidden, InvalidArgument, NotFound
from fairlead.ids import ContainerId
from fairlead.model.container import Config, Container, ContainerSpec, HostConfig
from fairlead.model.endpoint import EndpointSpec
from fairlead.model.network import IpamConfig, Network
from fairlead.model.requests import NetworkUpdate
from fairlead.net import edits
from fairlead.net.upstreams import upstreams
from unit.net.things import binding, endpoint, network

MTU = "com.docker.network.driver.mtu"
ICC = "com.docker.network.bridge.enable_icc"
MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
MODE4 = "com.docker.network.bridge.gateway_mode_ipv4"


def test_what_is_asked_of_the_network_afterwards() -> None:
    spec = network(labels={"a": "1", "b": "2"}, options={MTU: "1400", ICC: "false"}).spec
    update = NetworkUpdate(
        name="new", labels={"c": "3", "a": "9"}, remove_labels=("b",), options={MTU: "1300"}, remove_options=(ICC, "x")
    )
    with pytest.raises(InvalidArgument, match="option x cannot change"):
        edits.edited(spec, update)
    after = edits.edited(spec, replace(update, remove_options=(ICC,)))
    assert (after.name, after.labels, after.options) == ("new", {"a": "9", "c": "3"}, {MTU: "1300"})
    assert edits.edited(spec, NetworkUpdate(remove_labels=("nosuch",))) == spec


@pytest.mark.parametrize(
    ("driver", "option"),
    [
        ("bridge", "com.docker.network.bridge.name"),
        ("bridge", "com.docker.network.container_iface_prefix"),
        ("bridge", "foo"),
        ("macvlan", "parent"),
        ("macvlan", MTU),
        ("remote", MTU),
    ],
)
def test_options_that_stay(driver: str, option: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        edits.edited(network(driver=driver).spec, NetworkUpdate(options={option: "1"}))
    assert f"network shop: option {option} cannot change while the network exists" in str(caught.value)
    assert "fairlead.dns" in str(caught.value)


def with_options(home: Network, **changed: str) -> Network:
    names = {"mtu": MTU, "icc": ICC, "masquerade": MASQUERADE, "mode": MODE4}
    return replace(home, spec=replace(home.spec, options={names[key]: value for key, value in changed.items()}))


def test_only_what_concerns_endpoints_touches_them() -> None:
    home = network()
    labelled = replace(home, spec=replace(home.spec, labels={"a": "1"}))
    for quiet in (labelled, with_options(home, masquerade="false")):
        assert not edits.concerns_endpoints(home, quiet)
    for loud in (
        with_options(home, icc="false"),
        replace(home, mtu=1300),
        replace(home, subnets=()),
        replace(home, spec=replace(home.spec, name="new")),
    ):
        assert edits.concerns_endpoints(home, loud)


@pytest.mark.parametrize(
    ("update", "reaches"),
    [
        (NetworkUpdate(labels={"a": "1"}, remove_labels=("b",)), False),
        (NetworkUpdate(options={MASQUERADE: "false", "fairlead.dns": "10.0.0.1"}), False),
        (NetworkUpdate(remove_options=(MASQUERADE,)), False),
        (NetworkUpdate(options={MTU: "1400"}), True),
        (NetworkUpdate(remove_options=(ICC,)), True),
        (NetworkUpdate(options={"fairlead.bandwidth.egress": "1mbit"}), True),
        (NetworkUpdate(name="new"), True),
        (NetworkUpdate(add_subnets=(IpamConfig(),)), True),
        (NetworkUpdate(remove_subnets=(ip_network("10.1.0.0/24"),)), True),
    ],
)
def test_an_update_that_is_the_networks_alone(update: NetworkUpdate, reaches: bool) -> None:
    assert edits.reaches_endpoints(network(), update) is reaches


def test_subnets_that_stay() -> None:
    home = network("10.1.0.0/24", "10.2.0.0/24")
    (left,) = edits.left(home, [ip_network("10.2.0.0/24")], [("web", endpoint("10.1.0.5/24"))])
    assert str(left.prefix) == "10.1.0.0/24"
    with pytest.raises(NotFound, match=r"network shop has no subnet 10\.3\.0\.0/24; it has 10\.1\.0\.0/24, 10\.2"):
        edits.left(home, [ip_network("10.3.0.0/24")], [])
    with pytest.raises(Forbidden, match=r'subnet 10\.1\.0\.0/24 of network shop has active endpoints \(name:"web" id'):
        edits.left(home, [ip_network("10.1.0.0/24")], [("web", endpoint("10.1.0.5/24"))])


def test_families_stay() -> None:
    home = network("10.1.0.0/24")
    edits.check_subnets(home, network("10.2.0.0/24"))
    with pytest.raises(Forbidden, match="network shop would have no IPv4 subnet left"):
        edits.check_subnets(home, replace(home, subnets=()))
    with pytest.raises(InvalidArgument, match="network shop was made without IPv6"):
        edits.check_subnets(home, network("10.1.0.0/24", "fd00::/64"))


def test_ports_stay_what_they_are() -> None:
    home = network()
    routed = with_options(home, mode="routed")
    edits.check_ways(home, routed, [("web", endpoint())])
    edits.check_ways(home, with_options(home, mode="nat-unprotected"), [("web", endpoint())])
    published = endpoint(published=(binding("0.0.0.0", 8080, 80),))
    edits.check_ways(home, with_options(home, mode="nat-unprotected"), [("web", published)])
    for before, after in ((home, routed), (routed, home)):
        with pytest.raises(Conflict, match=r"publish ports through it \(web\)"):
            edits.check_ways(before, after, [("web", published)])


def test_containers_follow_the_name() -> None:
    spec = ContainerSpec(
        config=Config(image="i"),
        host=HostConfig(network_mode="shop"),
        networks={"shop": EndpointSpec(aliases=("a",)), "other": EndpointSpec()},
    )
    container = Container(id=ContainerId("c" * 64), name="web", created=0, image="i", spec=spec)
    after = edits.renamed(container, "shop", "mall")
    assert after.host.network_mode == "mall"
    assert list(after.spec.networks.items()) == [("mall", EndpointSpec(aliases=("a",))), ("other", EndpointSpec())]
    assert edits.renamed(container, "nosuch", "mall") == container


def test_added_subnets_are_asked_for_too() -> None:
    fresh = IpamConfig(subnet=ip_network("10.2.0.0/24"))
    spec = edits.edited(network().spec, NetworkUpdate(add_subnets=(fresh,)))
    assert spec.ipam == (fresh,)
    assert edits.edited(spec, NetworkUpdate(remove_subnets=(ip_network("10.2.0.0/24"),))).ipam == ()


def servers(text: str) -> tuple[str, ...]:
    return upstreams(network(options={"fairlead.dns": text}).spec)


def test_a_networks_own_servers() -> None:
    assert upstreams(network().spec) == servers("") == ()
    assert servers("10.0.0.1, fd00::1,10.0.0.2#5353") == ("10.0.0.1", "fd00::1", "10.0.0.2#5353")


@pytest.mark.parametrize(
    "text", ["dns.example", "10.0.0.1#", "10.0.0.1#0", "10.0.0.1#65536", "0.0.0.0", "ff02::1", "1"]
)
def test_what_is_no_server(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"failed to parse fairlead\.dns value"):
        servers(f"10.0.0.9,{text}")
