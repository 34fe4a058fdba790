"""Names inside containers: what resolves, what it resolves to, and what follows changes."""

from __future__ import annotations

import time

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.reversename
import pytest

from harness import inside
from harness.engine import Engine, wait_until
from harness.machine import HOST4, PEER4, PEER6

SERVER = "127.0.0.11"


class Asker:
    """Questions from inside a container's namespace."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._netns = engine.netns(name)

    def ask(self, name: str, kind: str = "A", **how: object) -> dns.message.Message:
        query = dns.message.make_query(name, kind, **how)
        return inside.run(self._netns, lambda: dns.query.udp(query, SERVER, timeout=3))

    def ask_tcp(self, name: str, kind: str = "A") -> dns.message.Message:
        query = dns.message.make_query(name, kind)
        return inside.run(self._netns, lambda: dns.query.tcp(query, SERVER, timeout=3))

    def find(self, name: str, kind: str = "A") -> set[str]:
        reply = self.ask(name, kind)
        return {item.to_text() for rrset in reply.answer for item in rrset}


@pytest.fixture
def asker(engine: Engine) -> Asker:
    engine.docker("network", "create", "--ipv6", "mynet")
    engine.docker("run", "-d", "--name", "web", "--network", "mynet", "--network-alias", "site", "-h", "host1", "nginx")
    engine.docker("run", "-d", "--name", "asker", "--network", "mynet", "busybox", "sleep", "1000")
    return Asker(engine, "asker")


@pytest.mark.docker_option("names of containers", section="dns")
def test_every_name_of_a_container(engine: Engine, asker: Asker) -> None:
    found = engine.inspect("web")
    address = engine.address("web", "mynet")
    for name in ("web", "site", "host1", found["Id"][:12], "web.mynet", "WEB"):
        assert asker.find(name) == {address}, name
    assert asker.find("web", "AAAA") == {engine.address6("web", "mynet")}
    assert {"web", "site", found["Id"][:12], "host1"} <= set(found["NetworkSettings"]["Networks"]["mynet"]["DNSNames"])


def test_exposed_ports_are_services(engine: Engine, asker: Asker) -> None:
    flags = ("--network", "mynet", "--expose", "8080", "--expose", "5353/udp", "--expose", "9000-9001")
    engine.docker("run", "-d", "--name", "many", *flags, "busybox", "sleep", "1000")
    assert asker.find("_8080._tcp.many", "SRV") == {"0 0 8080 many.mynet."}
    assert asker.find("_5353._udp.many.mynet", "SRV") == {"0 0 5353 many.mynet."}
    assert asker.find("_9001._tcp.many", "SRV") == {"0 0 9001 many.mynet."}
    beside = asker.ask("_8080._tcp.many", "SRV").additional
    assert engine.address("many", "mynet") in {item.to_text() for rrset in beside for item in rrset}
    assert asker.ask("_5353._tcp.many", "SRV").rcode() == dns.rcode.NXDOMAIN


@pytest.mark.docker_option("TTL", section="dns", note="seconds instead of 600 s")
def test_the_case_of_the_question_is_kept_and_the_ttl_is_short(asker: Asker) -> None:
    reply = asker.ask("wEb")
    assert reply.question[0].name.to_text() == "wEb."
    assert reply.answer[0].ttl <= 5
    assert reply.flags & dns.flags.RA


@pytest.mark.docker_option("reverse names", section="dns")
def test_reverse_names_in_both_families(engine: Engine, asker: Asker) -> None:
    for address in (engine.address("web", "mynet"), engine.address6("web", "mynet")):
        assert asker.find(dns.reversename.from_address(address).to_text(), "PTR") == {"web.mynet."}


def test_other_types_of_a_known_name_are_no_data(engine: Engine, asker: Asker) -> None:
    reply = asker.ask("web", "MX")
    assert (reply.rcode(), reply.answer) == (dns.rcode.NOERROR, [])
    engine.docker("network", "create", "four")
    engine.docker("network", "connect", "four", "asker")
    engine.docker("run", "-d", "--name", "v4", "--network", "four", "nginx")
    reply = asker.ask("v4", "AAAA")
    assert (reply.rcode(), reply.answer) == (dns.rcode.NOERROR, [])


@pytest.mark.docker_option("--network-alias, --alias", section="dns")
def test_all_holders_of_an_alias_are_given(engine: Engine, asker: Asker) -> None:
    for n in (1, 2):
        engine.docker("run", "-d", "--name", f"s{n}", "--network", "mynet", "--network-alias", "pool", "nginx")
    assert asker.find("pool") == {engine.address("s1", "mynet"), engine.address("s2", "mynet")}


def test_over_tcp(engine: Engine, asker: Asker) -> None:
    reply = asker.ask_tcp("web")
    assert [item.to_text() for item in reply.answer[0]] == [engine.address("web", "mynet")]


def test_rename_connect_and_disconnect_are_seen_at_once(engine: Engine, asker: Asker) -> None:
    address = engine.address("web", "mynet")
    engine.docker("rename", "web", "shop")
    assert asker.find("shop") == {address}
    assert asker.ask("web").rcode() == dns.rcode.NXDOMAIN
    engine.docker("network", "disconnect", "mynet", "shop")
    assert asker.ask("shop").rcode() == dns.rcode.NXDOMAIN
    engine.docker("network", "connect", "mynet", "shop")
    assert asker.find("shop") == {engine.address("shop", "mynet")}
    engine.docker("stop", "-t", "0", "shop")
    assert asker.ask("shop").rcode() == dns.rcode.NXDOMAIN


def test_names_of_other_networks_are_unknown(engine: Engine, asker: Asker) -> None:
    engine.docker("network", "create", "other")
    engine.docker("run", "-d", "--name", "far", "--network", "other", "nginx")
    assert asker.ask("far").rcode() == dns.rcode.NXDOMAIN
    engine.docker("network", "connect", "other", "asker")
    assert asker.find("far") == {engine.address("far", "other")}


def test_the_rest_is_forwarded_from_the_host(engine: Engine, asker: Asker) -> None:
    assert asker.find("example.test") == {PEER4}
    assert asker.find("example.test", "AAAA") == {PEER6}
    assert f"{HOST4} example.test" in engine.machine.queries.read_text()
    assert asker.ask("missing.test").rcode() == dns.rcode.NXDOMAIN
    assert len(asker.find("many.test")) == 20


def test_an_answer_too_big_for_a_datagram(asker: Asker) -> None:
    assert asker.ask("big.test", "TXT").flags & dns.flags.TC
    assert len(asker.ask_tcp("big.test", "TXT").answer[0][0].strings) == 8
    reply = asker.ask("big.test", "TXT", use_edns=0, payload=4096)
    assert len(reply.answer[0][0].strings) == 8


def test_errors_of_the_upstream(asker: Asker) -> None:
    assert asker.ask("refused.test").rcode() in (dns.rcode.REFUSED, dns.rcode.SERVFAIL)
    assert asker.ask("broken.test").rcode() == dns.rcode.SERVFAIL


@pytest.mark.docker_option("--dns", section="dns")
def test_dns_options_are_asked_from_the_containers_namespace(engine: Engine) -> None:
    engine.docker("network", "create", "-o", "com.docker.network.bridge.enable_ip_masquerade=false", "n")
    argv = ["--dns", PEER4, "--dns-search", "example.org", "--dns-option", "timeout:7", "--network", "n"]
    engine.docker("run", "-d", "--name", "box", *argv, "busybox", "sleep", "100")
    assert Asker(engine, "box").find("four.test") == {PEER4}
    assert f"{engine.address('box', 'n')} four.test" in engine.machine.queries.read_text()
    lines = engine.execute("box", "cat", "/etc/resolv.conf").splitlines()
    assert {f"nameserver {SERVER}", "search example.org"} <= set(lines)
    assert any(line.startswith("options") and "timeout:7" in line and "ndots:0" in line for line in lines)


@pytest.mark.docker_option("resolv.conf of the host", section="dns", note="followed while containers run")
def test_the_hosts_resolv_conf_is_followed(engine: Engine, asker: Asker) -> None:
    assert asker.find("example.test") == {PEER4}
    before = engine.machine.resolv_conf.read_text()
    try:
        engine.machine.resolv_conf.write_text("nameserver 198.51.100.99\n")
        wait_until(lambda: "missing" in _fails(asker), "the new server (which is not there) is asked", seconds=6)
    finally:
        engine.machine.resolv_conf.write_text(before)
    wait_until(lambda: not _fails(asker), "the old server is asked again", seconds=6)


def _fails(asker: Asker) -> str:
    """A fresh name each time: the cache must not answer."""
    try:
        return "" if asker.ask(f"n{time.monotonic_ns()}.bench").answer else "missing: no answer"
    except dns.exception.Timeout:
        return "missing: timeout"


def test_port_53_stays_the_containers_own(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    for name in ("own", "asker"):
        engine.docker("run", "-d", "--network", "n", "--name", name, "busybox", "sleep", "1000")
    with inside.udp_echo(engine.netns("own"), 53):
        address = engine.address("own", "n")
        assert Asker(engine, "own").find("asker") == {engine.address("asker", "n")}
        assert inside.run(engine.netns("asker"), lambda: inside.udp(address, 53, b"mine")) == b"mine"


def test_a_user_of_the_container_sees_only_its_resolver(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    conf = engine.out("run", "--rm", "--network", "n", "busybox", "cat", "/etc/resolv.conf")
    assert [line.split()[1] for line in conf.splitlines() if line.startswith("nameserver")] == [SERVER]


@pytest.mark.docker_option("the default bridge has no names", section="dns")
def test_the_default_bridge_has_the_hosts_servers(engine: Engine) -> None:
    conf = engine.out("run", "--rm", "busybox", "cat", "/etc/resolv.conf")
    assert [line.split()[1] for line in conf.splitlines() if line.startswith("nameserver")] == [PEER4]


@pytest.mark.docker_option("--link", section="modes", shows="on networks of one's own: an alias for who links")
def test_links_on_a_user_network_are_aliases_of_the_asker_alone(engine: Engine, asker: Asker) -> None:
    engine.docker("run", "-d", "--name", "linker", "--network", "mynet", "--link", "web:ww", "busybox", "sleep", "100")
    assert Asker(engine, "linker").find("ww") == {engine.address("web", "mynet")}
    assert asker.ask("ww").rcode() == dns.rcode.NXDOMAIN


def test_links_follow_a_rename(engine: Engine, asker: Asker) -> None:
    flags = ("-d", "--network", "mynet", "--link", "web:ww", "--link", "web")
    engine.docker("run", *flags, "--name", "linker", "busybox", "sleep", "100")
    engine.docker("rename", "web", "shop")
    engine.docker("restart", "-t", "0", "linker")
    linker = Asker(engine, "linker")
    assert linker.find("ww") == linker.find("web") == {engine.address("shop", "mynet")}
    engine.docker("restart", "-t", "0", "shop")
    assert linker.find("ww") == {engine.address("shop", "mynet")}
    assert asker.ask("ww").rcode() == dns.rcode.NXDOMAIN
