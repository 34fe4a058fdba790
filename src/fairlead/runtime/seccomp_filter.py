"""A seccomp profile compiled to the kernel's own filter program, once, by libseccomp.

crun compiles the profile anew for every container, which costs 14 ms of the 20 that creating one takes; handed the
finished program (annotation ``run.oci.seccomp_bpf_data``) it takes 5. Where libseccomp is missing or refuses, the
caller leaves the work to the runtime.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Mapping

from fairlead.runtime.seccomp import Profile

# seccomp.h
_KILL_PROCESS, _KILL_THREAD, _TRAP, _ERRNO, _TRACE = 0x80000000, 0x00000000, 0x00030000, 0x00050000, 0x7FF00000
_LOG, _ALLOW = 0x7FFC0000, 0x7FFF0000
_ACTIONS: Mapping[str, int] = {
    "SCMP_ACT_KILL": _KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": _KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": _KILL_PROCESS,
    "SCMP_ACT_TRAP": _TRAP,
    "SCMP_ACT_ERRNO": _ERRNO,
    "SCMP_ACT_TRACE": _TRACE,
    "SCMP_ACT_LOG": _LOG,
    "SCMP_ACT_ALLOW": _ALLOW,
}
_OPERATORS: Mapping[str, int] = {
    f"SCMP_CMP_{name}": number for number, name in enumerate(("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"), start=1)
}
_NO_SUCH_CALL = -1
# Binary tree instead of a linear list: fewer instructions per system call in the container.
_ATTRIBUTE_OPTIMIZE, _BINARY_TREE = 8, 2


class UncompilableError(Exception):
    """This profile needs the runtime itself to compile it (a notify action, an unknown name, no libseccomp)."""


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


def compile_filter(profile: Profile) -> bytes:
    """The filter program as the kernel takes it; raises UncompilableError."""
    library = _library()
    context = library.seccomp_init(_action(profile["defaultAction"], profile.get("defaultErrnoRet")))
    if not context:
        raise UncompilableError("libseccomp refused the default action")
    handle = ctypes.c_void_p(context)
    try:
        library.seccomp_attr_set(handle, _ATTRIBUTE_OPTIMIZE, _BINARY_TREE)
        _add_architectures(library, handle, profile)
        for rule in profile["syscalls"]:
            _add_rule(library, handle, rule)
        return _export(library, handle)
    finally:
        library.seccomp_release(handle)


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError as error:
        raise UncompilableError(str(error)) from error
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_attr_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
    library.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    library.seccomp_arch_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_Comparison),
    ]
    return library


def _action(name: str, number: int | None) -> int:
    action = _ACTIONS.get(name)
    if action is None:
        raise UncompilableError(f"action {name}")
    if action in (_ERRNO, _TRACE):
        return action | (errno.EPERM if number is None else number)
    return action


def _add_architectures(library: ctypes.CDLL, handle: ctypes.c_void_p, profile: Profile) -> None:
    for name in profile.get("architectures") or ():
        token = library.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode())
        code = library.seccomp_arch_add(handle, token) if token else -errno.EINVAL
        if code not in (0, -errno.EEXIST):
            raise UncompilableError(f"architecture {name}")


def _add_rule(library: ctypes.CDLL, handle: ctypes.c_void_p, rule: Mapping[str, object]) -> None:
    names, arguments = rule["names"], rule.get("args") or []
    assert isinstance(names, list)
    assert isinstance(arguments, list)
    number = rule.get("errnoRet")
    action = _action(str(rule["action"]), number if isinstance(number, int) else None)
    for name in names:
        call = library.seccomp_syscall_resolve_name(name.encode())
        # A name that this libseccomp is too old to know stays forbidden, as with the runtimes themselves.
        if call != _NO_SUCH_CALL:
            _add_call(library, handle, (action, call), arguments)


def _add_call(
    library: ctypes.CDLL, handle: ctypes.c_void_p, verdict: tuple[int, int], arguments: list[Mapping[str, object]]
) -> None:
    comparisons = [_comparison(argument) for argument in arguments]
    # Comparing one argument twice means "either": libseccomp wants a rule for each then.
    indexes = [one.argument for one in comparisons]
    groups = [comparisons] if len(set(indexes)) == len(indexes) else [[one] for one in comparisons]
    for group in groups:
        array = (_Comparison * len(group))(*group)
        code = library.seccomp_rule_add_array(handle, *verdict, len(group), array)
        # EACCES: the rule says what happens by default anyway.
        if code not in (0, -errno.EACCES, -errno.EEXIST):
            raise UncompilableError(f"rule for system call {verdict[1]}: {os.strerror(-code)}")


def _comparison(argument: Mapping[str, object]) -> _Comparison:
    operator = _OPERATORS.get(str(argument["op"]))
    if operator is None:
        raise UncompilableError(f"operator {argument['op']}")
    index, value, second = argument["index"], argument["value"], argument.get("valueTwo", 0)
    return _Comparison(index, operator, value, second)


def _export(library: ctypes.CDLL, handle: ctypes.c_void_p) -> bytes:
    file = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    with os.fdopen(file, "rb") as stream:
        code = library.seccomp_export_bpf(handle, file)
        if code:
            raise UncompilableError(f"export: {os.strerror(-code)}")
        stream.seek(0)
        return stream.read()
