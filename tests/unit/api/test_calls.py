"""Calls answered at once: headers, versions, statuses, and what bad input is told."""

from __future__ import annotations

import base64
import json
import socket
import time
from urllib.parse import quote

import pytest

from unit.api.conftest import Api, read_all


def test_ping_and_the_headers_of_every_answer(api: Api) -> None:
    for method, body in (("GET", b"OK"), ("HEAD", b"")):
        answer = api.call(method, "/_ping")
        assert (answer.status, answer.body) == (200, body)
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-cache, no-store, must-revalidate"
        assert answer.headers["Swarm"] == "inactive"
        assert answer.headers["Builder-Version"] == "1"
    for path in ("/v1.30/version", "/nowhere", "/containers/x/json"):
        headers = api.call("GET", path).headers
        assert (headers["Api-Version"], headers["Ostype"]) == ("1.51", "linux")
        assert headers["Docker-Experimental"] == "false"
        assert headers["Server"].endswith("(linux)")
        assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/v1.23/version", 400, "client version 1.23 is too old. Minimum supported API version is 1.24"),
        ("/v1.52/version", 400, "client version 1.52 is too new. Maximum supported API version is 1.51"),
        ("/v9999.1/version", 400, "is too new"),
        ("/v1/version", 400, "invalid API version 1"),
        ("/v1.51/nothing", 404, "page not found"),
        ("/", 404, "page not found"),
        ("/v1.51", 404, "page not found"),
        ("/containers//json/x", 404, "page not found"),
        ("/containers/../json", 404, "No such container: .."),
        ("/services", 503, "This node is not a swarm manager."),
        ("/swarm", 503, "This node is not a swarm manager."),
        ("/images/search?term=x", 501, "not supported"),
        ("/plugins/x/json", 404, 'plugin "x" not found'),
    ],
)
def test_paths_that_lead_nowhere(api: Api, path: str, status: int, message: str) -> None:
    answer = api.call("GET", path)
    assert answer.status == status
    assert message in answer.message


def test_every_version_and_doubled_slashes_are_served(api: Api) -> None:
    for minor in range(24, 52):
        assert api.call("GET", f"/v1.{minor}/networks").status == 200
    assert api.call("GET", "/v1.51//containers///json").json == []
    assert api.call("POST", "/containers/json").message == "page not found"


def test_json_ends_with_a_newline(api: Api) -> None:
    assert api.call("GET", "/containers/json").body == b"[]\n"
    assert api.call("GET", "/plugins").body == b"[]\n"
    assert api.call("POST", "/build/prune").json == {"CachesDeleted": None, "SpaceReclaimed": 0}


def create(api: Api, body: object, query: str = "", version: str = "/v1.51"):
    return api.call("POST", f"{version}/containers/create{query}", body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "invalid JSON: got EOF while reading request body"),
        (b"{", "invalid JSON"),
        (b'{"Image":"\xff"}', "invalid JSON"),
        (b"[]", "invalid JSON: request body must be an object, not a list"),
        (b"null", "request body must be an object, not null"),
        (b"{} x", "invalid JSON"),
        (b'{"a":' + b"[" * 100_000, "invalid JSON"),
        ({}, "config cannot be empty in order to create a container"),
        ({"Cmd": ["x"]}, "no image specified"),
        ({"Image": 5}, "Image must be a string, not a number"),
        ({"Image": "busybox", "Cmd": 1}, "Cmd must be a list, not a number"),
        ({"Image": "busybox", "Env": ["=x"]}, "invalid environment variable: =x"),
        ({"Image": "busybox", "Cmd": ["a\x00b"]}, "NUL character"),
        ({"Image": "busybox", "Labels": {"a": 1}}, "Labels[...] must be a string, not a number"),
        ({"Image": "busybox", "HostConfig": []}, "HostConfig must be an object, not a list"),
        ({"Image": "busybox", "HostConfig": {"Dns": "1.1.1.1"}}, "HostConfig.Dns must be a list, not a string"),
        ({"Image": "busybox", "HostConfig": {"Dns": ["x"]}}, "invalid DNS server address x"),
        ({"Image": "busybox", "HostConfig": {"Memory": 2**70}}, "Memory is out of range"),
        ({"Image": "busybox", "HostConfig": {"Memory": 1024}}, "Minimum memory limit allowed is 6MB"),
        ({"Image": "busybox", "HostConfig": {"PortBindings": {"80/foo": []}}}, 'invalid port specification: "80/foo"'),
        ({"Image": "busybox", "HostConfig": {"PortBindings": {"99999": []}}}, 'invalid port specification: "99999"'),
        ({"Image": "busybox", "HostConfig": {"PortBindings": {"80": [{"HostPort": "1-"}]}}}, "invalid port"),
        ({"Image": "busybox", "HostConfig": {"PortBindings": {"80": [{"HostIp": "::x"}]}}}, "not an IP address"),
        ({"Image": "busybox", "HostConfig": {"NetworkMode": "container:"}}, "invalid container format"),
        ({"Image": "busybox", "HostConfig": {"PidMode": "x"}}, "invalid PID mode: x"),
        ({"Image": "busybox", "HostConfig": {"RestartPolicy": {"Name": "never"}}}, "unknown policy 'never'"),
        ({"Image": "busybox", "StopSignal": "NOPE"}, "invalid signal: NOPE"),
        ({"Image": "busybox", "WorkingDir": "rel"}, "needs to be an absolute path"),
        ({"Image": "busybox", "MacAddress": "zz"}, "invalid MAC address"),
        (
            {
                "Image": "busybox",
                "NetworkingConfig": {"EndpointsConfig": {"bridge": {"IPAMConfig": {"IPv4Address": "x"}}}},
            },
            "invalid IPv4 address x",
        ),
    ],
)
def test_create_refuses(api: Api, body: object, message: str) -> None:
    answer = create(api, body)
    assert answer.status == 400
    assert message in answer.message
    assert "\n" not in answer.message
    assert api.engine.containers.known == {}


def test_create_finds_image_network_and_name(api: Api) -> None:
    assert create(api, {"Image": "nothing"}).message == "No such image: nothing:latest"
    missing = create(api, {"Image": "busybox", "HostConfig": {"NetworkMode": "net"}})
    assert (missing.status, missing.message) == (404, "network net not found")
    assert create(api, {"Image": "busybox"}, "?name=web").json["Warnings"] == []
    assert create(api, {"Image": "busybox"}, "?name=web").status == 409
    for name in ("a/b", "..", "a%00b", "%0a", "-x", "a" + "%F0%9F%90%B3"):
        assert create(api, {"Image": "busybox"}, f"?name={name}").status == 400


def test_create_wants_json(api: Api) -> None:
    answer = api.call("POST", "/containers/create", b"{}", {"Content-Type": "text/plain"})
    assert (answer.status, answer.message) == (
        400,
        "unsupported Content-Type header (text/plain): must be 'application/json'",
    )


def test_bodies_are_limited(api: Api) -> None:
    answer = create(api, {"Image": "busybox", "Labels": {"x": "y" * (10 << 20)}})
    assert (answer.status, answer.message) == (413, "request body too large: the limit is 8 MiB")
    assert create(api, {"Image": "busybox", "Labels": {"x": "y" * (7 << 20)}}).status == 201


def test_chunked_bodies_are_limited_and_understood(api: Api) -> None:
    sock = api.raw()
    head = (
        "POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    body = b'{"Image":"busybox"}'
    sock.sendall(head.encode() + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
    assert sock.recv(12) == b"HTTP/1.1 201"
    sock.close()


def test_version_gates_of_create(api: Api) -> None:
    several = {"Image": "busybox", "NetworkingConfig": {"EndpointsConfig": {"bridge": {}, "none": {}}}}
    refused = create(api, several, version="/v1.43")
    assert (refused.status, "multiple network endpoints" in refused.message) == (400, True)
    mac = {"Image": "busybox", "MacAddress": "02-42-AC-11-00-09"}
    for version, warnings in (("/v1.43", 0), ("/v1.44", 1)):
        made = create(api, mac, version=version).json
        assert len(made["Warnings"]) == warnings
        assert api.engine.containers.known[made["Id"]].spec.networks["bridge"].mac == "02:42:ac:11:00:09"
    old = create(api, {"Image": "busybox"}, version="/v1.39").json["Id"]
    host = api.engine.containers.known[old].host
    assert (host.cgroupns_mode, host.ipc_mode, host.network_mode) == ("host", "shareable", "bridge")


def test_inspect_by_version(api: Api) -> None:
    api.call("POST", "/networks/create", {"Name": "net"})
    identifier = api.container("sleep", HostConfig={"NetworkMode": "net"})
    new = api.call("GET", f"/v1.51/containers/{identifier[:12]}/json").json
    old = api.call("GET", f"/v1.44/containers/{identifier[:12]}/json").json
    assert new["NetworkSettings"]["Networks"]["net"]["Aliases"] is None
    assert old["NetworkSettings"]["Networks"]["net"]["Aliases"] == [identifier[:12]]
    assert new["NetworkSettings"]["Networks"]["net"]["DNSNames"][-1] == identifier[:12]
    assert new["NetworkSettings"]["IPAddress"] == ""
    assert "SizeRw" not in new
    assert api.call("GET", f"/containers/{identifier}/json?size=1").json["SizeRootFs"] == 2


def test_start_twice_and_with_a_body(api: Api) -> None:
    identifier = api.container("sleep")
    again = api.call("POST", f"/containers/{identifier}/start")
    assert (again.status, again.body) == (304, b"")
    refused = api.call("POST", f"/containers/{identifier}/start", {"Binds": ["/a:/b"]})
    assert (refused.status, "non-empty request body" in refused.message) == (400, True)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "start", 404),
        ("POST", "stop", 404),
        ("POST", "stop?t=x", 400),
        ("POST", "restart?t=1.5", 400),
        ("POST", "kill", 404),
        ("POST", "pause", 404),
        ("POST", "unpause", 404),
        ("POST", "rename?name=x", 404),
        ("POST", "wait", 404),
        ("POST", "resize?h=1&w=2", 404),
        ("POST", "resize?h=1", 400),
        ("POST", "resize?h=-1&w=70000", 400),
        ("GET", "json", 404),
        ("GET", "top", 404),
        ("GET", "changes", 404),
        ("GET", "logs?stdout=1", 404),
        ("GET", "stats", 404),
        ("GET", "stats?stream=0", 404),
        ("GET", "export", 404),
        ("GET", "archive?path=/x", 404),
        ("GET", "archive", 400),
        ("GET", "archive?path=%00", 400),
        ("HEAD", "archive?path=/x", 404),
        ("PUT", "archive?path=/x", 404),
        ("GET", "attach/ws", 404),
        ("DELETE", "", 404),
    ],
)
def test_unknown_containers_and_bad_parameters(api: Api, method: str, path: str, status: int) -> None:
    answer = api.call(method, f"/containers/nope/{path}".rstrip("/"))
    assert answer.status == status
    if method != "HEAD":
        assert answer.message


def test_list_with_filters_limit_and_size(api: Api) -> None:
    api.container("sleep")
    api.container("echo", start=False)
    assert len(api.call("GET", "/containers/json").json) == 1
    shown = api.call("GET", "/containers/json?all=true&size=1").json
    assert [entry["SizeRw"] for entry in shown] == [1, 1]
    assert shown[1]["Status"] == "Created"
    assert len(api.call("GET", "/containers/json?all=1&limit=1").json) == 1
    assert len(api.call("GET", "/containers/json?all=1&limit=-1").json) == 2
    for filters in ('{"name":["fake_0"]}', '{"name":{"fake_0":true}}'):
        assert len(api.call("GET", f"/containers/json?all=1&filters={quote(filters)}").json) == 1
    for filters, message in (
        ("{", "invalid filter: invalid JSON"),
        ("[]", "it must be a JSON object"),
        ('{"name":"x"}', "must be a list of strings"),
        ('{"name":[1]}', "must be a list of strings"),
        ('{"colour":["red"]}', "invalid filter 'colour'"),
    ):
        answer = api.call("GET", f"/containers/json?filters={quote(filters)}")
        assert (answer.status, message in answer.message) == (400, True), filters
    assert api.call("GET", "/containers/json?limit=x").status == 400


def test_update_pause_kill_remove(api: Api) -> None:
    identifier = api.container("sleep")
    assert api.call("POST", f"/containers/{identifier}/update", {"Memory": 1}).status == 400
    updated = api.call("POST", f"/containers/{identifier}/update", {"PidsLimit": 7, "RestartPolicy": {"Name": ""}})
    assert updated.json == {"Warnings": None}
    assert api.engine.containers.known[identifier].host.pids_limit == 7
    assert api.call("DELETE", f"/containers/{identifier}").status == 409
    assert api.call("POST", f"/containers/{identifier}/kill?signal=").status == 204
    stopped = api.call("POST", f"/containers/{identifier}/kill")
    assert (stopped.status, "is not running" in stopped.message) == (409, True)
    assert api.call("DELETE", f"/containers/{identifier}?force=1&v=1").status == 204


def test_archive_round_trip(api: Api) -> None:
    identifier = api.container("sleep")
    put = api.call(
        "PUT", f"/containers/{identifier}/archive?path=/f", b"t" * 300_000, {"Content-Type": "application/x-tar"}
    )
    assert (put.status, put.body) == (200, b"")
    got = api.call("GET", f"/containers/{identifier}/archive?path=/f")
    assert (got.body, got.headers["Content-Type"]) == (b"t" * 300_000, "application/x-tar")
    head = api.call("HEAD", f"/containers/{identifier}/archive?path=/f")
    stat = json.loads(base64.b64decode(head.headers["X-Docker-Container-Path-Stat"]))
    assert stat == {"name": "f", "size": 3, "mode": 0o644, "mtime": "2023-11-14T22:13:20Z", "linkTarget": ""}
    assert api.call("HEAD", f"/containers/{identifier}/archive?path=/none").status == 404


def test_an_upload_that_breaks_off_is_told_so(api: Api) -> None:
    identifier = api.container("sleep")
    sock = api.raw()
    sock.sendall(
        f"PUT /containers/{identifier}/archive?path=/f HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nhalf".encode()
    )
    sock.shutdown(socket.SHUT_WR)
    answer = read_all(sock)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"unexpected EOF" in answer
    assert api.engine.containers.archives == {}
    assert api.settles(lambda: api.connections == 0)


def test_a_reset_in_the_middle_of_an_upload_leaves_nothing(api: Api) -> None:
    identifier = api.container("sleep")
    for path in (f"PUT /containers/{identifier}/archive?path=/f", "POST /images/load", "POST /containers/create"):
        sock = api.raw()
        sock.sendall(f"{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\nhalf".encode())
        time.sleep(0.02)
        sock.close()
    assert api.settles(lambda: api.connections == 0)
    assert api.engine.containers.archives == {}
    assert len(api.engine.containers.known) == 1


def test_half_closed_requests_are_answered(api: Api) -> None:
    for request in (b"GET /info HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /images/json HTTP/1.0\r\n\r\n"):
        sock = api.raw()
        sock.sendall(request)
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock).startswith(b"HTTP/1.1 200" if b"1.1" in request else b"HTTP/1.0 200")
    identifier = api.container("echo", "x", Tty=True)
    api.call("POST", f"/containers/{identifier}/wait")
    sock = api.raw()
    sock.sendall(f"GET /containers/{identifier}/logs?stdout=1 HTTP/1.0\r\n\r\n".encode())
    sock.shutdown(socket.SHUT_WR)
    assert read_all(sock).endswith(b"\r\n\r\nx\n")


def test_garbage_is_not_http(api: Api) -> None:
    for garbage in (b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n"):
        sock = api.raw()
        sock.sendall(garbage)
        assert read_all(sock).startswith(b"HTTP/1.1 400") or read_all(sock) == b""
        sock.close()
    assert api.settles(lambda: api.connections == 0)


def test_an_upload_waits_for_100_continue(api: Api) -> None:
    identifier = api.container("sleep")
    sock = api.raw()
    sock.sendall(
        f"PUT /containers/{identifier}/archive?path=/f HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
        "Expect: 100-continue\r\n\r\n".encode()
    )
    assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    sock.sendall(b"abc")
    assert sock.recv(12) == b"HTTP/1.1 200"
    sock.close()


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 400, "invalid name: name is empty"),
        ({"Name": 5}, 400, "Name must be a string, not a number"),
        ({"Name": "a/b"}, 400, "invalid network name"),
        ({"Name": "bridge"}, 409, "network with name bridge already exists"),
        ({"Name": "net", "Driver": "foo"}, 404, "could not find plugin foo in v1 plugin registry: plugin not found"),
        ({"Name": "net", "IPAM": {"Config": [{"Subnet": "10.0.0.1/24"}]}}, 400, "it should be 10.0.0.0/24"),
        ({"Name": "net", "IPAM": {"Config": [{"Subnet": "10.0.0.0"}]}}, 400, "invalid CIDR block notation"),
        ({"Name": "net", "IPAM": {"Config": [{"Gateway": "x"}]}}, 400, "invalid gateway x: not an IP address"),
        ({"Name": "net", "IPAM": {"Config": [{"AuxiliaryAddresses": {"a": ""}}]}}, 400, "auxiliary address a"),
        ({"Name": "net", "IPAM": {"Config": {"Subnet": "x"}}}, 400, "IPAM.Config must be a list, not an object"),
        ({"Name": "net", "Options": {"a": 1}}, 400, "Options[...] must be a string, not a number"),
        ({"Name": "net", "Internal": "yes"}, 400, "Internal must be a boolean, not a string"),
    ],
)
def test_network_create_refuses(api: Api, body: object, status: int, message: str) -> None:
    answer = api.call("POST", "/networks/create", body)
    assert (answer.status, message in answer.message) == (status, True), answer.message
    assert len(api.engine.networks.by_name) == 3


def test_network_calls(api: Api) -> None:
    made = api.call(
        "POST", "/networks/create", {"Name": "net", "EnableIPv4": False, "EnableIPv6": True, "Options": None}
    )
    assert (made.status, made.json["Warning"]) == (201, "")
    identifier = made.json["Id"]
    assert api.engine.networks.find("net").spec.enable_ipv4 is False
    api.call("POST", "/v1.47/networks/create", {"Name": "old", "EnableIPv4": False})
    assert api.engine.networks.find("old").spec.enable_ipv4 is True
    container = api.container("sleep")
    assert api.call("POST", f"/networks/{identifier}/connect", {}).status == 400
    assert api.call("POST", f"/networks/{identifier}/connect", {"Container": "nope"}).status == 404
    bad = {"Container": container, "EndpointConfig": {"IPAMConfig": {"IPv6Address": "10.0.0.1"}}}
    assert (
        api.call("POST", "/networks/net/connect", bad).message == "invalid IPv6 address 10.0.0.1: not an IPv6 address"
    )
    good = api.call("POST", "/networks/net/connect", {"Container": container, "EndpointConfig": None})
    assert (good.status, good.body) == (200, b"")
    assert api.call("POST", "/networks/net/disconnect", {"Container": container}).status == 200
    shown = api.call("GET", "/networks/bridge?verbose=1").json
    assert shown["Containers"][container]["IPv4Address"] == "172.17.0.2/16"
    assert shown["Services"] == {}
    assert api.call("GET", "/networks/bridge?scope=swarm").status == 404
    assert api.call("DELETE", "/networks/bridge").status == 403
    assert api.call("DELETE", "/networks/net").status == 204
    assert api.call("POST", "/networks/prune").json == {"NetworksDeleted": ["old"]}
    assert api.call("POST", "/networks/prune").json == {"NetworksDeleted": None}


def test_image_calls(api: Api) -> None:
    api.engine.images.add("reg.test:5000/a/b:1")
    assert api.call("GET", "/images/reg.test:5000/a/b:1/json").json["RepoTags"] == ["reg.test:5000/a/b:1"]
    assert "VirtualSize" in api.call("GET", "/v1.43/images/json").json[0]
    assert "VirtualSize" not in api.call("GET", "/v1.44/images/json").json[0]
    assert "Hostname" in api.call("GET", "/v1.49/images/busybox/json").json["Config"]
    assert api.call("GET", "/images/busybox/json").json["Config"] == {"Cmd": ["sh"], "Env": ["PATH=/bin"]}
    history = api.call("GET", "/images/busybox/history").json
    assert [entry["CreatedBy"] for entry in history] == ["CMD", "ADD"]
    assert (history[0]["Tags"], history[1]["Id"]) == (["busybox:latest"], "<missing>")
    assert api.call("GET", "/images/nope/json").message == "No such image: nope:latest"
    assert api.call("POST", "/images/busybox/tag").message == "invalid reference format"
    assert api.call("POST", "/images/busybox/tag?repo=x&tag=2").status == 201
    assert api.call("GET", "/images/get").status == 400
    assert api.call("GET", "/images/get?names=busybox&names=x:2").body == b"tar of busybox,x:2"
    assert api.call("GET", "/images/reg.test:5000/a/b:1/get").body == b"tar of reg.test:5000/a/b:1"
    assert api.call("DELETE", "/images/reg.test:5000/a/b:1").json[0] == {"Untagged": "reg.test:5000/a/b:1"}
    assert api.call("POST", "/images/busybox/push").status == 501


def test_pull_progress_and_credentials(api: Api) -> None:
    header = base64.urlsafe_b64encode(json.dumps({"username": "me", "password": "s"}).encode()).decode()
    pulled = api.call("POST", "/images/create?fromImage=debian&tag=12", headers={"X-Registry-Auth": header})
    lines = [json.loads(line) for line in pulled.body.split(b"\r\n") if line]
    assert lines[1]["progressDetail"] == {"current": 512, "total": 1024}
    assert lines[1]["progress"] == "[" + "=" * 25 + ">" + " " * 25 + "]     512B/1.024kB"
    assert (api.engine.images.auth.username, api.engine.images.auth.password) == ("me", "s")
    api.call("POST", "/images/create?fromImage=debian&tag=12", headers={"X-Registry-Auth": "%%%"})
    assert api.engine.images.auth is None
    early = api.call("POST", "/images/create?fromImage=nowhere/x")
    assert (early.status, "pull access denied" in early.message) == (404, True)
    late = api.call("POST", "/images/create?fromImage=half/x")
    assert late.status == 200
    assert json.loads(late.body.split(b"\r\n")[-2]) == {
        "errorDetail": {"message": "manifest unknown"},
        "error": "manifest unknown",
    }
    assert api.call("POST", "/images/create").status == 400
    assert api.call("POST", "/images/create?fromSrc=http://x/y.tar").status == 400


def test_load_refuses_a_broken_archive(api: Api) -> None:
    answer = api.call("POST", "/images/load", b"broken", {"Content-Type": "application/x-tar"})
    assert (answer.status, answer.message) == (400, "archive/tar: invalid tar header")


def test_commit(api: Api) -> None:
    identifier = api.container("sleep")
    for body in (None, b"null", {"Cmd": "x"}):
        made = api.call("POST", f"/commit?container={identifier}&repo=new&tag=1", body)
        assert (made.status, made.json["Id"][:7]) == (201, "sha256:")
    assert api.call("POST", "/commit").status == 400
    assert api.call("POST", "/commit?container=nope").status == 404


def test_volume_calls(api: Api) -> None:
    assert api.call("POST", "/volumes/create", b"").status == 400
    assert len(api.call("POST", "/volumes/create", {}).json["Name"]) == 64
    assert api.call("POST", "/volumes/create", {"Name": "../x"}).status == 400
    assert api.call("POST", "/volumes/create", {"Name": "vol", "DriverOpts": None, "Labels": {"a": "b"}}).status == 201
    assert api.call("GET", "/volumes/vol").json["Labels"] == {"a": "b"}
    assert len(api.call("GET", "/volumes").json["Volumes"]) == 2
    assert api.call("GET", "/volumes/none").message == "get none: no such volume"
    assert api.call("DELETE", "/volumes/none").status == 404
    assert api.call("DELETE", "/volumes/none?force=1").status == 204
    assert api.call("POST", "/v1.42/volumes/prune").json["VolumesDeleted"] is None
    assert len(api.call("POST", "/v1.41/volumes/prune").json["VolumesDeleted"]) == 2


def test_exec_refuses(api: Api) -> None:
    identifier = api.container("sleep")
    assert api.call("POST", f"/containers/{identifier}/exec", {}).message == "No exec command specified"
    assert api.call("POST", f"/containers/{identifier}/exec", {"Cmd": ["a"], "Env": "x"}).status == 400
    assert api.call("POST", "/containers/nope/exec", {"Cmd": ["a"]}).status == 404
    stopped = api.container("sleep", start=False)
    assert api.call("POST", f"/containers/{stopped}/exec", {"Cmd": ["a"]}).status == 409
    assert api.call("GET", "/exec/nope/json").status == 404


def test_system_calls(api: Api) -> None:
    info = api.call("GET", "/v1.51/info").json
    assert (info["Swarm"]["LocalNodeState"], info["FirewallBackend"]["Driver"]) == ("inactive", "nftables")
    assert "FirewallBackend" not in api.call("GET", "/v1.48/info").json
    api.container("sleep")
    usage = api.call("GET", "/system/df?type=image&type=volume").json
    assert (usage["Containers"], usage["BuildCache"], len(usage["Images"])) == (None, None, 1)
    assert len(api.call("GET", "/system/df").json["Containers"]) == 1
    assert api.call("GET", "/system/df?type=x").status == 400
    assert api.call("POST", "/auth", {"username": 1}).status == 400
    assert api.call("POST", "/auth", {"username": "me", "serveraddress": "r"}).json["Status"] == "Login Succeeded me"


def test_a_bug_is_a_500_in_one_sentence(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    api.engine.system.info = None  # type: ignore[assignment]
    answer = api.call("GET", "/info")
    assert answer.status == 500
    assert answer.message.startswith("internal error: TypeError:")
    assert "unexpected TypeError" in caplog.text


def test_a_call_on_a_kept_connection_takes_well_under_a_millisecond(api: Api) -> None:
    sock = api.raw()
    request = b"GET /v1.51/_ping HTTP/1.1\r\nHost: x\r\n\r\n"
    times = []
    for _ in range(300):
        begin = time.perf_counter()
        sock.sendall(request)
        assert sock.recv(4096).endswith(b"OK")
        times.append(time.perf_counter() - begin)
    sock.close()
    assert sorted(times)[len(times) // 4] < 0.002
