"""The short verbs: what they send, what they print, how they fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.fakeengine import Call, FakeEngine, Reply, frame
from unit.cli.conftest import Outcome, Run


@pytest.fixture(autouse=True)
def box(engine: FakeEngine) -> None:
    """There is a container `web`, and nothing else."""

    def only_web(call: Call) -> Reply:
        name = call.path.split("/")[2]
        return Reply(None, 204) if name == "web" else Reply({"message": f"No such container: {name}"}, 404)

    engine.on("POST", "/containers/[^/]+/(stop|kill|restart|pause|unpause|rename)", only_web)
    engine.on("DELETE", "/containers/[^/]+", only_web)


@pytest.mark.parametrize(
    ("words", "path", "query"),
    [
        (["stop", "web"], "/containers/web/stop", {}),
        (["stop", "-t", "5", "-s", "INT", "web"], "/containers/web/stop", {"t": "5", "signal": "INT"}),
        (["restart", "--time=0", "web"], "/containers/web/restart", {"t": "0"}),
        (["kill", "-s", "HUP", "web"], "/containers/web/kill", {"signal": "HUP"}),
        (["pause", "web"], "/containers/web/pause", {}),
        (["unpause", "web"], "/containers/web/unpause", {}),
        (["rm", "-fv", "web"], "/containers/web", {"v": "1", "force": "1"}),
    ],
)
def test_verbs_on_containers(engine: FakeEngine, run: Run, words: list[str], path: str, query: dict[str, str]) -> None:
    assert run(*words) == Outcome(0, "web\n", "")
    assert (engine.calls[0].path, engine.calls[0].query) == (path, query)


@pytest.mark.parametrize("verb", ["stop", "kill", "restart", "pause", "unpause", "rm"])
def test_one_that_is_missing_does_not_keep_the_others(run: Run, verb: str) -> None:
    assert run(verb, "nope", "web") == Outcome(1, "web\n", "Error response from daemon: No such container: nope\n")


def test_force_makes_a_missing_container_no_failure(run: Run) -> None:
    assert run("rm", "-f", "nope") == Outcome(0, "", "Error response from daemon: No such container: nope\n")


def test_rename(engine: FakeEngine, run: Run) -> None:
    assert run("rename", "web", "new") == Outcome(0, "", "")
    assert engine.calls[0].query == {"name": "new"}
    assert run("rename", "web", " ").err == "Error: Neither old nor new names may be empty\n"


def test_wait(engine: FakeEngine, run: Run) -> None:
    engine.on("POST", "/containers/web/wait", Reply({"StatusCode": 3}))
    assert run("wait", "web") == Outcome(0, "3\n", "")


def test_update(engine: FakeEngine, run: Run) -> None:
    engine.on("POST", "/containers/web/update", Reply({"Warnings": []}))
    assert run("update", "-m", "1g", "--restart", "on-failure:3", "web") == Outcome(0, "web\n", "")
    assert engine.calls[0].json() == {
        "Memory": 1 << 30,
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
    }
    assert run("update", "web").err == "you must provide one or more flags when using this command\n"


def test_port(engine: FakeEngine, run: Run) -> None:
    ports = {
        "443/tcp": None,
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
    }
    engine.on("GET", "/containers/web/json", Reply({"NetworkSettings": {"Ports": ports}}))
    assert run("port", "web").out == "80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080\n"
    assert run("port", "web", "80").out == "0.0.0.0:8080\n[::]:8080\n"
    assert run("port", "web", "443").err == "Error: No public port '443' published for web\n"
    assert run("port", "web", "x").code == 1


def test_top_diff_and_history(engine: FakeEngine, run: Run) -> None:
    engine.on("GET", "/containers/web/top", Reply({"Titles": ["PID", "CMD"], "Processes": [["1", "sleep 9"]]}))
    assert run("top", "web", "-o", "pid,cmd").out == "PID                 CMD\n1                   sleep 9\n"
    assert engine.calls[0].query == {"ps_args": "-o pid,cmd"}
    changes = [{"Path": "/a", "Kind": 0}, {"Path": "/b", "Kind": 1}, {"Path": "/c", "Kind": 2}]
    engine.on("GET", "/containers/web/changes", Reply(changes))
    assert run("diff", "web").out == "C /a\nA /b\nD /c\n"
    layers = [{"Id": "<missing>", "Created": 0, "CreatedBy": "ADD x\ty", "Size": 4270000, "Comment": "c"}]
    engine.on("GET", "/images/x/history", Reply(layers))
    assert run("history", "x").out.splitlines()[1].split() == ["<missing>", "N/A", "ADD", "x", "y", "4.27MB", "c"]


def test_logs_are_taken_apart_again(engine: FakeEngine, run: Run) -> None:
    whole = frame(1, b"out\n") + frame(2, b"err\n") + frame(1, b"more\n")
    engine.on("GET", "/containers/web/json", Reply({"Id": "i", "Config": {"Tty": False}}))
    engine.on("GET", "/containers/i/logs", lambda _call: Reply(chunks=[whole[:3], whole[3:17], whole[17:]]))
    assert run("logs", "-n", "5", "-t", "--since", "100", "web") == Outcome(0, "out\nmore\n", "err\n")
    assert engine.calls[1].query == {
        "stdout": "1", "stderr": "1", "since": "100.000000000", "timestamps": "1", "tail": "5",
    }  # fmt: skip
    engine.on("GET", "/containers/web/json", Reply({"Id": "i", "Config": {"Tty": True}}))
    engine.on("GET", "/containers/i/logs", lambda _call: Reply(chunks=[b"raw \x01\x00 bytes"]))
    assert run("logs", "web").out == "raw \x01\x00 bytes"


def test_stats_of_one_moment(engine: FakeEngine, run: Run) -> None:
    sample = {
        "id": "f" * 64,
        "name": "/web",
        "cpu_stats": {"cpu_usage": {"total_usage": 200_000_000}, "system_cpu_usage": 20_000_000_000, "online_cpus": 2},
        "precpu_stats": {"cpu_usage": {"total_usage": 100_000_000}, "system_cpu_usage": 18_000_000_000},
        "memory_stats": {"usage": 52428800, "stats": {"inactive_file": 1048576}, "limit": 1 << 30},
        "networks": {"eth0": {"rx_bytes": 1234567, "tx_bytes": 89}},
        "blkio_stats": {"io_service_bytes_recursive": [{"op": "Read", "value": 1234}, {"op": "write", "value": 5}]},
        "pids_stats": {"current": 3},
    }
    engine.on("GET", "/containers/web/stats", Reply(sample))
    shown = run("stats", "--no-stream", "web").out.splitlines()
    assert shown[0].split("  ")[0] == "CONTAINER ID"
    assert shown[1].split() == (
        ["ffffffffffff", "web", "10.00%", "49MiB", "/", "1GiB", "4.79%", "1.23MB", "/", "89B", "1.23kB", "/", "5B", "3"]
    )
    assert run("stats", "--no-stream", "--format", "{{.Container}} {{.CPUPerc}}", "web").out == "web 10.00%\n"


def test_events(engine: FakeEngine, run: Run) -> None:
    event = {
        "Type": "network", "Action": "connect", "time": 1767323045, "timeNano": 1767323045000000005,
        "Actor": {"ID": "n", "Attributes": {"type": "bridge", "container": "c"}},
    }  # fmt: skip
    engine.on("GET", "/events", lambda _call: Reply(chunks=[json.dumps(event).encode() + b"\n"]))
    outcome = run("events", "--since", "1", "--until", "2", "-f", "type=network")
    assert outcome.out.partition(" ")[2] == "network connect n (container=c, type=bridge)\n"
    assert ".000000005" in outcome.out
    assert run("events", "--format", "{{.Action}} {{.Actor.Attributes.type}}").out == "connect bridge\n"
    assert json.loads(run("events", "--format", "json").out) == event


def test_networks(engine: FakeEngine, run: Run) -> None:
    engine.on("POST", "/networks/create", Reply({"Id": "n1", "Warning": "overlaps"}, 201))
    words = ["--subnet", "10.0.0.0/24,fd00::/64", "--gateway", "10.0.0.1", "--ip-range", "10.0.0.128/25",
             "--aux-address", "h=fd00::5", "-o", "a=b", "--label", "x", "--internal", "--ipv4=false", "--ipv6",
             "net"]  # fmt: skip
    assert run("network", "create", *words) == Outcome(0, "n1\n", "WARNING: overlaps\n")
    body = engine.calls[0].json()
    assert body["IPAM"]["Config"] == [
        {"Subnet": "10.0.0.0/24", "IPRange": "10.0.0.128/25", "Gateway": "10.0.0.1"},
        {"Subnet": "fd00::/64", "AuxiliaryAddresses": {"h": "fd00::5"}},
    ]
    assert (body["EnableIPv4"], body["EnableIPv6"], body["Internal"]) == (False, True, True)
    assert (body["Options"], body["Labels"], body["Driver"]) == ({"a": "b"}, {"x": ""}, "bridge")
    engine.on("POST", "/networks/net/(connect|disconnect)", Reply(None))
    run("network", "connect", "--ip", "10.0.0.9", "--alias", "a,b", "--gw-priority", "3", "net", "web")
    assert engine.calls[1].json() == {
        "Container": "web",
        "EndpointConfig": {"IPAMConfig": {"IPv4Address": "10.0.0.9"}, "Aliases": ["a", "b"], "GwPriority": 3},
    }
    run("network", "disconnect", "-f", "net", "web")
    assert engine.calls[2].json() == {"Container": "web", "Force": True}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--gateway", "10.0.0.1"], "every ip-range or gateway must have a corresponding subnet"),
        (["--subnet", "10.0.0.0/24,10.0.0.0/25"], "multiple overlapping subnet configuration is not supported"),
        (["--subnet", "10.0.0.0/24", "--gateway", "11.0.0.1"], "no matching subnet for gateway 11.0.0.1"),
        (["--subnet", "10.0.0.0/24", "--ip-range", "11.0.0.0/25"], "no matching subnet for range 11.0.0.0/25"),
        (["--subnet", "10.0.0.0/24", "--aux-address", "a=11.0.0.1"], "no matching subnet for aux-address 11.0.0.1"),
        (
            ["--subnet", "10.0.0.0/24,11.0.0.0/24", "--gateway", "10.0.0.1,10.0.0.2"],
            "cannot configure multiple gateways (10.0.0.2, 10.0.0.1) for the same subnet (10.0.0.0/24)",
        ),
        (["--subnet", "foo"], "invalid CIDR address: foo"),
    ],
)
def test_networks_that_cannot_be(engine: FakeEngine, run: Run, words: list[str], message: str) -> None:
    assert run("network", "create", *words, "n") == Outcome(1, "", f"{message}\n")
    assert engine.calls == []


def test_network_rm(engine: FakeEngine, run: Run) -> None:
    engine.on("DELETE", "/networks/net", Reply(None, 204))
    engine.on("DELETE", "/networks/nope", Reply({"message": "network nope not found"}, 404))
    assert run("network", "rm", "nope", "net") == Outcome(
        1, "net\n", "Error response from daemon: network nope not found\n"
    )
    assert run("network", "rm", "-f", "nope") == Outcome(0, "", "")


def test_volumes(engine: FakeEngine, run: Run) -> None:
    engine.on("POST", "/volumes/create", Reply({"Name": "v"}, 201))
    assert run("volume", "create", "-o", "type=tmpfs", "-o", "o=size=1m", "--label", "a=b", "v") == Outcome(
        0, "v\n", ""
    )
    assert engine.calls[0].json() == {
        "Name": "v", "Driver": "local", "DriverOpts": {"type": "tmpfs", "o": "size=1m"}, "Labels": {"a": "b"},
    }  # fmt: skip
    engine.on("DELETE", "/volumes/v", Reply(None, 204))
    assert run("volume", "rm", "v") == Outcome(0, "v\n", "")


def test_images(engine: FakeEngine, run: Run) -> None:
    engine.on("POST", "/images/nginx:1/tag", Reply(None, 201))
    assert run("tag", "nginx:1", "reg.io/me/x") == Outcome(0, "", "")
    assert engine.calls[0].query == {"repo": "reg.io/me/x", "tag": "latest"}
    assert run("tag", "nginx:1", "Bad").err.startswith('Error parsing reference: "Bad" is not a valid repository/tag')
    gone = [{"Untagged": "nginx:1"}, {"Deleted": "sha256:ab"}]
    engine.on("DELETE", "/images/nginx", Reply(gone))
    engine.on("DELETE", "/images/nope", Reply({"message": "No such image: nope"}, 404))
    shown = "Untagged: nginx:1\nDeleted: sha256:ab\n"
    assert run("rmi", "nginx", "nope") == Outcome(1, shown, "Error response from daemon: No such image: nope\n")
    assert run("rmi", "-f", "nope").code == 0


def test_commit(engine: FakeEngine, run: Run) -> None:
    engine.on("POST", "/commit", Reply({"Id": "sha256:ab"}, 201))
    assert run("commit", "-m", "why", "-c", "CMD x", "-c", "USER y", "-p=false", "web", "me/x:1").out == "sha256:ab\n"
    assert engine.calls[0].query == {
        "container": "web", "repo": "me/x", "tag": "1", "comment": "why", "pause": "0", "changes": "CMD x\nUSER y",
    }  # fmt: skip


def test_pull(engine: FakeEngine, run: Run) -> None:
    engine.on("POST", "/images/create", lambda _call: Reply(chunks=[
        b'{"status":"Pulling from library/busybox","id":"latest"}\n{"status":"Downl', b'oading","id":"a",',
        b'"progressDetail":{"current":5,"total":10}}\n{"status":"Pull complete","id":"a","progressDetail":{}}\n',
    ]))  # fmt: skip
    assert run("pull", "busybox").out == (
        "Using default tag: latest\nlatest: Pulling from library/busybox\na: Pull complete\n"
        "docker.io/library/busybox:latest\n"
    )
    assert run("pull", "-q", "reg.io:5000/a/b:1").out == "reg.io:5000/a/b:1\n"
    assert engine.calls[-1].query == {"fromImage": "reg.io:5000/a/b", "tag": "1"}


def test_credentials_are_sent_to_their_registry(
    engine: FakeEngine, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import base64

    auth = base64.b64encode(b"me:secret").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"reg.io": {"auth": auth}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    engine.on("POST", "/images/create", lambda _call: Reply(chunks=[]))
    run("pull", "reg.io/x:1")
    run("pull", "other.io/x:1")
    sent = json.loads(base64.urlsafe_b64decode(engine.calls[0].headers["x-registry-auth"]))
    assert sent == {"username": "me", "password": "secret", "serveraddress": "reg.io"}
    assert "x-registry-auth" not in engine.calls[1].headers


def test_archives_of_images(engine: FakeEngine, run: Run, tmp_path: Path) -> None:
    engine.on("GET", "/images/get", Reply(b"TAR"))
    assert run("save", "-o", str(tmp_path / "a.tar"), "x:1", "y").code == 0
    assert (tmp_path / "a.tar").read_bytes() == b"TAR"
    assert run("save", "x:1").out == "TAR"
    assert "directory" in run("save", "-o", "/nonexistent/file/a.tar", "x").err
    engine.on("POST", "/images/load", lambda _call: Reply(chunks=[b'{"stream":"Loaded image: x:1\\n"}\n']))
    assert run("load", "-i", str(tmp_path / "a.tar")).out == "Loaded image: x:1\n"
    assert engine.calls[-1].body == b"TAR"
    assert run("load", "-i", "/nonexistent/file").err == "open /nonexistent/file: no such file or directory\n"
    engine.on("POST", "/images/create", lambda _call: Reply(chunks=[b'{"status":"sha256:ab"}\n']))
    assert (
        run("import", "-c", "CMD a", "-c", "USER b", "-m", "why", str(tmp_path / "a.tar"), "x:1").out == "sha256:ab\n"
    )
    assert engine.calls[-1].query["fromSrc"] == "-"
    assert engine.calls[-1].body == b"TAR"


@pytest.mark.parametrize(
    ("words", "sent", "shown"),
    [
        (["container"], {"ContainersDeleted": ["x"], "SpaceReclaimed": 1234}, "Deleted Containers:\nx\n\nTotal"),
        (["network"], {"NetworksDeleted": ["n"]}, "Deleted Networks:\nn\n\n"),
        (
            ["volume"],
            {"VolumesDeleted": ["v"], "SpaceReclaimed": 0},
            "Deleted Volumes:\nv\n\nTotal reclaimed space: 0B\n",
        ),
        (
            ["image"],
            {"ImagesDeleted": [{"Untagged": "a"}, {"Deleted": "b"}]},
            "Deleted Images:\nuntagged: a\ndeleted: b\n",
        ),
    ],
)
def test_prune(engine: FakeEngine, run: Run, words: list[str], sent: object, shown: str) -> None:
    engine.on("POST", f"/{words[0]}s/prune", Reply(sent))
    assert run(*words, "prune", "-f", "--filter", "label=a").out.startswith(shown)
    assert "label" in json.loads(engine.calls[0].query["filters"])


def test_prune_asks_first(engine: FakeEngine, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("no\n"))
    outcome = run("system", "prune", "--volumes")
    assert outcome.code == 0
    assert "- all anonymous volumes not used by at least one container" in outcome.out
    assert outcome.out.endswith("Are you sure you want to continue? [y/N] ")
    assert engine.calls == []


def test_disk_usage(engine: FakeEngine, run: Run) -> None:
    usage = {
        "LayersSize": 1000,
        "Images": [{"Id": "sha256:a", "Size": 600, "SharedSize": 100, "Containers": 1}, {"Id": "b", "Size": 500}],
        "Containers": [{"State": "running", "SizeRw": 10}, {"State": "exited", "SizeRw": 30}],
        "Volumes": [{"Name": "v", "UsageData": {"Size": 50, "RefCount": 0}}],
        "BuildCache": [],
    }
    engine.on("GET", "/system/df", Reply(usage))
    rows = [line.split() for line in run("system", "df").out.splitlines()]
    assert rows[1:] == [
        ["Images", "2", "1", "1kB", "500B", "(50%)"],
        ["Containers", "2", "1", "40B", "30B", "(75%)"],
        ["Local", "Volumes", "1", "0", "50B", "50B", "(100%)"],
        ["Build", "Cache", "0", "0", "0B", "0B"],
    ]


def test_version_and_info_say_what_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRLEAD_HOST", "unix:///nowhere.sock")
    for words in (["version"], ["info"]):
        outcome = run(*words)
        assert outcome.code == 1
        assert outcome.out.startswith("Client:\n")
        assert "Cannot connect to the fairlead daemon at unix:///nowhere.sock" in outcome.err


def test_version_of_both_sides(engine: FakeEngine, run: Run) -> None:
    details = {"ApiVersion": "1.51", "MinAPIVersion": "1.24", "Os": "linux"}
    components = [{"Name": "Engine", "Version": "9.9", "Details": details}]
    engine.on("GET", "/version", Reply({"Version": "9.9", "Components": components}))
    assert " Engine:\n  Version:          9.9\n  API version:      1.51 (minimum version 1.24)\n" in run("version").out
    assert run("version", "--format", "{{.Server.Version}}").out == "9.9\n"


def test_info(engine: FakeEngine, run: Run) -> None:
    found = {"Containers": 2, "ContainersRunning": 1, "ServerVersion": "9.9", "Warnings": ["WARNING: no swap"],
             "Plugins": {"Network": ["bridge", "host"]}, "MemTotal": 1 << 30}  # fmt: skip
    engine.on("GET", "/info", Reply(found))
    outcome = run("info")
    assert "\n  Running: 1\n" in outcome.out
    assert "\n  Network: bridge host\n" in outcome.out
    assert "\n Total Memory: 1GiB\n" in outcome.out
    assert outcome.err == "WARNING: no swap\n"
    assert run("info", "-f", "{{.ServerVersion}}").out == "9.9\n"


def test_port_add(engine: FakeEngine, run: Run) -> None:
    answered = {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "9/udp": [{"HostIp": "::", "HostPort": "9"}]}
    engine.on("POST", "/fairlead/containers/web/ports", Reply({"Ports": answered}))
    assert run("port", "add", "web", "8080:80") == Outcome(0, "80/tcp -> 0.0.0.0:8080\n", "")
    assert engine.calls[0].json() == {"Publish": ["8080:80"]}


def test_port_rm(engine: FakeEngine, run: Run) -> None:
    engine.on("DELETE", "/fairlead/containers/web/ports", Reply({"Ports": {}}))
    assert run("port", "rm", "web", "8080:80", "9/udp") == Outcome(0, "", "")
    assert engine.calls[0].query == {"publish": "9/udp"}  # the last of them


@pytest.mark.parametrize("words", [["add", "web"], ["rm", "web"], ["web", "80", "81"], []])
def test_port_with_too_few_or_too_many_words(run: Run, words: list[str]) -> None:
    outcome = run("port", *words)
    assert outcome.code == 1
    assert "argument" in outcome.err


def test_ports_of_a_container_called_add(engine: FakeEngine, run: Run) -> None:
    ports = {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}
    engine.on("GET", "/containers/add/json", Reply({"NetworkSettings": {"Ports": ports}}))
    assert run("port", "add", "80").out == "0.0.0.0:8080\n"
    assert run("port", "add").out == "80/tcp -> 0.0.0.0:8080\n"


def test_network_update(engine: FakeEngine, run: Run) -> None:
    engine.on("POST", "/fairlead/networks/shop/update", Reply({"Id": "x", "Warning": "beware"}))
    words = [
        "--name", "mall", "--label-add", "a=1", "--label-rm", "b", "-o", "x=y", "--opt-rm", "z",
        "--dns", "10.0.0.1,::2", "--subnet-add", "10.2.0.0/24", "--gateway", "10.2.0.9", "--subnet-rm", "10.1.0.0/24",
        "--ip-range", "10.2.0.0/25",
    ]  # fmt: skip
    assert run("network", "update", *words, "shop") == Outcome(0, "shop\n", "WARNING: beware\n")
    assert engine.calls[0].json() == {
        "Name": "mall",
        "Labels": {"a": "1"},
        "RemoveLabels": ["b"],
        "Options": {"x": "y"},
        "RemoveOptions": ["z"],
        "AddSubnets": [{"Subnet": "10.2.0.0/24", "IPRange": "10.2.0.0/25", "Gateway": "10.2.0.9"}],
        "RemoveSubnets": ["10.1.0.0/24"],
        "DNS": ["10.0.0.1", "::2"],
    }
    run("network", "update", "--dns", "", "shop")
    assert engine.calls[1].json() == {"DNS": []}
    assert "corresponding subnet" in run("network", "update", "--gateway", "10.2.0.1", "shop").err


def test_network_alias(engine: FakeEngine, run: Run) -> None:
    engine.on("POST", "/fairlead/networks/shop/endpoints/web", Reply({"Aliases": ["a"]}))
    assert run("network", "alias", "add", "shop", "web", "a", "b") == Outcome(0, "", "")
    assert run("network", "alias", "rm", "shop", "web", "a") == Outcome(0, "", "")
    assert [call.json() for call in engine.calls] == [{"AddAliases": ["a", "b"]}, {"RemoveAliases": ["a"]}]
    engine.on("GET", "/networks/shop", Reply({"Name": "shop"}))
    networks = {"shop": {"Aliases": ["a", "b"]}, "other": {"Aliases": ["c"]}}
    engine.on("GET", "/containers/web/json", Reply({"NetworkSettings": {"Networks": networks}}))
    assert run("network", "alias", "shop", "web").out == "a\nb\n"
    assert run("network", "alias", "add", "shop", "web").code == 1


def test_network_check(engine: FakeEngine, run: Run) -> None:
    fine = {"Name": "web", "Interface": "eth0", "Error": ""}
    engine.on("POST", "/fairlead/networks/shop/check", Reply({"Error": "", "Containers": [fine]}))
    assert run("network", "check", "shop") == Outcome(0, "NAME      INTERFACE   STATE\nweb       eth0        ok\n", "")
    broken = {"Name": "db", "Interface": "eth1", "Error": "no address"}
    engine.on("POST", "/fairlead/networks/shop/check", Reply({"Error": "", "Containers": [fine, broken]}))
    assert run("network", "check", "shop").code == 1
    assert run("network", "check", "shop").out.splitlines()[2] == "db        eth1        no address"
    engine.on("POST", "/fairlead/networks/shop/check", Reply({"Error": "not ready", "Containers": []}))
    found = run("network", "check", "shop")
    assert (found.code, "not ready" in found.err) == (1, True)
