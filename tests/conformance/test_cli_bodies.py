"""`run` and `create` of both clients against an engine that only listens: the same words, the same body."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.engine import FAIRLEAD
from harness.fakeengine import Call, Reply, fake_engine

pytestmark = pytest.mark.skipif(shutil.which("docker") is None, reason="the official client is not installed")

LINES = """\
create b
create -it -e A=b --name x -w /w -u 1:2 b echo hi
create -p 80-82:90-92 -p [::1]:80:80/sctp -p 1.2.3.4:8000-8010:80 -p 53 b
create -p published=8080,target=80,protocol=udp -p :81 -p 127.0.0.1::82/udp b
create -p 80-82:90-91 b
create -p foo b
create -p 99999:80 b
create -p 1.2.3:80:80 b
create -p 80:80/foo b
create --expose 80-82 --expose 53/udp -P b
create --mount type=bind,src=/a,dst=/b,ro,bind-propagation=rslave b
create --mount source=vol,target=/v,volume-nocopy,volume-opt=a=b,volume-label=x=y,volume-subpath=s,volume-driver=d b
create --mount type=tmpfs,target=/t,tmpfs-mode=1777,tmpfs-size=1m b
create --mount type=image,source=i,target=/x,image-subpath=z b
create --mount type=bind,src=/a b
create --mount type=bind,src=/a,target=/x,foo=1 b
create --mount type=volume,target=/x,bind-propagation=shared b
create --mount type=bind,src=/a,target=/x,bind-recursive=readonly b
create -v ./rel:/x -v /a:/b:z,rshared -v /only -v name:/n b
create -v "" b
create -v :/x b
create --tmpfs /a:size=1m --tmpfs /b b
create --network name=n1,alias=A1,alias=a2,ip=10.0.0.5,ip6=fd00::5,driver-opt=k=v,gw-priority=5 --network n2 b
create --network name=n1,mac-address=02:00:00:00:00:01,link-local-ip=169.254.1.1 b
create --network n1 --ip 1.2.3.4 --ip6 fd00::1 --link c1:db --mac-address 02:42:ac:11:00:02 b
create --network n1 --link-local-ip 169.254.3.4 --network-alias web b
create --network n1 --network n1 b
create --network name=n1,foo=1 b
create --network alias=x b
create --network host --network-alias a b
create --network host --network n1 b
create --network name=n1,ip=1.2.3.4 --ip 2.3.4.5 b
create --network container:foo b
create --network none b
create --net bridge --link c1:db b
create --mac-address zz b
create --device /dev/x --device /dev/a:/dev/b:r --device vendor.com/class=name b
create --device /dev/a:/dev/b:zz b
create --ulimit nofile=10:20 --ulimit core=-1 b
create --ulimit foo=1 b
create --ulimit nofile=20:10 b
create --health-cmd "curl x" --health-interval 5s --health-retries 3 --health-timeout 1m --health-start-period 2s b
create --no-healthcheck b
create --no-healthcheck --health-cmd x b
create --health-interval foo b
create --restart on-failure:3 b
create --restart on-failure:x b
create --restart always --rm b
create --rm --env-file vars -e Z -e HOME -e A=2 b
create --env-file nope b
create -e =x b
create -l a=b -l c --label-file labels b
create --security-opt no-new-privileges --security-opt seccomp=unconfined --security-opt label=disable b
create --security-opt systempaths=unconfined b
create --security-opt seccomp=/nonexist b
create --security-opt foo b
create --sysctl net.ipv4.ip_forward=1 --annotation a=b --storage-opt size=10G --log-driver local --log-opt max-size=1m b
create --sysctl foo b
create --entrypoint "" b
create --entrypoint sh b -c x
create --dns 1.1.1.1 --dns-search x --dns-option ndots:1 b
create --add-host a:1.2.3.4 --add-host b=::1 --add-host c:host-gateway b
create --dns foo b
create --add-host a:zz b
create --pid host --ipc shareable --uts host --userns host --cgroupns private --cgroup-parent /x b
create --pid foo b
create --cpus 0.5 -c 5 --cpuset-cpus 0 --cpu-period 1 --cpu-quota 2 --pids-limit 100 b
create --oom-kill-disable --oom-score-adj 5 b
create -m 1g --memory-swap -1 --memory-reservation 5m --memory-swappiness 5 --shm-size 1m --blkio-weight 20 b
create -m 3q b
create --cpus foo b
create --blkio-weight-device /dev/sda:100 --device-read-bps /dev/sda:1mb --device-write-iops /dev/sda:5 b
create --device-read-bps foo b
create --gpus all b
create -a stdin -a stderr b
create -a foo b
create --platform linux/amd64 --pull never b
create --pull foo b
create -h h --domainname d --stop-signal TERM --stop-timeout 5 --init --read-only --privileged --cap-add NET_ADMIN b
create --cap-drop all --group-add g --runtime runc --volumes-from c:ro --volume-driver vd b
create --device-cgroup-rule "c 1:3 mr" b
create Bad
create b:tag:tag
create --unknown b
create --name
create
run -d -a stdin b
create --stop-timeout 0 --init=false b true"""


_NOTHING = (None, "", 0, False, [], {})
_DEFAULTS = {"MemorySwappiness": -1, "ConsoleSize": [0, 0], "RestartPolicy": {"Name": "no"}}


@pytest.mark.parametrize("line", LINES.splitlines())
def test_the_same_is_sent_and_said(line: str, tmp_path: Path) -> None:
    (tmp_path / "vars").write_text("A=1\n# comment\nB\n C=d\n")
    (tmp_path / "labels").write_text("l1=v\n")
    assert ask(FAIRLEAD, line, tmp_path) == ask("docker", line, tmp_path)


def ask(client: str, line: str, folder: Path) -> tuple[int, str, list[object]]:
    """The exit code, the first line of complaint, and the calls that were made."""
    home = folder / Path(client).name
    home.mkdir()
    with fake_engine(home) as engine:
        engine.on("POST", "/containers/create", Reply({"Id": "a" * 64, "Warnings": []}, 201))
        engine.on("POST", "/containers/a+/start", Reply(None, 204))
        done = subprocess.run(
            [client, "-H", engine.host, *shlex.split(line)],
            capture_output=True, text=True, check=False, cwd=folder, timeout=20,
            env={**os.environ, "HOME": "/root"},
        )  # fmt: skip
        calls = [seen(call) for call in engine.calls if call.path not in {"/_ping", "/info"}]
    complaint = done.stderr.partition("\n")[0].replace("fairlead", "docker").removeprefix("docker: ")
    return done.returncode, complaint, calls


def seen(call: Call) -> object:
    return call.method, call.path, call.query, wanted(call.json()) if call.body else None


def wanted(value: Any) -> Any:
    """Without what means the same as not being there, and in one order where none is meant."""
    if isinstance(value, list):
        return [wanted(item) for item in value]
    if not isinstance(value, dict):
        return value
    named = {name: sorted(value[name]) for name in ("ExposedPorts", "Volumes", "Binds", "Env") if value.get(name)}
    kept = {name: wanted(item) for name, item in value.items()} | named
    return {name: item for name, item in kept.items() if item not in _NOTHING and _DEFAULTS.get(name) != item}
