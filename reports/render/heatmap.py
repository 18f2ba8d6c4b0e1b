"""The speed-up of every delegate on every device, as a map: the matrix at one glance."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from bench import format as fmt
from bench.stats import Change
from reports.render.looks import INK
from reports.render.matrix import MatrixEntry, MatrixLine, MatrixView
from reports.render.plots import WIDTH_INCHES, short

CAPTION = (
    "Speed-up against the processor of the same device, as in the table above, which has the "
    "intervals: blue is faster, orange slower, the deeper the more, up to a factor of four. "
    "Hatched: the delegate took nothing (NONE) or nobody knows what it took (UNKNOWN, SUSPECT), "
    "or the answers are WRONG, whose speed counts for nothing. Without colour: the case that "
    "others are held against, with its p50, or a case without a number. Blank: not planned, or "
    "it cannot exist."
)
MOST_LINES = 36
_FASTER, _SLOWER = (0, 114, 178), (213, 94, 0)
_FULL_AT = math.log(4)
_MOST_ALPHA = 0.62
_HATCHES = {"none": ("////", "NONE"), "unknown": ("....", "UNKNOWN or SUSPECT"),
            "wrong": ("xxxx", "WRONG")}  # fmt: skip
_LINE_INCHES, _NAMES_INCHES = 0.36, 2.5
_STEPS = ((0.25, "≤ 0.25×"), (0.5, "0.5×"), (1.0, "1×"), (2.0, "2×"), (4.0, "≥ 4×"))
_Column = tuple[int, str]


def plot_heatmap(figure: Figure, matrix: MatrixView) -> Axes | None:
    """One line per variant and device, one column per delegate (and threads, where several).

    Of more than MOST_LINES lines those that ask for a look are drawn. None where the matrix
    has no speed-up at all.
    """
    if not any(entry.verdict for line in matrix.lines for cell in line.cells for entry in cell):
        return None
    lines = _most_telling(matrix.lines)
    columns = [
        (place, label)
        for place in range(len(matrix.delegates))
        for label in dict.fromkeys(e.label for line in matrix.lines for e in line.cells[place])
    ]
    variants = list(dict.fromkeys(line.variant for line in lines))
    places = [n + 0.35 * variants.index(line.variant) for n, line in enumerate(lines)]
    figure.set_size_inches(WIDTH_INCHES, 1.5 + _LINE_INCHES * (places[-1] + 1))
    axes = figure.add_subplot()
    room = (WIDTH_INCHES - _NAMES_INCHES) * 72 / len(columns)
    for line, place in zip(lines, places, strict=True):
        for x, (delegate, label) in enumerate(columns):
            for entry in line.cells[delegate]:
                if entry.label == label:
                    _cell(axes, entry, x, place, room)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(places[-1] + 0.55, -0.55)
    heads = [_head(matrix.delegates[delegate], label, room) for delegate, label in columns]
    axes.set_xticks(range(len(columns)), heads)
    axes.xaxis.tick_top()
    axes.set_yticks(places, [f"{short(line.device)} · {short(line.variant)}" for line in lines])
    axes.tick_params(top=False)
    axes.spines["bottom"].set_visible(False)
    _legend(figure, lines)
    return axes


def left_out(matrix: MatrixView) -> str:
    """What the map does not show of its matrix, a sentence; "" if nothing."""
    missing = len(matrix.lines) - MOST_LINES
    if missing <= 0:
        return ""
    return (
        f" {fmt.counted(missing, 'line')} more in the table: drawn are those with WRONG answers "
        "first, then those whose delegate took nothing or failed, then those slower than the "
        "processor, the slowest first."
    )


def _most_telling(lines: Sequence[MatrixLine]) -> list[MatrixLine]:
    if len(lines) <= MOST_LINES:
        return list(lines)
    ranked = sorted(range(len(lines)), key=lambda n: (_rank(lines[n]), n))
    return [lines[n] for n in sorted(ranked[:MOST_LINES])]


def _rank(line: MatrixLine) -> tuple[int, float]:
    """The smaller, the more a line asks for a look."""
    entries = [entry for cell in line.cells for entry in cell]
    shades = {entry.shade for entry in entries}
    ratios = [e.verdict.ratio for e in entries if e.verdict is not None and e.shade != "wrong"]
    slowest = min(ratios, default=math.inf)
    if "wrong" in shades:
        return 0, slowest
    if "none" in shades or any(entry.word == "FAILED" for entry in entries):
        return 1, slowest
    if "unknown" in shades and slowest >= 1:
        return 3, slowest
    return 2, slowest


def _cell(axes: Axes, entry: MatrixEntry, x: int, y: float, room: float) -> None:
    if entry.word == "N/A":
        return
    verdict = entry.verdict
    coloured = verdict is not None and entry.shade not in ("wrong", "none")
    face = _colour(verdict.ratio) if coloured and verdict is not None else "none"
    corner = (x - 0.48, y - 0.47)
    axes.add_patch(Rectangle(corner, 0.96, 0.94, facecolor=face, edgecolor=INK, lw=0.4))
    if entry.shade in _HATCHES:
        hatch = _HATCHES[entry.shade][0]
        axes.add_patch(
            Rectangle(corner, 0.96, 0.94, fill=False, edgecolor=INK, lw=0, hatch=hatch, alpha=0.3)
        )
    number, weight = "" if entry.number == fmt.ABSENT else entry.number, "normal"
    if verdict is not None and verdict.change is not Change.CHANGED:
        number = f"{number} {verdict.change.lower()}"
    elif coloured:
        weight = "bold"
    if number:
        axes.text(x, y - 0.17, number, ha="center", va="center", fontsize=8.5, fontweight=weight)
    most = max(6, int(room / 4.2))
    word = entry.word if len(entry.word) <= most else f"{entry.word[: most - 1]}…"
    axes.text(x, y + (0.22 if number else 0.0), word, ha="center", va="center", fontsize=7)


def _colour(ratio: float) -> str:
    red, green, blue = _FASTER if ratio >= 1 else _SLOWER
    strength = min(1.0, abs(math.log(ratio)) / _FULL_AT) if ratio > 0 else 1.0
    return f"#{red:02x}{green:02x}{blue:02x}{round(255 * _MOST_ALPHA * strength):02x}"


def _head(delegate: str, label: str, room: float) -> str:
    most = max(6, int(room / 5.6))
    lines = [delegate, *([label] if label else [])]
    return "\n".join(text if len(text) <= most else f"{text[: most - 1]}…" for text in lines)


def _legend(figure: Figure, lines: Sequence[MatrixLine]) -> None:
    shades = {entry.shade for line in lines for cell in line.cells for entry in cell}
    handles = [
        Patch(facecolor=_colour(ratio), edgecolor=INK, lw=0.4, label=name) for ratio, name in _STEPS
    ]
    handles += [
        Patch(facecolor="none", edgecolor=INK, lw=0.4, hatch=hatch, label=name)
        for shade, (hatch, name) in _HATCHES.items()
        if shade in shades
    ]
    figure.legend(
        handles=handles, loc="outside lower right", ncols=len(handles), frameon=False, fontsize=8
    )
