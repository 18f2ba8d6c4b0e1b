"""A profile on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from bench.format import visible
from reports.ops.view import ProfileView, TableView
from reports.render.pen import Pen


def terminal(view: ProfileView) -> RenderableType:
    """Fits the console's width: names give way, numbers never do."""
    return _Screen(view)


@dataclass(frozen=True, slots=True)
class _Screen:
    view: ProfileView

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        pen = Pen(options.ascii_only)
        yield _text(pen, self.view.title, "bold")
        for line in self.view.lines:
            yield _text(pen, line)
        for table in self.view.tables:
            yield Text("")
            yield _text(pen, table.title, "bold")
            yield from _table(pen, table)
        if self.view.notes:
            yield Text("")
        for note in self.view.notes:
            yield _text(pen, note, "dim")


def _text(pen: Pen, content: str, style: str = "") -> Text:
    """Titles and notes hold names, too: what could steer a terminal is spelt out."""
    return pen.text(visible(content), style)


def _table(pen: Pen, given: TableView) -> Iterator[RenderableType]:
    table = Table(
        box=box.ASCII2 if pen.ascii_only else box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for column in given.columns:
        table.add_column(
            _text(pen, column.header),
            justify="right" if column.right else "left",
            no_wrap=not (column.gives or column.wraps),
        )
    for row in given.rows:
        cells = zip(row, given.columns, strict=True)
        table.add_row(*(_cell(pen, text, wraps=column.wraps) for text, column in cells))
    yield table
    if given.more:
        yield _text(pen, given.more, "dim")


def _cell(pen: Pen, content: str, *, wraps: bool) -> Text:
    cell = _text(pen, content)
    cell.no_wrap, cell.overflow = not wraps, "fold" if wraps else "ellipsis"
    return cell
