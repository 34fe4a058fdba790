from __future__ import annotations

import json
from ipaddress import ip_interface, ip_network
from typing import Any

import pytest

from fairlead.net.cni.errors import CniError
from fairlead.net.cni.result import Assigned, Dns, Link, Result, Route, parse_failure, parse_result, parse_versions
from unit.net.things import ip

OLD = {
    "cniVersion": "0.2.0",
    "ip4": {"ip": "10.1.0.2/24", "gateway": "10.1.0.1", "routes": [{"dst": "0.0.0.0/0"}]},
    "ip6": {"ip": "fd00::2/64"},
    "dns": {"nameservers": ["10.1.0.1"]},
}
MIDDLE = {
    "cniVersion": "0.4.0",
    "interfaces": [{"name": "veth1"}, {"name": "eth0", "mac": "AA:bb:00:00:00:01", "sandbox": "/run/netns/c"}],
    "ips": [{"version": "4", "address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 1}],
    "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}],
    "dns": {"domain": "shop", "search": ["a", "b"], "options": ["ndots:2"]},
    "vendor": {"kept": True},
}
NEW = MIDDLE | {
    "cniVersion": "1.1.0",
    "ips": [{"address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 1}],
    "interfaces": [{"name": "eth0", "mtu": 1400, "sandbox": "/run/netns/c", "socketPath": "", "pciID": "0000:1"}],
}
NEW["ips"][0]["interface"] = 0  # type: ignore[index]


def parsed(value: Any, version: str) -> Result:
    return parse_result(json.dumps(value).encode(), version)


def test_the_first_form() -> None:
    found = parsed(OLD, "0.2.0")
    assert found.assigned == (
        Assigned(address=ip_interface("10.1.0.2/24"), gateway=ip("10.1.0.1")),
        Assigned(address=ip_interface("fd00::2/64")),
    )
    assert found.routes == (Route(destination=ip_network("0.0.0.0/0")),)
    assert found.dns == Dns(nameservers=("10.1.0.1",))
    assert found.of("eth0") == found.assigned
    assert found.inside("eth0") == Link(name="eth0")
    assert json.loads(found.text) == OLD


def test_the_second_form() -> None:
    found = parsed(MIDDLE, "0.4.0")
    assert found.inside("eth0") == Link(name="eth0", mac="aa:bb:00:00:00:01", sandbox="/run/netns/c")
    assert found.assigned == (Assigned(address=ip_interface("10.1.0.2/24"), gateway=ip("10.1.0.1"), link=1),)
    assert found.of("eth0") == found.assigned
    assert found.of("net1") == ()
    assert found.dns == Dns(domain="shop", search=("a", "b"), options=("ndots:2",))
    assert found.dns.domains == ("shop", "a", "b")
    assert json.loads(found.text) == MIDDLE


def test_the_newest_form_keeps_what_we_do_not_know() -> None:
    found = parsed(NEW, "1.1.0")
    assert found.inside("eth0").mtu == 1400
    assert json.loads(found.text) == NEW


def test_addresses_of_the_host_are_not_the_containers() -> None:
    links = [{"name": "eth0"}, {"name": "eth0", "sandbox": "/run/netns/c"}]
    both = [{"address": "10.1.0.1/24", "interface": 0}, {"address": "10.1.0.2/24", "interface": 1}]
    assert [str(a.address) for a in parsed({"interfaces": links, "ips": both}, "1.0.0").of("eth0")] == ["10.1.0.2/24"]


def test_servers_are_those_that_are_addresses() -> None:
    assert Dns(nameservers=("10.0.0.1", "dns.example", "fd00::1", "")).servers == (ip("10.0.0.1"), ip("fd00::1"))
    assert Dns(domain="a", search=("a", "b", "")).domains == ("a", "b")


def test_null_is_nothing() -> None:
    assert parsed({"interfaces": None, "ips": None, "routes": None, "dns": None}, "1.0.0").assigned == ()


def test_an_answer_in_an_older_form_is_handed_on_in_the_one_asked_for() -> None:
    told = json.loads(parsed(OLD, "1.0.0").text)
    assert told["cniVersion"] == "1.0.0"
    assert told["ips"] == [{"address": "10.1.0.2/24", "gateway": "10.1.0.1"}, {"address": "fd00::2/64"}]
    assert told["routes"] == [{"dst": "0.0.0.0/0"}]
    assert told["dns"] == {"nameservers": ["10.1.0.1"]}


def test_and_a_newer_one_in_an_older_form() -> None:
    told = json.loads(parsed(NEW, "0.4.0").text)
    assert told["ips"] == [{"version": "4", "address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 0}]
    oldest = json.loads(parsed(NEW, "0.2.0").text)
    assert oldest["ip4"] == {
        "ip": "10.1.0.2/24",
        "gateway": "10.1.0.1",
        "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}],
    }
    assert parsed(oldest, "0.2.0").assigned[0].address == ip_interface("10.1.0.2/24")


def test_within_one_form_only_the_version_is_set() -> None:
    assert json.loads(parsed({"cniVersion": "0.3.1", "ips": []}, "0.4.0").text) == {"cniVersion": "0.4.0", "ips": []}
    assert json.loads(parsed({}, "1.0.0").text) == {"cniVersion": "1.0.0"}


@pytest.mark.parametrize(
    ("printed", "complaint"),
    [
        (b"", "nothing at all"),
        (b"ready! {", "printed no JSON: ready!"),
        (b"\xff\x00\x01", "printed no JSON"),
        (b"[1]", "no JSON object"),
        (b'{"cniVersion": "9.0.0"}', "answered in CNI '9.0.0'"),
        (b'{"ips": [{"address": "10.0.0.1"}]}', "'10.0.0.1', which is not ADDRESS/BITS"),
        (b'{"ips": [{"address": "here"}]}', "'here', which is none"),
        (b'{"ips": [{"address": "fe80::1%2/64"}]}', "fe80"),
        (b'{"ips": [{"address": "10.0.0.1/8", "interface": 0}]}', "interface 0 of 0"),
        (b'{"ips": [{"address": "10.0.0.1/8", "gateway": "x"}]}', "gateway 'x'"),
        (b'{"ips": "10.0.0.1/8"}', "ips must be a list"),
        (b'{"routes": [{"dst": "anywhere"}]}', "route to 'anywhere'"),
        (b'{"ip4": {}}', "the address ''"),
    ],
)
def test_rubbish_is_named(printed: bytes, complaint: str) -> None:
    with pytest.raises(CniError, match=complaint):
        parse_result(printed, "1.0.0")


def test_what_was_printed_is_quoted_in_bounds() -> None:
    with pytest.raises(CniError) as caught:
        parse_result(b"x" * 100_000, "1.0.0")
    assert len(str(caught.value)) < 250


def test_versions() -> None:
    assert parse_versions(b'{"cniVersion": "1.0.0", "supportedVersions": ["0.4.0", "1.0.0"]}') == ("0.4.0", "1.0.0")
    assert parse_versions(b'{"cniVersion": "0.1.0"}') == ("0.1.0",)


def test_failures() -> None:
    told = parse_failure("bridge", b'{"code": 7, "msg": "bad config", "details": "no master"}', "")
    assert (told.code, str(told)) == (7, "CNI plugin bridge: bad config: no master")
    assert str(parse_failure("bridge", b'{"code": 11}', "")) == "CNI plugin bridge: it asks to be tried again later"
    died = parse_failure("bridge", b"", "panic: oh\n")
    assert (died.code, str(died)) == (0, "CNI plugin bridge: panic: oh")
    assert str(parse_failure("bridge", b"segfault", "")) == "CNI plugin bridge: segfault"
    assert str(parse_failure("bridge", b"", "")) == "CNI plugin bridge: failed without saying why"
