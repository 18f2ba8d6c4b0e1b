"""The chart that weighs accuracy against latency and size, one mark for every case."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from reports.model import Row
from reports.render.cells import caveat
from reports.render.looks import INK, Fill
from reports.render.looks import colour as colour_of
from reports.render.looks import fill as fill_of
from reports.render.plots import WIDTH_INCHES, needs_log, short, time_axis, way

_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
# Where a letter stands beside its mark, in points.
_SIDES = ((15, 13), (-22, -20), (15, -20), (-22, 13))


def plot_accuracy(figure: Figure, rows: Sequence[Row]) -> Axes | None:
    """Accuracy over p50, marks as large as the file; the Pareto front ringed and named."""
    shown = [row for row in rows if row.p50_us is not None and row.accuracy is not None]
    if not shown:
        return None
    axes = figure.add_subplot()
    metric = next(row.accuracy.metric for row in shown if row.accuracy is not None)
    scale = 100 if metric.is_share else 1
    ways = list(dict.fromkeys(way(row) for row in shown))
    largest = max(row.size_bytes or 0 for row in shown) or 1
    for row in shown:
        assert row.p50_us is not None
        assert row.accuracy is not None
        x, y = row.p50_us, row.accuracy.value * scale
        colour = colour_of(row.case.variant)
        if row.accuracy.interval is not None:
            low, high = row.accuracy.interval.low * scale, row.accuracy.interval.high * scale
            axes.plot([x, x], [low, high], color=colour, lw=0.8, alpha=0.35, zorder=1)
        if row.p50_interval_us is not None:
            low, high = row.p50_interval_us.low, row.p50_interval_us.high
            axes.plot([low, high], [y, y], color=colour, lw=1.2, alpha=0.6, zorder=1)
        area = 30 + 150 * (row.size_bytes or 0) / largest
        marker = _MARKERS[ways.index(way(row)) % len(_MARKERS)]
        fill: Fill = "none" if caveat(row) else fill_of(row.case.variant)
        _mark(axes, (x, y), marker, colour, fill, area)
        if row.pareto:
            _mark(axes, (x, y), marker, INK, "none", area * 2.1)
    is_log = needs_log([row.p50_us for row in shown], above=6.0)
    time_axis(axes, is_log)
    axes.margins(x=0.09, y=0.12)
    unit = " %" if metric.is_share else ""
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}{unit}"))
    axes.set_ylabel(f"{short(metric.title)} on the holdout")
    if not metric.higher_is_better:
        axes.invert_yaxis()  # up is better in every chart
    axes.grid(axis="y", color=INK, alpha=0.15, lw=0.7)
    variants = list(dict.fromkeys(row.case.variant for row in shown))
    handles = [
        Line2D(
            [],
            [],
            marker="o",
            ls="",
            color=colour_of(name),
            fillstyle=fill_of(name),
            markerfacecoloralt="none",
            label=short(name),
            ms=8,
        )
        for name in variants
    ]
    handles += [
        Line2D([], [], ls="", color=INK, label=name, marker=_MARKERS[number % len(_MARKERS)])
        for number, name in enumerate(ways)
    ]
    handles.append(
        Line2D([], [], marker="o", ls="", mfc="none", mec=INK, ms=10, label="Pareto front")
    )
    if any(caveat(row) for row in shown):
        hollow = "hollow: see its verdict"
        handles.append(Line2D([], [], marker="o", ls="", mfc="none", mec=INK, label=hollow))
    handles += _letter_front(axes, [row for row in shown if row.pareto], scale)
    figure.set_size_inches(WIDTH_INCHES, max(5.2, 1.0 + 0.25 * len(handles)))
    figure.legend(handles=handles, loc="outside right center", frameon=False)
    return axes


def _letter_front(axes: Axes, front: Sequence[Row], scale: int) -> list[Line2D]:
    """Letters beside the ringed marks, and what they stand for in the legend.

    Letters, because names of this length would lie over other marks; neighbours on
    different sides of theirs, because two of a front may be all but the same.
    """
    handles = []
    for number, row in enumerate(sorted(front, key=lambda r: r.p50_us or 0.0)):
        assert row.accuracy is not None
        assert row.p50_us is not None
        letter = chr(ord("A") + number) if number < 26 else str(number)
        axes.annotate(
            letter,
            (row.p50_us, row.accuracy.value * scale),
            _SIDES[number % len(_SIDES)],
            textcoords="offset points",
            fontweight="bold",
            # Where marks lie close together, the line says which of them is meant.
            arrowprops={"arrowstyle": "-", "color": INK, "lw": 0.7, "shrinkA": 0, "shrinkB": 6},
            zorder=4,
        )
        name = f"{short(row.case.variant)} · {way(row)}"
        handles.append(Line2D([], [], ls="", label=f"{letter}: {name}"))
    return handles


def _mark(
    axes: Axes,
    at: tuple[float, float],
    marker: str,
    colour: str,
    fill: Fill,
    area: float,
) -> None:
    """One mark of so many square points; the half that is not filled is not covered either."""
    axes.plot(
        *at,
        marker=marker,
        ls="",
        color=colour,
        fillstyle=fill,
        markerfacecoloralt="none",
        ms=math.sqrt(area),
        mew=1.3,
        alpha=0.85,
        zorder=3 if colour == INK else 2,
    )
