"""The frozen records that a run leaves behind, and that everything later reads.

Times of day are aware datetimes in UTC. Durations carry their unit in the name.
A value that was not measured is None and never zero. Fields typed `Json` hold
plain JSON values and are stored as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.delegation.model import Delegation
from bench.digest import SampleDigest
from bench.identity import Case
from bench.numerics.model import Numerics
from bench.ops.model import OpProfile

Json: TypeAlias = Mapping[str, Any]
NanosecondArray: TypeAlias = NDArray[np.int64]

RECORD_VERSION = 1


class RunStatus(StrEnum):
    """Where a run stands. INTERRUPTED and RUNNING (its controller died) can be resumed."""

    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FINISHED = "finished"


class Outcome(StrEnum):
    """How one launch ended. NOT_MADE is of checks alone: nothing was started, and why stands
    in the failure."""

    OK = "ok"
    CRASHED = "crashed"
    TIMED_OUT = "timed-out"
    LOAD_FAILED = "load-failed"
    UNREADABLE = "unreadable"
    DEVICE_FAILED = "device-failed"
    NOT_MADE = "not-made"


class Source(StrEnum):
    """Where a percentile comes from (METHOD section 3).

    SAMPLES: computed here from every sample. TOOL: printed by the tool, in whole us.
    TOOL_MEAN: the tool's mean stands in for a median below 100 us, where whole us are too
    coarse. INTERPOLATED: p90 estimated between the tool's median and p95; never tested, never
    gated. UNAVAILABLE: the tool prints nothing that it could be taken from.
    """

    SAMPLES = "samples"
    TOOL = "tool"
    TOOL_MEAN = "tool-mean"
    INTERPOLATED = "interpolated"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something is not there.

    Attributes:
        kind: short, stable word: "crash", "timeout", "load", "convert", ...
        message: one line for people: what happened and, where known, what to do.
        log: path or tail of the full text, "" if none.
    """

    kind: str
    message: str
    log: str = ""


@dataclass(frozen=True, slots=True)
class HostLoad:
    """What the processor did during warm-up and measurement, read on the device itself.

    Attributes:
        wall_ns: length of that window.
        process_cpu_ns: CPU time of the measured process in it.
        busy_ns: CPU time of everybody in it, all cores, from /proc/stat; None without it.
        steal_ns: time a hypervisor took away, all cores; None without it.
    """

    wall_ns: int
    process_cpu_ns: int
    busy_ns: int | None
    steal_ns: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """What one launch measured.

    Attributes:
        samples_ns: wall time of each sample, int64 ns, in order of time. A sample is
            `invokes_per_sample` back-to-back invokes, divided by their number. None
            where the store was asked not to unpack them, and where the runner gives none.
        warmup_ns: wall time of each invoke before, from the very first on; None likewise.
        count: number of samples, also where they are not there.
        stats_version: bench.stats.STATS_VERSION that p50_us ... max_us were computed by.
        invokes_per_sample: 1, unless the timer's own cost forced batching.
        p50_us, p90_us, p95_us, mean_us, min_us, max_us: of samples_ns (mean, least and
            greatest of every sample where the runner tells them all); p90_us and p95_us are
            None with `p90_reason` where they cannot be stated, p50_us where the tool prints
            no median (p50_source UNAVAILABLE).
        first_inference_us: the first invoke; None where not measured.
        load_us, allocate_us: interpreter construction; allocate_tensors(); None where the
            runner does not tell them apart.
        input_copy_us, output_copy_us: set_tensor with quantisation, get_tensor with
            dequantisation; None where not measured.
        cpu_us_per_invoke: process CPU time per invoke over the measured part; or None.
        timer_cost_ns: cost of one pair of clock reads in this process; or None.
        steady: whether the launch was in a steady state; None where nobody can tell.
        warmup_s: length of warm-up.
        warmup_cut: how many of its invokes the rule cut; None where there is no trace.
        peak_rss_kib: VmHWM of the process; None where the system has none.
        load: what else the processor did; None where the runner does not look.
        delegation: what the delegate took.
        runtime: name, version and the like of the runtime, Python and numpy.
        inputs: where the input came from (holdout or seeded draw), seed and sha256.
        digest: halves, modes and correlation of samples_ns, by bench.digest.digest.
        p50_source, p90_source: where these come from; p95 as p90, but never interpolated.
        p90_bounds_us: between which p90 lies for certain, where it is INTERPOLATED or
            only its bounds are known (then p90_us is None): the tool's median and p95.
        resolution_us: smallest step of the times; no interval is stated narrower.
        init_us: from the start of loading to the first invoke, all included; None where
            the runner does not tell it as one.
        energy_mj_per_invoke: of the whole device above nothing, with `energy_reason` where
            None: no sensor, charging, too few readings.
    """

    samples_ns: NanosecondArray | None
    warmup_ns: NanosecondArray | None
    count: int
    stats_version: int
    invokes_per_sample: int
    p50_us: float | None
    p90_us: float | None
    p95_us: float | None
    p90_reason: str | None
    mean_us: float
    min_us: float
    max_us: float
    first_inference_us: float | None
    load_us: float | None
    allocate_us: float | None
    input_copy_us: float | None
    output_copy_us: float | None
    cpu_us_per_invoke: float | None
    timer_cost_ns: float | None
    steady: bool | None
    warmup_s: float
    warmup_cut: int | None
    peak_rss_kib: int | None
    load: HostLoad | None
    delegation: Delegation
    runtime: Json
    inputs: Json
    digest: SampleDigest | None = None
    p50_source: Source = Source.SAMPLES
    p90_source: Source = Source.SAMPLES
    p90_bounds_us: tuple[float, float] | None = None
    resolution_us: float = 0.001
    init_us: float | None = None
    energy_mj_per_invoke: float | None = None
    energy_reason: str | None = None


@dataclass(frozen=True, slots=True)
class LaunchRecord:
    """One launch, whatever became of it.

    Attributes:
        launch_id: see bench.identity.
        index: which round, from 0.
        position: place within the round's random order, from 0.
        attempt: 0, or the how-manieth repeat of a tainted launch.
        outcome: OK with `measurement`, anything else with `failure`.
        taints: why the conditions disqualify it, () if they do not.
        conditions: device state before and after, as devices.telemetry gives it.
        environment: what it was measured with: model and runner sha256, device facts.
        argv: of the runner on the device.
        stderr_tail: the end of what the runner wrote.
    """

    launch_id: str
    run_id: str
    case_id: str
    index: int
    position: int
    attempt: int
    started_utc: datetime
    duration_s: float
    outcome: Outcome
    measurement: Measurement | None
    failure: Failure | None
    taints: tuple[str, ...]
    conditions: Json
    environment: Json
    argv: tuple[str, ...]
    stderr_tail: str = ""

    @property
    def usable(self) -> bool:
        """Whether its number may enter a verdict."""
        return self.outcome is Outcome.OK and not self.taints


class Purpose(StrEnum):
    """What a launch is for. Only those for TIMING have latencies; the others are made once
    per case, after them, and are kept apart."""

    TIMING = "timing"
    PROFILE = "profile"
    NUMERICS = "numerics"
    TRACE = "trace"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that a launch left and that is kept as it is, such as a system trace."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class CheckRecord:
    """One launch beside the timed ones: a profile, a look at the answers, a system trace.

    Attributes:
        launch_id: bench.identity.check_id of run, case, purpose and attempt.
        purpose: never TIMING.
        outcome: OK with what the purpose asks for, anything else with `failure`; NOT_MADE
            where the runner or device has no such launch, with no argv and no duration.
        profile: of PROFILE; numerics: of NUMERICS.
        artifacts: of TRACE; a launch that failed may have them too.
        delegation: what the launch itself says of the delegate; None where it says nothing.
        The rest is as in LaunchRecord.
    """

    launch_id: str
    run_id: str
    case_id: str
    purpose: Purpose
    attempt: int
    started_utc: datetime
    duration_s: float
    outcome: Outcome
    failure: Failure | None
    conditions: Json
    environment: Json
    argv: tuple[str, ...]
    stderr_tail: str = ""
    profile: OpProfile | None = None
    numerics: Numerics | None = None
    artifacts: tuple[Artifact, ...] = ()
    delegation: Delegation | None = None


@dataclass(frozen=True, slots=True)
class VariantRecord:
    """One variant of one model in one run: made, or why not.

    Attributes:
        path: the file, relative to the plan's output directory; None if not made.
        provenance: recipe, source sha256, calibration sha256 and count, seeds, tool
            versions, converter warnings, whether it came from the cache.
        failure: why there is no file, or why nothing here can run the one that there is.
    """

    run_id: str
    model: str
    variant: str
    path: str | None
    sha256: str | None
    size_bytes: int | None
    provenance: Json
    failure: Failure | None = None

    @property
    def usable(self) -> bool:
        """Whether there is a file that can be evaluated and measured."""
        return self.path is not None and self.failure is None

    @property
    def zip_bytes(self) -> int | None:
        """Bytes of the file in an app package (deflate); None where nobody has looked."""
        known = self.provenance.get("zip_bytes")
        return known if isinstance(known, int) else None


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationRecord:
    """Answers of one variant on the full holdout, by one set of kernels.

    Attributes:
        kernels: "none" (plain) or "xnnpack": whose arithmetic gave the answers.
        metric, k, higher_is_better: by what they were judged, see bench.metrics.Metric.
        value: of that metric; shares in 0..1; None if it failed.
        predictions: argmax per sample, int32, in the holdout's order; None where the
            model is no classifier.
        statistics: (N, k) float64, what the metric is computed of, one row per sample;
            paired tests need it.
        labels: (N,) int32, the right class per sample, where there are predictions; None
            also in runs of versions that did not keep them.
        holdout_sha256: of the arrays it was computed on.
    """

    run_id: str
    model: str
    variant: str
    kernels: str
    metric: str
    value: float | None
    predictions: NDArray[np.int32] | None
    statistics: NDArray[np.float64] | None
    holdout_sha256: str
    runtime: Json
    failure: Failure | None = None
    labels: NDArray[np.int32] | None = None
    k: int | None = None
    higher_is_better: bool = True

    @property
    def correct(self) -> NDArray[np.bool_] | None:
        """(N,) whether each answer was right; None where answers are not right or wrong."""
        if self.statistics is None or self.metric not in ("top1", "topk"):
            return None
        right: NDArray[np.bool_] = self.statistics[:, 0] == 1
        return right


@dataclass(frozen=True, slots=True)
class PlannedCase:
    """A case as a run planned it.

    Attributes:
        reason: why it cannot exist (NOT_APPLICABLE), or None if it is to be measured.
    """

    run_id: str
    case: Case
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One execution of one plan.

    Attributes:
        plan: the plan as JSON with defaults filled in; plan_sha256 of it.
        root: directory that the plan's relative paths start from.
        host: facts of the controller.
        simulated: True where any device of it was emulated.
        pruned_utc: when its launches were taken out of the store; None where they are there.
    """

    run_id: str
    project: str
    status: RunStatus
    started_utc: datetime
    finished_utc: datetime | None
    plan: Json
    plan_sha256: str
    root: str
    seed: int
    edgebench_version: str
    host: Json
    simulated: bool = False
    pruned_utc: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunData:
    """Everything a report reads of one run.

    The measurements of `launches` are without samples_ns and warmup_ns (None) unless
    they were asked for. `earlier_sentinels` are the sentinel launches (bench.sentinel)
    of earlier runs on devices of the same names, never with samples. `checks` are without
    the content of their artifacts (b"").
    """

    run: RunRecord
    cases: tuple[PlannedCase, ...]
    variants: tuple[VariantRecord, ...]
    evaluations: tuple[EvaluationRecord, ...]
    launches: tuple[LaunchRecord, ...]
    earlier_sentinels: tuple[LaunchRecord, ...] = ()
    checks: tuple[CheckRecord, ...] = ()
