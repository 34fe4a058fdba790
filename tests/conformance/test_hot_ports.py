"""Ports published and withdrawn while the container runs: by our CLI and the API, seen by Docker's own client."""

from __future__ import annotations

import json
import re
import socket
import time

import pytest

from conformance.test_live_networks import free, repairs, served, sleeper, unchanged, web
from harness import inside
from harness.engine import Engine
from harness.machine import HOST4, HOST6


def ports(engine: Engine, name: str = "web") -> list[str]:
    return engine.out("port", name).splitlines()


def bindings(engine: Engine, name: str = "web") -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = engine.inspect(name)["HostConfig"]["PortBindings"]
    return found


def connection(engine: Engine, port: int, address: str = HOST4) -> socket.socket:
    """From the second host, open and answered once."""
    link = engine.machine.peer.call(lambda: socket.create_connection((address, port), timeout=3))
    link.settimeout(3)
    return link


def test_added_served_kept_over_restarts_and_taken_away(engine: Engine) -> None:
    web(engine)
    said = engine.fairlead("port", "add", "web", "8080:80")
    assert said.stdout.splitlines() == ["80/tcp -> 0.0.0.0:8080", "80/tcp -> [::]:8080"]
    assert served(engine)
    assert not free(engine, 8080)
    assert ports(engine) == ["80/tcp -> 0.0.0.0:8080", "80/tcp -> [::]:8080"]
    assert "0.0.0.0:8080->80/tcp" in engine.out("ps", "--format", "{{.Ports}}")
    assert bindings(engine) == {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}
    engine.docker("restart", "-t", "0", "web")
    engine.listens("web", 80)
    assert served(engine)
    engine.kill()
    engine.start()
    assert served(engine)
    engine.fairlead("port", "rm", "web", "8080:80")
    assert ports(engine) == []
    assert bindings(engine) == {}
    assert not engine.machine.peer.reaches(HOST4, 8080)
    assert free(engine, 8080)
    engine.docker("restart", "-t", "0", "web")
    assert free(engine, 8080)
    assert "repair" not in repairs(engine)


def test_a_stopped_container_gets_its_ports_at_the_next_start(engine: Engine) -> None:
    engine.docker("create", "--name", "web", "-p", "8081:80", "nginx")
    assert engine.fairlead("port", "add", "web", "8080:80").stdout == ""
    engine.fairlead("port", "rm", "web", "8081:80")
    assert free(engine, 8080)
    engine.docker("start", "web")
    engine.listens("web", 80)
    assert served(engine)
    assert free(engine, 8081)


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        ("127.0.0.1:8080:80", ["80/tcp -> 127.0.0.1:8080"]),
        ("[::1]:8080:80/tcp", ["80/tcp -> [::1]:8080"]),
        ("8080-8082:80", ["80/tcp -> 0.0.0.0:8080", "80/tcp -> [::]:8080"]),
        ("published=8080,target=80", ["80/tcp -> 0.0.0.0:8080", "80/tcp -> [::]:8080"]),
        ("127.0.0.1:8080-8081:80-81", ["80/tcp -> 127.0.0.1:8080", "81/tcp -> 127.0.0.1:8081"]),
        (f"{HOST4}:8080:80/sctp", [f"80/sctp -> {HOST4}:8080"]),
    ],
)
def test_every_form_of_publishing(engine: Engine, spec: str, shown: list[str]) -> None:
    web(engine)
    with unchanged(engine):
        assert engine.fairlead("port", "add", "web", spec).stdout.splitlines() == shown
        assert ports(engine) == shown
        if "/sctp" not in spec:
            assert engine.host.reaches("::1" if "::1" in spec else "127.0.0.1", 8080)
        engine.fairlead("port", "rm", "web", spec)
        assert ports(engine) == []


def test_an_ephemeral_port_is_told_and_withdrawn_by_its_number(engine: Engine) -> None:
    web(engine, "-p", "8080:80")
    said = engine.fairlead("port", "add", "web", "80").stdout
    number = int(next(found for found in re.findall(r":(\d+)$", said, re.MULTILINE) if found != "8080"))
    assert served(engine, number)
    engine.fairlead("port", "rm", "web", f"{number}:80")
    assert free(engine, number)
    assert served(engine)
    assert bindings(engine) == {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}


def test_one_family_of_two(engine: Engine) -> None:
    engine.docker("network", "create", "--ipv6", "n")
    web(engine, "--network", "n", "-p", "8080:80")
    engine.fairlead("port", "rm", "web", "[::]:8080:80")
    assert engine.machine.peer.reaches(HOST4, 8080)
    assert not engine.machine.peer.reaches(HOST6, 8080)
    assert bindings(engine) == {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}
    engine.docker("restart", "-t", "0", "web")
    engine.listens("web", 80)
    assert ports(engine) == ["80/tcp -> 0.0.0.0:8080"]


def test_what_published_all_chose_may_go_too(engine: Engine) -> None:
    web(engine, "-P", "--expose", "7/udp")
    engine.fairlead("port", "rm", "web", "7/udp")
    assert {line.partition(" ")[0] for line in ports(engine)} == {"80/tcp"}
    engine.docker("restart", "-t", "0", "web")
    assert {line.partition(" ")[0] for line in ports(engine)} == {"80/tcp"}


def test_connections_through_other_ports_go_on_and_through_this_one_end(engine: Engine) -> None:
    sleeper(engine, "box", "-p", "8080:80")
    with inside.tcp_echo(engine.netns("box"), 80), connection(engine, 8080) as staying:
        staying.send(b"one")
        assert staying.recv(9) == b"one"
        engine.fairlead("port", "add", "box", "8081:80", "8082-8090:8082-8090")
        with connection(engine, 8081) as cut:
            cut.send(b"a")
            assert cut.recv(9) == b"a"
            staying.send(b"two")
            assert staying.recv(9) == b"two"
            engine.fairlead("port", "rm", "box", "8081:80")
            with pytest.raises(OSError, match=r"reset|refused|timed out"):
                _insist(cut)
        staying.send(b"three")
        assert staying.recv(9) == b"three"


def _insist(link: socket.socket) -> None:
    """Writes and reads until the other side is found to be gone."""
    link.send(b"still there?")
    if not link.recv(9):
        raise ConnectionResetError("reset")
    raise AssertionError("answered")


def test_a_relayed_connection_ends_too(engine: Engine) -> None:
    sleeper(engine, "box", "-p", "8080:80", "-p", "8081:80")
    with (
        inside.tcp_echo(engine.netns("box"), 80),
        engine.host.call(lambda: socket.create_connection(("::1", 8080), timeout=3)) as staying,
        engine.host.call(lambda: socket.create_connection(("::1", 8081), timeout=3)) as cut,
    ):
        for link in (staying, cut):
            link.send(b"a")
            assert link.recv(9) == b"a"
        engine.fairlead("port", "rm", "box", "8081:80")
        with pytest.raises(OSError, match=r"reset|refused|timed out|pipe"):
            _insist(cut)
        staying.send(b"b")
        assert staying.recv(9) == b"b"


def test_udp_without_a_pause(engine: Engine) -> None:
    sleeper(engine, "box")
    with inside.udp_echo(engine.netns("box"), 7):
        engine.fairlead("port", "add", "box", "7007:7/udp", "7008:7/udp")
        client = engine.machine.peer.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        with client:
            client.settimeout(1)
            for port in (7007, 7008):
                client.sendto(b"x", (HOST4, port))
                assert client.recv(9) == b"x"
            engine.fairlead("port", "rm", "box", "7007:7/udp")
            client.sendto(b"x", (HOST4, 7007))
            with pytest.raises(OSError):
                client.recv(9)
            client.sendto(b"x", (HOST4, 7008))
            assert client.recv(9) == b"x"


def test_a_routed_network(engine: Engine) -> None:
    argv = ["-o", "com.docker.network.bridge.gateway_mode_ipv4=routed", "--subnet", "172.30.7.0/24", "n"]
    engine.docker("network", "create", *argv)
    web(engine, "--network", "n")
    address = engine.address("web", "n")
    assert not engine.machine.peer.reaches(address, 80)
    engine.fairlead("port", "add", "web", "8080:80")
    assert engine.machine.peer.reaches(address, 80)
    assert free(engine, 8080)
    engine.fairlead("port", "rm", "web", "8080:80")
    assert not engine.machine.peer.reaches(address, 80)
    assert ports(engine) == []


def test_conflicts_leave_nothing(engine: Engine) -> None:
    web(engine, "-p", "8080:80")
    web(engine, name="other")
    listener = engine.host.call(lambda: socket.create_server(("0.0.0.0", 8089)))
    with unchanged(engine), listener:
        for specs, words in (
            (["9000:80", "8080:80"], "Bind for 0.0.0.0:8080 failed: port is already allocated"),
            (["9000:80", "8089:80"], "failed to bind host port 0.0.0.0:8089/tcp: address already in use"),
            (["9000:80", "9000:81"], "Bind for 0.0.0.0:9000 failed: port is already allocated"),
        ):
            done = engine.fairlead("port", "add", "other", *specs, check=False)
            assert done.returncode == 1
            assert words in done.stderr
            assert "driver failed programming external connectivity on endpoint other" in done.stderr
            assert free(engine, 9000)
            assert ports(engine, "other") == []
            assert bindings(engine, "other") == {}
    done = engine.fairlead("port", "add", "web", "8080:80", check=False)
    assert "Bind for 0.0.0.0:8080 failed: port is already allocated" in done.stderr
    assert served(engine)


def test_what_cannot_be_withdrawn(engine: Engine) -> None:
    web(engine, "-p", "8080:80")
    for spec, words in (
        ("8081:80", "8081:80/tcp"),
        ("81", "81/tcp"),
        ("127.0.0.1:8080:80/udp", "127.0.0.1:8080:80/udp"),
    ):
        done = engine.fairlead("port", "rm", "web", "8080:80", spec, check=False)
        assert done.stderr.strip().endswith(f"container web does not publish {words}")
    assert served(engine)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--network", "host"], "uses the host's network"),
        (["--network", "none"], "its mode is none"),
        (["--network", "container:owner"], "conflicting options: port publishing and the container type network mode"),
        (["--network", "inner"], "is on no network that leads out"),
    ],
)
def test_who_cannot_publish(engine: Engine, flags: list[str], words: str) -> None:
    engine.docker("network", "create", "--internal", "inner")
    sleeper(engine, "owner")
    sleeper(engine, "box", *flags)
    assert words in engine.fairlead("port", "add", "box", "8080:80", check=False).stderr
    assert free(engine, 8080)


def test_bad_calls(engine: Engine) -> None:
    sleeper(engine, "box")
    path = "/fairlead/containers/box/ports"
    for body in ({}, {"Publish": ["99999:80"]}, {"Publish": "80"}):
        assert engine.call("POST", path, body)[0] == 400
    assert engine.call("DELETE", path)[0] == 400
    assert engine.call("DELETE", f"{path}?publish=8080:x")[0] == 400
    assert engine.call("POST", path.replace("box", "nobody"), {"Publish": ["80"]})[0] == 404
    assert engine.call("DELETE", f"{path}?publish=80:80") == (
        404,
        {"message": "container box does not publish 80:80/tcp"},
    )


def test_an_event_tells(engine: Engine) -> None:
    web(engine)
    since = str(time.time())
    engine.fairlead("port", "add", "web", "8080:80")
    engine.fairlead("port", "rm", "web", "80")
    shown = engine.out("events", "--since", since, "--until", str(time.time()), "--format", "{{json .}}")
    assert [json.loads(line)["Action"] for line in shown.splitlines()] == ["update", "update"]


def test_a_daemon_that_is_killed_right_after(engine: Engine) -> None:
    """The ports that the resolver process holds are those of the record, whatever was under way."""
    web(engine, "-p", "8080:80")
    engine.fairlead("port", "add", "web", "8081:80")
    engine.fairlead("port", "rm", "web", "8080:80")
    engine.kill()
    engine.start()
    assert served(engine, 8081)
    assert free(engine, 8080)
