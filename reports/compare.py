"""Stored records of one run -> the comparison that every report shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bench.config import PlanConfig
from bench.planfile import parse_plan
from bench.records import Measurement, RunData, RunStatus, VariantRecord
from bench.sentinel import judge
from bench.stability import StabilityWord
from bench.stats import adaptive_interval, launch_interval
from reports.accuracies import Judged, Key, judge_all, shown_classes
from reports.gates import apply_gates
from reports.measured import MeasuredCase, measured_cases, why_not_as_requested
from reports.model import (
    Accuracy,
    Comparison,
    Row,
    VariantSummary,
)
from reports.provenance import tf_ops_of, warnings_of
from reports.recommend import Evidence, recommend
from reports.speedups import REFERENCE, Speedup, speedups

# Below this number of units nothing is said about a device model (METHOD section 9).
UNITS_OF_A_MODEL = 3


def compare(data: RunData, plan: PlanConfig | None = None) -> Comparison:
    """Everything a report says of one run: one row per planned case, in the plan's order.

    Args:
        data: of the run. Where its launches carry their samples, the rows do too.
        plan: the run's plan; read from its record if not given.

    Raises: UserError if the recorded plan cannot be read by this version.
    """
    if plan is None:
        plan = parse_plan(dict(data.run.plan), where=f"plan of run {data.run.run_id}")
    cases = measured_cases(data, plan)
    ratios = speedups(cases, delta=plan.analysis.delta)
    variants = {(v.model, v.variant): v for v in data.variants}
    judged = judge_all(data.evaluations, plan.gates)
    holdouts = {model.name: model.holdout is not None for model in plan.model}
    rows = []
    for item in cases:
        case = item.case
        holdout = holdouts.get(case.model, False)
        accuracy, reason = _accuracy(item, judged, holdout)
        row = _row(
            item,
            variants.get((case.model, case.variant)),
            ratios[case.case_id],
            accuracy,
            reason,
            adaptive=plan.measure.precision is not None,
        )
        rows.append(replace(row, gates=apply_gates(row, plan.gates, holdout=holdout)))
    batched = {item.case.case_id: item.batches != {1} for item in cases}
    front = _pareto(rows, batched)
    final = tuple(replace(row, pareto=row.case_id in front) for row in rows)
    evidence = Evidence(
        p50_by_round={item.case.case_id: item.p50_by_round for item in cases},
        batched=batched,
        statistics={
            (e.model, e.variant, e.kernels): e.statistics
            for e in data.evaluations
            if e.statistics is not None
        },
    )
    recommendations = recommend(final, evidence, delta=plan.analysis.delta)
    return Comparison(
        run_id=data.run.run_id,
        project=data.run.project,
        status=data.run.status.value,
        started_utc=data.run.started_utc,
        finished_utc=data.run.finished_utc,
        edgebench_version=data.run.edgebench_version,
        environment=_environment(data),
        rounds=plan.measure.rounds,
        seed=data.run.seed,
        delta=plan.analysis.delta,
        rows=final,
        variants=_summaries(data.variants),
        recommendations=recommendations,
        notes=_notes(data, cases, final),
        simulated=data.run.simulated,
        classes=shown_classes(judged, recommendations),
    )


def _row(
    item: MeasuredCase,
    variant: VariantRecord | None,
    speedup: Speedup,
    accuracy: Accuracy | None,
    accuracy_reason: str | None,
    *,
    adaptive: bool,
) -> Row:
    measured = item.measurements if item.failure is None else ()
    made = adaptive_interval if adaptive else launch_interval
    p90_reason = _p90_reason(measured) if measured else item.failure
    p90s = [] if p90_reason else [m.p90_us for m in measured if m.p90_us is not None]
    p95s = [m.p95_us for m in measured if m.p95_us is not None] if p90s else []
    # Half of the launches would give another quantity under the same name.
    p95s = p95s if len(p95s) == len(measured) else []
    p50s = [m.p50_us for m in measured]
    rss = [m.peak_rss_kib for m in measured if m.peak_rss_kib is not None]
    return Row(
        case=item.case,
        case_id=item.case.case_id,
        not_applicable=item.planned.reason,
        failure=item.failure,
        launches_made=len(item.launches),
        launches_used=len(item.used),
        samples=sum(m.count for m in measured),
        p50_us=_median(p50s),
        p50_interval_us=made(p50s),
        p90_us=_median(p90s),
        p90_interval_us=made(p90s),
        p90_reason=p90_reason,
        p95_us=_median(p95s),
        p95_interval_us=made(p95s),
        first_inference_us=_median([m.first_inference_us for m in measured]),
        load_us=_median([m.load_us for m in measured]),
        min_us=min((m.min_us for m in measured), default=None),
        cpu_us_per_invoke=_median([m.cpu_us_per_invoke for m in measured]),
        peak_rss_kib=max(rss, default=None),
        size_bytes=None if variant is None else variant.size_bytes,
        model_sha256=None if variant is None else variant.sha256,
        accuracy=accuracy,
        accuracy_reason=accuracy_reason,
        speedup=speedup.verdict,
        speedup_reason=speedup.reason,
        stability=item.stability,
        delegation=item.delegation,
        gates=(),
        pareto=False,
        tf_ops=() if variant is None else tf_ops_of(variant),
        warnings=() if variant is None else warnings_of(variant),
        launch_samples_us=tuple(m.samples_ns / 1e3 for m in measured if m.samples_ns is not None),
    )


def _p90_reason(measured: Sequence[Measurement]) -> str | None:
    without = [m for m in measured if m.p90_us is None]
    if not without:
        return None
    reason = next((m.p90_reason for m in without if m.p90_reason), "not measured")
    if len(without) == len(measured):
        return reason
    return f"missing in {len(without)} of {len(measured)} launches: {reason}"


def _accuracy(
    item: MeasuredCase, judged: Mapping[Key, Judged], holdout: bool
) -> tuple[Accuracy | None, str | None]:
    """Accuracy by the kernels of the case's delegate, and what is missing of it."""
    case, kernels = item.case, item.case.delegate.name
    mine = judged.get((case.model, case.variant, kernels))
    if mine is not None:
        return mine.accuracy, mine.reason
    if not holdout:
        return None, "no holdout in the plan"
    return None, f"{case.variant} was not evaluated with the kernels of {kernels}"


def _pareto(rows: Sequence[Row], batched: Mapping[str, bool]) -> frozenset[str]:
    """case_ids on the front of accuracy (good), p50 (low), size (low) per model and device.

    Batched cases have a front of their own, as they are never compared with the others.
    """
    points: dict[str, tuple[tuple[str, str, bool], tuple[float, float, float]]] = {}
    for row in rows:
        if (
            row.accuracy is not None
            and row.p50_us is not None
            and row.size_bytes is not None
            and row.stability.word is not StabilityWord.INVALID
            and why_not_as_requested(row.delegation) is None
        ):
            place = (row.case.model, row.case.device, batched[row.case_id])
            badness = -row.accuracy.metric.better(row.accuracy.value, 0.0)
            points[row.case_id] = (place, (badness, row.p50_us, row.size_bytes))

    def dominated(place: tuple[str, str, bool], mine: tuple[float, float, float]) -> bool:
        return any(
            place == other_place
            and other != mine
            and all(a <= b for a, b in zip(other, mine, strict=True))
            for other_place, other in points.values()
        )

    return frozenset(key for key, (place, mine) in points.items() if not dominated(place, mine))


def _summaries(variants: Iterable[VariantRecord]) -> tuple[VariantSummary, ...]:
    variants = tuple(variants)
    reference = {v.model: v.size_bytes for v in variants if v.variant == REFERENCE}
    summaries = []
    for v in variants:
        base = reference.get(v.model)
        summaries.append(
            VariantSummary(
                model=v.model,
                variant=v.variant,
                size_bytes=v.size_bytes,
                size_ratio=v.size_bytes / base if v.size_bytes is not None and base else None,
                sha256=v.sha256,
                failure=None if v.failure is None else v.failure.message,
                provenance=v.provenance,
                zip_bytes=v.zip_bytes,
                tf_ops=tf_ops_of(v),
                warnings=warnings_of(v),
            )
        )
    return tuple(summaries)


def _environment(data: RunData) -> Mapping[str, Any]:
    """What all launches share, and the controller; what differs is left out."""
    shared: dict[str, Any] = _shared([launch.environment for launch in data.launches])
    runtime = _shared([x.measurement.runtime for x in data.launches if x.measurement is not None])
    # The file belongs to the variant, also where a run has only one.
    shared.pop("model_sha256", None)
    return {**shared, "runtime": runtime, "host": data.run.host}


def _shared(values: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if not values:
        return {}
    first, *others = values
    return {
        key: value
        for key, value in first.items()
        if all(key in other and other[key] == value for other in others)
    }


def _notes(data: RunData, cases: Sequence[MeasuredCase], rows: Sequence[Row]) -> tuple[str, ...]:
    notes = []
    if data.run.simulated:
        notes.append("Simulated: at least one device of this run is emulated; no number is real.")
    if data.run.status is not RunStatus.FINISHED:
        notes.append(f"The run is {data.run.status.value}: rounds are missing.")
    devices = sorted({item.case.device for item in cases})
    if len(devices) < UNITS_OF_A_MODEL:
        what = "this unit" if len(devices) == 1 else "these units"
        notes.append(f"Speaks for {what} only ({', '.join(devices)}), not for its kind.")
    notes.append(
        "Latency is back to back with warm caches, without copying inputs and outputs; the unit"
        " of analysis is the launch (one fresh process)."
    )
    if any(row.accuracy is not None for row in rows):
        kernels = sorted({row.accuracy.kernels for row in rows if row.accuracy is not None})
        notes.append(
            "Accuracy is by the kernels of each row's delegate (evaluated: "
            f"{', '.join(kernels)}); changes are paired on the same images."
        )
    metrics = dict.fromkeys(row.accuracy.metric for row in rows if row.accuracy is not None)
    for metric in metrics:
        if not metric.is_share:
            better = "more" if metric.higher_is_better else "less"
            notes.append(
                f"{metric.title}: {better} is better; it is no share, so that changes are in its"
                " own unit and accuracy_drop_max_points does not apply; accuracy_ratio_min does."
            )
    made = sum(row.launches_made for row in rows)
    lost = made - sum(row.launches_used for row in rows)
    if lost:
        tainted = sum(bool(launch.taints) for item in cases for launch in item.launches)
        notes.append(
            f"{lost} of {made} launches are not used ({tainted} tainted, the others failed or were"
            " repeated)."
        )
    notes += _sentinels(data)
    foreign = sum(item.foreign for item in cases)
    if foreign:
        notes.append(f"{foreign} launches are left out: they measured another file of a variant.")
    for row in rows:
        doubt = why_not_as_requested(row.delegation)
        if row.p50_us is not None and doubt is not None:
            notes.append(f"{row.case.model} · {row.case.label} on {row.case.device}: {doubt}.")
    return tuple(notes)


def _sentinels(data: RunData) -> Iterator[str]:
    """Per device: whether it ran at its ordinary speed (METHOD section 6)."""
    sentinels = [planned.case for planned in data.cases if planned.case.is_sentinel]
    for case in sentinels:
        verdict = judge(
            [item for item in data.launches if item.case_id == case.case_id],
            [item for item in data.earlier_sentinels if item.case_id == case.case_id],
        )
        yield f"{case.device}: {verdict.sentence}" if len(sentinels) > 1 else verdict.sentence


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(np.asarray(values))) if values else None
