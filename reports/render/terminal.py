"""A comparison on a terminal: one rich table per model and device, footnotes, the advice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.console import Console, ConsoleOptions, ConsoleRenderable, Group, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bench import format as fmt
from reports.model import Comparison
from reports.render.cell import Cell
from reports.render.cells import RowView
from reports.render.pen import SUPERSCRIPT, Lines, Pen
from reports.render.terminal_delegates import delegate_blocks
from reports.render.view import RecommendationView, ReportView, TableView, view

_NAME_WIDTH = 18


@dataclass(frozen=True, slots=True)
class _Column:
    """A column: its header and the cells that it stacks for one case."""

    header: str
    cells: Callable[[RowView], Lines]
    justify: Literal["left", "right"] = "right"
    is_name: bool = False
    inline: bool = False


def _launches_of(row: RowView) -> Cell:
    return Cell("", (row.launches.text,))


def _threads_of(row: RowView) -> Cell:
    return Cell("", (fmt.threads(row.row.case.threads),))


def _change_of(row: RowView) -> Cell:
    return Cell("", (row.change.text,)) if row.row.accuracy else Cell("")


def _on_one_line(cell: Cell) -> Cell:
    return Cell(" ".join((cell.text, *cell.details)), (), cell.notes, cell.sort, cell.tone)


# From the widest to the narrowest; the first that fits is shown. A number is never
# broken or cut: below the last one every case becomes a paragraph.
_LAYOUTS: tuple[tuple[_Column, ...], ...] = (
    (
        _Column("variant", lambda r: (r.variant,), "left", is_name=True),
        _Column("delegate", lambda r: (r.delegate,), "left", is_name=True),
        _Column("threads", lambda r: (r.threads,)),
        _Column("size", lambda r: (r.size,)),
        _Column("accuracy", lambda r: (_only_text(r.accuracy),)),
        _Column("points", lambda r: (_only_text(r.change),)),
        _Column("p50 [95 %]", lambda r: (r.p50,), "left", inline=True),
        _Column("p90 [95 %]", lambda r: (r.p90,), "left", inline=True),
        _Column("vs fp32 [95 %]", lambda r: (r.speedup,), "left", inline=True),
        _Column("delegated", lambda r: (r.delegation,), "left", inline=True),
        _Column("gates", lambda r: (r.gates,), "left"),
        _Column("stability", lambda r: (r.stability,), "left"),
        _Column("launches", lambda r: (r.launches,)),
    ),
    (
        _Column(
            "variant\nsize", lambda r: (r.variant, Cell("", (r.size.text,))), "left", is_name=True
        ),
        _Column("delegate\nthreads", lambda r: (r.delegate, _threads_of(r)), "left", is_name=True),
        _Column("accuracy\npoints", lambda r: (_only_text(r.accuracy), _change_of(r))),
        _Column("p50 [95 %]", lambda r: (r.p50,)),
        _Column("p90 [95 %]", lambda r: (r.p90,)),
        _Column("vs fp32", lambda r: (r.speedup,)),
        _Column("delegated", lambda r: (r.delegation,), "left"),
        _Column("gates", lambda r: (r.gates,), "left"),
        _Column("stability\nlaunches", lambda r: (r.stability, _launches_of(r)), "left"),
    ),
    (
        _Column("case", lambda r: (r.variant, r.delegate, _threads_of(r)), "left", is_name=True),
        _Column(
            "size\naccuracy\npoints", lambda r: (r.size, _only_text(r.accuracy), _change_of(r))
        ),
        _Column("p50 [95 %]", lambda r: (r.p50,)),
        _Column("p90 [95 %]", lambda r: (r.p90,)),
        _Column("vs fp32", lambda r: (r.speedup,)),
        _Column(
            "stability\ndelegated\ngates\nlaunches",
            lambda r: (r.stability, _on_one_line(r.delegation), r.gates, _launches_of(r)),
            "left",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class _Extra:
    """The columns that stand there only where they say something."""

    sources: bool
    answers: bool

    def added_to(self, layout: tuple[_Column, ...]) -> tuple[_Column, ...]:
        """The layout with the column of sources behind p90, and of answers behind delegated."""
        columns = []
        for column in layout:
            columns.append(column)
            if self.sources and column.header.startswith("p90"):
                columns.append(_Column("from", lambda r: (r.source,), "left"))
            if self.answers and "delegated" in column.header:
                columns.append(_Column("answers", lambda r: (r.numerics,), "left"))
        return tuple(columns)


def terminal(comparison: Comparison) -> ConsoleRenderable:
    """The whole comparison as one rich renderable, for `Console.print`.

    It fits itself to the console it is printed on: its width, its encoding (ASCII
    only where that is all there is) and NO_COLOR. Names are never read as markup.

    Raises:
        ValueError: a number in the comparison cannot be shown.
    """
    return _Screen(view(comparison))


@dataclass(frozen=True, slots=True)
class _Screen:
    report: ReportView

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        pen = Pen(options.ascii_only)
        for banner in self.report.banners:
            yield pen.text(banner, "bold yellow")
        extra = _Extra(sources=not self.report.all_samples, answers=self.report.any_answers)
        for table in self.report.tables:
            yield Text("")
            yield pen.text(table.title, "bold")
            yield _fitting(table, pen, console, options, extra)
        yield pen.text(_LEGEND, "dim")
        source = _LEGEND_SAMPLES if self.report.all_samples else _LEGEND_SOURCES
        yield pen.text(source, "dim")
        if self.report.notes:
            yield Text("")
            yield _notes(self.report, pen)
        yield from delegate_blocks(self.report, pen, console, options)
        for remark in self.report.remarks:
            yield pen.text(remark, "dim")
        for mean in self.report.across:
            model, variant, delegate, count, _, ratio, n, devices = mean.cells
            what = f"{model} · {variant} · {delegate} · {fmt.threads(int(count))}"
            text = f"Across {n} devices, {what}: {ratio} fp32, geometric mean of {devices}"
            yield pen.text(text, "dim")
        for device in self.report.devices:
            parts = [f"{name} {text}" for name, text in device.summary]
            yield pen.text(f"{device.title}: {'; '.join(parts)}", "dim")
        for advice in self.report.recommendations:
            yield Text("")
            yield from _advice(advice, pen)


_LEGEND = (
    "p50, p90: median over launches of each launch's own, with its 95 % interval. "
    "vs fp32: median of the per-round ratios, above 1 is faster. Sizes: 1 kB = 1000 B."
)


_LEGEND_SAMPLES = "Every percentile is computed from samples."
_LEGEND_SOURCES = (
    "from: samples, every one of them; tool, printed by it in whole µs; tool-mean, its mean "
    "instead of a median; ~interpolated, an estimate that is never tested or gated."
)


def _only_text(cell: Cell) -> Cell:
    return Cell(cell.text, (), cell.notes, cell.sort, cell.tone)


def _fitting(
    table: TableView, pen: Pen, console: Console, options: ConsoleOptions, extra: _Extra
) -> ConsoleRenderable:
    unbounded = options.update(width=10_000)
    for layout in _LAYOUTS:
        narrowest = layout is _LAYOUTS[-1]
        drawn = _draw(table, extra.added_to(layout), pen, narrowest)
        if Measurement.get(console, unbounded, drawn).maximum <= options.max_width:
            return drawn
    return Group(*(_paragraph(row, table, pen) for row in table.rows))


def _draw(table: TableView, layout: tuple[_Column, ...], pen: Pen, narrowest: bool) -> Table:
    drawn = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        show_edge=False,
        padding=0 if narrowest else (0, 1),
    )
    for column in layout:
        drawn.add_column(
            pen.text("\n".join(map(table.head, column.header.split("\n")))),
            justify=column.justify,
            overflow="fold",
            max_width=_NAME_WIDTH if column.is_name else None,
        )
    for row, following in zip(table.rows, (*table.rows[1:], None), strict=True):
        cells = [pen.stack(column.cells(row), inline=column.inline) for column in layout]
        drawn.add_row(
            *cells,
            end_section=following is not None and following.variant.text != row.variant.text,
        )
    return drawn


def _paragraph(row: RowView, table: TableView, pen: Pen) -> ConsoleRenderable:
    head = pen.text(
        f"{row.variant.text} / {row.delegate.text} / {fmt.threads(row.row.case.threads)}", "bold"
    )
    named = (
        *((("variant", row.variant),) if row.variant.details or row.variant.notes else ()),
        ("p50", row.p50),
        ("p90", row.p90),
        ("from", row.source),
        ("vs fp32", row.speedup),
        ("size", row.size),
        (table.accuracy_title, _only_text(row.accuracy)),
        (table.change_title, _only_text(row.change)),
        ("delegated", row.delegation),
        *((("answers", row.numerics),) if row.row.numerics is not None else ()),
        ("gates", row.gates),
        ("stability", row.stability),
        ("launches", row.launches),
    )
    grid = Table.grid(padding=(0, 1))
    for name, cell in named:
        grid.add_row(pen.text(name), pen.stack([cell], inline=False))
    return Group(head, Padding(grid, (0, 0, 0, 2), expand=False))


def _notes(report: ReportView, pen: Pen) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(justify="right")
    grid.add_column(overflow="fold")
    for note in report.notes:
        mark = f"({note.number})" if pen.ascii_only else str(note.number).translate(SUPERSCRIPT)
        where = pen.text(f" ({note.where})", "dim")
        grid.add_row(Text(mark), pen.text(note.text).append_text(where))
    return grid


def _advice(advice: RecommendationView, pen: Pen) -> Iterator[ConsoleRenderable]:
    yield pen.text(advice.headline, "bold green" if advice.found else "bold yellow")
    yield Padding(pen.text(advice.reason), (0, 0, 0, 2), expand=False)
    yield Padding(pen.text(f"Rule: {advice.rule}", "dim"), (0, 0, 0, 2), expand=False)
