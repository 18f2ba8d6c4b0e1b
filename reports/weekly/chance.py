"""What of a week's suspicions noise alone would have made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.changepoints import MIN_POINTS, worth_a_look
from reports.history.model import SeriesHistory, Standing, Word
from reports.weekly.model import Chance, Entry
from reports.weekly.window import Window

# Of 1000 quiet series in ten weeks with one run each, steps to slower (docs/history.md, "What
# it finds and what it raises"): noise of 1 %, and the worst of the noises, two modes.
FALSE_ALARMS_LOW, FALSE_ALARMS_HIGH = 5 / 10_000, 44 / 10_000
# Runs but the newest that a step of the window may be dated by.
_LEAST_DATES = 3


def chance_of(series: Iterable[SeriesHistory], window: Window, worse: Sequence[Entry]) -> Chance:
    """Of the real series of a project.

    Args:
        worse: what is told this week for the worse.
    """
    runs = [
        (one, count)
        for one in series
        if len(one.judged) >= MIN_POINTS
        and (count := sum(window.holds(p.started_utc) for p in one.judged))
    ]
    looks = sum(count for _, count in runs)
    suspected = {
        e.finding.case_id: e.finding.run_id
        for e in worse
        if (e.finding.word, e.finding.standing) == (Word.SLOWER, Standing.SUSPECTED)
    }
    dates = max((_LEAST_DATES, *(count for _, count in runs)))
    p_values = [_p_value(one, suspected.get(one.case_id)) for one, _ in runs]
    stands_out = worth_a_look(p_values, dates=dates)
    return Chance(
        series=len(runs),
        looks=looks,
        low=looks * FALSE_ALARMS_LOW,
        high=looks * FALSE_ALARMS_HIGH,
        suspected=len(suspected),
        outstanding=frozenset(
            one.case_id for (one, _), stands in zip(runs, stands_out, strict=True) if stands
        ),
    )


def _p_value(series: SeriesHistory, run_id: str | None) -> float | None:
    """Of the step that is told; None where none is, or one run alone."""
    told = (step.p_value for step in series.steps if step.first_bad_run_id == run_id)
    return next(told, None)
