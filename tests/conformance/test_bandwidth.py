"""Rates of endpoints: measured by traffic, both ways, by network and by endpoint; put back when taken away."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from harness import traffic
from harness.engine import Engine, wait_until
from harness.machine import OUTER4, PEER4

INGRESS, EGRESS = "fairlead.bandwidth.ingress", "fairlead.bandwidth.egress"
LAN = ("--subnet", OUTER4, "--ip-range", "198.51.100.64/26")


def sleeper(engine: Engine, name: str, *flags: str) -> None:
    engine.docker("run", "-d", "--name", name, *flags, "busybox", "sleep", "1000")


def received(engine: Engine, name: str, network: str) -> float:
    """Mbit/s from the host to the container."""
    return traffic.megabits(engine.host.netns, engine.netns(name), engine.address(name, network))


def sent(engine: Engine, name: str, network: str) -> float:
    """Mbit/s from the container to the host."""
    gateway = engine.network(network)["IPAM"]["Config"][0]["Gateway"]
    return traffic.megabits(engine.netns(name), engine.host.netns, gateway)


def shapes(engine: Engine) -> set[tuple[str, str, int]]:
    """(link, kind, rate in bits) of everything on the host that is not the kernel's default."""
    listed: list[dict[str, Any]] = json.loads(engine.host.run("tc", "-j", "qdisc", "show"))
    return {
        (entry["dev"], entry["kind"], entry.get("options", {}).get("rate", 0) * 8)
        for entry in listed
        if entry["kind"] not in ("noqueue", "pfifo_fast", "fq_codel", "mq")
    }


def kinds(engine: Engine) -> list[tuple[str, int]]:
    return sorted((kind, rate) for _, kind, rate in shapes(engine))


@pytest.mark.docker_option("fairlead.bandwidth.ingress", section="fairlead")
@pytest.mark.docker_option("fairlead.bandwidth.egress", section="fairlead")
def test_a_network_holds_each_of_its_containers_both_ways(engine: Engine) -> None:
    engine.docker("network", "create", "-o", f"{INGRESS}=40mbit", "-o", f"{EGRESS}=10mbit", "slow")
    for name in ("one", "two"):
        sleeper(engine, name, "--network", "slow")
    for name in ("one", "two"):
        assert traffic.holds(partial(received, engine, name, "slow"), 40)
        assert traffic.holds(partial(sent, engine, name, "slow"), 10)
    # Between the two the narrower way counts: what one sends.
    one, two, address = engine.netns("one"), engine.netns("two"), engine.address("two", "slow")
    assert traffic.holds(lambda: traffic.megabits(one, two, address), 10)


@pytest.mark.docker_option("fairlead.bandwidth.ingress", section="fairlead")
def test_an_endpoint_has_its_own_rate_and_may_have_none(engine: Engine) -> None:
    engine.docker("network", "create", "-o", f"{INGRESS}=10mbit", "-o", f"{EGRESS}=10mbit", "slow")
    sleeper(engine, "fast", "--network", f"name=slow,driver-opt={INGRESS}=50mbit,driver-opt={EGRESS}=0")
    assert traffic.holds(lambda: received(engine, "fast", "slow"), 50)
    assert sent(engine, "fast", "slow") > 300


def test_a_network_joined_later_is_held_too_and_left_without_a_trace(engine: Engine) -> None:
    engine.docker("network", "create", "plain")
    sleeper(engine, "web", "--network", "plain")
    before = shapes(engine)
    engine.docker("network", "create", "later")
    engine.docker("network", "connect", "--driver-opt", f"{EGRESS}=20mbit", "later", "web")
    assert traffic.holds(lambda: sent(engine, "web", "later"), 20)
    assert sent(engine, "web", "plain") > 300
    engine.docker("network", "disconnect", "later", "web")
    wait_until(lambda: shapes(engine) == before, "the rate is gone with the endpoint")


def test_a_network_in_use_is_given_another_rate(engine: Engine) -> None:
    engine.docker("network", "create", "-o", f"{INGRESS}=10mbit", "changing")
    sleeper(engine, "web", "--network", "changing")
    engine.fairlead("network", "update", "-o", f"{INGRESS}=40mbit", "-o", f"{EGRESS}=20mbit", "changing")
    assert traffic.holds(lambda: received(engine, "web", "changing"), 40)
    assert traffic.holds(lambda: sent(engine, "web", "changing"), 20)
    engine.fairlead("network", "update", "--opt-rm", INGRESS, "--opt-rm", EGRESS, "changing")
    wait_until(lambda: shapes(engine) == set(), "all is gone")
    assert sent(engine, "web", "changing") > 300


def test_a_gigabit_is_a_gigabit(engine: Engine) -> None:
    sleeper(engine, "quick", "--network", f"name=bridge,driver-opt={EGRESS}=1gbit")
    assert traffic.holds(lambda: sent(engine, "quick", "bridge"), 1000)


def test_a_macvlan_interface_is_held_inside(engine: Engine) -> None:
    engine.docker("network", "create", "-d", "macvlan", "-o", "parent=eth0", "-o", f"{INGRESS}=10mbit", *LAN, "lan")
    sleeper(engine, "web", "--network", f"name=lan,driver-opt={EGRESS}=5mbit")
    web, second = engine.netns("web"), engine.machine.peer.netns
    assert traffic.holds(lambda: traffic.megabits(second, web, engine.address("web", "lan")), 10)
    assert traffic.holds(lambda: traffic.megabits(web, second, PEER4), 5)
    engine.host.run("nsenter", f"--net={web}", "tc", "qdisc", "del", "dev", "eth0", "root")
    wait_until(lambda: traffic.megabits(web, second, PEER4, seconds=0.3) < 6, "the rate is put back")
    assert traffic.holds(lambda: traffic.megabits(web, second, PEER4), 5)


def test_the_rate_is_out_of_the_containers_reach(engine: Engine) -> None:
    engine.docker("network", "create", "-o", f"{INGRESS}=10mbit", "-o", f"{EGRESS}=10mbit", "slow")
    sleeper(engine, "web", "--network", "slow", "--cap-add", "NET_ADMIN")
    inside = engine.host.run("nsenter", f"--net={engine.netns('web')}", "tc", "qdisc", "show")
    assert {line.split()[1] for line in inside.splitlines()} <= {"noqueue"}
    engine.execute("web", "ip", "link", "set", "eth0", "down")
    engine.execute("web", "ip", "link", "set", "eth0", "up")
    assert traffic.holds(lambda: sent(engine, "web", "slow"), 10)


@pytest.mark.parametrize("what", ["ingress", "egress", "redirection", "everything on the link", "passage"])
def test_what_a_stranger_removes_is_put_back(engine: Engine, what: str) -> None:
    engine.docker("network", "create", "-o", f"{INGRESS}=10mbit", "-o", f"{EGRESS}=5mbit", "slow")
    sleeper(engine, "web", "--network", "slow")
    before = kinds(engine)
    assert before == [("clsact", 0), ("tbf", 5_000_000), ("tbf", 10_000_000)]
    veth = next(link for link, _, rate in shapes(engine) if rate == 10_000_000)
    ifb = next(link for link, _, rate in shapes(engine) if rate == 5_000_000)
    commands = {
        "ingress": f"tc qdisc del dev {veth} root",
        "egress": f"tc qdisc replace dev {ifb} root tbf rate 1gbit burst 1mb limit 1mb",
        "redirection": f"tc filter del dev {veth} ingress",
        "everything on the link": f"tc qdisc del dev {veth} clsact",
        "passage": f"ip link del {ifb}",
    }
    engine.host.run(*commands[what].split())
    filters = ["tc", "filter", "show", "dev", veth, "ingress"]
    wait_until(
        lambda: kinds(engine) == before and f"to device {ifb}" in engine.host.run(*filters), "all is back", seconds=3
    )
    assert traffic.holds(lambda: sent(engine, "web", "slow"), 5)


def test_rates_outlive_the_daemon(engine: Engine) -> None:
    engine.docker("network", "create", "-o", f"{INGRESS}=10mbit", "-o", f"{EGRESS}=5mbit", "slow")
    sleeper(engine, "web", "--network", "slow")
    before = shapes(engine)
    engine.kill()
    assert shapes(engine) == before
    engine.start()
    assert shapes(engine) == before
    engine.docker("restart", "-t", "0", "web")
    assert kinds(engine) == sorted((kind, rate) for _, kind, rate in before)


BAD = [
    (f"{INGRESS}=fast", "a rate is a number and bit, kbit, mbit or gbit"),
    (f"{INGRESS}=10mbps", "write 10mbit for bits per second"),
    (f"{INGRESS}=10m", "it may mean bits or bytes"),
    (f"{INGRESS}=1kbit", "a rate is between 8kbit and 1tbit"),
    (f"{EGRESS}=-1mbit", "a rate is a number"),
    (f"{INGRESS}.burst=32kb", f"give {INGRESS} too"),
    ("fairlead.bandwidth.ingres=1mbit", "there is no option fairlead.bandwidth.ingres"),
    ("fairlead.netem.delay=100", "a time is a number and us, ms or s"),
    ("fairlead.netem.loss=101", "a loss is a percentage between 0 and 100"),
    ("fairlead.netem.jitter=10ms", "packets cannot arrive before they are sent"),
]


@pytest.mark.parametrize(("option", "words"), BAD)
def test_a_value_that_is_none_is_refused_of_networks_and_endpoints(engine: Engine, option: str, words: str) -> None:
    refused = engine.docker("network", "create", "-o", option, "bad", check=False)
    assert refused.returncode == 1
    assert words in refused.stderr
    assert engine.docker("network", "inspect", "bad", check=False).returncode == 1
    engine.docker("network", "create", "good")
    sleeper(engine, "web")
    refused = engine.docker("network", "connect", "--driver-opt", option, "good", "web", check=False)
    assert refused.returncode == 1
    assert words in refused.stderr
    assert list(engine.inspect("web")["NetworkSettings"]["Networks"]) == ["bridge"]


def test_a_container_is_not_even_made_with_a_value_that_is_none(engine: Engine) -> None:
    refused = engine.docker("create", "--network", f"name=bridge,driver-opt={INGRESS}=fast", "busybox", check=False)
    assert refused.returncode == 1
    assert f"invalid endpoint settings:\nfailed to parse {INGRESS} value: fast" in refused.stderr
    assert engine.out("ps", "-aq") == ""
