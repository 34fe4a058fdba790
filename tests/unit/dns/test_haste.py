"""When a core is kept awake for the next question."""

from __future__ import annotations

import pytest

from fairlead.dns.haste import Haste


def asked_after(gap: float, now: float = 1.0, *, cores: int = 2) -> Haste:
    haste = Haste(cores=cores)
    haste.slept(gap, now)
    return haste


def test_it_begins_asleep() -> None:
    assert not Haste(cores=2).awake


@pytest.mark.parametrize(
    ("gap", "awake"),
    [(5e-6, False), (19e-6, False), (21e-6, True), (80e-6, True), (199e-6, True), (201e-6, False), (1.0, False)],
)
def test_only_who_asks_on_from_another_core_is_awaited(gap: float, awake: bool) -> None:
    assert asked_after(gap).awake is awake


def test_nobody_is_awaited_with_one_core() -> None:
    assert not asked_after(80e-6, cores=1).awake


def test_a_late_question_ends_it() -> None:
    haste = asked_after(80e-6)
    haste.slept(0.5, 2.0)
    assert not haste.awake


def test_after_waiting_in_vain_there_is_a_rest() -> None:
    haste = asked_after(80e-6, 1.0)
    haste.missed(1.0)
    assert not haste.awake
    haste.slept(80e-6, 1.049)
    assert not haste.awake
    haste.slept(80e-6, 1.051)
    assert haste.awake


def test_but_not_where_it_had_paid_often() -> None:
    haste = asked_after(80e-6, 1.0)
    for _ in range(16):
        haste.gained()
    haste.missed(1.0)
    haste.slept(80e-6, 1.001)
    assert haste.awake
    haste.missed(1.002)  # what was gained is used up
    haste.slept(80e-6, 1.003)
    assert not haste.awake
