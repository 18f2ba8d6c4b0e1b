"""The samples of a launch: in order of time with the heat beside them, and as an ECDF."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from bench import format as fmt
from reports.device_model import LaunchTrace
from reports.model import Row
from reports.render.looks import INK
from reports.render.op_charts import case_name
from reports.render.plots import WIDTH_INCHES, needs_log, time_tick

TRACE_CAPTION = (
    "One launch of each case in order of time: the launch of the median p50, and of tainted ones "
    "the slowest. The line is the median of each stretch of samples, the band reaches from its "
    "least to its greatest sample; a cross at the top is a spike beyond the axis, so that none is "
    "lost. Triangles: the device's temperature, "
    "on the axis at the right, from before warm-up to after the last sample; a launch tells "
    "when it began and ended, and not when its first sample came, so that they may be off by as "
    "much as their panel says. Axes of time do not begin at zero."
)
ECDF_CAPTION = (
    "Share of samples that took at most so long, one thin line per launch: lines that lie apart "
    "are the spread between launches. Launches are not pooled, here or in any number: that would "
    "hide it. Dots: each launch's p50 and p90; the dotted line: the case's p50. Each panel has "
    "an axis of its own, which ends a little beyond the p95 of its launches; the greatest sample "
    "stands above it."
)
MOST_BINS = 140
# Of a contrast of 3 to paper of either kind: thin lines of a variant's colour have not.
_LINE = "#3d8fd1"
_COLUMNS = 2
_PANEL_INCHES = 1.75
# As fine as an eye can tell, and the tail finer: that is where launches differ.
_SHARES = np.concatenate([np.linspace(0, 90, 31), np.linspace(92, 98, 4), [99, 100]])


def traced(rows: Sequence[Row]) -> list[tuple[Row, LaunchTrace]]:
    """The launches that get a panel, case by case."""
    return [(row, trace) for row in rows for trace in row.traces]


def plot_traces(figure: Figure, rows: Sequence[Row]) -> Axes | None:
    """A panel per launch: samples over time, temperature on the second axis."""
    shown = traced(rows)
    if not shown:
        return None
    panels = _grid(figure, len(shown), 1.12)
    any_heat = any_beyond = False
    for panel, (row, trace) in zip(panels, shown, strict=True):
        times, low, middle, high = envelope(trace.seconds, trace.samples_us)
        panel.fill_between(times, low, high, color=_LINE, alpha=0.35, lw=0.4, step="mid")
        panel.plot(times, middle, color=_LINE, lw=1.1)
        _bulk_axis(panel, trace.samples_us)
        top = panel.get_ylim()[1]
        beyond = times[high > top]
        # Without any, the layout would make room for a mark in the figure's corner.
        if len(beyond):
            any_beyond = True
            panel.plot(beyond, np.full(len(beyond), top), "x", ms=4, color=INK, clip_on=False)
        panel.grid(axis="y", color=INK, alpha=0.15, lw=0.7)
        # Warm-up may take far longer: its heat leads into the picture, and no further.
        lasted = float(trace.seconds[-1])
        panel.set_xlim(-0.3 * lasted, 1.3 * lasted)
        panel.xaxis.set_major_locator(MaxNLocator(6))
        panel.set_xlabel("seconds since the first sample", fontsize=8, labelpad=1)
        greatest = fmt.duration(float(trace.samples_us.max()))
        title = f"{case_name(row)}\nround {trace.round}, {trace.why}; greatest {greatest}"
        if len(trace.temperature_c) > 1:
            any_heat = True
            _heat(panel, trace)
            title += f"\n°C placed to ±{trace.placed_within_s or 0:.1f} s"
        panel.set_title(title, loc="left", fontsize=8.5, pad=4)
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=INK, lw=1.1, label="median of a stretch"),
        Patch(facecolor=INK, alpha=0.35, label="least to greatest"),
    ]
    if any_heat:
        handles.append(
            Line2D(
                [], [], color=INK, ls="--", marker="^", ms=4, lw=0.8, label="temperature (right)"
            )
        )
    if any_beyond:
        handles.append(
            Line2D([], [], color=INK, ls="", marker="x", ms=5, label="greater than the axis")
        )
    figure.legend(handles=handles, loc="outside lower right", ncols=4, frameon=False, fontsize=8)
    return panels[0]


def plot_ecdf(figure: Figure, rows: Sequence[Row]) -> Axes | None:
    """A panel per case: one line per launch."""
    shown = [row for row in rows if row.launch_samples_us]
    if not shown:
        return None
    panels = _grid(figure, len(shown), 1.1)
    for panel, row in zip(panels, shown, strict=True):
        least, p95s, greatest = [], [], 0.0
        for samples in row.launch_samples_us:
            panel.plot(np.percentile(samples, _SHARES), _SHARES / 100, color=_LINE, lw=0.9)
            first, p50, p90, p95, last = np.percentile(samples, (0, 50, 90, 95, 100))
            panel.plot([p50, p90], [0.5, 0.9], "o", ms=3, color=INK, mec="none", zorder=3)
            least.append(float(first))
            p95s.append(float(p95))
            greatest = max(greatest, float(last))
        if row.p50_us is not None:
            panel.axvline(row.p50_us, color=INK, lw=1.0, ls=":")
        _fit_times(panel, min(least), max(p95s))
        panel.set_ylim(0, 1.02)
        panel.set_yticks([0, 0.5, 0.9, 1.0], ["0 %", "50 %", "90 %", "100 %"], fontsize=8)
        panel.grid(axis="both", color=INK, alpha=0.15, lw=0.7)
        count = fmt.counted(len(row.launch_samples_us), "launch")
        title = f"{case_name(row)}\n{count}; greatest sample {fmt.duration(greatest)}"
        panel.set_title(title, loc="left", fontsize=8.5, pad=4)
    return panels[0]


def envelope(
    times: NDArray[np.float64], values: NDArray[np.float64], most: int = MOST_BINS
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """At most so many stretches of equally many samples: when, least, median and greatest.

    No value of `values` lies outside of what its stretch says.
    """
    edges = np.linspace(0, len(values), min(most, len(values)) + 1).round().astype(int)
    parts = [slice(a, b) for a, b in pairwise(edges) if b > a]
    return (
        np.array([np.median(times[part]) for part in parts]),
        np.array([values[part].min() for part in parts]),
        np.array([np.median(values[part]) for part in parts]),
        np.array([values[part].max() for part in parts]),
    )


def _grid(figure: Figure, count: int, scale: float) -> list[Axes]:
    lines = math.ceil(count / _COLUMNS)
    figure.set_size_inches(WIDTH_INCHES, 0.8 + _PANEL_INCHES * scale * lines)
    found = list(figure.subplots(lines, _COLUMNS, squeeze=False).flat)
    for empty in found[count:]:
        empty.set_visible(False)
    return found[:count]


def _bulk_axis(panel: Axes, values: NDArray[np.float64]) -> None:
    """Fits the axis to nearly all values: a lone spike would make a line of all others."""
    least, most = float(values.min()), float(np.percentile(values, 97))
    span = max(most - least, 0.04 * most)
    panel.set_ylim(max(0.0, least - 0.15 * span), most + 0.5 * span)
    panel.yaxis.set_major_locator(MaxNLocator(4))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: time_tick(value)))
    panel.tick_params(labelsize=8)


def _fit_times(panel: Axes, low: float, high: float) -> None:
    """An axis of times for nearly all samples, logarithmic where they lie far apart."""
    if needs_log([low, high], above=8.0):
        panel.set_xscale("log")
        panel.set_xlim(low / 1.1, high * 1.4)
        subs = (1.0, 2.0, 5.0) if high / low < 50 else (1.0,)
        panel.xaxis.set_major_locator(LogLocator(subs=subs, numticks=6))
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.set_xlabel("log scale", fontsize=8)
    else:
        span = max(high - low, 0.01 * high)
        panel.set_xlim(low - 0.06 * span, high + 0.3 * span)
        panel.xaxis.set_major_locator(MaxNLocator(4))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: time_tick(value)))
    panel.tick_params(labelsize=8)


def _heat(panel: Axes, trace: LaunchTrace) -> None:
    right = panel.twinx()
    panel.tick_params(left=False)
    seconds = [at for at, _ in trace.temperature_c]
    degrees = [celsius for _, celsius in trace.temperature_c]
    right.plot(seconds, degrees, "--^", color=INK, ms=3.5, lw=0.8)
    # A sensor's last digit is no warming.
    middle, half = (min(degrees) + max(degrees)) / 2, max(2.0, max(degrees) - min(degrees)) * 0.6
    right.set_ylim(middle - half, middle + half)
    right.yaxis.set_major_locator(MaxNLocator(3))
    right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} °C"))
    right.tick_params(labelsize=8, right=False)
    for side in ("top", "left", "right", "bottom"):
        right.spines[side].set_visible(False)
