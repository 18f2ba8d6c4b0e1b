"""The chart of a series over time: points, levels, steps, and what changed when."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench import format as fmt
from reports.history.model import SeriesHistory
from reports.render.figures import head, inline_svg, said, save_figure, style
from reports.render.plots import WIDTH_INCHES
from reports.render.series_marks import (
    LETTERS,
    SMALL,
    Changed,
    Shown,
    below_mark,
    draw_baseline,
    draw_changes,
    draw_levels,
    draw_points,
    draw_strip,
    fit_dates,
    fit_times,
    newest,
)
from reports.render.sparklines import in_words

CAPTION = (
    "p50 of each run with its interval, over the date at which the run began (UTC). Thick lines "
    "are levels; a triangle and a dashed line mark a step, with its size. A diamond is a lone "
    "point, which is in no level. Below: runs without a number that counts. Lettered verticals: "
    "what else changed then. The axis of times does not begin at zero."
)
_MOST_LETTERS = 8
_LEFT, _WIDTH = 0.085, 0.87
_PLOT_INCHES, _STRIP_INCHES, _LINE_INCHES = 2.0, 0.24, 0.17


def series_chart(series: SeriesHistory) -> str:
    """p50 over time as an <svg> element for a page; "" for a series without a point.

    Of a series with more than series_marks.MOST_POINTS points the newest are drawn. CAPTION
    says how to read it.
    """
    with style():
        figure = Figure()
        if plot_series(figure, series) is None:
            return ""
        label = said(f"{_title(series)}: {in_words(series)}")
        return inline_svg(figure, _key(series), label)


def save_series_charts(histories: Iterable[SeriesHistory], directory: Path) -> tuple[Path, ...]:
    """Writes the chart of every series as SVG and PNG.

    Raises:
        OSError: the directory cannot be made or written.
    """
    written: list[Path] = []
    for series in histories:
        with style():
            figure = Figure()
            if plot_series(figure, series) is not None:
                written += save_figure(figure, directory, _key(series))
    return tuple(written)


def plot_series(figure: Figure, series: SeriesHistory) -> Axes | None:
    """Draws a series; None where it has no point at all."""
    if not series.points:
        return None
    shown = newest(series)
    lettered = _lettered(shown)
    strip = [(point, key) for point in shown.points if (key := below_mark(point, shown))]
    texts = [_explained(letter, one) for letter, one in zip(LETTERS, lettered, strict=False)]
    if more := len(shown.changes) - len(lettered):
        texts.append(f"and {fmt.counted(more, 'change')} without a letter")
    if shown.left_out:
        texts.append(f"{fmt.counted(shown.left_out, 'older run')} not drawn")

    # All places by hand, in inches: matplotlib's own layout takes longer than all the drawing.
    figure.set_size_inches(WIDTH_INCHES, 1.0)
    axes = figure.add_axes((_LEFT, 0.0, _WIDTH, 1.0))
    handles = draw_points(axes, shown)
    handles += draw_levels(axes, series, shown)
    handles += draw_baseline(axes, series)
    draw_changes(axes, shown, lettered)
    lowest = axes
    if strip:
        lowest = figure.add_axes((_LEFT, 0.0, _WIDTH, 0.1), sharex=axes)
        handles += draw_strip(lowest, strip)
    fit_times(axes, series, shown)
    fit_dates(axes, lowest, shown)

    rows = math.ceil(len(handles) / 5)
    foot = 0.45 + _LINE_INCHES * len(texts) + (0.06 if texts else 0.0)
    below = _STRIP_INCHES if strip else 0.0
    top = (0.6 if shown.steps else 0.36) + _LINE_INCHES * rows
    plot = _PLOT_INCHES if shown.judged else 0.4
    height = foot + below + plot + top
    figure.set_size_inches(WIDTH_INCHES, height)
    axes.set_position((_LEFT, (foot + below) / height, _WIDTH, plot / height))
    if strip:
        lowest.set_position((_LEFT, foot / height, _WIDTH, below / height))
    head(figure, _title(series))
    if handles:
        figure.legend(
            handles=handles,
            loc="upper right",
            bbox_to_anchor=(0.995, 1 - 0.22 / height),
            ncols=min(5, len(handles)),
            frameon=False,
            fontsize=SMALL,
            handletextpad=0.3,
            columnspacing=1.2,
        )
    for number, text in enumerate(texts):
        place = (0.06 + _LINE_INCHES * (len(texts) - number - 0.5)) / height
        figure.text(_LEFT, place, text, fontsize=SMALL, verticalalignment="center")
    return axes


def _title(series: SeriesHistory) -> str:
    case = series.case
    mark = "SIMULATED: " if any(point.simulated for point in series.points) else ""
    return fmt.visible(f"{mark}{case.label} · {case.model} on {case.device}")


def _key(series: SeriesHistory) -> str:
    return f"series-{series.case_id[:12]}"


def _lettered(shown: Shown) -> list[Changed]:
    """The changes that get a letter: those at a step first, then the newest; in order of time."""
    stepped = {step.first_bad_run_id for step in shown.steps}
    ranked = sorted(
        range(len(shown.changes)), key=lambda n: (shown.changes[n][0].run_id in stepped, n)
    )
    return [shown.changes[n] for n in sorted(ranked[-_MOST_LETTERS:])]


def _explained(letter: str, changed: Changed, limit: int = 118) -> str:
    point, what = changed
    said_of = "; ".join(
        f"{one.what} {one.before or 'not recorded'} → {one.after or 'not recorded'}" for one in what
    )
    text = fmt.visible(f"{letter}  {point.started_utc.astimezone(UTC):%Y-%m-%d}: {said_of}")
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
