"""A series as a line of the size of a word, written by hand: a page may hold thousands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from bench import format as fmt
from bench.points import Point, PointState
from reports.history.model import SeriesHistory

MOST_POINTS = 60
# Below this span, a share of the median, noise would be made to look like an event.
LEAST_SPAN = 0.06
_WIDTH, _HEIGHT, _EDGE = 120.0, 24.0, 3.0


def sparkline(series: SeriesHistory) -> str:
    """The newest runs of a series as an <svg> element; "" for a series without a point.

    A line through p50, in time; a tick and a triangle at each step, a ring at each lone point,
    a dot at the newest run; a cross at the bottom for a run that gave no number.
    """
    points = series.points[-MOST_POINTS:]
    if not points:
        return ""
    kept = {point.run_id for point in points}
    judged = [p for p in series.judged if p.run_id in kept and p.p50_us is not None]
    spikes = {spike.run_id for spike in series.spikes}
    x = _Across(points)
    marks: list[str] = []
    if judged:
        y = _Down([us(p) for p in judged if p.run_id not in spikes] or [us(judged[0])])
        line = [f"{x(p):.1f},{y(us(p)):.1f}" for p in judged if p.run_id not in spikes]
        if len(line) > 1:
            marks.append(
                f'<polyline points="{" ".join(line)}" fill="none" stroke="currentColor" '
                'stroke-width="1.2"/>'
            )
        by_run = {p.run_id: p for p in judged}
        for step in series.steps:
            if step.first_bad_run_id in by_run:
                marks.append(_step(x(by_run[step.first_bad_run_id]), slower=step.ratio > 1))
        marks += [
            f'<circle cx="{x(p):.1f}" cy="{y(us(p)):.1f}" r="2" fill="none" stroke="currentColor"/>'
            for p in judged
            if p.run_id in spikes
        ]
        last = judged[-1]
        if last.run_id not in spikes:
            marks.append(f'<circle cx="{x(last):.1f}" cy="{y(us(last)):.1f}" r="2.2"/>')
    marks += [_cross(x(p)) for p in points if p.state in (PointState.FAILED, PointState.FELL_BACK)]
    text = escape(in_words(series))
    return (
        f'<svg class="sparkline" role="img" aria-label="{text}" width="{_WIDTH:g}" '
        f'height="{_HEIGHT:g}" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" fill="currentColor">'
        f"<title>{text}</title>{''.join(marks)}</svg>"
    )


def in_words(series: SeriesHistory) -> str:
    """What the picture of a series says, for those who do not see it."""
    points, judged = series.points, series.judged
    text = fmt.counted(len(points), "run")
    if points:
        first, last = (_date(p.started_utc) for p in (points[0], points[-1]))
        text += f" on {first}" if first == last else f" from {first} to {last}"
    if judged:
        old, new = fmt.duration(judged[0].p50_us), fmt.duration(judged[-1].p50_us)
        text += f"; p50 {new}" if len(judged) == 1 else f"; p50 {old} first, {new} last"
    else:
        text += "; no number"
    for step in series.steps:
        text += f"; {change(step.ratio)} since {_date(step.since_utc)}"
    if series.spikes:
        text += f"; {fmt.counted(len(series.spikes), 'lone point')}"
    without = len(points) - len(judged)
    if judged and without:
        text += f"; {without} without a number that counts"
    return text


def change(ratio: float) -> str:
    """A step as people say it: "+5.2 %", from a factor of two on "2.13×"."""
    if ratio >= 2 or ratio <= 0.5:
        return fmt.ratio(ratio)
    share = (ratio - 1) * 100
    return f"{'−' if share < 0 else '+'}{abs(share):.1f} %"


def us(point: Point) -> float:
    """p50 of a point that has one."""
    assert point.p50_us is not None
    return point.p50_us


class _Across:
    """From a point to its place from the left, by time."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._first = points[0].started_utc
        self._span = (points[-1].started_utc - self._first).total_seconds()

    def __call__(self, point: Point) -> float:
        passed = (point.started_utc - self._first).total_seconds()
        share = passed / self._span if self._span > 0 else 0.5
        return _EDGE + share * (_WIDTH - 2 * _EDGE)


class _Down:
    """From a time to its place from the top; what lies outside stands at the edge."""

    def __init__(self, values: Sequence[float]) -> None:
        low, high = min(values), max(values)
        missing = max(0.0, LEAST_SPAN * (low + high) / 2 - (high - low))
        self._low, self._span = low - missing / 2, high - low + missing

    def __call__(self, us: float) -> float:
        share = min(1.0, max(0.0, (us - self._low) / self._span)) if self._span > 0 else 0.5
        return _HEIGHT - _EDGE - 2 - share * (_HEIGHT - 2 * _EDGE - 2)


def _step(x: float, *, slower: bool) -> str:
    tip, foot = (0, 4.5) if slower else (4.5, 0)
    return (
        f'<path d="M{x:.1f} 4V{_HEIGHT:g}" stroke="currentColor" stroke-width=".7" '
        f'stroke-dasharray="2 1.5"/><path d="M{x - 3:.1f} {foot}h6L{x:.1f} {tip}z"/>'
    )


def _cross(x: float) -> str:
    top = _HEIGHT - 4.5
    return (
        f'<path d="M{x - 2:.1f} {top}l4 4m0-4l-4 4" stroke="currentColor" stroke-width="1.2" '
        'fill="none"/>'
    )


def _date(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d}"
