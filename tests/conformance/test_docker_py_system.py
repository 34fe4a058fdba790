"""docker-py on the engine itself, its events, networks and volumes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError, NotFound
from docker.types import IPAMConfig, IPAMPool

from harness.engine import Engine, wait_until


@pytest.fixture
def high(engine: Engine) -> Iterator[docker.DockerClient]:
    with engine.high() as client:
        yield client


@pytest.fixture
def low(engine: Engine) -> Iterator[docker.APIClient]:
    with engine.low() as client:
        yield client


# -- the engine


def test_info(high: docker.DockerClient, engine: Engine) -> None:
    high.containers.create("busybox", "true")
    paused = high.containers.run("busybox", "sleep 100", detach=True)
    paused.pause()
    high.containers.run("busybox", "sleep 100", detach=True)
    found = high.info()
    counts = [found[name] for name in ("Containers", "ContainersRunning", "ContainersPaused", "ContainersStopped")]
    assert counts == [3, 1, 1, 1]
    assert found["Images"] == len(high.images.list(all=True))
    assert found["DockerRootDir"] == str(engine.data_root)
    assert (found["OSType"], found["DefaultRuntime"], found["FirewallBackend"]["Driver"]) == (
        "linux", "crun", "nftables",
    )  # fmt: skip
    assert {"bridge", "host", "null"} <= set(found["Plugins"]["Network"])
    assert found["MemTotal"] > 1 << 20
    assert found["ID"] == high.info()["ID"]


def test_version(high: docker.DockerClient) -> None:
    found = high.version()
    assert (found["ApiVersion"], found["MinAPIVersion"], found["Os"]) == ("1.51", "1.24", "linux")
    names = {part["Name"]: part["Version"] for part in found["Components"]}
    assert {"Engine", "crun", "conmon"} <= set(names)
    assert names["Engine"] == found["Version"]
    assert names["crun"][0].isdigit()


def test_disk_usage(high: docker.DockerClient) -> None:
    high.containers.run("busybox", ["sh", "-c", "head -c 100000 /dev/zero > /big; sleep 100"], detach=True, name="box")
    high.containers.run("busybox", ["sh", "-c", "head -c 50000 /dev/zero > /v/x"], volumes=["vol:/v"], remove=True)
    wait_until(lambda: high.df()["Containers"][0]["SizeRw"] >= 100_000, "the file is counted")
    found = high.df()
    assert found["LayersSize"] > 1 << 20
    busybox = next(item for item in found["Images"] if "busybox:latest" in item["RepoTags"])
    assert busybox["Containers"] == 1
    assert busybox["SharedSize"] == busybox["Size"]  # all other images stand on it
    (volume,) = found["Volumes"]
    assert (volume["Name"], volume["UsageData"]) == ("vol", {"RefCount": 0, "Size": 50_000})
    assert found["BuildCache"] == []


def test_login_to_nowhere(high: docker.DockerClient) -> None:
    with pytest.raises(APIError):
        high.login("ann", "secret", registry="127.0.0.1:1")


# -- events


def happened(high: docker.DockerClient, since: float, **filters: Any) -> list[dict[str, Any]]:
    return list(high.events(since=since, until=time.time() + 0.3, filters=filters, decode=True))


def test_the_events_of_a_life(high: docker.DockerClient) -> None:
    since = time.time()
    container = high.containers.run("busybox", "sleep 1000", detach=True, name="box", labels={"a": "b"})
    container.exec_run("true")
    container.rename("dee")
    container.pause()
    container.unpause()
    container.kill(signal="KILL")
    container.wait()
    container.start()
    container.restart(timeout=0)
    container.stop(timeout=0)
    container.remove()
    found = happened(high, since, type="container")
    actions = [event["Action"].partition(":")[0] for event in found]
    stopped = ["kill", "kill", "die", "stop"]  # SIGTERM, and SIGKILL when the time is over
    assert actions == [
        "create", "start", "exec_create", "exec_start", "exec_die", "rename", "pause", "unpause", "kill", "die",
        "start", *stopped, "start", "restart", *stopped, "destroy",
    ]  # fmt: skip
    assert {event["Actor"]["Attributes"]["a"] for event in found} == {"b"}
    assert found[0]["Actor"]["Attributes"]["image"] == "busybox"
    exec_die = next(event for event in found if event["Action"] == "exec_die")
    assert exec_die["Actor"]["Attributes"]["exitCode"] == "0"
    rename = next(event for event in found if event["Action"] == "rename")
    assert (rename["Actor"]["Attributes"]["name"], rename["Actor"]["Attributes"]["oldName"]) == ("dee", "/box")
    kill = next(event for event in found if event["Action"] == "kill")
    assert kill["Actor"]["Attributes"]["signal"] == "9"
    died = next(event for event in found if event["Action"] == "die")
    assert died["Actor"]["Attributes"]["exitCode"] == "137"
    assert (died["status"], died["id"], died["from"]) == ("die", container.id, "busybox")
    times = [event["timeNano"] for event in found]
    assert times == sorted(times)
    assert found[0]["time"] == times[0] // 10**9


def test_events_of_networks_and_volumes(high: docker.DockerClient) -> None:
    since = time.time()
    network = high.networks.create("n")
    container = high.containers.run("busybox", "sleep 1000", detach=True, volumes=["vol:/v"], network="n")
    bridge = high.networks.get("bridge")
    bridge.connect(container)
    bridge.disconnect(container)
    container.remove(force=True)
    network.remove()
    high.volumes.get("vol").remove()
    found = happened(high, since, type=["network", "volume"])
    told = [(event["Type"], event["Action"], event["Actor"]["Attributes"].get("name")) for event in found]
    assert [entry for entry in told if entry[0] == "network"] == [
        ("network", "create", "n"),
        ("network", "connect", "n"),
        ("network", "connect", "bridge"),
        ("network", "disconnect", "bridge"),
        ("network", "disconnect", "n"),
        ("network", "destroy", "n"),
    ]
    connect = next(event for event in found if event["Action"] == "connect")
    assert connect["Actor"]["Attributes"]["container"] == container.id
    volumes = [(event["Action"], event["Actor"]["ID"]) for event in found if event["Type"] == "volume"]
    assert volumes[0] == ("create", "vol")
    assert volumes[-1] == ("destroy", "vol")
    assert ("mount", "vol") in volumes
    assert ("unmount", "vol") in volumes


def test_event_filters(high: docker.DockerClient, engine: Engine) -> None:
    since = time.time()
    one = high.containers.create("busybox", "true", name="one", labels={"k": "v"})
    high.containers.create("alpine", "true", name="two")
    high.volumes.create("vol")

    def names(**filters: Any) -> list[str]:
        return [
            event["Actor"]["Attributes"].get("name", event["Actor"]["ID"]) for event in happened(high, since, **filters)
        ]

    assert names() == ["one", "two", "vol"]
    assert names(container="one") == names(container=one.id[:9]) == ["one"]
    assert names(container=["one", "two"]) == ["one", "two"]
    assert names(image="alpine") == ["two"]
    assert names(label="k=v") == ["one"]
    assert names(volume="vol") == names(type="volume") == ["vol"]
    assert names(event="start") == []
    assert names(scope="swarm") == []
    assert engine.call("GET", '/events?until=1&filters={"colour":["red"]}')[0] == 400


def test_events_of_a_span(high: docker.DockerClient, engine: Engine) -> None:
    high.volumes.create("early")
    time.sleep(0.01)
    since = time.time()
    high.volumes.create("middle")
    until = time.time()
    time.sleep(0.01)
    high.volumes.create("late")
    found = high.events(since=since, until=until, filters={"type": "volume"}, decode=True)
    assert [event["Actor"]["ID"] for event in found] == ["middle"]
    status, problem = engine.call("GET", f"/events?since={until}&until={since}")
    assert status == 400
    assert "cannot be after `until` time" in problem["message"]


def test_many_listeners(high: docker.DockerClient) -> None:
    streams = [high.events(decode=True, filters={"type": "volume"}) for _ in range(20)]
    seen: list[str] = []
    readers = [threading.Thread(target=lambda s=stream: seen.append(next(s)["Actor"]["ID"])) for stream in streams]
    for reader in readers:
        reader.start()
    time.sleep(0.3)
    high.volumes.create("vol")
    for reader in readers:
        reader.join(10)
    for stream in streams:
        stream.close()
    assert seen == ["vol"] * 20


# -- networks


def test_a_network_in_detail(low: docker.APIClient) -> None:
    pools = [
        IPAMPool(subnet="10.44.0.0/16", iprange="10.44.5.0/30", gateway="10.44.5.0", aux_addresses={"a": "10.44.5.1"}),
        IPAMPool(subnet="fd00:44::/64"),
    ]
    made = low.create_network(
        "n", driver="bridge", ipam=IPAMConfig(pool_configs=pools), options={"com.docker.network.bridge.name": "py0"},
        internal=True, enable_ipv6=True, attachable=True, labels={"a": "b"},
    )  # fmt: skip
    found = low.inspect_network(made["Id"])
    assert (found["Name"], found["Internal"], found["EnableIPv6"], found["Attachable"]) == ("n", True, True, True)
    assert found["IPAM"]["Config"][0] == {
        "Subnet": "10.44.0.0/16", "IPRange": "10.44.5.0/30", "Gateway": "10.44.5.0",
        "AuxiliaryAddresses": {"a": "10.44.5.1"},
    }  # fmt: skip
    assert found["Options"] == {"com.docker.network.bridge.name": "py0"}
    container = low.create_container("busybox", "ip -o addr", host_config=low.create_host_config(network_mode="n"))
    low.start(container)
    low.wait(container)
    output = low.logs(container).decode()
    assert "inet 10.44.5.2/16" in output
    assert "inet6 fd00:44::2/64" in output


def test_endpoints_in_detail(high: docker.DockerClient) -> None:
    pool = IPAMPool(subnet="10.45.0.0/24")
    network = high.networks.create("n", ipam=IPAMConfig(pool_configs=[pool]))
    container = high.containers.run("busybox", "sleep 1000", detach=True, name="box")
    network.connect(container, aliases=["other"], ipv4_address="10.45.0.77", mac_address="02:00:00:00:00:07")
    container.reload()
    endpoint = container.attrs["NetworkSettings"]["Networks"]["n"]
    assert (endpoint["IPAddress"], endpoint["MacAddress"]) == ("10.45.0.77", "02:00:00:00:00:07")
    assert "other" in endpoint["Aliases"]
    assert b"10.45.0.77/24" in container.exec_run("ip -o addr show eth1").output
    client = high.containers.run("busybox", "sleep 1000", detach=True, network="n")
    assert client.exec_run("ping -c 1 -W 2 other").exit_code == 0
    assert client.exec_run("ping -c 1 -W 2 box").exit_code == 0
    with pytest.raises(APIError, match="already exists in network n") as failure:
        network.connect(container)
    assert failure.value.status_code == 403
    network.disconnect(container, force=True)
    assert client.exec_run("ping -c 1 -W 1 other").exit_code != 0
    with pytest.raises(APIError, match="is not connected to"):
        network.disconnect(container)
    network.reload()
    assert [item.id for item in network.containers] == [client.id]


def test_network_lists(high: docker.DockerClient) -> None:
    high.networks.create("one", labels={"a": "b"}, internal=True)
    two = high.networks.create("two", driver="bridge")

    def names(**filters: Any) -> set[str]:
        return {item.name for item in high.networks.list(filters=filters)}

    assert names() == {"bridge", "host", "none", "one", "two"}
    assert names(type="custom") == names(driver="bridge", type="custom") == {"one", "two"}
    assert names(label="a=b") == names(name="on", type="custom") == {"one"}
    assert names(id=two.id[:10]) == {"two"}
    assert names(dangling=True) == {"one", "two"}
    assert {item.name for item in high.networks.list(names=["two"])} == {"two"}
    high.containers.create("busybox", "true", network="two")
    pruned = high.networks.prune()
    assert "one" in pruned["NetworksDeleted"]
    with pytest.raises(NotFound, match="network nothing not found"):
        high.networks.get("nothing")
    with pytest.raises(APIError, match="pre-defined network and cannot be removed"):
        high.networks.get("bridge").remove()


def test_host_and_none(high: docker.DockerClient) -> None:
    assert b"198.51.100.1" in high.containers.run("busybox", "ip -o addr", network_mode="host", remove=True)
    lines = high.containers.run("busybox", "ip -o link", network_mode="none", remove=True).splitlines()
    assert len([line for line in lines if b"link/ether" in line]) == 0


# -- volumes


def test_volumes_in_detail(low: docker.APIClient, high: docker.DockerClient) -> None:
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=2m,mode=0750"}
    made = low.create_volume("vol", driver="local", driver_opts=options, labels={"a": "b"})
    assert (made["Name"], made["Driver"], made["Options"], made["Labels"]) == ("vol", "local", options, {"a": "b"})
    found = low.inspect_volume("vol")
    assert (found["Scope"], found["Mountpoint"]) == ("local", made["Mountpoint"])
    script = "grep ' /v ' /proc/mounts | cut -d' ' -f3,4; stat -c %a /v"
    output = high.containers.run("busybox", ["sh", "-c", script], volumes=["vol:/v"], remove=True).decode()
    assert output.startswith("tmpfs ")
    assert "size=2048k" in output
    assert output.endswith("750\n")
    assert low.create_volume("vol")["CreatedAt"] == made["CreatedAt"]  # the same one again
    with pytest.raises(APIError) as failure:
        low.create_volume("vol", driver_opts={"type": "nfs", "device": "x", "o": "addr=192.0.2.1"})
    assert failure.value.status_code == 409


def test_what_is_in_a_volume_stays(high: docker.DockerClient) -> None:
    volume = high.volumes.create("vol")
    high.containers.run("busybox", ["sh", "-c", "echo kept > /v/file"], volumes=["vol:/v"], remove=True)
    place = Path(volume.attrs["Mountpoint"])
    assert (place / "file").read_text() == "kept\n"
    assert high.containers.run("busybox", "cat /w/file", volumes=["vol:/w:ro"], remove=True) == b"kept\n"
    volume.remove()
    assert not place.exists()


def test_volume_lists(high: docker.DockerClient, low: docker.APIClient, engine: Engine) -> None:
    high.volumes.create("one", labels={"a": "b"})
    high.volumes.create("two")
    high.containers.create("busybox", "true", volumes=["two:/v"])

    def names(**filters: Any) -> set[str]:
        return {item.name for item in high.volumes.list(filters=filters)}

    assert names() == {"one", "two"}
    assert names(dangling=True) == names(label="a=b") == names(name="on") == {"one"}
    assert names(dangling=False) == {"two"}
    assert names(driver="local") == {"one", "two"}
    assert names(driver="other") == set()
    assert low.volumes()["Warnings"] is None
    with pytest.raises(APIError, match="invalid filter"):
        names(colour="red")
    with pytest.raises(APIError, match="volume is in use") as failure:
        high.volumes.get("two").remove(force=True)
    assert failure.value.status_code == 409
    with pytest.raises(NotFound, match="no such volume"):
        low.remove_volume("three")
    assert engine.call("DELETE", "/volumes/three?force=1")[0] == 204  # docker-py forgets to send force


def test_volume_prune(high: docker.DockerClient) -> None:
    named = high.volumes.create("named", labels={"keep": "yes"})
    anonymous = high.volumes.create()
    Path(anonymous.attrs["Mountpoint"], "file").write_bytes(b"x" * 4000)
    pruned = high.volumes.prune()
    assert pruned == {"VolumesDeleted": [anonymous.id], "SpaceReclaimed": 4000}
    assert high.volumes.prune(filters={"all": True, "label!": "keep"})["VolumesDeleted"] is None
    assert high.volumes.prune(filters={"all": True})["VolumesDeleted"] == [named.id]


def test_anonymous_volumes_go_with_their_container(high: docker.DockerClient) -> None:
    container = high.containers.create("seeded", "true", volumes=["named:/n"])
    assert len(high.volumes.list()) == 2
    container.remove(v=True)
    assert [item.name for item in high.volumes.list()] == ["named"]


def test_an_older_client_prunes_named_volumes_too(engine: Engine) -> None:
    """Before 1.42 there was no difference between them."""
    client = docker.DockerClient(base_url=f"unix://{engine.socket}", version="1.41")
    with contextlib.closing(client):
        client.volumes.create("named")
        assert client.volumes.prune()["VolumesDeleted"] == ["named"]
