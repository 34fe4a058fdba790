"""Rates, delays and redirections: what is asked for is there, is observed as it was asked for, and goes."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from typing import Any

import pytest

from fairlead.errors import Unsupported
from fairlead.ids import ContainerId
from fairlead.kernel import netns
from fairlead.kernel.apply import Kernel
from fairlead.kernel.sandbox import Sandbox
from fairlead.kernel.shaping import check_support
from fairlead.net.plan import plan
from fairlead.net.state import HOST, Add, Fact, Link, LinkKind, Qdisc, Redirect, State
from fairlead.settings import Settings
from kernel.plumbing import CONTAINER, endpoint, facts, network, run

OWNER = ContainerId(CONTAINER)
VETH, IFB = "veth0000002", "ifb0000002"
HELD = Qdisc(ns=HOST, link=VETH, rate=10_000_000, burst=12_500, limit=75_000)
PASSAGE = Link(ns=HOST, name=IFB, kind=LinkKind.IFB, alias="web/net1")
SENT = replace(HELD, link=IFB, rate=5_000_008, burst=3_037, limit=40_000)
LED = Redirect(ns=HOST, link=VETH, to=IFB)
SHAPED: frozenset[Fact] = frozenset({HELD, PASSAGE, SENT, LED})


@pytest.fixture
def joined(kernel: Kernel, sandbox: Sandbox) -> Sandbox:
    kernel.add_sandbox(OWNER, sandbox.ns)
    kernel.apply(network() + endpoint())
    return sandbox


@pytest.fixture
def netem() -> None:
    try:
        check_support([Qdisc(ns=HOST, link="lo", delay=1)])
    except Unsupported as lacking:
        pytest.skip(str(lacking))


def host(*others: State) -> State:
    return facts(network() + endpoint(), HOST).union(*others)


def tc(*argv: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run("tc", "-j", *argv) or "[]")
    return found


def round_trip(sandbox: Sandbox) -> float:
    """From the sandbox to its gateway and back, in milliseconds; neighbours know each other by then."""
    said = netns.run_in(sandbox.ns, lambda: run("ping", "-c2", "-i0.2", "-W3", "10.9.0.1"))
    return float(said.split("time=")[-1].split()[0])


def filters() -> list[dict[str, Any]]:
    return [entry for entry in tc("filter", "show", "dev", VETH, "ingress") if "options" in entry]


def test_what_is_observed_is_what_was_asked_for(kernel: Kernel, joined: Sandbox) -> None:
    kernel.apply(plan(host(), host(SHAPED)))
    assert plan(kernel.observe_host(), host(SHAPED)) == ()
    assert {(each["dev"], each["kind"]) for each in tc("qdisc") if each["kind"] != "noqueue"} >= {
        (VETH, "tbf"),
        (IFB, "tbf"),
        (VETH, "clsact"),
    }
    assert "1 received" in netns.run_in(joined.ns, lambda: run("ping", "-c1", "-W2", "10.9.0.1"))


def test_another_daemon_that_knows_the_records_needs_no_step(
    kernel: Kernel, joined: Sandbox, settings: Settings
) -> None:
    kernel.apply(plan(host(), host(SHAPED)))
    other = Kernel(settings)
    other.add_sandbox(OWNER, joined.ns)
    other.ledger.learn(host(SHAPED))
    assert plan(other.observe_host(), host(SHAPED)) == ()


def test_it_all_goes_without_a_trace(kernel: Kernel, joined: Sandbox) -> None:
    before = tc("qdisc")
    kernel.apply(plan(host(), host(SHAPED)))
    kernel.apply(plan(host(SHAPED), host()))
    assert [each for each in tc("qdisc") if each["dev"].startswith("veth")] == [
        each for each in before if each["dev"].startswith("veth")
    ]
    assert kernel.observe_host() == host()


def test_filters_of_others_stay_and_keep_their_place(kernel: Kernel, joined: Sandbox) -> None:
    kernel.apply(plan(host(), host(SHAPED)))
    run(*f"tc filter add dev {VETH} ingress prio 5 protocol ip u32 match ip dport 9 0xffff action mirred".split(),
        *f"egress redirect dev {VETH}".split())  # fmt: skip
    kernel.apply(plan(host(SHAPED), host()))
    assert {each["pref"] for each in filters()} == {5}


def test_rates_change_in_place(kernel: Kernel, joined: Sandbox) -> None:
    kernel.apply(plan(host(), host({HELD})))
    faster = replace(HELD, rate=80_000_000_000, burst=10_000_000)
    kernel.apply(plan(kernel.observe_host(), host({faster})))
    assert plan(kernel.observe_host(), host({faster})) == ()
    (shown,) = [each for each in tc("qdisc", "show", "dev", VETH) if each["kind"] == "tbf"]
    assert shown["options"]["rate"] == 10_000_000_000


def test_a_redirection_whose_passage_went_is_led_anew(kernel: Kernel, joined: Sandbox) -> None:
    kernel.apply(plan(host(), host(SHAPED)))
    run("ip", "link", "del", IFB)
    steps = plan(kernel.observe_host(), host(SHAPED))
    assert {type(step.fact) for step in steps} == {Link, Qdisc, Redirect}
    kernel.apply(steps)
    assert plan(kernel.observe_host(), host(SHAPED)) == ()
    assert "1 received" in netns.run_in(joined.ns, lambda: run("ping", "-c1", "-W2", "10.9.0.1"))


def test_a_strangers_discipline_makes_room(kernel: Kernel, joined: Sandbox) -> None:
    run(*f"tc qdisc add dev {VETH} root tbf rate 1mbit burst 10k limit 10k".split())
    assert kernel.observe_host() == host()
    kernel.apply([Add(HELD)])
    assert HELD in kernel.observe_host()


def test_what_is_done_inside_a_sandbox_is_observed_there(kernel: Kernel, joined: Sandbox) -> None:
    inside: frozenset[Fact] = frozenset(
        {
            Link(ns=OWNER, name=IFB, kind=LinkKind.IFB),
            replace(SENT, ns=OWNER, link="eth0"),
            replace(HELD, ns=OWNER, link=IFB),
            Redirect(ns=OWNER, link="eth0", to=IFB),
        }
    )
    before = facts(endpoint(), CONTAINER)
    kernel.apply(plan(before, before | inside))
    assert plan(kernel.observe_sandbox(OWNER), before | inside) == ()
    kernel.apply(plan(before | inside, before))
    assert kernel.observe_sandbox(OWNER) == before


def test_the_ledger_forgets_with_the_sandbox(kernel: Kernel, joined: Sandbox) -> None:
    kernel.apply([Add(HELD)])
    assert kernel.ledger.is_shaped(HOST)
    kernel.drop_sandbox(OWNER)
    assert not kernel.ledger.is_shaped(HOST)


def test_a_kernel_says_what_it_lacks(kernel: Kernel, joined: Sandbox) -> None:
    check_support([])
    check_support([HELD, LED])
    delayed = Qdisc(ns=HOST, link=VETH, delay=1000)
    trial = ["tc", "qdisc", "add", "dev", "lo", "root", "netem"]
    if subprocess.run(trial, capture_output=True, check=False).returncode:
        for attempt in (lambda: check_support([delayed]), lambda: kernel.apply([Add(delayed)])):
            with pytest.raises(Unsupported, match=r"this kernel has no netem, which fairlead\.bandwidth and"):
                attempt()
    else:
        check_support([delayed])


@pytest.mark.docker_option("fairlead.netem.delay", section="fairlead")
@pytest.mark.usefixtures("netem")
def test_delays_and_losses_are_there_with_and_without_a_rate(kernel: Kernel, joined: Sandbox) -> None:
    late = Qdisc(ns=HOST, link=VETH, delay=400_000)
    before = round_trip(joined)
    kernel.apply([Add(late)])
    assert plan(kernel.observe_host(), host({late})) == ()
    assert 400 <= round_trip(joined) - before < 800
    held = replace(HELD, delay=1_000, jitter=500, loss=2_500)
    for want in (held, late, held, HELD, held):
        kernel.apply(plan(kernel.observe_host(), host({want})))
        assert plan(kernel.observe_host(), host({want})) == ()


@pytest.mark.docker_option("fairlead.netem.loss", section="fairlead")
@pytest.mark.usefixtures("netem")
def test_all_that_is_lost_is_lost(kernel: Kernel, joined: Sandbox) -> None:
    kernel.apply([Add(Qdisc(ns=HOST, link=VETH, loss=1_000_000))])
    silent = ["ping", "-c1", "-W1", "10.9.0.1"]
    assert netns.run_in(joined.ns, lambda: subprocess.run(silent, capture_output=True, check=False)).returncode == 1
