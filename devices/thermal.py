"""The thermal gate: wait until a device is cool enough to measure, within a budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

# METHOD section 6: starts are alike within this, and one further outside taints a launch.
TOLERANCE_C = 3.0
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 15.0
# What is left of a budget below this is nothing: a clock need not advance by it at all.
_SHORTEST_PAUSE_S = 0.01
_BACK_OFF = 1.5


@dataclass(frozen=True, slots=True)
class GateLimit:
    """How warm a launch may start.

    Attributes:
        limit_c: what is waited for.
        taint_above_c: a launch that starts hotter than this all the same is tainted.
    """

    limit_c: float
    taint_above_c: float


@dataclass(frozen=True, slots=True)
class GateResult:
    """What waiting came to.

    Attributes:
        reached: None where nobody can tell, with `reason`; False where the budget was spent.
        waited_s: how long.
        start_c, end_c: first and last reading.
        reason: why not reached; None where it was.
        limit: what was waited for, None where there was nothing to hold against.
    """

    reached: bool | None
    waited_s: float
    start_c: float | None
    end_c: float | None
    reason: str | None
    limit: GateLimit | None

    def to_json(self) -> dict[str, Any]:
        """Field names as keys."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Cooling:
    """A moment of waiting.

    Attributes:
        left_s: at the rate of cooling so far, never beyond the budget; None while there is
            no rate. A device cools ever more slowly, so that it is rather too little.
    """

    now_c: float
    limit_c: float
    waited_s: float
    left_s: float | None


def gate_limit(start_c: float | None, first_c: float | None) -> GateLimit | None:
    """The limit for a launch of a case.

    Args:
        start_c: what the plan asks for: no launch is to start hotter.
        first_c: temperature before the case's first launch; without a plan's limit a
            launch may start within 3 degrees of it. None for the first launch.
    """
    if start_c is not None:
        return GateLimit(start_c, start_c + TOLERANCE_C)
    if first_c is not None:
        return GateLimit(first_c + TOLERANCE_C, first_c + TOLERANCE_C)
    return None


def wait_until_cool(
    read: Callable[[], float | None],
    *,
    limit: GateLimit | None,
    budget_s: float,
    sleep: Callable[[float], object],
    clock: Callable[[], float],
    tell: Callable[[Cooling], object] = lambda cooling: None,
) -> GateResult:
    """Read a temperature, ever more seldom, until it is at most the limit.

    Args:
        read: the temperature now, degrees Celsius; None is UNKNOWN and ends the waiting.
        limit: None to read once and not to wait.
        budget_s: at most this long, not counting the last reading.
        sleep, clock: seconds; clock is monotonic.
        tell: told before every pause.

    Raises: what `read` raises.
    """
    began = clock()
    start_c = now_c = read()
    pause_s = _FIRST_PAUSE_S
    while True:
        waited_s = clock() - began
        if now_c is None:
            unknown = "the device tells no temperature of its processor"
            return GateResult(None, waited_s, start_c, None, unknown, limit)
        if limit is None:
            nothing = "the case's first launch: nothing to hold it against"
            return GateResult(None, waited_s, start_c, now_c, nothing, None)
        if now_c <= limit.limit_c:
            return GateResult(True, waited_s, start_c, now_c, None, limit)
        if budget_s - waited_s < _SHORTEST_PAUSE_S:
            hot = f"{now_c:.1f} C after {waited_s:.0f} s, limit {limit.limit_c:.1f} C"
            return GateResult(False, waited_s, start_c, now_c, hot, limit)
        left_s = None
        if start_c is not None and start_c > now_c and waited_s > 0:
            rate = (start_c - now_c) / waited_s
            left_s = min((now_c - limit.limit_c) / rate, budget_s - waited_s)
        tell(Cooling(now_c, limit.limit_c, waited_s, left_s))
        sleep(min(pause_s, budget_s - waited_s))
        pause_s = min(pause_s * _BACK_OFF, _LONGEST_PAUSE_S)
        now_c = read()
