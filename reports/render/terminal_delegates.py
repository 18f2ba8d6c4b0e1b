"""Delegates on a terminal: the matrix, the answers, what is slower, and lines of evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich import box
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bench import format as fmt
from reports.model import Comparison, Row
from reports.render.cell import Tone
from reports.render.evidence import evidence
from reports.render.forecasts import TITLE as FORECAST_TITLE
from reports.render.matrix import LEGEND, MatrixEntry, MatrixView
from reports.render.numerics import FIRST_NUMBER, HEADS, NumericsView
from reports.render.numerics import LEGEND as ANSWER_LEGEND
from reports.render.pen import STYLES, Pen
from reports.render.view import ReportView

_SHADES = {
    "full": Tone.GOOD,
    "partial": Tone.WARN,
    "none": Tone.BAD,
    "unknown": Tone.WARN,
    "wrong": Tone.BAD,
    "plain": Tone.PLAIN,
    "absent": Tone.QUIET,
}


def delegate_blocks(
    report: ReportView, pen: Pen, console: Console, options: ConsoleOptions
) -> Iterator[ConsoleRenderable]:
    """What a report says of delegates beside the tables of cases."""

    def fits(table: Table) -> bool:
        unbounded = options.update(width=10_000)
        return Measurement.get(console, unbounded, table).maximum <= options.max_width

    if report.slower:
        yield Text("")
        yield pen.text("Slower than fp32, and why", "bold")
        for text in report.slower:
            yield Padding(pen.text(text), (0, 0, 0, 2), expand=False)
    for matrix in report.matrices:
        yield Text("")
        yield pen.text(matrix.title, "bold")
        drawn = _matrix(matrix, pen)
        if fits(drawn):
            yield drawn
        else:
            yield from _matrix_lines(matrix, pen)
    if report.matrices:
        yield pen.text(f"{LEGEND} The evidence: edgebench show RUN --evidence", "dim")
    if report.numerics is not None:
        yield Text("")
        yield pen.text("Answers", "bold")
        yield from _answers(report.numerics, pen, fits)
    if report.forecasts:
        yield Text("")
        yield pen.text(FORECAST_TITLE, "bold")
        for text in report.forecasts:
            yield Padding(pen.text(text), (0, 0, 0, 2), expand=False)


def _matrix(matrix: MatrixView, pen: Pen) -> Table:
    table = _table(pen, ("variant", "device", *matrix.delegates))
    for line, following in zip(matrix.lines, (*matrix.lines[1:], None), strict=True):
        table.add_row(
            pen.text(line.variant),
            pen.text(line.device),
            *(Text("\n").join(_entry(one, pen, "\n") for one in cell) for cell in line.cells),
            end_section=following is not None and following.variant != line.variant,
        )
    return table


def _matrix_lines(matrix: MatrixView, pen: Pen) -> Iterator[ConsoleRenderable]:
    for line in matrix.lines:
        yield pen.text(f"{line.variant} on {line.device}", "bold")
        for delegate, cell in zip(matrix.delegates, line.cells, strict=True):
            for one in cell:
                text = pen.text(f"{delegate}: ").append_text(_entry(one, pen, " "))
                yield Padding(text, (0, 0, 0, 2), expand=False)


def _entry(one: MatrixEntry, pen: Pen, before_detail: str) -> Text:
    text = pen.text(one.text, STYLES[_SHADES[one.shade]])
    if one.detail:
        text.append_text(pen.text(f"{before_detail}{one.detail}", "dim"))
    return text


def _answers(
    found: NumericsView, pen: Pen, fits: Callable[[Table], bool]
) -> Iterator[ConsoleRenderable]:
    table = _table(pen, HEADS, numbers_from=FIRST_NUMBER)
    for row in found.rows:
        table.add_row(*(pen.stack([cell], inline=False) for cell in row))
    if found.rows and fits(table):
        yield table
    else:
        for row in found.rows:
            model, variant, device, delegate, threads, *rest = (
                ", ".join((cell.text, *cell.details)) for cell in row
            )
            case = f"{model} · {variant} · {delegate} · {fmt.threads(int(threads))} on {device}"
            figures = "; ".join(f"{h} {t}" for h, t in zip(HEADS[5:], rest, strict=True))
            yield pen.text(case, "bold")
            yield Padding(pen.text(figures, STYLES[row[5].tone]), (0, 0, 0, 2), expand=False)
    if found.rows:
        yield pen.text(ANSWER_LEGEND, "dim")
    for line in (*found.inputs, *found.missing):
        yield pen.text(line, "dim")


def _table(pen: Pen, heads: Sequence[str], *, numbers_from: int | None = None) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        show_edge=False,
        padding=(0, 1),
    )
    for n, head in enumerate(heads):
        numeric = numbers_from is not None and n >= numbers_from
        table.add_column(pen.text(head), justify="right" if numeric else "left", overflow="fold")
    return table


class EvidenceScreen:
    """The evidence on the cases of a comparison that `wanted` picks, for `Console.print`."""

    def __init__(self, comparison: Comparison, wanted: Callable[[Row], bool]) -> None:
        pairs = zip(comparison.rows, evidence(comparison), strict=True)
        self._views = [view for row, view in pairs if wanted(row)]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        pen = Pen(options.ascii_only)
        for view in self._views:
            yield pen.text(view.title, "bold")
            grid = Table.grid(padding=(0, 2))
            grid.add_column()
            grid.add_column(overflow="fold")
            for what, text in view.lines:
                grid.add_row(pen.text(what, "dim"), pen.text(text))
            yield Padding(grid, (0, 0, 1, 2), expand=False)
