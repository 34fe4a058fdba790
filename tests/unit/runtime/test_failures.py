from __future__ import annotations

import pytest

from fairlead.runtime.failures import exec_failure, exit_code_of, explain, start_failure

CRUN_MISSING = "2026-11-22T15:46:16.748346Z: executable file `{}` not found in $PATH: No such file or directory"
RUNC = 'time="2026-11-22T15:46:16Z" level=error msg="runc create failed: unable to start container process: {}"'


@pytest.mark.parametrize(
    ("message", "command", "reason", "code"),
    [
        (CRUN_MISSING.format("foo"), "foo", 'exec: "foo": executable file not found in $PATH', 127),
        (CRUN_MISSING.format("/foo"), "/foo", 'exec: "/foo": stat /foo: no such file or directory', 127),
        ("open executable: Permission denied", "/x", 'exec: "/x": permission denied', 126),
        ("open executable: Operation not permitted", "/d", 'exec: "/d": is a directory: permission denied', 126),
        ("open executable: Operation not permitted", "", 'exec: "": executable file not found in $PATH', 127),
        (RUNC.format('exec: \\"a\\": permission denied'), "a", 'exec: "a": permission denied', 126),
        (RUNC.format('error during container init: exec: \\"a\\": stat a: no such file or directory'), "a",
         'exec: "a": stat a: no such file or directory', 127),
        ("cannot stat `/nope`: No such file or directory", "a", "cannot stat `/nope`: No such file or directory", 125),
        ("first\n\nsecond\n", "", "first; second", 125),
        ("", "", "unknown error", 125),
    ],
)  # fmt: skip
def test_what_runtimes_say_in_docker_s_words(message: str, command: str, reason: str, code: int) -> None:
    assert explain(message, command) == reason
    assert exit_code_of(reason) == code


def test_the_sentences_of_start_and_exec() -> None:
    started = start_failure(CRUN_MISSING.format("foo"), "crun", "foo")
    assert str(started) == (
        "failed to create task for container: failed to create shim task: OCI runtime create failed: crun create "
        'failed: unable to start container process: exec: "foo": executable file not found in $PATH'
    )
    assert started.exit_code == 127
    executed = exec_failure("open executable: Permission denied", "/x")
    assert str(executed) == (
        'OCI runtime exec failed: exec failed: unable to start container process: exec: "/x": permission denied'
    )
    assert executed.exit_code == 126
