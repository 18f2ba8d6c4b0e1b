"""A profile on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from bench.format import to_ascii, visible
from reports.ops.view import ProfileView, TableView


def terminal(view: ProfileView) -> RenderableType:
    """Fits the console's width: names give way, numbers never do."""
    return _Screen(view)


@dataclass(frozen=True, slots=True)
class _Screen:
    view: ProfileView

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        pen = _Pen(options.ascii_only)
        yield pen.text(self.view.title, "bold")
        for line in self.view.lines:
            yield pen.text(line)
        for table in self.view.tables:
            yield Text("")
            yield pen.text(table.title, "bold")
            yield from pen.table(table)
        if self.view.notes:
            yield Text("")
        for note in self.view.notes:
            yield pen.text(note, "dim")


@dataclass(frozen=True, slots=True)
class _Pen:
    ascii_only: bool

    def text(self, content: str, style: str = "") -> Text:
        shown = visible(content)
        return Text(to_ascii(shown) if self.ascii_only else shown, style)

    def table(self, given: TableView) -> Iterator[RenderableType]:
        table = Table(
            box=box.ASCII2 if self.ascii_only else box.SIMPLE_HEAD,
            pad_edge=False,
            padding=(0, 1, 0, 0),
        )
        for column in given.columns:
            table.add_column(
                self.text(column.header),
                justify="right" if column.right else "left",
                no_wrap=not (column.gives or column.wraps),
            )
        for row in given.rows:
            cells = zip(row, given.columns, strict=True)
            table.add_row(*(self._cell(text, wraps=column.wraps) for text, column in cells))
        yield table
        if given.more:
            yield self.text(given.more, "dim")

    def _cell(self, content: str, *, wraps: bool) -> Text:
        cell = self.text(content)
        cell.no_wrap, cell.overflow = not wraps, "fold" if wraps else "ellipsis"
        return cell
