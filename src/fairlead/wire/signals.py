"""Signals by name or number."""

from __future__ import annotations

import re
import signal

from fairlead.errors import InvalidArgument

_RT = re.compile(r"RTM(IN\+|AX-)(\d{1,2})\Z", re.ASCII)
_RTMIN, _RTMAX = 34, 64

_BY_NAME = {known.name.removeprefix("SIG"): int(known) for known in signal.Signals}


def parse_signal(text: str) -> int:
    """The number of ``KILL``, ``SIGKILL``, ``sigkill``, ``9`` or ``RTMIN+3``; raises InvalidArgument."""
    if text.isascii() and text.isdigit():
        number = int(text)
        if not 0 < number <= _RTMAX:
            raise InvalidArgument(f"invalid signal: {text}")
        return number
    name = text.upper().removeprefix("SIG")
    if (known := _BY_NAME.get(name)) is not None:
        return known
    found = _RT.match(name)
    if found is None:
        raise InvalidArgument(f"invalid signal: {text}")
    number = _RTMIN + int(found[2]) if found[1] == "IN+" else _RTMAX - int(found[2])
    if not _RTMIN <= number <= _RTMAX:
        raise InvalidArgument(f"invalid signal: {text}")
    return number
