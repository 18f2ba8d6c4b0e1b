"""Pairs on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from reports.pairs.model import Pairs
from reports.pairs.view import HEADS, GroupView, PairsView, view
from reports.render.cell import Cell
from reports.render.pen import STYLES, SUPERSCRIPT, Pen

_INDENT = "  "


def terminal(pairs: Pairs) -> RenderableType:
    """Fits the console's width: names wrap, numbers never do.

    Raises: ValueError for a number that cannot be shown.
    """
    return _Screen(view(pairs))


@dataclass(frozen=True, slots=True)
class _Screen:
    view: PairsView

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        pen = Pen(options.ascii_only)
        yield pen.text(self.view.title, "bold")
        yield pen.text(self.view.summary, "bold")
        for side in self.view.sides:
            yield pen.text(side)
        for group in self.view.groups:
            yield Text("")
            yield pen.text(group.title, "bold")
            yield _table(pen, group)
        yield from _notes(pen, self.view.notes)
        if self.view.provenance:
            yield Text("")
            yield pen.text("What else differs", "bold")
            for line in self.view.provenance:
                yield pen.text(f"{_INDENT}{line}")
        yield Text("")
        for remark in self.view.remarks:
            yield pen.text(remark, "dim")


def _table(pen: Pen, group: GroupView) -> Table:
    table = Table(
        box=box.ASCII2 if pen.ascii_only else box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for number, head in enumerate(HEADS):
        table.add_column(
            pen.text(head),
            justify="right" if number in (1, 2) else "left",
            no_wrap=number in (1, 2, 3),
            overflow="fold",
        )
    for line in group.lines:
        name = pen.text(f"{_INDENT * line.depth}{line.name}", "" if line.depth == 0 else "dim")
        table.add_row(name, *(_cell(pen, cell) for cell in line.cells))
    return table


def _cell(pen: Pen, cell: Cell) -> Text:
    text = pen.text(" ".join((cell.text, *cell.details)), STYLES[cell.tone])
    return text.append_text(pen.text(pen.marks(cell)))


def _notes(pen: Pen, notes: tuple[str, ...]) -> Iterator[Text]:
    for number, note in enumerate(notes, start=1):
        mark = f"({number})" if pen.ascii_only else str(number).translate(SUPERSCRIPT)
        yield pen.text(f"{mark} {note}")
