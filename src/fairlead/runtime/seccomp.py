"""Which system calls a container may make: Docker's default profile as data, and the choice for one container.

The profile allows what it names and answers EPERM to the rest. Some calls depend on a capability, an architecture or
the kernel's age; ``profile`` settles those for one container, so that what comes out is plain OCI ``linux.seccomp``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from fairlead.errors import InvalidArgument
from fairlead.runtime.security import BUILTIN, UNCONFINED

Rule = dict[str, Any]
Profile = dict[str, Any]

_ALWAYS = """
accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 clock_adjtime
clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64
close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old
epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat
faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat
fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs
fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat
getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer
getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit
get_robust_list getrusage getsid getsockname getsockopt get_thread_area gettid gettimeofday getuid getuid32 getxattr
getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy io_getevents
io_pgetevents io_pgetevents_time64 ioprio_get ioprio_set io_setup io_submit ipc kill landlock_add_rule
landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listxattr listxattrat
llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier memfd_create
memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify
mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget
msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat openat2
pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64
preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read readahead readlink
readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename
renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam
sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64
sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop
semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 setfsuid setfsuid32
setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid
setresuid32 setreuid setreuid32 setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address setuid
setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn
socketcall socketpair splice stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range syncfs sysinfo
tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64
timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64
ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid
waitpid write writev
"""

# Allowed from Linux 4.8 on, where seccomp is checked again after a tracer changed the call.
_SINCE_4_8 = "process_vm_readv process_vm_writev ptrace"

_BY_ARCHITECTURE: Mapping[str, str] = {
    "amd64": "arch_prctl modify_ldt",
    "386": "modify_ldt",
    "arm64": "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
    "arm": "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
    "ppc64le": "sync_file_range2 swapcontext",
    "s390x": "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr",
    "riscv64": "riscv_flush_icache",
}

_BY_CAPABILITY: Mapping[str, str] = {
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_SYS_ADMIN": (
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick listmount lookup_dcookie lsm_get_self_attr "
        "lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl "
        "quotactl_fd setdomainname sethostname setns statmount syslog umount umount2 unshare"
    ),
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module init_module finit_module",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
    "CAP_SYS_RAWIO": "iopl ioperm",
    "CAP_SYS_TIME": "settimeofday stime clock_settime clock_settime64",
    "CAP_SYS_TTY_CONFIG": "vhangup",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYSLOG": "syslog",
    "CAP_BPF": "bpf",
    "CAP_PERFMON": "perf_event_open",
}

# Every CLONE_NEW* flag: without CAP_SYS_ADMIN a container may clone, but no new namespaces.
_CLONE_NAMESPACES = 0x7E020000
_AF_VSOCK = 40
_ENOSYS = 38
# PER_LINUX, PER_LINUX32, UNAME26, both, and "only ask".
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)

_ARCHITECTURES: Mapping[str, tuple[str, ...]] = {
    "amd64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "386": ("SCMP_ARCH_X86",),
    "arm64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
    "arm": ("SCMP_ARCH_ARM",),
    "ppc64le": ("SCMP_ARCH_PPC64LE",),
    "s390x": ("SCMP_ARCH_S390X", "SCMP_ARCH_S390"),
    "riscv64": ("SCMP_ARCH_RISCV64",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What a profile's conditions ask about: Docker's name of the architecture, and the kernel's version."""

    arch: str = "amd64"
    kernel: tuple[int, int] = (5, 10)


def default_profile(capabilities: Iterable[str], platform: Platform) -> Profile:
    """Docker's default profile for a container with these capabilities."""
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": list(_ARCHITECTURES.get(platform.arch, ())),
        "syscalls": list(_rules(frozenset(capabilities), platform)),
    }


def _rules(capabilities: frozenset[str], platform: Platform) -> Iterator[Rule]:
    yield _allow(_ALWAYS)
    if platform.kernel >= (4, 8):
        yield _allow(_SINCE_4_8)
    yield _allow("socket", _argument(0, _AF_VSOCK, "SCMP_CMP_NE"))
    for persona in _PERSONALITIES:
        yield _allow("personality", _argument(0, persona, "SCMP_CMP_EQ"))
    if platform.arch in _BY_ARCHITECTURE:
        yield _allow(_BY_ARCHITECTURE[platform.arch])
    for capability, names in _BY_CAPABILITY.items():
        if capability in capabilities:
            yield _allow(names)
    if "CAP_SYS_ADMIN" not in capabilities:
        yield from _clone_without_namespaces(platform)


def _clone_without_namespaces(platform: Platform) -> Iterator[Rule]:
    # s390 passes the flags of clone(2) as the second argument.
    index = 1 if platform.arch == "s390x" else 0
    yield _allow("clone", {**_argument(index, _CLONE_NAMESPACES, "SCMP_CMP_MASKED_EQ"), "valueTwo": 0})
    # clone3 has its flags in memory, where seccomp cannot look: ENOSYS makes libc fall back to clone.
    yield {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS}


def _allow(names: str, *arguments: Rule) -> Rule:
    rule: Rule = {"names": names.split(), "action": "SCMP_ACT_ALLOW"}
    if arguments:
        rule["args"] = list(arguments)
    return rule


def _argument(index: int, value: int, operator: str) -> Rule:
    return {"index": index, "value": value, "op": operator}


def choose(
    wanted: str, *, privileged: bool, capabilities: Sequence[str], platform: Platform, daemon_profile: str = ""
) -> Profile | None:
    """The profile for a container, None for unconfined.

    ``wanted`` is the container's seccomp option, ``daemon_profile`` what the daemon was told to use by default (JSON,
    ``unconfined``, ``builtin`` or ""). A privileged container is unconfined unless it asks for a profile itself.
    """
    chosen = wanted or (UNCONFINED if privileged else daemon_profile) or BUILTIN
    match chosen:
        case "unconfined":
            return None
        case "builtin":
            return default_profile(capabilities, platform)
        case _:
            return load_profile(chosen, capabilities, platform)


def load_profile(text: str, capabilities: Iterable[str], platform: Platform) -> Profile | None:
    """Docker's profile JSON (archMap, includes, excludes) settled for one container; raises InvalidArgument."""
    try:
        parsed = msgspec.json.decode(text, type=_File)
    except msgspec.MsgspecError as error:
        raise InvalidArgument(f"Decoding seccomp profile failed: {error}") from None
    if parsed.architectures and parsed.arch_map:
        raise InvalidArgument("both 'architectures' and 'archMap' are specified in the seccomp profile, use either")
    if not parsed.default_action:
        return None
    has = frozenset(capabilities)
    rules = [rule for entry in parsed.syscalls or () for rule in _settle(entry, has, platform)]
    profile: Profile = {
        "defaultAction": parsed.default_action,
        "architectures": _architectures(parsed, platform),
        "syscalls": rules,
    }
    if parsed.default_errno is not None:
        profile["defaultErrnoRet"] = parsed.default_errno
    if parsed.flags:
        profile["flags"] = list(parsed.flags)
    return profile


class _Argument(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    index: int
    value: int
    op: str
    value_two: int = 0


class _Condition(msgspec.Struct, frozen=True, rename="camel"):
    caps: tuple[str, ...] | None = None
    arches: tuple[str, ...] | None = None
    min_kernel: str | None = None


class _Entry(msgspec.Struct, frozen=True, rename="camel"):
    action: str
    name: str = ""
    names: tuple[str, ...] | None = None
    args: tuple[_Argument, ...] | None = None
    errno_ret: int | None = None
    includes: _Condition | None = None
    excludes: _Condition | None = None


class _ArchMap(msgspec.Struct, frozen=True, rename="camel"):
    architecture: str
    sub_architectures: tuple[str, ...] | None = None


class _File(msgspec.Struct, frozen=True, rename="camel"):
    default_action: str = ""
    default_errno: int | None = msgspec.field(default=None, name="defaultErrnoRet")
    architectures: tuple[str, ...] | None = None
    arch_map: tuple[_ArchMap, ...] | None = None
    flags: tuple[str, ...] | None = None
    syscalls: tuple[_Entry, ...] | None = None


def _architectures(parsed: _File, platform: Platform) -> list[str]:
    if parsed.architectures is not None:
        return list(parsed.architectures)
    native = _ARCHITECTURES.get(platform.arch, ())[:1]
    for entry in parsed.arch_map or ():
        if (entry.architecture,) == native:
            return [entry.architecture, *(entry.sub_architectures or ())]
    return []


def _settle(entry: _Entry, capabilities: frozenset[str], platform: Platform) -> Iterator[Rule]:
    included = entry.includes is None or _holds(entry.includes, capabilities, platform)
    excluded = entry.excludes is not None and _touches(entry.excludes, capabilities, platform)
    if not included or excluded:
        return
    names = entry.names if entry.names is not None else (entry.name,)
    rule: Rule = {"names": list(names), "action": entry.action}
    if entry.args:
        rule["args"] = [msgspec.to_builtins(argument) for argument in entry.args]
    if entry.errno_ret is not None:
        rule["errnoRet"] = entry.errno_ret
    yield rule


def _holds(condition: _Condition, capabilities: frozenset[str], platform: Platform) -> bool:
    """``includes``: every part that is given must be met."""
    return (
        (not condition.arches or platform.arch in _arch_names(condition.arches))
        and (not condition.caps or capabilities.issuperset(condition.caps))
        and (not condition.min_kernel or platform.kernel >= _version(condition.min_kernel))
    )


def _touches(condition: _Condition, capabilities: frozenset[str], platform: Platform) -> bool:
    """``excludes``: any part that is met suffices."""
    return bool(
        (condition.arches and platform.arch in _arch_names(condition.arches))
        or (condition.caps and not capabilities.isdisjoint(condition.caps))
        or (condition.min_kernel and platform.kernel >= _version(condition.min_kernel))
    )


def _arch_names(arches: Iterable[str]) -> frozenset[str]:
    # Profiles say x86 where Docker's own name for the architecture is 386.
    return frozenset("386" if arch == "x86" else arch for arch in arches)


def _version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    if not (major.isdigit() and minor.isdigit()):
        raise InvalidArgument(f'invalid kernel version: "{text}" in the seccomp profile')
    return int(major), int(minor)


__all__ = ["BUILTIN", "UNCONFINED", "Platform", "Profile", "choose", "default_profile", "load_profile"]
