"""Stored records of one run -> the comparison that every report shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import median

import numpy as np

from bench.config import MeasureConfig, ModelConfig, PlanConfig
from bench.headline import Tail, headline, tail
from bench.metrics import metric_of
from bench.planfile import parse_plan
from bench.records import Measurement, RunData, Source, VariantRecord
from bench.stability import StabilityWord
from bench.stats import Interval, adaptive_interval, launch_interval
from reports.accuracies import Judged, Key, judge_all, judge_devices, shown_classes
from reports.across import across_devices
from reports.conditions import conditions
from reports.delegations import doubted
from reports.forecasts import forecast_seen
from reports.gates import apply_gates
from reports.measured import MeasuredCase, measured_cases
from reports.model import Accuracy, Comparison, Row, VariantSummary
from reports.notes import environment, notes
from reports.op_times import op_differences
from reports.provenance import tf_ops_of, warnings_of
from reports.recommend import Evidence, recommend
from reports.slower import slower_than_fp32
from reports.speedups import REFERENCE, CpuPair, Speedup, against_cpu, speedups
from reports.standing import why_not_under_its_name
from reports.traces import traces_of


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
    judged = judge_all(data.evaluations, plan.gates)
    rows = _against_fp32(rows_of(data, plan, cases, judged), cases)
    quantity = {item.case.case_id: item.quantity for item in cases}
    front = _pareto(rows, quantity)
    final = tuple(replace(row, pareto=row.case_id in front) for row in rows)
    evidence = Evidence(
        p50_by_round={item.case.case_id: item.p50_by_round for item in cases},
        quantity=quantity,
        resolution={item.case.case_id: item.resolution for item in cases},
        statistics={
            (e.model, e.variant, e.kernels): e.statistics
            for e in data.evaluations
            if e.statistics is not None
        },
    )
    recommendations = recommend(
        [row for row in final if not row.case.is_before], evidence, delta=plan.analysis.delta
    )
    return Comparison(
        run_id=data.run.run_id,
        project=data.run.project,
        status=data.run.status.value,
        started_utc=data.run.started_utc,
        finished_utc=data.run.finished_utc,
        edgebench_version=data.run.edgebench_version,
        environment=environment(data),
        rounds=plan.measure.rounds,
        seed=data.run.seed,
        delta=plan.analysis.delta,
        rows=final,
        variants=_summaries(data.variants),
        recommendations=recommendations,
        notes=notes(data, cases, final),
        simulated=data.run.simulated or any(row.simulated for row in final),
        classes=shown_classes(judged, recommendations),
        devices=conditions(data),
        across=across_devices(final),
        slower=slower_than_fp32(cases, final),
    )


def rows_of(
    data: RunData, plan: PlanConfig, cases: Sequence[MeasuredCase], judged: Mapping[Key, Judged]
) -> list[Row]:
    """One row per case, without what it takes all of a report to say: `pareto` is False, and
    profiles are held against none.

    Args:
        cases: all of the run; judged: all of its evaluations.
    """
    ratios = speedups(cases, delta=plan.analysis.delta)
    cpus = against_cpu(cases, delta=plan.analysis.delta)
    variants = {(v.model, v.variant): v for v in data.variants}
    on_device = judge_devices(
        ((item.case, item.checked.answers) for item in cases),
        plan.gates,
        higher_is_better={m.name: metric_of(m.metric).higher_is_better for m in plan.model},
    )
    models = {model.name: model for model in plan.model}
    rows = []
    for item in cases:
        case = item.case
        accuracy, reason = _accuracy(
            item, judged, on_device.get(case.case_id), models[case.model], plan.measure
        )
        row = _row(
            item,
            variants.get((case.model, case.variant)),
            ratios[case.case_id],
            cpus[case.case_id],
            accuracy,
            reason,
            adaptive=plan.measure.precision is not None,
        )
        rows.append(
            replace(
                row,
                # The old side of an A/B is what today's is held against, and ships no more.
                gates=()
                if case.is_before
                else apply_gates(row, plan.gates, holdout=models[case.model].holdout is not None),
            )
        )
    return rows


def _row(
    item: MeasuredCase,
    variant: VariantRecord | None,
    speedup: Speedup,
    cpu: CpuPair,
    accuracy: Accuracy | None,
    accuracy_reason: str | None,
    *,
    adaptive: bool,
) -> Row:
    measured = item.measurements if item.failure is None else ()
    p50 = headline(measured) if measured else None
    p90 = tail(measured) if measured else None
    resolution = p50.resolution_us if p50 is not None else 0.0

    def interval(values: Sequence[float]) -> Interval | None:
        made = adaptive_interval if adaptive else launch_interval
        return made(values, resolution=resolution)

    p50s = p50.values_us if p50 is not None and p50.is_p50 else ()
    p90s = p90.values_us if p90 is not None else ()
    estimated = p90 is not None and p90.source is Source.INTERPOLATED
    p95s = [m.p95_us for m in measured if m.p95_us is not None]
    # Half of the launches would give another quantity under the same name.
    p95s = p95s if len(p95s) == len(measured) else []
    means = [m.mean_us for m in measured]
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
        p50_interval_us=interval(p50s),
        p90_us=_median(p90s),
        p90_interval_us=None if estimated else interval(p90s),
        p90_reason=item.failure if p90 is None else p90.reason,
        p95_us=_median(p95s),
        p95_interval_us=interval(p95s),
        first_inference_us=_known([m.first_inference_us for m in measured]),
        load_us=_known([m.load_us for m in measured]),
        min_us=min((m.min_us for m in measured), default=None),
        cpu_us_per_invoke=_known([m.cpu_us_per_invoke for m in measured]),
        peak_rss_kib=max(rss, default=None),
        size_bytes=None if variant is None else variant.size_bytes,
        model_sha256=None if variant is None else variant.sha256,
        accuracy=accuracy,
        accuracy_reason=accuracy_reason,
        speedup=speedup.verdict,
        speedup_reason=speedup.reason,
        stability=item.stability,
        delegation=doubted(item.delegation, cpu.evidence),
        gates=(),
        pareto=False,
        tf_ops=() if variant is None else tf_ops_of(variant),
        warnings=() if variant is None else warnings_of(variant),
        launch_samples_us=tuple(m.samples_ns / 1e3 for m in measured if m.samples_ns is not None),
        p50_source=None if p50 is None else p50.source,
        p90_source=None if p90 is None else p90.source,
        p90_bounds_us=_median_bounds(p90),
        mean_us=_median(means),
        mean_interval_us=interval(means),
        resolution_us=None if p50 is None else p50.resolution_us,
        init_us=_known([m.init_us for m in measured]),
        energy_mj_per_invoke=_known([m.energy_mj_per_invoke for m in measured]),
        energy_reason=_energy_reason(measured),
        simulated=item.simulated,
        numerics=item.checked.numerics,
        answers=item.checked.answers,
        numerics_reason=item.checked.numerics_reason,
        profile=item.checked.profile_seen,
        profile_reason=item.checked.profile_reason,
        against_cpu=cpu.against,
        traces=traces_of(item),
        forecast=None
        if item.planned.reason is not None
        else forecast_seen(item.case, variant, item.delegation),
    )


def _against_fp32(rows: Sequence[Row], cases: Sequence[MeasuredCase]) -> list[Row]:
    """The rows with what their profiles say against fp32's."""
    profiles = {item.case: item.checked.profile for item in cases}
    made = []
    for row in rows:
        mine = profiles[row.case]
        theirs = profiles.get(replace(row.case, variant=REFERENCE))
        seen = row.profile
        if seen is not None and mine is not None and theirs is not None and theirs is not mine:
            seen = replace(seen, against_fp32=op_differences(mine, theirs))
        made.append(replace(row, profile=seen))
    return made


def _median_bounds(p90: Tail | None) -> tuple[float, float] | None:
    """Between which the median of the launches' p90 lies, if each lies within its own bounds."""
    if p90 is None or not p90.bounds_us:
        return None
    low, high = np.median(np.asarray(p90.bounds_us), axis=0)
    return float(low), float(high)


def _energy_reason(measured: Sequence[Measurement]) -> str | None:
    without = [m for m in measured if m.energy_mj_per_invoke is None]
    return next((m.energy_reason for m in without if m.energy_reason), None)


def _accuracy(
    item: MeasuredCase,
    judged: Mapping[Key, Judged],
    on_device: Judged | None,
    model: ModelConfig,
    measure: MeasureConfig,
) -> tuple[Accuracy | None, str | None]:
    """Accuracy of the case's own answers, or by the kernels of its delegate here, and what is
    missing of it.

    Its own come first where they are of the whole holdout, or where nothing else is.
    """
    case, answers = item.case, item.checked.answers
    whole = answers is not None and answers.accuracy is not None and answers.accuracy.is_whole
    # With options, such as half precision, it is other arithmetic than was evaluated here.
    here = None
    if not case.delegate.options:
        here = judged.get((case.model, case.variant, case.delegate.name))
    mine = on_device if whole or here is None else here
    if mine is not None:
        return mine.accuracy, mine.reason
    if model.holdout is None:
        return None, "no holdout in the plan"
    reason = f"{case.variant} was not evaluated with the kernels of {case.delegate.label}"
    if measure.device_accuracy:
        return None, f"{reason}, and its device gave no answers to judge"
    return None, (f"{reason}; measure.device_accuracy has each device answer itself")


def _pareto(rows: Sequence[Row], quantity: Mapping[str, str]) -> frozenset[str]:
    """case_ids on the front of accuracy (good), p50 (low), size (low) per model, device and
    runner.

    Cases whose p50 is another quantity have a front of their own, as they are never compared.
    """
    places: dict[tuple[str, ...], dict[str, tuple[float, float, float]]] = defaultdict(dict)
    for row in rows:
        if (
            row.accuracy is not None
            and row.p50_us is not None
            and row.size_bytes is not None
            and row.stability.word is not StabilityWord.INVALID
            and why_not_under_its_name(row) is None
        ):
            case = row.case
            place = (case.model, case.device, case.runner, quantity[row.case_id])
            badness = -row.accuracy.metric.better(row.accuracy.value, 0.0)
            places[place][row.case_id] = (badness, row.p50_us, row.size_bytes)
    return frozenset(
        key
        for points in places.values()
        for key, mine in points.items()
        if not any(
            other != mine and all(a <= b for a, b in zip(other, mine, strict=True))
            for other in points.values()
        )
    )


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


def _median(values: Sequence[float]) -> float | None:
    # Not numpy's: of a handful of numbers, of ten thousand cases, it takes ten times as long.
    return float(median(values)) if values else None


def _known(values: Sequence[float | None]) -> float | None:
    """The median where every launch has a value: of some it would be another quantity."""
    known = [value for value in values if value is not None]
    return _median(known) if len(known) == len(values) else None
