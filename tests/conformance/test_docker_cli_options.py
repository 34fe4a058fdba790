"""Options of a container with the effect they have inside it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from harness.engine import Engine, wait_until


def inside(engine: Engine, flags: list[str], *argv: str) -> str:
    return engine.out("run", "--rm", *flags, "busybox", *argv)


DEFAULT_CAPABILITIES = 0xA80425FB


def test_docker_s_defaults(engine: Engine) -> None:
    status = inside(engine, [], "cat", "/proc/self/status")
    assert f"CapEff:\t{DEFAULT_CAPABILITIES:016x}" in status
    assert f"CapBnd:\t{DEFAULT_CAPABILITIES:016x}" in status
    assert "Seccomp:\t2" in status
    assert "NoNewPrivs:\t0" in status


def test_the_devices_that_are_there(engine: Engine) -> None:
    shown = set(inside(engine, [], "ls", "/dev").split())
    wanted = {"fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout"}
    assert shown - {"console", "core"} == wanted | {"tty", "urandom", "zero"}


@pytest.mark.parametrize("path", ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware", "/proc/acpi"])
def test_masked_paths(engine: Engine, path: str) -> None:
    if not os.path.exists(path):
        pytest.skip(f"this kernel has no {path}")
    assert inside(engine, [], "sh", "-c", f"[ -d {path} ] && ls {path} || head -c 1 {path}") == ""


@pytest.mark.parametrize("path", ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs", "/sys"])
def test_read_only_paths(engine: Engine, path: str) -> None:
    if not os.path.exists(path):
        pytest.skip(f"this kernel has no {path}")
    mounts = [line.split() for line in inside(engine, [], "cat", "/proc/mounts").splitlines()]
    (options,) = [fields[3] for fields in mounts if fields[1] == path]
    assert "ro" in options.split(",")


def test_seccomp_forbids_what_docker_forbids(engine: Engine) -> None:
    assert engine.docker("run", "--rm", "busybox", "unshare", "-U", "true", check=False).returncode
    inside(engine, ["--security-opt", "seccomp=unconfined"], "unshare", "-U", "true")


def test_a_seccomp_profile_of_ones_own(engine: Engine) -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["chmod", "fchmodat", "fchmod"], "action": "SCMP_ACT_ERRNO"}],
    }
    path = engine.base / "profile.json"
    path.write_text(json.dumps(profile))
    argv = ["--security-opt", f"seccomp={path}", "busybox", "chmod", "700", "/tmp"]
    done = engine.docker("run", "--rm", *argv, check=False)
    assert done.returncode == 1
    assert "Operation not permitted" in done.stderr


def test_capabilities(engine: Engine) -> None:
    def bound(*flags: str) -> int:
        return int(inside(engine, list(flags), "grep", "CapBnd", "/proc/self/status").split()[1], 16)

    assert bound("--cap-add", "NET_ADMIN") == DEFAULT_CAPABILITIES | 1 << 12
    assert bound("--cap-drop", "CAP_CHOWN") == DEFAULT_CAPABILITIES & ~1
    assert bound("--cap-drop", "ALL", "--cap-add", "chown") == 1
    # A machine need not have all that the kernel knows.
    mine = Path("/proc/self/status").read_text().partition("CapBnd:")[2].split()[0]
    assert bound("--privileged") == int(mine, 16)


def test_an_unknown_capability(engine: Engine) -> None:
    done = engine.docker("create", "--cap-add", "FLY", "busybox", check=False)
    assert done.returncode == 1
    assert "FLY" in done.stderr


def test_privileged(engine: Engine) -> None:
    shown = inside(
        engine,
        ["--privileged"],
        "sh",
        "-c",
        "ls /dev | wc -l; touch /sys/x; grep Seccomp: /proc/self/status; mount -t tmpfs x /mnt; echo $?",
    )
    lines = shown.splitlines()
    assert int(lines[0]) > 20
    assert lines[1].split() == ["Seccomp:", "0"]


def test_no_new_privileges(engine: Engine) -> None:
    assert inside(engine, ["--security-opt", "no-new-privileges"], "grep", "NoNewPrivs", "/proc/self/status").endswith(
        "1"
    )


def test_user_directory_and_environment(engine: Engine) -> None:
    shown = inside(
        engine, ["-u", "ann:staff", "-w", "/made/here", "-e", "A=1", "-e", "HOME_IS"], "sh", "-c", "id; pwd; env"
    )
    assert "uid=1000(ann) gid=50(staff)" in shown
    assert "/made/here" in shown.splitlines()
    env = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line and not line.startswith("uid"))
    assert env["A"] == "1"
    assert env["HOME"] == "/home/ann"
    assert len(env["HOSTNAME"]) == 12
    assert env["PATH"].startswith("/usr/local/sbin:")


def test_group_add(engine: Engine) -> None:
    assert "groups=" in (shown := inside(engine, ["-u", "1000", "--group-add", "staff", "--group-add", "777"], "id"))
    assert "50(staff)" in shown
    assert "777" in shown


def test_entrypoint_and_command(engine: Engine) -> None:
    assert engine.out("run", "--rm", "--entrypoint", "echo", "nginx", "given") == "given"
    assert engine.out("run", "--rm", "--entrypoint", "", "nginx", "echo", "plain") == "plain"
    assert engine.out("run", "--rm", "nginx", "echo", "through the entrypoint") == "through the entrypoint"


def test_hostname(engine: Engine) -> None:
    assert inside(engine, ["-h", "me"], "hostname") == "me"
    assert (
        inside(engine, ["-h", "me", "--domainname", "example.org"], "cat", "/proc/sys/kernel/domainname")
        == "example.org"
    )


def test_init_reaps_and_forwards(engine: Engine) -> None:
    engine.docker("run", "-d", "--init", "--name", "box", "busybox", "sleep", "100")
    assert "docker-init" in engine.execute("box", "cat", "/proc/1/cmdline")
    engine.docker("stop", "-t", "5", "box")
    assert engine.inspect("box")["State"]["ExitCode"] == 143


def test_a_read_only_root(engine: Engine) -> None:
    done = engine.docker(
        "run", "--rm", "--read-only", "--tmpfs", "/t", "busybox", "sh", "-c", "touch /t/x && touch /x", check=False
    )
    assert done.returncode == 1
    assert "Read-only file system" in done.stderr
    assert inside(engine, ["--read-only", "-v", "/v"], "touch", "/v/x") == ""


def test_devices(engine: Engine) -> None:
    device = "/dev/fuse" if os.path.exists("/dev/fuse") else "/dev/loop-control"
    script = "ls -l /dev/mine; (echo > /dev/mine) 2>/dev/null || echo refused"
    shown = inside(engine, ["--device", f"{device}:/dev/mine:r"], "sh", "-c", script)
    assert shown.startswith("c")
    assert shown.endswith("refused")


def test_device_cgroup_rules_forbid_disks(engine: Engine) -> None:
    done = engine.docker("run", "--rm", "busybox", "sh", "-c", "mknod /d b 254 0 && head -c 1 /d", check=False)
    assert done.returncode
    assert "Operation not permitted" in done.stderr


def test_sysctls(engine: Engine) -> None:
    assert (
        inside(
            engine,
            ["--sysctl", "net.ipv4.ip_unprivileged_port_start=7"],
            "cat",
            "/proc/sys/net/ipv4/ip_unprivileged_port_start",
        )
        == "7"
    )
    done = engine.docker("run", "--rm", "--sysctl", "vm.swappiness=1", "busybox", check=False)
    assert done.returncode == 125
    assert "vm.swappiness" in done.stderr


def test_shared_memory_size(engine: Engine) -> None:
    assert "65536" in inside(engine, [], "df", "-k", "/dev/shm")
    assert "131072" in inside(engine, ["--shm-size", "128m"], "df", "-k", "/dev/shm")


def test_ulimits(engine: Engine) -> None:
    shown = inside(
        engine, ["--ulimit", "nofile=111:222", "--ulimit", "core=0"], "sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c"
    )
    assert shown.split() == ["111", "222", "0"]


def limit(engine: Engine, flags: list[str], v1: str, v2: str) -> str:
    """A cgroup file as the container sees it, by whichever version this machine mounts."""
    return inside(engine, flags, "sh", "-c", f"cat /sys/fs/cgroup/{v1} 2>/dev/null || cat /sys/fs/cgroup/{v2}")


def test_memory(engine: Engine) -> None:
    assert limit(engine, ["-m", "32m"], "memory/memory.limit_in_bytes", "memory.max") == str(32 << 20)


def test_cpus_and_shares(engine: Engine) -> None:
    shown = limit(engine, ["--cpus", "0.5"], "cpu/cpu.cfs_quota_us", "cpu.max")
    assert shown.split()[0] == "50000"
    shown = limit(engine, ["--cpu-shares", "512"], "cpu/cpu.shares", "cpu.weight")
    assert shown in ("512", "20")


def test_cpuset(engine: Engine) -> None:
    assert inside(engine, ["--cpuset-cpus", "0"], "nproc") == "1"


def test_pids_limit(engine: Engine) -> None:
    done = engine.docker(
        "run",
        "--rm",
        "--pids-limit",
        "4",
        "busybox",
        "sh",
        "-c",
        "for n in 1 2 3 4 5 6; do sleep 1 & done; wait",
        check=False,
    )
    assert "can't fork" in done.stderr


def test_out_of_memory_is_told(engine: Engine) -> None:
    engine.docker(
        "run",
        "--name",
        "box",
        "-m",
        "16m",
        "--memory-swap",
        "16m",
        "busybox",
        "sh",
        "-c",
        "x=a; while :; do x=$x$x; done",
        check=False,
    )
    state = engine.inspect("box")["State"]
    assert (state["ExitCode"], state["OOMKilled"]) == (137, True)


def test_oom_score(engine: Engine) -> None:
    assert inside(engine, ["--oom-score-adj", "321"], "cat", "/proc/self/oom_score_adj") == "321"


def test_pid_modes(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "777")
    assert "sleep 777" in inside(engine, ["--pid", "container:box"], "ps")
    assert inside(engine, ["--pid", "host"], "readlink", "/proc/self/ns/pid") == os.readlink("/proc/self/ns/pid")
    assert "sleep 777" not in inside(engine, [], "ps")


def test_ipc_modes(engine: Engine) -> None:
    engine.docker(
        "run", "-d", "--name", "box", "--ipc", "shareable", "busybox", "sh", "-c", "echo x > /dev/shm/mark; sleep 100"
    )
    wait_until(
        lambda: inside(engine, ["--ipc", "container:box"], "ls", "/dev/shm") == "mark", "shared memory is shared"
    )
    assert inside(engine, ["--ipc", "host"], "readlink", "/proc/self/ns/ipc") == os.readlink("/proc/self/ns/ipc")
    engine.docker("run", "-d", "--name", "priv", "--ipc", "private", "busybox", "sleep", "100")
    done = engine.docker("run", "--rm", "--ipc", "container:priv", "busybox", check=False)
    assert done.returncode == 125


def test_uts_and_cgroup_namespaces(engine: Engine) -> None:
    assert inside(engine, ["--uts", "host"], "hostname") == os.uname().nodename
    assert inside(engine, ["--uts", "host"], "readlink", "/proc/self/ns/uts") == os.readlink("/proc/self/ns/uts")
    assert inside(engine, ["--cgroupns", "host"], "readlink", "/proc/self/ns/cgroup") == os.readlink(
        "/proc/self/ns/cgroup"
    )


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_runtimes(engine: Engine, runtime: str) -> None:
    engine.docker("run", "--name", "box", "--runtime", runtime, "busybox", "echo", "ran")
    assert engine.out("logs", "box") == "ran"
    assert engine.inspect("box")["HostConfig"]["Runtime"] == runtime


def test_an_unknown_runtime(engine: Engine) -> None:
    done = engine.docker("create", "--runtime", "walk", "busybox", check=False)
    assert done.returncode == 1
    assert "walk" in done.stderr


def test_env_file_and_label_file(engine: Engine) -> None:
    path = engine.base / "list"
    path.write_text("A=one\n# comment\nB=two\n")
    assert {"A=one", "B=two"} <= set(inside(engine, ["--env-file", str(path)], "env").splitlines())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["-m", "1k"], "Minimum memory limit allowed is 6MB"),
        (["-m", "64m", "--memory-swap", "32m"], "Minimum memoryswap limit should be larger than memory limit"),
        (["--cpus", "1000"], "range of CPUs is from 0.01"),
        (["--cpuset-cpus", "900"], "Requested CPUs are not available"),
        (["--shm-size", "-1"], "shm"),
        (["--restart", "sometimes"], "invalid restart policy: unknown policy 'sometimes'"),
        (["--rm", "--restart", "always"], "onflicting options"),
        (["--ipc", "container:nobody"], "No such container: nobody"),
        (["--pid", "sideways"], "PID mode"),
        (["--security-opt", "colour=red"], "colour=red"),
        (["--stop-signal", "FLAG"], "invalid signal: FLAG"),
        (["--name", "a/b"], "Invalid container name (a/b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"),
        (["--log-driver", "pigeon"], "pigeon"),
        (["--oom-score-adj", "5000"], "oom score adj"),
    ],
)
def test_refusals(engine: Engine, flags: list[str], message: str) -> None:
    done = engine.docker("create", "--pull", "never", *flags, "busybox", check=False)
    assert done.returncode
    assert message.lower() in done.stderr.lower()
    assert engine.out("ps", "-aq") == ""


def test_the_environment_of_the_daemon_stays_outside(engine: Engine) -> None:
    names = {line.partition("=")[0] for line in inside(engine, [], "env").splitlines()}
    assert names <= {"PATH", "HOSTNAME", "HOME", "SHLVL", "PWD"}


def test_a_terminal_sets_term(engine: Engine) -> None:
    done = subprocess.run(
        ["docker", "run", "--rm", "-t", "busybox", "env"],
        env=engine.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "TERM=xterm\n" in done.stdout
