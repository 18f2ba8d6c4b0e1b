"""Pairs as GitHub Markdown: for a pull request or a chat."""

from __future__ import annotations

from collections.abc import Iterator

from reports.pairs.model import Pairs
from reports.pairs.view import HEADS, GroupView, view
from reports.render.cell import Cell, Tone
from reports.render.markdown import escape

_INDENT = "&emsp;"


def markdown(pairs: Pairs) -> str:
    """The whole comparison; names are escaped, so no name can make markup or a link.

    Raises: ValueError for a number that cannot be shown.
    """
    shown = view(pairs)
    blocks = [
        f"# {escape(shown.title)}",
        f"**{escape(shown.summary)}**",
        "\n".join(f"- {escape(side)}" for side in shown.sides),
        *(block for group in shown.groups for block in _table(group)),
    ]
    if shown.notes:
        lines = (f"{number}. {escape(note)}" for number, note in enumerate(shown.notes, start=1))
        blocks.append("\n".join(lines))
    if shown.provenance:
        blocks += ["## What else differs"]
        blocks.append("\n".join(f"- {escape(line)}" for line in shown.provenance))
    blocks.append("\n\n".join(map(escape, shown.remarks)))
    return "\n\n".join(blocks) + "\n"


def _table(group: GroupView) -> Iterator[str]:
    yield f"## {escape(group.title)}"
    lines = [f"| {' | '.join(map(escape, HEADS))} |", "|---|---:|---:|---|---|"]
    for line in group.lines:
        name = f"{_INDENT * line.depth}{escape(line.name)}"
        cells = " | ".join(map(_cell, line.cells))
        lines.append(f"| {name} | {cells} |")
    yield "\n".join(lines)


def _cell(cell: Cell) -> str:
    text = " ".join(escape(part) for part in (cell.text, *cell.details) if part)
    if cell.tone is Tone.BAD and text:
        text = f"**{text}**"
    if cell.notes:
        text += f" <sup>{','.join(map(str, cell.notes))}</sup>"
    return text
