"""The charts of a comparison, as SVG for a page and as SVG and PNG files.

What a colour says is also said by a marker, a hatch or a label: print loses nothing, and
no colour vision does.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench import format as fmt
from reports.model import Comparison, Row
from reports.render.atomic import write_atomically
from reports.render.cells import group_title
from reports.render.conditions_plot import plot_conditions
from reports.render.plots import (
    INK,
    plot_distribution,
    plot_latency,
    plot_sizes,
)
from reports.render.scatter import plot_accuracy

# matplotlib's stubs list the keys of one of its versions.
_RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "edgebench",
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "figure.titlesize": 10.5,
    "figure.titleweight": "bold",
    "axes.axisbelow": True,
    "xtick.bottom": False,
    "ytick.left": False,
    "hatch.linewidth": 0.7,
}


@dataclass(frozen=True, slots=True)
class Chart:
    """One drawn chart.

    Attributes:
        key: unique among the charts of a comparison, fit for a file name and an id.
        kind: "latency", "accuracy", "distribution", "size" or "conditions".
        title: what it shows and of what.
        caption: how to read it.
        svg: an <svg> element for a page: text and lines in currentColor, no background.
    """

    key: str
    kind: str
    title: str
    caption: str
    svg: str


@dataclass(frozen=True, slots=True)
class _Drawing:
    key: str
    kind: str
    title: str
    caption: str
    figure: Figure


def charts(comparison: Comparison) -> tuple[Chart, ...]:
    """Every chart that there are numbers for, one kind after the other.

    Raises:
        ValueError: a number in the comparison cannot be shown.
    """
    return tuple(
        Chart(d.key, d.kind, d.title, d.caption, _inline(_svg(d.figure, transparent=True), d))
        for d in _drawings(comparison)
    )


def draw_chart(
    key: str, kind: str, title: str, caption: str, plot: Callable[[Figure], Axes | None]
) -> Chart | None:
    """One chart of another report, in the style of these; None where `plot` has no numbers."""
    with _style():
        figure = Figure(layout="constrained")
        if plot(figure) is None:
            return None
        _head(figure, title)
        drawing = _Drawing(key, kind, title, caption, figure)
        return Chart(key, kind, title, caption, _inline(_svg(figure, transparent=True), drawing))


def save_charts(comparison: Comparison, directory: Path) -> tuple[Path, ...]:
    """Writes every chart as KEY.svg and KEY.png (white background) into a directory.

    Raises:
        OSError: the directory cannot be made or written.
    """
    written = []
    for drawing in _drawings(comparison):
        svg = _svg(drawing.figure, transparent=False).replace(INK, "#333333")
        written.append(write_atomically(directory / f"{drawing.key}.svg", svg.encode()))
        written.append(write_atomically(directory / f"{drawing.key}.png", _png(drawing.figure)))
    return tuple(written)


_CAPTIONS = {
    "latency": (
        "Filled: p50, hatched: p90, each the median over launches; the line is its "
        "interval, 95 % unless the table says otherwise. Shorter is faster. Two cases whose "
        "lines overlap are not told apart by this picture: the table's ratio to "
        "fp32 is, because it compares round by round."
    ),
    "accuracy": (
        "Up and to the left is better; a larger mark is a larger file. Thin lines are the "
        "table's intervals. Ringed and lettered marks are the Pareto front: nothing on this "
        "device is at least as accurate, as fast and as small, and better in one of the three. "
        "Hollow marks are cases whose verdict is not STABLE, whose delegate did not do the work, "
        "or whose p50 is a tool's mean."
    ),
    "distribution": (
        "One line per launch, in order: from the 5th to the 95th percentile of its samples, "
        "thick from the 25th to the 75th, the dot at its median. 100 % is the case's p50, which "
        "stands at the right. Dots that do not line up are the spread between launches, which "
        "the intervals are made of."
    ),
    "size": "Size of each variant's file, and its share of fp32's. 1 kB = 1000 B.",
    "conditions": (
        "What the device itself told before, during and after launches; nothing is known "
        "between the dots. A temperature that climbs or a frequency that falls is a cause to "
        "look for in the launches of that time."
    ),
}
_TITLES = {
    "latency": "Latency",
    "accuracy": "Accuracy against latency and size",
    "distribution": "Samples of each launch",
    "size": "File size",
    "conditions": "Temperature and frequency",
}


def _drawings(comparison: Comparison) -> list[_Drawing]:
    drawings: list[_Drawing] = []
    groups: dict[str, list[Row]] = {}
    for row in comparison.rows:
        groups.setdefault(group_title(row), []).append(row)
    plots: tuple[tuple[str, Callable[[Figure, list[Row]], Axes | None]], ...] = (
        ("latency", plot_latency),
        ("accuracy", plot_accuracy),
        ("distribution", plot_distribution),
    )
    with _style():
        for kind, plot in plots:
            for number, (group, rows) in enumerate(groups.items(), start=1):
                figure = Figure(layout="constrained")
                axes = plot(figure, rows)
                if axes is None:
                    continue
                title = f"{_marked(_TITLES[kind], rows[0].simulated)}: {group}"
                _head(figure, title)
                key = kind if len(groups) == 1 else f"{kind}-{number}"
                drawings.append(_Drawing(key, kind, title, _caption(kind, axes, rows), figure))
        figure = Figure(layout="constrained")
        sizes = plot_sizes(figure, comparison.variants)
        if sizes is not None:
            title = _marked(_TITLES["size"], all(row.simulated for row in comparison.rows))
            _head(figure, title)
            caption = _CAPTIONS["size"]
            if any(made.tf_ops for made in comparison.variants):
                caption += " Hatched: needs TensorFlow ops, which no TFLite runtime executes."
            drawings.append(_Drawing("size", "size", title, caption, figure))
        for number, device in enumerate(comparison.devices, start=1):
            figure = Figure(layout="constrained")
            if plot_conditions(figure, device) is None:
                continue
            kind = "conditions"
            title = f"{_marked(_TITLES[kind], device.simulated)}: {fmt.visible(device.device)}"
            _head(figure, title)
            key = conditions_key(number)
            drawings.append(_Drawing(key, kind, title, _CAPTIONS[kind], figure))
    return drawings


def conditions_key(number: int) -> str:
    """Key of the chart of the conditions on a device, counted from 1."""
    return f"conditions-{number}"


def _marked(title: str, simulated: bool) -> str:
    return f"SIMULATED: {title}" if simulated else title


def _caption(kind: str, axes: Axes, rows: Sequence[Row]) -> str:
    caption = _CAPTIONS[kind]
    if kind == "latency" and any(row.p90_bounds_us is not None for row in rows):
        caption += " Dotted: p90 lies in there for certain; a diamond in it is an estimate."
    unshown = sum(row.p50_us is None and row.mean_us is not None for row in rows)
    if kind == "latency" and unshown:
        caption += f" Not shown: {unshown} with a mean only, which is in the table."
    if axes.get_xscale() == "log":
        caption += " The axis is logarithmic: equal distances are equal ratios."
        caption = caption.replace("Filled: p50, hatched: p90", "Filled: p50, hollow: p90")
        caption = caption.replace("Shorter is faster", "Further left is faster")
    return caption


def _head(figure: Figure, title: str, limit: int = 90) -> None:
    text = title if len(title) <= limit else f"{title[: limit - 1]}…"
    figure.suptitle(text, x=0.01, horizontalalignment="left")


def _svg(figure: Figure, *, transparent: bool) -> str:
    out = io.StringIO()
    with _style():
        figure.savefig(
            out,
            format="svg",
            transparent=transparent,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    return out.getvalue()


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    with _style():
        FigureCanvasAgg(figure)
        figure.savefig(out, format="png", dpi=160, facecolor="white", metadata={"Software": None})
    return out.getvalue()


@contextmanager
def _style() -> Iterator[None]:
    with mpl.rc_context(_RC), warnings.catch_warnings():
        # A name in a script that the font lacks: SVG leaves it to the reader's fonts, and
        # in a PNG a box stands for it; neither is worth a line on the terminal.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _inline(document: str, drawing: _Drawing) -> str:
    """A standalone SVG document as an element of a page that holds several of them."""
    element = document[document.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r' xmlns(:xlink)?="[^"]*"', "", element)
    # Every figure names its parts alike: figure_1, axes_1, ...
    prefix = f"{drawing.key}-"
    element = re.sub(r'(?<= id=")', prefix, element)
    element = re.sub(r"(?<=url\(#)", prefix, element)
    element = re.sub(r'(?<=xlink:href="#)', prefix, element)
    element = element.replace(INK, "currentColor")
    # The page's own font: measured with a wide one, so that no other needs more room.
    element = element.replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans'")
    return element.replace(
        "<svg ", f'<svg role="img" aria-labelledby="caption-{drawing.key}" ', 1
    ).strip()
