"""What a long operation says while it works; the command line renders it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A stage of known length begins.

    Attributes:
        stage: key, unique while the stage lasts ("convert", "measure", ...).
        title: what a person reads.
        total: number of steps.
        expected_s: estimate of its duration in seconds, or None.
        unit: of the steps where they are no things to count: "B" is bytes.
    """

    stage: str
    title: str
    total: int
    expected_s: float | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class StageAdvanced:
    """`done` steps of a stage are finished; `label` says which was the last or is under way.

    left_s is the time left in seconds where the sender can tell better than by
    proportion of steps.
    """

    stage: str
    done: int
    label: str
    left_s: float | None = None


@dataclass(frozen=True, slots=True)
class StageFinished:
    """A stage is over; `ok` is False where it was given up."""

    stage: str
    summary: str = ""
    ok: bool = True


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth a line of its own; `level` is "info" or "warning"."""

    message: str
    level: str = "info"


Event: TypeAlias = StageStarted | StageAdvanced | StageFinished | Note
Emit: TypeAlias = Callable[[Event], None]


def silent(event: Event) -> None:
    """An Emit that drops everything."""
