"""What the chart of a series is made of: its marks, and the axes that fit them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from bench import format as fmt
from bench.numerics.model import NumericsWord
from bench.points import Point, PointState
from reports.history.model import ProvenanceChange, SeriesHistory, Spike, Step
from reports.render.looks import INK
from reports.render.plots import time_tick
from reports.render.sparklines import LEAST_SPAN, change, us

# Beyond it the older ones are left out, and the chart says so.
MOST_POINTS = 140
LETTERS = "abcdefghijklmnopqrstuvwxyz"
SMALL = 8.0
_POINT, _LEVEL, _ALARM = "#0072b2", "#d55e00", "#c2408a"
# Between two dates at the axis, in days: minutes, hours, days, weeks.
_DATE_STEPS = (5 / 1440, 1 / 48, 1 / 12, 0.25, 0.5, 1.0, 2.0, 7.0, 14.0, 28.0, 56.0, 91.0, 182.0)
# What stands below for a run that has no number, or one that is not the series': its mark.
_BELOW = {
    PointState.FAILED.value: ("X", "failed"),
    PointState.FELL_BACK.value: ("v", "fell back"),
    PointState.INVALID.value: ("s", "invalid"),
    PointState.UNFINISHED.value: ("|", "unfinished"),
    PointState.NOT_APPLICABLE.value: ("_", "cannot exist"),
    "wrong": ("*", "WRONG answers"),
    "other": ("P", "another quantity"),
}
Changed = tuple[Point, tuple[ProvenanceChange, ...]]


@dataclass(frozen=True, slots=True)
class Shown:
    """What of a series is drawn: the newest points, and all that lies among them."""

    points: tuple[Point, ...]
    judged: tuple[Point, ...]
    steps: tuple[Step, ...]
    spikes: dict[str, Spike]
    changes: tuple[Changed, ...]
    left_out: int


def newest(series: SeriesHistory) -> Shown:
    """What of a series is drawn."""
    points = series.points[-MOST_POINTS:]
    left_out = len(series.points) - len(points)
    kept = {point.run_id for point in points}
    return Shown(
        points=points,
        judged=tuple(point for point in series.judged if point.run_id in kept),
        steps=tuple(step for step in series.steps if step.first_bad_run_id in kept),
        spikes={spike.run_id: spike for spike in series.spikes if spike.run_id in kept},
        changes=tuple(
            (series.points[place], what) for place, what in series.changes if place >= left_out
        ),
        left_out=left_out,
    )


def below_mark(point: Point, shown: Shown) -> str | None:
    """Which mark of the strip stands for a run; None where its point tells all."""
    if point.numerics == NumericsWord.WRONG:
        return "wrong"
    if point.state is not PointState.MEASURED:
        return point.state.value
    return None if any(point is one for one in shown.judged) else "other"


def _days(point: Point) -> float:
    """When its run began, in days since 1970."""
    return point.started_utc.timestamp() / 86400


def _at(points: Sequence[Point]) -> list[float]:
    return [_days(point) for point in points]


def draw_points(axes: Axes, shown: Shown) -> list[Line2D]:
    """Dots with intervals, diamonds for lone points; returns what a legend names."""
    xs: list[float] = []
    ys: list[float] = []
    for point, at in zip(shown.judged, _at(shown.judged), strict=True):
        if point.p50_low_us is not None and point.p50_high_us is not None:
            xs += [at, at, np.nan]
            ys += [point.p50_low_us, point.p50_high_us, np.nan]
    if xs:
        # One broken line: hundreds of them would be as many elements of the page.
        axes.plot(xs, ys, color=_POINT, lw=1.0)
    level = [point for point in shown.judged if point.run_id not in shown.spikes]
    lone = [point for point in shown.judged if point.run_id in shown.spikes]
    looks = ((level, "o", 3.6, _POINT, _POINT, "p50 with interval"),
             (lone, "D", 5.5, _ALARM, "none", "lone point"))  # fmt: skip
    return [
        axes.plot(
            _at(points),
            [us(point) for point in points],
            marker,
            ms=size,
            mec=edge,
            mfc=face,
            label=name,
            clip_on=marker == "D",  # one far outside stands at the edge
            zorder=4,
        )[0]
        for points, marker, size, edge, face, name in looks
        if points
    ]


def draw_levels(axes: Axes, series: SeriesHistory, shown: Shown) -> list[Line2D]:
    """A line for each level, a triangle and a label at each step."""
    if not series.steps or not shown.judged:
        return []
    hidden = len(series.judged) - len(shown.judged)
    starts = [0, *(step.position for step in series.steps), len(series.judged)]
    levels = [series.steps[0].before_us, *(step.after_us for step in series.steps)]
    for level, (start, end) in zip(levels, pairwise(starts), strict=True):
        at = _at(series.judged[max(start, hidden) : end])
        if at:
            axes.plot([at[0], at[-1]], [level, level], color=_LEVEL, lw=2.2, zorder=3)
    above = axes.get_xaxis_transform()
    first, last = _at((shown.points[0], shown.points[-1]))
    labelled = -math.inf
    raised = False
    for step in shown.steps:
        at_step = step.since_utc.timestamp() / 86400
        raised = not raised and at_step - labelled < 0.09 * (last - first)
        labelled = at_step
        height = 1.13 if raised else 1.04
        axes.axvline(at_step, ymax=height, color=_LEVEL, lw=0.9, ls=(0, (4, 2)), clip_on=False)
        axes.plot(
            [at_step], [height], "^" if step.ratio > 1 else "v",
            ms=6, color=_LEVEL, transform=above, clip_on=False,
        )  # fmt: skip
        axes.annotate(
            change(step.ratio), (at_step, height), (6, 0), xycoords=above,
            textcoords="offset points", va="center", fontweight="bold", fontsize=8.5,
        )  # fmt: skip
    return [Line2D([], [], color=_LEVEL, lw=2.2, marker="^", ms=5, label="level, and step")]


def draw_baseline(axes: Axes, series: SeriesHistory) -> list[Line2D]:
    """A dotted line at what the series is held against."""
    if series.against is None:
        return []
    name = fmt.visible(series.against.what)
    name = name if len(name) <= 40 else f"{name[:39]}…"
    line = axes.axhline(series.against.before_us, color=INK, lw=1.2, ls=":", zorder=2)
    line.set_label(f"baseline: {name}")
    return [line]


def draw_changes(axes: Axes, shown: Shown, lettered: Sequence[Changed]) -> None:
    """A thin vertical for every change, letters for some."""
    places = _at([point for point, _ in shown.changes])
    if places:
        xs = [x for at in places for x in (at, at, np.nan)]
        whole = axes.get_xaxis_transform()
        axes.plot(xs, [0, 1, np.nan] * len(places), color=INK, lw=0.7, alpha=0.55, transform=whole)
    ends = _at((shown.points[0], shown.points[-1]))
    before, low = -math.inf, True
    for letter, at in zip(LETTERS, _at([point for point, _ in lettered]), strict=False):
        low = not low if at - before < 0.02 * (ends[1] - ends[0]) else True
        before = at
        axes.annotate(
            letter, (at, 0.03 if low else 0.11), (2.5, 0), xycoords=axes.get_xaxis_transform(),
            textcoords="offset points", fontsize=8.5, fontstyle="italic",
        )  # fmt: skip


def draw_strip(axes: Axes, strip: Sequence[tuple[Point, str]]) -> list[Line2D]:
    """A mark for every run without a number that counts."""
    handles = []
    for key, (marker, name) in _BELOW.items():
        points = [point for point, found in strip if found == key]
        if points:
            colour = _ALARM if key in (PointState.FAILED.value, "wrong") else INK
            handles += axes.plot(
                _at(points), [0.5] * len(points), marker, ms=6, mec=colour, mfc="none", mew=1.2,
                label=name, clip_on=False,
            )  # fmt: skip
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.axhspan(0, 1, color=INK, alpha=0.06, lw=0)
    return handles


def fit_times(axes: Axes, series: SeriesHistory, shown: Shown) -> None:
    """Fits the axis to the levels; a lone point far outside stands at the edge with its ratio."""
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: time_tick(value)))
    axes.grid(axis="y", color=INK, alpha=0.15, lw=0.7)
    steady = [p for p in shown.judged if p.run_id not in shown.spikes] or list(shown.judged)
    if not steady:
        axes.set_yticks([])
        axes.set_ylim(0, 1)
        axes.text(0.5, 0.5, "no number that counts", transform=axes.transAxes, ha="center")
        return
    values = [p.p50_us for p in steady if p.p50_us is not None]
    values += [] if series.against is None else [series.against.before_us]
    low, high = min(values), max(values)
    span = max(high - low, LEAST_SPAN * (low + high) / 2)
    # A wide interval or a lone point may double what is drawn, and no more.
    extra = [v for p in shown.judged for v in (p.p50_low_us, p.p50_us, p.p50_high_us) if v]
    low, high = (low + high - span) / 2, (low + high + span) / 2
    near = [v for v in extra if low - span <= v <= high + span]
    low, high = min([low, *near]) - 0.08 * span, max([high, *near]) + 0.08 * span
    low = max(low, 0.0)
    axes.set_ylim(low, high)
    for point in shown.judged:
        spike = shown.spikes.get(point.run_id)
        if spike is None or point.p50_us is None or low <= point.p50_us <= high:
            continue
        edge = high if point.p50_us > high else low
        axes.plot(_at([point]), [edge], "D", ms=5.5, mec=_ALARM, mfc="none", clip_on=False)
        axes.annotate(
            fmt.ratio(spike.ratio), (_at([point])[0], edge), (6, -6 if edge == high else 4),
            textcoords="offset points", va="center", fontsize=SMALL,
        )  # fmt: skip


def fit_dates(axes: Axes, lowest: Axes, shown: Shown) -> None:
    """Fits the axis of dates, which `lowest` shows."""
    first, last = _days(shown.points[0]), _days(shown.points[-1])
    edge = 0.02 * (last - first) or 0.5
    axes.set_xlim(first - edge, last + edge)
    span = last - first + 2 * edge
    fitting = (step for step in _DATE_STEPS if span / step <= (6 if step >= 1 else 4))
    step = next(fitting, span / 6)
    form = "%Y-%m-%d" if step >= 1 else "%Y-%m-%d %H:%M"
    lowest.xaxis.set_major_locator(MultipleLocator(step))
    lowest.xaxis.set_major_formatter(
        FuncFormatter(lambda day, _: f"{datetime.fromtimestamp(day * 86400, UTC):{form}}")
    )
    if lowest is not axes:
        axes.tick_params(labelbottom=False)
    lowest.set_xlabel("run began (UTC)", fontsize=SMALL, labelpad=2)
