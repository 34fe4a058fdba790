"""Exec: requests -> model, model -> inspect."""

from __future__ import annotations

from typing import Any

import msgspec

from fairlead.errors import InvalidArgument
from fairlead.model.container import Strings
from fairlead.model.requests import ExecSpec, ExecStartSpec
from fairlead.model.views import Exec
from fairlead.wire import body

_CONSOLE_SIZE = (1, 42)


class ExecCreateBody(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    user: str = ""
    privileged: bool = False
    tty: bool = False
    console_size: tuple[int, int] | None = None
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    detach_keys: str = ""
    env: Strings = ()
    working_dir: str = ""
    cmd: Strings = ()


class ExecStartBody(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    detach: bool = False
    tty: bool = False
    console_size: tuple[int, int] | None = None


def parse_create(text: bytes) -> ExecSpec:
    """POST /containers/{id}/exec."""
    given = body.parse(text, ExecCreateBody)
    if not given.cmd or not given.cmd[0]:
        raise InvalidArgument("No exec command specified")
    for word in (*given.cmd, *given.env, given.working_dir, given.user):
        if "\x00" in word:
            raise InvalidArgument("invalid command or environment: it contains a NUL character")
    return ExecSpec(
        cmd=given.cmd,
        user=given.user,
        privileged=given.privileged,
        tty=given.tty,
        stdin=given.attach_stdin,
        stdout=given.attach_stdout,
        stderr=given.attach_stderr,
        detach_keys=given.detach_keys,
        env=given.env,
        working_dir=given.working_dir,
        console_size=_size(given.console_size),
    )


def parse_start(text: bytes, version: tuple[int, int]) -> tuple[bool, ExecStartSpec]:
    """POST /exec/{id}/start: whether detached, and how it is attached otherwise; an empty body attaches."""
    given = body.parse(text or b"{}", ExecStartBody)
    size = _size(given.console_size) if version >= _CONSOLE_SIZE else (0, 0)
    if size != (0, 0) and not given.tty:
        raise InvalidArgument("console size is only supported when TTY is enabled")
    return given.detach, ExecStartSpec(tty=given.tty, console_size=size)


def _size(given: tuple[int, int] | None) -> tuple[int, int]:
    height, width = given or (0, 0)
    if height < 0 or width < 0:
        raise InvalidArgument("invalid console size: it must be two positive numbers")
    return height, width


def exec_inspect(item: Exec) -> dict[str, Any]:
    """GET /exec/{id}/json."""
    spec = item.spec
    return {
        "ID": item.id,
        "Running": item.running,
        "ExitCode": item.exit_code,
        "ProcessConfig": {
            "tty": spec.tty,
            "entrypoint": spec.cmd[0] if spec.cmd else "",
            "arguments": list(spec.cmd[1:]),
            "privileged": spec.privileged,
            "user": spec.user,
        },
        "OpenStdin": spec.stdin,
        "OpenStderr": spec.stderr,
        "OpenStdout": spec.stdout,
        "CanRemove": item.started and not item.running,
        "ContainerID": item.container,
        "DetachKeys": spec.detach_keys,
        "Pid": item.pid,
    }
