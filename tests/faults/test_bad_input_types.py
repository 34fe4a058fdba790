"""Every field of every JSON body, with every kind of value: refused in one sentence or taken, but never a failure."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from harness.engine import Engine

CREATE: dict[str, Any] = {
    "Image": "busybox",
    "Hostname": "box",
    "Domainname": "example.test",
    "User": "0",
    "AttachStdin": False,
    "AttachStdout": True,
    "AttachStderr": True,
    "ExposedPorts": {"80/tcp": {}},
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Env": ["A=b"],
    "Cmd": ["true"],
    "Healthcheck": {"Test": ["CMD", "true"], "Interval": 10**9, "Timeout": 10**9, "StartPeriod": 0, "Retries": 1},
    "Volumes": {"/v": {}},
    "WorkingDir": "/",
    "Entrypoint": ["/bin/sh"],
    "NetworkDisabled": False,
    "Labels": {"a": "b"},
    "StopSignal": "SIGTERM",
    "StopTimeout": 1,
    "Shell": ["/bin/sh", "-c"],
    "HostConfig": {
        "Binds": ["vol:/w:ro"],
        "ContainerIDFile": "",
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
        "NetworkMode": "bridge",
        "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "0"}]},
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "AutoRemove": False,
        "VolumeDriver": "local",
        "VolumesFrom": [],
        "Mounts": [
            {"Type": "tmpfs", "Target": "/t", "ReadOnly": False, "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o700}},
            {"Type": "volume", "Source": "vol", "Target": "/x", "VolumeOptions": {"NoCopy": True, "Labels": {}}},
        ],
        "Annotations": {"a": "b"},
        "CapAdd": ["NET_ADMIN"],
        "CapDrop": ["MKNOD"],
        "CgroupnsMode": "private",
        "Dns": ["192.0.2.1"],
        "DnsOptions": ["ndots:1"],
        "DnsSearch": ["example.test"],
        "ExtraHosts": ["other:192.0.2.2"],
        "GroupAdd": ["1000"],
        "IpcMode": "private",
        "Cgroup": "",
        "Links": [],
        "OomScoreAdj": 0,
        "PidMode": "",
        "Privileged": False,
        "PublishAllPorts": False,
        "ReadonlyRootfs": False,
        "SecurityOpt": ["no-new-privileges"],
        "StorageOpt": {},
        "Tmpfs": {"/u": "size=1m"},
        "UTSMode": "",
        "UsernsMode": "",
        "ShmSize": 1 << 20,
        "Sysctls": {"net.ipv4.ip_forward": "1"},
        "Runtime": "crun",
        "ConsoleSize": [24, 80],
        "CpuShares": 100,
        "Memory": 64 << 20,
        "NanoCpus": 0,
        "CgroupParent": "",
        "BlkioWeight": 0,
        "BlkioWeightDevice": [],
        "BlkioDeviceReadBps": [],
        "CpuPeriod": 100000,
        "CpuQuota": 50000,
        "CpuRealtimePeriod": 0,
        "CpuRealtimeRuntime": 0,
        "CpusetCpus": "0",
        "CpusetMems": "",
        "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/n", "CgroupPermissions": "rwm"}],
        "DeviceCgroupRules": ["c 1:3 rwm"],
        "DeviceRequests": [],
        "MemoryReservation": 32 << 20,
        "MemorySwap": 128 << 20,
        "MemorySwappiness": 10,
        "OomKillDisable": False,
        "Init": True,
        "PidsLimit": 100,
        "Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}],
        "MaskedPaths": ["/proc/kcore"],
        "ReadonlyPaths": ["/proc/sys"],
    },
    "NetworkingConfig": {
        "EndpointsConfig": {"bridge": {"Aliases": [], "Links": [], "DriverOpts": {}, "GwPriority": 0, "MacAddress": ""}}
    },
}  # fmt: skip

BODIES: dict[str, dict[str, Any]] = {
    "/containers/create": CREATE,
    "/containers/box/update": {
        "CpuShares": 100,
        "Memory": 64 << 20,
        "MemorySwap": -1,
        "NanoCpus": 10**9,
        "CpusetCpus": "0",
        "PidsLimit": 100,
        "BlkioWeight": 0,
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
    },
    "/containers/box/exec": {
        "Cmd": ["true"],
        "User": "0",
        "Env": ["A=b"],
        "WorkingDir": "/",
        "Tty": False,
        "Privileged": False,
        "AttachStdin": False,
        "AttachStdout": True,
        "DetachKeys": "ctrl-p,ctrl-q",
    },
    "/volumes/create": {"Name": "made", "Driver": "local", "DriverOpts": {"type": "tmpfs"}, "Labels": {"a": "b"}},
    "/auth": {"username": "u", "password": "p", "serveraddress": "127.0.0.1:1"},
    "/commit?container=box&repo=made": {"Cmd": ["true"], "Env": ["A=b"], "Labels": {"a": "b"}, "ExposedPorts": {}},
}
STRANGE = [None, True, -1, 7, 1.5, 1 << 70, "", "text", "a\x00b", "ä\n", "x" * 70000, [], ["text"], [7], [[]], {}, {"a": 7}, {"": ""}]  # fmt: skip  # noqa: E501


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every field and list item of a body."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*path, key)
        yield from places(item, (*path, key))


def put(body: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    changed: Any = copy.deepcopy(body)
    at = changed
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return dict(changed)


def families() -> list[tuple[str, str | int]]:
    """The calls, those with many fields by the first of each path, so that a failure is found quickly."""
    found: dict[tuple[str, str | int], None] = {}
    for call, body in BODIES.items():
        for path in places(body):
            found[call, path[0]] = None
    return list(found)


@pytest.fixture(autouse=True)
def no_traceback(running: Engine) -> Iterator[None]:
    """Whatever a test sends is an expected refusal, not a bug."""
    before = running.log.stat().st_size
    yield
    with open(running.log, "rb") as log:
        log.seek(before)
        assert b"Traceback" not in log.read()


@pytest.mark.parametrize(("call", "field"), families())
def test_a_field_of_another_kind(engine: Engine, call: str, field: str | int) -> None:
    if "box" in call:
        engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    before = everything(engine)
    for path in places(BODIES[call]):
        if path[0] != field:
            continue
        for value in STRANGE:
            status, answer = engine.call("POST", call, put(BODIES[call], path, value))
            told = f"{call} {path} = {str(value)[:50]!r}: {status} {str(answer)[:300]}"
            if status < 300:
                take_back(engine, call, answer)
                continue
            assert status in ((400, 401, 403, 404, 409, 500) if call == "/auth" else (400, 403, 404, 409)), told
            assert list(answer) == ["message"], told
            assert answer["message"].strip(), told
            assert "Traceback" not in answer["message"], told
            assert "internal error" not in answer["message"], told
            assert len(answer["message"]) < 5000, told
    assert everything(engine) == before


def take_back(engine: Engine, call: str, answer: Any) -> None:
    match call:
        case "/containers/create":
            assert engine.call("DELETE", f"/containers/{answer['Id']}?v=1&force=1")[0] == 204
            for volume in engine.call("GET", "/volumes")[1]["Volumes"] or ():
                engine.call("DELETE", f"/volumes/{volume['Name']}")
        case "/volumes/create":
            assert engine.call("DELETE", f"/volumes/{answer['Name']}")[0] == 204
        case "/commit?container=box&repo=made":
            assert engine.call("DELETE", f"/images/{answer['Id']}?force=1")[0] == 200


def everything(engine: Engine) -> str:
    """The names of all things there are."""
    containers = [item["Names"] for item in engine.call("GET", "/containers/json?all=1")[1]]
    volumes = [item["Name"] for item in engine.call("GET", "/volumes")[1]["Volumes"] or ()]
    kept = [item["Id"] for item in engine.call("GET", "/images/json?all=1")[1]]
    # A volume that a refused create named is there: anonymous ones are pruned, named ones are what was asked for.
    return json.dumps([sorted(map(str, containers)), sorted(set(volumes) - {"vol", "text"}), sorted(kept)])


@pytest.mark.parametrize("call", BODIES)
def test_a_body_without_one_field(engine: Engine, call: str) -> None:
    if "box" in call:
        engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    for path in places(BODIES[call]):
        changed: Any = copy.deepcopy(BODIES[call])
        at = changed
        for key in path[:-1]:
            at = at[key]
        del at[path[-1]]
        status, answer = engine.call("POST", call, changed)
        if status < 300:
            take_back(engine, call, answer)
        elif call != "/auth":
            assert status in (400, 404), (path, status, answer)
            assert list(answer) == ["message"]
