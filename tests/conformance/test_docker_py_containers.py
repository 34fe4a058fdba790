"""docker-py on containers and execs: options with their effects inside, lists, streams, waits."""

from __future__ import annotations

import contextlib
import io
import socket
import struct
import tarfile
import threading
import time
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from docker.constants import DEFAULT_DOCKER_API_VERSION
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.types import Healthcheck, LogConfig, Mount, Ulimit

from harness.engine import Engine, wait_until


@pytest.fixture
def high(engine: Engine) -> Iterator[docker.DockerClient]:
    with engine.high() as client:
        yield client


@pytest.fixture
def low(engine: Engine) -> Iterator[docker.APIClient]:
    with engine.low() as client:
        yield client


def said(high: docker.DockerClient, script: str, **options: Any) -> list[str]:
    """The lines a shell script in a container with these options writes."""
    output: bytes = high.containers.run("busybox", ["sh", "-c", script], remove=True, **options)
    return output.decode().splitlines()


def sleeper(high: docker.DockerClient, **options: Any) -> Container:
    return high.containers.run("busybox", "sleep 1000", detach=True, **options)


# -- clients


@pytest.mark.parametrize("version", [None, DEFAULT_DOCKER_API_VERSION, "1.41", "1.24"])
def test_clients_of_several_versions(engine: Engine, version: str | None) -> None:
    client = docker.DockerClient(base_url=f"unix://{engine.socket}", version=version, timeout=30)
    with contextlib.closing(client):
        assert client.containers.run("busybox", "echo hello", remove=True) == b"hello\n"
        container = client.containers.run("busybox", "sleep 100", detach=True, ports={"80/tcp": None})
        container.reload()
        assert int(container.ports["80/tcp"][0]["HostPort"]) > 1024
        assert container.exec_run(["sh", "-c", "echo inside; exit 3"]) == (3, b"inside\n")
        assert container.attrs["NetworkSettings"]["IPAddress"]
        assert "busybox:latest" in client.images.get("busybox").tags
        assert {item.name for item in client.networks.list()} == {"bridge", "host", "none"}


def test_a_client_from_the_environment(engine: Engine) -> None:
    client = docker.from_env(environment={"DOCKER_HOST": f"unix://{engine.socket}"})
    with contextlib.closing(client):
        assert client.ping()
        assert client.containers.list(all=True) == []


# -- options


def test_identity(high: docker.DockerClient) -> None:
    lines = said(
        high,
        "id -u; id -g; id -G; pwd; hostname; echo $A; cat /proc/sys/kernel/domainname",
        user="1000:50",
        group_add=["77"],
        working_dir="/tmp",
        hostname="box",
        domainname="example.test",
        environment={"A": "b c"},
    )
    assert lines == ["1000", "50", "50 77", "/tmp", "box", "b c", "example.test"]


def test_limits(high: docker.DockerClient) -> None:
    lines = said(
        high,
        "ulimit -n; df -k /dev/shm | tail -n 1 | awk '{print $2}'; cat /proc/self/oom_score_adj; cat /proc/1/comm;"
        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start; touch /file 2>/dev/null || echo read-only;"
        "grep ' /t ' /proc/mounts | cut -d' ' -f3",
        ulimits=[Ulimit(name="nofile", soft=99, hard=100)],
        shm_size="8m",
        oom_score_adj=300,
        init=True,
        sysctls={"net.ipv4.ip_unprivileged_port_start": "7"},
        read_only=True,
        tmpfs={"/t": "size=1m"},
    )
    assert lines == ["99", "8192", "300", "docker-init", "7", "read-only", "tmpfs"]


def test_rights(high: docker.DockerClient) -> None:
    script = "grep CapEff /proc/self/status | cut -f2; grep NoNewPrivs /proc/self/status | cut -f2"
    usual, new = said(high, script)
    assert (int(usual, 16), new) == (0xA80425FB, "0")
    fewer, new = said(high, script, cap_drop=["ALL"], cap_add=["NET_ADMIN"], security_opt=["no-new-privileges"])
    assert (int(fewer, 16), new) == (1 << 12, "1")
    assert said(high, "test -c /dev/fuse1 && echo there", devices=["/dev/null:/dev/fuse1:rwm"]) == ["there"]
    assert int(said(high, script, privileged=True)[0], 16) & (1 << 21)  # CAP_SYS_ADMIN


def test_names_given_by_hand(high: docker.DockerClient) -> None:
    lines = said(
        high,
        "grep added /etc/hosts | cut -f1; grep -v '^#' /etc/resolv.conf",
        extra_hosts={"added": "192.0.2.7"},
        dns=["192.0.2.53"],
        dns_search=["example.test"],
        dns_opt=["ndots:3"],
    )
    assert lines[0] == "192.0.2.7"
    assert {"nameserver 192.0.2.53", "search example.test", "options ndots:3"} <= set(lines[1:])


def test_mounts(high: docker.DockerClient, engine: Engine) -> None:
    directory = engine.base / "py-bind"
    directory.mkdir()
    (directory / "file").write_text("from the host\n")
    mounts = [
        Mount("/v", "vol", type="volume"),
        Mount("/b", str(directory), type="bind", read_only=True),
        Mount("/t", None, type="tmpfs", tmpfs_size=1 << 20, tmpfs_mode=0o700),
    ]
    script = "echo x > /v/x; cat /b/file; touch /b/no 2>/dev/null || echo refused; stat -c %a /t; df -k /t | tail -n 1"
    lines = said(high, script, mounts=mounts)
    assert lines[:3] == ["from the host", "refused", "700"]
    assert lines[3].split()[1] == "1024"
    assert said(high, "cat /w/x", volumes=["vol:/w:ro"]) == ["x"]
    holder = high.containers.create("busybox", "true", volumes=["vol:/w"])
    assert said(high, "cat /w/x", volumes_from=[holder.id]) == ["x"]
    assert [(item["Type"], item["Name"], item["Destination"]) for item in holder.attrs["Mounts"]] == [
        ("volume", "vol", "/w")
    ]


def test_namespaces_of_others(high: docker.DockerClient) -> None:
    donor = sleeper(high)
    mode = f"container:{donor.id}"
    assert said(high, "ps | grep -c 'sleep 100[0]'", pid_mode=mode) == ["1"]
    addresses = said(high, "hostname -i; hostname", network_mode=mode)
    donor.reload()
    assert addresses == [donor.attrs["NetworkSettings"]["IPAddress"], donor.id[:12]]


def test_health(high: docker.DockerClient) -> None:
    check = Healthcheck(test=["CMD-SHELL", "test -e /ok"], interval=200_000_000, timeout=10**9, retries=2)
    container = sleeper(high, healthcheck=check)

    def health() -> str:
        container.reload()
        return str(container.health)

    wait_until(lambda: health() == "unhealthy", "two failures", 10)
    container.exec_run("touch /ok")
    wait_until(lambda: health() == "healthy", "a success", 10)
    assert container.attrs["State"]["Health"]["Log"][-1]["ExitCode"] == 0


def test_restart_policy(high: docker.DockerClient) -> None:
    container = high.containers.run(
        "busybox", ["sh", "-c", "exit 3"], detach=True, restart_policy={"Name": "on-failure", "MaximumRetryCount": 2}
    )

    def restarts() -> tuple[int, str]:
        container.reload()
        return container.attrs["RestartCount"], container.status

    wait_until(lambda: restarts() == (2, "exited"), "two restarts", 15)
    container.update(restart_policy={"Name": "unless-stopped"})
    container.reload()
    assert container.attrs["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"


def test_stop_signals(high: docker.DockerClient) -> None:
    script = "trap 'exit 21' USR1; trap 'exit 22' TERM; while :; do sleep 0.05; done"
    command = ["sh", "-c", script]
    container = high.containers.run("busybox", command, detach=True, stop_signal="SIGUSR1")
    time.sleep(0.3)
    container.stop(timeout=5)
    assert container.wait()["StatusCode"] == 21
    container.start()
    time.sleep(0.3)
    container.kill(signal="TERM")
    assert container.wait()["StatusCode"] == 22


def test_an_update_takes_effect(high: docker.DockerClient) -> None:
    container = sleeper(high, mem_limit="64m", pids_limit=50)
    container.update(mem_limit="32m", memswap_limit="64m")
    assert container.stats(stream=False)["memory_stats"]["limit"] == 32 << 20
    container.reload()
    assert container.attrs["HostConfig"]["Memory"] == 32 << 20
    assert container.attrs["HostConfig"]["PidsLimit"] == 50


# -- lists


def test_lists(high: docker.DockerClient) -> None:
    first = sleeper(high, name="first", labels={"a": "1", "b": ""})
    second = high.containers.run("alpine", ["sh", "-c", "exit 7"], detach=True, name="second", labels={"a": "2"})
    second.wait()
    third = high.containers.create("busybox", "true", name="third", volumes=["vol:/v"])

    def names(**options: Any) -> list[str]:
        return sorted(item.name for item in high.containers.list(**options))

    assert names() == ["first"]
    assert names(all=True) == ["first", "second", "third"]
    assert [item.name for item in high.containers.list(all=True)] == ["third", "second", "first"]
    assert names(filters={"status": "created"}) == ["third"]
    assert names(all=True, filters={"exited": 7}) == ["second"]
    assert names(all=True, filters={"label": ["a"]}) == ["first", "second"]
    assert names(all=True, filters={"label": ["a=1", "b"]}) == ["first"]
    assert names(all=True, filters={"ancestor": "alpine"}) == ["second"]
    assert names(all=True, filters={"volume": "vol"}) == ["third"]
    assert names(all=True, filters={"name": "^/f"}) == ["first"]
    assert names(all=True, filters={"id": first.id[:10]}) == ["first"]
    assert names(all=True, filters={"network": "bridge"}) == ["first", "second", "third"]
    assert names(all=True, before="third") == ["first", "second"]
    assert names(since="second", all=True) == ["third"]
    assert names(limit=2) == ["second", "third"]
    assert high.containers.list(sparse=True)[0].attrs["State"] == "running"
    with pytest.raises(APIError, match="invalid filter"):
        high.containers.list(filters={"colour": "red"})
    assert high.containers.get(third.id[:8]).name == "third"


def test_summaries(low: docker.APIClient) -> None:
    host = low.create_host_config(port_bindings={80: 8089})
    made = low.create_container("nginx", host_config=host, ports=[80], name="web")
    low.start(made)
    (found,) = low.containers(size=True)
    assert (found["Id"], found["Names"], found["Image"], found["State"]) == (made["Id"], ["/web"], "nginx", "running")
    assert found["Status"].startswith("Up ")
    assert {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8089, "Type": "tcp"} in found["Ports"]
    assert found["SizeRootFs"] > found.get("SizeRw", 0)
    assert found["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    assert low.containers(quiet=True, all=True) == [{"Id": made["Id"]}]
    assert low.containers(latest=True)[0]["Id"] == made["Id"]


# -- streams


def frames(link: socket.socket) -> Iterator[tuple[int, bytes]]:
    """The multiplexed frames of a raw connection until its end."""
    with link.makefile("rb") as file:
        while header := file.read(8):
            stream, size = struct.unpack(">BxxxI", header)
            yield stream, file.read(size)


def test_attach_before_the_start_misses_nothing(low: docker.APIClient) -> None:
    made = low.create_container("busybox", ["sh", "-c", "echo out; echo err >&2; seq 20000"])
    stream = low.attach_socket(made, {"stdout": 1, "stderr": 1, "stream": 1})
    low.start(made)
    seen: dict[int, bytes] = {1: b"", 2: b""}
    for number, data in frames(stream._sock):
        seen[number] += data
    stream.close()
    assert seen[2] == b"err\n"
    assert seen[1] == b"out\n" + b"".join(b"%d\n" % n for n in range(1, 20001))


def test_attach_with_a_terminal(low: docker.APIClient) -> None:
    made = low.create_container("busybox", "sh", stdin_open=True, tty=True)
    low.start(made)
    stream = low.attach_socket(made, {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
    link = stream._sock
    link.settimeout(10)
    low.resize(made, 31, 71)
    link.sendall(b"stty size; exit 4\n")
    output = b""
    while data := link.recv(4096):
        output += data
    stream.close()
    assert b"31 71\r\n" in output
    assert low.wait(made)["StatusCode"] == 4


def test_two_clients_see_the_same(low: docker.APIClient) -> None:
    made = low.create_container("busybox", ["sh", "-c", "read line; echo got $line"], stdin_open=True)
    low.start(made)
    feeder = low.attach_socket(made, {"stdin": 1, "stdout": 1, "stream": 1})
    watcher = low.attach_socket(made, {"stdout": 1, "stream": 1})
    feeder._sock.sendall(b"it\n")
    assert list(frames(feeder._sock)) == list(frames(watcher._sock)) == [(1, b"got it\n")]
    feeder.close()
    watcher.close()


def test_attach_demuxed(high: docker.DockerClient) -> None:
    container = high.containers.create("busybox", ["sh", "-c", "echo one; echo two >&2"])
    stream = container.attach(stream=True, demux=True, stdout=True, stderr=True)
    container.start()
    parts = list(stream)
    assert b"".join(out for out, _ in parts if out) == b"one\n"
    assert b"".join(err for _, err in parts if err) == b"two\n"


def test_logs_by_time_and_stream(high: docker.DockerClient) -> None:
    container = high.containers.run(
        "busybox", ["sh", "-c", "echo early; echo oops >&2; sleep 1.2; echo late"], detach=True
    )
    container.wait()
    assert container.logs(stderr=False) == b"early\nlate\n"
    assert container.logs(stdout=False) == b"oops\n"
    stamp = container.logs(stdout=True, stderr=False, timestamps=True).splitlines()[1].split()[0].decode()
    moment = float(time.mktime(time.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S"))) - time.timezone
    assert container.logs(stderr=False, since=int(moment)) == b"late\n"
    assert container.logs(stderr=False, until=int(moment)) == b"early\n"
    assert container.logs(stderr=False, tail=0) == b""


def test_many_lines_of_log_quickly(high: docker.DockerClient) -> None:
    container = high.containers.run("busybox", ["seq", "200000"], detach=True)
    container.wait()
    began = time.monotonic()
    output = container.logs()
    assert output.count(b"\n") == 200_000
    assert output.endswith(b"\n200000\n")
    assert time.monotonic() - began < 10


def test_a_log_that_is_not_kept(high: docker.DockerClient) -> None:
    container = high.containers.run("busybox", "echo x", detach=True, log_config=LogConfig(type="none"))
    container.wait()
    with pytest.raises(APIError, match="configured logging driver does not support reading"):
        container.logs()


def test_follow_ends_with_a_client_that_stops(high: docker.DockerClient) -> None:
    container = high.containers.run("busybox", ["sh", "-c", "while :; do echo tick; sleep 0.05; done"], detach=True)
    stream = container.logs(stream=True, follow=True)
    assert next(stream) == b"tick\n"
    stream.close()
    container.remove(force=True)


@pytest.mark.parametrize("condition", ["not-running", "next-exit"])
def test_wait_for_an_exit(low: docker.APIClient, condition: str) -> None:
    made = low.create_container("busybox", ["sh", "-c", "sleep 0.5; exit 9"])
    low.start(made)
    assert low.wait(made, condition=condition) == {"StatusCode": 9}


def test_wait_gives_up_with_its_client(low: docker.APIClient) -> None:
    made = low.create_container("busybox", "sleep 1000")
    low.start(made)
    with pytest.raises(Exception, match="timed out"):
        low.wait(made, timeout=0.3)
    assert low.inspect_container(made)["State"]["Running"]


def test_waiting_for_what_is_removed_by_force(low: docker.APIClient) -> None:
    made = low.create_container("busybox", "sleep 1000")
    low.start(made)
    results: list[int] = []
    waiter = threading.Thread(target=lambda: results.append(low.wait(made, condition="removed")["StatusCode"]))
    waiter.start()
    time.sleep(0.2)
    low.remove_container(made, force=True)
    waiter.join(10)
    assert results == [137]
    with pytest.raises(NotFound, match="No such container"):
        low.wait(made)


# -- exec


def test_exec_options(high: docker.DockerClient) -> None:
    container = sleeper(high)
    result = container.exec_run(
        ["sh", "-c", "pwd; echo $A; id -u; id -g"], workdir="/tmp", environment=["A=b"], user="1000:50"
    )
    assert result == (0, b"/tmp\nb\n1000\n50\n")
    assert container.exec_run("sh -c 'tty; stty size'", tty=True).output.startswith(b"/dev/pts/")
    plain = int(container.exec_run("grep CapEff /proc/self/status").output.split()[1], 16)
    privileged = int(container.exec_run("grep CapEff /proc/self/status", privileged=True).output.split()[1], 16)
    assert privileged & ~plain & (1 << 21)
    assert container.exec_run("missing-program").exit_code == 127
    assert container.exec_run("/etc/passwd").exit_code == 126


def test_exec_streams_as_it_goes(high: docker.DockerClient) -> None:
    container = sleeper(high)
    result = container.exec_run(["sh", "-c", "echo a; sleep 0.5; echo b >&2"], stream=True, demux=True)
    began = time.monotonic()
    parts = [(part, time.monotonic() - began) for part in result.output]
    assert [part for part, _ in parts] == [(b"a\n", None), (None, b"b\n")]
    assert parts[0][1] < 0.4 <= parts[1][1] + 0.1


def test_exec_with_input(low: docker.APIClient, high: docker.DockerClient) -> None:
    container = sleeper(high)
    made = low.exec_create(container.id, ["sh", "-c", "cat; echo done >&2; exit 6"], stdin=True)
    stream = low.exec_start(made, socket=True)
    stream._sock.sendall(b"x" * 200_000)
    stream._sock.shutdown(socket.SHUT_WR)
    seen = {1: b"", 2: b""}
    for number, data in frames(stream._sock):
        seen[number] += data
    stream.close()
    assert (len(seen[1]), seen[2]) == (200_000, b"done\n")
    assert low.exec_inspect(made)["ExitCode"] == 6


def test_exec_records(low: docker.APIClient, high: docker.DockerClient) -> None:
    container = sleeper(high)
    made = low.exec_create(container.id, ["sleep", "30"], user="1000", privileged=False)
    found = low.exec_inspect(made)
    assert (found["Running"], found["ExitCode"], found["ContainerID"]) == (False, None, container.id)
    assert found["ProcessConfig"]["entrypoint"] == "sleep"
    assert found["ProcessConfig"]["arguments"] == ["30"]
    low.exec_start(made, detach=True)
    found = low.exec_inspect(made)
    assert found["Running"]
    assert found["Pid"] > 1
    assert low.inspect_container(container.id)["ExecIDs"] == [made["Id"]]
    with pytest.raises(APIError, match="already running"):
        low.exec_start(made, detach=True)
    container.kill()
    wait_until(lambda: not low.exec_inspect(made)["Running"], "the exec ended with its container")
    with pytest.raises(APIError, match="is not running"):
        low.exec_create(container.id, "true")
    with pytest.raises(NotFound, match="No such exec instance"):
        low.exec_inspect("0" * 64)


def test_exec_in_what_is_paused(high: docker.DockerClient) -> None:
    container = sleeper(high)
    container.pause()
    with pytest.raises(APIError, match="is paused, unpause the container before exec") as failure:
        container.exec_run("true")
    assert failure.value.status_code == 409


# -- files


def test_an_archive_of_a_running_container(high: docker.DockerClient) -> None:
    container = sleeper(high, tmpfs={"/t": ""}, volumes=["vol:/v"])
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name in ("a", "sub/b"):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.uid = 3, 0o600, 1000
            tar.addfile(entry, io.BytesIO(b"abc"))
    for place in ("/t", "/v", "/root"):
        assert container.put_archive(place, packed.getvalue())
    assert container.exec_run("stat -c '%n %u %a' /t/a /v/sub/b /root/a").output.splitlines() == [
        b"/t/a 1000 600",
        b"/v/sub/b 1000 600",
        b"/root/a 1000 600",
    ]
    chunks, stat = container.get_archive("/v")
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        assert sorted(member.name for member in tar.getmembers()) == ["v", "v/a", "v/sub", "v/sub/b"]
    assert stat["name"] == "v"
    with pytest.raises(NotFound, match="Could not find the file /nowhere in container"):
        container.get_archive("/nowhere")


def test_export_and_import(high: docker.DockerClient, low: docker.APIClient) -> None:
    container = high.containers.run("busybox", ["sh", "-c", "echo kept > /kept; rm /etc/hostname"], detach=True)
    container.wait()
    packed = b"".join(container.export())
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        names = set(tar.getnames())
    assert "kept" in names
    low.import_image_from_data(packed, repository="flat", tag="1", changes=['CMD ["cat", "/kept"]'])
    try:
        assert high.containers.run("flat:1", remove=True) == b"kept\n"
    finally:
        high.images.remove("flat:1", force=True)


def test_changes(high: docker.DockerClient) -> None:
    container = high.containers.run(
        "busybox", ["sh", "-c", "touch /root/new; rm /etc/group; chmod 700 /home"], detach=True
    )
    container.wait()
    found = {(change["Kind"], change["Path"]) for change in container.diff()}
    assert {(0, "/root"), (1, "/root/new"), (2, "/etc/group"), (0, "/home")} <= found
