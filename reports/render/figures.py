"""A drawn figure as SVG for a page, and as SVG and PNG for files: one style for all charts.

What a colour says is also said by a marker, a hatch or a label: print loses nothing, and
no colour vision does.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from reports.render.atomic import write_atomically
from reports.render.looks import INK

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
_LONG = re.compile(r"\d+\.\d{2,}")
# Where matplotlib writes coordinates: never in the text of an element.
_PLACES = re.compile(r'(?<= d=")[^"]*|(?<= [xy]=")[^"]*|(?<= transform=")[^"]*')
_WITHIN_PATH = re.compile(r"\s*([A-Za-z])\s*")
_MARKS = re.compile(
    r'<g>(?P<marks>\s*<use [^>]*?(?P<look> style="[^"]*")/>(?:\s*<use [^>]*?(?P=look)/>)*\s*)</g>'
)


@dataclass(frozen=True, slots=True)
class Chart:
    """One drawn chart.

    Attributes:
        key: unique among the charts of a page, fit for a file name and an id.
        kind: "latency", "accuracy", "distribution", "size", "conditions", ...
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
class Drawing:
    """A chart before it is written."""

    key: str
    kind: str
    title: str
    caption: str
    figure: Figure


def draw_chart(
    key: str, kind: str, title: str, caption: str, plot: Callable[[Figure], Axes | None]
) -> Chart | None:
    """One chart of another report, in the style of these; None where `plot` has no numbers."""
    with style():
        figure = Figure(layout="constrained")
        if plot(figure) is None:
            return None
        head(figure, title)
        return chart_of(Drawing(key, kind, title, caption, figure))


def chart_of(drawing: Drawing) -> Chart:
    """For a page that has its caption in an element with the id "caption-KEY"."""
    label = f'aria-labelledby="caption-{drawing.key}"'
    svg = inline_svg(drawing.figure, drawing.key, label)
    return Chart(drawing.key, drawing.kind, drawing.title, drawing.caption, svg)


def save_figure(figure: Figure, directory: Path, key: str) -> tuple[Path, Path]:
    """Writes KEY.svg and KEY.png, both for white paper.

    Raises:
        OSError: the directory cannot be made or written.
    """
    svg = _svg(figure, transparent=False).replace(INK, "#333333")
    return (
        write_atomically(directory / f"{key}.svg", svg.encode()),
        write_atomically(directory / f"{key}.png", _png(figure)),
    )


def head(figure: Figure, title: str, limit: int = 90) -> None:
    """The title, above all of the figure."""
    text = title if len(title) <= limit else f"{title[: limit - 1]}…"
    figure.suptitle(text, x=0.01, horizontalalignment="left")


@contextmanager
def style() -> Iterator[None]:
    """What all figures are drawn and written in."""
    with mpl.rc_context(_RC), warnings.catch_warnings():
        # A name in a script that the font lacks: SVG leaves it to the reader's fonts, and
        # in a PNG a box stands for it; neither is worth a line on the terminal.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def inline_svg(figure: Figure, key: str, label: str) -> str:
    """The figure as an element of a page that holds several of them.

    Args:
        label: the attribute that names it to a screen reader, escaped already.
    """
    document = _svg(figure, transparent=True)
    element = document[document.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r' xmlns(:xlink)?="[^"]*"', "", element)
    element = _compact(_own_ids(element, key))
    element = element.replace(INK, "currentColor")
    # The page's own font: measured with a wide one, so that no other needs more room.
    element = element.replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans'")
    return element.replace("<svg ", f'<svg role="img" {label} ', 1).strip()


def _own_ids(element: str, key: str) -> str:
    """Every figure names its parts alike: only what is referred to keeps a name, one of its own."""
    # A digest of what it stands for, of which so much will do.
    used = set(re.findall(r'(?:url\(#|xlink:href="#)([^)"]+)', element))
    names = {name: f"{key}-{name[:8]}" for name in used}

    def renamed(found: re.Match[str]) -> str:
        name = names.get(found[1])
        return "" if name is None else f' id="{name}"'

    element = re.sub(r' id="([^"]*)"', renamed, element)
    return re.sub(
        r'(url\(#|xlink:href="#)([^)"]+)', lambda found: found[1] + names[found[2]], element
    )


def _compact(element: str) -> str:
    """The same picture in half of the bytes: a page may hold a hundred."""
    element = re.sub(r' transform="rotate\(-?0 [^"]*\)"', "", element)
    element = _PLACES.sub(lambda found: _LONG.sub(_shorter, found[0]), element)
    element = re.sub(r'(?<= d=")[^"]*', lambda found: _WITHIN_PATH.sub(r"\1", found[0]), element)
    element = _MARKS.sub(_style_once, element)
    return re.sub(r">\s*\n\s*<", ">\n<", element)


def _style_once(found: re.Match[str]) -> str:
    look = found["look"]
    return f"<g{look}>{found['marks'].replace(look, '')}</g>"


def said(text: str) -> str:
    """The attribute that says a text to a screen reader."""
    return f'aria-label="{escape(text)}"'


def _shorter(number: re.Match[str]) -> str:
    """A tenth of a point is finer than any line; marks, which are small, get more."""
    value = float(number[0])
    return f"{value:.{1 if value >= 20 else 2}f}".rstrip("0").rstrip(".")


def _svg(figure: Figure, *, transparent: bool) -> str:
    out = io.StringIO()
    with style():
        figure.savefig(
            out,
            format="svg",
            transparent=transparent,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    return out.getvalue()


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    with style():
        FigureCanvasAgg(figure)
        figure.savefig(out, format="png", dpi=160, facecolor="white", metadata={"Software": None})
    return out.getvalue()
