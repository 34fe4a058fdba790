"""Rates, delays and losses: what is asked in words, and where the facts are put that make it so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from fairlead.errors import InvalidArgument
from fairlead.model.outside import Attachment
from fairlead.net import shaping
from fairlead.net.drivers import bridge
from fairlead.net.shaping import Shape, check_endpoint, parse_shape
from fairlead.net.state import HOST, Link, LinkKind, Qdisc, Redirect, State
from unit.net.things import CONTAINER, WORLD, endpoint, network

IN, OUT = "fairlead.bandwidth.ingress", "fairlead.bandwidth.egress"
DELAY, JITTER, LOSS = "fairlead.netem.delay", "fairlead.netem.jitter", "fairlead.netem.loss"


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("0", 0),
        ("0mbit", 0),
        ("64000", 64_000),
        ("64000bit", 64_000),
        ("500kbit", 500_000),
        ("10mbit", 10_000_000),
        ("2.5gbit", 2_500_000_000),
        ("1Tbit", 1_000_000_000_000),
        (" 10MBIT ", 10_000_000),
        ("8001", 8_000),
    ],
)
def test_rates_are_bits_per_second_in_whole_bytes(text: str, rate: int) -> None:
    assert parse_shape({IN: text}) == Shape(ingress=rate)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({OUT: "1mbit", f"{OUT}.burst": "32kb"}, Shape(egress=1_000_000, egress_burst=32_768)),
        ({IN: "1mbit", f"{IN}.burst": "2m"}, Shape(ingress=1_000_000, ingress_burst=2 << 20)),
        ({DELAY: "100ms", JITTER: "1.5ms"}, Shape(delay=100_000, jitter=1_500)),
        ({DELAY: "2s"}, Shape(delay=2_000_000)),
        ({LOSS: "0.5%"}, Shape(loss=5_000)),
        ({LOSS: "100"}, Shape(loss=1_000_000)),
        ({"com.docker.network.driver.mtu": "what", "fairlead.host_shim": "true"}, Shape()),
        ({"fairlead.bandwidths": "x"}, Shape()),
    ],
)
def test_what_is_asked_in_words(options: Mapping[str, str], shape: Shape) -> None:
    assert parse_shape(options) == shape


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({IN: ""}, f"failed to parse {IN} value:  (a rate is a number and bit, kbit, mbit or gbit"),
        ({IN: "fast"}, "a rate is a number"),
        ({IN: "-1mbit"}, "a rate is a number"),
        ({IN: "1e9"}, "a rate is a number"),
        ({IN: "\N{ARABIC-INDIC DIGIT ONE}mbit"}, "a rate is a number"),
        ({IN: "9" * 400 + "gbit"}, "a rate is a number"),
        ({IN: "10mbps"}, "it may mean bits or bytes: write 10mbit"),
        ({IN: "10m"}, "it may mean bits or bytes: write 10mbit"),
        ({OUT: "10bps"}, "it may mean bits or bytes: write 10bit"),
        ({OUT: "7999"}, "between 8kbit and 1tbit"),
        ({OUT: "1.1tbit"}, "between 8kbit and 1tbit"),
        ({IN: "1mbit", f"{IN}.burst": "0"}, "a burst is a number of bytes"),
        ({IN: "1mbit", f"{IN}.burst": "1gb"}, "a burst is a number of bytes"),
        ({IN: "1mbit", f"{IN}.burst": "2048mb"}, "a burst is less than 2048mb"),
        ({f"{IN}.burst": "10kb"}, f"{IN}.burst is that of a rate: give {IN} too"),
        ({IN: "8kbit", f"{IN}.burst": "1mb"}, "bytes take longer than 200 s at 8000 bit/s"),
        ({f"{OUT}.burst": "10kb", IN: "1mbit"}, f"give {OUT} too"),
        ({DELAY: "100"}, "a time is a number and us, ms or s"),
        ({DELAY: "61s"}, "at most 60s"),
        ({DELAY: "9" * 300 + "s"}, "a time is a number"),
        ({JITTER: "1ms"}, "packets cannot arrive before they are sent"),
        ({LOSS: "101%"}, "between 0 and 100"),
        ({LOSS: "-1"}, "between 0 and 100"),
        ({"fairlead.bandwidth.ingres": "1mbit"}, "there is no option fairlead.bandwidth.ingres: the options are"),
        ({"fairlead.bandwidth": "1mbit"}, "there is no option fairlead.bandwidth:"),
        ({"fairlead.netem.rate": "1mbit"}, "there is no option fairlead.netem.rate"),
    ],
)
def test_every_value_that_is_none_has_its_error(options: Mapping[str, str], words: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse_shape(options)
    assert words in str(refused.value)


def test_an_endpoints_burst_may_be_that_of_its_networks_rate() -> None:
    own = {f"{IN}.burst": "10kb"}
    check_endpoint(own)
    check_endpoint(own, {IN: "1mbit"})
    with pytest.raises(InvalidArgument, match="invalid endpoint settings:\nfairlead"):
        check_endpoint(own, {})


def wants(own: Mapping[str, str] | None = None, **options: str) -> State:
    home = network(options=options)
    mine = endpoint(options=own or {})
    links = bridge.endpoint_wants(home, mine, WORLD) | bridge.sandbox_wants(home, mine, WORLD)
    return shaping.wants(home, mine, links)


VETH, IFB = "veth0000001", f"ifb{'e' * 7}"


def test_nothing_is_wanted_where_nothing_is_asked() -> None:
    assert wants() == frozenset()


def test_what_the_container_receives_is_what_the_hosts_end_sends() -> None:
    held = Qdisc(ns=HOST, link=VETH, rate=10_000_000, burst=12_500, limit=12_500 + 62_500)
    assert wants(**{IN: "10mbit"}) == {held}


def test_what_the_container_sends_passes_an_ifb_on_the_host() -> None:
    assert wants(**{OUT: "10mbit"}) == {
        Link(ns=HOST, name=IFB, kind=LinkKind.IFB, alias="web/shop"),
        Qdisc(ns=HOST, link=IFB, rate=10_000_000, burst=12_500, limit=75_000),
        Redirect(ns=HOST, link=VETH, to=IFB),
    }


def test_delays_are_of_what_the_container_sends() -> None:
    found = wants(**{DELAY: "20ms", LOSS: "1%", IN: "10mbit"})
    assert Qdisc(ns=HOST, link=IFB, delay=20_000, loss=10_000) in found
    assert {fact.link for fact in found if isinstance(fact, Qdisc) and fact.rate} == {VETH}


def test_the_endpoints_own_options_win_label_by_label() -> None:
    found = wants({IN: "1mbit", OUT: "0"}, **{IN: "10mbit", OUT: "10mbit", LOSS: "1"})
    rates = {(fact.link, fact.rate, fact.loss) for fact in found if isinstance(fact, Qdisc)}
    assert rates == {(VETH, 1_000_000, 0), (IFB, 0, 10_000)}


@pytest.mark.parametrize(
    ("rate", "burst", "mtu", "wanted"),
    [
        ("8kbit", "", "", 2 * 1518),  # two packets
        ("1gbit", "", "", 1_250_000),  # 10 ms
        ("1mbit", "5000", "", 5_000),
        ("1mbit", "100", "", 1_518),  # a packet that is longer than the burst would never go
        ("1mbit", "1600", "9000", 9_018),
    ],
)
def test_a_burst_is_ten_milliseconds_and_never_less_than_a_packet(rate: str, burst: str, mtu: str, wanted: int) -> None:
    options = {IN: rate} | ({f"{IN}.burst": burst} if burst else {})
    (held,) = wants(**options | ({"com.docker.network.driver.mtu": mtu} if mtu else {}))
    assert isinstance(held, Qdisc)
    assert held.burst == wanted


def test_the_longest_queue_is_what_the_kernel_can_count() -> None:
    (held,) = wants(**{IN: "1tbit"})
    assert isinstance(held, Qdisc)
    assert held.limit == 0xFFFFFFFF


def test_an_interface_without_an_end_on_the_host_is_shaped_inside() -> None:
    home, mine = network(options={IN: "10mbit", OUT: "5mbit", DELAY: "1ms"}), endpoint(host_ifname="")
    own = Link(ns=CONTAINER, name="eth0", kind=LinkKind.VETH, mtu=1500)
    found: Any = shaping.wants(home, mine, frozenset({own}))
    assert {fact.ns for fact in found} == {CONTAINER}
    assert Redirect(ns=CONTAINER, link="eth0", to=IFB) in found
    assert {(fact.link, fact.rate, fact.delay) for fact in found if isinstance(fact, Qdisc)} == {
        ("eth0", 5_000_000, 1_000),
        (IFB, 10_000_000, 0),
    }


def test_rates_that_plugins_hold_are_not_held_twice() -> None:
    net = network(options={OUT: "8mbit", DELAY: "10ms"})
    own = Link(ns=CONTAINER, name="eth0", kind=LinkKind.VETH, adopted=True)
    chained = endpoint(host_ifname="", outside=Attachment(holds_rates=True))
    (delayed,) = shaping.wants(net, chained, frozenset({own}))
    assert isinstance(delayed, Qdisc)
    assert (delayed.rate, delayed.delay) == (0, 10_000)


def test_an_interface_that_nobody_knows_is_left_alone() -> None:
    assert shaping.wants(network(options={IN: "10mbit"}), endpoint(), frozenset()) == frozenset()


def test_the_probe_takes_what_the_options_take() -> None:
    assert shaping.probe({}) == frozenset()
    assert {type(fact) for fact in shaping.probe({IN: "1mbit"})} == {Qdisc}
    assert {type(fact) for fact in shaping.probe({OUT: "1mbit"})} == {Link, Qdisc, Redirect}
    assert any(isinstance(fact, Qdisc) and fact.impaired for fact in shaping.probe({LOSS: "1"}))
    assert not any(isinstance(f, Qdisc) and f.impaired for f in shaping.probe({OUT: "1mbit"}))
