from __future__ import annotations

import json
import struct

import pytest

from fairlead.errors import InvalidArgument
from fairlead.runtime.capabilities import ALL, DEFAULT
from fairlead.runtime.seccomp import Platform, Profile, choose, default_profile, load_profile
from fairlead.runtime.seccomp_filter import UncompilableError, compile_filter

AMD64 = Platform(arch="amd64", kernel=(6, 1))


def allowed(profile: Profile) -> set[str]:
    return {name for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}


def test_the_default_profile() -> None:
    profile = default_profile(DEFAULT, AMD64)
    assert (profile["defaultAction"], profile["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 1)
    assert profile["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    names = allowed(profile)
    assert {"read", "openat2", "clone", "chroot", "ptrace", "arch_prctl", "socket"} <= names
    assert names.isdisjoint({"mount", "unshare", "bpf", "keyctl", "io_uring_setup", "reboot", "kexec_load", "setns"})
    assert {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38} in profile["syscalls"]
    clone = next(rule for rule in profile["syscalls"] if rule["names"] == ["clone"])
    assert clone["args"] == [{"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]


def test_capabilities_allow_more() -> None:
    profile = default_profile(["CAP_SYS_ADMIN", "CAP_SYS_TIME", "CAP_SYSLOG"], AMD64)
    assert {"mount", "unshare", "clone", "clone3", "setns", "clock_settime", "syslog"} <= allowed(profile)
    assert "chroot" not in allowed(profile)
    assert not [rule for rule in profile["syscalls"] if rule["action"] != "SCMP_ACT_ALLOW"]


def test_kernel_and_architecture_matter() -> None:
    old = default_profile(DEFAULT, Platform(arch="arm64", kernel=(4, 4)))
    assert "ptrace" not in allowed(old)
    assert "arch_prctl" not in allowed(old)
    assert "cacheflush" in allowed(old)
    s390 = default_profile(DEFAULT, Platform(arch="s390x"))
    assert next(rule for rule in s390["syscalls"] if rule["names"] == ["clone"])["args"][0]["index"] == 1
    assert default_profile(DEFAULT, Platform(arch="unheard-of"))["architectures"] == []


@pytest.mark.parametrize(
    ("wanted", "privileged", "daemon", "confined"),
    [
        ("", False, "", True),
        ("unconfined", False, "", False),
        ("", True, "", False),
        ("builtin", True, "", True),
        ("", False, "unconfined", False),
        ("builtin", False, "unconfined", True),
        ("", False, "builtin", True),
    ],
)
def test_who_is_confined(wanted: str, privileged: bool, daemon: str, confined: bool) -> None:
    chosen = choose(wanted, privileged=privileged, capabilities=DEFAULT, platform=AMD64, daemon_profile=daemon)
    assert (chosen is not None) == confined


PROFILE = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 1,
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
    "flags": ["SECCOMP_FILTER_FLAG_LOG"],
    "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
        {"name": "write", "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
        {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_BPF"]}},
        {"names": ["new"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "6.2"}},
        {"names": ["intel"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["x86", "amd64"]}},
        {"names": ["weak"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"], "arches": ["arm"]}},
        {"names": ["no"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
    ],
}


def names(profile: Profile | None) -> list[str]:
    assert profile is not None
    return [name for rule in profile["syscalls"] for name in rule["names"]]


def test_a_profile_file_is_settled_for_the_container() -> None:
    text = json.dumps(PROFILE)
    plain = load_profile(text, ["CAP_CHOWN"], AMD64)
    assert names(plain) == ["read", "write", "intel", "weak", "no"]
    assert plain is not None
    assert plain["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    assert plain["flags"] == ["SECCOMP_FILTER_FLAG_LOG"]
    assert plain["syscalls"][1]["args"] == [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]
    assert plain["syscalls"][-1]["errnoRet"] == 38
    strong = load_profile(text, ["CAP_BPF", "CAP_SYS_ADMIN"], Platform(arch="amd64", kernel=(6, 2)))
    assert names(strong) == ["read", "write", "bpf", "new", "intel", "no"]
    assert "intel" not in names(load_profile(text, [], Platform(arch="arm64")))
    assert "weak" not in names(load_profile(text, [], Platform(arch="arm")))
    assert load_profile('{"defaultAction": ""}', [], AMD64) is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"defaultAction": 3}',
        '{"defaultAction":"SCMP_ACT_ALLOW","architectures":["A"],"archMap":[{"architecture":"B"}]}',
        '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"action":"x","includes":{"minKernel":"new"}}]}',
    ],
)
def test_a_broken_profile_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="seccomp"):
        load_profile(text, [], AMD64)


def test_profiles_compile_to_filters() -> None:
    program = compile_filter(default_profile(DEFAULT, AMD64))
    assert len(program) % 8 == 0
    assert 300 < len(program) // 8 < 4096
    # The last instruction of every program returns (BPF_RET | BPF_K).
    assert struct.unpack_from("HBBI", program, len(program) - 8)[0] == 0x06
    larger = compile_filter(default_profile(ALL, AMD64))
    assert larger != program


def test_an_argument_compared_twice_means_either() -> None:
    arguments = [{"index": 0, "value": value, "op": "SCMP_CMP_EQ"} for value in (1, 2)]
    rule = {"names": ["personality", "no_such_call"], "action": "SCMP_ACT_ALLOW", "args": arguments}
    profile = {"defaultAction": "SCMP_ACT_ERRNO", "architectures": [], "syscalls": [rule]}
    assert compile_filter(profile)


@pytest.mark.parametrize(
    "change",
    [
        {"defaultAction": "SCMP_ACT_NOTIFY"},
        {"architectures": ["SCMP_ARCH_VAX"]},
        {"syscalls": [{"names": ["read"], "action": "SCMP_ACT_NOTIFY"}]},
        {"syscalls": [{"names": ["read"], "action": "SCMP_ACT_KILL", "args": [{"index": 0, "value": 1, "op": "?"}]}]},
        {
            "syscalls": [
                {"names": ["read"], "action": "SCMP_ACT_KILL", "args": [{"index": 9, "value": 1, "op": "SCMP_CMP_EQ"}]}
            ]
        },
    ],
)
def test_what_libseccomp_cannot_do_is_left_to_the_runtime(change: Profile) -> None:
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": [], "syscalls": []}
    with pytest.raises(UncompilableError):
        compile_filter({**profile, **change})
