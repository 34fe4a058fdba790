"""The engine as a whole by the official CLI: info, version, events, disk usage, prune, login."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator

import pytest

from harness.engine import Engine, wait_until

REGISTRY = "127.0.0.1:5000"
# ann, whose password is "secret".
HTPASSWD = "ann:$2b$05$oO0Nj61dmuBeN66aELOAHODjvJQD5xjKBtWlq7rkXFwMijhpmRx1q\n"
CONFIG = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {base}/registry}}}}
http: {{addr: "{address}"}}
auth: {{htpasswd: {{realm: tests, path: {base}/htpasswd}}}}
"""


def test_info(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    shown = engine.docker("info").stdout
    assert re.search(r"^ Containers: 1\n  Running: 1\n  Paused: 0\n  Stopped: 0$", shown, re.MULTILINE)
    for line in ("Storage Driver: overlay2", "Swarm: inactive", "Default Runtime: crun", "Live Restore Enabled: true"):
        assert f" {line}\n" in shown
    assert f" Docker Root Dir: {engine.data_root}\n" in shown
    assert engine.out("info", "--format", "{{.Driver}} {{.ContainersRunning}} {{.OSType}}") == "overlay2 1 linux"
    assert "WARNING" not in engine.docker("info").stderr


def test_version(engine: Engine) -> None:
    found = json.loads(engine.out("version", "--format", "{{json .Server}}"))
    assert (found["ApiVersion"], found["MinAPIVersion"]) == ("1.51", "1.24")
    shown = engine.out("version")
    assert "Server: fairlead" in shown
    for part in ("Engine:", "crun:", "conmon:"):
        assert f" {part}" in shown


def test_events_by_time_and_filter(engine: Engine) -> None:
    since = time.time()
    engine.docker("run", "--rm", "--name", "box", "--label", "k=v", "busybox", "true")
    engine.docker("volume", "create", "vol")
    until = time.time()
    span = ["--since", f"{since:.9f}", "--until", f"{until:.9f}"]
    lines = engine.out("events", *span, "--filter", "type=container").splitlines()
    assert [line.split()[2] for line in lines] == ["create", "attach", "start", "die", "destroy"]
    assert all("image=busybox" in line and "k=v" in line and "name=box" in line for line in lines)
    assert "exitCode=0" in lines[3]
    shown = engine.out("events", *span, "--filter", "volume=vol", "--format", "{{.Type}} {{.Action}} {{.Actor.ID}}")
    assert shown == "volume create vol"
    assert engine.out("events", *span, "--filter", "event=die", "--format", "{{.Action}}") == "die"
    assert engine.out("events", *span, "--filter", "label=k=w") == ""
    assert engine.out("events", "--since", "1h", "--until", f"{since:.9f}", "--filter", "label=k=v") == ""


def test_events_as_they_happen(engine: Engine) -> None:
    argv = ["docker", "events", "--filter", "type=volume", "--format", "{{.Action}} {{.Actor.ID}}"]
    watcher = subprocess.Popen(
        argv, env=engine.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    assert watcher.stdout is not None
    try:
        time.sleep(0.4)
        engine.docker("volume", "create", "one")
        assert watcher.stdout.readline() == "create one\n"
        engine.docker("volume", "rm", "one")
        assert watcher.stdout.readline() == "destroy one\n"
    finally:
        watcher.kill()
        watcher.wait()
        watcher.stdout.close()


def test_disk_usage(engine: Engine) -> None:
    engine.docker(
        "run", "--name", "box", "-v", "vol:/v", "busybox", "sh", "-c", "head -c 3000 /dev/zero | tee /x > /v/x"
    )
    rows = {line.split("  ")[0]: line.split()[1:] for line in engine.out("system", "df").splitlines()[1:]}
    assert rows["Containers"][:2] == ["1", "0"]
    found = json.loads(engine.out("system", "df", "--format", "{{json .}}").splitlines()[2])
    assert (found["Type"], found["TotalCount"], found["Active"]) == ("Local Volumes", "1", "1")
    assert found["Size"] == "3kB"
    detail = engine.out("system", "df", "-v")
    for title in (
        "Images space usage:",
        "Containers space usage:",
        "Local Volumes space usage:",
        "Build cache usage: 0B",
    ):
        assert title in detail
    assert re.search(r"busybox +latest .* 1$", detail, re.MULTILINE)
    assert re.search(r"^vol +1 +3kB$", detail, re.MULTILINE)


def test_prune(engine: Engine) -> None:
    kept = engine.out("run", "-d", "--name", "kept", "busybox", "sleep", "1000")
    gone = engine.out("create", "busybox")
    engine.docker("network", "create", "unused")
    volume = engine.out("volume", "create")
    shown = engine.out("system", "prune", "-f", "--volumes")
    for word in ("Deleted Containers:", gone, "Deleted Networks:", "unused", "Deleted Volumes:", volume):
        assert word in shown
    assert "Total reclaimed space:" in shown
    assert engine.out("ps", "-aq", "--no-trunc") == kept
    assert engine.inspect("busybox")["RepoTags"] == ["busybox:latest"]


def test_prune_by_age_and_label(engine: Engine) -> None:
    old = engine.out("create", "busybox")
    labelled = engine.out("create", "--label", "keep=yes", "busybox")
    assert engine.out("container", "prune", "-f", "--filter", "until=1h") == "Total reclaimed space: 0B"
    assert old in engine.out("container", "prune", "-f", "--filter", "label!=keep=yes")
    assert engine.out("ps", "-aq", "--no-trunc") == labelled
    assert labelled in engine.out("container", "prune", "-f", "--filter", "until=0s", "--filter", "label=keep")
    done = engine.docker("container", "prune", "-f", "--filter", "colour=red", check=False)
    assert done.returncode == 1
    assert "invalid filter" in done.stderr


@pytest.fixture
def registry(engine: Engine) -> Iterator[str]:
    program = shutil.which("docker-registry")
    if program is None or not shutil.which("skopeo"):
        pytest.skip("needs docker-registry and skopeo: ./test installs them")
    config = engine.base / "registry.yml"
    config.write_text(CONFIG.format(base=engine.base, address=REGISTRY))
    (engine.base / "htpasswd").write_text(HTPASSWD)
    with open(engine.base / "registry.log", "wb") as log:
        server = engine.host.popen([program, "serve", str(config)], stdout=log, stderr=log)
    wait_until(lambda: engine.host.reaches("127.0.0.1", 5000), "the registry answers", 10)
    yield REGISTRY
    server.kill()
    server.wait()


def test_login(engine: Engine, registry: str) -> None:
    done = engine.docker("login", "-u", "ann", "--password-stdin", registry, text="wrong\n", check=False)
    assert done.returncode == 1
    assert "unauthorized" in done.stderr
    assert (
        "Login Succeeded" in engine.docker("login", "-u", "ann", "--password-stdin", registry, text="secret\n").stdout
    )
    # What the client keeps opens the registry to a pull: it is a missing image now, not a refusal.
    done = engine.docker("pull", f"{registry}/none/such", check=False)
    assert "not found" in done.stderr
    engine.docker("logout", registry)
    assert "denied" in engine.docker("pull", f"{registry}/none/such", check=False).stderr


def test_what_is_not_served_says_so(engine: Engine) -> None:
    for argv, words in (
        (["service", "ls"], "This node is not a swarm manager"),
        (["node", "ls"], "This node is not a swarm manager"),
        (["push", "busybox"], "not supported"),
        (["search", "busybox"], "not supported"),
        (["swarm", "leave"], "not part of a swarm"),
    ):
        done = engine.docker(*argv, check=False)
        assert done.returncode == 1
        assert words in done.stderr
    assert engine.out("plugin", "ls").splitlines()[0].split()[0] == "ID"
