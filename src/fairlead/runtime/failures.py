"""What crun and runc say when they fail, in Docker's words and with the exit code its client makes of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fairlead.errors import RuntimeFailure

_NOT_FOUND, _NOT_EXECUTABLE, _OTHER = 127, 126, 125

# crun begins lines with a time stamp, runc with time="…" level=error msg="…".
_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+Z: ")
_LOGRUS = re.compile(r'level=\w+ msg="((?:[^"\\]|\\.)*)"')


def start_failure(message: str, runtime: str) -> RuntimeFailure:
    """The failure of ``docker start``."""
    reason = explain(message)
    text = (
        "failed to create task for container: failed to create shim task: OCI runtime create failed: "
        f"{runtime} create failed: unable to start container process: {reason}"
    )
    return RuntimeFailure(text, exit_code_of(reason))


def exec_failure(message: str) -> RuntimeFailure:
    """The failure of ``docker exec``."""
    reason = explain(message)
    text = f"OCI runtime exec failed: exec failed: unable to start container process: {reason}"
    return RuntimeFailure(text, exit_code_of(reason))


def exit_code_of(reason: str) -> int:
    """As the official client decides it: 127 nothing to run, 126 not to be run, 125 anything else."""
    lower = reason.lower()
    if "executable file not found" in lower or ("no such file or directory" in lower and lower.startswith("exec: ")):
        return _NOT_FOUND
    if lower.startswith("exec: ") and ("permission denied" in lower or "is a directory" in lower):
        return _NOT_EXECUTABLE
    return _OTHER


def explain(message: str) -> str:
    """The runtime's message without its decoration; a failing executable in Go's words."""
    bare = "; ".join(_lines(message)) or "unknown error"
    for pattern, wording in _WORDINGS:
        found = pattern.search(bare)
        if found is not None:
            return wording.format(*found.groups())
    return bare


_WORDINGS = (
    (re.compile(r"executable file `([^`]*)` not found in \$PATH"), 'exec: "{0}": executable file not found in $PATH'),
    (re.compile(r"executable file `([^`]*)` not found"), 'exec: "{0}": stat {0}: no such file or directory'),
    (re.compile(r"open executable: (?i:no such file or directory)"), 'exec: "": executable file not found in $PATH'),
)


def _lines(message: str) -> Iterator[str]:
    for line in message.splitlines():
        logged = _LOGRUS.search(line)
        text = logged.group(1).replace('\\"', '"') if logged else _STAMP.sub("", line)
        if text.strip():
            yield text.strip()
