"""Bad input at every call: the right status, one sentence, nothing left behind."""

from __future__ import annotations

import json
import socket
import struct
import time

import pytest

from harness.engine import Engine, wait_until

BODIES = {
    "/containers/create": {"Image": "busybox"},
    "/containers/box/update": {"Memory": 1 << 26},
    "/containers/box/exec": {"Cmd": ["true"]},
    "/networks/create": {"Name": "n"},
    "/networks/bridge/connect": {"Container": "box"},
    "/networks/bridge/disconnect": {"Container": "box"},
    "/volumes/create": {"Name": "vol"},
    "/auth": {"username": "u", "password": "p"},
}


@pytest.fixture
def one(engine: Engine) -> Engine:
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    return engine


def sentence(status: int, body: bytes, *expected: int) -> str:
    """The message of an error reply, which is JSON with exactly that."""
    assert status in expected, (status, body)
    found = json.loads(body)
    assert list(found) == ["message"]
    message = str(found["message"])
    assert message
    assert "Traceback" not in message
    return message


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff\xfe", b"{} {}", b'{"a": NaN}'], ids=repr)
def test_bodies_that_are_no_json_object(one: Engine, path: str, body: bytes) -> None:
    status, _, reply = one.request("POST", path, body, headers={"Content-Type": "application/json"})
    # Where nothing is required, an empty body asks for the defaults.
    if status >= 300 or body not in (b"", b'{"a": NaN}'):
        sentence(status, reply, 400, 401, 404, 500 if path == "/auth" else 400)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/containers/create", {"Image": 7}),
        ("/containers/create", {"Image": ["busybox"]}),
        ("/containers/create", {}),
        ("/containers/create", {"Image": "busybox", "Cmd": {"a": 1}}),
        ("/containers/create", {"Image": "busybox", "Env": "A=b"}),
        ("/containers/create", {"Image": "busybox", "Labels": ["a"]}),
        ("/containers/create", {"Image": "busybox", "HostConfig": []}),
        ("/containers/create", {"Image": "busybox", "HostConfig": {"Memory": "lots"}}),
        ("/containers/create", {"Image": "busybox", "HostConfig": {"PortBindings": {"http": [{"HostPort": "80"}]}}}),
        ("/containers/create", {"Image": "busybox", "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "x"}]}}}),
        ("/containers/create", {"Image": "busybox", "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "x"}]}}}),
        ("/containers/create", {"Image": "busybox", "HostConfig": {"Binds": ["a"]}}),
        ("/containers/create", {"Image": "busybox", "HostConfig": {"Mounts": [{"Type": "magic", "Target": "/x"}]}}),
        ("/containers/create", {"Image": "busybox", "ExposedPorts": {"99999/tcp": {}}}),
        ("/containers/create", {"Image": "busybox", "StopSignal": "FLAG"}),
        ("/containers/create", {"Image": "busybox", "HostConfig": {"NetworkMode": "container:"}}),
        ("/containers/create", {"Image": "Not A Reference!"}),
        ("/containers/box/update", {"Memory": "lots"}),
        ("/containers/box/exec", {"Cmd": []}),
        ("/containers/box/exec", {"Cmd": "true"}),
        ("/networks/create", {}),
        ("/networks/create", {"Name": 5}),
        ("/networks/create", {"Name": "n", "IPAM": {"Config": [{"Subnet": "300.1.1.0/24"}]}}),
        ("/networks/create", {"Name": "n", "IPAM": {"Config": [{"Subnet": "10.0.0.0/33"}]}}),
        ("/networks/create", {"Name": "n", "IPAM": {"Config": [{"Subnet": "10.0.0.0/24", "Gateway": "10.0.1.1"}]}}),
        ("/networks/create", {"Name": "n", "IPAM": {"Config": [{"Subnet": "10.0.0.0/24", "IPRange": "10.9.0.0/25"}]}}),
        ("/networks/create", {"Name": "n", "IPAM": {"Config": "x"}}),
        ("/networks/create", {"Name": "n", "Options": {"com.docker.network.driver.mtu": "-5"}}),
        ("/networks/create", {"Name": "n", "Labels": 3}),
        ("/networks/bridge/connect", {}),
        ("/networks/bridge/connect", {"Container": "box", "EndpointConfig": {"IPAMConfig": {"IPv4Address": "x"}}}),
        ("/volumes/create", {"Name": "a/b"}),
        ("/volumes/create", {"Name": 4}),
        ("/volumes/create", {"Name": "vol", "DriverOpts": {"size": "x", "colour": "red"}}),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else value,
)
def test_wrong_fields(one: Engine, path: str, body: dict[str, object]) -> None:
    status, _, reply = one.request("POST", path, body)
    sentence(status, reply, 400, 403, 404)
    assert one.out("ps", "-a", "--format", "{{.Names}}") == "box"
    assert one.out("network", "ls", "-q", "--filter", "type=custom") == ""
    assert one.out("volume", "ls", "-q") == ""


NAMES = ["nobody", "a%2fb", "..%2f..%2fetc", "%00", "a%0ab", "%2e%2e", "x" * 5000, "%ff", "{c}"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/containers/{}/json"),
        ("POST", "/containers/{}/start"),
        ("POST", "/containers/{}/stop"),
        ("GET", "/containers/{}/logs?stdout=1"),
        ("GET", "/containers/{}/top"),
        ("GET", "/containers/{}/archive?path=/"),
        ("DELETE", "/containers/{}"),
        ("POST", "/containers/{}/wait"),
        ("POST", "/containers/{}/attach?stream=1"),
        ("GET", "/exec/{}/json"),
        ("GET", "/networks/{}"),
        ("DELETE", "/networks/{}"),
        ("GET", "/images/{}/json"),
        ("DELETE", "/images/{}"),
        ("GET", "/volumes/{}"),
        ("DELETE", "/volumes/{}"),
    ],
)
def test_names_of_nothing(engine: Engine, method: str, path: str, name: str) -> None:
    status, _, reply = engine.request(method, path.format(name))
    assert status in (301, 400, 404)
    # A path with dots may be sent to its clean form; attach answers in plain text, as on the stream it would become.
    if status != 301 and "attach" not in path:
        sentence(status, reply, 400, 404)


@pytest.mark.parametrize("name", ["a/b", "../x", "a b", "\n", "", "-a", ".a", "ä", "a\0b"])
def test_names_that_cannot_be(engine: Engine, name: str) -> None:
    from urllib.parse import quote

    if name:
        status, _, reply = engine.request(
            "POST", f"/containers/create?name={quote(name, safe='')}", {"Image": "busybox"}
        )
        sentence(status, reply, 400)
        status, _, reply = engine.request("POST", "/volumes/create", {"Name": name})
        sentence(status, reply, 400)
    status, _, reply = engine.request("POST", "/networks/create", {"Name": name})
    # Docker itself is lax about network names: what it takes must also go away again.
    if status == 201:
        engine.request("DELETE", f"/networks/{json.loads(reply)['Id']}")
    else:
        sentence(status, reply, 400)
    assert engine.out("ps", "-aq") == ""


@pytest.mark.parametrize(
    "path",
    [
        "/containers/json?filters={",
        '/containers/json?filters={"colour":["red"]}',
        '/containers/json?filters={"status":["happy"]}',
        "/containers/json?limit=x",
        '/networks?filters={"colour":["red"]}',
        '/images/json?filters={"colour":["red"]}',
        '/volumes?filters={"colour":["red"]}',
        "/events?since=yesterday&until=0",
        "/containers/box/logs",
        "/containers/box/logs?stdout=1&tail=x&since=y",
        "/containers/box/archive",
    ],
)
def test_wrong_queries(one: Engine, path: str) -> None:
    status, _, reply = one.request("GET", path.replace('"', "%22").replace("{", "%7b"), timeout=10)
    # Docker takes any tail for "all" and any limit for none; what is refused is refused in one sentence.
    if status != 200:
        sentence(status, reply, 400)
    else:
        assert "limit=x" in path or "tail=x" in path


@pytest.mark.parametrize(
    ("method", "path", "statuses"),
    [
        ("GET", "/nothing", {404}),
        ("GET", "/v1.51/nothing", {404}),
        ("PUT", "/containers/json", {404, 405}),
        ("GET", "/v1.10/containers/json", {400}),
        ("GET", "/v9.9/containers/json", {400}),
        ("GET", "/services", {503}),
        ("GET", "/swarm", {503}),
        ("POST", "/containers/box/resize?h=x&w=1", {400}),
        ("POST", "/containers/box/kill?signal=FLAG", {400}),
        ("POST", "/containers/box/wait?condition=never", {400}),
        ("POST", "/containers/box/stop?t=soon", {400}),
        ("POST", "/containers/box/rename?name=", {400}),
        ("POST", "/containers/box/rename?name=a/b", {400}),
        ("POST", "/images/busybox/tag?repo=UPPER", {400}),
        ("POST", "/images/create?fromImage=UPPER", {400}),
        ("GET", "/containers/box/archive?path=/missing", {404}),
    ],
)
def test_wrong_calls(one: Engine, method: str, path: str, statuses: set[int]) -> None:
    status, _, reply = one.request(method, path)
    sentence(status, reply, *statuses)


def test_the_words_of_unknown_pages(engine: Engine) -> None:
    assert engine.call("GET", "/nothing") == (404, {"message": "page not found"})


@pytest.mark.parametrize("path", ["/containers/create", "/networks/create", "/volumes/create"])
def test_ten_megabytes_of_json(engine: Engine, path: str) -> None:
    body = {"Name": "n", "Image": "busybox", "Labels": {"a": "x" * (10 << 20)}}
    status, _, reply = engine.request("POST", path, body)
    if status >= 300:
        sentence(status, reply, 400, 413)
    assert engine.call("GET", "/_ping".replace("_ping", "version"))[0] == 200


def test_deeply_nested_json(engine: Engine) -> None:
    body = b'{"Labels":' * 15000 + b"1" + b"}" * 15000
    status, _, reply = engine.request("POST", "/networks/create", body, headers={"Content-Type": "application/json"})
    sentence(status, reply, 400)


@pytest.mark.parametrize(
    "content",
    [b"rubbish", b"\x1f\x8b rubbish", b"\0" * 1024, b"x" * 5000, b"BZh9rubbish"],
    ids=lambda content: repr(content[:6]),
)
@pytest.mark.parametrize(
    "path", ["/images/load", "/containers/box/archive?path=/tmp", "/images/create?fromSrc=-&repo=bad"]
)
def test_broken_tars(one: Engine, path: str, content: bytes) -> None:
    method = "PUT" if "archive" in path else "POST"
    status, _, reply = one.request(method, path, content, headers={"Content-Type": "application/x-tar"})
    if content == b"\0" * 1024 and status == 200:
        # An empty archive is an archive.
        one.docker("rmi", "bad", check=False)
        return
    if status == 200:
        assert b'"error"' in reply
    else:
        sentence(status, reply, 400, 500)
    assert "bad" not in one.out("images", "--format", "{{.Repository}}").split()


def raw(engine: Engine) -> socket.socket:
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(5)
    link.connect(engine.socket)
    return link


def reset(link: socket.socket) -> None:
    """Closes with everything unread, as a client that was killed."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    link.close()


@pytest.mark.parametrize(
    "text",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"\xff" * 100 + b"\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=lambda text: repr(text[:8]),
)
def test_what_is_not_http(engine: Engine, text: bytes) -> None:
    with raw(engine) as link:
        link.sendall(text)
        link.shutdown(socket.SHUT_WR)
        reply = link.recv(65536)
    assert reply == b"" or reply.startswith((b"HTTP/1.1 4", b"HTTP/1.1 505", b"HTTP/1.0 4"))
    assert engine.call("GET", "/version")[0] == 200


@pytest.mark.parametrize(
    "head",
    [
        "GET /events HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /containers/box/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /containers/box/stats HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /containers/box/wait HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        "POST /containers/box/attach?stream=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
        "GET /containers/box/export HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /images/busybox/get HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nhalf",
        "PUT /containers/box/archive?path=/tmp HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
        "POST /networks/create HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
    ],
    ids=lambda head: head.split(" HTTP")[0],
)
@pytest.mark.parametrize("how", ["reset", "half-close"])
def test_clients_that_go_in_the_middle(one: Engine, head: str, how: str) -> None:
    before = open_files(one)
    links = [raw(one) for _ in range(5)]
    for link in links:
        link.sendall(head.encode())
    time.sleep(0.2)
    for link in links:
        if how == "reset":
            reset(link)
        else:
            link.shutdown(socket.SHUT_WR)
    time.sleep(0.1)
    for link in links:
        link.close()
    assert one.call("GET", "/version")[0] == 200
    wait_until(lambda: open_files(one) <= before, f"its descriptors are closed again ({before})", seconds=8)


def open_files(engine: Engine) -> int:
    import os

    return len(os.listdir(f"/proc/{engine.pid}/fd"))


def test_the_log_has_no_tracebacks(engine: Engine) -> None:
    """Last of this module: whatever came before was an expected refusal, not a bug."""
    assert "Traceback" not in engine.log.read_text()
