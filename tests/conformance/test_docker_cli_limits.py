"""Options that limit, confine and describe: their defaults as inspect shows them, their effect, their refusals."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.engine import Engine, wait_until

CGROUPS = Path("/sys/fs/cgroup")


def inside(engine: Engine, flags: list[str], script: str) -> str:
    return engine.out("run", "--rm", *flags, "busybox", "sh", "-c", script)


# -- what is shown ----------------------------------------------------------------------------------------------------


def test_defaults_are_shown_as_they_apply(engine: Engine) -> None:
    engine.docker("create", "--name", "box", "busybox")
    host = engine.inspect("box")["HostConfig"]
    assert (host["IpcMode"], host["ShmSize"], host["Runtime"], host["NetworkMode"]) == (
        *("private", 64 << 20, "crun", "bridge"),
    )
    assert host["CgroupnsMode"] == ("private" if (CGROUPS / "cgroup.controllers").exists() else "host")
    assert {"/proc/kcore", "/proc/keys", "/proc/acpi", "/sys/firmware"} <= set(host["MaskedPaths"])
    assert host["ReadonlyPaths"] == ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
    assert host["LogConfig"] == {"Type": "json-file", "Config": {}}
    assert host["RestartPolicy"] == {"Name": "no", "MaximumRetryCount": 0}


def test_privileged_hides_nothing(engine: Engine) -> None:
    engine.docker("create", "--name", "box", "--privileged", "busybox")
    host = engine.inspect("box")["HostConfig"]
    assert (host["MaskedPaths"], host["ReadonlyPaths"]) == (None, None)


def test_system_paths_can_be_opened(engine: Engine) -> None:
    script = "grep -c ' /proc/sys ' /proc/mounts"
    assert inside(engine, [], script) == "1"
    done = engine.docker(
        "run", "--rm", "--security-opt", "systempaths=unconfined", "busybox", "sh", "-c", script, check=False
    )
    assert done.stdout.strip() == "0"


# -- cgroups ----------------------------------------------------------------------------------------------------------


def test_a_cgroup_parent_of_ones_own(engine: Engine) -> None:
    assert "/fairlead-tests/" in inside(engine, ["--cgroup-parent", "/fairlead-tests"], "cat /proc/1/cgroup")
    left = [path for path, _, _ in os.walk(CGROUPS) if path.endswith("/fairlead-tests")]
    for path in left:
        assert [name for name in os.listdir(path) if len(name) == 64] == []
        os.rmdir(path)


def test_swap_is_twice_the_memory_unless_said_otherwise(engine: Engine) -> None:
    engine.docker("create", "--name", "box", "-m", "32m", "busybox")
    assert engine.inspect("box")["HostConfig"]["MemorySwap"] == 64 << 20
    engine.docker("create", "--name", "free", "-m", "32m", "--memory-swap", "-1", "busybox")
    assert engine.inspect("free")["HostConfig"]["MemorySwap"] == -1


def test_a_weight_this_kernel_lacks_is_discarded_with_a_warning(engine: Engine) -> None:
    if any((CGROUPS / "blkio" / name).exists() for name in ("blkio.weight", "blkio.bfq.weight")):
        pytest.skip("this kernel has block I/O weights")
    done = engine.docker("run", "--name", "box", "--blkio-weight", "300", "busybox", "true")
    assert "Block I/O weight. Weight discarded" in done.stderr
    assert engine.inspect("box")["HostConfig"]["BlkioWeight"] == 0


def test_a_quota_and_period_of_ones_own(engine: Engine) -> None:
    script = "cd /sys/fs/cgroup; cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us 2>/dev/null || cat cpu.max"
    assert inside(engine, ["--cpu-period", "50000", "--cpu-quota", "25000"], script).split() == ["25000", "50000"]


def test_the_out_of_memory_mark_is_of_this_run_only(engine: Engine) -> None:
    script = "[ -e /again ] && exit 0; touch /again; x=a; while :; do x=$x$x; done"
    argv = ["--name", "box", "-m", "16m", "--memory-swap", "16m", "busybox", "sh", "-c", script]
    engine.docker("run", *argv, check=False)
    assert engine.inspect("box")["State"]["OOMKilled"] is True
    engine.docker("start", "-a", "box")
    state = engine.inspect("box")["State"]
    assert (state["ExitCode"], state["OOMKilled"]) == (0, False)


def test_limits_hold_for_execs(engine: Engine) -> None:
    engine.docker(
        "run", "-d", "--name", "box", "--ulimit", "nofile=77:88", "--pids-limit", "20", "busybox", "sleep", "100"
    )
    assert engine.execute("box", "sh", "-c", "ulimit -n; ulimit -Hn").split() == ["77", "88"]
    own = engine.execute("box", "cat", "/proc/self/cgroup")
    assert own == engine.execute("box", "cat", "/proc/1/cgroup")


# -- devices and system calls -----------------------------------------------------------------------------------------


def test_a_device_rule_lets_what_is_made_there_be_used(engine: Engine) -> None:
    # The numbers of /dev/loop-control: who may make a device may not use it, without a rule.
    script = "mknod /f c 10 237 && (true < /f)"
    flags = ["--cap-add", "MKNOD"]
    done = engine.docker("run", "--rm", *flags, "busybox", "sh", "-c", script, check=False)
    assert done.returncode
    assert "Operation not permitted" in done.stderr
    allowed = engine.docker(
        "run", "--rm", *flags, "--device-cgroup-rule", "c 10:237 rwm", "busybox", "sh", "-c", script, check=False
    )
    assert "Operation not permitted" not in allowed.stderr


def test_a_device_that_is_not_there(engine: Engine) -> None:
    done = engine.docker("run", "--rm", "--device", "/dev/nothing", "busybox", check=False)
    assert done.returncode
    assert 'error gathering device information while adding custom device "/dev/nothing"' in done.stderr


def test_tmpfs_is_not_executable_unless_asked(engine: Engine) -> None:
    script = "cp /bin/busybox /t/echo; /t/echo ran || echo refused"
    assert inside(engine, ["--tmpfs", "/t"], script).endswith("refused")
    assert inside(engine, ["--tmpfs", "/t:exec"], script) == "ran"


def test_sysctls_of_each_namespace(engine: Engine) -> None:
    flags = ["--sysctl", "kernel.shmmax=123456", "--sysctl", "net.core.somaxconn=99"]
    assert inside(engine, flags, "cat /proc/sys/kernel/shmmax /proc/sys/net/core/somaxconn").split() == ["123456", "99"]


def test_ports_below_1024_and_ping_need_no_root(engine: Engine) -> None:
    listening = "nc -l -p 80 -w 1 </dev/null & sleep 0.1; netstat -ltn | grep -c ':80 '"
    assert inside(engine, ["-u", "1000", "--cap-drop", "ALL"], listening) == "1"
    assert inside(engine, [], "cat /proc/sys/net/ipv4/ping_group_range").split() == ["0", "2147483647"]


# -- users ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "shown"),
    [
        ("ann", "uid=1000(ann) gid=1000(ann) groups=50(staff),1000(ann)"),
        ("1000", "uid=1000(ann) gid=1000(ann) groups=50(staff),1000(ann)"),
        ("ann:staff", "uid=1000(ann) gid=50(staff) groups=50(staff)"),
        ("1234:77", "uid=1234 gid=77 groups=77"),
        ("4321", "uid=4321 gid=0(root) groups=0(root)"),
        (":staff", "uid=0(root) gid=50(staff) groups=50(staff)"),
    ],
)
def test_users_and_their_groups(engine: Engine, user: str, shown: str) -> None:
    assert inside(engine, ["-u", user], "id") == shown


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["-u", "stranger"], "unable to find user stranger: no matching entries in passwd file"),
        (["-u", "0:strangers"], "unable to find group strangers: no matching entries in group file"),
        (["--group-add", "strangers"], "unable to find group strangers: no matching entries in group file"),
        (["-u", "99999999999"], "uids and gids must be in range 0-2147483647"),
    ],
)
def test_strangers(engine: Engine, flags: list[str], sentence: str) -> None:
    done = engine.docker("run", "--rm", *flags, "busybox", check=False)
    assert done.returncode == 125
    assert sentence in done.stderr
    assert engine.out("ps", "-aq") == ""


def test_a_home_from_the_containers_own_passwd(engine: Engine) -> None:
    engine.docker(
        "run",
        "-d",
        "--name",
        "box",
        "busybox",
        "sh",
        "-c",
        "echo 'eve:x:77:77::/eve:/bin/sh' >> /etc/passwd; sleep 100",
    )
    wait_until(lambda: "eve" in engine.execute("box", "cat", "/etc/passwd"), "eve is there")
    shown = engine.docker("exec", "-u", "eve", "box", "sh", "-c", "id -u; echo $HOME").stdout.split()
    assert shown == ["77", "/eve"]
    engine.docker("restart", "-t", "0", "box")
    assert engine.docker("exec", "-u", "eve", "box", "id", "-u").stdout == "77\n"


# -- cp ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "path", "sentence"),
    [
        (["--read-only"], "/file", "container rootfs is marked read-only"),
        (["-v", "data:/d:ro"], "/d/file", "mounted volume is marked read-only"),
    ],
)
@pytest.mark.parametrize("verb", ["create", "run -d"])
def test_cp_to_what_is_read_only(engine: Engine, verb: str, flags: list[str], path: str, sentence: str) -> None:
    source = engine.base / "for-cp"
    source.write_text("x\n")
    engine.docker(*verb.split(), "--name", "box", *flags, "busybox", "sleep", "100")
    done = engine.docker("cp", str(source), f"box:{path}", check=False)
    assert done.returncode == 1
    assert sentence in done.stderr


def test_cp_into_a_volume_of_what_never_ran(engine: Engine) -> None:
    source = engine.base / "for-cp"
    source.write_text("x\n")
    engine.docker("create", "--name", "box", "-v", "data:/new/place", "busybox")
    engine.docker("cp", str(source), "box:/new/place/file")
    assert engine.out("run", "--rm", "-v", "data:/d", "busybox", "cat", "/d/file") == "x"
