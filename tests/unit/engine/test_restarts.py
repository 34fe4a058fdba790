"""engine.restarts: policies and back-off."""

import pytest

from fairlead.engine.restarts import Backoff, wants_restart, wants_start_with_daemon
from fairlead.ids import ContainerId
from fairlead.model.container import Config, Container, ContainerSpec, HostConfig, RestartPolicy, State


def container(policy: str, *, most: int = 0, count: int = 0, stopped: bool = False, code: int = 0) -> Container:
    host = HostConfig(restart_policy=RestartPolicy(name=policy, maximum_retry_count=most))
    return Container(
        id=ContainerId("0" * 64),
        name="c",
        created=1,
        image="sha256:0",
        spec=ContainerSpec(config=Config(), host=host),
        state=State(status="exited", exit_code=code, finished=1),
        restart_count=count,
        stopped_by_user=stopped,
    )


@pytest.mark.parametrize(
    ("policy", "code", "most", "count", "expected"),
    [
        ("", 1, 0, 0, False),
        ("no", 1, 0, 0, False),
        ("always", 0, 0, 99, True),
        ("unless-stopped", 0, 0, 0, True),
        ("on-failure", 0, 0, 0, False),
        ("on-failure", 1, 0, 1000, True),
        ("on-failure", 1, 2, 1, True),
        ("on-failure", 1, 2, 2, False),
    ],
)
def test_wants_restart(policy: str, code: int, most: int, count: int, expected: bool) -> None:
    assert wants_restart(container(policy, most=most, count=count), code) is expected


def test_stopped_by_hand_is_not_restarted() -> None:
    assert not wants_restart(container("always", stopped=True), 0)


def test_with_the_daemon_always_comes_back_and_unless_stopped_does_not() -> None:
    assert wants_start_with_daemon(container("always", stopped=True))
    assert not wants_start_with_daemon(container("unless-stopped", stopped=True))
    assert wants_start_with_daemon(container("unless-stopped"))
    assert not wants_start_with_daemon(container("on-failure"))


def test_with_the_daemon_failures_get_the_tries_that_are_left() -> None:
    assert wants_start_with_daemon(container("on-failure", code=1))
    assert not wants_start_with_daemon(container("on-failure", code=1, stopped=True))
    assert not wants_start_with_daemon(container("on-failure", code=1, most=2, count=2))


def test_backoff_doubles_to_a_minute_and_resets() -> None:
    backoff = Backoff()
    delays = [backoff.delay(ran=0.0) for _ in range(12)]
    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert delays[-1] == 60.0
    assert backoff.delay(ran=10.0) == 0.1
