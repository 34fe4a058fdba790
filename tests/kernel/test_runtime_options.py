"""Each option of a container has the effect that Docker promises, with crun and with runc."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead.model.container import Device, MountPoint, Ulimit
from fairlead.runtime.bundle import MountFacts, Namespaces
from kernel.runtime_harness import AVAILABLE, Place, make_place, run_box, said


@pytest.fixture(params=["crun", "runc"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with make_place(tmp_path, request.param) as made:
        yield made


def status(place: Place, **more: object) -> dict[str, str]:
    """/proc/self/status of a container's process."""
    text = said(place, "cat", "/proc/self/status", **more)
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def mounts(place: Place, **more: object) -> dict[str, str]:
    """Mount options by mount point, as the container sees them."""
    return {line.split()[1]: line.split()[3] for line in said(place, "cat", "/proc/mounts", **more).splitlines()}


def test_a_plain_container_has_docker_s_defaults(place: Place) -> None:
    got = status(place)
    assert got["CapEff"] == got["CapBnd"] == got["CapPrm"] == "00000000a80425fb"
    assert got["CapInh"] == "0000000000000000"
    assert got["Seccomp"] == "2"
    assert got["NoNewPrivs"] == "0"
    script = "id -u; hostname; echo $PATH; echo $HOSTNAME; echo $HOME; pwd; echo $TERM"
    script += "; cat /proc/sys/net/ipv4/ping_group_range"
    lines = said(place, "sh", "-c", script).splitlines()
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert lines == ["0", "boxhost", path, "boxhost", "/root", "/", "", "0\t2147483647"]


def test_capabilities_are_added_and_dropped(place: Place) -> None:
    assert int(status(place, host={"cap_drop": ("ALL",)})["CapEff"], 16) == 0
    only = status(place, host={"cap_drop": ("all",), "cap_add": ("net_admin",)})
    assert int(only["CapEff"], 16) == 1 << 12
    assert int(status(place, host={"cap_add": ("SYS_TIME",)})["CapEff"], 16) == 0xA80425FB | 1 << 25


def test_seccomp_holds_what_docker_forbids(place: Place) -> None:
    code, _, err = run_box(place, "unshare", "-U", "true")
    assert code == 1
    assert "Operation not permitted" in err
    assert run_box(place, "unshare", "-U", "true", host={"security_opt": ("seccomp=unconfined",)})[0] == 0
    assert status(place, host={"security_opt": ("seccomp=unconfined",)})["Seccomp"] == "0"


def test_a_profile_of_one_s_own_is_obeyed(place: Place) -> None:
    profile = '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}'
    code, _, err = run_box(place, "mkdir", "/srv/new", host={"security_opt": (f"seccomp={profile}",)})
    assert code == 1
    assert "Operation not permitted" in err


def test_no_new_privileges(place: Place) -> None:
    assert status(place, host={"security_opt": ("no-new-privileges",)})["NoNewPrivs"] == "1"


def test_a_user_by_name_runs_with_its_groups_and_no_capability(place: Place) -> None:
    got = status(place, config={"user": "web"}, host={"group_add": ("77",)})
    assert got["Uid"].split() == ["33"] * 4
    assert got["Gid"].split() == ["44"] * 4
    assert sorted(got["Groups"].split()) == ["44", "55", "77"]
    assert int(got["CapEff"], 16) == 0
    assert got["CapBnd"] == "00000000a80425fb"
    assert said(place, "sh", "-c", "echo $HOME", config={"user": "web"}) == "/srv/web\n"


def test_a_user_by_number_needs_no_account(place: Place) -> None:
    got = status(place, config={"user": "1234:4321"})
    assert (got["Uid"].split()[0], got["Gid"].split()[0]) == ("1234", "4321")
    assert said(place, "sh", "-c", "echo $HOME", config={"user": "1234:4321"}) == "/\n"


def test_masked_and_read_only_paths(place: Place) -> None:
    script = "wc -c </proc/keys; wc -c </proc/timer_list; ls /sys/firmware | wc -l; echo 1 >/proc/sys/kernel/printk"
    code, out, err = run_box(place, "sh", "-c", script)
    assert out.split() == ["0", "0", "0"]
    assert code == 1
    assert "Read-only file system" in err
    free = {"masked_paths": (), "readonly_paths": ()}
    assert int(said(place, "sh", "-c", "wc -c </proc/timer_list", host=free)) > 0
    assert mounts(place, host=free).keys().isdisjoint({"/proc/sys", "/proc/bus", "/sys/firmware"})


def test_a_privileged_container_may_do_everything(place: Place) -> None:
    got = status(place, host={"privileged": True})
    assert int(got["CapEff"], 16) == AVAILABLE
    assert got["Seccomp"] == "0"
    seen = mounts(place, host={"privileged": True})
    assert seen["/sys"].split(",")[0] == "rw"
    assert "/proc/sys" not in seen
    assert "urandom" in said(place, "ls", "/dev", host={"privileged": True}).split()


def test_ulimits(place: Place) -> None:
    limits = (Ulimit(name="nofile", soft=123, hard=456), Ulimit(name="core", soft=0, hard=0))
    out = said(place, "sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c", host={"ulimits": limits})
    assert out.split() == ["123", "456", "0"]


def test_tmpfs_and_shm(place: Place) -> None:
    host = {"tmpfs": {"/work": "size=1m,exec", "/tmp": ""}, "shm_size": 2 << 20}
    seen = mounts(place, host=host)
    assert {"size=1024k", "nosuid", "nodev"} <= set(seen["/work"].split(","))
    assert "noexec" not in seen["/work"].split(",")
    assert {"noexec", "nosuid", "nodev"} <= set(seen["/tmp"].split(","))
    assert "size=2048k" in seen["/dev/shm"].split(",")


def test_binds_are_mounted_as_asked(place: Place, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    (shared / "deep").mkdir(parents=True)
    (shared / "file").write_text("from the host")
    written = (
        MountPoint(type="bind", source=str(shared), target="/mnt/shared"),
        MountPoint(type="bind", source=str(shared / "deep"), target="/mnt/shared/deep", rw=False),
        MountPoint(type="bind", source=str(shared / "file"), target="/etc/one", rw=False),
    )
    script = "cat /etc/one; echo back >/mnt/shared/new; echo no >/mnt/shared/deep/x"
    code, out, err = run_box(place, "sh", "-c", script, mounts=written)
    assert out == "from the host"
    assert (shared / "new").read_text() == "back\n"
    assert code == 1
    assert "Read-only file system" in err


@pytest.mark.parametrize(("propagation", "tag"), [("rshared", "shared:"), ("", "")])
def test_propagation_of_a_bind(place: Place, tmp_path: Path, propagation: str, tag: str) -> None:
    point = MountPoint(type="bind", source=str(tmp_path), target="/mnt", propagation=propagation)
    lines = said(place, "cat", "/proc/self/mountinfo", mounts=(point,)).splitlines()
    (fields,) = [line.split() for line in lines if line.split()[4] == "/mnt"]
    optional = " ".join(fields[6 : fields.index("-")])
    assert optional.startswith(tag)
    assert bool(optional) == bool(tag)


def test_a_read_only_root(place: Place) -> None:
    host = {"readonly_rootfs": True, "tmpfs": {"/tmp": ""}}
    code, _, err = run_box(place, "sh", "-c", "echo x >/tmp/x && echo x >/dev/shm/x && echo x >/x", host=host)
    assert code == 1
    assert "can't create /x: Read-only file system" in err


def test_init_is_process_one_and_reaps(place: Place) -> None:
    init = "/usr/bin/tini-static"
    if not os.path.exists(init):
        pytest.skip("needs tini")
    out = said(place, "sh", "-c", "cat /proc/1/comm; echo $$ >/dev/null; tr '\\0' ' ' </proc/1/cmdline", init=init)
    assert out.startswith("docker-init\n/sbin/docker-init -- sh -c")
    code, _, _ = run_box(place, "sh", "-c", "exit 9", init=init)
    assert code == 9


def test_devices(place: Place) -> None:
    opened = "dd if=/dev/mine of=/dev/null bs=1 count=1 2>&1 | tail -1"
    mine = Device(path_on_host="/dev/zero", path_in_container="/dev/mine", cgroup_permissions="r")
    assert "1+0 records" in said(place, "sh", "-c", opened, host={"devices": (mine,)})


def test_a_device_not_given_can_be_made_but_not_opened(place: Place) -> None:
    script = "mknod /dev/fuse2 c 10 229 && : </dev/fuse2"
    code, _, err = run_box(place, "sh", "-c", script)
    assert code != 0
    assert "can't open /dev/fuse2: Operation not permitted" in err
    assert run_box(place, "sh", "-c", script, host={"device_cgroup_rules": ("c 10:229 rmw",)})[0] == 0


def test_sysctls_and_domain_name(place: Place) -> None:
    got = said(
        place,
        "sh",
        "-c",
        "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/sys/kernel/domainname",
        host={"sysctls": {"net.ipv4.ip_forward": "1", "kernel.msgmax": "1234"}},
        config={"domainname": "example.test"},
    )
    assert got.split() == ["1", "1234", "example.test"]


def test_pid_ipc_and_uts_modes(place: Place) -> None:
    def inodes(namespaces: Namespaces) -> list[str]:
        script = "for kind in pid ipc uts; do readlink /proc/self/ns/$kind; done"
        return said(place, "sh", "-c", script, namespaces=namespaces).split()

    host = [os.readlink(f"/proc/self/ns/{kind}") for kind in ("pid", "ipc", "uts")]
    assert inodes(Namespaces(pid=None, ipc=None, uts=None, cgroup=None)) == host
    assert not set(inodes(Namespaces(cgroup=None))) & set(host)
    joined = [f"/proc/self/ns/{kind}" for kind in ("ipc", "uts")]
    assert inodes(Namespaces(ipc=f"/proc/{os.getpid()}/ns/ipc", cgroup=None))[1] == os.readlink(joined[0])


def test_ipc_none_has_no_shared_memory(place: Place) -> None:
    seen = mounts(place, mount_facts=MountFacts(no_shm=True))
    assert "/dev/shm" not in seen


def test_working_directory_and_environment(place: Place) -> None:
    config = {"working_dir": "/srv/deep/er", "env": ("A=1", "PATH=/bin", "HOSTNAME")}
    out = said(place, "sh", "-c", "pwd; echo $A; echo $PATH; env | grep -c HOSTNAME; true", config=config)
    assert out.split() == ["/srv/deep/er", "1", "/bin", "0"]


def test_oom_score(place: Place) -> None:
    assert said(place, "cat", "/proc/self/oom_score_adj", host={"oom_score_adj": 321}) == "321\n"


def test_annotations_do_not_disturb(place: Place) -> None:
    assert said(place, "echo", "fine", host={"annotations": {"org.example.note": "x"}}) == "fine\n"
