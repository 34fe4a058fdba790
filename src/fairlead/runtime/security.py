"""--security-opt, parsed once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from fairlead.errors import InvalidArgument

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})

UNCONFINED = "unconfined"
BUILTIN = "builtin"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityOptions:
    """``seccomp`` is "" (the daemon's default), ``unconfined``, ``builtin`` or a profile's JSON; ``apparmor`` a name.

    ``labels`` (SELinux) are kept and have no effect: no kernel we run on enforces them.
    """

    seccomp: str = ""
    apparmor: str = ""
    no_new_privileges: bool = False
    writable_cgroups: bool = False
    labels: tuple[str, ...] = ()


def parse(options: Iterable[str]) -> SecurityOptions:
    """Docker's grammar: ``key=value``, the old ``key:value``, or the bare ``no-new-privileges``."""
    parsed = SecurityOptions()
    for option in options:
        parsed = _with(parsed, option)
    return parsed


def _with(parsed: SecurityOptions, option: str) -> SecurityOptions:
    if option == "no-new-privileges":
        return replace(parsed, no_new_privileges=True)
    separator = "=" if "=" in option else ":"
    key, found, value = option.partition(separator)
    if not found:
        raise InvalidArgument(f'invalid --security-opt 1: "{option}"')
    match key:
        case "seccomp":
            return replace(parsed, seccomp=value)
        case "apparmor":
            return replace(parsed, apparmor=value)
        case "label":
            return replace(parsed, labels=(*parsed.labels, value))
        case "no-new-privileges":
            return replace(parsed, no_new_privileges=_boolean(option, value))
        case "writable-cgroups":
            return replace(parsed, writable_cgroups=_boolean(option, value))
        case _:
            raise InvalidArgument(f'invalid --security-opt 2: "{option}"')


def _boolean(option: str, value: str) -> bool:
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise InvalidArgument(f'invalid --security-opt 2: "{option}"')
