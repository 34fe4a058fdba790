"""What `docker network` and `--network` can be told, each by its effect: endpoints, networks, addresses."""

from __future__ import annotations

import ipaddress
import json
import time
from urllib.parse import quote

import docker
import pytest

from harness.engine import Engine
from harness.machine import PEER4

ENDPOINT = "com.docker.network.endpoint"


def sleeper(engine: Engine, name: str, *flags: str) -> None:
    engine.docker("run", "-d", "--name", name, *flags, "busybox", "sleep", "1000")


def pings(engine: Engine, name: str, address: str) -> bool:
    return engine.docker("exec", name, "ping", "-c", "1", "-W", "1", address, check=False).returncode == 0


def subnets(engine: Engine, name: str) -> list[str]:
    return [config["Subnet"] for config in engine.network(name)["IPAM"]["Config"]]


def names(engine: Engine, *flags: str) -> set[str]:
    return set(engine.out("network", "ls", "--format", "{{.Name}}", *flags).split())


# -- endpoints ----------------------------------------------------------------------------------------------------


@pytest.mark.docker_option("--link-local-ip", section="endpoint")
def test_link_local_addresses_come_beside_the_others(engine: Engine) -> None:
    engine.docker("network", "create", "--ipv6", "n")
    sleeper(engine, "one", "--network", "name=n,link-local-ip=169.254.7.7,link-local-ip=fe80::77")
    sleeper(engine, "two", "--network", "name=n,link-local-ip=169.254.7.8")
    assert pings(engine, "two", "169.254.7.7")
    assert pings(engine, "two", "fe80::77%eth0")
    assert pings(engine, "two", engine.address("one", "n"))
    engine.docker("network", "create", "m")
    engine.docker("network", "connect", "--link-local-ip", "169.254.8.8", "m", "one")
    assert "inet 169.254.8.8/16" in engine.execute("one", "ip", "address", "show", "eth1")


@pytest.mark.docker_option("driver-opt com.docker.network.endpoint.sysctls", section="endpoint")
def test_sysctls_of_one_interface(engine: Engine) -> None:
    for name in ("n", "m"):
        engine.docker("network", "create", name)
    opt = f"{ENDPOINT}.sysctls=net.ipv4.conf.IFNAME.log_martians=1"
    sleeper(engine, "box", "--network", f"name=n,driver-opt={opt}", "--network", "m")
    path = "/proc/sys/net/ipv4/conf/{}/log_martians"
    assert engine.execute("box", "cat", path.format("eth0"), path.format("eth1")).split() == ["1", "0"]
    engine.docker("network", "create", "late")
    # The client takes a comma for the end of the option; the API does not.
    several = "net.ipv4.conf.IFNAME.log_martians=1,net.ipv4.neigh.IFNAME.ucast_solicit=7"
    body = {"Container": "box", "EndpointConfig": {"DriverOpts": {f"{ENDPOINT}.sysctls": several}}}
    assert engine.call("POST", "/networks/late/connect", body)[0] == 200
    assert engine.execute("box", "cat", path.format("eth2"), "/proc/sys/net/ipv4/neigh/eth2/ucast_solicit").split() == [
        "1",
        "7",
    ]


@pytest.mark.docker_option("driver-opt com.docker.network.endpoint.ifname", section="endpoint")
def test_the_name_of_the_interface(engine: Engine) -> None:
    for name in ("n", "m"):
        engine.docker("network", "create", name)
    sleeper(engine, "box", "--network", f"name=n,driver-opt={ENDPOINT}.ifname=lan7", "--network", "m")
    assert engine.address("box", "n") in engine.execute("box", "ip", "address", "show", "lan7")
    assert engine.address("box", "m") in engine.execute("box", "ip", "address", "show", "eth0")


@pytest.mark.docker_option("mac-address (of one network)", section="endpoint")
def test_a_mac_address_on_one_network(engine: Engine) -> None:
    for name in ("n", "m"):
        engine.docker("network", "create", name)
    sleeper(engine, "box", "--network", "n", "--network", "name=m,mac-address=02:00:00:00:77:01")
    assert engine.execute("box", "cat", "/sys/class/net/eth1/address").strip() == "02:00:00:00:77:01"
    assert engine.execute("box", "cat", "/sys/class/net/eth0/address").strip() != "02:00:00:00:77:01"


@pytest.mark.docker_option("gw-priority", section="endpoint", shows="each family chooses for itself")
def test_ipv4_and_ipv6_may_leave_by_different_networks(engine: Engine) -> None:
    engine.docker("network", "create", "four")
    engine.docker("network", "create", "--ipv4=false", "--ipv6", "six")
    sleeper(engine, "box", "--network", "name=four,gw-priority=1", "--network", "name=six,gw-priority=5")
    assert " eth0" in engine.execute("box", "ip", "-4", "route", "show", "default")
    assert " eth1" in engine.execute("box", "ip", "-6", "route", "show", "default")


@pytest.mark.docker_option("gw-priority", section="endpoint", shows="a tie: most families, then the name")
def test_a_tie_goes_to_most_families_then_to_the_name(engine: Engine) -> None:
    engine.docker("network", "create", "b")
    engine.docker("network", "create", "a")
    engine.docker("network", "create", "--ipv6", "z")
    sleeper(engine, "plain", "--network", "b", "--network", "a")
    sleeper(engine, "dual", "--network", "b", "--network", "z")
    assert " eth1" in engine.execute("plain", "ip", "-4", "route", "show", "default")
    assert " eth1" in engine.execute("dual", "ip", "-4", "route", "show", "default")


@pytest.mark.docker_option("--network-alias", section="endpoint")
def test_aliases_are_names_and_shared_ones_are_both(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    for name in ("one", "two"):
        sleeper(engine, name, "--network", "n", "--network-alias", "db", "--network-alias", name + "x")
    sleeper(engine, "asker", "--network", "n")
    found = engine.execute("asker", "nslookup", "db.")
    assert engine.address("one", "n") in found
    assert engine.address("two", "n") in found
    assert pings(engine, "asker", "twox")


# -- networks -----------------------------------------------------------------------------------------------------


@pytest.mark.docker_option("--config-only, --config-from", section="network")
def test_a_configuration_is_lent_to_networks(engine: Engine) -> None:
    lent = ["--subnet", "10.90.0.0/24", "--ip-range", "10.90.0.128/25", "--label", "a=b"]
    engine.docker("network", "create", "--config-only", *lent, "-o", "com.docker.network.driver.mtu=1360", "conf")
    shown = engine.network("conf")
    assert (shown["Driver"], shown["ConfigOnly"], shown["Scope"]) == ("null", True, "local")
    assert "10.90.0" not in engine.host.run("ip", "address")
    engine.docker("network", "create", "--config-from", "conf", "--internal", "n")
    sleeper(engine, "box", "--network", "n")
    assert ipaddress.ip_address(engine.address("box", "n")) in ipaddress.ip_network("10.90.0.128/25")
    assert engine.execute("box", "cat", "/sys/class/net/eth0/mtu").strip() == "1360"
    assert not pings(engine, "box", PEER4)
    assert engine.network("n")["Labels"] == {"a": "b"}
    assert engine.network("n")["ConfigFrom"] == {"Network": "conf"}
    done = engine.docker("network", "rm", "conf", check=False)
    assert 'configuration network "conf" is in use' in done.stderr
    done = engine.docker("run", "--rm", "--network", "conf", "busybox", "true", check=False)
    assert "cannot create endpoint on configuration-only network" in done.stderr


@pytest.mark.docker_option("--attachable, --label, --scope local, --ingress=false", section="network")
def test_what_is_kept_as_it_was_said(engine: Engine) -> None:
    engine.docker("network", "create", "--attachable", "--label", "a=b", "--label", "c", "--scope", "local", "n")
    shown = engine.network("n")
    assert (shown["Attachable"], shown["Labels"], shown["Scope"]) == (True, {"a": "b", "c": ""}, "local")
    engine.stop()
    engine.start()
    assert engine.network("n") == shown


@pytest.mark.docker_option(
    "docker network ls --filter", section="network", shows="scope, dangling, label; several at once"
)
def test_filters_of_ls(engine: Engine) -> None:
    engine.docker("network", "create", "--label", "team=red", "--label", "x", "used")
    engine.docker("network", "create", "--label", "team=blue", "idle")
    sleeper(engine, "box", "--network", "used")
    assert names(engine, "-f", "dangling=true") == {"idle"}
    assert names(engine, "-f", "dangling=false", "-f", "type=custom") == {"used"}
    assert names(engine, "-f", "label=team") == {"used", "idle"}
    assert names(engine, "-f", "label=team=red", "-f", "label=x") == {"used"}
    assert names(engine, "-f", "label=team=red", "-f", "label=team=blue") == set()
    assert names(engine, "-f", "name=use", "-f", "name=idl") == {"used", "idle"}
    assert names(engine, "-f", "scope=local") >= {"used", "idle", "bridge"}
    assert names(engine, "-f", "scope=swarm") == set()
    assert names(engine, "-f", "driver=bridge") == {"used", "idle", "bridge"}
    old = quote(json.dumps({"label": {"team=red": True}}))
    assert [entry["Name"] for entry in engine.call("GET", f"/networks?filters={old}")[1]] == ["used"]
    for wrong in ("type=odd", "dangling=perhaps"):
        assert engine.docker("network", "ls", "-f", wrong, check=False).returncode == 1


@pytest.mark.docker_option("docker network prune --filter", section="network", shows="label, label!, until")
def test_filters_of_prune(engine: Engine) -> None:
    engine.docker("network", "create", "--label", "keep=yes", "kept")
    engine.docker("network", "create", "young")
    since = str(time.time())
    engine.docker("network", "prune", "-f", "--filter", "until=1h")
    assert names(engine, "-f", "type=custom") == {"kept", "young"}
    engine.docker("network", "prune", "-f", "--filter", "label!=keep=yes")
    assert names(engine, "-f", "type=custom") == {"kept"}
    engine.docker("network", "prune", "-f", "--filter", "label=keep")
    assert names(engine, "-f", "type=custom") == set()
    told = engine.out("events", "--since", since, "--until", str(time.time()), "--format", "{{json .}}")
    prunes = [event for line in told.splitlines() if (event := json.loads(line))["Action"] == "prune"]
    assert [event["Actor"]["Attributes"] for event in prunes] == [{"reclaimed": "0"}] * 3
    assert "invalid filter" in engine.docker("network", "prune", "-f", "--filter", "name=x", check=False).stderr


@pytest.mark.docker_option("docker network rm", section="network", shows="several at once, by name and id")
def test_several_are_removed_at_once(engine: Engine) -> None:
    identifier = engine.out("network", "create", "a")
    engine.docker("network", "create", "b")
    done = engine.docker("network", "rm", identifier[:12], "b", "missing", check=False)
    assert done.stdout.split() == [identifier[:12], "b"]
    assert "network missing not found" in done.stderr
    engine.docker("network", "rm", "-f", "missing")


@pytest.mark.docker_option("docker network disconnect --force", section="network")
def test_disconnect_by_force(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    sleeper(engine, "box", "--network", "n")
    engine.docker("network", "disconnect", "-f", "n", "box")
    assert engine.execute("box", "ls", "/sys/class/net").split() == ["lo"]
    assert engine.network("n")["Containers"] == {}


# -- addresses ----------------------------------------------------------------------------------------------------


@pytest.mark.docker_option("--subnet 0.0.0.0/N, ::/N", section="addresses")
def test_any_subnet_of_a_size(engine: Engine) -> None:
    engine.docker("network", "create", "--ipv6", "--subnet", "0.0.0.0/27", "--subnet", "::/72", "n")
    four, six = (ipaddress.ip_network(text) for text in sorted(subnets(engine, "n"), key=lambda text: ":" in text))
    assert (four.prefixlen, six.prefixlen) == (27, 72)
    assert four.is_private
    assert six.is_private
    sleeper(engine, "box", "--network", "n")
    assert f"{engine.address('box', 'n')}/27" in engine.execute("box", "ip", "address", "show", "eth0")
    assert f"{engine.address6('box', 'n')}/72" in engine.execute("box", "ip", "address", "show", "eth0")


@pytest.mark.docker_option("--subnet", section="addresses", shows="used up: an error; freed: available again")
def test_addresses_may_be_used_up(engine: Engine) -> None:
    engine.docker("network", "create", "--subnet", "10.91.0.0/30", "n")
    sleeper(engine, "one", "--network", "n")
    done = engine.docker("run", "--name", "two", "--network", "n", "busybox", "true", check=False)
    assert done.returncode == 125
    assert "no available IPv4 addresses on this network's address pools: n (" in done.stderr
    engine.docker("rm", "-f", "one")
    engine.docker("start", "-a", "two")


@pytest.mark.docker_option("--subnet", section="addresses", shows="point to point: both addresses of a /31")
def test_a_subnet_of_two_addresses(engine: Engine) -> None:
    engine.docker("network", "create", "--subnet", "10.92.0.0/31", "n")
    sleeper(engine, "box", "--network", "n")
    assert engine.network("n")["IPAM"]["Config"][0]["Gateway"] == "10.92.0.0"
    assert engine.address("box", "n") == "10.92.0.1"
    assert pings(engine, "box", PEER4)


@pytest.mark.docker_option("--ip", section="endpoint", shows="also on a network whose subnet was chosen for it")
def test_an_address_in_an_automatic_subnet(engine: Engine) -> None:
    engine.docker("network", "create", "n")
    wanted = str(ipaddress.ip_network(subnets(engine, "n")[0])[77])
    sleeper(engine, "box", "--network", "n", "--ip", wanted)
    assert engine.address("box", "n") == wanted
    engine.docker("restart", "-t", "0", "box")
    assert engine.address("box", "n") == wanted


@pytest.mark.docker_option(
    "--subnet (of IPv6) without --ipv6", section="addresses", note="said in the answer's Warning"
)
def test_a_subnet_of_a_family_that_is_off_is_named(engine: Engine) -> None:
    body = {"Name": "n", "IPAM": {"Config": [{"Subnet": "fd00:92::/64"}]}}
    status, made = engine.call("POST", "/networks/create", body)
    assert status == 201
    assert made["Warning"] == "subnet fd00:92::/64 is not used: IPv6 is off for this network (--ipv6)"
    assert not any(":" in subnet for subnet in subnets(engine, "n"))


@pytest.mark.docker_option("automatic subnets", section="addresses", shows="the host's DNS servers stay reachable")
def test_a_nameserver_is_in_no_subnet(engine: Engine) -> None:
    engine.docker("network", "create", "probe")
    taken = ipaddress.ip_network(subnets(engine, "probe")[0])
    engine.docker("network", "rm", "probe")
    before = engine.machine.resolv_conf.read_text()
    engine.machine.resolv_conf.write_text(f"{before}nameserver {taken[7]}\n")
    try:
        engine.docker("network", "create", "n")
        assert ipaddress.ip_network(subnets(engine, "n")[0]) != taken
    finally:
        engine.machine.resolv_conf.write_text(before)


# -- docker-py ----------------------------------------------------------------------------------------------------


@pytest.mark.docker_option("docker-py: networks", section="network", shows="models, IPAM types, filters, connect")
def test_the_models_of_docker_py(engine: Engine) -> None:
    with engine.high() as client:
        pool = docker.types.IPAMPool(
            subnet="10.93.0.0/24", iprange="10.93.0.64/26", gateway="10.93.0.1", aux_addresses={"printer": "10.93.0.9"}
        )
        made = client.networks.create(
            "shop",
            driver="bridge",
            options={"com.docker.network.driver.mtu": "1370"},
            ipam=docker.types.IPAMConfig(driver="default", pool_configs=[pool]),
            check_duplicate=True,
            internal=False,
            labels={"a": "b"},
            enable_ipv6=True,
            attachable=True,
            scope="local",
        )
        assert made.attrs["EnableIPv6"] is True
        assert client.networks.get(made.id[:12]).name == "shop"
        assert [network.name for network in client.networks.list(filters={"label": "a=b"})] == ["shop"]
        assert [network.name for network in client.networks.list(names=["shop"], greedy=True)] == ["shop"]
        box = client.containers.run("busybox", ["sleep", "1000"], name="box", detach=True)
        made.connect(
            box,
            ipv4_address="10.93.0.77",
            aliases=["al"],
            driver_opt={f"{ENDPOINT}.ifname": "py0"},
            link_local_ips=None,
        )
        made.reload()
        assert [container.name for container in made.containers] == ["box"]
        assert "10.93.0.77/24" in engine.execute("box", "ip", "address", "show", "py0")
        with pytest.raises(docker.errors.APIError, match="has active endpoints"):
            made.remove()
        made.disconnect("box", force=True)
        made.remove()
        with pytest.raises(docker.errors.NotFound):
            client.networks.get("shop")
        assert client.networks.prune()["NetworksDeleted"] is None
