from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from fairlead.errors import InvalidArgument
from fairlead.ids import ContainerId, EndpointId, NetworkId
from fairlead.model.container import (
    Config,
    Container,
    ContainerSpec,
    HealthLog,
    HealthState,
    HostConfig,
    MountPoint,
    State,
)
from fairlead.model.endpoint import Endpoint, EndpointSpec
from fairlead.model.network import Network, NetworkSpec, Subnet
from fairlead.model.port import ContainerPort, PortBinding, Protocol
from fairlead.model.requests import UpdateSpec
from fairlead.model.views import Inspected, Listed
from fairlead.wire.container_create import parse_create, parse_update
from fairlead.wire.containers import container_inspect, container_summary, mount_point, status_text

SECOND = 10**9
NOW = 1_700_000_000 * SECOND
LATEST = (1, 51)

NETWORK = Network(
    id=NetworkId("b" * 64),
    spec=NetworkSpec(name="bridge"),
    created=NOW,
    subnets=(
        Subnet(prefix=ip_network("172.17.0.0/16"), gateway=ip_address("172.17.0.1")),
        Subnet(prefix=ip_network("fd00::/64"), gateway=ip_address("fd00::1")),
    ),
)
ENDPOINT = Endpoint(
    id=EndpointId("e" * 64),
    network=NETWORK.id,
    container=ContainerId("c" * 64),
    mac="02:42:ac:11:00:02",
    addresses=(ip_interface("172.17.0.2/16"), ip_interface("fd00::2/64")),
    published=tuple(
        PortBinding(container=ContainerPort(port=80), host_ip=ip_address(ip), host_port=8080)
        for ip in ("0.0.0.0", "::")
    ),
)
CONTAINER = Container(
    id=ContainerId("c" * 64),
    name="web",
    created=NOW,
    image="sha256:1",
    spec=ContainerSpec(
        config=Config(image="x", exposed_ports={"80/tcp": {}, "53/udp": {}, "9000-9001/tcp": {}, "bad": {}}),
        host=HostConfig(network_mode="bridge"),
        networks={"bridge": EndpointSpec()},
    ),
    path="sh",
    args=("-c", "echo 'a b'"),
    endpoints=(ENDPOINT,),
    state=State(status="running", started=NOW, pid=7),
    sandbox_key="/run/netns/web",
)
INSPECTED = Inspected(container=CONTAINER, networks={"bridge": NETWORK}, graph={"UpperDir": "/u"})


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (State(), "Created"),
        (State(status="running", started=NOW - 5 * SECOND), "Up 5 seconds"),
        (State(status="paused", started=NOW - 5 * SECOND), "Up 5 seconds (Paused)"),
        (
            State(status="running", started=NOW - 60 * SECOND, health=HealthState()),
            "Up About a minute (health: starting)",
        ),
        (
            State(status="running", started=NOW - 7200 * SECOND, health=HealthState(status="healthy")),
            "Up 2 hours (healthy)",
        ),
        (State(status="exited", exit_code=3, finished=NOW - 120 * SECOND), "Exited (3) 2 minutes ago"),
        (State(status="restarting", exit_code=1, finished=NOW - 2 * SECOND), "Restarting (1) 2 seconds ago"),
        (State(status="removing"), "Removal In Progress"),
        (State(status="dead"), "Dead"),
    ],
)
def test_status(state: State, text: str) -> None:
    assert status_text(state, NOW) == text


def test_summary() -> None:
    listed = Listed(container=CONTAINER, image_name="x", networks={"bridge": NETWORK}, size_rw=0, size_root=9)
    shown = container_summary(listed, LATEST, NOW + SECOND)
    assert shown["Command"] == "sh -c 'echo '\\''a b'\\'''"
    assert shown["Created"] == NOW // SECOND
    assert shown["Ports"] == [
        {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"PrivatePort": 53, "Type": "udp"},
        {"PrivatePort": 9000, "Type": "tcp"},
        {"PrivatePort": 9001, "Type": "tcp"},
    ]
    assert (shown["SizeRw"], shown["SizeRootFs"], shown["Status"]) == (0, 9, "Up 1 second")


def test_inspect_shows_the_network_settings_old_and_new() -> None:
    settings = container_inspect(INSPECTED, LATEST)["NetworkSettings"]
    on = settings["Networks"]["bridge"]
    for shown in (settings, on):
        assert (shown["IPAddress"], shown["IPPrefixLen"], shown["Gateway"]) == ("172.17.0.2", 16, "172.17.0.1")
        assert (shown["GlobalIPv6Address"], shown["IPv6Gateway"]) == ("fd00::2", "fd00::1")
        assert shown["MacAddress"] == "02:42:ac:11:00:02"
    assert settings["Ports"]["53/udp"] is None
    assert settings["Ports"]["80/tcp"][1] == {"HostIp": "::", "HostPort": "8080"}
    assert (settings["SandboxKey"], len(settings["SandboxID"])) == ("/run/netns/web", 64)
    assert on["DNSNames"] is None


def test_inspect_of_a_stopped_container_shows_what_was_asked() -> None:
    stopped = replace(CONTAINER, endpoints=(), state=State(status="exited", started=NOW, finished=NOW))
    asked = EndpointSpec(
        ipv4=ip_address("10.0.0.5"), link_local=(ip_address("169.254.1.1"),), aliases=("web",), gw_priority=3
    )
    stopped = replace(stopped, spec=replace(stopped.spec, networks={"net": asked}))
    network = replace(NETWORK, spec=NetworkSpec(name="net"))
    shown = container_inspect(Inspected(container=stopped, networks={"net": network}), (1, 44))["NetworkSettings"]
    assert shown["Ports"] == {}
    assert (shown["SandboxKey"], shown["SandboxID"]) == ("", "")
    on = shown["Networks"]["net"]
    assert on["IPAMConfig"] == {"IPv4Address": "10.0.0.5", "LinkLocalIPs": ["169.254.1.1"]}
    assert (on["IPAddress"], on["EndpointID"], on["GwPriority"]) == ("", "", 3)
    assert on["NetworkID"] == network.id
    assert on["Aliases"] == ["web", "c" * 12]
    assert on["DNSNames"] == ["web", "c" * 12]


def test_a_network_that_is_gone_is_still_shown_by_its_name() -> None:
    shown = container_inspect(Inspected(container=replace(CONTAINER, endpoints=())), LATEST)
    assert shown["NetworkSettings"]["Networks"]["bridge"]["NetworkID"] == ""


def test_an_internal_network_has_no_gateway() -> None:
    internal = replace(NETWORK, spec=NetworkSpec(name="bridge", internal=True))
    shown = container_inspect(Inspected(container=CONTAINER, networks={"bridge": internal}), LATEST)
    assert shown["NetworkSettings"]["Networks"]["bridge"]["Gateway"] == ""


def test_inspect_has_config_state_and_health() -> None:
    probe = HealthLog(start=NOW, end=NOW + SECOND, exit_code=1, output="no")
    sick = replace(
        CONTAINER, state=replace(CONTAINER.state, health=HealthState(status="unhealthy", failing=3, log=(probe,)))
    )
    shown = container_inspect(Inspected(container=sick, size_rw=1, size_root=2, execs=("x",)), LATEST)
    assert shown["State"]["Health"]["FailingStreak"] == 3
    assert shown["State"]["Health"]["Log"][0]["End"] == "2023-11-14T22:13:21Z"
    assert shown["State"]["FinishedAt"] == "0001-01-01T00:00:00Z"
    assert (shown["SizeRootFs"], shown["ExecIDs"], shown["Name"]) == (2, ["x"], "/web")
    assert (shown["HostConfig"]["LogConfig"], shown["HostConfig"]["Runtime"]) == (
        {"Type": "json-file", "Config": {}},
        "crun",
    )
    assert "Init" not in shown["HostConfig"]
    assert "Healthcheck" not in shown["Config"]
    assert shown["Config"]["Labels"] == {}


def test_mount_points() -> None:
    volume = MountPoint(type="volume", name="v", source="/s", target="/t", driver="local", mode="z")
    assert mount_point(volume) == {
        "Type": "volume",
        "Name": "v",
        "Source": "/s",
        "Destination": "/t",
        "Driver": "local",
        "Mode": "z",
        "RW": True,
        "Propagation": "",
    }
    assert "Name" not in mount_point(MountPoint(type="tmpfs", target="/t"))


def create(text: str, version: tuple[int, int] = LATEST) -> ContainerSpec:
    return parse_create(text.encode(), version)[0]


def test_the_network_of_network_mode_comes_first() -> None:
    spec = create(
        '{"Image":"x","HostConfig":{"NetworkMode":"n2"},'
        '"NetworkingConfig":{"EndpointsConfig":{"n1":{"GwPriority":5},"n2":{"Links":["db","web:www"]}}}}'
    )
    assert list(spec.networks) == ["n2", "n1"]
    assert spec.networks["n1"].gw_priority == 5
    assert spec.networks["n2"].links == ("db:db", "web:www")


def test_default_is_bridge_wherever_it_is_said() -> None:
    spec = create(
        '{"Image":"x","HostConfig":{"NetworkMode":"default"},"NetworkingConfig":{"EndpointsConfig":{"default":{}}}}'
    )
    assert (spec.host.network_mode, list(spec.networks)) == ("bridge", ["bridge"])


def test_endpoints_given_override_the_default_network() -> None:
    assert list(create('{"Image":"x","NetworkingConfig":{"EndpointsConfig":{"mine":null}}}').networks) == ["mine"]


def test_ports_in_every_form() -> None:
    spec = create(
        '{"Image":"x","HostConfig":{"PortBindings":{"80":[{"HostPort":"8000-8010"},{"HostIp":"[::1]","HostPort":"1"}],'
        '"53/UDP":[{}],"9/sctp":[],"8/tcp":null}}}'
    )
    shown = [(str(p.container), str(p.host_ip), p.low, p.high) for p in spec.ports]
    assert shown == [("80/tcp", "None", 8000, 8010), ("80/tcp", "::1", 1, 1), ("53/udp", "None", 0, 0)]
    assert spec.ports[2].container.protocol is Protocol.UDP


@pytest.mark.parametrize(
    ("mode", "rest", "message"),
    [
        ("container:a", '"Hostname":"h"', "hostname and the network mode"),
        ("container:a", '"MacAddress":"02:00:00:00:00:01"', "mac-address and the network mode"),
        ("container:a", '"ExposedPorts":{"80":{}}', "port exposing and the container type network mode"),
        ("container:a", '"NetworkingConfig":{"EndpointsConfig":{"n":{}}}', "cannot be connected to any other network"),
        ("host", '"NetworkingConfig":{"EndpointsConfig":{"n":{}}}', "cannot be connected to any other network"),
        ("none", '"NetworkingConfig":{"EndpointsConfig":{"n":{}}}', "private (none) mode"),
        ("bridge", '"ExposedPorts":{"a":{}}', "invalid port specification"),
        ("bridge", '"Healthcheck":{"Interval":1}', "Interval in Healthcheck cannot be less than 1ms"),
        ("bridge", '"Healthcheck":{"Test":["RUN","x"]}', "unknown type 'RUN'"),
        ("bridge", '"Healthcheck":{"Retries":-1}', "cannot be negative"),
        ("bridge", f'"Hostname":"{"h" * 65}"', "invalid hostname"),
        (
            "bridge",
            '"MacAddress":"02:00:00:00:00:01","NetworkingConfig":{"EndpointsConfig":{"bridge":{"MacAddress":"02:00:00:00:00:02"}}}',
            "must match the endpoint-specific MAC address",
        ),
    ],
)
def test_conflicts_of_modes(mode: str, rest: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        create(f'{{"Image":"x","HostConfig":{{"NetworkMode":"{mode}"}},{rest}}}')
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ('"NetworkMode":"container:a","Dns":["1.1.1.1"]', "dns and the network mode"),
        ('"NetworkMode":"container:a","Links":["a:b"]', "container type network can't be used with links"),
        ('"NetworkMode":"container:a","ExtraHosts":["a:1.1.1.1"]', "custom host-to-IP mapping"),
        ('"NetworkMode":"container:a","PublishAllPorts":true', "port publishing"),
        ('"NetworkMode":"host","Links":["a:b"]', "host type networking can't be used with links"),
        (
            '"NetworkMode":"host","Sysctls":{"net.core.somaxconn":"9"}',
            'sysctl "net.core.somaxconn" not allowed in host network namespace',
        ),
        ('"ExtraHosts":["noip"]', 'bad format for add-host: "noip"'),
        ('"ExtraHosts":["a:x"]', 'invalid IP address in add-host: "x"'),
        ('"ExtraHosts":["a:"]', 'invalid IP address in add-host: ""'),
        (
            '"AutoRemove":true,"RestartPolicy":{"Name":"always"}',
            "can't create 'AutoRemove' container with restart policy",
        ),
        ('"RestartPolicy":{"Name":"always","MaximumRetryCount":2}', "can only be used with 'on-failure'"),
        ('"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":-2}', "cannot be negative"),
        ('"LogConfig":{"Type":"syslog"}', "no log driver named 'syslog'"),
        ('"ShmSize":-1', "SHM size can not be less than 0"),
        ('"OomScoreAdj":2000', "range for oom score adj"),
        ('"MemorySwappiness":101', "swappiness range is 0-100"),
        ('"Isolation":"hyperv"', "invalid isolation"),
        ('"Memory":16777216,"MemorySwap":8388608', "larger than memory limit"),
        ('"MemorySwap":8388608', "always set the Memory limit"),
        ('"MemoryReservation":1', "Minimum memory reservation"),
        ('"Memory":8388608,"MemoryReservation":16777216', "less than memory reservation"),
        ('"NanoCpus":1,"CpuPeriod":1000', "Nano CPUs and CPU Period"),
        ('"NanoCpus":1,"CpuQuota":1000', "Nano CPUs and CPU Quota"),
        ('"NanoCpus":-1', "NanoCpus is negative"),
        ('"CpuPeriod":1', "CPU cfs period"),
        ('"CpuQuota":1', "CPU cfs quota"),
        ('"CpuShares":-1', "CPU shares"),
        ('"BlkioWeight":5', "blkio weight"),
        ('"CpusetCpus":"0-"', "Invalid value 0- for cpuset cpus"),
        ('"IpcMode":"container:"', "invalid IPC mode: container:"),
        ('"UTSMode":"container:a"', "invalid UTS mode"),
        ('"UsernsMode":"x"', "invalid user namespace mode"),
        ('"CgroupnsMode":"x"', "invalid cgroup namespace mode"),
    ],
)
def test_host_configurations_that_cannot_be(host: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        create(f'{{"Image":"x","HostConfig":{{{host}}}}}')
    assert message in str(caught.value)


def test_hostname_and_the_host_s_uts_namespace() -> None:
    with pytest.raises(InvalidArgument, match="hostname and the UTS mode"):
        create('{"Image":"x","Hostname":"h","HostConfig":{"UTSMode":"host"}}')


def test_swappiness_minus_one_means_unset() -> None:
    assert create('{"Image":"x","HostConfig":{"MemorySwappiness":-1}}').host.memory_swappiness is None


def test_modes_that_may_be() -> None:
    host = create(
        '{"Image":"x","HostConfig":{"IpcMode":"container:a","PidMode":"host","ExtraHosts":["a:host-gateway","b:[::1]"]}}'
    ).host
    assert (host.ipc_mode, host.pid_mode) == ("container:a", "host")


def test_update_leaves_what_is_not_given() -> None:
    host = HostConfig(memory=64 << 20, cpu_shares=5, pids_limit=3)
    changed = parse_update(b'{"Memory":134217728,"PidsLimit":0,"RestartPolicy":{"Name":"always"}}').applied(host)
    assert (changed.memory, changed.cpu_shares, changed.pids_limit) == (128 << 20, 5, 0)
    assert changed.restart_policy is not None
    assert changed.restart_policy.name == "always"
    assert UpdateSpec().applied(host) == host
    with pytest.raises(InvalidArgument, match="unknown policy"):
        parse_update(b'{"RestartPolicy":{"Name":"x"}}')
