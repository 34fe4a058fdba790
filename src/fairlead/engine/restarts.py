"""When a container that ended is started again, and after how long."""

from __future__ import annotations

from fairlead.model.container import Container

_FIRST = 0.1  # seconds; dockerd's restartmanager doubles from here
_MOST = 60.0
_SETTLED = 10.0  # having run this long, a container begins again at the first delay


def wants_restart(container: Container, code: int) -> bool:
    """Whether the policy asks for another start after this exit."""
    policy = container.host.restart_policy
    if policy is None or container.stopped_by_user:
        return False
    match policy.name:
        case "always" | "unless-stopped":
            return True
        case "on-failure":
            most = policy.maximum_retry_count
            return code != 0 and (most == 0 or container.restart_count < most)
        case _:
            return False


def wants_start_with_daemon(container: Container) -> bool:
    """After a reboot, or a daemon start that found the process gone: ``always`` comes back even if stopped by hand."""
    policy = container.host.restart_policy
    is_always = policy is not None and policy.name == "always"
    return is_always or wants_restart(container, container.state.exit_code)


class Backoff:
    """Delays of one container's restarts in seconds: doubled each time, reset once it has run for a while."""

    def __init__(self) -> None:
        self._next = _FIRST

    def delay(self, ran: float) -> float:
        if ran >= _SETTLED:
            self._next = _FIRST
        now, self._next = self._next, min(self._next * 2, _MOST)
        return now
