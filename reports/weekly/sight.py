"""How small a step the week could have shown: what a quiet one is worth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from reports.history.model import SeriesHistory
from reports.weekly.model import Sight
from reports.weekly.window import Window

_NINE_OF_TEN = 0.9


def sights(series: Iterable[SeriesHistory], window: Window) -> tuple[tuple[Sight, ...], Sight]:
    """Per device, by name, and of all; of the series that were measured in the window."""
    steps: dict[str, list[float | None]] = defaultdict(list)
    for one in series:
        newest = one.judged[-1] if one.judged else None
        if newest is not None and any(p.judged for p in window.points(one)):
            steps[one.case.device].append(one.smallest_step)
    each = tuple(_sight(device, steps[device]) for device in sorted(steps))
    return each, _sight("", [step for found in steps.values() for step in found])


def _sight(device: str, steps: Sequence[float | None]) -> Sight:
    known = sorted(step for step in steps if step is not None)
    return Sight(
        device=device,
        series=len(steps),
        too_short=len(steps) - len(known),
        median=_at_most(known, 0.5),
        tenth=_at_most(known, _NINE_OF_TEN),
        worst=known[-1] if known else None,
    )


def _at_most(known: Sequence[float], share: float) -> float | None:
    """The least value that at least this share of them do not exceed."""
    if not known:
        return None
    count = -(-len(known) * round(share * 10) // 10)
    return known[max(0, count - 1)]
