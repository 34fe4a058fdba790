"""Filters, events, images, networks, frames, signals, paths, versions."""

from __future__ import annotations

import base64
import json
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from fairlead.errors import InvalidArgument
from fairlead.ids import ContainerId, EndpointId, NetworkId
from fairlead.model.container import Config, Container, ContainerSpec, HostConfig, LogConfig
from fairlead.model.endpoint import Endpoint
from fairlead.model.event import Event
from fairlead.model.image import Image, Progress
from fairlead.model.network import IpamConfig, Network, NetworkSpec, Subnet
from fairlead.model.requests import Filters
from fairlead.model.views import BlockCount, Deleted, ImagesPruned, NetworkView, PathStat, StatsSample, Untagged
from fairlead.wire.addresses import parse_mac
from fairlead.wire.events import event, event_matcher
from fairlead.wire.execs import parse_create as parse_exec
from fairlead.wire.execs import parse_start
from fairlead.wire.filters import parse_filters
from fairlead.wire.frames import content_type, frame
from fairlead.wire.images import (
    created_seconds,
    image_inspect,
    image_summary,
    images_pruned,
    progress_bar,
    progress_line,
    removals,
)
from fairlead.wire.logs import log_details, log_line
from fairlead.wire.networks import network_inspect, parse_connect, parse_create
from fairlead.wire.paths import go_mode, path_stat_header
from fairlead.wire.signals import parse_signal
from fairlead.wire.stats import paired, stats
from fairlead.wire.versions import parse_version

LATEST = (1, 51)


def test_filters_in_both_forms() -> None:
    assert parse_filters("") == Filters()
    assert parse_filters("null") == Filters()
    assert parse_filters('{"a":["x","y"]}') == Filters({"a": ("x", "y")})
    assert parse_filters('{"a":{"x":true,"y":false}}') == Filters({"a": ("x",)})
    for text in ("[", "[]", '{"a":1}', '{"a":[1]}'):
        with pytest.raises(InvalidArgument, match="invalid filter"):
            parse_filters(text)


def test_filters_match_as_docker_matches() -> None:
    filters = Filters({"name": ("^we",), "label": ("a", "b=1"), "id": ("abc",), "dangling": ("true",), "bad": ("(",)})
    assert filters.search("name", "web")
    assert not filters.search("name", "owe")
    assert filters.search("other", "anything")
    assert not filters.search("bad", "x")
    assert filters.labels("label", {"a": "", "b": "1"})
    assert not filters.labels("label", {"b": "1"})
    assert filters.prefix("id", "abcdef")
    assert not filters.exact("id", "abcdef")
    assert filters.flag("dangling", default=False)
    assert filters.flag("none", default=True)
    with pytest.raises(InvalidArgument, match=r"invalid filter 'name=\['\^we'\]'|invalid filter 'name=\[\^we\]'"):
        filters.flag("name", default=False)
    with pytest.raises(InvalidArgument, match="invalid filter 'name'"):
        filters.check(("label",))


HAPPENED = Event(
    time=1_700_000_000_123_456_789,
    kind="container",
    action="exec_start: ls",
    actor="c" * 64,
    attributes={"name": "web", "image": "reg:5000/busybox:1", "team": "net"},
)


def test_an_event_carries_the_old_fields_where_they_mean_something() -> None:
    shown = event(HAPPENED)
    assert (shown["status"], shown["id"], shown["from"]) == ("exec_start: ls", "c" * 64, "reg:5000/busybox:1")
    assert (shown["time"], shown["timeNano"]) == (1_700_000_000, 1_700_000_000_123_456_789)
    network = event(Event(time=1, kind="network", action="create", actor="n"))
    assert "status" not in network


@pytest.mark.parametrize(
    ("terms", "passes"),
    [
        ({}, True),
        ({"type": ("container",)}, True),
        ({"type": ("network", "image")}, False),
        ({"event": ("exec_start",)}, True),
        ({"event": ("exec_start: ls",)}, True),
        ({"event": ("exec_die",)}, False),
        ({"container": ("we",)}, True),
        ({"container": ("cccc",)}, True),
        ({"container": ("db",)}, False),
        ({"network": ("web",)}, False),
        ({"label": ("team",)}, True),
        ({"label": ("team=dev",)}, False),
        ({"image": ("reg:5000/busybox",)}, True),
        ({"image": ("reg:5000/busybox:1",)}, True),
        ({"image": ("reg",)}, False),
        ({"scope": ("swarm",)}, False),
    ],
)
def test_event_filters(terms: dict[str, tuple[str, ...]], passes: bool) -> None:
    assert event_matcher(Filters(terms))(HAPPENED) is passes


def test_event_filters_that_are_not_known() -> None:
    with pytest.raises(InvalidArgument, match="invalid filter 'colour'"):
        event_matcher(Filters({"colour": ("red",)}))


IMAGE = Image(
    id="sha256:" + "1" * 64,
    created="2023-11-14T22:13:20.5Z",
    architecture="arm64",
    os="linux",
    variant="v8",
    config=Config(cmd=("sh",), labels={"a": "b"}, stop_timeout=3),
    layers=("/l1", "/l2", "/l3"),
    diff_ids=("sha256:a",),
)


def test_images_by_version() -> None:
    shown = image_inspect(IMAGE, LATEST)
    assert shown["Config"] == {"Cmd": ("sh",), "Labels": {"a": "b"}}
    assert shown["GraphDriver"]["Data"] == {"LowerDir": "/l2:/l1", "UpperDir": "/l3"}
    assert shown["Variant"] == "v8"
    old = image_inspect(IMAGE, (1, 43))
    assert {"VirtualSize", "Container", "ContainerConfig"} <= set(old)
    assert old["Config"]["Hostname"] == ""
    assert image_summary(IMAGE, (1, 42))["RepoTags"] == ["<none>:<none>"]
    assert image_summary(IMAGE, LATEST)["RepoTags"] == []
    assert created_seconds(IMAGE) == 1_700_000_000
    assert created_seconds(Image(id="x", created="?", architecture="", os="", config=Config())) == 0


def test_progress_lines() -> None:
    assert progress_line(Progress(error="no")) == {"errorDetail": {"message": "no"}, "error": "no"}
    assert progress_line(Progress(stream="x\n")) == {"stream": "x\n"}
    assert progress_line(Progress(status="Waiting", id="a")) == {"status": "Waiting", "progressDetail": {}, "id": "a"}
    assert progress_line(Progress(aux={"ID": "x"})) == {"aux": {"ID": "x"}}
    assert progress_bar(3, 0) == "      3B"
    assert progress_bar(10, 5).endswith("]      10B")


def test_removals() -> None:
    assert removals([Untagged("a:1"), Deleted("sha256:1")]) == [{"Untagged": "a:1"}, {"Deleted": "sha256:1"}]
    assert images_pruned(ImagesPruned()) == {"ImagesDeleted": None, "SpaceReclaimed": 0}


def test_a_network_create_request_in_full() -> None:
    spec = parse_create(
        b'{"Name":"n","Driver":"","Scope":"","EnableIPv6":true,'
        b'"IPAM":{"Driver":"","Options":{"a":"b"},"Config":[{"Subnet":"10.0.0.0/8",'
        b'"IPRange":"10.1.0.0/16","Gateway":"10.0.0.1","AuxiliaryAddresses":{"x":"10.0.0.9"}},'
        b'{"Subnet":"fd00::/64"}]},"Internal":true,'
        b'"ConfigFrom":{"Network":"c"},"Options":{"o":"1"},"Labels":{"l":"2"},"CheckDuplicate":true}',
        LATEST,
    )
    assert (spec.driver, spec.scope, spec.ipam_driver, spec.config_from) == ("bridge", "local", "default", "c")
    assert (spec.enable_ipv4, spec.enable_ipv6, spec.internal) == (True, True, True)
    assert spec.ipam[0] == IpamConfig(
        subnet=ip_network("10.0.0.0/8"),
        ip_range=ip_network("10.1.0.0/16"),
        gateway=ip_address("10.0.0.1"),
        aux={"x": ip_address("10.0.0.9")},
    )


def test_all_bad_addresses_of_a_network_are_told_at_once() -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_create(b'{"Name":"n","IPAM":{"Config":[{"Subnet":"10.0.0.1/8"},{"Gateway":"x"}]}}', LATEST)
    assert str(caught.value) == (
        "invalid network config:\n"
        "invalid subnet 10.0.0.1/8: it should be 10.0.0.0/8\n"
        "invalid gateway x: not an IP address"
    )


def test_network_inspect() -> None:
    network = Network(
        id=NetworkId("n" * 64),
        spec=NetworkSpec(name="n"),
        created=1,
        subnets=(
            Subnet(
                prefix=ip_network("10.0.0.0/24"),
                gateway=ip_address("10.0.0.1"),
                ip_range=ip_network("10.0.0.128/25"),
                aux={"x": ip_address("10.0.0.9")},
            ),
        ),
    )
    endpoint = Endpoint(
        id=EndpointId("e"),
        network=network.id,
        container=ContainerId("c"),
        mac="m",
        addresses=(ip_interface("10.0.0.2/24"),),
    )
    usage = {ip_network("10.0.0.0/24"): (5, 127)}
    view = NetworkView(network=network, endpoints=[("web", endpoint)], usage=usage)
    shown = network_inspect(view, LATEST)
    assert shown["Status"] == {"IPAM": {"Subnets": {"10.0.0.0/24": {"IPsInUse": 5, "DynamicIPsAvailable": 127}}}}
    assert "Status" not in network_inspect(view, (1, 50))
    assert shown["Containers"] == {
        "c": {"Name": "web", "EndpointID": "e", "MacAddress": "m", "IPv4Address": "10.0.0.2/24", "IPv6Address": ""}
    }
    assert shown["IPAM"]["Config"] == [
        {
            "Subnet": "10.0.0.0/24",
            "IPRange": "10.0.0.128/25",
            "Gateway": "10.0.0.1",
            "AuxiliaryAddresses": {"x": "10.0.0.9"},
        }
    ]
    config_only = Network(
        id=network.id,
        spec=NetworkSpec(
            name="c",
            config_only=True,
            ipam=(IpamConfig(subnet=ip_network("10.0.0.0/24"), aux={"x": ip_address("10.0.0.9")}),),
        ),
        created=1,
    )
    assert network_inspect(NetworkView(network=config_only), LATEST)["IPAM"]["Config"] == [
        {"Subnet": "10.0.0.0/24", "AuxiliaryAddresses": {"x": "10.0.0.9"}}
    ]


@pytest.mark.parametrize("link", ["", ":a", "a:", "a:b:c"])
def test_links_that_are_none(link: str) -> None:
    with pytest.raises(InvalidArgument, match="bad format for links"):
        parse_connect(json.dumps({"Container": "c", "EndpointConfig": {"Links": [link]}}).encode())


def test_addresses_with_a_zone_and_empty_link_locals_are_refused() -> None:
    for ipam in ({"IPv6Address": "fe80::1%eth0"}, {"LinkLocalIPs": [""]}, {"IPv4Address": "::1"}):
        with pytest.raises(InvalidArgument, match="invalid"):
            parse_connect(json.dumps({"Container": "c", "EndpointConfig": {"IPAMConfig": ipam}}).encode())


def test_mac_addresses() -> None:
    assert parse_mac("02-42-AC-11-00-02") == parse_mac("0242.ac11.0002") == "02:42:ac:11:00:02"
    assert parse_mac("") == ""
    for text in ("x", "02:42", "01:00:00:00:00:00", "02:42:ac:11:00:02:00"):
        with pytest.raises(InvalidArgument, match="invalid MAC address"):
            parse_mac(text)


def test_frames_and_content_types() -> None:
    assert frame(2, b"abc") == b"\x02\0\0\0\0\0\0\x03abc"
    assert content_type(tty=False, version=(1, 42)).endswith("multiplexed-stream")
    assert content_type(tty=False, version=(1, 41)).endswith("raw-stream")


@pytest.mark.parametrize(
    ("text", "number"), [("KILL", 9), ("SIGTERM", 15), ("sigint", 2), ("9", 9), ("RTMIN+3", 37), ("SIGRTMAX-1", 63)]
)
def test_signals(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "-1", "SIG", "NOPE", "RTMIN+99", "RTMAX-99", "٣"])
def test_what_is_no_signal(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid signal"):
        parse_signal(text)


def test_file_modes_are_go_s() -> None:
    assert go_mode(0o100644) == 0o644
    assert go_mode(0o040755) == 1 << 31 | 0o755
    assert go_mode(0o120777) == 1 << 27 | 0o777
    assert go_mode(0o020666) == 1 << 26 | 1 << 21 | 0o666
    assert go_mode(0o104755) == 1 << 23 | 0o755
    assert go_mode(0o041777) == 1 << 31 | 1 << 20 | 0o777
    stat = json.loads(
        base64.b64decode(path_stat_header(PathStat(name="l", size=1, mode=0o120777, mtime=0, link_target="t")))
    )
    assert (stat["linkTarget"], stat["mtime"]) == ("t", "1970-01-01T00:00:00Z")


def test_versions() -> None:
    assert parse_version("1.24") == (1, 24)
    for text in ("1.23", "1.52", "2.0", "0.1", "1", "1.x"):
        with pytest.raises(InvalidArgument):
            parse_version(text)


def test_exec_requests() -> None:
    assert parse_exec(b'{"Cmd":["ls"],"Tty":true,"ConsoleSize":[24,80]}').console_size == (24, 80)
    for text in (
        b"{}",
        b'{"Cmd":"ls"}',
        b'{"Cmd":[""]}',
        b'{"Cmd":["a\\u0000"]}',
        b'{"Cmd":["a"],"ConsoleSize":[-1,2]}',
    ):
        with pytest.raises(InvalidArgument):
            parse_exec(text)
    assert parse_start(b"", LATEST)[0] is False
    assert parse_start(b'{"Detach":true}', LATEST)[0] is True
    with pytest.raises(InvalidArgument, match="only supported when TTY"):
        parse_start(b'{"ConsoleSize":[1,2]}', LATEST)
    assert parse_start(b'{"ConsoleSize":[1,2]}', (1, 41))[1].console_size == (0, 0)


def test_log_lines() -> None:
    config = Config(labels={"b": "2", "c": "x y"}, env=("A=1", "NOPE"))
    host = HostConfig(log_config=LogConfig(type="json-file", config={"labels": "b,c,missing", "env": "A,NOPE"}))
    container = Container(
        id=ContainerId("c"), name="n", created=0, image="", spec=ContainerSpec(config=config, host=host)
    )
    assert log_details(container) == b"A=1,b=2,c=x+y "
    assert log_line(1, b"x\n", b"d ", timestamps=True) == b"1970-01-01T00:00:00.000000001Z d x\n"
    assert log_line(1, b"x\n", b"", timestamps=False) == b"x\n"


def test_stats() -> None:
    sample = StatsSample(
        read=10**18,
        name="web",
        id=ContainerId("c"),
        cpu_total=5,
        percpu=(2, 3),
        pids=4,
        memory={"cache": 1},
        memory_max_usage=9,
        blkio_bytes=(BlockCount(major=8, minor=0, op="read", value=7),),
    )
    shown = stats(sample)
    assert shown["cpu_stats"]["cpu_usage"]["percpu_usage"] == [2, 3]
    assert shown["blkio_stats"]["io_service_bytes_recursive"] == [{"major": 8, "minor": 0, "op": "read", "value": 7}]
    assert (shown["memory_stats"]["max_usage"], shown["pids_stats"]) == (9, {"current": 4})
    assert "networks" not in shown
    assert paired(shown, shown)["precpu_stats"] == shown["cpu_stats"]
    assert paired(shown, None) is shown
