"""Evaluations -> accuracies: values with intervals, and paired changes against the reference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from bench.accuracy import allowed_loss as allowed_by_gates
from bench.accuracy import judge_loss, paired_change, value_interval
from bench.config import GatesConfig
from bench.identity import Case
from bench.metrics import Metric, metric_named
from bench.numerics.model import DeviceAccuracy, Numerics
from bench.records import EvaluationRecord
from reports.classes import class_report
from reports.model import Accuracy, ClassReport, Recommendation

REFERENCE = "fp32"

# Whose classes are shown, unless the recommendation runs by others.
USUAL_KERNELS = "xnnpack"

# (model, variant, kernels)
Key: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Judged:
    """The accuracy of one evaluation, and what is missing of it.

    Attributes:
        reason: why there is no accuracy, or no change; None if nothing is missing.
        classes: of a classifier.
    """

    accuracy: Accuracy | None
    reason: str | None
    classes: ClassReport | None = None


def judge_all(
    evaluations: Sequence[EvaluationRecord],
    gates: GatesConfig,
    *,
    reference: str = REFERENCE,
    classes: bool = True,
) -> Mapping[Key, Judged]:
    """Every evaluation, each against the reference of its model by the same kernels.

    Args:
        classes: whether to look at the classes too.
    """
    by_key = {(e.model, e.variant, e.kernels): e for e in evaluations}
    return {
        key: judge_against(
            record, by_key.get((key[0], reference, key[2])), gates, reference, classes=classes
        )
        for key, record in by_key.items()
    }


def judge_devices(
    cases: Iterable[tuple[Case, Numerics | None]],
    gates: GatesConfig,
    *,
    higher_is_better: Mapping[str, bool],
    reference: str = REFERENCE,
) -> Mapping[str, Judged]:
    """case_id -> accuracy of the answers that the case gave on its own device.

    The reference is that of the same device, runner, delegate and threads, on as many samples.

    Args:
        cases: each with what its numerics launch found, None without one.
        higher_is_better: by model, of the plan's metric.
    """
    records: dict[str, EvaluationRecord] = {}
    references: dict[tuple[object, ...], EvaluationRecord] = {}
    keys: dict[str, tuple[object, ...]] = {}
    for case, numerics in cases:
        found = None if numerics is None else numerics.accuracy
        if numerics is None or found is None:
            continue
        # Quantised inputs differ in their bytes: the same first samples of one holdout.
        record = answered_on_device(
            case, found, higher_is_better=higher_is_better[case.model], holdout=""
        )
        key = (case.model, case.device, case.runner, case.delegate, case.threads)
        records[case.case_id], keys[case.case_id] = record, key
        if case.variant == reference:
            references[key] = record
    return {
        case_id: judge_against(record, references.get(keys[case_id]), gates, reference)
        for case_id, record in records.items()
    }


def answered_on_device(
    case: Case, found: DeviceAccuracy, *, higher_is_better: bool, holdout: str
) -> EvaluationRecord:
    """The answers that a case gave on its own device, as an evaluation.

    Args:
        holdout: names the samples among which these are the first.
    """
    return EvaluationRecord(
        run_id="",
        model=case.model,
        variant=case.variant,
        kernels=f"{case.delegate.label} on {case.device}",
        metric=found.metric,
        value=found.value,
        predictions=None,
        statistics=np.array(found.statistics, dtype=np.float64),
        holdout_sha256=f"{found.samples} of {found.of} of {holdout}",
        runtime={},
        k=found.k,
        higher_is_better=higher_is_better,
    )


def metric_of_record(record: EvaluationRecord) -> Metric:
    """By what an evaluation was judged."""
    return metric_named(record.metric, record.k, record.higher_is_better)


def allowed_loss(metric: Metric, reference: float, gates: GatesConfig) -> float | None:
    """Largest loss against the reference that the gates accept, in the metric's unit.

    None where the reference has nothing to lose, or the gates allow anything.
    """
    allowed = allowed_by_gates(metric, reference, gates)
    return allowed if reference > 0 and math.isfinite(allowed) else None


def shown_classes(
    judged: Mapping[Key, Judged], found: Sequence[Recommendation]
) -> tuple[ClassReport, ...]:
    """Of every variant by one set of kernels: two would say nearly the same twice."""
    chosen: dict[str, str] = {}
    for (model, _, kernels), one in judged.items():
        if one.classes is not None:
            chosen.setdefault(model, kernels)
            if kernels == USUAL_KERNELS:
                chosen[model] = kernels
    for advice in found:
        for delegate, _ in advice.configuration.values():
            if advice.model in chosen:
                chosen[advice.model] = delegate
    return tuple(
        one.classes
        for (model, _, kernels), one in judged.items()
        if one.classes is not None and chosen[model] == kernels
    )


def judge_against(
    mine: EvaluationRecord,
    reference: EvaluationRecord | None,
    gates: GatesConfig,
    name: str,
    *,
    classes: bool = True,
) -> Judged:
    """An evaluation with its change against another.

    Args:
        name: the variant of the latter, for which there is no change, and what it is called.
        classes: whether to look at the classes too.
    """
    if mine.value is None or mine.statistics is None or len(mine.statistics) == 0:
        failure = mine.failure.message if mine.failure else "no answers were kept"
        return Judged(None, f"evaluation failed: {failure}")
    metric = metric_of_record(mine)
    count = len(mine.statistics)
    bare = Accuracy(
        metric=metric,
        value=mine.value,
        interval=value_interval(metric, mine.statistics),
        images=count,
        kernels=mine.kernels,
    )
    if mine.variant == name:
        return Judged(bare, None, _classes(mine, None, classes))
    if reference is None or reference.statistics is None or reference.value is None:
        what = "was not evaluated" if reference is None else "has no accuracy"
        reason = f"no change: {name} {what} with the kernels of {mine.kernels}"
        return Judged(bare, reason, _classes(mine, None, classes))
    if (
        reference.holdout_sha256 != mine.holdout_sha256
        or reference.statistics.shape != mine.statistics.shape
        or metric_of_record(reference) != metric
    ):
        reason = f"no change: {name} was evaluated on another holdout"
        return Judged(bare, reason, _classes(mine, None, classes))
    change = paired_change(metric, mine.statistics, reference.statistics)
    allowed = allowed_loss(metric, reference.value, gates)
    verdict = judge_loss(metric, change, count, allowed)
    accuracy = replace(
        bare,
        change=change.difference,
        change_interval=change.interval,
        p_value=change.p_value,
        verdict=verdict,
        agreeing=_agreeing(mine, reference),
    )
    report = _classes(mine, reference, classes)
    if report is not None:
        report = replace(report, verdict=verdict.text)
    return Judged(accuracy, None, report)


def _classes(
    mine: EvaluationRecord, reference: EvaluationRecord | None, wanted: bool
) -> ClassReport | None:
    return class_report(mine, reference) if wanted else None


def _agreeing(mine: EvaluationRecord, reference: EvaluationRecord) -> int | None:
    a, b = mine.predictions, reference.predictions
    if a is None or b is None or a.shape != b.shape:
        return None
    return int(np.count_nonzero(a == b))
