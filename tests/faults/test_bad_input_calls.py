"""Every call outside networks with wrong parameters, in wrong states, with taken names, and torn off in the middle."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import socket
import struct
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import images
from harness.engine import Engine, wait_until

LONG = "x" * 300
NOBODY = "nobody"
FILTERS = ('{"colour":["red"]}', "{", "[]", '{"label":7}', '{"label":{"a":"b"}}'[:-1], '"text"', "%ff")


@pytest.fixture(autouse=True)
def no_traceback(running: Engine) -> Iterator[None]:
    """Whatever a test sends is an expected refusal, not a bug."""
    before = running.log.stat().st_size
    yield
    with open(running.log, "rb") as log:
        log.seek(before)
        assert b"Traceback" not in log.read()


@pytest.fixture
def boxes(engine: Engine) -> Engine:
    """``box`` runs, ``idle`` was created, ``done`` has ended, ``still`` is paused; ``vol`` is a volume."""
    made = {
        "box": {"Cmd": ["sleep", "1000"], "HostConfig": {"Binds": ["vol:/v"]}},
        "idle": {"Cmd": ["true"]},
        "done": {"Cmd": ["true"]},
        "still": {"Cmd": ["sleep", "1000"]},
    }
    for name, body in made.items():
        assert engine.call("POST", f"/containers/create?name={name}", {"Image": "busybox", **body})[0] == 201
    for path in ("box/start", "done/start", "done/wait", "still/start", "still/pause"):
        assert engine.call("POST", f"/containers/{path}")[0] in (200, 204)
    return engine


def sentence(reply: tuple[int, dict[str, str], bytes], *expected: int) -> str:
    status, _, body = reply
    assert status in expected, (status, body[:500])
    found = json.loads(body)
    assert list(found) == ["message"]
    message = str(found["message"])
    assert message.strip()
    assert "Traceback" not in message
    assert "internal error" not in message
    return message


CALLS = [
    # -- containers
    ("POST", "/containers/box/start", {304}, ""),
    ("POST", "/containers/still/start", {304, 409}, ""),
    ("POST", "/containers/idle/stop", {304}, ""),
    ("POST", "/containers/done/stop", {304}, ""),
    ("POST", "/containers/box/stop?t=1.5", {400}, "1.5"),
    ("POST", "/containers/box/stop?signal=FLAG", {400}, "nvalid signal: FLAG"),
    ("POST", "/containers/box/restart?t=x", {400}, "x"),
    ("POST", "/containers/idle/kill", {409}, "is not running"),
    ("POST", "/containers/done/kill", {409}, "is not running"),
    ("POST", "/containers/box/kill?signal=", {204}, ""),
    ("POST", "/containers/box/kill?signal=99", {400}, "99"),
    ("POST", "/containers/box/kill?signal=-1", {400}, "-1"),
    ("POST", "/containers/idle/pause", {409}, "is not running"),
    ("POST", "/containers/still/pause", {409}, "is already paused"),
    ("POST", "/containers/box/unpause", {409, 500}, "is not paused"),
    ("POST", "/containers/box/rename", {400}, "name"),
    ("POST", "/containers/box/rename?name=idle", {409}, "already in use"),
    ("POST", "/containers/box/rename?name=box", {400, 409}, "same name"),
    ("POST", f"/containers/{NOBODY}/rename?name=x1", {404}, "No such container"),
    ("POST", f"/containers/{NOBODY}/resize?h=1&w=1", {404}, "No such container"),
    ("POST", "/containers/box/resize", {400}, ""),
    ("POST", "/containers/box/resize?h=-1&w=5", {400}, ""),
    ("POST", "/containers/idle/resize?h=10&w=10", {409}, "not running"),
    ("POST", f"/containers/{NOBODY}/update", {400, 404}, ""),
    ("POST", f"/containers/{NOBODY}/wait", {404}, "No such container"),
    ("POST", "/containers/box/wait?condition=", {200}, ""),
    ("GET", "/containers/idle/top", {409}, "is not running"),
    ("GET", "/containers/done/top", {409}, "is not running"),
    ("GET", "/containers/box/top?ps_args=--nonsense", {400, 500}, "ps"),
    ("GET", "/containers/box/top?ps_args=-o%20cmd", {400, 500}, "PID"),
    ("GET", "/containers/box/logs?stdout=1&since=x", {400}, "x"),
    ("GET", "/containers/box/logs?stdout=1&until=x", {400}, "x"),
    ("GET", f"/containers/{NOBODY}/logs?stdout=1", {404}, "No such container"),
    ("GET", f"/containers/{NOBODY}/changes", {404}, "No such container"),
    ("GET", f"/containers/{NOBODY}/export", {404}, "No such container"),
    ("GET", f"/containers/{NOBODY}/stats?stream=0", {404}, "No such container"),
    ("GET", f"/containers/{NOBODY}/json", {404}, "No such container"),
    ("GET", "/containers/box/attach/ws", {400, 426}, ""),
    ("GET", "/containers/box/archive?path=", {400}, "path"),
    ("GET", "/containers/box/archive?path=%00", {400}, "NUL"),
    ("GET", "/containers/idle/archive?path=/no/where", {404}, "Could not find the file /no/where in container idle"),
    ("PUT", "/containers/box/archive", {400}, "path"),
    ("PUT", "/containers/box/archive?path=/no/where", {404}, "Could not find the file /no/where in container box"),
    ("PUT", "/containers/box/archive?path=/etc/passwd", {400}, "not a directory"),
    ("PUT", f"/containers/{NOBODY}/archive?path=/", {404}, "No such container"),
    ("DELETE", "/containers/box", {409}, "cannot remove container"),
    ("DELETE", "/containers/still", {409}, "cannot remove container"),
    ("DELETE", "/containers/box?link=1", {400, 404, 409, 500}, ""),
    ("DELETE", f"/containers/{NOBODY}?force=1", {404}, "No such container"),
    # -- execs
    ("POST", f"/exec/{NOBODY}/start", {400, 404}, ""),
    ("POST", f"/exec/{NOBODY}/resize?h=1&w=1", {404}, "No such exec instance"),
    ("GET", f"/exec/{NOBODY}/json", {404}, "No such exec instance"),
    ("GET", "/exec//json", {404}, ""),
    # -- images
    ("POST", "/images/create", {400}, ""),
    ("POST", "/images/create?fromImage=busybox:", {400, 404, 500}, ""),
    ("POST", "/images/create?fromImage=busybox&platform=a/b/c/d", {400}, "platform"),
    ("POST", "/images/create?fromImage=127.0.0.1:1/x&tag=y", {400, 404, 500, 503}, ""),
    ("POST", "/images/create?fromImage=127.0.0.1:1/x&tag=sha256:12", {400}, ""),
    ("POST", "/images/create?fromSrc=http://198.51.100.2/x.tar", {400}, "fromSrc"),
    ("POST", "/images/create?fromSrc=-&repo=UPPER", {400}, "lowercase"),
    ("POST", "/images/create?fromSrc=-&repo=x&changes=NONSENSE", {400}, "NONSENSE"),
    ("POST", "/images/create?fromSrc=-&repo=x&platform=windows/amd64", {400}, ""),
    ("GET", "/images/get", {400}, "names"),
    ("GET", f"/images/get?names=busybox&names={NOBODY}", {404}, f"No such image: {NOBODY}"),
    ("GET", f"/images/{NOBODY}/get", {404}, f"No such image: {NOBODY}"),
    ("GET", f"/images/{NOBODY}/json", {404}, f"No such image: {NOBODY}"),
    ("GET", f"/images/{NOBODY}/history", {404}, f"No such image: {NOBODY}"),
    ("POST", f"/images/{NOBODY}/tag?repo=x", {404}, f"No such image: {NOBODY}"),
    ("POST", "/images/busybox/tag", {400}, ""),
    ("POST", "/images/busybox/tag?repo=x@sha256:" + "0" * 64, {400}, "digest"),
    ("POST", "/images/busybox/tag?repo=x&tag=a/b", {400}, ""),
    ("DELETE", f"/images/{NOBODY}?force=1", {404}, f"No such image: {NOBODY}"),
    ("DELETE", "/images/busybox", {409}, "is using its referenced image"),
    ("DELETE", "/images/UPPER", {400, 404}, ""),
    ("POST", "/images/busybox/push", {501}, "not supported"),
    ("GET", "/images/search?term=x", {501}, "not supported"),
    ("GET", "/distribution/UPPER/json", {400}, "lowercase"),
    ("POST", "/commit", {400, 404}, ""),
    ("POST", f"/commit?container={NOBODY}", {404}, "No such container"),
    ("POST", "/commit?container=box&repo=UPPER", {400}, "lowercase"),
    ("POST", "/commit?container=box&changes=NONSENSE+x", {400}, "NONSENSE"),
    ("POST", "/build", {404}, "Cannot locate specified Dockerfile"),
    # -- volumes
    ("GET", f"/volumes/{NOBODY}", {404}, "no such volume"),
    ("DELETE", f"/volumes/{NOBODY}", {404}, "no such volume"),
    ("DELETE", "/volumes/vol", {409}, "volume is in use"),
    ("DELETE", "/volumes/vol?force=1", {409}, "volume is in use"),
    ("PUT", "/volumes/vol", {503}, "swarm"),
    # -- the engine
    ("GET", "/events?since=x", {400}, "x"),
    ("GET", "/events?until=x", {400}, "x"),
    ("GET", "/events?since=1970-13-01", {400}, "1970-13-01"),
    ("GET", "/system/df?type=colour", {400}, "colour"),
    ("POST", "/auth", {400}, ""),
    ("POST", "/_ping", {404, 405}, ""),
    ("DELETE", "/version", {404, 405}, ""),
    ("GET", "/v1.99/version", {400}, "too new"),
    ("GET", "/v1.23/version", {400}, "too old"),
    ("GET", "/v1/version", {400, 404}, ""),
    ("GET", "/v1.51", {404}, "page not found"),
    ("GET", "/", {404}, "page not found"),
    ("PATCH", "/containers/box/json", {404, 405}, ""),
]


@pytest.mark.parametrize(("method", "path", "statuses", "words"), CALLS, ids=lambda value: str(value)[:60])
def test_calls(boxes: Engine, method: str, path: str, statuses: set[int], words: str) -> None:
    before = states(boxes)
    body = b"" if method == "PUT" else None
    if 200 in statuses:  # waits for ever: its client gives up
        with pytest.raises(TimeoutError):
            boxes.request(method, path, body, timeout=0.3)
    else:
        reply = boxes.request(method, path, body)
        if statuses & {304, 204}:
            assert reply[0] in statuses, reply
        else:
            assert words in sentence(reply, *statuses)
            assert states(boxes) == before


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/containers/box/attach?stream=1&detachKeys=nonsense-key", 400, "nonsense-key"),
        ("/containers/still/attach?stream=1", 409, "is paused"),
        (f"/containers/{NOBODY}/attach?stream=1", 404, "No such container"),
    ],
)
def test_attach_is_refused_in_plain_text(boxes: Engine, path: str, status: int, words: str) -> None:
    """As on the stream that it would have become."""
    given, headers, body = boxes.request("POST", path)
    assert (given, headers["content-type"]) == (status, "application/vnd.docker.raw-stream")
    assert words in body.decode()


def states(engine: Engine) -> list[str]:
    shown = engine.call("GET", "/containers/json?all=1")[1]
    volumes = engine.call("GET", "/volumes")[1]["Volumes"]
    kept = engine.call("GET", "/images/json?all=1")[1]
    return sorted(
        [f"{item['Names']} {item['State']}" for item in shown]
        + [item["Name"] for item in volumes]
        + [f"{item['Id']} {item['RepoTags']}" for item in kept]
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/containers/json"),
        ("POST", "/containers/prune"),
        ("GET", "/images/json"),
        ("POST", "/images/prune"),
        ("GET", "/volumes"),
        ("POST", "/volumes/prune"),
        ("GET", "/events"),
    ],
)
@pytest.mark.parametrize("filters", FILTERS)
def test_filters(boxes: Engine, method: str, path: str, filters: str) -> None:
    before = states(boxes)
    quoted = filters if filters.startswith("%") else "".join(f"%{byte:02x}" for byte in filters.encode())
    sentence(boxes.request(method, f"{path}?filters={quoted}"), 400)
    assert states(boxes) == before


@pytest.mark.parametrize(
    ("path", "filters"),
    [
        ("/containers/json", {"status": ["happy"]}),
        ("/containers/json", {"exited": ["x"]}),
        ("/containers/json", {"health": ["fine"]}),
        ("/containers/json", {"before": [NOBODY]}),
        ("/containers/json", {"since": [NOBODY]}),
        ("/containers/json", {"publish": ["99999"]}),
        ("/containers/json", {"is-task": ["perhaps"]}),
        ("/images/json", {"dangling": ["perhaps"]}),
        ("/images/json", {"before": [NOBODY]}),
        ("/images/json", {"since": [NOBODY]}),
        ("/images/json", {"until": ["tomorrow"]}),
        ("/volumes", {"dangling": ["perhaps"]}),
        ("/containers/prune", {"until": ["tomorrow"]}),
        ("/images/prune", {"until": ["tomorrow"]}),
        ("/images/prune", {"dangling": ["perhaps"]}),
        ("/volumes/prune", {"all": ["perhaps"]}),
    ],
    ids=str,
)
def test_values_of_filters(boxes: Engine, path: str, filters: dict[str, list[str]]) -> None:
    quoted = "".join(f"%{byte:02x}" for byte in json.dumps(filters).encode())
    method = "POST" if path.endswith("prune") else "GET"
    before = states(boxes)
    sentence(boxes.request(method, f"{path}?filters={quoted}"), 400, 404)
    assert states(boxes) == before


@pytest.mark.parametrize(
    "options",
    [
        {"Binds": ["/nowhere/../etc:/x:sideways"]},
        {"Binds": ["vol:/v", "vol:/v"]},
        {"Binds": [f"{LONG}:/v"]},
        {"Binds": ["v\x00l:/v"]},
        {"Mounts": [{"Type": "bind", "Source": "/no/where", "Target": "/x"}]},
        {"Mounts": [{"Type": "volume", "Source": "a b", "Target": "/x"}]},
        {"Mounts": [{"Type": "tmpfs", "Target": "x"}]},
        {"Mounts": [{"Type": "volume", "Target": "/x", "VolumeOptions": {"DriverConfig": {"Name": "none-such"}}}]},
        {"VolumesFrom": [NOBODY]},
        {"VolumesFrom": ["box:sideways"]},
        {"NetworkMode": f"container:{NOBODY}"},
        {"PidMode": f"container:{NOBODY}"},
        {"PidMode": "sideways"},
        {"IpcMode": f"container:{NOBODY}"},
        {"IpcMode": "sideways"},
        {"UTSMode": "sideways"},
        {"UsernsMode": "sideways"},
        {"CgroupnsMode": "sideways"},
        {"Runtime": "none-such"},
        {"LogConfig": {"Type": "none-such"}},
        {"LogConfig": {"Type": "json-file", "Config": {"colour": "red"}}},
        {"LogConfig": {"Type": "json-file", "Config": {"max-size": "much"}}},
        {"LogConfig": {"Type": "json-file", "Config": {"max-file": "0"}}},
        {"RestartPolicy": {"Name": "sometimes"}},
        {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}},
        {"RestartPolicy": {"Name": "always"}, "AutoRemove": True},
        {"CapAdd": ["NONE_SUCH"]},
        {"CapDrop": ["NONE_SUCH"]},
        {"SecurityOpt": ["none-such"]},
        {"SecurityOpt": ["seccomp={"]},
        {"Ulimits": [{"Name": "none-such", "Soft": 1, "Hard": 1}]},
        {"Ulimits": [{"Name": "nofile", "Soft": 2, "Hard": 1}]},
        {"Memory": 1 << 10},
        {"Memory": -5},
        {"MemorySwap": 1 << 30},
        {"Memory": 64 << 20, "MemorySwap": 32 << 20},
        {"Memory": 64 << 20, "MemoryReservation": 128 << 20},
        {"MemorySwappiness": 500},
        {"NanoCpus": -1},
        {"NanoCpus": 10**15},
        {"NanoCpus": 10**9, "CpuQuota": 1000},
        {"CpuPeriod": 5},
        {"CpuQuota": 5},
        {"CpusetCpus": "x"},
        {"CpusetCpus": "0-9999"},
        {"CpusetMems": "77"},
        {"OomScoreAdj": 2000},
        {"ShmSize": -1},
        {"BlkioWeight": 5},
        {"Sysctls": {"kernel.none_such": "1"}},
        {"Devices": [{"PathOnHost": "/dev/none-such", "PathInContainer": "/dev/x", "CgroupPermissions": "rwm"}]},
        {"Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "xyz"}]},
        {"DeviceCgroupRules": ["nonsense"]},
        {"ExtraHosts": ["nonsense"]},
        {"ExtraHosts": ["a:not-an-address"]},
        {"Dns": ["not-an-address"]},
        {"Links": [NOBODY]},
        {"Links": [f"{NOBODY}:alias"]},
        {"Tmpfs": {"relative": ""}},
        {"Tmpfs": {"/t": "nonsense=1"}},
        {"StorageOpt": {"size": "much"}},
        {"CgroupParent": "../../x"},
        {"PortBindings": {"80/icmp": [{}]}},
        {"PortBindings": {"70000/tcp": [{}]}},
        {"PortBindings": {"80/tcp": [{"HostPort": "99999"}]}},
        {"PortBindings": {"80-90/tcp": [{"HostPort": "1-2"}]}},
        {"DeviceRequests": [{"Driver": "none-such", "Count": 1}]},
    ],
    ids=str,
)
def test_options_that_cannot_be(boxes: Engine, options: dict[str, object]) -> None:
    """Refused at create or, where Docker looks no earlier, at start; nothing of it stays."""
    before = states(boxes)
    status, made = boxes.call("POST", "/containers/create?name=new", {"Image": "busybox", "HostConfig": options})
    if status == 201:
        reply = boxes.request("POST", "/containers/new/start")
        sentence(reply, 400, 403, 404, 409, 500)
        assert boxes.call("GET", "/containers/new/json")[1]["State"]["Status"] in ("created", "exited")
        assert boxes.call("DELETE", "/containers/new?v=1")[0] == 204
    else:
        sentence((status, {}, json.dumps(made).encode()), 400, 403, 404, 409)
    assert states(boxes) == before


@pytest.mark.parametrize("name", ["idle", "box", "a b", "/a/b", "-x", "ä", "a\nb", "x" * 3000])
def test_names_that_are_taken_or_cannot_be(boxes: Engine, name: str) -> None:
    quoted = "".join(f"%{byte:02x}" for byte in name.encode())
    before = states(boxes)
    sentence(boxes.request("POST", f"/containers/create?name={quoted}", {"Image": "busybox"}), 400, 409)
    sentence(boxes.request("POST", f"/containers/idle/rename?name={quoted}"), 400, 409)
    assert states(boxes) == before


@pytest.mark.parametrize(
    "body",
    [
        {"Name": "vol", "DriverOpts": {"type": "tmpfs", "device": "tmpfs"}},
        {"Name": "new", "Driver": "none-such"},
        {"Name": "new", "DriverOpts": {"colour": "red"}},
        {"Name": "new", "DriverOpts": {"device": "/dev/null"}},
        {"Name": "-new"},
        {"Name": "new", "Labels": {"a": 7}},
        {"Name": LONG},
    ],
    ids=str,
)
def test_volumes_that_cannot_be(boxes: Engine, body: dict[str, object]) -> None:
    before = states(boxes)
    sentence(boxes.request("POST", "/volumes/create", body), 400, 404, 409)
    assert states(boxes) == before


def test_a_volume_that_cannot_be_mounted(boxes: Engine) -> None:
    boxes.call("POST", "/volumes/create", {"Name": "broken", "DriverOpts": {"type": "none-such", "device": "/x"}})
    status, _ = boxes.call(
        "POST", "/containers/create?name=new", {"Image": "busybox", "HostConfig": {"Binds": ["broken:/b"]}}
    )
    assert status == 201
    message = sentence(boxes.request("POST", "/containers/new/start"), 400, 500)
    assert "error while mounting volume" in message
    assert boxes.call("DELETE", "/containers/new")[0] == 204
    assert boxes.call("DELETE", "/volumes/broken")[0] == 204


@pytest.mark.parametrize("header", ["rubbish", "e30=", "bnVsbA==", base64.b64encode(b'{"username":7}').decode(), "{}"])
def test_credentials_that_are_none(engine: Engine, header: str) -> None:
    """They count as none, as in dockerd: the registry has the last word."""
    reply = engine.request("POST", "/images/create?fromImage=127.0.0.1:1/x&tag=y", headers={"X-Registry-Auth": header})
    assert "refused" in sentence(reply, 500, 503)


# -- bodies


@pytest.mark.parametrize(
    "path", ["/containers/create", "/volumes/create", "/containers/box/exec", "/auth", "/commit?container=box"]
)
def test_bodies_of_another_type(boxes: Engine, path: str) -> None:
    body = b'{"Image": "busybox", "Name": "new", "Cmd": ["true"]}'
    sentence(boxes.request("POST", path, body, headers={"Content-Type": "text/plain"}), 400)
    sentence(boxes.request("POST", path, b"x" * (10 << 20)), 400, 413)
    sentence(boxes.request("POST", path, b"[" * 200_000), 400)
    sentence(boxes.request("POST", path, b'{"Image":"\xff"}'), 400)


def test_a_body_in_chunks(engine: Engine) -> None:
    """Go's and docker-py's clients send some bodies so."""
    with raw(engine) as link:
        link.sendall(
            b"POST /volumes/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b'Transfer-Encoding: chunked\r\n\r\n8\r\n{"Name":\r\n6\r\n"vol"}\r\n0\r\n\r\n'
        )
        assert link.recv(4096).startswith(b"HTTP/1.1 201")


@pytest.mark.parametrize(
    "chunks", [b"zz\r\n", b"-5\r\nhello\r\n", b"5\r\nhello world\r\n0\r\n\r\n", b"f" * 18 + b"\r\n"]
)
def test_chunks_that_are_none(engine: Engine, chunks: bytes) -> None:
    with raw(engine) as link:
        link.sendall(
            b"POST /volumes/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + chunks
        )
        link.shutdown(socket.SHUT_WR)
        assert link.recv(4096)[9:12] in (b"", b"400")
    assert engine.call("GET", "/volumes")[1]["Volumes"] == []


# -- archives


def members(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for entry, content in entries:
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def link_to(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry, b""


def file(name: str, content: bytes = b"x") -> tuple[tarfile.TarInfo, bytes]:
    return tarfile.TarInfo(name), content


GOOD = members(file("a", b"a" * 5000), file("b", b"b" * 5000))
HOSTILE: dict[str, Callable[[Path], bytes]] = {
    "climbs": lambda place: members(file(f"../../../../../../{place}/stolen")),
    "absolute": lambda place: members(file(f"{place}/stolen")),
    "through a link": lambda place: members(link_to("out", str(place)), file("out/stolen")),
    "hard link out": lambda place: members(link_to("out", "../../../../../../etc/passwd", tarfile.LNKTYPE)),
    "link to itself": lambda _: members(link_to("a", "a"), file("a/b")),
    "file as directory": lambda _: members(file("a"), file("a/b")),
    "long name": lambda _: members(file("/".join(["d" * 200] * 30))),
    "name of 300": lambda _: members(file("n" * 300)),
    "cut": lambda _: GOOD[:7000],
    "cut header": lambda _: GOOD[:300],
    "checksum": lambda _: b"b" + GOOD[1:],
    "size without end": lambda _: GOOD[:124] + b"77777777777\0" + GOOD[136:],
    "gzip cut": lambda _: __import__("gzip").compress(GOOD)[:-20],
    "xz cut": lambda _: __import__("lzma").compress(GOOD)[:-20],
    "zeros": lambda _: bytes(10240),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("target", ["box", "idle"])
def test_archives_into_containers(boxes: Engine, kind: str, target: str) -> None:
    place = boxes.base / "outside"
    place.mkdir(exist_ok=True)
    reply = boxes.request("PUT", f"/containers/{target}/archive?path=/root", HOSTILE[kind](place))
    if reply[0] != 200:
        sentence(reply, 400, 403, 404, 500)
    assert not list(place.iterdir())
    assert boxes.call("GET", f"/containers/{target}/json")[0] == 200


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("how", ["layer", "import", "archive"])
def test_archives_as_images(engine: Engine, kind: str, how: str) -> None:
    place = engine.base / "outside"
    place.mkdir(exist_ok=True)
    before = states(engine)
    content = HOSTILE[kind](place)
    match how:
        case "layer":
            image = images.Recipe(names=["hostile:1"], layers=[content])
            reply = engine.request("POST", "/images/load", images.archive([image]))
        case "import":
            reply = engine.request("POST", "/images/create?fromSrc=-&repo=hostile&tag=1", content)
        case _:
            reply = engine.request("POST", "/images/load", content)
    if reply[0] != 200:
        sentence(reply, 400, 500)
    engine.request("DELETE", "/images/hostile:1?force=1")
    assert states(engine) == before
    assert not list(place.iterdir())


MANIFESTS = {
    "no list": {},
    "no config": [{"Layers": []}],
    "config missing": [{"Config": "none.json", "Layers": [], "RepoTags": ["x:1"]}],
    "layer missing": [{"Config": "config.json", "Layers": ["none.tar"], "RepoTags": ["x:1"]}],
    "climbing layer": [{"Config": "config.json", "Layers": ["../../../etc/passwd"], "RepoTags": ["x:1"]}],
    "too few layers": [{"Config": "config.json", "Layers": [], "RepoTags": ["x:1"]}],
    "bad name": [{"Config": "config.json", "Layers": ["layer.tar"], "RepoTags": ["UPPER:1"]}],
    "wrong types": [{"Config": 7, "Layers": "x", "RepoTags": 5}],
    "text": "text",
}
CONFIGS: dict[str, object] = {
    "no object": [],
    "other system": {"os": "windows", "rootfs": {"type": "layers", "diff_ids": []}},
    "wrong digest": {"os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]}},
    "no digest": {"os": "linux", "rootfs": {"type": "layers", "diff_ids": ["../../x"]}},
    "wrong types": {"os": "linux", "config": {"Env": {"a": 1}}, "rootfs": {"type": "layers", "diff_ids": 7}},
}


def docker_archive(manifest: object, config: object) -> bytes:
    out = images.Layer().file("layer.tar", GOOD).file("config.json", json.dumps(config))
    return out.file("manifest.json", json.dumps(manifest)).bytes()


@pytest.mark.parametrize("kind", [*MANIFESTS, *(f"config: {kind}" for kind in CONFIGS)])
def test_manifests(engine: Engine, kind: str) -> None:
    before = states(engine)
    whole = [{"Config": "config.json", "Layers": ["layer.tar"], "RepoTags": ["x:1"]}]
    layers = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(GOOD).hexdigest()}"]}
    good: object = {"os": "linux", "architecture": "amd64", "rootfs": layers}
    packed = docker_archive(MANIFESTS.get(kind, whole), CONFIGS.get(kind.removeprefix("config: "), good))
    status, _, body = engine.request("POST", "/images/load", packed)
    if status == 200:
        assert b'"error"' in body
    else:
        sentence((status, {}, body), 400, 500)
    assert states(engine) == before


# -- clients that go


def raw(engine: Engine) -> socket.socket:
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(5)
    link.connect(engine.socket)
    return link


def upgrade(path: str, body: bytes = b"") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def streams(engine: Engine) -> Iterator[bytes]:
    """Calls that go on for as long as the client wants."""
    made = engine.call("POST", "/containers/box/exec", {"Cmd": ["cat"], "AttachStdin": True, "AttachStdout": True})[1]
    yield upgrade(f"/exec/{made['Id']}/start", b"{}") + b"input"
    noisy = {"Cmd": ["sh", "-c", "while :; do echo y; done"], "AttachStdout": True}
    made = engine.call("POST", "/containers/box/exec", noisy)[1]
    yield upgrade(f"/exec/{made['Id']}/start", b"{}")
    yield upgrade("/containers/box/attach?stream=1&stdin=1&stdout=1&logs=1") + b"input"
    yield upgrade("/containers/idle/attach?stream=1&stdout=1")
    yield b"GET /containers/box/attach/ws?stream=1&stdin=1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"  # noqa: E501
    yield b"GET /containers/box/stats HTTP/1.1\r\nHost: x\r\n\r\n"
    yield b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n"
    yield b"POST /containers/box/wait HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    yield b"GET /containers/box/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: x\r\n\r\n"
    yield b"GET /containers/box/archive?path=/ HTTP/1.1\r\nHost: x\r\n\r\n"
    yield b"GET /images/get?names=debian&names=nginx HTTP/1.1\r\nHost: x\r\n\r\n"
    yield b"POST /images/create?fromSrc=-&repo=half HTTP/1.1\r\nHost: x\r\nContent-Length: 10240\r\n\r\n" + GOOD[:3000]
    yield b"POST /images/create?fromImage=198.51.100.9/x&tag=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    yield b"POST /commit?container=box&repo=half HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nnu"


def open_files(engine: Engine) -> int:
    return len(os.listdir(f"/proc/{engine.pid}/fd"))


@pytest.mark.parametrize("how", ["reset", "close", "half-close"])
def test_torn_off(boxes: Engine, how: str) -> None:
    before, threads = open_files(boxes), len(os.listdir(f"/proc/{boxes.pid}/task"))
    kept = states(boxes)
    links = []
    for request in streams(boxes):
        link = raw(boxes)
        link.sendall(request)
        links.append(link)
    time.sleep(0.5)
    for link in links:
        if how == "reset":
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if how == "half-close":
            link.shutdown(socket.SHUT_WR)
            time.sleep(0.02)
        link.close()
    wait_until(lambda: open_files(boxes) <= before + 2, "descriptors are closed again", seconds=15)
    wait_until(lambda: len(os.listdir(f"/proc/{boxes.pid}/task")) <= threads + 8, "threads have ended", seconds=15)
    assert states(boxes) == kept
    assert boxes.execute("box", "echo", "alive") == "alive\n"


def test_a_client_that_does_not_read(boxes: Engine) -> None:
    """Output without end to somebody who takes none of it: the engine stays small and answers others."""
    noisy = {
        "Cmd": ["sh", "-c", "while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done"],
        "AttachStdout": True,
    }
    made = boxes.call("POST", "/containers/box/exec", noisy)[1]
    with raw(boxes) as link:
        link.sendall(upgrade(f"/exec/{made['Id']}/start", b"{}"))
        time.sleep(1.5)
        size = memory(boxes)
        time.sleep(1.5)
        assert memory(boxes) - size < 8 << 20
        assert boxes.call("GET", "/version")[0] == 200


def memory(engine: Engine) -> int:
    return int(Path(f"/proc/{engine.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
