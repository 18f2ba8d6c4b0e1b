"""One time budget shared by nested calls."""

from __future__ import annotations

import time
from collections.abc import Callable


class Deadline:
    """A point in monotonic time; whoever holds it may look, nobody may extend it.

    Args:
        seconds: how long from now, > 0.
        clock: monotonic seconds; tests pass their own.
    """

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        if seconds <= 0:
            raise ValueError(f"a deadline needs a positive number of seconds, not {seconds}")
        self.seconds = seconds
        self._clock = clock
        self._end = clock() + seconds

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - self._clock())

    def expired(self) -> bool:
        return self.remaining() == 0.0

    def at_most(self, seconds: float) -> Deadline:
        """A nested budget: this many seconds, or what is left if that is less."""
        return Deadline(max(min(seconds, self.remaining()), 1e-3), clock=self._clock)
