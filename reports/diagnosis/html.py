"""A diagnosis as one HTML page that needs nothing else: no network, no script."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.diagnose.outcome import Diagnosis
from reports.diagnosis.plots import (
    label,
    plot_channels,
    plot_ranges,
    plot_remedies,
    plot_snr,
    strip_layers,
)
from reports.diagnosis.view import view
from reports.render.facts import flatten
from reports.render.figures import Chart, draw_chart
from reports.render.page import POLICY, asset, page

_MAX_CHANNELS = 512


@dataclass(frozen=True, slots=True)
class _Plot:
    """A chart: the section that it stands in, its words, and what draws it."""

    key: str
    title: str
    caption: str
    draw: Callable[[Figure, Diagnosis], Axes | None]


_PLOTS = (
    _Plot(
        "remedies",
        "Accuracy with each remedy",
        "Marks are the value on the full holdout, lines its 95 % interval. Whether a remedy "
        "restores accuracy is decided by the paired interval against fp32 in the table, not by "
        "these lines: the samples are the same for all.",
        plot_remedies,
    ),
    _Plot(
        "snr",
        "Error by layer",
        "Signal to noise of each layer against fp32 on the same samples, cumulative: what was "
        "lost upstream is in it. Higher is better; 10 dB less is ten times the noise power. A "
        "wide channel dominates the whole tensor's value, so that what the others lose shows in "
        "the median channel first.",
        plot_snr,
    ),
    _Plot(
        "channels",
        "Channels of the layers with outliers",
        "One mark per channel; the axis is logarithmic. All channels of a tensor share one step: "
        "a channel that is a few steps wide has a few values left. Numbers name the channels.",
        plot_channels,
    ),
    _Plot(
        "ranges",
        "Ranges seen in calibration and on the holdout",
        "100 % is what the variant can hold. A holdout to the right of it is cut off; far to the "
        "left of it, most steps are never used. The axis is logarithmic.",
        plot_ranges,
    ),
)


@dataclass(frozen=True, slots=True)
class _Strip:
    """The numbers of one row of the chart of channels."""

    layer: str
    widths: tuple[str, ...]
    more: int


def html(diagnosis: Diagnosis) -> str:
    """The whole page; every name in it is escaped.

    Raises: ValueError for a number that cannot be shown.
    """
    return page(
        asset("diagnosis.html.j2", "reports.diagnosis"),
        report=view(diagnosis),
        charts=_charts(diagnosis),
        strips=_strips(diagnosis),
        facts=flatten(
            {
                "project": diagnosis.project,
                "model": diagnosis.model,
                "variant": diagnosis.variant,
                "layers paired by": diagnosis.analysis.alignment,
                **diagnosis.provenance,
            }
        ),
        policy=POLICY,
        css=Markup(asset("report.css")),  # noqa: S704 (ours)
    )


def _charts(diagnosis: Diagnosis) -> dict[str, dict[str, str]]:
    drawn = {plot.key: _draw(plot, diagnosis) for plot in _PLOTS}
    return {
        # SVG that matplotlib has escaped.
        key: {"key": chart.key, "caption": chart.caption, "svg": Markup(chart.svg)}  # noqa: S704
        for key, chart in drawn.items()
        if chart is not None
    }


def _draw(plot: _Plot, diagnosis: Diagnosis) -> Chart | None:
    return draw_chart(
        plot.key,
        plot.key,
        plot.title,
        plot.caption,
        lambda figure: plot.draw(figure, diagnosis),
    )


def _strips(diagnosis: Diagnosis) -> tuple[_Strip, ...]:
    return tuple(
        _Strip(
            label(layer),
            tuple(f"{width:.4g}" for width in layer.channel_widths[:_MAX_CHANNELS]),
            max(0, len(layer.channel_widths) - _MAX_CHANNELS),
        )
        for layer in strip_layers(diagnosis)
    )
