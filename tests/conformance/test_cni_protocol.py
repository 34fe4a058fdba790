"""What plugins are asked, in which order, and what becomes of a container whose plugins fail in every way they can."""

from __future__ import annotations

import json
import time
from threading import Thread
from typing import Any

import pytest

from harness.cni import Cni, steps
from harness.cni_fixtures import chains, daemon_flags, engine
from harness.engine import Engine, wait_until

__all__ = ["chains", "daemon_flags", "engine"]


def create(engine: Engine, name: str = "net", *flags: str) -> None:
    engine.docker("network", "create", "-d", "cni", "-o", f"conflist={name}", *flags, name)


def refused(engine: Engine, *words: str) -> str:
    """Standard error of a docker command that must fail."""
    done = engine.docker(*words, check=False)
    assert done.returncode, f"docker {' '.join(words)} succeeded"
    return done.stderr


def run(engine: Engine, *flags: str, name: str = "c1") -> None:
    engine.docker("run", "-d", "--name", name, "--network", "net", *flags, "busybox", "sleep", "1000")


def links(engine: Engine) -> list[str]:
    """Of actors, on the host."""
    found = json.loads(engine.host.run("ip", "-j", "link"))
    return [link["ifname"] for link in found if link["ifname"].startswith("act")]


# -- what is asked -----------------------------------------------------------------------------------------------------


@pytest.mark.docker_option("-o conflist", section="cni")
def test_a_chain_from_start_to_end(engine: Engine, chains: Cni) -> None:
    """ADD forwards with each result handed on, DEL backwards with the last one."""
    chains.write("net", chains.actor(), chains.actor("second"), chains.actor("third"))
    create(engine)
    run(engine)
    identifier = engine.inspect("c1")["Id"]
    assert list(steps(chains.calls())) == ["ADD actor", "ADD second", "ADD third"]
    first, second, third = chains.calls()
    assert first["env"] | {"CNI_PATH": ""} == {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": identifier,
        "CNI_NETNS": "/run/netns/c1",
        "CNI_IFNAME": "eth0",
        "CNI_ARGS": "IgnoreUnknown=1",
        "CNI_PATH": "",
    }
    assert (first["input"]["name"], first["input"]["cniVersion"]) == ("net", "1.0.0")
    assert "prevResult" not in first["input"]
    assert second["input"]["prevResult"]["ips"] == [{"address": "10.99.0.2/24", "interface": 1}]
    assert third["input"]["prevResult"] == second["input"]["prevResult"]
    chains.forget()
    engine.docker("rm", "-f", "c1")
    assert list(steps(chains.calls())) == ["DEL third", "DEL second", "DEL actor"]
    for asked in chains.calls():
        assert asked["input"]["prevResult"] == third["input"]["prevResult"]
        assert asked["env"]["CNI_NETNS"] == "/run/netns/c1"


def test_its_end_is_as_its_start_whatever_became_of_the_configuration(engine: Engine, chains: Cni) -> None:
    path = chains.write("net", chains.actor(flavour="sweet"))
    create(engine)
    run(engine)
    chains.forget()
    path.unlink()
    engine.docker("rm", "-f", "c1")
    (asked,) = chains.calls()
    assert (asked["env"]["CNI_COMMAND"], asked["input"]["flavour"]) == ("DEL", "sweet")
    assert links(engine) == []
    assert "no CNI network 'net'" in refused(engine, "run", "--rm", "--network", "net", "busybox", "true")
    chains.write("net", chains.actor(flavour="sour"))
    run(engine, name="c2")
    assert chains.calls("ADD")[-1]["input"]["flavour"] == "sour"


@pytest.mark.docker_option("-o args", section="cni")
@pytest.mark.docker_option("--dns, --dns-search, --dns-option", section="cni", note="told as dns")
@pytest.mark.docker_option("--network-alias", section="cni")
@pytest.mark.docker_option("fairlead.bandwidth.*", section="cni")
def test_wishes_reach_those_who_declare_them(engine: Engine, chains: Cni) -> None:
    some = {"aliases": True, "dns": True}
    rest = {"portMappings": True, "cgroupPath": True, "bandwidth": True, "ips": False}
    chains.write("net", chains.actor(capabilities=some), chains.actor("second", capabilities=rest))
    create(engine, "net", "-o", "args=K8S_POD_NAME=web;X=1", "-o", "fairlead.bandwidth.egress=1mbit")
    run(engine, "--network-alias", "db", "--dns", "192.0.2.53", "--dns-search", "shop", "-p", "127.0.0.1:8080:80")
    first, second = chains.calls()
    assert first["input"]["runtimeConfig"] == {
        "aliases": ["db"],
        "dns": {"servers": ["192.0.2.53"], "searches": ["shop"], "options": []},
    }
    given = second["input"]["runtimeConfig"]
    assert given["portMappings"] == [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": "127.0.0.1"}]
    assert given["cgroupPath"]
    assert given["bandwidth"]["egressRate"] == 1_000_000
    assert first["env"]["CNI_ARGS"] == "IgnoreUnknown=1;K8S_POD_NAME=web;X=1"


@pytest.mark.docker_option("cniVersion", section="cni", shows="0.1.0 to 1.1.0")
@pytest.mark.parametrize("version", ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
def test_every_version(engine: Engine, chains: Cni, version: str) -> None:
    chains.write("net", chains.actor(), chains.actor("second"), version=version)
    create(engine)
    run(engine)
    assert engine.address("c1", "net") == "10.99.0.2"
    assert {call["input"]["cniVersion"] for call in chains.calls()} == {version}
    chains.forget()
    engine.docker("rm", "-f", "c1")
    told = version not in ("0.1.0", "0.2.0", "0.3.0", "0.3.1")
    assert {"prevResult" in call["input"] for call in chains.calls("DEL")} == {told}


def test_the_newest_version_that_all_speak(engine: Engine, chains: Cni) -> None:
    """The second is of a time before 1.1.0."""
    (chains.bin / "old").write_text((chains.bin / "actor").read_text().replace(', "1.1.0"]', "]"))
    (chains.bin / "old").chmod(0o755)
    chains.write("net", chains.actor(), chains.actor("old"), cniVersions=["0.4.0", "1.1.0"])
    create(engine)
    run(engine)
    assert {call["input"]["cniVersion"] for call in chains.calls()} == {"1.0.0"}
    chains.write("new", chains.actor("old"), version="1.1.0")
    assert "its plugins speak others" in refused(engine, "network", "create", "-d", "cni", "-o", "conflist=new", "new")


def test_status_before_add(engine: Engine, chains: Cni) -> None:
    chains.write("net", chains.actor(on={"STATUS": "not ready"}), version="1.1.0")
    create(engine)
    assert "told to" in refused(engine, "run", "--rm", "--network", "net", "busybox", "true")
    assert "ADD actor" not in steps(chains.calls())
    chains.write("net", chains.actor(on={"STATUS": "not ready"}), version="1.0.0")
    engine.docker("run", "--rm", "--network", "net", "busybox", "true")


def test_garbage_is_collected_when_the_daemon_starts(engine: Engine, chains: Cni) -> None:
    """The containers of all networks of that configuration are named, and nobody else."""
    chains.write("net", chains.actor(), chains.actor("second"), version="1.1.0")
    chains.write("old", chains.actor("third", address="10.98.0.2/24"))
    create(engine)
    create(engine, "old")
    run(engine)
    engine.docker("run", "-d", "--name", "c2", "--network", "old", "busybox", "sleep", "1000")
    engine.docker("create", "--name", "c3", "--network", "net", "busybox", "true")
    identifier = engine.inspect("c1")["Id"]
    chains.forget()
    engine.stop()
    engine.start()
    wait_until(lambda: len(chains.calls("GC")) == 2, "GC of the chain that speaks 1.1.0")
    for call in chains.calls("GC"):
        assert call["input"]["cni.dev/valid-attachments"] == [{"containerID": identifier, "ifname": "eth0"}]
        assert "CNI_CONTAINERID" not in call["env"]
    chains.write("net", chains.actor(), version="1.1.0", disableGC=True)
    chains.forget()
    engine.stop()
    engine.start()
    engine.docker("rm", "-f", "c1")
    assert chains.calls("GC") == []


@pytest.mark.docker_option("fairlead network check", section="cni")
def test_check(engine: Engine, chains: Cni) -> None:
    """CHECK of each container by each plugin with ADD's result, the network's own state by STATUS."""
    chains.write("net", chains.actor(), chains.actor("second"), version="1.1.0")
    create(engine)
    run(engine)
    chains.forget()
    good = engine.fairlead("network", "check", "net")
    assert good.stdout.splitlines()[1].split() == ["c1", "eth0", "ok"]
    assert list(steps(chains.calls())) == ["STATUS actor", "STATUS second", "CHECK actor", "CHECK second"]
    assert {call["input"]["prevResult"]["ips"][0]["address"] for call in chains.calls("CHECK")} == {"10.99.0.2/24"}
    engine.docker("rm", "-f", "c1")
    chains.write("net", chains.actor(on={"CHECK": "fail", "STATUS": "not ready"}), version="0.4.0")
    run(engine)
    bad = engine.fairlead("network", "check", "net", check=False)
    assert (bad.returncode, bad.stderr) == (1, "")
    assert "the actor fails: because it was told to" in bad.stdout
    engine.docker("rm", "-f", "c1")
    chains.write("net", chains.actor(on={"CHECK": "fail"}), version="0.4.0", disableCheck=True)
    run(engine)
    assert engine.fairlead("network", "check", "net").stdout.splitlines()[1].split()[-1] == "ok"
    (chains.conf / "net.conflist").unlink()
    assert "no CNI network 'net'" in engine.fairlead("network", "check", "net", check=False).stderr
    status, answer = engine.call("POST", "/fairlead/networks/bridge/check")
    assert (status, answer["message"][:14]) == (400, "network bridge")
    assert engine.call("POST", "/fairlead/networks/nope/check")[0] == 404


# -- where it is configured --------------------------------------------------------------------------------------------


def test_a_single_plugin_in_a_file(engine: Engine, chains: Cni) -> None:
    config = {"cniVersion": "0.3.1", "name": "net", **chains.actor()}
    (chains.conf / "10-old.conf").write_text(json.dumps(config))
    create(engine)
    run(engine)
    assert engine.address("c1", "net") == "10.99.0.2"


def test_plugins_in_a_directory_named_after_the_network(engine: Engine, chains: Cni) -> None:
    chains.write("net", chains.actor(), version="1.1.0")
    (chains.conf / "net").mkdir()
    (chains.conf / "net" / "20-third.conf").write_text(json.dumps(chains.actor("third")))
    (chains.conf / "net" / "10-second.conf").write_text(json.dumps(chains.actor("second")))
    create(engine)
    run(engine)
    assert list(steps(chains.calls("ADD"))) == ["ADD actor", "ADD second", "ADD third"]
    engine.docker("rm", "-f", "c1")
    chains.write("net", chains.actor(), version="1.1.0", loadOnlyInlinedPlugins=True)
    chains.forget()
    run(engine)
    assert list(steps(chains.calls("ADD"))) == ["ADD actor"]


@pytest.mark.docker_option("-o conflist", section="cni")
def test_by_path_and_in_order_of_file_names(engine: Engine, chains: Cni, tmp_path: Any) -> None:
    (chains.conf / "00-broken.conflist").write_text("{")
    chains.write("net", chains.actor()).rename(chains.conf / "10-a.conflist")
    (chains.conf / "20-b.conflist").write_text((chains.conf / "10-a.conflist").read_text().replace("actor", "second"))
    create(engine)
    run(engine)
    assert list(steps(chains.calls())) == ["ADD actor"]
    path = tmp_path / "elsewhere.conflist"
    path.write_text((chains.conf / "20-b.conflist").read_text().replace('"type"', '"address": "10.98.0.2/24", "type"'))
    engine.docker("network", "create", "-d", "cni", "-o", f"conflist={path}", "other")
    engine.docker("network", "connect", "other", "c1")
    assert "ADD second" in steps(chains.calls())


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ([], "needs -o conflist=NAME"),
        (["conflist=nowhere"], "no CNI network 'nowhere' in"),
        (["conflist=/nowhere/x.conflist"], "/nowhere/x.conflist: no such file or directory"),
        (["conflist=broken"], "no CNI network 'broken'"),
        (["conflist=missing"], "CNI plugin nonesuch is not in"),
        (["conflist=good", "parent=eth0"], "the cni driver has no option parent"),
        (["conflist=good", "args=A"], "is not KEY=VALUE"),
    ],
)
def test_networks_that_cannot_be(engine: Engine, chains: Cni, options: list[str], complaint: str) -> None:
    chains.write("good", chains.actor())
    chains.write("missing", {"type": "nonesuch"})
    (chains.conf / "broken.conflist").write_text('{"name": "broken", "plugins": [')
    flags = [word for option in options for word in ("-o", option)]
    assert complaint in refused(engine, "network", "create", "-d", "cni", *flags, "net")
    assert "net" not in engine.out("network", "ls", "--format", "{{.Name}}").split()


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--internal"], "cannot be internal"),
        (["--subnet", "10.5.0.0/24", "--aux-address", "a=10.5.0.9"], "no auxiliary addresses"),
        (["--subnet", "10.5.0.0/24"], "declares the capability ipRanges"),
    ],
)
def test_flags_without_meaning_here(engine: Engine, chains: Cni, flags: list[str], complaint: str) -> None:
    chains.write("net", chains.actor())
    assert complaint in refused(engine, "network", "create", "-d", "cni", "-o", "conflist=net", *flags, "net")


def test_a_plugin_that_lets_another_do_it(engine: Engine, chains: Cni) -> None:
    """As flannel's does: it finds the real bridge plugin by CNI_PATH, in both directions."""
    delegate = chains.bridge("10.88.0.0/24") | {"name": "net", "cniVersion": "1.0.0"}
    chains.write("net", chains.actor(delegate=delegate))
    create(engine)
    run(engine)
    assert engine.address("c1", "net") == "10.88.0.2"
    assert chains.held("net") == ["10.88.0.2"]
    engine.docker("rm", "-f", "c1")
    assert chains.held("net") == []


def test_a_gateway_outside_every_subnet(engine: Engine, chains: Cni) -> None:
    """As calico's containers have: a /32, and a default route by way of a link-local neighbour."""
    routes = ["169.254.1.1 dev eth0 scope link", "default via 169.254.1.1 dev eth0"]
    chains.write("net", chains.actor(address="10.99.0.2/32", routes=routes))
    create(engine)
    run(engine)
    assert "default via 169.254.1.1 dev eth0" in engine.execute("c1", "ip", "route")
    assert engine.inspect("c1")["NetworkSettings"]["Networks"]["net"]["Gateway"] == "169.254.1.1"
    engine.docker("network", "connect", "--gw-priority", "1", "bridge", "c1")
    assert "default via 169.254.1.1" not in engine.execute("c1", "ip", "route")
    engine.docker("network", "disconnect", "bridge", "c1")
    assert "default via 169.254.1.1 dev eth0" in engine.execute("c1", "ip", "route")


# -- what goes wrong ---------------------------------------------------------------------------------------------------

FAILURES = {
    "fail": "CNI plugin second: the actor fails: because it was told to",
    "die": "CNI plugin second: panic: actor",
    "rubbish": "CNI plugin second: it printed no JSON: ready! {",
    "nothing": "CNI plugin second: it printed no JSON: nothing at all",
    "list": "CNI plugin second: it printed no JSON object: [1, 2]",
    "wrong version": "CNI plugin second: it answered in CNI '9.0.0'",
    "huge": "CNI plugin second printed more than 1048576 bytes",
    "hang": "CNI plugin second gave no answer within 3 seconds",
    "later": "CNI plugin second: told to",
    "unknown": "CNI plugin second: told to",
}


@pytest.mark.parametrize("way", FAILURES)
def test_an_add_that_fails(engine: Engine, chains: Cni, way: str) -> None:
    """One sentence; every plugin is told DEL; nothing is left; the next start works."""
    chains.write("net", chains.actor(), chains.actor("second", on={"ADD": way}), chains.actor("third"))
    create(engine)
    error = refused(engine, "run", "--name", "c1", "--network", "net", "busybox", "true")
    assert f"CNI network net: {FAILURES[way]}" in error
    assert list(steps(chains.calls("DEL")))[-3:] == ["DEL third", "DEL second", "DEL actor"]
    assert "ADD third" not in steps(chains.calls())
    assert links(engine) == []
    chains.write("net", chains.actor(), chains.actor("second"))
    engine.docker("start", "c1")


def test_what_goes_wrong_at_a_live_connect(engine: Engine, chains: Cni) -> None:
    chains.write("net", chains.actor(), chains.actor("second", on={"ADD": "fail"}))
    create(engine)
    engine.docker("run", "-d", "--name", "c1", "busybox", "sleep", "1000")
    assert "the actor fails" in refused(engine, "network", "connect", "net", "c1")
    assert links(engine) == []
    assert list(engine.inspect("c1")["NetworkSettings"]["Networks"]) == ["bridge"]
    chains.write("net", chains.actor(), chains.actor("second"))
    engine.docker("network", "connect", "net", "c1")
    assert engine.address("c1", "net") == "10.99.0.2"


def test_a_success_without_an_interface(engine: Engine, chains: Cni) -> None:
    chains.write("net", chains.actor(on={"ADD": "no link"}))
    create(engine)
    error = refused(engine, "run", "--rm", "--network", "net", "busybox", "true")
    assert "its plugins succeeded, and made no interface eth0" in error


def test_wishes_that_were_passed_over(engine: Engine, chains: Cni) -> None:
    chains.write("net", chains.actor())
    create(engine)
    error = refused(engine, "run", "--rm", "--network", "net", "--ip", "10.99.0.9", "busybox", "true")
    assert "gave the address 10.99.0.2/24 where 10.99.0.9 was asked for" in error
    flags = ("--network", "net", "--mac-address", "02:42:00:00:00:09")
    assert "where 02:42:00:00:00:09 was asked for" in refused(engine, "run", "--rm", *flags, "busybox", "true")
    assert links(engine) == []


def test_the_address_of_another(engine: Engine, chains: Cni) -> None:
    chains.write("net", chains.actor())
    create(engine)
    run(engine)
    error = refused(engine, "run", "--name", "c2", "--network", "net", "busybox", "true")
    assert "the address 10.99.0.2 that c2 was given is that of c1 already" in error
    assert len(links(engine)) == 1


def test_try_again_later(engine: Engine, chains: Cni) -> None:
    chains.write("net", chains.actor(), chains.actor("second", on={"ADD": "later once", "DEL": "later once"}))
    create(engine)
    engine.docker("run", "--rm", "--network", "net", "busybox", "true")
    asked = list(steps(chains.calls()))
    assert asked.count("ADD second") == 2
    assert asked[:4] == ["ADD actor", "ADD second", "DEL second", "DEL second"]
    assert links(engine) == []


def test_a_plugin_that_leaves_somebody_behind(engine: Engine, chains: Cni) -> None:
    chains.write("net", chains.actor(on={"ADD": "orphan"}))
    create(engine)
    began = time.monotonic()
    run(engine)
    assert time.monotonic() - began < 2
    assert engine.address("c1", "net") == "10.99.0.2"


def test_a_container_that_is_not_known_is_gone(engine: Engine, chains: Cni) -> None:
    """Code 3 at DEL: there is nothing to clean up."""
    chains.write("net", chains.actor(), chains.actor("second", on={"DEL": "unknown"}))
    create(engine)
    run(engine)
    engine.docker("rm", "-f", "c1")
    assert links(engine) == []
    assert b"unknown" not in engine.log.read_bytes()


def test_one_failure_at_the_end_keeps_nobody_from_his_part(engine: Engine, chains: Cni) -> None:
    """The container goes all the same, and the plugin is asked again until it lets go."""
    chains.write("net", chains.actor(), chains.actor("second", on={"DEL": "fail once"}))
    create(engine)
    run(engine)
    chains.forget()
    engine.docker("rm", "-f", "c1")
    assert list(steps(chains.calls()))[:2] == ["DEL second", "DEL actor"]
    assert links(engine) == []
    wait_until(lambda: list(steps(chains.calls())).count("DEL second") >= 2, "asked again", seconds=10)


def test_a_daemon_killed_while_a_plugin_works(engine: Engine, chains: Cni) -> None:
    """The next one finds in the record whom to tell DEL."""
    chains.write("net", chains.actor(), chains.actor("second", on={"ADD": "slow"}))
    create(engine)
    engine.docker("create", "--name", "c1", "--network", "net", "busybox", "sleep", "1000")
    asking = Thread(target=lambda: engine.docker("start", "c1", check=False))
    asking.start()
    wait_until(lambda: "ADD second" in steps(chains.calls()), "the second is at it")
    engine.kill()
    asking.join()
    engine.start()
    # A start of the daemon waits for no plugin.
    wait_until(lambda: list(steps(chains.calls()))[-2:] == ["DEL second", "DEL actor"], "both are told")
    assert links(engine) == []
    engine.docker("start", "c1")
    assert engine.address("c1", "net") == "10.99.0.2"


def test_a_container_let_in_again_keeps_its_place(engine: Engine, chains: Cni) -> None:
    """What is owed to plugins of its former life must not hit the present one."""
    chains.write("net", chains.actor(), chains.actor("second", on={"DEL": "fail"}))
    create(engine)
    run(engine)
    engine.docker("stop", "-t", "0", "c1")
    engine.docker("start", "c1")
    asked = len(chains.calls("DEL"))
    engine.stop()
    engine.start()
    assert len(chains.calls("DEL")) == asked
    assert "10.99.0.2" in engine.execute("c1", "ip", "address")
    (chains.bin / "second").write_text("#!/bin/sh\n")
    engine.docker("rm", "-f", "c1")
    chains.program("second")
