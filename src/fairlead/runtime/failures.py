"""What crun and runc say when they fail, in Docker's words and with the exit code its client makes of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fairlead.errors import RuntimeFailure

_NOT_FOUND, _NOT_EXECUTABLE, _OTHER = 127, 126, 125

# crun begins lines with a time stamp, runc with time="…" level=error msg="…".
_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+Z: ")
_DECORATION = re.compile(
    r"^(?:runc \w+ failed: |exec failed: |unable to start container process: |error during container init: )+"
)
_MISSING = re.compile(r"executable file `([^`]*)` not found")
_REFUSED = re.compile(r"^open executable: (.+)$")
_LOGRUS = re.compile(r'level=\w+ msg="((?:[^"\\]|\\.)*)"')


def start_failure(message: str, runtime: str, command: str = "") -> RuntimeFailure:
    """The failure of ``docker start``; ``command`` is what should have run."""
    reason = explain(message, command)
    text = (
        "failed to create task for container: failed to create shim task: OCI runtime create failed: "
        f"{runtime} create failed: unable to start container process: {reason}"
    )
    return RuntimeFailure(text, exit_code_of(reason))


def exec_failure(message: str, command: str = "") -> RuntimeFailure:
    """The failure of ``docker exec``."""
    reason = explain(message, command)
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


def explain(message: str, command: str = "") -> str:
    """The runtime's message without its decoration; a failing executable in Go's words, as runc and Docker put it."""
    bare = "; ".join(_lines(message)) or "unknown error"
    missing = _MISSING.search(bare)
    if missing is not None:
        return _not_found(missing.group(1))
    if (refused := _REFUSED.search(bare)) is not None:
        return _refused(command, refused.group(1))
    return _DECORATION.sub("", bare)


def _not_found(command: str) -> str:
    if "/" in command:
        return f'exec: "{command}": stat {command}: no such file or directory'
    return f'exec: "{command}": executable file not found in $PATH'


def _refused(command: str, reason: str) -> str:
    if not command:
        return _not_found(command)
    # crun's EPERM is for what is no regular file.
    if reason.lower() == "operation not permitted":
        return f'exec: "{command}": is a directory: permission denied'
    return f'exec: "{command}": {reason.lower()}'


def _lines(message: str) -> Iterator[str]:
    for line in message.splitlines():
        logged = _LOGRUS.search(line)
        text = logged.group(1).replace('\\"', '"') if logged else _STAMP.sub("", line)
        if text.strip():
            yield text.strip()
