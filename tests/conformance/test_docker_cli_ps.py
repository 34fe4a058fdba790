"""`docker ps`, its filters and formats; `docker inspect`; `docker port`; events."""

from __future__ import annotations

import json
import re
import time

import pytest

from harness.engine import Engine, wait_until


@pytest.fixture
def mixed(engine: Engine) -> Engine:
    """One of each state: running, paused, exited 3, created."""
    engine.docker("network", "create", "n")
    engine.docker("run", "-d", "--name", "up", "--label", "a=1", "-p", "8081:80", "--network", "n", "nginx")
    engine.docker("run", "-d", "--name", "frozen", "--label", "a=2", "-v", "/vol", "busybox", "sleep", "100")
    engine.docker("pause", "frozen")
    engine.docker("run", "--name", "ended", "busybox", "sh", "-c", "exit 3", check=False)
    engine.docker("create", "--name", "new", "--expose", "9999", "alpine")
    return engine


def names(engine: Engine, *flags: str) -> set[str]:
    return set(engine.out("ps", "--format", "{{.Names}}", *flags).split())


def test_ps_shows_what_runs_and_all_on_demand(mixed: Engine) -> None:
    assert names(mixed) == {"up", "frozen"}
    assert names(mixed, "-a") == {"up", "frozen", "ended", "new"}
    assert names(mixed, "-l") == {"new"}
    assert names(mixed, "-n", "2") == {"new", "ended"}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("status=running", {"up"}),
        ("status=paused", {"frozen"}),
        ("status=exited", {"ended"}),
        ("status=created", {"new"}),
        ("exited=3", {"ended"}),
        ("name=u", {"up"}),
        ("name=^(up|new)$", {"up", "new"}),
        ("label=a", {"up", "frozen"}),
        ("label=a=2", {"frozen"}),
        ("ancestor=nginx", {"up"}),
        ("ancestor=busybox:latest", {"frozen", "ended", "up", "new"}),
        ("network=n", {"up"}),
        ("network=bridge", {"frozen", "ended", "new"}),
        ("volume=/vol", {"frozen"}),
        ("publish=8081", {"up"}),
        ("publish=80", set()),
        ("expose=9999", set()),
        ("expose=80/tcp", {"up"}),
        ("before=ended", {"up", "frozen"}),
        ("since=frozen", {"ended", "new"}),
        ("health=none", {"up", "frozen", "ended", "new"}),
        ("is-task=false", {"up", "frozen", "ended", "new"}),
    ],
)
def test_filters(mixed: Engine, given: str, found: set[str]) -> None:
    if given == "ancestor=busybox:latest":
        # Images that merely share its layers are no descendants by Docker's reckoning when loaded from an archive.
        assert {"frozen", "ended"} <= names(mixed, "-a", "--filter", given)
        return
    assert names(mixed, "-a", "--filter", given) == found


def test_an_unknown_filter_is_refused(engine: Engine) -> None:
    done = engine.docker("ps", "--filter", "colour=red", check=False)
    assert done.returncode == 1
    assert "invalid filter 'colour'" in done.stderr


def test_an_impossible_status_is_refused(engine: Engine) -> None:
    done = engine.docker("ps", "--filter", "status=happy", check=False)
    assert done.returncode == 1
    assert "happy" in done.stderr


def test_status_texts(mixed: Engine) -> None:
    shown = dict(
        line.split(" ", 1) for line in mixed.out("ps", "-a", "--format", "{{.Names}} {{.Status}}").splitlines()
    )
    assert re.fullmatch("Up (Less than a second|\\d+ seconds?)", shown["up"])
    assert shown["frozen"].endswith("(Paused)")
    assert re.fullmatch("Exited \\(3\\) (Less than a second|\\d+ seconds?) ago", shown["ended"])
    assert shown["new"] == "Created"


def test_ports_column(engine: Engine) -> None:
    engine.docker("create", "--name", "idle", "-p", "8080:80", "nginx")
    engine.docker("run", "-d", "--name", "one", "-p", "8080-8082:8080-8082", "-p", "127.0.0.1:53:53/udp", "nginx")
    shown = engine.out("ps", "--filter", "name=one", "--format", "{{.Ports}}")
    assert "80/tcp" in shown.split(", ")
    assert "0.0.0.0:8080-8082->8080-8082/tcp" in shown
    assert "127.0.0.1:53->53/udp" in shown
    assert engine.out("ps", "-a", "--filter", "name=idle", "--format", "{{.Ports}}") == ""


def test_size_columns(engine: Engine) -> None:
    engine.docker("run", "--name", "box", "busybox", "sh", "-c", "head -c 300000 /dev/zero > /file")
    assert re.fullmatch(r"30\dkB \(virtual \d\.\d+MB\)", engine.out("ps", "-as", "--format", "{{.Size}}"))


def test_inspect_is_complete(mixed: Engine) -> None:
    found = mixed.inspect("up")
    assert {"Id", "Created", "Path", "Args", "State", "Image", "ResolvConfPath", "HostnamePath", "HostsPath"} <= set(
        found
    )
    assert {"LogPath", "Name", "RestartCount", "Driver", "Platform", "MountLabel", "ProcessLabel"} <= set(found)
    assert {"ExecIDs", "HostConfig", "GraphDriver", "Mounts", "Config", "NetworkSettings"} <= set(found)
    assert found["Name"] == "/up"
    assert (found["Path"], found["Args"]) == ("/docker-entrypoint.sh", ["nginx", "-g", "daemon off;"])
    assert found["Config"]["Hostname"] == found["Id"][:12]
    assert found["NetworkSettings"]["SandboxKey"] == "/run/netns/up"
    assert found["NetworkSettings"]["Ports"]["80/tcp"][0] == {"HostIp": "0.0.0.0", "HostPort": "8081"}
    assert found["State"]["StartedAt"] > found["Created"]


def test_the_host_config_is_echoed(engine: Engine) -> None:
    argv = ["--cpus", "1.5", "-m", "100m", "--cap-add", "NET_ADMIN", "--dns", "9.9.9.9", "--add-host", "a:1.2.3.4"]
    engine.docker(
        "create", "--name", "box", *argv, "--restart", "on-failure:3", "--ulimit", "nofile=100:200", "busybox"
    )
    host = engine.inspect("box")["HostConfig"]
    assert host["NanoCpus"] == 1_500_000_000
    assert host["Memory"] == 100 << 20
    assert [cap.removeprefix("CAP_") for cap in host["CapAdd"]] == ["NET_ADMIN"]
    assert host["Dns"] == ["9.9.9.9"]
    assert host["ExtraHosts"] == ["a:1.2.3.4"]
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    assert host["Ulimits"] == [{"Name": "nofile", "Hard": 200, "Soft": 100}]


def test_inspect_by_prefix_and_type(mixed: Engine) -> None:
    container = mixed.inspect("up")["Id"]
    assert mixed.inspect(container[:10])["Id"] == container
    assert json.loads(mixed.out("inspect", "--type", "network", "bridge"))[0]["Driver"] == "bridge"
    done = mixed.docker("inspect", "nothing", check=False)
    assert done.returncode == 1
    assert "No such object: nothing" in done.stderr


def test_port_lists_the_bindings(mixed: Engine) -> None:
    assert mixed.out("port", "up").splitlines() == ["80/tcp -> 0.0.0.0:8081", "80/tcp -> [::]:8081"]
    assert mixed.out("port", "up", "80/tcp").splitlines() == ["0.0.0.0:8081", "[::]:8081"]
    assert "No public port '81' published for up" in mixed.docker("port", "up", "81", check=False).stderr


def test_events_of_a_life(engine: Engine) -> None:
    since = str(time.time())
    engine.docker("run", "--rm", "--name", "box", "busybox", "true")
    wait_until(lambda: engine.out("ps", "-aq") == "", "it is gone")
    until = str(time.time() + 0.2)
    time.sleep(0.3)
    shown = engine.out("events", "--since", since, "--until", until, "--format", "{{.Type}} {{.Action}}").splitlines()
    life = [line.partition(" ")[2] for line in shown if line.startswith("container")]
    assert life == ["create", "attach", "start", "die", "destroy"]
    assert "network connect" in shown
    assert "network disconnect" in shown


def test_event_filters_and_attributes(engine: Engine) -> None:
    since = str(time.time())
    engine.docker("run", "--name", "box", "--label", "colour=red", "busybox", "sh", "-c", "exit 4", check=False)
    until = str(time.time() + 0.2)
    time.sleep(0.3)
    filters = ["--filter", "event=die", "--filter", "type=container"]
    shown = engine.out("events", "--since", since, "--until", until, *filters, "--format", "{{json .}}")
    event = json.loads(shown)
    attributes = event["Actor"]["Attributes"]
    assert {"name": "box", "image": "busybox", "exitCode": "4", "colour": "red"}.items() <= attributes.items()
    assert event["scope"] == "local"
    assert event["timeNano"] // 10**9 == event["time"]


def test_container_prune(mixed: Engine) -> None:
    shown = mixed.out("container", "prune", "-f")
    assert "Deleted Containers:" in shown
    assert names(mixed, "-a") == {"up", "frozen"}
