from __future__ import annotations

import json
from typing import Any

import pytest

from fairlead.ids import ContainerId
from fairlead.model.container import Config, Container, ContainerSpec, HostConfig, MountPoint
from fairlead.model.requests import ExecSpec
from fairlead.runtime.bundle import (
    FILTER_ANNOTATION,
    MASKED_PATHS,
    READONLY_PATHS,
    BundleSpec,
    Confinement,
    MountFacts,
    Namespaces,
    environment,
    render,
    render_config,
    render_exec,
    render_exec_process,
)
from fairlead.runtime.capabilities import DEFAULT
from fairlead.runtime.devices import DeviceNode
from fairlead.runtime.mounts import check_propagation, tmpfs_options
from fairlead.runtime.resources import DeviceNumber
from fairlead.runtime.users import Identity

ID = ContainerId("c" * 64)


def container(config: dict[str, Any] | None = None, host: dict[str, Any] | None = None, **fields: Any) -> Container:
    spec = ContainerSpec(config=Config(**{"hostname": "h", **(config or {})}), host=HostConfig(**(host or {})))
    return Container(**{"id": ID, "name": "n", "created": 0, "image": "i", "path": "/bin/sh", "spec": spec, **fields})


def bundle(config: dict[str, Any] | None = None, host: dict[str, Any] | None = None, **more: Any) -> BundleSpec:
    fields = {name: more.pop(name) for name in tuple(more) if name not in BundleSpec.__dataclass_fields__}
    mounts = more.pop("mounts", MountFacts())
    return BundleSpec(
        container=container(config, host, **fields), rootfs="/r", cgroup="/fairlead/c", mounts=mounts, **more
    )


def mounts_of(spec: BundleSpec) -> dict[str, dict[str, Any]]:
    return {mount["destination"]: mount for mount in render_config(spec)["mounts"]}


def test_a_plain_container() -> None:
    config = json.loads(render(bundle(args=("-c", "true"))))
    assert config["ociVersion"] == "1.0.2"
    assert config["root"] == {"path": "/r", "readonly": False}
    assert config["hostname"] == "h"
    process = config["process"]
    assert process["args"] == ["/bin/sh", "-c", "true"]
    assert process["cwd"] == "/"
    assert process["terminal"] is False
    assert "consoleSize" not in process
    assert process["user"] == {"uid": 0, "gid": 0, "additionalGids": []}
    assert process["capabilities"]["bounding"] == process["capabilities"]["effective"] == list(DEFAULT)
    assert "inheritable" not in process["capabilities"]
    linux = config["linux"]
    assert linux["cgroupsPath"] == "/fairlead/c"
    assert [namespace["type"] for namespace in linux["namespaces"]] == [
        "mount",
        "network",
        "pid",
        "ipc",
        "uts",
        "cgroup",
    ]
    assert linux["maskedPaths"] == list(MASKED_PATHS)
    assert linux["readonlyPaths"] == list(READONLY_PATHS)
    assert linux["sysctl"]["net.ipv4.ping_group_range"] == "0 2147483647"
    assert "seccomp" not in linux
    assert "annotations" not in config
    order = ["/proc", "/dev", "/dev/pts", "/sys", "/sys/fs/cgroup", "/dev/mqueue", "/dev/shm"]
    assert [mount["destination"] for mount in config["mounts"]] == order


def test_namespaces_of_others_and_of_the_host() -> None:
    config = render_config(bundle(namespaces=Namespaces(network="/run/n", pid=None, ipc="/proc/5/ns/ipc", uts=None)))
    rendered = {namespace["type"]: namespace.get("path") for namespace in config["linux"]["namespaces"]}
    assert rendered == {"mount": None, "network": "/run/n", "ipc": "/proc/5/ns/ipc", "cgroup": None}
    assert "hostname" not in config
    alone = render_config(bundle({"domainname": "d"}, namespaces=Namespaces(network=None)))
    assert alone["linux"]["sysctl"] == {"kernel.domainname": "d"}


def test_environment_is_put_over_docker_s() -> None:
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert environment(bundle()) == [path, "HOSTNAME=h", "HOME=/"]
    spec = bundle({"tty": True, "env": ("A=1", "HOSTNAME=x", "TERM", "HOME=/me", "A=2=3")}, environment=("L=1",))
    assert environment(spec) == [path, "HOSTNAME=x", "L=1", "A=2=3", "HOME=/me"]


def test_a_terminal_has_its_size() -> None:
    process = render_config(bundle({"tty": True}, {"console_size": (3, 4)}))["process"]
    assert process["terminal"] is True
    assert process["consoleSize"] == {"height": 3, "width": 4}
    assert "TERM=xterm" in process["env"]


def test_init_runs_the_command_where_it_can_be_process_one() -> None:
    spec = bundle(init="/usr/bin/tini", args=("x",))
    assert render_config(spec)["process"]["args"] == ["/sbin/docker-init", "--", "/bin/sh", "x"]
    assert mounts_of(spec)["/sbin/docker-init"]["source"] == "/usr/bin/tini"
    assert "ro" in mounts_of(spec)["/sbin/docker-init"]["options"]
    shared = bundle(init="/usr/bin/tini", namespaces=Namespaces(pid=None))
    assert render_config(shared)["process"]["args"] == ["/bin/sh"]
    assert "/sbin/docker-init" not in mounts_of(shared)


def test_privileged() -> None:
    config = render_config(bundle({}, {"privileged": True}, confinement=Confinement(last_capability=3)))
    assert len(config["process"]["capabilities"]["effective"]) == 4
    assert config["linux"]["maskedPaths"] == config["linux"]["readonlyPaths"] == []
    assert config["linux"]["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    options = {mount["destination"]: mount["options"] for mount in config["mounts"]}
    assert "rw" in options["/sys"]
    assert "rw" in options["/sys/fs/cgroup"]


def test_another_user_has_only_the_bound() -> None:
    process = render_config(bundle(identity=Identity(uid=5, gid=6, groups=(6, 7))))["process"]
    assert process["user"] == {"uid": 5, "gid": 6, "additionalGids": [6, 7]}
    assert process["capabilities"] == {"bounding": list(DEFAULT)}


def test_paths_may_be_unmasked_by_hand() -> None:
    linux = render_config(bundle({}, {"masked_paths": (), "readonly_paths": ("/proc/x",)}))["linux"]
    assert linux["maskedPaths"] == []
    assert linux["readonlyPaths"] == ["/proc/x"]
    assert "/sys/mine" in render_config(bundle(extra_masked=("/sys/mine",)))["linux"]["maskedPaths"]


@pytest.mark.parametrize(("runtime", "annotated"), [("crun", True), ("/usr/bin/crun", True), ("runc", False)])
def test_only_crun_takes_a_compiled_filter(runtime: str, annotated: bool) -> None:
    held = Confinement(seccomp={"defaultAction": "x"}, seccomp_filter="AAAA", apparmor="docker-default")
    config = render_config(bundle({}, {"annotations": {"a": "b"}}, confinement=held, runtime=runtime))
    assert ("seccomp" in config["linux"]) != annotated
    assert config["annotations"] == ({"a": "b", FILTER_ANNOTATION: "AAAA"} if annotated else {"a": "b"})
    assert config["process"]["apparmorProfile"] == "docker-default"


def test_security_options() -> None:
    process = render_config(bundle({}, {"security_opt": ("no-new-privileges",), "oom_score_adj": 7}))["process"]
    assert process["noNewPrivileges"] is True
    assert process["oomScoreAdj"] == 7


def test_devices_are_made_and_allowed() -> None:
    node = DeviceNode(path="/dev/x", kind="b", number=DeviceNumber(7, 8), permissions="r")
    linux = render_config(bundle({}, {"device_cgroup_rules": ("c 9:9 w",)}, devices=(node,)))["linux"]
    assert linux["devices"] == [
        {"path": "/dev/x", "type": "b", "major": 7, "minor": 8, "fileMode": 0o666, "uid": 0, "gid": 0}
    ]
    assert linux["resources"]["devices"][-2:] == [
        {"allow": True, "type": "b", "access": "r", "major": 7, "minor": 8},
        {"allow": True, "type": "c", "access": "w", "major": 9, "minor": 9},
    ]


def test_files_in_etc_give_way_to_mounts_of_the_user() -> None:
    files = {"hosts_path": "/h/hosts", "resolv_conf_path": "/h/resolv", "hostname_path": "/h/name"}
    asked = (MountPoint(type="bind", source="/mine", target="/etc/hosts"),)
    mounts = mounts_of(_with(asked, files))
    assert mounts["/etc/hosts"]["source"] == "/mine"
    assert mounts["/etc/resolv.conf"]["options"] == ["rbind", "rw", "rprivate"]
    sealed = mounts_of(_with(asked, files, host={"readonly_rootfs": True}))
    assert "ro" in sealed["/etc/hostname"]["options"]
    assert "rw" in sealed["/etc/hosts"]["options"]


def _with(mounts: tuple[MountPoint, ...], fields: dict[str, str] | None = None, **more: Any) -> BundleSpec:
    made = container(more.get("config"), more.get("host"), mounts=mounts, **(fields or {}))
    return BundleSpec(container=made, rootfs="/r", cgroup="/c", mounts=more.get("facts", MountFacts()))


def test_mounts_are_made_outer_before_inner() -> None:
    asked = tuple(
        MountPoint(type="volume", source=f"/v{number}", target=target)
        for number, target in enumerate(("/a/b/c", "/a", "/a/b", "/z"))
    )
    own = [m["destination"] for m in render_config(_with(asked))["mounts"] if m["type"] == "bind"]
    assert own == ["/a", "/z", "/a/b", "/a/b/c"]


def test_a_mount_of_the_user_replaces_a_standard_one() -> None:
    mounts = mounts_of(_with((MountPoint(type="bind", source="/dev/shm", target="/dev/shm"),)))
    assert mounts["/dev/shm"]["type"] == "bind"


def test_kinds_of_mounts() -> None:
    asked = (
        MountPoint(type="bind", source="/s", target="/b", rw=False, propagation="rslave", non_recursive=True),
        MountPoint(type="tmpfs", target="/t", options=("size=1m", "mode=700"), rw=False),
    )
    spec = _with(asked, host={"tmpfs": {"/t": "ignored", "/u": "exec,size=2m"}})
    mounts = mounts_of(spec)
    assert mounts["/b"]["options"] == ["bind", "ro", "slave"]
    assert mounts["/t"]["options"] == ["noexec", "nosuid", "nodev", "size=1m", "mode=700", "ro", "rprivate"]
    assert mounts["/u"]["options"] == ["nosuid", "nodev", "exec", "size=2m", "rprivate"]
    assert render_config(spec)["linux"]["rootfsPropagation"] == "slave"


def test_a_read_only_root_seals_the_standard_mounts_but_not_what_must_be_written() -> None:
    mounts = mounts_of(bundle({}, {"readonly_rootfs": True, "privileged": True}))
    assert "ro" in mounts["/sys"]["options"]
    assert "ro" not in mounts["/dev/shm"]["options"]
    assert "ro" not in mounts["/proc"]["options"]


def test_shared_memory() -> None:
    assert "size=5" in mounts_of(bundle({}, {"shm_size": 5}))["/dev/shm"]["options"]
    assert "size=9" in mounts_of(bundle(mounts=MountFacts(default_shm_size=9)))["/dev/shm"]["options"]
    assert mounts_of(bundle(mounts=MountFacts(shm="/theirs")))["/dev/shm"]["source"] == "/theirs"
    assert "/dev/shm" not in mounts_of(bundle(mounts=MountFacts(no_shm=True)))


def test_the_last_word_on_a_tmpfs_option_counts() -> None:
    assert tmpfs_options(["dev", "nodev", "size=1", "size=2"]) == ["noexec", "nosuid", "nodev", "size=2"]


def test_words_for_propagation() -> None:
    assert check_propagation("rshared")
    assert not check_propagation("wide")


def test_exec_takes_over_what_the_container_has() -> None:
    spec = bundle({"tty": True, "env": ("A=1",), "working_dir": "/w"}, identity=Identity(home="/root"))
    identity = Identity(uid=3, gid=4, home="/three")
    plain = json.loads(render_exec(ExecSpec(cmd=("a", "b")), bundle=spec, identity=identity))
    assert plain["args"] == ["a", "b"]
    assert plain["cwd"] == "/w"
    assert plain["terminal"] is False
    assert not [variable for variable in plain["env"] if variable.startswith("TERM=")]
    assert plain["env"][-1] == "HOME=/three"
    assert plain["capabilities"] == {"bounding": list(DEFAULT)}
    asked = ExecSpec(cmd=("a",), tty=True, env=("A=2",), working_dir="/x", console_size=(5, 6), privileged=True)
    held = Confinement(apparmor="docker-default")
    process = render_exec_process(asked, bundle=bundle(confinement=held), identity=Identity(home="/root"))
    assert "TERM=xterm" in process["env"]
    assert "A=2" in process["env"]
    assert process["cwd"] == "/x"
    assert process["consoleSize"] == {"height": 5, "width": 6}
    assert len(process["capabilities"]["effective"]) == 41
    assert "apparmorProfile" not in process
