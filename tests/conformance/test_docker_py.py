"""docker-py, high and low level: containers, exec, images, networks, volumes, events, attach sockets."""

from __future__ import annotations

import contextlib
import io
import socket
import tarfile
import threading
import time
from collections.abc import Iterator

import docker
import pytest
from docker.errors import APIError, ContainerError, ImageNotFound, NotFound

from harness.engine import Engine


@pytest.fixture
def high(engine: Engine) -> Iterator[docker.DockerClient]:
    with engine.high() as client:
        yield client


@pytest.fixture
def low(engine: Engine) -> Iterator[docker.APIClient]:
    with engine.low() as client:
        yield client


def test_handshake(high: docker.DockerClient) -> None:
    assert high.ping() is True
    assert high.version()["ApiVersion"] == "1.51"
    assert high.info()["Driver"] == "overlay2"
    assert high.df()["Images"]


def test_an_older_api_version(engine: Engine) -> None:
    client = docker.APIClient(base_url=f"unix://{engine.socket}", version="1.24")
    try:
        container = client.create_container("busybox", "true")
        assert client.inspect_container(container)["NetworkSettings"]["IPAddress"] == ""
    finally:
        client.close()


def test_a_version_that_is_too_new(engine: Engine) -> None:
    client = docker.APIClient(base_url=f"unix://{engine.socket}", version="1.99")
    with contextlib.closing(client), pytest.raises(APIError, match=r"client version 1\.99 is too new"):
        client.containers()


def test_run_returns_the_output(high: docker.DockerClient) -> None:
    assert high.containers.run("busybox", ["echo", "hello"], remove=True) == b"hello\n"
    with pytest.raises(ContainerError) as failure:
        high.containers.run("busybox", ["sh", "-c", "echo bad >&2; exit 3"], remove=True)
    assert (failure.value.exit_status, failure.value.stderr) == (3, b"bad\n")
    with pytest.raises(ImageNotFound):
        high.containers.create("missing-image", "true")


def test_the_life_of_a_container(high: docker.DockerClient) -> None:
    container = high.containers.run("busybox", "sleep 100", detach=True, name="box", labels={"a": "b"})
    assert container.status in ("created", "running")
    container.reload()
    assert (container.status, container.name, container.labels["a"]) == ("running", "box", "b")
    container.pause()
    container.reload()
    assert container.status == "paused"
    container.unpause()
    container.rename("dee")
    container.stop(timeout=0)
    assert container.wait()["StatusCode"] == 137
    container.start()
    container.restart(timeout=0)
    assert container.top()["Processes"][0][-1] == "sleep 100"
    assert high.containers.list(filters={"label": "a=b"})[0].id == container.id
    container.remove(force=True)
    with pytest.raises(NotFound):
        high.containers.get("dee")


def test_logs(high: docker.DockerClient) -> None:
    container = high.containers.run("busybox", ["sh", "-c", "for n in 1 2 3; do echo $n; sleep 0.1; done"], detach=True)
    assert b"".join(container.logs(stream=True, follow=True)) == b"1\n2\n3\n"
    assert container.logs(tail=1) == b"3\n"
    assert container.logs(stdout=False, stderr=True) == b""
    assert container.logs(timestamps=True, tail=1).endswith(b"Z 3\n")


def test_logs_of_a_terminal(high: docker.DockerClient) -> None:
    container = high.containers.run("busybox", "echo hello", detach=True, tty=True)
    container.wait()
    assert container.logs() == b"hello\r\n"


def test_exec(high: docker.DockerClient) -> None:
    container = high.containers.run("busybox", "sleep 100", detach=True)
    assert container.exec_run(["sh", "-c", "echo out; echo err >&2; exit 3"], demux=True) == (3, (b"out\n", b"err\n"))
    assert container.exec_run("id -u", user="1000").output == b"1000\n"
    assert container.exec_run("env", environment={"A": "b"}).output.count(b"A=b") == 1
    assert b"".join(container.exec_run("echo hello", stream=True).output) == b"hello\n"
    assert container.exec_run("sleep 1", detach=True).exit_code is None


def test_exec_socket(high: docker.DockerClient) -> None:
    container = high.containers.run("busybox", "sleep 100", detach=True)
    stream = container.exec_run("cat", stdin=True, socket=True, tty=True).output
    stream._sock.sendall(b"echo\n")
    assert stream._sock.recv(100).startswith(b"echo\r\n")
    stream._sock.shutdown(socket.SHUT_WR)
    stream.close()


def test_low_level_exec(low: docker.APIClient) -> None:
    container = low.create_container("busybox", "sleep 100")
    low.start(container)
    made = low.exec_create(container, "sh -c 'exit 5'")
    assert low.exec_start(made) == b""
    found = low.exec_inspect(made)
    assert (found["ExitCode"], found["Running"]) == (5, False)
    terminal = low.exec_create(container, "sh -c 'sleep 0.4; stty size'", tty=True, stdin=True)
    with contextlib.closing(low.exec_start(terminal, tty=True, socket=True)) as stream:
        low.exec_resize(terminal, 30, 70)
        assert stream.read(7) == b"30 70\r\n"


def test_attach_stream(high: docker.DockerClient) -> None:
    container = high.containers.create("busybox", ["sh", "-c", "echo one; sleep 0.2; echo two"])
    stream = container.attach(stream=True, logs=True)
    container.start()
    assert b"".join(stream) == b"one\ntwo\n"


def test_attach_socket(low: docker.APIClient) -> None:
    container = low.create_container("busybox", "cat", stdin_open=True, tty=False)
    stream = low.attach_socket(container, {"stdin": 1, "stdout": 1, "stream": 1})
    low.start(container)
    stream._sock.sendall(b"hello\n")
    assert stream._sock.recv(100) == b"\x01\x00\x00\x00\x00\x00\x00\x06hello\n"
    stream._sock.shutdown(socket.SHUT_WR)
    assert low.wait(container)["StatusCode"] == 0
    stream.close()


def test_detach_keys_are_found_by_the_engine_too(engine: Engine, low: docker.APIClient) -> None:
    """The official client looks for them itself; others leave it to the engine."""
    since = int(time.time()) - 1
    container = low.create_container("busybox", "sh", stdin_open=True, tty=True)
    low.start(container)
    stream = low.attach_socket(container, {"stdin": 1, "stdout": 1, "stream": 1})
    stream._sock.settimeout(5)
    stream._sock.sendall(b"\x10\x11")
    while stream._sock.recv(4096):
        pass
    stream.close()
    assert low.inspect_container(container)["State"]["Running"] is True
    found = low.events(since=since, until=int(time.time()) + 1, filters={"container": container["Id"]}, decode=True)
    actions = [event["Action"] for event in found]
    assert actions[-2:] == ["attach", "detach"]


def test_attach_websocket_is_served(engine: Engine, low: docker.APIClient) -> None:
    container = low.create_container("busybox", "cat", stdin_open=True)
    low.start(container)
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    headers["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    link = socket.socket(socket.AF_UNIX)
    with link:
        link.settimeout(5)
        link.connect(engine.socket)
        lines = [f"GET /containers/{container['Id']}/attach/ws?stream=1&stdin=1&stdout=1 HTTP/1.1", "Host: x"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        link.sendall("\r\n".join([*lines, "", ""]).encode())
        reply = link.recv(4096)
        assert reply.startswith(b"HTTP/1.1 101")
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in reply
        link.sendall(b"\x81\x83\x00\x00\x00\x00hi\n")
        answer = reply.partition(b"\r\n\r\n")[2] or link.recv(100)
        assert answer[1:] == b"\x03hi\n"


def test_wait_conditions(low: docker.APIClient) -> None:
    container = low.create_container("busybox", "sh -c 'exit 4'", host_config=low.create_host_config(auto_remove=True))
    results: list[int] = []
    waiter = threading.Thread(target=lambda: results.append(low.wait(container, condition="removed")["StatusCode"]))
    waiter.start()
    time.sleep(0.2)
    low.start(container)
    waiter.join(10)
    assert results == [4]


def test_archives(high: docker.DockerClient) -> None:
    container = high.containers.create("busybox", "true")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("file")
        entry.size = 4
        tar.addfile(entry, io.BytesIO(b"text"))
    assert container.put_archive("/root", packed.getvalue()) is True
    chunks, stat = container.get_archive("/root/file")
    assert (stat["name"], stat["size"]) == ("file", 4)
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        stream = tar.extractfile("file")
        assert stream is not None
        assert stream.read() == b"text"
    assert {"Path": "/root/file", "Kind": 1} in container.diff()
    assert len(b"".join(container.export())) > 1 << 20


def test_stats(high: docker.DockerClient) -> None:
    container = high.containers.run("busybox", "sleep 100", detach=True, mem_limit="64m")
    found = container.stats(stream=False)
    assert found["memory_stats"]["limit"] == 64 << 20
    assert found["networks"]["eth0"]["rx_packets"] >= 0
    assert found["cpu_stats"]["cpu_usage"]["total_usage"] > 0
    stream = container.stats(stream=True, decode=True)
    assert next(stream)["name"] == f"/{container.name}"
    assert next(stream)["pids_stats"]["current"] >= 1


def test_update_and_limits(high: docker.DockerClient) -> None:
    container = high.containers.run("busybox", "sleep 100", detach=True, nano_cpus=500_000_000)
    container.update(cpu_shares=300, mem_limit="50m", memswap_limit="60m")
    container.reload()
    assert container.attrs["HostConfig"]["CpuShares"] == 300


def test_networks(high: docker.DockerClient) -> None:
    pool = docker.types.IPAMPool(subnet="10.9.8.0/24", gateway="10.9.8.1")
    network = high.networks.create(
        "n", driver="bridge", ipam=docker.types.IPAMConfig(pool_configs=[pool]), labels={"x": "y"}
    )
    container = high.containers.run("busybox", "sleep 100", detach=True)
    network.connect(container, ipv4_address="10.9.8.44", aliases=["other"])
    network.reload()
    assert [item.id for item in network.containers] == [container.id]
    assert network.attrs["Containers"][container.id]["IPv4Address"] == "10.9.8.44/24"
    with pytest.raises(APIError, match="has active endpoints"):
        network.remove()
    network.disconnect(container)
    assert [item.name for item in high.networks.list(filters={"label": "x=y"})] == ["n"]
    assert high.networks.list(names=["n"], greedy=True)[0].attrs["Containers"] == {}
    assert high.networks.prune()["NetworksDeleted"] == ["n"]


def test_networking_config_at_create(low: docker.APIClient) -> None:
    low.create_network("n")
    config = low.create_networking_config({"n": low.create_endpoint_config(aliases=["a1"])})
    container = low.create_container("busybox", "sleep 100", networking_config=config)
    low.start(container)
    found = low.inspect_container(container)["NetworkSettings"]["Networks"]
    assert "a1" in found["n"]["Aliases"]
    assert found["n"]["IPAddress"]


def test_ports(low: docker.APIClient) -> None:
    host = low.create_host_config(port_bindings={80: ("127.0.0.1", 8080), "81/udp": None})
    container = low.create_container("nginx", ports=[80, (81, "udp")], host_config=host)
    low.start(container)
    assert low.port(container, 80) == [{"HostIp": "127.0.0.1", "HostPort": "8080"}]
    assert int(low.port(container, "81/udp")[0]["HostPort"]) > 1024


def test_volumes(high: docker.DockerClient) -> None:
    volume = high.volumes.create("vol", labels={"k": "v"})
    assert (
        high.containers.run(
            "busybox",
            ["sh", "-c", "echo x > /v/f; cat /v/f"],
            volumes={"vol": {"bind": "/v", "mode": "rw"}},
            remove=True,
        )
        == b"x\n"
    )
    assert [item.name for item in high.volumes.list(filters={"label": "k"})] == ["vol"]
    volume.remove()
    with pytest.raises(NotFound):
        high.volumes.get("vol")


def test_images(high: docker.DockerClient) -> None:
    image = high.images.get("alpine")
    assert {"alpine:latest", "alpine:3"} <= set(image.tags)
    assert image.tag("copy", "1") is True
    assert image.history()[0]["Tags"]
    image.reload()
    saved = b"".join(image.save(named="copy:1"))
    high.images.remove("copy:1")
    assert "copy:1" in high.images.load(saved)[0].tags
    high.images.remove("copy:1")
    with pytest.raises(ImageNotFound):
        high.images.get("copy:1")
    assert any("busybox:latest" in item.tags for item in high.images.list())


def test_commit(high: docker.DockerClient) -> None:
    container = high.containers.run("busybox", ["sh", "-c", "echo kept > /kept"], detach=True)
    container.wait()
    image = container.commit("kept", "1", changes=["ENV A=b", "LABEL x=y"])
    assert high.containers.run(image, ["cat", "/kept"], remove=True) == b"kept\n"
    assert "A=b" in image.attrs["Config"]["Env"]
    high.images.remove("kept:1", force=True)


def test_events(high: docker.DockerClient) -> None:
    since = int(time.time()) - 1
    container = high.containers.run("busybox", "true", detach=True, labels={"watch": "me"})
    container.wait()
    filters = {"type": "container", "label": "watch=me"}
    found = list(high.events(since=since, until=int(time.time()) + 1, filters=filters, decode=True))
    assert [event["Action"] for event in found] == ["create", "start", "die"]
    assert all(event["Actor"]["ID"] == container.id for event in found)


def test_live_events(engine: Engine, high: docker.DockerClient) -> None:
    stream = high.events(decode=True, filters={"event": ["create", "destroy"], "type": "container"})
    seen: list[str] = []
    reader = threading.Thread(
        target=lambda: seen.extend(event["Action"] for event, _ in zip(stream, range(2), strict=False))
    )
    reader.start()
    time.sleep(0.3)
    engine.docker("run", "--rm", "busybox", "true")
    reader.join(10)
    stream.close()
    assert seen == ["create", "destroy"]


def test_prune_everything(high: docker.DockerClient) -> None:
    high.containers.create("busybox", "true")
    assert len(high.containers.prune()["ContainersDeleted"]) == 1
    high.volumes.create()
    assert len(high.volumes.prune()["VolumesDeleted"]) == 1
    assert high.images.prune()["SpaceReclaimed"] == 0
