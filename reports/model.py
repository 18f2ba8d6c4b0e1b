"""What a comparison says, ready to be rendered: values, never formatted text.

Made by reports.compare from stored records; read by reports.render and
reports.export. Latencies in microseconds, sizes in bytes, accuracies in 0..1 or the
metric's own unit. None is "not measured", and a reason stands beside it wherever a
person would ask for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.accuracy import LossVerdict
from bench.delegation.model import Delegation
from bench.identity import Case
from bench.metrics import Metric
from bench.numerics.model import Numerics, NumericsVerdict, NumericsWord
from bench.records import Source
from bench.stability import Stability
from bench.stats import Interval, RatioVerdict
from reports.delegate_model import AgainstCpu, ForecastSeen, ProfileSeen, SlowerThanFp32
from reports.device_model import AcrossDevices, DeviceConditions, LaunchTrace


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
        limit, value: in the unit that `name` ends with; value None if not measured, limit
            None where the gate has none ("numerics": no answer may be WRONG).
        reason: one line for people, e.g. "p50 1.91 to 2.04 ms, limit 2.00 ms".
    """

    name: str
    status: GateStatus
    limit: float | None
    value: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Accuracy of one variant by the kernels of one case, whatever the metric.

    Attributes:
        metric: which one; shares are in 0..1, all others in a unit of their own.
        value: of it; interval: 95 %, None where there are too few samples for one.
        images: number of samples in the holdout.
        kernels: whose arithmetic it was ("none" or "xnnpack").
        change: value minus that of fp32 by the same kernels; change_interval: 95 %, paired;
            both None for fp32 itself.
        p_value: two-sided, on the same samples (McNemar, or by randomisation); None for fp32.
        verdict: what the change says, in words; None for fp32.
        agreeing: number of samples on which it answers as fp32 does; None for fp32, and
            where the model is no classifier.
    """

    metric: Metric
    value: float
    interval: Interval | None
    images: int
    kernels: str
    change: float | None = None
    change_interval: Interval | None = None
    p_value: float | None = None
    verdict: LossVerdict | None = None
    agreeing: int | None = None

    @property
    def change_points(self) -> float | None:
        """The change in percentage points; None where it is no share."""
        return None if self.change is None or not self.metric.is_share else 100 * self.change

    @property
    def change_interval_points(self) -> Interval | None:
        """Its interval, likewise."""
        around = self.change_interval
        if around is None or not self.metric.is_share:
            return None
        return Interval(100 * around.low, 100 * around.high, around.confidence, around.kind)


@dataclass(frozen=True, slots=True)
class ClassRow:
    """How one class fares.

    Attributes:
        images: of that class in the holdout.
        recall: share of them that were found; None without any.
        precision: share of right ones among the answers of that class; None without any.
        recall_change: recall minus that of fp32, in 0..1; None for fp32.
    """

    label: int
    images: int
    recall: float | None
    precision: float | None
    recall_change: float | None


@dataclass(frozen=True, slots=True)
class Confusion:
    """`count` images of class `label` were taken for `predicted`; by fp32 `before` of them."""

    label: int
    predicted: int
    count: int
    before: int | None


@dataclass(frozen=True, slots=True)
class ClassReport:
    """The classes of one variant by one set of kernels, no more than can be read.

    Attributes:
        classes: number of classes in labels and answers.
        rows: the classes in order, or, of many, those that lost most; `left_out` others.
        matrix: rows are labels, columns answers; () where there are too many classes.
        confusions: the commonest, most frequent first.
        images: of the holdout; `agreeing` of them it answers as fp32 does, None for fp32.
        verdict: whether it lost accuracy, in words; "" for fp32.
    """

    model: str
    variant: str
    kernels: str
    classes: int
    rows: tuple[ClassRow, ...]
    left_out: int
    matrix: tuple[tuple[int, ...], ...]
    confusions: tuple[Confusion, ...]
    images: int
    agreeing: int | None = None
    verdict: str = ""


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
        tf_ops: TensorFlow ops in the variant's file, which no TFLite runtime executes.
        warnings: what is odd about how the variant was made (its calibration above all).
        launch_samples_us: per used launch, its samples in us (for distributions);
            empty unless asked for.
        p50_source, p90_source: where these come from, of p50_us and p90_us; None without a
            number at all. With p50_source UNAVAILABLE p50_us is None and mean_us, under
            its own name, is all there is; TOOL_MEAN: p50_us is the tool's mean.
        p90_bounds_us: between which p90 lies for certain, where it is an estimate
            (INTERPOLATED; then p90_interval_us is None) or where only that is known.
        mean_us: median over launches of each launch's mean, with its interval.
        resolution_us: smallest step of the times.
        init_us, energy_mj_per_invoke: medians over launches, None unless all have one;
            energy_reason says why there is no energy.
        simulated: measured on an emulator.
        numerics, answers: how far its answers lie from the reference's, judged and in
            figures; both None with numerics_reason.
        profile: of its profiling launch, in short; None with profile_reason.
        against_cpu: its speed-up against the processor of its device; None where nobody
            has looked.
        forecast: what its delegate was expected to take; None where no list is of it.
        traces: its most telling launches, sample by sample; () unless samples were asked for.
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
    tf_ops: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    launch_samples_us: tuple[NDArray[np.float64], ...] = ()
    p50_source: Source | None = Source.SAMPLES
    p90_source: Source | None = Source.SAMPLES
    p90_bounds_us: tuple[float, float] | None = None
    mean_us: float | None = None
    mean_interval_us: Interval | None = None
    resolution_us: float | None = None
    init_us: float | None = None
    energy_mj_per_invoke: float | None = None
    energy_reason: str | None = None
    simulated: bool = False
    numerics: NumericsVerdict | None = None
    answers: Numerics | None = None
    numerics_reason: str | None = None
    profile: ProfileSeen | None = None
    profile_reason: str | None = None
    against_cpu: AgainstCpu | None = None
    forecast: ForecastSeen | None = None
    traces: tuple[LaunchTrace, ...] = ()

    @property
    def is_wrong(self) -> bool:
        """Whether its answers are WRONG: then its speed counts for nothing."""
        return self.numerics is not None and self.numerics.word is NumericsWord.WRONG

    @property
    def is_suspect(self) -> bool:
        """Whether its delegate's work is doubted although nothing contradicts it outright."""
        return self.delegation is not None and bool(self.delegation.suspicion)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The variant to ship, or why there is none.

    Attributes:
        variant: None if no variant passes every gate.
        model: of which model.
        configuration: place -> (delegate, threads) it should run with there; a place is a
            device, with the runner behind it where the device has several.
        equally_fast: variants not significantly slower than the fastest, in order.
        rule: the stated rule, one sentence.
        reason: why this one, or which gates failed; one or two sentences.
        simulated: True where it rests on simulated devices, as there are no real ones.
    """

    model: str
    variant: str | None
    configuration: Mapping[str, tuple[str, int]]
    equally_fast: tuple[str, ...]
    rule: str
    reason: str
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class VariantSummary:
    """One variant of one model, independent of where it ran.

    Attributes:
        size_bytes, zip_bytes: of the file, and of its entry in a zip that compresses it.
        size_ratio: size_bytes divided by that of fp32.
        failure: why there is no file, or, where size_bytes is known, why it cannot run.
        tf_ops: TensorFlow ops in the file, which no TFLite runtime executes.
        warnings: what is odd about its calibration, or contradicts its name.
    """

    model: str
    variant: str
    size_bytes: int | None
    size_ratio: float | None
    sha256: str | None
    failure: str | None
    provenance: Mapping[str, Any]
    zip_bytes: int | None = None
    tf_ops: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything a report of one run shows.

    Attributes:
        run_id, project, status: of the run; status is RunStatus's value.
        environment: facts shared by all launches (runtime, device, controls).
        rounds: planned number.
        delta: smallest relative change that counts, e.g. 0.02.
        notes: sentences that must be read with the numbers (speaks for this unit ...).
        simulated: True if any number of it is; each row says which.
        classes: of classifiers, one per variant that was evaluated.
        devices: conditions on each, in the order of the plan.
        across: speed-ups over several devices.
        slower: quantised cases that are slower than fp32, and why.
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
    classes: tuple[ClassReport, ...] = ()
    devices: tuple[DeviceConditions, ...] = ()
    across: tuple[AcrossDevices, ...] = ()
    slower: tuple[SlowerThanFp32, ...] = ()
