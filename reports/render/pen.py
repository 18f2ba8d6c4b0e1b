"""Writes strings and cells as rich Text, in the alphabet that a terminal has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from bench import format as fmt
from reports.render.cell import Cell, Tone

STYLES = {Tone.PLAIN: "", Tone.GOOD: "green", Tone.WARN: "yellow", Tone.BAD: "bold red"}
STYLES[Tone.QUIET] = "dim"
SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

Lines = Sequence[Cell]


@dataclass(frozen=True, slots=True)
class Pen:
    """Writes strings as rich Text, in the alphabet that the terminal has."""

    ascii_only: bool

    def text(self, content: str, style: str = "") -> Text:
        return Text(fmt.to_ascii(content) if self.ascii_only else content, style)

    def marks(self, cell: Cell) -> str:
        if not cell.notes:
            return ""
        numbers = [str(n) for n in dict.fromkeys(cell.notes)]
        if self.ascii_only:
            return f" ({','.join(numbers)})"
        return " " + "·".join(n.translate(SUPERSCRIPT) for n in numbers)

    def stack(self, cells: Lines, *, inline: bool) -> Text:
        """Cells and their details one below the other; inline, the first detail beside."""
        lines: list[Text] = []
        for cell in cells:
            head = self.text(cell.text, STYLES[cell.tone])
            head.append_text(self.text(self.marks(cell)))
            details = [self.text(detail, "dim") for detail in cell.details]
            if inline and details:
                head.append(" ").append_text(details.pop(0))
            lines += [head] if head.plain else []
            lines += details
        return Text("\n").join(lines)
