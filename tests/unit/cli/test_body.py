"""The flags of `run` and `create` as the body that the engine is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fairlead.cli.container.body import container_body
from fairlead.cli.container.options import CONTAINER_FLAGS
from fairlead.cli.errors import BadFlag
from fairlead.cli.flags import parse


def body(*words: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    values, (image, *command) = parse(CONTAINER_FLAGS, [*words], interspersed=False)
    return container_body(values, image, command, environment or {})


def host(*words: str) -> dict[str, Any]:
    return body(*words, "image")["HostConfig"]  # type: ignore[no-any-return]


def test_nothing_asked_nothing_sent() -> None:
    assert body("image") == {
        "AttachStdout": True,
        "AttachStderr": True,
        "Image": "image",
        "HostConfig": {"NetworkMode": "default", "RestartPolicy": {"Name": "no"}, "MemorySwappiness": -1},
    }


def test_the_process() -> None:
    made = body("-it", "-e", "A=1", "-e", "HERE", "-e", "GONE", "-w", "/w", "-u", "1:2", "--entrypoint", "sh",
                "-h", "box", "--stop-timeout", "0", "image", "-c", "x", environment={"HERE": "y"})  # fmt: skip
    expected = {
        "Tty": True,
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "Env": ["A=1", "HERE=y", "GONE"],
        "WorkingDir": "/w",
        "User": "1:2",
        "Entrypoint": ["sh"],
        "Cmd": ["-c", "x"],
        "Hostname": "box",
        "StopTimeout": 0,
    }
    assert {name: made[name] for name in expected} == expected


def test_an_empty_entrypoint_resets_it() -> None:
    assert body("--entrypoint", "", "image")["Entrypoint"] == [""]
    assert "Entrypoint" not in body("image")


def test_streams_asked_for() -> None:
    made = body("-a", "stdin", "-a", "STDERR", "image")
    assert made["AttachStdin"]
    assert made["AttachStderr"]
    assert "AttachStdout" not in made


def test_ports_are_exposed_too() -> None:
    made = body("-p", "8080:80", "--expose", "53/udp", "image")
    assert made["ExposedPorts"] == {"53/udp": {}, "80/tcp": {}}
    assert made["HostConfig"]["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}


def test_volumes_named_bound_and_anonymous(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = body("-v", "./here:/x:ro", "-v", "name:/n", "-v", "/only", "-v", "~/home:/h", "image")
    home = Path("~").expanduser()
    assert made["HostConfig"]["Binds"] == [f"{tmp_path}/here:/x:ro", "name:/n", f"{home}/home:/h"]
    assert made["Volumes"] == {"/only": {}}


def test_limits() -> None:
    found = host("--cpus", "1.5", "-m", "100m", "--memory-swap", "-1", "--pids-limit", "-1", "--ulimit", "nofile=1:2")
    assert found["NanoCpus"] == 1_500_000_000
    assert found["Memory"] == 104857600
    assert found["MemorySwap"] == -1
    assert found["PidsLimit"] == -1
    assert found["Ulimits"] == [{"Name": "nofile", "Soft": 1, "Hard": 2}]


def test_devices_by_path_and_by_name() -> None:
    found = host("--device", "/dev/a", "--device", "/dev/b:/dev/c:r", "--device", "/dev/d:rw", "--device", "x.io/gpu=0")
    assert [tuple(device.values()) for device in found["Devices"]] == [
        ("/dev/a", "/dev/a", "rwm"),
        ("/dev/b", "/dev/c", "r"),
        ("/dev/d", "/dev/d", "rw"),
    ]
    assert found["DeviceRequests"] == [{"Driver": "cdi", "DeviceIDs": ["x.io/gpu=0"]}]


def test_capabilities_have_one_form() -> None:
    assert host("--cap-add", "net_admin", "--cap-add", "CAP_NET_ADMIN", "--cap-drop", "all")["CapAdd"] == [
        "CAP_NET_ADMIN"
    ]
    assert host("--cap-drop", "all")["CapDrop"] == ["ALL"]


def test_health() -> None:
    made = body("--health-cmd", "true", "--health-interval", "5s", "--health-retries", "3", "image")
    assert made["Healthcheck"] == {"Test": ["CMD-SHELL", "true"], "Interval": 5 * 10**9, "Retries": 3}
    assert body("--no-healthcheck", "image")["Healthcheck"] == {"Test": ["NONE"]}


def test_a_seccomp_profile_is_read_here(tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text('{ "defaultAction": "SCMP_ACT_ALLOW" }')
    found = host("--security-opt", f"seccomp={profile}", "--security-opt", "no-new-privileges")
    assert found["SecurityOpt"] == ['seccomp={"defaultAction":"SCMP_ACT_ALLOW"}', "no-new-privileges"]
    assert host("--security-opt", "systempaths=unconfined")["MaskedPaths"] == []


def test_files_of_variables_and_labels(tmp_path: Path) -> None:
    variables = tmp_path / "env"
    variables.write_text("# comment\n\nA=1\n  B=2 \nHERE\nGONE\n")
    labels = tmp_path / "labels"
    labels.write_text("x=1\n#y=2\n")
    made = body("--env-file", str(variables), "-e", "A=3", "--label-file", str(labels), "-l", "z", "image",
                environment={"HERE": "h"})  # fmt: skip
    assert made["Env"] == ["A=1", "B=2 ", "HERE=h", "A=3"]
    assert made["Labels"] == {"x": "1", "z": ""}


def test_networks_with_their_own_options() -> None:
    first = "name=n1,alias=A1,ip=10.0.0.5,mac-address=02:00:00:00:00:01,driver-opt=k=v,gw-priority=5"
    made = body("--network", first, "--network", "n2", "image")
    assert made["HostConfig"]["NetworkMode"] == "n1"
    assert made["NetworkingConfig"]["EndpointsConfig"] == {
        "n1": {
            "IPAMConfig": {"IPv4Address": "10.0.0.5"},
            "Aliases": ["a1"],
            "MacAddress": "02:00:00:00:00:01",
            "DriverOpts": {"k": "v"},
            "GwPriority": 5,
        },
        "n2": {},
    }


def test_flags_without_a_network_s_name_belong_to_the_first() -> None:
    made = body("--network", "n1", "--network", "n2", "--ip", "10.0.0.9", "--network-alias", "web", "image")
    endpoints = made["NetworkingConfig"]["EndpointsConfig"]
    assert endpoints["n1"] == {"IPAMConfig": {"IPv4Address": "10.0.0.9"}, "Aliases": ["web"]}
    assert endpoints["n2"] == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rm", "--restart", "always"], "conflicting options: cannot specify both --restart and --rm"),
        (["--restart", "on-failure:x"], "invalid restart policy format: maximum retry count must be an integer"),
        (["--pid", "foo"], "--pid: invalid PID mode"),
        (["--memory-swappiness", "200"], "invalid value: 200. Valid memory swappiness range is 0-100"),
        (["--no-healthcheck", "--health-cmd", "x"], "--no-healthcheck conflicts with --health-* options"),
        (["--health-interval", "-1s"], "--health-interval cannot be negative"),
        (["--log-driver", "none", "--log-opt", "a=b"], "invalid logging opts for driver none"),
        (["--storage-opt", "x"], "invalid storage option"),
        (["--security-opt", "foo"], 'Invalid --security-opt: "foo"'),
        (["--device", "/dev/a:/dev/b:zz"], "bad mode specified: zz"),
        (["-v", ""], "invalid empty volume spec"),
        (["-v", ":/x"], "invalid spec: :/x: empty section between colons"),
        (["--network", "n", "--network", "n"], 'network "n" is specified multiple times'),
        (
            ["--network", "host", "--network-alias", "a"],
            "network-scoped aliases are only supported for user-defined networks",
        ),
        (
            ["--network", "host", "--network", "n"],
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
        ),
        (
            ["--network", "name=n,ip=1.2.3.4", "--ip", "2.3.4.5"],
            "conflicting options: cannot specify both --ip and per-network IPv4 address",
        ),
        (["--mac-address", "zz"], "zz is not a valid mac address"),
        (["--env-file", "/nonexistent/file"], "open /nonexistent/file: no such file or directory"),
    ],
)
def test_combinations_that_cannot_be(words: list[str], message: str) -> None:
    with pytest.raises(ValueError) as raised:
        body(*words, "image")
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dns", "x"], 'invalid argument "x" for "--dns" flag: IP address is not correctly formatted: x'),
        (["--add-host", "x"], 'invalid argument "x" for "--add-host" flag: bad format for add-host: "x"'),
        (["--ulimit", "foo=1"], 'invalid argument "foo=1" for "--ulimit" flag: invalid ulimit type: foo'),
        (["--cpus", "x"], 'invalid argument "x" for "--cpus" flag: failed to parse x as a rational number'),
        (["-a", "x"], 'invalid argument "x" for "-a, --attach" flag: valid streams are STDIN, STDOUT and STDERR'),
        (["-e", "=x"], 'invalid argument "=x" for "-e, --env" flag: invalid environment variable: =x'),
        (["--network", "a=b"], 'invalid argument "a=b" for "--network" flag: invalid field key a'),
        (["--sysctl", "x"], 'invalid argument "x" for "--sysctl" flag: sysctl \'x\' is not allowed'),
    ],
)
def test_values_that_cannot_be(words: list[str], message: str) -> None:
    with pytest.raises(BadFlag) as raised:
        body(*words, "image")
    assert str(raised.value) == message
