"""When to await the next question awake, pure: the clock is an argument.

An idle core takes 30 to 40 µs to wake up, four times what an answer takes. Somebody who asks one question after another
from another core is worth waiting for; nobody else is (docs/decisions/awake-for-the-next-question.md).
"""

from __future__ import annotations

# How long at most a core is kept awake for a question, in seconds.
SPELL = 120e-6
# A question so soon after the last answer came from our own core, or was waiting: sleeping costs nothing then.
_SOON = 20e-6
# One that came later than this, our own waking-up included, is not worth waiting for.
_LATE = 200e-6
# Nobody is awaited awake for so long after it was done in vain, unless it had paid so often before: 0.25 % of a core.
_REST = 50e-3
_WORTH = 16


class Haste:
    """Learns from how long was slept whether sleeping is too slow."""

    __slots__ = ("_alone", "_gained", "_rested", "awake")

    def __init__(self, *, cores: int) -> None:
        self.awake = False
        self._alone = cores < 2  # whoever might ask needs the core
        self._gained = 0
        self._rested = 0.0

    def slept(self, gap: float, now: float) -> None:
        """Asleep, something came ``gap`` after everything before was done."""
        self.awake = _SOON < gap < _LATE and now >= self._rested and not self._alone

    def gained(self) -> None:
        """Awaited awake, it came."""
        self._gained += 1

    def missed(self, now: float) -> None:
        """Awaited awake, nothing came."""
        self.awake = False
        if self._gained < _WORTH:
            self._rested = now + _REST
        self._gained = 0
