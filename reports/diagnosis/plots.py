"""What each chart of a diagnosis draws on a matplotlib figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bench import format as fmt
from bench.diagnose.layers import Layer, Range, short_name
from bench.diagnose.outcome import Diagnosis, Treatment, Verdict
from reports.render.looks import INK

BLUE, SKY, ORANGE = "#0072b2", "#56b4e9", "#d55e00"
GREEN, GREY = "#009e73", "#7f7f7f"
_WIDTH_INCHES = 9.2
_ROW_INCHES = 0.3
_NAME_LIMIT = 34
# Beyond this many rows a chart cannot be read; the table has them all.
MAX_LAYERS = 48
MAX_STRIPS = 8
_LABELLED = 6
# Labels of channels nearer than this ratio would lie on each other.
_CLOSE = 1.15
_MANY_DECADES = 1e4


def plot_snr(figure: Figure, diagnosis: Diagnosis) -> Axes | None:
    """SNR of every layer, whole tensor and median channel, with the first fall marked."""
    layers = [layer for layer in diagnosis.analysis.layers if layer.snr_db is not None]
    if not layers:
        return None
    tensors = [layer.snr_db for layer in layers if layer.snr_db is not None]
    channels = {
        layer.position: layer.channel_snr_db for layer in layers if layer.channel_snr_db is not None
    }
    figure.set_size_inches(_WIDTH_INCHES, 4.4)
    axes = figure.add_subplot()
    x = [layer.position for layer in layers]
    axes.plot(x, tensors, "s-", color=GREY, mfc="none", ms=5, lw=1, label="whole tensor")
    axes.plot(
        list(channels),
        list(channels.values()),
        "o-",
        color=BLUE,
        ms=5,
        lw=1.4,
        label="median channel",
    )
    if diagnosis.first_fall is not None:
        axes.axvline(
            diagnosis.first_fall, color=ORANGE, lw=1.2, ls="--", label="error first appears"
        )
    axes.set_ylabel("SNR against fp32 (dB)")
    axes.grid(axis="y", color=INK, alpha=0.15, lw=0.6)
    if len(layers) <= MAX_LAYERS:
        axes.set_xticks(x, [label(layer) for layer in layers], rotation=55, ha="right", fontsize=8)
    else:
        axes.set_xlabel("layer")
    figure.legend(loc="outside lower right", ncols=3, frameon=False)
    return axes


def plot_ranges(figure: Figure, diagnosis: Diagnosis) -> Axes | None:
    """Width of what calibration and holdout hold, as a share of what the variant can."""
    layers = [
        layer
        for layer in diagnosis.analysis.layers
        if layer.representable is not None and layer.holdout is not None
    ]
    layers = _most_telling(layers, diagnosis)
    if not layers:
        return None
    figure.set_size_inches(_WIDTH_INCHES, 1.5 + _ROW_INCHES * len(layers))
    axes = figure.add_subplot()
    axes.axvline(1.0, color=INK, lw=1.2, label="representable")
    for place, layer in enumerate(layers):
        held = _width(layer.representable)
        points = [_width(layer.holdout) / held]
        if layer.calibration is not None:
            points.append(_width(layer.calibration) / held)
            axes.plot(points[1], place, "s", mec=BLUE, mfc="none", ms=8, mew=1.3)
        axes.plot(points[0], place, "o", color=ORANGE, ms=5)
        axes.plot([min(*points, 1.0), max(*points, 1.0)], [place, place], color=INK, alpha=0.25)
    _name_rows(axes, layers)
    _log_axis(axes, lambda value, _: f"{100 * value:g} %")
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.4), max(high, 2.5))
    axes.grid(axis="x", color=INK, alpha=0.15, lw=0.6)
    axes.set_xlabel("width of the values' range / width of what the variant can hold")
    figure.legend(
        handles=[
            Line2D([], [], marker="s", ls="", mec=BLUE, mfc="none", ms=8, label="calibration"),
            Line2D([], [], marker="o", ls="", color=ORANGE, label="holdout"),
            Line2D([], [], color=INK, lw=1.2, label="representable"),
        ],
        loc="outside lower right",
        ncols=3,
        frameon=False,
    )
    return axes


def plot_channels(figure: Figure, diagnosis: Diagnosis) -> Axes | None:
    """Width of every channel of the culprit layers, and of one step of the variant."""
    layers = strip_layers(diagnosis)
    if not layers:
        return None
    figure.set_size_inches(_WIDTH_INCHES, 1.5 + 0.55 * len(layers))
    axes = figure.add_subplot()
    for place, layer in enumerate(layers):
        widths = np.asarray(layer.channel_widths)
        live = widths[widths > 0]
        outlying = {outlier.channel for outlier in layer.outliers}
        ordinary = np.array(
            [w for channel, w in enumerate(widths) if w > 0 and channel not in outlying]
        )
        axes.plot(ordinary, np.full(len(ordinary), place), "o", color=SKY, alpha=0.6, ms=5)
        for outlier in layer.outliers:
            axes.plot(widths[outlier.channel], place, "D", color=ORANGE, ms=6)
        for width, names in _labels(layer):
            axes.annotate(
                names,
                (width, place),
                xytext=(0, 7),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
        axes.plot(float(np.median(live)), place, "|", color=INK, ms=16, mew=1.5)
        if layer.representable is not None:
            steps = 65536 if layer.dtype == "INT16" else 256
            step = (layer.representable[1] - layer.representable[0]) / (steps - 1)
            axes.plot(step, place, "x", color=INK, ms=7)
    _name_rows(axes, layers)
    axes.set_ylim(len(layers) - 0.5, -0.7)
    _log_axis(axes, lambda value, _: f"{value:g}")
    axes.grid(axis="x", color=INK, alpha=0.15, lw=0.6)
    axes.set_xlabel("width of a channel's range on the holdout")
    figure.legend(
        handles=[
            Line2D([], [], marker="o", ls="", color=SKY, alpha=0.6, label="channel"),
            Line2D([], [], marker="D", ls="", color=ORANGE, label="outlier channel"),
            Line2D([], [], marker="|", ls="", color=INK, ms=12, mew=1.5, label="median"),
            Line2D([], [], marker="x", ls="", color=INK, label="one step of the variant"),
        ],
        loc="outside lower right",
        ncols=4,
        frameon=False,
    )
    return axes


def plot_remedies(figure: Figure, diagnosis: Diagnosis) -> Axes | None:
    """Accuracy of every remedy with its interval, against fp32 and what the gates allow."""
    rows = [row for row in diagnosis.treatments if row.accuracy is not None]
    reference = diagnosis.fp32.accuracy
    if len(rows) < 2 or reference is None:
        return None
    metric = diagnosis.metric
    scale = 100 if metric.is_share else 1
    figure.set_size_inches(_WIDTH_INCHES, 1.5 + 0.36 * len(rows))
    axes = figure.add_subplot()
    sign = -1 if metric.higher_is_better else 1
    limit = reference + sign * diagnosis.allowed_loss
    axes.axvspan(
        scale * min(reference, limit), scale * max(reference, limit), color=GREEN, alpha=0.15, lw=0
    )
    axes.axvline(scale * reference, color=INK, lw=1.2)
    for place, row in enumerate(rows):
        assert row.accuracy is not None
        colour = _colour(row)
        if row.interval is not None:
            ends = [scale * row.interval.low, scale * row.interval.high]
            axes.plot(ends, [place, place], color=colour, lw=1.6)
        restores = row.verdict is Verdict.RESTORES
        face = colour if restores or row is diagnosis.fp32 else "none"
        axes.plot(scale * row.accuracy, place, _marker(row), color=colour, mfc=face, ms=7)
    names = [
        f"{'★ ' if row.key == diagnosis.recommended else ''}{_cut(fmt.visible(row.title))}"
        for row in rows
    ]
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x", color=INK, alpha=0.15, lw=0.6)
    unit = " (%)" if metric.is_share else ""
    axes.set_xlabel(f"{metric.title}{unit}")
    figure.legend(
        handles=[
            Line2D([], [], marker="o", ls="", color=GREEN, label="restores"),
            Line2D([], [], marker="s", ls="", color=ORANGE, mfc="none", label="does not"),
            Line2D([], [], color=INK, lw=1.2, label="fp32"),
            Patch(facecolor=GREEN, alpha=0.15, label="loss the gates allow"),
        ],
        loc="outside lower right",
        ncols=4,
        frameon=False,
    )
    return axes


def strip_layers(diagnosis: Diagnosis) -> list[Layer]:
    """The culprit layers whose channels are drawn, and listed beside the chart."""
    return [layer for layer in diagnosis.analysis.layers if layer.outliers and layer.feeds_weights][
        :MAX_STRIPS
    ]


def label(layer: Layer) -> str:
    """ "3 b1_pw/Conv2D1"."""
    return _cut(f"{layer.position} {fmt.visible(short_name(layer.name))}")


def _most_telling(layers: Sequence[Layer], diagnosis: Diagnosis) -> list[Layer]:
    """All of them if they fit, else those farthest from using their range just right."""
    if len(layers) <= MAX_LAYERS:
        return list(layers)

    def distance(layer: Layer) -> float:
        ratio = _width(layer.holdout) / (_width(layer.representable) or 1.0)
        return abs(float(np.log(ratio))) if ratio > 0 else 0.0

    concerned = {i for finding in diagnosis.findings for i in finding.layers}
    order = sorted(layers, key=lambda layer: (layer.position not in concerned, -distance(layer)))
    return sorted(order[:MAX_LAYERS], key=lambda layer: layer.position)


def _labels(layer: Layer) -> list[tuple[float, str]]:
    """Names of the outlier channels where they stand, close ones together."""
    placed: list[tuple[float, list[int]]] = []
    for outlier in sorted(layer.outliers[:_LABELLED], key=lambda o: -o.ratio):
        width = layer.channel_widths[outlier.channel]
        if placed and placed[-1][0] <= _CLOSE * width:
            placed[-1][1].append(outlier.channel)
        else:
            placed.append((width, [outlier.channel]))
    return [(width, ", ".join(map(str, channels))) for width, channels in placed]


def _log_axis(axes: Axes, text: Callable[[float, int], str]) -> None:
    """A logarithmic x axis with ticks at 1, 2 and 5, or at 1 alone over many decades."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    subs = (1.0, 2.0, 5.0) if high / low < _MANY_DECADES else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(FuncFormatter(text))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _name_rows(axes: Axes, layers: Sequence[Layer]) -> None:
    axes.set_yticks(range(len(layers)), [label(layer) for layer in layers], fontsize=8.5)
    axes.set_ylim(len(layers) - 0.5, -0.5)


def _colour(row: Treatment) -> str:
    if row.verdict is Verdict.RESTORES:
        return GREEN
    return GREY if row.key == "fp32" else ORANGE


def _marker(row: Treatment) -> str:
    return "o" if row.verdict is Verdict.RESTORES or row.key == "fp32" else "s"


def _cut(text: str) -> str:
    return text if len(text) <= _NAME_LIMIT else f"{text[: _NAME_LIMIT - 1]}…"


def _width(limits: Range | None) -> float:
    return 0.0 if limits is None else max(limits[1], 0.0) - min(limits[0], 0.0)
