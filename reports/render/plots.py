"""What each chart draws: rows to marks on a matplotlib figure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from bench import format as fmt
from bench.records import Source
from bench.stats import Interval
from reports.model import Row, VariantSummary
from reports.render.cells import TF_OPS, caveat
from reports.render.delegates import delegate_text
from reports.render.looks import INK
from reports.render.looks import colour as colour_of

LOG_ABOVE_SPREAD = 20.0

WIDTH_INCHES = 9.2
_ROW_INCHES = 0.34
_NAME_LIMIT = 24
# What a launch's line shows, and the table beside it.
LAUNCH_PERCENTILES = (5, 25, 50, 75, 95)


def plot_latency(figure: Figure, rows: Sequence[Row]) -> Axes | None:
    """p50 and p90 of every case with intervals: bars, or points on a log axis.

    A bar has no honest length on a logarithmic axis, so wide spreads get points.
    """
    shown = _by_variant([row for row in rows if row.p50_us is not None])
    if not shown:
        return None
    figure.set_size_inches(WIDTH_INCHES, 1.3 + _ROW_INCHES * 1.15 * len(shown))
    axes = figure.add_subplot()
    places = _places(shown)
    is_log = needs_log([value for row in shown for value in (row.p50_us, row.p90_us)])
    for row, place in zip(shown, places, strict=True):
        colour = colour_of(row.case.variant)
        for value, interval, offset, is_p50 in (
            (row.p50_us, row.p50_interval_us, -0.19, True),
            (_exact_p90(row), row.p90_interval_us, 0.19, False),
        ):
            if value is None:
                continue
            face = colour if is_p50 else "none"
            if is_log:
                axes.plot(
                    value, place + offset, "o" if is_p50 else "s", ms=5.5, mec=colour, mfc=face
                )
            else:
                axes.barh(
                    place + offset,
                    value,
                    0.36,
                    facecolor=face,
                    edgecolor=colour,
                    hatch=None if is_p50 else "/////",
                    linewidth=0.8,
                )
            _interval_line(axes, interval, place + offset)
        _p90_bounds(axes, row, place + 0.19, colour)
    _name_cases(axes, shown, places)
    time_axis(axes, is_log)
    handles: list[Line2D | Patch] = (
        [
            Line2D([], [], marker="o", ls="", mec=INK, mfc=INK, label="p50"),
            Line2D([], [], marker="s", ls="", mec=INK, mfc="none", label="p90"),
        ]
        if is_log
        else [
            Patch(facecolor=INK, edgecolor=INK, alpha=0.7, label="p50"),
            Patch(facecolor="none", edgecolor=INK, hatch="/////", label="p90"),
        ]
    )
    handles.append(Line2D([], [], color=INK, lw=1.4, label="interval"))
    figure.legend(handles=handles, loc="outside lower right", ncols=3, frameon=False)
    return axes


def plot_distribution(figure: Figure, rows: Sequence[Row]) -> Axes | None:
    """One line per launch, relative to the case's p50: 5th to 95th percentile, 25th to 75th.

    Relative, because a spread of 2 % of 500 us is invisible beside 8 ms.
    """
    shown = _by_variant([row for row in rows if row.launch_samples_us and row.p50_us])
    if not shown:
        return None
    figure.set_size_inches(WIDTH_INCHES, 1.0 + _ROW_INCHES * 1.35 * len(shown))
    axes = figure.add_subplot()
    places = _places(shown)
    ends: list[float | None] = []
    for row, place in zip(shown, places, strict=True):
        assert row.p50_us is not None
        colour = colour_of(row.case.variant)
        offsets = np.linspace(-0.45, 0.45, len(row.launch_samples_us) + 2)[1:-1]
        found = np.array([np.percentile(x, LAUNCH_PERCENTILES) for x in row.launch_samples_us])
        p5, p25, p50, p75, p95 = (found / row.p50_us).T
        # One broken line for all launches: each by itself takes longer than all the rest.
        for low, high, width in ((p5, p95, 0.9), (p25, p75, 3.0)):
            xs = np.stack([low, high, np.full(len(low), np.nan)], axis=1).ravel()
            ys = np.repeat(place + offsets, 3)
            axes.plot(xs, ys, color=colour, lw=width, solid_capstyle="butt")
        axes.plot(p50, place + offsets, "o", ms=2.8, color=INK, mec="none", zorder=3)
        ends += [float(p5.min()), float(p95.max())]
    _name_cases(axes, shown, places)
    if needs_log(ends, above=6.0):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=20))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:g} %"))
    axes.axvline(1.0, color=INK, lw=0.8, alpha=0.6)
    axes.set_xlabel("sample, relative to the case's p50")
    axes.grid(axis="x", color=INK, alpha=0.15, lw=0.7)
    medians = axes.secondary_yaxis("right")
    medians.set_yticks(list(places), [fmt.duration(row.p50_us) for row in shown])
    medians.spines["right"].set_visible(False)
    medians.tick_params(right=False)
    return axes


def plot_sizes(figure: Figure, variants: Sequence[VariantSummary]) -> Axes | None:
    """Size of every variant that was made, with its share of fp32's."""
    shown = [made for made in variants if made.size_bytes is not None]
    if not shown:
        return None
    figure.set_size_inches(WIDTH_INCHES, 0.9 + _ROW_INCHES * len(shown))
    axes = figure.add_subplot()
    models = list(dict.fromkeys(made.model for made in shown))
    places = [n + 0.6 * models.index(made.model) for n, made in enumerate(shown)]
    names = []
    largest = max(made.size_bytes or 0 for made in shown)
    for made, place in zip(shown, places, strict=True):
        assert made.size_bytes is not None
        colour = colour_of(made.variant)
        if made.tf_ops:
            axes.barh(place, made.size_bytes, 0.62, fc="none", ec=colour, hatch="xxx")
        else:
            axes.barh(place, made.size_bytes, 0.62, color=colour)
        label = fmt.size(made.size_bytes)
        if made.size_ratio is not None and made.variant != "fp32":
            label += f"  ({fmt.percent(made.size_ratio, 1)} of fp32)"
        axes.text(made.size_bytes + largest * 0.01, place, label, va="center")
        model = "" if len(models) == 1 else f"{short(made.model)} · "
        flag = f"\n({TF_OPS})" if made.tf_ops else ""
        names.append(f"{model}{short(made.variant)}{flag}")
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xlim(0, largest * 1.22)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: fmt.size(round(value))))
    axes.grid(axis="x", color=INK, alpha=0.15, lw=0.7)
    return axes


def _exact_p90(row: Row) -> float | None:
    return None if row.p90_source is Source.INTERPOLATED else row.p90_us


def _p90_bounds(axes: Axes, row: Row, place: float, colour: str) -> None:
    """Where a p90 that nobody measured must lie, and its estimate if there is one."""
    if row.p90_bounds_us is None:
        return
    axes.plot(row.p90_bounds_us, [place, place], color=colour, ls=":", lw=2.0)
    if row.p90_us is not None:
        axes.plot(row.p90_us, place, "D", ms=4.5, mec=colour, mfc="none")


def _by_variant(rows: Sequence[Row]) -> list[Row]:
    order = list(dict.fromkeys(row.case.variant for row in rows))
    return sorted(rows, key=lambda row: order.index(row.case.variant))


def _places(rows: Sequence[Row]) -> list[float]:
    """A place for every case, with a gap between variants."""
    places, place = [], 0.0
    for number, row in enumerate(rows):
        if number:
            place += 1.0 if row.case.variant == rows[number - 1].case.variant else 1.5
        places.append(place)
    return places


def _name_cases(axes: Axes, rows: Sequence[Row], places: Sequence[float]) -> None:
    names = [f"{short(row.case.variant)} · {way(row)}" for row in rows]
    caveats = [f"\n({caveat(row)})" if caveat(row) else "" for row in rows]
    axes.set_yticks(list(places), [a + b for a, b in zip(names, caveats, strict=True)])
    axes.set_ylim(places[-1] + 0.7, -0.7)


def way(row: Row) -> str:
    return f"{short(delegate_text(row))} · {fmt.threads(row.case.threads)}"


def short(name: str) -> str:
    name = fmt.visible(name)
    return name if len(name) <= _NAME_LIMIT else f"{name[: _NAME_LIMIT - 1]}…"


def _interval_line(axes: Axes, interval: Interval | None, place: float) -> None:
    if interval is not None:
        axes.plot([interval.low, interval.high], [place, place], color=INK, lw=1.4, zorder=3)


def needs_log(values: Sequence[float | None], above: float = LOG_ABOVE_SPREAD) -> bool:
    known = [value for value in values if value]
    return max(known) / min(known) > above


def time_axis(axes: Axes, is_log: bool) -> None:
    if is_log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=20))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(7))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: time_tick(value)))
    axes.set_xlabel("time of one inference" + (" (log scale)" if is_log else ""))
    axes.grid(axis="x", color=INK, alpha=0.15, lw=0.7)


def time_tick(us: float) -> str:
    """A time at an axis, with as many digits as the axis needs."""
    if us <= 0:
        return "0"
    scale, unit = (1e-3, "ns") if us < 1 else (1, "µs") if us < 1e3 else (1e3, "ms")
    return f"{us / scale:g} {unit}"
