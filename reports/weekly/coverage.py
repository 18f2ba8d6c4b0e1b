"""What of the plan was measured, and which devices could not be relied on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping

from bench.points import Point, PointState
from bench.records import Outcome
from bench.store.outcomes import LaunchOutcomes
from reports.history.model import SeriesHistory
from reports.weekly.model import Coverage, DeviceCoverage, Reliability, WeekCase
from reports.weekly.window import Window

# A device that loses more of its launches than this, or any whole case, is named.
MAX_LOST_LAUNCHES = 0.05
_MOST_REASONS = 3
_BY_STATE = {
    PointState.MEASURED: Coverage(measured=1),
    PointState.INVALID: Coverage(invalid=1),
    PointState.FELL_BACK: Coverage(fell_back=1),
    PointState.FAILED: Coverage(failed=1),
    PointState.UNFINISHED: Coverage(unfinished=1),
    PointState.NOT_APPLICABLE: Coverage(not_applicable=1),
}
_MISSING = Coverage(missing=1)


def coverage_of(series: SeriesHistory, window: Window, missing: Collection[str]) -> Coverage:
    """Of one series; all zero where nothing was expected of it.

    Args:
        missing: case ids that the history says are MISSING.
    """
    newest = newest_that_tells(series, window)
    if series.case_id in missing:
        return _MISSING
    if newest is not None:
        return _BY_STATE[newest.state]
    if not window.was_expected(series):
        return Coverage()
    gone = window.earlier(series)[-1].state is PointState.NOT_APPLICABLE
    return Coverage() if gone else _MISSING


def newest_that_tells(series: SeriesHistory, window: Window) -> Point | None:
    """The newest point of the window: one that was interrupted only where no other is there."""
    points = window.points(series)
    told = (p for p in reversed(points) if p.state is not PointState.UNFINISHED)
    return next(told, points[-1] if points else None)


def total_of(series: Iterable[SeriesHistory], window: Window) -> Coverage:
    """Of all of them together."""
    return sum((coverage_of(one, window, ()) for one in series), Coverage())


def planned_cases(
    series: Iterable[SeriesHistory], window: Window, missing: Collection[str]
) -> tuple[WeekCase, ...]:
    """Every case that there should be a number of, with the reason where there is none."""
    found = []
    for one in series:
        count = coverage_of(one, window, missing)
        if count.planned:
            reason = _why(one, window, count) if count.without else ""
            found.append(WeekCase(one.case, one.case_id, reason))
    return tuple(found)


def coverage_by_device(
    series: Iterable[SeriesHistory], window: Window, missing: Collection[str]
) -> tuple[DeviceCoverage, ...]:
    """A line per device that anything was expected of, by name."""
    counts: dict[str, Coverage] = defaultdict(Coverage)
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for one in series:
        found = coverage_of(one, window, missing)
        counts[one.case.device] += found
        if found.without:
            reasons[one.case.device][_why(one, window, found)] += 1
    return tuple(
        DeviceCoverage(device, counts[device], _commonest(reasons[device]))
        for device in sorted(counts)
        if counts[device] != Coverage()
    )


def _why(series: SeriesHistory, window: Window, found: Coverage) -> str:
    """Why a case has no number under its own name."""
    newest = newest_that_tells(series, window)
    if found.missing:
        return "planned before, and not " + ("by the newest run" if newest else "this week")
    return (newest.reason if newest is not None else "") or "no reason given"


def unreliable_devices(
    series: Iterable[SeriesHistory],
    window: Window,
    missing: Collection[str],
    outcomes: Iterable[LaunchOutcomes],
) -> tuple[Reliability, ...]:
    """Devices that lost whole cases or more than MAX_LOST_LAUNCHES of their launches.

    Those that lost the largest share of cases first, then of launches. What fell back was
    measured well, under another name, and what is missing was not asked of the device.
    """
    series = list(series)
    why = _reasons(outcomes, {one.case_id: one.case.device for one in series})
    points: dict[str, list[Point]] = defaultdict(list)
    counts: dict[str, Coverage] = defaultdict(Coverage)
    for one in series:
        points[one.case.device] += [p for p in window.points(one) if not p.simulated]
        counts[one.case.device] += coverage_of(one, window, missing)
    found = [
        Reliability(
            device=device,
            launches_made=sum(p.launches_made for p in points[device]),
            launches_used=sum(p.launches_used for p in points[device]),
            cases=count.planned,
            cases_lost=count.invalid + count.failed + count.unfinished,
            reasons=_commonest(why.get(device, Counter())),
        )
        for device, count in counts.items()
    ]
    named = (
        one for one in found if one.cases_lost or (one.launches_lost_share or 0) > MAX_LOST_LAUNCHES
    )
    return tuple(
        sorted(
            named,
            key=lambda r: (-r.cases_lost / r.cases, -(r.launches_lost_share or 0), r.device),
        )
    )


def _reasons(
    outcomes: Iterable[LaunchOutcomes], device_of: Mapping[str, str]
) -> dict[str, Counter[str]]:
    """Device -> why its launches count for nothing; a launch with two taints counts in both."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for one in outcomes:
        device = device_of.get(one.case_id)
        if device is None:
            continue
        if one.outcome is not Outcome.OK:
            found[device][str(one.outcome)] += one.launches
        # "start temperature: 41.2 C, limit 38 C": the figures differ from launch to launch.
        for taint in {text.split(":", 1)[0] for text in one.taints}:
            found[device][f"tainted: {taint}"] += one.launches
    return found


def _commonest(counter: Counter[str]) -> tuple[tuple[str, int], ...]:
    ranked = sorted(counter.items(), key=lambda item: (-item[1], item[0]))
    return tuple(ranked[:_MOST_REASONS])
