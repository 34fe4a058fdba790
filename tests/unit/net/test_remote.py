"""Networks of plugins: nothing on the host, and inside what plugin and engine decided."""

from __future__ import annotations

from ipaddress import ip_interface, ip_network

from fairlead.model.outside import Attachment, StaticRoute
from fairlead.net.drivers import DRIVERS, driver_named, remote
from fairlead.net.state import HOST, Address, Link, LinkKind, Route, Sysctl
from unit.net.things import CONTAINER, WORLD, endpoint, ip, network


def test_every_name_that_is_not_built_in_is_a_plugins() -> None:
    assert driver_named("weave") is remote
    assert driver_named("bridge") is DRIVERS["bridge"]


def test_nothing_on_the_host() -> None:
    plug, one = network(driver="weave"), endpoint(outside=Attachment(link="pc1"))
    assert remote.bridge_name(plug) == ""
    assert remote.gatewayless(plug.spec) == frozenset()
    for wants in (
        remote.network_wants(plug, WORLD),
        remote.endpoint_wants(plug, one, WORLD),
        remote.wants(plug, [one], WORLD),
    ):
        assert wants == frozenset()


def test_the_plugins_link_with_its_routes() -> None:
    said = Attachment(
        link="pc1",
        gateways=(ip("10.1.0.254"),),
        routes=(
            StaticRoute(prefix=ip_network("10.9.0.0/16"), via=ip("10.1.0.2")),
            StaticRoute(prefix=ip_network("fd09::/64")),
        ),
    )
    one = endpoint("10.1.0.5/24", "fd00:1::5/64", mac="", outside=said)
    assert remote.sandbox_wants(network(driver="weave"), one, WORLD) == {
        Link(ns=CONTAINER, name="eth0", kind=LinkKind.GUEST, peer_ns=HOST, peer="pc1"),
        Address(ns=CONTAINER, link="eth0", address=ip_interface("10.1.0.5/24")),
        Address(ns=CONTAINER, link="eth0", address=ip_interface("fd00:1::5/64")),
        Route(ns=CONTAINER, prefix=ip_network("10.9.0.0/16"), link="eth0", via=ip("10.1.0.2")),
        Route(ns=CONTAINER, prefix=ip_network("fd09::/64"), link="eth0", metric=1024),
        Route(ns=CONTAINER, prefix=ip_network("0.0.0.0/0"), link="eth0", via=ip("10.1.0.254")),
        Sysctl(ns=CONTAINER, key="net/ipv6/conf/eth0/disable_ipv6", value="0"),
    }


def test_without_a_link_there_is_nothing_inside() -> None:
    assert remote.sandbox_wants(network(driver="weave"), endpoint(), WORLD) == frozenset()
