"""Which findings are this week's, and which were told before and still stand."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import timedelta

from bench.identity import before
from bench.records import RunRecord
from reports.history.model import Finding, SeriesHistory, Standing
from reports.weekly.window import Window

# By then two further weeks have decided where the old one cannot run any more.
_TWO_WEEKS = timedelta(days=14)


def paired_runs(runs: Iterable[RunRecord], window: Window) -> dict[str, set[str]]:
    """Model -> runs of the window that measured an old one of it beside today's."""
    found: dict[str, set[str]] = {}
    for run in runs:
        if not window.holds(run.started_utc):
            continue
        models = run.plan.get("model")
        for model in models if isinstance(models, list) else []:
            old = before(str(model.get("name", ""))) if isinstance(model, dict) else None
            if old is not None:
                found.setdefault(old[0], set()).add(run.run_id)
    return found


def is_news(
    finding: Finding, series: SeriesHistory, window: Window, paired: Collection[str]
) -> bool:
    """Whether it began in the window, or was settled in it.

    A step of last week that a paired A/B, or time, settles this week is this week's.

    Args:
        paired: runs of the window that held old and new of the model side by side.
    """
    if window.holds(finding.since_utc):
        return True
    if finding.standing in (Standing.CERTAIN, Standing.SUSPECTED):
        return False
    if any(point.run_id in paired for point in window.points(series)):
        return True
    after = (p for p in series.points if p.started_utc >= finding.since_utc + _TWO_WEEKS)
    second = next(after, None)
    return (
        finding.standing is Standing.CONFIRMED
        and second is not None
        and window.holds(second.started_utc)
    )
