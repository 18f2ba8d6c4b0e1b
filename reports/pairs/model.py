"""What two sides say of each other, ready to be rendered: values, never formatted text.

A is what B is held against. Ratios are A / B: above 1, B is faster. Latencies in
microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bench.accuracy import Loss
from bench.identity import Case
from bench.stats import RatioVerdict
from reports.history.model import ProvenanceChange
from reports.model import Accuracy, Row


class PairWord(StrEnum):
    """What became of a case from A to B.

    FASTER, SLOWER: CHANGED over common rounds. CHANGED: of an unpaired comparison, which
    alone never says which of model and day it was. UNCLEAR: with what is missing. WRONG: B
    answers wrong. FELL BACK: in B its delegate took nothing. FAILED: in B alone.
    NOT COMPARABLE: another runner kind, other controls, another quantity.
    """

    FASTER = "FASTER"
    SLOWER = "SLOWER"
    SAME = "SAME"
    UNCLEAR = "UNCLEAR"
    CHANGED = "CHANGED"
    WRONG = "WRONG"
    FELL_BACK = "FELL BACK"
    FAILED = "FAILED"
    NOT_MEASURED = "NOT MEASURED"
    NOT_COMPARABLE = "NOT COMPARABLE"
    NEW = "NEW"
    MISSING = "MISSING"


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison.

    Attributes:
        label: as people call it: "run 0198a2b3", "int8", "gpu".
        what: run, its start and what was chosen of it, one line.
    """

    label: str
    what: str
    run_id: str
    project: str
    started_utc: datetime


@dataclass(frozen=True, slots=True)
class Spread:
    """How much the p50 of one thing differs from run to run.

    Attributes:
        share: standard deviation of the logarithms of the runs' p50, about a share of it.
        runs_a, runs_b: runs of each side that it was taken from; where both sides are of
            one kind, the same runs count once, as A's.
    """

    share: float
    runs_a: int
    runs_b: int


@dataclass(frozen=True, slots=True)
class OpMoved:
    """An op, or a group of them, and its time per run in both profiles.

    Attributes:
        a_us, b_us: None where that side has no such op, or does not tell.
    """

    op: str
    output: str
    a_us: float | None
    b_us: float | None

    @property
    def difference_us(self) -> float:
        """By how much B takes longer; an op of one side alone counts in full."""
        return (self.b_us or 0.0) - (self.a_us or 0.0)


@dataclass(frozen=True, slots=True)
class OpsMoved:
    """Where the time went, by one profiled launch of each side.

    Attributes:
        a_us, b_us: sums of all ops.
        a_resolution_us, b_resolution_us: below it a time of an op is cut off to 0; 0 where
            that is not known.
        moved: the largest differences first; `left_out` more there are.
        paired_by: how ops were paired, for people.
    """

    a_us: float
    b_us: float
    a_resolution_us: float
    b_resolution_us: float
    moved: tuple[OpMoved, ...]
    left_out: int
    paired_by: str


@dataclass(frozen=True, slots=True)
class Pair:
    """One case on both sides; one of them is None in NEW and MISSING.

    Attributes:
        a, b: as every report of their runs has them.
        reason: why the word is none of FASTER, SLOWER, SAME, or what is missing; else "".
        paired: whether the ratio is that of common rounds.
        speedup: A / B. Of an unpaired one `rounds` is 0, and there is an interval only
            where the spread between runs is known.
        spread: of an unpaired one, where at least 3 runs of a side are stored.
        accuracy: of B, its change being against A; None with `accuracy_reason`.
        provenance: what else differs between the two, first suspect first.
        ops: None unless both have a profile and the time changed.
    """

    a: Row | None
    b: Row | None
    word: PairWord
    reason: str
    paired: bool
    speedup: RatioVerdict | None
    spread: Spread | None
    accuracy: Accuracy | None
    accuracy_reason: str | None
    provenance: tuple[ProvenanceChange, ...]
    ops: OpsMoved | None

    @property
    def case(self) -> Case:
        """B's, or A's where B lacks it."""
        row = self.b if self.b is not None else self.a
        assert row is not None
        return row.case

    @property
    def less_accurate(self) -> bool:
        """Whether B loses accuracy on the same samples, beyond chance."""
        found = self.accuracy
        return found is not None and found.verdict is not None and found.verdict.loss is Loss.WORSE

    @property
    def worse(self) -> bool:
        """Whether it fails a gate: what was seen, or was paired; never a ratio of two days."""
        certain = self.word in (
            PairWord.SLOWER,
            PairWord.WRONG,
            PairWord.FELL_BACK,
            PairWord.FAILED,
        )
        return certain or self.less_accurate

    @property
    def simulated(self) -> bool:
        return any(row is not None and row.simulated for row in (self.a, self.b))


@dataclass(frozen=True, slots=True)
class Pairs:
    """Two sides, case by case.

    Attributes:
        delta: smallest relative change that counts.
        differing: what they were asked to differ in: "variant", "device", ...; () for the
            same cases of two runs.
        notes: sentences that must be read with the numbers.
    """

    a: Side
    b: Side
    delta: float
    differing: tuple[str, ...]
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]

    @property
    def gate_failed(self) -> bool:
        return any(pair.worse for pair in self.pairs)
