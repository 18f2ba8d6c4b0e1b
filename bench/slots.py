"""Which launches a run has, by name, and the files that they are made with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.identity import Case, check_id, launch_id
from bench.records import Failure, Purpose

if TYPE_CHECKING:
    # It brings a TFLite runtime, for which --help and --dry-run need not wait.
    from bench.numerics.reference import NumericsFiles

# In the order in which they are made.
CHECKS = (Purpose.PROFILE, Purpose.NUMERICS, Purpose.TRACE)


@dataclass(frozen=True, slots=True)
class CaseFiles:
    """The files on the controller that one case is measured with.

    Attributes:
        model: the variant's .tflite; model_sha256: of it.
        inputs: .npz for the runner, or None for a seeded draw.
        numerics: for its NUMERICS launch, or why there is nothing to judge it by; None where
            nobody asked for one.
    """

    model: Path
    model_sha256: str
    inputs: Path | None
    numerics: NumericsFiles | Failure | None = None


@dataclass(frozen=True, slots=True)
class Slot:
    """Which timed launch of a run: a case, its round, its place there, the how-manieth try."""

    case: Case
    index: int
    position: int
    attempt: int

    @property
    def purpose(self) -> Purpose:
        return Purpose.TIMING

    def name(self, run_id: str) -> str:
        return launch_id(run_id, self.case.case_id, self.index, self.attempt)


@dataclass(frozen=True, slots=True)
class CheckSlot:
    """Which launch beside the timed ones: a case, what it is for, the how-manieth try."""

    case: Case
    purpose: Purpose
    attempt: int

    def name(self, run_id: str) -> str:
        return check_id(run_id, self.case.case_id, self.purpose, self.attempt)


def slots(cases: Iterable[Case], rounds: int, attempts: int) -> Iterable[Slot]:
    """Every timed launch that a run may have begun; their positions are not known."""
    for case in cases:
        for index in range(rounds):
            for attempt in range(attempts):
                yield Slot(case, index, 0, attempt)


def check_slots(cases: Iterable[Case], attempts: int) -> Iterable[CheckSlot]:
    """Every launch beside the timed ones that a run may have begun."""
    for case in cases:
        for purpose in CHECKS:
            for attempt in range(attempts):
                yield CheckSlot(case, purpose, attempt)
