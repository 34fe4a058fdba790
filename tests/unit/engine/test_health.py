"""engine.health: what a probe's answer makes of the state."""

from fairlead.engine.health import judged
from fairlead.model.container import Health, HealthLog, HealthState


def probe(code: int, at: int = 100) -> HealthLog:
    return HealthLog(start=at, end=at + 1, exit_code=code, output="")


def test_success_is_healthy_at_once() -> None:
    assert judged(HealthState(failing=2), Health(), probe(0), started=0).status == "healthy"


def test_three_failures_make_it_unhealthy() -> None:
    state = HealthState(status="healthy")
    for expected in ("healthy", "healthy", "unhealthy"):
        state = judged(state, Health(), probe(1), started=0)
        assert state.status == expected
    assert state.failing == 3


def test_failures_in_the_start_period_do_not_count() -> None:
    state = judged(HealthState(), Health(start_period=1000, retries=1), probe(1, at=500), started=0)
    assert (state.status, state.failing) == ("starting", 0)
    assert judged(state, Health(start_period=1000, retries=1), probe(1, at=2000), started=0).status == "unhealthy"


def test_five_probes_are_kept() -> None:
    state = HealthState()
    for at in range(9):
        state = judged(state, Health(), probe(0, at=at), started=0)
    assert [entry.start for entry in state.log] == [4, 5, 6, 7, 8]
