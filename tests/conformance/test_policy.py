"""Policies of networks with real traffic: between containers of a bridge, out of it, into it, by names in DNS."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from fairlead.model.policy import Action
from fairlead.wire.policy import checked, parse_rule, policy_body
from harness import inside
from harness.engine import FAIRLEAD, Engine, wait_until
from harness.lab import Servers
from harness.machine import HOST4, HOST6, PEER4, PEER6

PATIENCE = 0.6  # seconds; what is let through comes at once, on a machine that is not busy


class Place:
    """A container's, or a host's, network namespace."""

    def __init__(self, path: str) -> None:
        self.path = path

    def tcp(self, address: str, port: int) -> bool:
        def ask() -> bool:
            try:
                return bool(inside.exchange(address, port, b"", PATIENCE))
            except OSError:
                return False

        return inside.run(self.path, ask)

    def udp(self, address: str, port: int) -> bool:
        def ask() -> bool:
            try:
                return bool(inside.udp(address, port, b"?", PATIENCE))
            except OSError:
                return False

        return inside.run(self.path, ask)

    def connect(self, address: str, port: int) -> socket.socket:
        return inside.run(self.path, lambda: socket.create_connection((address, port), timeout=1))


class Net:
    """The network ``n`` of an engine, its containers and what they serve."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.servers = Servers()

    def make(self, *flags: str) -> None:
        self.engine.docker("network", "create", "--ipv6", "--subnet", "10.77.0.0/24", *flags, "n")

    def box(self, name: str, *flags: str) -> Place:
        self.engine.docker("run", "-d", "--name", name, "--network", "n", *flags, "busybox", "sleep", "1000")
        return self.place(name)

    def place(self, name: str) -> Place:
        return Place(f"/proc/{self.engine.inspect(name)['State']['Pid']}/ns/net")

    def serve(self, place: Place, protocol: str, *ports: int) -> None:
        for port in ports:
            self.servers.serve(place, "here", protocol, port)  # type: ignore[arg-type]

    def ip(self, name: str) -> str:
        return self.engine.address(name, "n")

    def ip6(self, name: str) -> str:
        return self.engine.address6(name, "n")

    def policy(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [FAIRLEAD, "-H", f"unix://{self.engine.socket}", "network", "policy", argv[0], "n", *argv[1:]],
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stderr
        return done

    def set(self, default: str, *rules: str) -> None:
        self.policy("set", "--default", default, *(word for rule in rules for word in ("--rule", rule)))

    def shown(self) -> dict[str, object]:
        return dict(json.loads(self.policy("show", "--format", "json").stdout))


@pytest.fixture
def net(engine: Engine) -> Iterator[Net]:
    found = Net(engine)
    yield found
    found.servers.close()


def test_between_containers_by_name_and_label(net: Net) -> None:
    net.make()
    web, other, db = net.box("web", "--label", "tier=web"), net.box("other"), net.box("db")
    net.serve(db, "tcp", 5432, 8001, 8010)
    assert web.tcp(net.ip("db"), 5432)
    net.set("deny", "allow from=label:tier=web to=name:db port=5432,8000-8005")
    assert web.tcp(net.ip("db"), 5432)
    assert web.tcp(net.ip("db"), 8001)
    assert web.tcp(net.ip6("db"), 5432)
    assert not web.tcp(net.ip("db"), 8010)
    assert not other.tcp(net.ip("db"), 5432)
    assert not other.tcp(net.ip6("db"), 5432)
    net.policy("clear")
    assert other.tcp(net.ip("db"), 8010)


def test_first_match_decides(net: Net) -> None:
    net.make()
    web, db = net.box("web"), net.box("db")
    net.serve(db, "tcp", 80, 81)
    net.set("allow", "allow from=name:web to=name:db port=80", "deny from=network to=name:db")
    assert web.tcp(net.ip("db"), 80)
    assert not web.tcp(net.ip("db"), 81)
    net.policy("add", "--at", "1", "allow", "to=name:db", "port=81")
    assert web.tcp(net.ip("db"), 81)
    net.policy("rm", "allow to=name:db port=81")
    assert not web.tcp(net.ip("db"), 81)


def test_every_protocol_in_both_families(net: Net) -> None:
    net.make()
    web, db = net.box("web"), net.box("db")
    net.serve(db, "tcp", 80)
    net.serve(db, "udp", 53, 54)

    def pings(address: str) -> bool:
        return "1 packets received" in net.engine.execute("web", "ping", "-c1", "-W1", address, check=False)

    net.set("deny", "allow to=name:db port=53/udp")
    for address in (net.ip("db"), net.ip6("db")):
        assert web.udp(address, 53)
        assert not web.udp(address, 54)
        assert not web.tcp(address, 80)
        assert not pings(address)
    net.set("deny", "allow from=name:web to=name:db proto=icmp,tcp")
    for address in (net.ip("db"), net.ip6("db")):
        assert not web.udp(address, 53)
        assert web.tcp(address, 80)
        assert pings(address)
    assert not db.tcp(net.ip("web"), 80)


def test_big_datagrams_come_in_pieces_and_arrive(net: Net) -> None:
    net.make()
    web, db = net.box("web"), net.box("db")
    net.serve(db, "udp", 53)
    net.set("deny", "allow to=name:db port=53/udp")
    for address in (net.ip("db"), net.ip6("db")):
        assert inside.run(web.path, lambda to=address: inside.udp(to, 53, b"x" * 4000, 1.0))


def test_names_are_answered_where_everything_is_denied(net: Net) -> None:
    net.make()
    net.box("web")
    net.box("db")
    net.set("deny")
    assert net.ip("db") in net.engine.execute("web", "nslookup", "db.")
    assert PEER4 in net.engine.execute("web", "nslookup", "example.test.")


def test_out_by_prefix(net: Net) -> None:
    net.make()
    web, peer = net.box("web"), net.engine.machine.peer
    net.serve(Place(peer.netns), "tcp", 7001, 7002)
    net.serve(Place(net.engine.host.netns), "tcp", 7003)
    gateway = net.engine.network("n")["IPAM"]["Config"][0]["Gateway"]
    assert web.tcp(PEER4, 7001)
    assert web.tcp(gateway, 7003)
    net.set("deny", f"allow to=cidr:{PEER4} port=7001", "allow to=cidr:2001:db8:51::/64 port=7002")
    assert web.tcp(PEER4, 7001)
    assert not web.tcp(PEER4, 7002)
    assert web.tcp(PEER6, 7002)
    assert not web.tcp(PEER6, 7001)
    assert not web.tcp(gateway, 7003)
    assert not web.tcp(HOST4, 7003)
    net.policy("add", f"allow to=cidr:{HOST4}")
    assert web.tcp(HOST4, 7003)


def test_in_by_published_ports(net: Net) -> None:
    net.make()
    web, peer, host = net.box("web", "-p", "8080:80"), Place(net.engine.machine.peer.netns), net.engine.host
    net.serve(web, "tcp", 80)
    assert peer.tcp(HOST4, 8080)
    net.set("deny")
    assert not peer.tcp(HOST4, 8080)
    assert Place(host.netns).tcp("127.0.0.1", 8080)
    assert Place(host.netns).tcp(net.ip("web"), 80)
    net.set("deny", "allow from=cidr:198.51.100.0/24 to=name:web port=80")
    assert peer.tcp(HOST4, 8080)
    net.set("deny", "allow from=network to=name:web port=80")
    assert not peer.tcp(HOST4, 8080)


def test_through_the_host_to_a_neighbour_and_to_itself(net: Net) -> None:
    net.make()
    web, db = net.box("web", "-p", "8080:80"), net.box("db")
    net.serve(web, "tcp", 80)
    net.set("deny", "allow from=name:web to=name:web")
    assert web.tcp(HOST4, 8080)
    assert not db.tcp(HOST4, 8080)
    net.set("deny", "allow from=name:db to=name:web port=80")
    assert db.tcp(HOST4, 8080)


def test_in_by_a_listener(net: Net) -> None:
    net.engine.docker("network", "create", "--subnet", "10.77.0.0/24", "n")
    web, peer, host = (
        net.box("web", "-p", "8080:80"),
        Place(net.engine.machine.peer.netns),
        Place(net.engine.host.netns),
    )
    net.serve(web, "tcp", 80)
    assert peer.tcp(HOST6, 8080)
    net.set("deny")
    assert not peer.tcp(HOST6, 8080)
    assert host.tcp("::1", 8080)
    net.policy("add", "allow", "to=name:web", "port=80")
    assert peer.tcp(HOST6, 8080)


def resolve(net: Net, name: str, kind: int = 1) -> list[str]:
    shown = net.engine.execute("web", "nslookup", "-type=a" if kind == 1 else "-type=aaaa", f"{name}.", check=False)
    lines = [line for line in shown.partition("Name:")[2].splitlines() if line.startswith("Address")]
    return [line.partition(":")[2].strip().split()[0] for line in lines]


def test_out_by_name(net: Net) -> None:
    net.make()
    web, peer = net.box("web"), Place(net.engine.machine.peer.netns)
    net.serve(peer, "tcp", 443, 80)
    net.set("deny", "allow to=dns:*.shop.test port=443")
    assert not web.tcp(PEER4, 443)
    assert resolve(net, "example.test") == [PEER4]
    assert not web.tcp(PEER4, 443)
    assert resolve(net, "api.shop.test") == [PEER4]
    assert web.tcp(PEER4, 443)
    assert not web.tcp(PEER4, 80)
    assert not web.tcp(PEER6, 443)
    assert resolve(net, "API.shop.test", 28) == [PEER6]
    assert web.tcp(PEER6, 443)


def test_a_name_is_learned_over_its_aliases_and_a_suffix_is_not_the_name_itself(net: Net) -> None:
    net.make()
    web, peer = net.box("web"), Place(net.engine.machine.peer.netns)
    net.serve(peer, "tcp", 443)
    net.set("deny", "allow to=dns:*.example.test", "allow to=dns:*.www.shop.test")
    assert PEER4 in resolve(net, "example.test")
    assert PEER4 in resolve(net, "www.shop.test")
    assert not web.tcp(PEER4, 443)
    net.set("deny", "allow to=dns:www.shop.test.")
    assert PEER4 in resolve(net, "www.shop.test")
    assert web.tcp(PEER4, 443)


def test_a_name_that_is_denied(net: Net) -> None:
    net.make()
    web, peer = net.box("web"), Place(net.engine.machine.peer.netns)
    net.serve(peer, "tcp", 443)
    net.set("allow", "deny to=dns:example.test")
    assert web.tcp(PEER4, 443)
    resolve(net, "example.test")
    assert not web.tcp(PEER4, 443)


def elements(net: Net, table: str, word: str) -> str:
    listed = net.engine.host.run("nft", "list", "table", *table.split())
    return "".join(part for part in listed.split("\n\n") if word in part.partition("{")[0])


def test_what_was_let_through_by_name_goes_on_when_the_name_is_forgotten(net: Net) -> None:
    net.make()
    web, peer = net.box("web"), Place(net.engine.machine.peer.netns)
    listener = inside.run(peer.path, lambda: socket.create_server((PEER4, 443)))
    net.set("deny", "allow to=dns:api.shop.test port=443")
    resolve(net, "api.shop.test")
    with listener, web.connect(PEER4, 443) as link, listener.accept()[0] as other:
        names = [
            line.split()[1] for line in elements(net, "inet fairlead-policy", "_names4").splitlines() if "set" in line
        ]
        for table in ("inet", "bridge"):
            net.engine.host.run("nft", "flush", "set", table, "fairlead-policy", names[0])
        link.sendall(b"still")
        other.settimeout(2)
        assert other.recv(5) == b"still"
        other.sendall(b"here")
        link.settimeout(2)
        assert link.recv(4) == b"here"
        assert not web.tcp(PEER4, 443)


def test_an_edit_cuts_what_is_there(net: Net) -> None:
    net.make()
    web, db = net.box("web"), net.box("db")
    listener = inside.run(db.path, lambda: socket.create_server(("0.0.0.0", 80)))

    talks = inside.arrives

    with listener, web.connect(net.ip("db"), 80) as link, listener.accept()[0] as other:
        assert talks(link, other, 3)
        net.set("deny", "allow from=name:web to=name:db")
        assert talks(link, other, 3), "older than the policy, and allowed by it"
        assert talks(other, link, 3)
        net.set("deny", "allow from=name:db to=name:web")
        assert not talks(link, other, PATIENCE)
        net.set("allow", "deny to=name:db port=80")
        assert not talks(link, other, PATIENCE)
        assert not talks(other, link, PATIENCE)
        net.policy("clear")
        assert talks(link, other, 5), "sent again until it comes through"


def test_an_edit_cuts_what_leaves(net: Net) -> None:
    net.make()
    web, peer = net.box("web"), Place(net.engine.machine.peer.netns)
    listener = inside.run(peer.path, lambda: socket.create_server((PEER4, 80)))
    with listener, web.connect(PEER4, 80) as link, listener.accept()[0] as other:
        net.set("allow", "deny to=cidr:198.51.100.0/24")
        other.settimeout(PATIENCE)
        link.sendall(b"x")
        with pytest.raises(TimeoutError):
            other.recv(1)
        net.policy("clear")
        other.settimeout(5)
        assert other.recv(1) == b"x"


def test_who_comes_later_who_is_renamed_who_leaves(net: Net) -> None:
    net.make()
    net.set("deny", "allow from=name:web to=label:role=db", "allow from=label:friend to=label:role=db port=80")
    db = net.box("db", "--label", "role=db")
    net.serve(db, "tcp", 80)
    web, friend = net.box("other"), net.box("friend", "--label", "friend=")
    assert not web.tcp(net.ip("db"), 80)
    assert friend.tcp(net.ip("db"), 80)
    net.engine.docker("rename", "other", "web")
    assert web.tcp(net.ip("db"), 80)
    net.engine.docker("rename", "web", "gone")
    assert not web.tcp(net.ip("db"), 80)
    net.engine.docker("network", "disconnect", "n", "friend")
    net.engine.docker("run", "-d", "--name", "late", "busybox", "sleep", "1000")
    net.engine.docker("network", "connect", "n", "late")
    assert not net.place("late").tcp(net.ip("db"), 80)
    net.engine.docker("network", "connect", "n", "friend")
    assert net.place("friend").tcp(net.ip("db"), 80)


def test_a_restarted_container_is_who_it_was(net: Net) -> None:
    net.make()
    net.set("deny", "allow from=name:web to=name:db port=80")
    net.box("web")
    net.box("db")
    net.engine.docker("restart", "-t", "0", "web", "db")
    net.serve(net.place("db"), "tcp", 80)
    assert net.place("web").tcp(net.ip("db"), 80)
    assert not net.place("db").tcp(net.ip("web"), 80)


def test_nobody_borrows_anothers_address(net: Net) -> None:
    net.make()
    web, other, db = net.box("web"), net.box("other"), net.box("db")
    net.serve(db, "udp", 53)
    net.set("deny", "allow from=name:web to=name:db")
    heard = inside.run(db.path, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with heard:
        inside.run(db.path, lambda: heard.bind(("0.0.0.0", 99)))
        heard.settimeout(PATIENCE)

        mine, theirs = net.ip("web"), net.ip("db")

        def whisper() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
                link.bind((mine, 0))
                link.sendto(b"it is me", (theirs, 99))

        net.engine.host.run("nsenter", f"--net={other.path}", "ip", "address", "add", f"{mine}/32", "dev", "eth0")
        inside.run(other.path, whisper)
        with pytest.raises(TimeoutError):
            heard.recv(16)
        inside.run(web.path, whisper)
        assert heard.recv(16)


def test_counters_and_inspect(net: Net) -> None:
    net.make()
    web, db = net.box("web"), net.box("db")
    net.serve(db, "udp", 53)
    net.set("deny", "allow from=name:web to=name:db port=53/udp")
    assert web.udp(net.ip("db"), 53)
    shown = net.shown()
    (rule,) = shown["Rules"]  # type: ignore[misc]
    assert (rule["Packets"], shown["DefaultPackets"]) == (2, 0)
    assert rule["Bytes"] > 56
    assert not db.udp(net.ip("web"), 53)
    assert net.shown()["DefaultPackets"] == 1
    net.policy("add", "allow to=name:nobody")
    assert net.shown()["Rules"][0]["Packets"] == 2  # type: ignore[index]
    described = net.engine.network("n")["Fairlead"]["Policy"]
    assert described["Default"] == "deny"
    assert [each["To"] for each in described["Rules"]] == ["name:db", "name:nobody"]
    table = net.policy("show").stdout.splitlines()
    assert table[0].split() == ["RULE", "ID", "ACTION", "FROM", "TO", "PORTS", "PACKETS", "BYTES"]
    assert table[-1].split()[:2] == ["default", "deny"]
    net.policy("clear")
    assert "Fairlead" not in net.engine.network("n")


def test_an_internal_network_has_a_policy_too(net: Net) -> None:
    net.make("--internal")
    web, db = net.box("web"), net.box("db")
    net.serve(db, "tcp", 80, 81)
    net.set("deny", "allow to=name:db port=80")
    assert web.tcp(net.ip("db"), 80)
    assert not web.tcp(net.ip("db"), 81)


def test_a_network_that_grows(net: Net) -> None:
    net.engine.docker("network", "create", "--subnet", "10.77.0.0/24", "n")
    web, db = net.box("web"), net.box("db")
    net.serve(db, "tcp", 80, 81)
    net.set("deny", "allow from=name:far to=name:db port=80", "allow from=network to=network port=81")
    grown = {"AddSubnets": [{"Subnet": "10.78.0.0/24"}]}
    assert net.engine.call("POST", "/fairlead/networks/n/update", grown)[0] == 200
    assert web.tcp(net.ip("db"), 81)
    assert not web.tcp(net.ip("db"), 80)
    far, distant = net.box("far", "--ip", "10.78.0.9"), net.box("distant", "--ip", "10.78.0.10")
    assert far.tcp(net.ip("db"), 80), "through the host, since its subnet is another one"
    assert distant.tcp(net.ip("db"), 81)
    assert not distant.tcp(net.ip("db"), 80)


def test_edits_under_load_lose_nothing(net: Net) -> None:
    net.make()
    web, db = net.box("web"), net.box("db")
    net.serve(db, "udp", 53)
    net.set("deny", "allow from=name:web to=name:db port=53/udp")
    address, answers = net.ip("db"), []

    def ask() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.connect((address, 53))
            link.settimeout(2)
            for number in range(20):
                for _ in range(20):
                    link.send(b"?")
                    answers.append(link.recv(64))
                rule = {"Action": "allow", "From": "name:web", "To": "name:db", "Ports": ["53/udp"]}
                rules = [rule, {**rule, "Ports": [f"{1000 + number}/tcp"]}]
                status, _ = net.engine.call("PUT", "/fairlead/networks/n/policy", {"Default": "deny", "Rules": rules})
                assert status == 204

    inside.run(web.path, ask)
    assert len(answers) == 400


def test_edits_while_containers_come_and_go(net: Net) -> None:
    net.make()
    web, db = net.box("web"), net.box("db")
    net.serve(db, "tcp", 80, 81)
    over = threading.Event()

    def churn(number: int) -> None:
        while not over.is_set():
            net.engine.docker(
                "run", "--rm", "--name", f"guest{number}", "--label", "guest", "--network", "n", "busybox", "true"
            )

    threads = [threading.Thread(target=churn, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    rules = ["allow from=label:guest to=name:db", "deny from=name:guest1", "allow to=dns:*.shop.test"]
    path = "/fairlead/networks/n/policy"
    for number in range(60):
        listed = ["allow from=name:web to=name:db port=80", *rules[: number % 4]]
        body = policy_body(checked(Action.DENY, map(parse_rule, listed)))
        assert net.engine.call("PUT", path, body)[0] == 204
        if number % 10 == 9:
            assert net.engine.call("DELETE", path)[0] == 204
        time.sleep(0.05)
    over.set()
    for thread in threads:
        thread.join()
    net.set("deny", "allow from=name:web to=name:db port=80")
    assert web.tcp(net.ip("db"), 80)
    assert not web.tcp(net.ip("db"), 81)
    assert repairs(net) == ""
    left = net.engine.host.run("nft", "list", "map", "bridge", "fairlead-policy", "from_port")
    assert left.count("goto") == 2, "of web and db"


def test_the_daemon_is_not_needed(net: Net) -> None:
    net.make()
    web, db, peer = net.box("web"), net.box("db"), Place(net.engine.machine.peer.netns)
    net.serve(db, "tcp", 80, 81)
    net.serve(peer, "tcp", 443)
    net.set("deny", "allow to=name:db port=80", "allow to=dns:*.shop.test port=443")
    addresses = net.ip("db")
    net.engine.kill()
    assert web.tcp(addresses, 80)
    assert not web.tcp(addresses, 81)
    assert not web.tcp(PEER4, 443)
    ask = b"\0\7\1\0\0\1\0\0\0\0\0\0\3api\4shop\4test\0\0\1\0\1"
    assert inside.run(web.path, lambda: inside.udp("127.0.0.11", 53, ask))
    assert web.tcp(PEER4, 443)
    net.engine.start()
    assert web.tcp(addresses, 80)
    assert web.tcp(PEER4, 443)
    assert not web.tcp(addresses, 81)
    assert net.shown()["Rules"][0]["Packets"] > 4  # type: ignore[index]
    assert repairs(net) == ""
    net.policy("clear")
    assert web.tcp(addresses, 81)


def repairs(net: Net) -> str:
    return net.engine.out("events", "--since", "1h", "--until", str(time.time()), "--filter", "type=daemon")


@pytest.mark.parametrize(
    "harm",
    [
        "delete table bridge fairlead-policy; delete table inet fairlead-policy",
        "flush ruleset",
        "flush chain bridge fairlead-policy forward",
        "flush map inet fairlead-policy networks",
        "insert rule bridge fairlead-policy always accept",
        "flush map bridge fairlead-policy from_port; flush map bridge fairlead-policy to_port",
    ],
)
def test_what_a_stranger_took_away_comes_back(net: Net, harm: str) -> None:
    net.make()
    web, db, peer = net.box("web"), net.box("db"), Place(net.engine.machine.peer.netns)
    net.serve(db, "tcp", 80, 81)
    net.serve(peer, "tcp", 443, 444)
    net.set("deny", "allow to=name:db port=80", "allow to=dns:*.shop.test port=443")
    resolve(net, "api.shop.test")

    def enforced() -> bool:
        return not web.tcp(net.ip("db"), 81) and not web.tcp(PEER4, 444)

    assert enforced()
    net.engine.host.run("nft", harm)
    wait_until(enforced, "the policy is enforced again", 8)
    assert web.tcp(net.ip("db"), 80)
    wait_until(lambda: web.tcp(PEER4, 443), "what was learned is known again", 3)


def test_the_resolver_process_is_told_again_after_its_death(net: Net) -> None:
    net.make()
    web, peer = net.box("web"), Place(net.engine.machine.peer.netns)
    net.serve(peer, "tcp", 443)
    net.set("deny", "allow to=dns:api.shop.test port=443")
    for pid in net.engine.processes("fairlead.dns"):
        net.engine.host.run("kill", "-9", str(pid))
    wait_until(lambda: resolve(net, "api.shop.test") == [PEER4], "names are answered again", 10)
    assert web.tcp(PEER4, 443)


RULE = {"Action": "allow", "From": "any", "To": "any", "Ports": []}


BAD_BODIES: list[tuple[object, str]] = [
    ({}, "Default is missing"),
    ({"Default": "maybe"}, "'maybe' is not allow or deny"),
    ({"Default": 1}, "Default must be a string"),
    ({"Default": "deny", "Rules": {}}, "Rules"),
    ({"Default": "deny", "Rules": [{**RULE, "Action": ""}]}, "rule 1: Action is missing"),
    ({"Default": "deny", "Rules": [RULE, {**RULE, "Action": "drop"}]}, "rule 2: Action: 'drop'"),
    ({"Default": "deny", "Rules": [{**RULE, "From": "web"}]}, "rule 1: From: 'web' is not any, network, name:"),
    ({"Default": "deny", "Rules": [{**RULE, "From": "dns:a.b"}]}, "can stand in to= only"),
    ({"Default": "deny", "Rules": [{**RULE, "To": "name:"}]}, "cannot be the name of a container"),
    ({"Default": "deny", "Rules": [{**RULE, "To": 'name:a"b'}]}, "cannot be the name of a container"),
    ({"Default": "deny", "Rules": [{**RULE, "To": "label:=x"}]}, "is not KEY or KEY=VALUE"),
    ({"Default": "deny", "Rules": [{**RULE, "To": "label:a=\n"}]}, "is not KEY or KEY=VALUE"),
    ({"Default": "deny", "Rules": [{**RULE, "To": "cidr:10.0.0.1/8"}]}, "has host bits set"),
    ({"Default": "deny", "Rules": [{**RULE, "To": "cidr:x"}]}, "'x' is not an address or a prefix"),
    ({"Default": "deny", "Rules": [{**RULE, "To": "dns:*"}]}, "is not a name in DNS"),
    ({"Default": "deny", "Rules": [{**RULE, "To": "dns:a.*.b"}]}, "is not a name in DNS"),
    ({"Default": "deny", "Rules": [{**RULE, "To": "any:x"}]}, "'any:x' is not any"),
    ({"Default": "deny", "Rules": [{**RULE, "To": "network:x"}]}, "'network:x' is not any"),
    ({"Default": "deny", "Rules": [{**RULE, "Ports": ["x"]}]}, "Ports: 'x' is not a port"),
    ({"Default": "deny", "Rules": [{**RULE, "Ports": ["0"]}]}, "ports are 1 to 65535"),
    ({"Default": "deny", "Rules": [{**RULE, "Ports": ["9-8/udp"]}]}, "the lower one first"),
    ({"Default": "deny", "Rules": [{**RULE, "Ports": ["80/icmp"]}]}, "'80/icmp' is not a port"),
    ({"Default": "deny", "Rules": [{**RULE, "Ports": "80"}]}, "Ports"),
    ({"Default": "deny", "Rules": [RULE, RULE]}, "is there twice"),
    (
        {"Default": "deny", "Rules": [{**RULE, "From": "cidr:10.0.0.0/8", "To": "cidr:fd00::/8"}]},
        "no packet is both",
    ),
    ({"Default": "deny", "Rules": [{**RULE, "Ports": [str(n)]} for n in range(1, 502)]}, "at most 500"),
]


def test_bad_policies(net: Net) -> None:
    net.make()
    for body, words in BAD_BODIES:
        status, answer = net.engine.call("PUT", "/fairlead/networks/n/policy", body)
        assert (status, words in answer["message"]) == (400, True), (body, answer)
    assert net.engine.call("GET", "/fairlead/networks/n/policy")[0] == 404


NOT_FOR_POLICIES = [
    ("nosuch", 404, "network nosuch not found"),
    ("bridge", 400, "predefined"),
    ("host", 400, "predefined"),
    ("none", 400, "predefined"),
    ("lender", 400, "only lends its configuration"),
    ("mac", 400, "has the driver macvlan"),
]


def test_networks_that_cannot_have_one(net: Net) -> None:
    net.engine.docker("network", "create", "--config-only", "lender")
    net.engine.docker("network", "create", "-d", "macvlan", "mac")
    for network, status, words in NOT_FOR_POLICIES:
        found, answer = net.engine.call("PUT", f"/fairlead/networks/{network}/policy", {"Default": "deny"})
        assert (found, words in answer["message"]) == (status, True), (network, answer)


BAD_WORDS = [
    (["set"], "--default is missing"),
    (["set", "--default", "no"], "--default: 'no' is not allow or deny"),
    (["set", "--default", "deny", "--allow", ""], "nothing is said of whom or what"),
    (["set", "--default", "deny", "--allow", "form=any"], "'form=any' is not from=, to=, port= or proto="),
    (["set", "--default", "deny", "--allow", "to=any to=any"], "to= is there twice"),
    (["set", "--default", "deny", "--allow", "to=any", "--deny", "to=any"], "lose the order"),
    (["set", "--default", "deny", "--rule", "permit to=any"], "'permit' is not allow or deny"),
    (["set", "--default", "deny", "--allow", "port=80 proto=tcp"], "exclude each other"),
    (["set", "--default", "deny", "--allow", "proto=80"], "proto=80: each is one of tcp, udp, sctp, icmp"),
    (["set", "--file", "/nosuch"], "cannot read /nosuch"),
    (["set", "--file", "x", "--default", "deny"], "--file holds the whole policy"),
    (["add"], "it is empty"),
    (["add", "--at", "3", "allow to=any"], "the policy has 0 rules"),
    (["rm"], "which rule?"),
    (["rm", "12345678"], "no such rule: 12345678"),
    (["show"], "network n has no policy: every packet may pass"),
    (["draw"], "unknown verb draw"),
]


def test_bad_words(net: Net) -> None:
    net.make()
    for argv, words in BAD_WORDS:
        done = net.policy(*argv, check=False)
        assert (done.returncode, words in done.stderr) == (1, True), (argv, done.stderr)


def test_a_policy_from_a_file(net: Net) -> None:
    net.make()
    path = net.engine.base / "policy.json"
    path.write_text(json.dumps({"Default": "deny", "Rules": [RULE]}))
    with suppress(OSError):
        net.policy("set", "-f", str(path))
    path.write_text(net.policy("show", "--format", "json").stdout)
    net.policy("set", "--file", str(path))
    assert [rule["From"] for rule in net.shown()["Rules"]] == ["any"]  # type: ignore[union-attr]
    (identifier,) = [rule["Id"] for rule in net.shown()["Rules"]]  # type: ignore[union-attr]
    net.policy("rm", identifier)
    assert net.shown()["Rules"] == []
