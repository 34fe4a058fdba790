from __future__ import annotations

import pytest

from fairlead.errors import InvalidArgument
from fairlead.runtime.security import SecurityOptions, parse


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), SecurityOptions()),
        (("seccomp=unconfined", "apparmor=mine"), SecurityOptions(seccomp="unconfined", apparmor="mine")),
        (("seccomp:unconfined",), SecurityOptions(seccomp="unconfined")),
        (('seccomp={"a": "b=c"}',), SecurityOptions(seccomp='{"a": "b=c"}')),
        (("no-new-privileges",), SecurityOptions(no_new_privileges=True)),
        (("no-new-privileges:true", "no-new-privileges=false"), SecurityOptions()),
        (("label=disable", "label=type:x"), SecurityOptions(labels=("disable", "type:x"))),
        (("writable-cgroups=true",), SecurityOptions(writable_cgroups=True)),
    ],
)
def test_options(options: tuple[str, ...], expected: SecurityOptions) -> None:
    assert parse(options) == expected


@pytest.mark.parametrize("option", ["nonsense", "colour=blue", "no-new-privileges=maybe"])
def test_what_is_not_known_is_refused(option: str) -> None:
    with pytest.raises(InvalidArgument, match=f'invalid --security-opt [12]: "{option}"'):
        parse([option])
