"""What one run says of one series, in one row: all that history, weekly and fleet read.

A point is derived from the launches of its run by reports.points and can be made again from
them, by another version of these rules if need be; what was measured stays where it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

# Of the rules that points are made by; points of other rules are made again.
POINTS_VERSION = 1


class PointState(StrEnum):
    """What became of a case in a run.

    MEASURED: it has a number under its own name. INVALID: it ran, with too few clean launches
    or none; what number there is has no say. FELL_BACK: what was measured was not its
    delegate. FAILED: no launch of it ended well. UNFINISHED: the run ended before it.
    NOT_APPLICABLE: it cannot exist.
    """

    MEASURED = "measured"
    INVALID = "invalid"
    FELL_BACK = "fell-back"
    FAILED = "failed"
    UNFINISHED = "unfinished"
    NOT_APPLICABLE = "not-applicable"


@dataclass(frozen=True, slots=True)
class Point:
    """One case of one run. None is "not measured", never zero.

    Attributes:
        run_id, case_id: the case is the series (docs/design.md, "Identity").
        started_utc: of the run.
        state: with `reason` for all but MEASURED, "" then.
        quantity: what p50_us is the p50 of; values of different quantities are never compared.
        p50_us, p90_us: median over launches of each launch's own, with the interval of p50.
        mean_us: where the tool prints no percentile; never compared.
        p50_by_round_us: (round, p50 of its used launch), in order of rounds.
        launches_made, launches_used: denominator and numerator of "6 of 8".
        stability: bench.stability.StabilityWord.
        coverage: bench.delegation.model.Coverage of the delegate; with nodes.
        numerics: bench.numerics.model.NumericsWord.
        accuracy: in 0..1 or the metric's own unit, with its 95 % interval.
        metric: bench.metrics.Metric's label; "" without accuracy.
        gates_failed: names of the gates that it fails.
        start_c: median temperature before its used launches.
        environment_id: of its last used launch, else of its last launch.
        runtime: name and version that its used launches tell, "ai_edge_litert 2.3.0"; "" where
            they tell none. No environment has it: a runtime says it only once it runs.
    """

    run_id: str
    case_id: str
    started_utc: datetime
    state: PointState
    reason: str
    quantity: str
    p50_us: float | None
    p50_low_us: float | None
    p50_high_us: float | None
    p90_us: float | None
    mean_us: float | None
    p50_by_round_us: tuple[tuple[int, float], ...]
    launches_made: int
    launches_used: int
    stability: str
    coverage: str | None
    delegated_nodes: int | None
    total_nodes: int | None
    numerics: str | None
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    metric: str
    higher_is_better: bool
    gates_failed: tuple[str, ...]
    size_bytes: int | None
    model_sha256: str | None
    peak_rss_kib: int | None
    energy_mj_per_invoke: float | None
    start_c: float | None
    environment_id: str | None
    simulated: bool
    runtime: str = ""

    @property
    def judged(self) -> bool:
        """Whether its p50 may enter a verdict over time."""
        return self.state is PointState.MEASURED and self.p50_us is not None


class BaselineKind(StrEnum):
    """PINNED: the run that everything is held against until another is pinned. RELEASE: a run
    that stands for a release, by name; the newest one counts."""

    PINNED = "pinned"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class Baseline:
    """A run that others are held against.

    Attributes:
        name: of a release; "" of the pinned one.
        run_id: None where what had this name was unpinned.
    """

    project: str
    kind: BaselineKind
    name: str
    run_id: str | None
    made_utc: datetime
