"""What a comparison says, ready to be rendered: values, never formatted text.

Made by reports.compare from stored records; read by reports.render and
reports.export. Latencies in microseconds, sizes in bytes, accuracies in 0..1,
accuracy changes in percentage points. None is "not measured", and a reason
stands beside it wherever a person would ask for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.identity import Case
from bench.records import Delegation
from bench.stability import Stability
from bench.stats import Interval, RatioVerdict


class GateStatus(StrEnum):
    """PASS and FAIL: the whole interval lies inside or outside; UNSURE: it straddles."""

    PASS = "PASS"
    FAIL = "FAIL"
    UNSURE = "UNSURE"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate applied to one case.

    Attributes:
        name: key of the gate in the plan, e.g. "accuracy_drop_max_points".
        limit, value: in the unit that `name` ends with; value None if not measured.
        reason: one line for people, e.g. "p50 1.91 to 2.04 ms, limit 2.00 ms".
    """

    name: str
    status: GateStatus
    limit: float
    value: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Accuracy of one variant by the kernels of one case.

    Attributes:
        value: share of right answers in 0..1; interval: 95 % (Wilson).
        images: size of the holdout.
        kernels: whose arithmetic it was ("none" or "xnnpack").
        change_points: minus or plus percentage points against fp32 by the same
            kernels; change_interval_points: 95 %, paired; None for fp32 itself.
        p_value: exact McNemar test on the same images; None for fp32.
    """

    value: float
    interval: Interval
    images: int
    kernels: str
    change_points: float | None
    change_interval_points: Interval | None
    p_value: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """One case of the comparison table.

    Attributes:
        case: identity.
        not_applicable: why it cannot exist, or None.
        failure: why there is no number at all, or None.
        launches_made, launches_used: denominator and numerator of "6 of 8".
        samples: number of samples in the used launches.
        p50_us, p90_us, p95_us: median over launches of each launch's own; with intervals.
        p90_reason: why p90_us and p95_us are None.
        first_inference_us, load_us, min_us, cpu_us_per_invoke: medians over launches
            (min_us: the least).
        peak_rss_kib: largest over launches.
        size_bytes, model_sha256: of the variant's file.
        accuracy: None with accuracy_reason.
        speedup: per-round ratio fp32 / this case at equal delegate, threads and
            device; above 1 is faster than fp32. None for fp32 and with speedup_reason.
        stability, delegation: verdicts.
        gates: every gate that applies to this case.
        pareto: on the front of accuracy (high), p50 (low), size (low) of its device.
        launch_samples_us: per used launch, its samples in us (for distributions);
            empty unless asked for.
    """

    case: Case
    case_id: str
    not_applicable: str | None
    failure: str | None
    launches_made: int
    launches_used: int
    samples: int
    p50_us: float | None
    p50_interval_us: Interval | None
    p90_us: float | None
    p90_interval_us: Interval | None
    p90_reason: str | None
    p95_us: float | None
    p95_interval_us: Interval | None
    first_inference_us: float | None
    load_us: float | None
    min_us: float | None
    cpu_us_per_invoke: float | None
    peak_rss_kib: int | None
    size_bytes: int | None
    model_sha256: str | None
    accuracy: Accuracy | None
    accuracy_reason: str | None
    speedup: RatioVerdict | None
    speedup_reason: str | None
    stability: Stability
    delegation: Delegation | None
    gates: tuple[GateResult, ...]
    pareto: bool
    launch_samples_us: tuple[NDArray[np.float64], ...] = ()


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The variant to ship, or why there is none.

    Attributes:
        variant: None if no variant passes every gate.
        model: of which model.
        configuration: device -> (delegate, threads) it should run with there.
        equally_fast: variants not significantly slower than the fastest, in order.
        rule: the stated rule, one sentence.
        reason: why this one, or which gates failed; one or two sentences.
    """

    model: str
    variant: str | None
    configuration: Mapping[str, tuple[str, int]]
    equally_fast: tuple[str, ...]
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class VariantSummary:
    """One variant of one model, independent of where it ran."""

    model: str
    variant: str
    size_bytes: int | None
    size_ratio: float | None
    sha256: str | None
    failure: str | None
    provenance: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything a report of one run shows.

    Attributes:
        run_id, project, status: of the run; status is RunStatus's value.
        environment: facts shared by all launches (runtime, device, controls).
        rounds: planned number.
        delta: smallest relative change that counts, e.g. 0.02.
        notes: sentences that must be read with the numbers (speaks for this unit ...).
        simulated: True if any number of it is.
    """

    run_id: str
    project: str
    status: str
    started_utc: datetime
    finished_utc: datetime | None
    edgebench_version: str
    environment: Mapping[str, Any]
    rounds: int
    seed: int
    delta: float
    rows: tuple[Row, ...]
    variants: tuple[VariantSummary, ...]
    recommendations: tuple[Recommendation, ...]
    notes: tuple[str, ...]
    simulated: bool
