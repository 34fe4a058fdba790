"""The official docker CLI as the client."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time

import pytest

from unit.api.conftest import Api

pytestmark = pytest.mark.skipif(shutil.which("docker") is None, reason="the docker CLI is not installed")


def test_version_and_info(api: Api) -> None:
    shown = json.loads(api.docker("version", "--format", "{{json .Server}}").stdout)
    assert (shown["ApiVersion"], shown["MinAPIVersion"], shown["Version"]) == ("1.51", "1.24", "0.1.0")
    told = api.docker("info")
    assert told.returncode == 0, told.stderr
    assert b"Swarm: inactive" in told.stdout


def test_run_echo_cat_and_exit_codes(api: Api) -> None:
    assert api.docker("run", "--rm", "busybox", "echo", "hello").stdout == b"hello\n"
    assert api.docker("run", "--rm", "-i", "busybox", "cat", stdin=b"a" * 300_000).stdout == b"a" * 300_000
    failed = api.docker("run", "--rm", "busybox", "fail", "no")
    assert (failed.returncode, failed.stdout, failed.stderr) == (3, b"out\n", b"no\n")
    missing = api.docker("run", "--rm", "busybox", "missing")
    assert missing.returncode == 127
    assert b"executable file not found" in missing.stderr


def test_run_with_an_unknown_image_pulls_it(api: Api) -> None:
    done = api.docker("run", "--rm", "alpine:3", "echo", "x")
    assert (done.returncode, done.stdout) == (0, b"x\n")
    assert b"Status: Downloaded newer image" in done.stderr
    assert api.docker("run", "nowhere/x", "echo").returncode == 125


def test_ps_inspect_logs_port(api: Api) -> None:
    identifier = api.docker("run", "-d", "--name", "web", "-p", "8080:80", "busybox", "sleep").stdout.strip().decode()
    line = api.docker("ps", "--format", "{{.ID}} {{.Names}} {{.Status}} {{.Ports}}").stdout.decode()
    assert line == f"{identifier[:12]} web Up Less than a second 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp\n"
    shown = json.loads(api.docker("inspect", "web").stdout)[0]
    assert shown["NetworkSettings"]["IPAddress"] == "172.17.0.2"
    assert shown["NetworkSettings"]["Ports"]["80/tcp"][0] == {"HostIp": "0.0.0.0", "HostPort": "8080"}
    assert api.docker("port", "web").stdout.decode().splitlines()[0] == "80/tcp -> 0.0.0.0:8080"
    assert api.docker("rm", "-f", "web").stdout == b"web\n"


def test_exec_with_and_without_input(api: Api) -> None:
    api.docker("run", "-d", "--name", "cc", "busybox", "sleep")
    assert api.docker("exec", "cc", "echo", "in").stdout == b"in\n"
    assert api.docker("exec", "-i", "cc", "cat", stdin=b"typed").stdout == b"typed"
    assert api.docker("exec", "cc", "fail").returncode == 3
    missing = api.docker("exec", "cc", "missing")
    assert missing.returncode == 127
    assert api.docker("exec", "-d", "cc", "echo").returncode == 0


def test_logs_wait_stop_restart_kill(api: Api) -> None:
    api.docker("run", "-d", "--name", "ended", "busybox", "fail", "oops")
    logs = api.docker("logs", "ended")
    assert (logs.stdout, logs.stderr) == (b"out\n", b"oops\n")
    assert api.docker("wait", "ended").stdout == b"3\n"
    api.docker("run", "-d", "--name", "slow", "busybox", "sleep")
    for verb in ("pause", "unpause", "restart", "stop"):
        assert api.docker(verb, "slow").stdout == b"slow\n", verb
    refused = api.docker("kill", "slow")
    assert refused.returncode == 1
    assert b"is not running" in refused.stderr


def test_attach_top_diff_stats_rename_update(api: Api) -> None:
    api.docker("create", "-i", "--name", "aa", "busybox", "cat")
    assert api.docker("start", "-a", "-i", "aa", stdin=b"yes").stdout == b"yes"
    api.docker("run", "-d", "--name", "bb", "busybox", "sleep")
    assert b"PID" in api.docker("top", "bb").stdout
    assert api.docker("diff", "bb").stdout == "A /caf\ufffd\n".encode()
    assert b"1MiB / 1GiB" in api.docker("stats", "--no-stream", "bb").stdout
    assert api.docker("update", "--memory", "64m", "--memory-swap", "-1", "bb").returncode == 0
    assert api.docker("rename", "bb", "b2").returncode == 0
    assert api.docker("inspect", "-f", "{{.HostConfig.Memory}}", "b2").stdout == b"67108864\n"


def test_images(api: Api) -> None:
    assert b"busybox" in api.docker("images").stdout
    assert api.docker("tag", "busybox", "mine:1").returncode == 0
    assert api.docker("history", "-q", "mine:1").stdout.count(b"\n") == 2
    assert api.docker("inspect", "-f", "{{.Architecture}}", "mine:1").stdout == b"amd64\n"
    assert api.docker("save", "mine:1").stdout == b"tar of mine:1"
    assert b"Loaded image: busybox:latest" in api.docker("load", stdin=b"x" * 3_000_000).stdout
    assert api.engine.images.loaded == 3_000_000
    assert api.docker("import", "-", "imported:1", stdin=b"tar").stdout.startswith(b"sha256:")
    assert b"Status: Downloaded" in api.docker("pull", "debian:12").stdout
    assert b"Deleted: sha256:" in api.docker("rmi", "debian:12").stdout
    half = api.docker("pull", "half/way")
    assert half.returncode == 1
    assert b"manifest unknown" in half.stderr


def test_commit_cp_export(api: Api, tmp_path: object) -> None:
    api.docker("run", "-d", "--name", "cc", "busybox", "sleep")
    assert api.docker("commit", "-m", "x", "cc", "new:1").stdout.startswith(b"sha256:")
    (source := tmp_path / "f").write_bytes(b"abc")  # type: ignore[operator]
    assert api.docker("cp", str(source), "cc:/tmp/f").returncode == 0
    assert b"abc" in next(iter(api.engine.containers.archives.values()))
    assert len(api.docker("export", "cc").stdout) == 64 * 65536


def test_networks(api: Api) -> None:
    made = api.docker("network", "create", "--subnet", "10.9.0.0/24", "--label", "a=b", "net")
    assert made.returncode == 0, made.stderr
    assert b"net" in api.docker("network", "ls", "--filter", "name=net").stdout
    shown = json.loads(api.docker("network", "inspect", "net").stdout)[0]
    assert shown["IPAM"]["Config"] == [{"Subnet": "10.9.0.0/24", "Gateway": "10.9.0.1"}]
    api.docker("run", "-d", "--name", "cc", "--network", "net", "--network-alias", "web", "busybox", "sleep")
    assert api.docker("network", "connect", "--ip", "172.17.0.9", "bridge", "cc").returncode == 0
    listed = json.loads(api.docker("inspect", "cc").stdout)[0]["NetworkSettings"]["Networks"]
    assert list(listed) == ["bridge", "net"] or list(listed) == ["net", "bridge"]
    assert listed["net"]["Aliases"] == ["web"]
    assert listed["bridge"]["IPAMConfig"] == {"IPv4Address": "172.17.0.9"}
    assert api.docker("network", "disconnect", "bridge", "cc").returncode == 0
    refused = api.docker("network", "rm", "bridge")
    assert b"bridge is a pre-defined network and cannot be removed" in refused.stderr
    assert api.docker("network", "prune", "-f").stdout == b"Deleted Networks:\nnet\n\n"


def test_volumes_and_prune(api: Api) -> None:
    assert api.docker("volume", "create", "--label", "x=y", "data").stdout == b"data\n"
    assert json.loads(api.docker("volume", "inspect", "data").stdout)[0]["Labels"] == {"x": "y"}
    assert api.docker("volume", "prune", "-f").stdout == b"Total reclaimed space: 0B\n"
    assert b"data" in api.docker("volume", "prune", "-a", "-f").stdout
    done = api.docker("system", "prune", "-f")
    assert done.returncode == 0, done.stderr
    assert api.docker("system", "df", "-v").returncode == 0


def test_events_until(api: Api) -> None:
    api.docker("run", "--rm", "busybox", "echo")
    told = api.docker("events", "--since", "1h", "--until", f"{time.time():.9f}", "--filter", "event=start")
    assert b" container start " in told.stdout


def test_swarm_and_plugins_say_what_dockerd_says(api: Api) -> None:
    assert b"This node is not a swarm manager" in api.docker("service", "ls").stderr
    assert api.docker("plugin", "ls").returncode == 0
    assert b"not supported" in api.docker("swarm", "init").stderr


def test_an_old_client_is_served(api: Api) -> None:
    environment = {**os.environ, "DOCKER_HOST": f"unix://{api.path}", "DOCKER_API_VERSION": "1.30"}
    done = subprocess.run(
        ["docker", "run", "--rm", "busybox", "echo", "old"], capture_output=True, env=environment, check=False
    )
    assert done.stdout == b"old\n", done.stderr
