"""What the newest level of a series is held against: the pinned run, a release, or the runs
before."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from bench.changepoints import Detection
from bench.points import Baseline, BaselineKind, Point
from reports.history.levels import WINDOW, Levels, beyond, levels_of
from reports.history.model import AgainstBaseline
from reports.history.words import counted_runs, short


def in_force(baselines: Sequence[Baseline]) -> tuple[Baseline, ...]:
    """The pinned run and the last release, those of them that there are.

    Args:
        baselines: every one that a project ever had, newest first.
    """
    there = standing(baselines)
    pinned, release = (
        next((one for one in there if one.kind is kind), None)
        for kind in (BaselineKind.PINNED, BaselineKind.RELEASE)
    )
    return tuple(one for one in (pinned, release) if one is not None)


def standing(baselines: Sequence[Baseline]) -> tuple[Baseline, ...]:
    """The newest of each name, newest first, without what was unpinned."""
    newest: dict[tuple[BaselineKind, str], Baseline] = {}
    for one in baselines:
        newest.setdefault((one.kind, one.name), one)
    return tuple(one for one in newest.values() if one.run_id is not None)


def against(
    judged: Sequence[Point], levels: Levels, baselines: Sequence[Baseline], delta: float
) -> AgainstBaseline | None:
    """The newest level held against the first baseline that has a number of this series.

    Significant takes both: the test of reports.history.levels, and a change of at least
    `delta`.

    Args:
        judged: the points of `levels`, at least one.
        baselines: in force, the one that counts most first.

    Returns: None where there is nothing before the newest point.
    """
    place = {point.run_id: index for index, point in enumerate(judged)}
    for one in baselines:
        if one.run_id in place:
            return _against_run(one, place[one.run_id], judged, levels, delta)
    end = len(judged)
    if end == 1:
        return None
    start = levels.edges[-2]
    if start == 0:
        # One level, and nothing before it: the newest run against those before it. As it
        # was measured, not as its neighbours would have it, and by their spread alone.
        start = end - 1
        newest: Sequence[float] = (_us(judged[-1]),)
        levels = levels_of(Detection((), (), levels.values_us[:-1]))
    else:
        newest = levels.values_us[start:end]
    before = levels.values_us[max(0, start - WINDOW) : start]
    what = f"the {counted_runs(len(before))} before"
    return _made(None, what, before, newest, levels, delta)


def _against_run(
    baseline: Baseline, index: int, judged: Sequence[Point], levels: Levels, delta: float
) -> AgainstBaseline:
    assert baseline.run_id is not None
    if baseline.kind is BaselineKind.PINNED:
        what = f"pinned run {short(baseline.run_id)}"
    else:
        what = f"release {baseline.name}"
    before = (_us(judged[index]),)
    start = max(levels.edges[-2], index + 1, len(judged) - WINDOW)
    newest = levels.values_us[start:] or before
    if len(newest) == 1 and start < len(judged):
        newest = (_us(judged[-1]),)
    return _made(baseline, what, before, newest, levels, delta)


def _made(
    baseline: Baseline | None,
    what: str,
    before_us: Sequence[float],
    newest_us: Sequence[float],
    levels: Levels,
    delta: float,
) -> AgainstBaseline:
    ratio = levels.ratio(before_us, newest_us)
    return AgainstBaseline(
        baseline=baseline,
        what=what,
        before_us=median(before_us),
        ratio=ratio.value,
        interval=ratio.interval,
        significant=ratio.significant and beyond(ratio.value, delta),
    )


def _us(point: Point) -> float:
    assert point.p50_us is not None
    return point.p50_us
