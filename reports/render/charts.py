"""The charts of a comparison, as SVG for a page and as SVG and PNG files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench import format as fmt
from reports.model import Comparison, Row
from reports.render import heatmap, launch_charts, op_charts
from reports.render.choice import chosen, panels
from reports.render.conditions_plot import plot_conditions
from reports.render.figures import Chart, Drawing, chart_of, head, save_figure, style
from reports.render.matrix import matrices
from reports.render.plots import plot_distribution, plot_latency, plot_sizes
from reports.render.scatter import plot_accuracy


@dataclass(frozen=True, slots=True)
class _Kind:
    """One chart for each group of cases.

    Attributes:
        by_panel: it has a panel for each case, and so no room for all of many.
    """

    key: str
    title: str
    caption: str
    plot: Callable[[Figure, Sequence[Row]], Axes | None]
    by_panel: bool = False


_LATENCY = (
    "Filled: p50, hatched: p90, each the median over launches; the line is its "
    "interval, 95 % unless the table says otherwise. Shorter is faster. Two cases whose "
    "lines overlap are not told apart by this picture: the table's ratio to "
    "fp32 is, because it compares round by round."
)
_ACCURACY = (
    "Up and to the left is better; a larger mark is a larger file. Thin lines are the "
    "table's intervals. Ringed and lettered marks are the Pareto front: nothing on this "
    "device is at least as accurate, as fast and as small, and better in one of the three. "
    "Hollow marks are cases whose verdict is not STABLE, whose delegate did not do the work, "
    "or whose p50 is a tool's mean."
)
_DISTRIBUTION = (
    "One line per launch, in order: from the 5th to the 95th percentile of its samples, "
    "thick from the 25th to the 75th, the dot at its median. 100 % is the case's p50, which "
    "stands at the right. Dots that do not line up are the spread between launches, which "
    "the intervals are made of."
)
_SIZES = "Size of each variant's file, and its share of fp32's. 1 kB = 1000 B."
_CONDITIONS = (
    "What the device itself told before, during and after launches; nothing is known "
    "between the dots. A temperature that climbs or a frequency that falls is a cause to "
    "look for in the launches of that time."
)


def _plot_op_shares(figure: Figure, rows: Sequence[Row]) -> Axes | None:
    return op_charts.plot_op_shares(figure, op_charts.profiled(rows))


def _plot_op_differences(figure: Figure, rows: Sequence[Row]) -> Axes | None:
    return op_charts.plot_op_differences(figure, op_charts.compared(rows))


_KINDS = (
    _Kind("latency", "Latency", _LATENCY, plot_latency),
    _Kind("accuracy", "Accuracy against latency and size", _ACCURACY, plot_accuracy),
    _Kind("ops", "Time by kind of op", op_charts.SHARES_CAPTION, _plot_op_shares),
    _Kind(
        "op-differences",
        "Kinds of op against fp32",
        op_charts.DIFFERENCES_CAPTION,
        _plot_op_differences,
    ),
    _Kind("distribution", "Samples of each launch", _DISTRIBUTION, plot_distribution),
    _Kind(
        "ecdf",
        "Distribution of samples",
        launch_charts.ECDF_CAPTION,
        launch_charts.plot_ecdf,
        by_panel=True,
    ),
    _Kind(
        "launches",
        "Samples over time",
        launch_charts.TRACE_CAPTION,
        launch_charts.plot_traces,
        by_panel=True,
    ),
)


def charts(comparison: Comparison) -> tuple[Chart, ...]:
    """Every chart that there are numbers for, one kind after the other; of a large run those
    that reports.render.choice names.

    Raises:
        ValueError: a number in the comparison cannot be shown.
    """
    return tuple(map(chart_of, _drawings(comparison)))


def save_charts(comparison: Comparison, directory: Path) -> tuple[Path, ...]:
    """Writes every chart as KEY.svg and KEY.png (white background) into a directory.

    Raises:
        OSError: the directory cannot be made or written.
    """
    return tuple(
        path for d in _drawings(comparison) for path in save_figure(d.figure, directory, d.key)
    )


def conditions_key(number: int) -> str:
    """Key of the chart of the conditions on a device, counted from 1."""
    return f"conditions-{number}"


def heatmap_key(number: int) -> str:
    """Key of the map of a matrix, counted from 1."""
    return f"heatmap-{number}"


def _drawings(comparison: Comparison) -> list[Drawing]:
    with style():
        return [
            *_of_groups(comparison),
            *_of_variants(comparison),
            *_of_matrices(comparison),
            *_of_devices(comparison),
        ]


def _of_groups(comparison: Comparison) -> Iterator[Drawing]:
    choice = chosen(comparison)
    for kind in _KINDS:
        for number, (group, rows) in enumerate(choice.groups.items(), start=1):
            shown, more = panels(rows) if kind.by_panel else (rows, "")
            figure = Figure(layout="constrained")
            axes = kind.plot(figure, shown)
            if axes is None:
                continue
            key = kind.key if len(choice.groups) == 1 else f"{kind.key}-{number}"
            title = f"{_marked(kind.title, rows[0].simulated)}: {group}"
            head(figure, title)
            yield Drawing(key, kind.key, title, _caption(kind, axes, rows) + more, figure)


def _of_variants(comparison: Comparison) -> Iterator[Drawing]:
    figure = Figure(layout="constrained")
    if plot_sizes(figure, comparison.variants) is not None:
        title = _marked("File size", all(row.simulated for row in comparison.rows))
        head(figure, title)
        caption = _SIZES
        if any(made.tf_ops for made in comparison.variants):
            caption += " Hatched: needs TensorFlow ops, which no TFLite runtime executes."
        yield Drawing("size", "size", title, caption, figure)


def _of_matrices(comparison: Comparison) -> Iterator[Drawing]:
    for number, matrix in enumerate(matrices(comparison), start=1):
        figure = Figure(layout="constrained")
        if heatmap.plot_heatmap(figure, matrix) is not None:
            title = f"{matrix.title}, speed-up against the processor"
            head(figure, title)
            caption = heatmap.CAPTION + heatmap.left_out(matrix)
            yield Drawing(heatmap_key(number), "heatmap", title, caption, figure)


def _of_devices(comparison: Comparison) -> Iterator[Drawing]:
    drawn = chosen(comparison).devices
    for number, device in enumerate(comparison.devices, start=1):
        figure = Figure(layout="constrained")
        if device.device in drawn and plot_conditions(figure, device) is not None:
            mark = _marked("Temperature and frequency", device.simulated)
            title = f"{mark}: {fmt.visible(device.device)}"
            head(figure, title)
            yield Drawing(conditions_key(number), "conditions", title, _CONDITIONS, figure)


def _marked(title: str, simulated: bool) -> str:
    return f"SIMULATED: {title}" if simulated else title


def _caption(kind: _Kind, axes: Axes, rows: Sequence[Row]) -> str:
    caption = kind.caption
    if kind.key == "latency" and any(row.p90_bounds_us is not None for row in rows):
        caption += " Dotted: p90 lies in there for certain; a diamond in it is an estimate."
    unshown = sum(row.p50_us is None and row.mean_us is not None for row in rows)
    if kind.key == "latency" and unshown:
        caption += f" Not shown: {unshown} with a mean only, which is in the table."
    if not kind.by_panel and axes.get_xscale() == "log":
        caption += " The axis is logarithmic: equal distances are equal ratios."
        caption = caption.replace("Filled: p50, hatched: p90", "Filled: p50, hollow: p90")
        caption = caption.replace("Shorter is faster", "Further left is faster")
    return caption
