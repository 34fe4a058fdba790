"""docker-py as the client, its raw sockets included."""

from __future__ import annotations

import io
import socket
import tarfile
from collections.abc import Iterator

import docker
import pytest
from docker.errors import APIError, ImageNotFound, NotFound
from docker.utils.socket import frames_iter

from unit.api.conftest import Api


@pytest.fixture
def client(api: Api) -> Iterator[docker.DockerClient]:
    made = docker.DockerClient(base_url=f"unix://{api.path}", version="auto", timeout=10)
    yield made
    made.close()


def test_version_is_negotiated(client: docker.DockerClient) -> None:
    assert client.ping() is True
    assert client.version()["ApiVersion"] == "1.51"
    assert client.info()["OSType"] == "linux"


def test_run_returns_the_output(client: docker.DockerClient) -> None:
    assert client.containers.run("busybox", ["echo", "hi"], remove=True) == b"hi\n"
    with pytest.raises(docker.errors.ContainerError, match="exit status 3"):
        client.containers.run("busybox", ["fail", "x"])
    with pytest.raises(ImageNotFound):
        client.images.get("nothing")


def test_logs_stream_and_stats(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["echo", "line"], detach=True)
    assert container.wait()["StatusCode"] == 0
    assert b"".join(container.logs(stream=True, follow=True)) == b"line\n"
    assert container.logs() == b"line\n"
    running = client.containers.run("busybox", ["sleep"], detach=True)
    assert running.stats(stream=False)["memory_stats"]["limit"] == 1 << 30
    running.kill()


def test_exec_in_every_form(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["sleep"], detach=True)
    assert container.exec_run(["echo", "x"]) == (0, b"x\n")
    assert container.exec_run(["fail", "x"], demux=True) == (3, (b"out\n", b"x\n"))
    code, stream = container.exec_run(["echo", "y"], stream=True)
    assert (code, b"".join(stream)) == (None, b"y\n")
    _, wrapped = container.exec_run(["cat"], stdin=True, socket=True)
    raw = wrapped._sock
    raw.sendall(b"typed")
    raw.shutdown(socket.SHUT_WR)
    assert b"".join(data for _, data in frames_iter(wrapped, tty=False)) == b"typed"
    wrapped.close()
    container.remove(force=True)


def test_attach_socket(client: docker.DockerClient) -> None:
    container = client.containers.create("busybox", ["cat"], stdin_open=True, tty=True)
    wrapped = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    container.start()
    raw = wrapped._sock
    raw.sendall(b"abc")
    assert raw.recv(10) == b"abc"
    wrapped.close()
    raw.close()
    container.kill()


def test_archives(client: docker.DockerClient) -> None:
    container = client.containers.create("busybox", ["sleep"])
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("f")
        entry.size = 3
        tar.addfile(entry, io.BytesIO(b"abc"))
    assert container.put_archive("/f", buffer.getvalue()) is True
    blocks, stat = container.get_archive("/f")
    assert (stat["name"], stat["size"], stat["mode"]) == ("f", 3, 0o644)
    assert b"".join(blocks) == buffer.getvalue()


def test_networks_and_volumes(client: docker.DockerClient) -> None:
    pool = docker.types.IPAMPool(subnet="10.20.0.0/24", gateway="10.20.0.1", aux_addresses={"x": "10.20.0.9"})
    network = client.networks.create("n", ipam=docker.types.IPAMConfig(pool_configs=[pool]), labels={"l": "1"})
    assert network.attrs["Labels"] == {"l": "1"}
    container = client.containers.run("busybox", ["sleep"], detach=True, network="n")
    container.reload()
    assert list(container.attrs["NetworkSettings"]["Networks"]) == ["n"]
    network.reload()
    assert [found.id for found in network.containers] == [container.id]
    client.networks.get("bridge").connect(container, aliases=["a"])
    client.networks.get("bridge").disconnect(container)
    container.remove(force=True)
    network.remove()
    with pytest.raises(NotFound):
        client.networks.get("n")
    volume = client.volumes.create("vol", labels={"a": "b"})
    assert [found.name for found in client.volumes.list()] == ["vol"]
    volume.remove()


def test_create_with_everything_docker_py_can_say(client: docker.DockerClient) -> None:
    container = client.containers.create(
        "busybox",
        "sleep 5",
        name="all",
        environment={"A": "b"},
        ports={"80/tcp": 8080, "53/udp": None, "90": ("127.0.0.1", 9090)},
        volumes={"/tmp": {"bind": "/data", "mode": "ro"}},
        mounts=[docker.types.Mount("/m", "vol", type="volume", labels={"x": "y"})],
        ulimits=[docker.types.Ulimit(name="nofile", soft=10, hard=20)],
        healthcheck={"test": ["CMD", "true"], "interval": 1_000_000_000},
        restart_policy={"Name": "on-failure", "MaximumRetryCount": 3},
        log_config=docker.types.LogConfig(type="json-file", config={"max-size": "1m"}),
        devices=["/dev/null:/dev/x:rwm"],
        mem_limit="64m",
        nano_cpus=500_000_000,
        cap_add=["NET_ADMIN"],
        sysctls={"net.ipv4.ip_forward": "1"},
        tmpfs={"/t": "size=1m"},
        dns=["1.1.1.1"],
        extra_hosts={"h": "10.0.0.1"},
        labels=["one"],
        shm_size="32m",
        pids_limit=5,
        init=True,
        stop_signal="SIGINT",
    )
    host = container.attrs["HostConfig"]
    assert host["PortBindings"]["80/tcp"] == [{"HostIp": "", "HostPort": "8080"}]
    assert (host["Memory"], host["NanoCpus"], host["PidsLimit"], host["Init"]) == (64 << 20, 500_000_000, 5, True)
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 10, "Hard": 20}]
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    assert container.attrs["Config"]["Cmd"] == ["sleep", "5"]
    assert container.attrs["Config"]["Healthcheck"]["Interval"] == 1_000_000_000


def test_images_and_events(client: docker.DockerClient) -> None:
    assert client.images.pull("debian", tag="12").tags == ["debian:12"]
    image = client.images.get("debian:12")
    assert image.tag("mine", "2") is True
    assert len(image.history()) == 2
    assert b"".join(image.save()) == f"tar of {image.id}".encode()
    stream = client.events(decode=True, filters={"type": "network"})
    client.networks.create("seen")
    assert next(stream)["Actor"]["Attributes"]["name"] == "seen"
    stream.close()
    with pytest.raises(APIError):
        client.images.pull("nowhere/x", tag="1")


def test_prune_and_df(client: docker.DockerClient) -> None:
    client.containers.create("busybox", ["echo"])
    assert len(client.containers.prune()["ContainersDeleted"]) == 1
    assert client.df()["LayersSize"] == 10
    assert client.images.prune() == {"ImagesDeleted": [{"Deleted": "sha256:1"}], "SpaceReclaimed": 9}


def test_login(client: docker.DockerClient) -> None:
    assert client.login("me", "secret", registry="r.test")["Status"] == "Login Succeeded me"
