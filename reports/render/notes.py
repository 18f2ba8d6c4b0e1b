"""Footnotes: one number per distinct sentence, with the cases it holds for."""

from __future__ import annotations

from dataclasses import dataclass

from bench import format as fmt
from reports.model import Row

_NAMED_CASES = 3


def place_text(row: Row) -> str:
    """The device, and that it is an emulator where it is one: "board-1, simulated"."""
    return f"{row.case.device}, simulated" if row.simulated else row.case.device


@dataclass(frozen=True, slots=True)
class NoteView:
    """One footnote.

    Attributes:
        text: the sentence, safe of control characters.
        cases: labels of the cases it holds for; `where` says them in short.
    """

    number: int
    text: str
    cases: tuple[str, ...]

    @property
    def where(self) -> str:
        if len(self.cases) > _NAMED_CASES:
            return f"{len(self.cases)} cases"
        return "; ".join(self.cases)


class NoteBook:
    """Collects footnotes in the order in which they are first met."""

    def __init__(self, *, several_tables: bool, several_runners: bool = False) -> None:
        self._several_tables = several_tables
        self._several_runners = several_runners
        self._cases: dict[str, list[str]] = {}

    def add(self, row: Row, text: str) -> tuple[int, ...]:
        """Notes a sentence about a case; returns its number, as Cell.notes wants it."""
        sentence = fmt.visible(text)
        cases = self._cases.setdefault(sentence, [])
        label = fmt.visible(row.case.label)
        if self._several_tables:
            label = f"{label} · {fmt.visible(row.case.model)} on {fmt.visible(place_text(row))}"
        if self._several_runners:
            label = f"{label} by {fmt.visible(row.case.runner)}"
        if label not in cases:
            cases.append(label)
        return (list(self._cases).index(sentence) + 1,)

    def notes(self) -> tuple[NoteView, ...]:
        """All footnotes, numbered from 1."""
        return tuple(
            NoteView(number, text, tuple(cases))
            for number, (text, cases) in enumerate(self._cases.items(), start=1)
        )
