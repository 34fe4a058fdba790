"""Published ports: every form of -p, from the host and from containers; conflicts; what ends them."""

from __future__ import annotations

import re
import socket

import pytest

from harness import inside
from harness.engine import Engine, wait_until
from harness.machine import HOST4, HOST6, PEER4

IDLE = ["busybox", "sleep", "1000"]


def web(engine: Engine, *flags: str, name: str = "web") -> None:
    engine.docker("run", "-d", "--name", name, *flags, "nginx")
    engine.listens(name, 80)


def test_from_the_host_in_every_way(engine: Engine) -> None:
    web(engine, "-p", "8080:80")
    for address in ("127.0.0.1", "127.0.0.2", HOST4, "172.17.0.1", "::1", HOST6):
        assert "Welcome" in engine.host.get(address, 8080), address


def test_on_a_dual_stack_network(engine: Engine) -> None:
    engine.docker("network", "create", "--ipv6", "n")
    web(engine, "--network", "n", "-p", "8080:80")
    for address in ("127.0.0.1", HOST4, "::1", HOST6):
        assert "Welcome" in engine.host.get(address, 8080), address
    for address in (HOST4, HOST6):
        assert "Welcome" in engine.machine.peer.get(address, 8080), address


def test_an_address_of_ones_choice(engine: Engine) -> None:
    web(engine, "-p", f"{HOST4}:8080:80", "-p", "127.0.0.1:8081:80")
    assert engine.host.reaches(HOST4, 8080)
    assert not engine.host.reaches("127.0.0.1", 8080)
    assert engine.host.reaches("127.0.0.1", 8081)
    assert not engine.host.reaches(HOST4, 8081)


def test_an_ipv6_address_of_ones_choice(engine: Engine) -> None:
    engine.docker("network", "create", "--ipv6", "n")
    web(engine, "--network", "n", "-p", f"[{HOST6}]:8080:80", "-p", "[::1]:8081:80")
    assert engine.machine.peer.reaches(HOST6, 8080)
    assert not engine.machine.peer.reaches(HOST4, 8080)
    assert engine.host.reaches("::1", 8081)
    assert not engine.machine.peer.reaches(HOST6, 8081)


@pytest.mark.docker_option("-p CONTAINER", section="publishing", shows="a free port, the same for both families")
def test_ephemeral_ports(engine: Engine) -> None:
    web(engine, "-p", "80", "-p", "127.0.0.1::80")
    shown = engine.out("port", "web", "80").splitlines()
    ports = {line.rpartition(":")[2] for line in shown if not line.startswith("127.")}
    assert len(ports) == 1, "both families get the same port"
    low, high = map(int, engine.host.run("cat", "/proc/sys/net/ipv4/ip_local_port_range").split())
    for line in shown:
        assert low <= int(line.rpartition(":")[2]) <= high
    assert "Welcome" in engine.machine.peer.get(HOST4, int(ports.pop()))


@pytest.mark.docker_option("-P, --publish-all", section="publishing")
def test_publish_all(engine: Engine) -> None:
    web(engine, "-P", "--expose", "7/udp", "--expose", "8000-8002")
    shown = {line.partition(" ")[0] for line in engine.out("port", "web").splitlines()}
    assert shown == {"80/tcp", "7/udp", "8000/tcp", "8001/tcp", "8002/tcp"}


def test_ranges_map_one_to_one(engine: Engine) -> None:
    script = "for p in 9000 9001 9002; do (while :; do echo $p | nc -l -p $p; done) & done; wait"
    engine.docker("run", "-d", "--name", "box", "-p", "7000-7002:9000-9002", "busybox", "sh", "-c", script)
    for n in range(3):
        assert engine.host.exchange("127.0.0.1", 7000 + n) == f"{9000 + n}\n".encode()


@pytest.mark.docker_option("-p LOW-HIGH:CONTAINER", section="publishing")
def test_a_range_for_one_port_takes_a_free_one(engine: Engine) -> None:
    web(engine, "-p", "7000-7002:80", name="one")
    web(engine, "-p", "7000-7002:80", name="two")
    taken = [engine.out("port", name, "80").splitlines()[0].rpartition(":")[2] for name in ("one", "two")]
    assert len(set(taken)) == 2
    assert all(7000 <= int(port) <= 7002 for port in taken)


def test_udp(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "-p", "7007:7/udp", *IDLE)
    with inside.udp_echo(engine.netns("box"), 7):
        assert engine.machine.peer.udp(HOST4, 7007, b"ping") == b"ping"


def test_udp_on_loopback(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "-p", "127.0.0.1:7007:7/udp", *IDLE)
    with inside.udp_echo(engine.netns("box"), 7):
        assert engine.host.udp("127.0.0.1", 7007, b"ping") == b"ping"


def test_the_same_number_in_both_protocols(engine: Engine) -> None:
    web(engine, "-p", "7007:80/tcp", name="tcp")
    engine.docker("run", "-d", "--name", "udp", "-p", "7007:7/udp", *IDLE)
    assert engine.machine.peer.reaches(HOST4, 7007)
    with inside.udp_echo(engine.netns("udp"), 7):
        assert engine.machine.peer.udp(HOST4, 7007, b"x") == b"x"


def test_sctp_is_listed(engine: Engine) -> None:
    web(engine, "-p", "7007:80/sctp")
    assert "80/sctp -> 0.0.0.0:7007" in engine.out("port", "web")


def test_the_server_sees_the_askers_address(engine: Engine) -> None:
    web(engine, "-p", "8080:80")
    assert engine.machine.peer.get(HOST4, 8080, "/cgi-bin/who").strip().strip("[]").removeprefix("::ffff:") == PEER4


def test_hairpin_to_oneself_and_to_a_neighbour(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    web(engine, "--network", "n", "-p", "8080:80")
    assert "Welcome" in engine.execute("web", "wget", "-q", "-O-", f"http://{HOST4}:8080/")
    assert "Welcome" in engine.out(
        "run", "--rm", "--network", "n", "busybox", "wget", "-q", "-O-", f"http://{HOST4}:8080/"
    )


def test_from_another_network_through_the_host(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    web(engine, "--network", "n", "-p", "8080:80")
    assert "Welcome" in engine.out("run", "--rm", "busybox", "wget", "-q", "-O-", f"http://{HOST4}:8080/")


@pytest.mark.docker_option("-p, --publish", section="publishing", shows="a taken port is refused at start")
def test_a_taken_port_is_refused_at_start_and_nothing_stays(engine: Engine) -> None:
    web(engine, "-p", "8080:80")
    done = engine.docker("run", "-d", "--name", "late", "-p", "8080:80", "nginx", check=False)
    assert done.returncode == 125
    assert re.search(r"Bind for (0\.0\.0\.0|:::|\[::\]):8080 failed: port is already allocated", done.stderr)
    assert engine.inspect("late")["State"]["Status"] == "created"
    engine.docker("rm", "-f", "web")
    engine.docker("start", "late")
    engine.listens("late", 80)
    assert engine.host.reaches("127.0.0.1", 8080)


def test_a_port_of_a_program_on_the_host_is_refused(engine: Engine) -> None:
    listener = engine.host.call(lambda: socket.create_server(("0.0.0.0", 8080)))
    with listener:
        done = engine.docker("run", "-d", "-p", "8080:80", "nginx", check=False)
    assert done.returncode == 125
    assert "failed to bind host port" in done.stderr
    assert "address already in use" in done.stderr


def test_a_specific_address_conflicts_with_the_wildcard(engine: Engine) -> None:
    web(engine, "-p", f"{HOST4}:8080:80", name="one")
    assert engine.docker("run", "-d", "-p", "8080:80", "nginx", check=False).returncode == 125
    web(engine, "-p", "127.0.0.1:8080:80", name="two")


@pytest.mark.docker_option("-p, --publish", section="publishing", shows="a program on the host cannot take the port")
def test_a_host_program_cannot_take_a_published_port(engine: Engine) -> None:
    web(engine, "-p", "8080:80")
    with pytest.raises(OSError, match="in use"):
        engine.host.call(lambda: socket.create_server(("0.0.0.0", 8080)))


def test_stopping_frees_the_port(engine: Engine) -> None:
    web(engine, "-p", "8080:80")
    engine.docker("stop", "-t", "0", "web")
    wait_until(lambda: not engine.host.reaches("127.0.0.1", 8080), "nothing answers")
    engine.host.call(lambda: socket.create_server(("0.0.0.0", 8080))).close()
    engine.docker("start", "web")
    wait_until(lambda: engine.host.reaches("127.0.0.1", 8080), "it answers again")


def test_an_ending_program_frees_the_port_too(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "short", "-p", "8080:80", "busybox", "sleep", "0.3")
    wait_until(lambda: not engine.inspect("short")["State"]["Running"], "it ended")
    web(engine, "-p", "8080:80")
    assert engine.host.reaches("127.0.0.1", 8080)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("99999:80", "invalid hostPort: 99999"),
        ("80:99999", "invalid containerPort: 99999"),
        ("1.2.3:80:80", "invalid IP address: 1.2.3"),
        ("8000-8001:80-83", "invalid ranges specified for container and host Ports"),
        ("80/icmp", "invalid proto: icmp"),
    ],
)
def test_bad_forms(engine: Engine, flag: str, message: str) -> None:
    done = engine.docker("create", "-p", flag, "busybox", check=False)
    assert done.returncode in (1, 125)
    assert message.lower() in done.stderr.lower()


def test_an_address_that_is_not_here(engine: Engine) -> None:
    done = engine.docker("run", "-d", "-p", "203.0.113.7:8080:80", "nginx", check=False)
    assert done.returncode == 125
    assert "cannot assign requested address" in done.stderr
