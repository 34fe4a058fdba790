from __future__ import annotations

import pytest

from fairlead.errors import InvalidArgument
from fairlead.runtime.capabilities import ALL, DEFAULT, choose, normalize, read_available


def test_the_default_set_is_docker_s() -> None:
    mask = sum(1 << ALL.index(name) for name in choose())
    assert mask == 0xA80425FB
    assert len(ALL) == 41


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        (("NET_ADMIN",), (), (*DEFAULT, "CAP_NET_ADMIN")),
        (("cap_net_admin", "NET_ADMIN"), ("ALL",), ("CAP_NET_ADMIN", "CAP_NET_ADMIN")),
        ((), ("all",), ()),
        (("ALL",), ("CHOWN",), tuple(name for name in ALL if name != "CAP_CHOWN")),
        (("CHOWN",), ("CHOWN", "KILL"), (*(n for n in DEFAULT if n not in ("CAP_CHOWN", "CAP_KILL")), "CAP_CHOWN")),
    ],
)
def test_adding_and_dropping(add: tuple[str, ...], drop: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert choose(add=add, drop=drop) == expected


def test_nothing_beyond_the_kernel_and_the_engine_is_given() -> None:
    assert choose(privileged=True, last=37) == ALL[:38]
    without = ((1 << 41) - 1) & ~(1 << ALL.index("CAP_SYS_RESOURCE"))
    assert "CAP_SYS_RESOURCE" not in choose(privileged=True, available=without)
    assert "CAP_SYS_RESOURCE" not in choose(add=("SYS_RESOURCE",), available=without)
    assert "CAP_KILL" not in choose(available=0)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="FLY"):
        normalize(["FLY"])


def test_the_bounding_set_of_this_process() -> None:
    assert 0 <= read_available() < 1 << 64
