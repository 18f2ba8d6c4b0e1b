"""The chart of a device's temperature and frequency over a run."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports.device_model import DeviceConditions, Points
from reports.render.looks import INK
from reports.render.plots import WIDTH_INCHES, short

# Okabe and Ito's, and a style of line each: colour is never all that tells.
_LINES = (("#0072b2", "-"), ("#d55e00", "--"), ("#009e73", "-."), ("#cc79a7", ":"))
_HEAT = "#d55e00"
_PANEL_INCHES = 1.5


def plot_conditions(figure: Figure, found: DeviceConditions) -> Axes | None:
    """Temperature above, frequency of each policy below, over minutes of the run."""
    clocks = {policy: points for policy, points in found.khz.items() if len(points) > 1}
    panels: list[str] = []
    if len(found.temperature_c) > 1:
        panels.append("temperature")
    if clocks:
        panels.append("frequency")
    if not panels:
        return None
    figure.set_size_inches(WIDTH_INCHES, 0.9 + _PANEL_INCHES * len(panels))
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for panel, name in zip(axes, panels, strict=True):
        if name == "temperature":
            _line(panel, found.temperature_c, 1.0, _HEAT, "-")
            panel.set_ylabel("°C")
        else:
            for (policy, points), (colour, style) in zip(
                clocks.items(), _styles(len(clocks)), strict=True
            ):
                _line(panel, points, 1e-3, colour, style, label=short(policy))
            panel.set_ylabel("MHz")
            panel.set_ylim(bottom=0)
        panel.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        panel.grid(axis="both", color=INK, alpha=0.15, lw=0.7)
    axes[-1].set_xlabel("minutes since the run began")
    if clocks:
        figure.legend(loc="outside lower right", ncols=4, frameon=False)
    last: Axes = axes[-1]
    return last


def _line(
    axes: Axes, points: Points, scale: float, colour: str, style: str, *, label: str | None = None
) -> None:
    minutes = [seconds / 60 for seconds, _ in points]
    values = [value * scale for _, value in points]
    axes.plot(minutes, values, color=colour, ls=style, lw=1.3, marker=".", ms=3, label=label)


def _styles(count: int) -> Sequence[tuple[str, str]]:
    return [_LINES[n % len(_LINES)] for n in range(count)]
