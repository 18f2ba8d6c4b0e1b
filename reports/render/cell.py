"""One formatted cell of a table, the same for every medium."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Tone(StrEnum):
    """How a cell is to be read; a medium without colour loses nothing, the words say it."""

    PLAIN = "plain"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    QUIET = "quiet"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: text safe of control characters, not escaped for any medium.

    Attributes:
        text: the value with its unit.
        details: lines of less weight below it: interval, remark, modes.
        notes: numbers of the footnotes that explain it.
        sort: numeric key where the column is one of numbers; None sorts last.
    """

    text: str
    details: tuple[str, ...] = ()
    notes: tuple[int, ...] = ()
    sort: float | None = None
    tone: Tone = Tone.PLAIN
