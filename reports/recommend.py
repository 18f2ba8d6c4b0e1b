"""Which variant to ship, by one stated rule, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.accuracy import paired_change
from bench.format import duration_with_interval, ratio, score, score_change, threads
from bench.matrix import judge_pairs
from bench.metrics import Metric, Statistics
from bench.power import SIGNIFICANCE, percent
from bench.stability import StabilityWord
from bench.stats import RatioVerdict, geometric_mean
from reports.measured import why_not_as_requested
from reports.model import GateStatus, Recommendation, Row

REFERENCE = "fp32"
USUAL_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What the rule needs beside the rows.

    Attributes:
        p50_by_round: case_id -> round -> p50 in us of the launch that counts.
        batched: case_id -> whether its samples hold several invokes.
        statistics: (model, variant, kernels) -> what its accuracy is computed of.
    """

    p50_by_round: Mapping[str, Mapping[int, float]]
    batched: Mapping[str, bool]
    statistics: Mapping[tuple[str, str, str], Statistics]


# device -> the row that stands for the variant there.
_Chosen = Mapping[str, Row]


def recommend(
    rows: Sequence[Row], evidence: Evidence, *, delta: float
) -> tuple[Recommendation, ...]:
    """One recommendation per model, in the order of the rows, which have their gates.

    A variant is represented on each device by its fastest case that passes every gate.
    INVALID, NOT STEADY and failed cases, those without an interval and those whose
    delegation is not as requested represent nothing.
    """
    models = dict.fromkeys(row.case.model for row in rows)
    return tuple(
        _for_model(model, [row for row in rows if row.case.model == model], evidence, delta)
        for model in models
    )


def why_not_carried(row: Row) -> str | None:
    """Why a case cannot carry a recommendation, whatever its gates, or None if it can."""
    if row.failure is not None or row.p50_us is None:
        return row.failure or "not measured"
    if row.stability.word in (StabilityWord.INVALID, StabilityWord.NOT_STEADY):
        return f"{row.stability.word}: {row.stability.reasons[0]}"
    if row.p50_interval_us is None:
        return f"{row.launches_used} usable launches give no interval"
    return why_not_as_requested(row.delegation)


def _rule(delta: float) -> str:
    return (
        "Among the variants whose intervals lie wholly inside every gate on every device: the"
        f" set not significantly slower (by {percent(delta)} or more) than the fastest; of that"
        " the most accurate, then the smallest."
    )


def _for_model(model: str, rows: list[Row], evidence: Evidence, delta: float) -> Recommendation:
    possible = [row for row in rows if row.not_applicable is None]
    devices = list(dict.fromkeys(row.case.device for row in possible))
    chosen: dict[str, _Chosen] = {}
    refused: dict[str, list[str]] = {}
    for variant in dict.fromkeys(row.case.variant for row in rows):
        best = _representatives([r for r in possible if r.case.variant == variant], devices)
        if isinstance(best, str):
            refused.setdefault(best, []).append(variant)
        else:
            chosen[variant] = best
    if not chosen:
        reason = f"No variant qualifies: {_each(refused)}."
        return _none(model, delta, reason)
    for device in devices:
        if len({evidence.batched[best[device].case_id] for best in chosen.values()}) > 1:
            reason = (
                f"No variant qualifies: on {device} some were measured in batches of"
                " invokes and some one by one, which are never compared."
            )
            return _none(model, delta, reason)
    fastest = min(chosen, key=lambda variant: _slowness(chosen, variant, devices))
    equal, doubts = _not_slower(chosen, fastest, devices, evidence, delta)
    winner = min(equal, key=lambda v: (-_accuracy(chosen[v]), _size(chosen[v])))
    reference_size = next((r.size_bytes for r in rows if r.case.variant == REFERENCE), None)
    reasons = [_praise(chosen[winner], reference_size)]
    if len(equal) > 1:
        reasons.append(_why_of_equals(model, winner, fastest, equal, chosen, evidence))
    reasons += doubts
    if refused:
        reasons.append(f"Not considered: {_each(refused)}.")
    return Recommendation(
        model=model,
        variant=winner,
        configuration={
            device: (row.case.delegate.name, row.case.threads)
            for device, row in chosen[winner].items()
        },
        equally_fast=tuple(equal),
        rule=_rule(delta),
        reason=" ".join(reasons),
    )


def _each(refused: Mapping[str, Sequence[str]]) -> str:
    """Reasons in words, each once: what hinders one variant often hinders several."""
    return "; ".join(f"{', '.join(variants)} ({why})" for why, variants in refused.items())


def _none(model: str, delta: float, reason: str) -> Recommendation:
    return Recommendation(model, None, {}, (), _rule(delta), reason)


def _representatives(rows: Sequence[Row], devices: Sequence[str]) -> _Chosen | str:
    """The fastest passing case per device, or why one device has none."""
    best: dict[str, Row] = {}
    for device in devices:
        here = [row for row in rows if row.case.device == device]
        good = [r for r in here if why_not_carried(r) is None and not _gates_missed(r)]
        if not good:
            place = f" on {device}" if len(devices) > 1 else ""
            return f"{_why_none(here)}{place}"
        best[device] = min(good, key=lambda row: row.p50_us or 0.0)
    return best if best else "no case of it can exist"


def _gates_missed(row: Row) -> list[str]:
    return [
        f"gate {gate.name} {gate.status}: {gate.reason}"
        for gate in row.gates
        if gate.status is not GateStatus.PASS
    ]


def _why_none(rows: Sequence[Row]) -> str:
    """The obstacle of the case that came closest: the gates first, as they are the user's."""
    if not rows:
        return "not in the plan"
    gates = [missed for row in rows if (missed := _gates_missed(row))]
    sound = [_gates_missed(row) for row in rows if why_not_carried(row) is None]
    if sound:
        return min(sound, key=len)[0]
    reasons = [why for row in rows if (why := why_not_carried(row)) is not None]
    failed = [text for missed in gates for text in missed if GateStatus.FAIL in text]
    return failed[0] if failed else max(dict.fromkeys(reasons), key=reasons.count)


def _slowness(chosen: Mapping[str, _Chosen], variant: str, devices: Sequence[str]) -> float:
    """Geometric mean over devices of p50 relative to the fastest variant there."""
    return geometric_mean(
        _p50(chosen[variant][device]) / min(_p50(best[device]) for best in chosen.values())
        for device in devices
    )


def _not_slower(
    chosen: Mapping[str, _Chosen],
    fastest: str,
    devices: Sequence[str],
    evidence: Evidence,
    delta: float,
) -> tuple[list[str], list[str]]:
    """The variants not significantly slower than the fastest, and what weakens that."""
    # The fastest was picked after the fact and is held against everybody: without a
    # correction one variant in ten runs is called slower that is not.
    verdicts = judge_pairs(
        {
            (variant, device): (
                evidence.p50_by_round[chosen[fastest][device].case_id],
                evidence.p50_by_round[best[device].case_id],
            )
            for variant, best in chosen.items()
            for device in devices
            if variant != fastest
        },
        delta=delta,
    )
    with_interval = {key for key, verdict in verdicts.items() if verdict.interval is not None}
    incomparable = [
        variant
        for variant in chosen
        if variant != fastest and any((variant, device) not in with_interval for device in devices)
    ]
    slower = {variant for (variant, _), verdict in verdicts.items() if _slower(verdict, delta)}
    remarks = [
        f"{variant} has too few rounds in common with {fastest} to compare."
        for variant in incomparable
    ]
    confidence = min(
        (v.interval.confidence for v in verdicts.values() if v.interval is not None),
        default=USUAL_CONFIDENCE,
    )
    if confidence < USUAL_CONFIDENCE:
        remarks.append(f"So few rounds show what is slower with {percent(confidence)} only.")
    return [v for v in chosen if v not in slower and v not in incomparable], remarks


def _slower(verdict: RatioVerdict, delta: float) -> bool:
    """Whether fastest / other is wholly below 1, by what counts, also after correction."""
    interval = verdict.interval
    return (
        interval is not None
        and interval.high < 1
        and verdict.ratio <= 1 / (1 + delta)
        # None where there are too few rounds to test; the plain range decides then.
        and verdict.significant is not False
    )


def _why_of_equals(
    model: str,
    winner: str,
    fastest: str,
    equal: Sequence[str],
    chosen: Mapping[str, _Chosen],
    evidence: Evidence,
) -> str:
    others = [variant for variant in equal if variant != winner]
    text = (
        f"Equally fast (not significantly slower than {fastest}, the fastest): "
        f"{', '.join(equal)}. Of these {winner} is"
    )
    best = _least_accurate(chosen[winner])
    if best.accuracy is None:
        return f"{text} the smallest."
    metric = best.accuracy.metric
    rival = max(others, key=lambda v: _accuracy(chosen[v]))
    other = _least_accurate(chosen[rival])
    if other.accuracy is None:
        return f"{text} the one whose accuracy is known."
    gap = best.accuracy.value - other.accuracy.value
    if gap == 0:
        return f"{text} the smallest at the same accuracy as {rival}."
    answers = [
        evidence.statistics.get((model, row.case.variant, row.case.delegate.name))
        for row in (best, other)
    ]
    p = None
    if answers[0] is not None and answers[1] is not None and answers[0].shape == answers[1].shape:
        p = paired_change(metric, answers[0], answers[1]).p_value
    sure = "not tested" if p is None else f"{_significance(p)}, p = {p:.2g}"
    return f"{text} the most accurate, {_change(metric, gap)} against {rival} ({sure})."


def _praise(best: _Chosen, reference_size: int | None) -> str:
    """One sentence with the figures of the variant that won."""
    parts = []
    for device, row in best.items():
        place = f" on {device}" if len(best) > 1 else ""
        fast = "" if row.speedup is None else f", {ratio(row.speedup.ratio)} {REFERENCE}"
        delegate = "no delegate" if row.case.delegate.name == "none" else row.case.delegate.name
        setting = f"{delegate} and {threads(row.case.threads)}{place}"
        p50 = duration_with_interval(row.p50_us, row.p50_interval_us)
        parts.append(f"with {setting}: p50 {p50}{fast}")
    row = _least_accurate(best)
    small = ""
    if row.size_bytes is not None and reference_size and row.case.variant != REFERENCE:
        small = f"; {percent(row.size_bytes / reference_size)} of the size"
    return f"{row.case.variant} {'; '.join(parts)}; {_accuracy_text(row)}{small}."


def _accuracy_text(row: Row) -> str:
    accuracy = row.accuracy
    if accuracy is None:
        return f"accuracy was not checked ({row.accuracy_reason or 'no evaluation'})"
    metric = accuracy.metric
    value = (
        f"{100 * accuracy.value:.1f} %" if metric.is_share else score(accuracy.value, share=False)
    )
    text = f"{metric.title} {value}"
    if accuracy.change is None or accuracy.p_value is None:
        return text
    change = _change(metric, accuracy.change)
    return f"{text} ({change} against {REFERENCE}, {_significance(accuracy.p_value)})"


def _change(metric: Metric, change: float) -> str:
    return score_change(change, share=metric.is_share) + (" points" if metric.is_share else "")


def _significance(p_value: float) -> str:
    return "significant" if p_value <= SIGNIFICANCE else "not significant"


def _least_accurate(best: _Chosen) -> Row:
    """Of its rows, as the kernels of devices may differ; one without accuracy first."""
    return min(best.values(), key=_goodness)


def _accuracy(best: _Chosen) -> float:
    """How good the least accurate of its rows is: more is better, whatever the metric."""
    return _goodness(_least_accurate(best))


def _goodness(row: Row) -> float:
    if row.accuracy is None:
        return -math.inf
    return row.accuracy.metric.better(row.accuracy.value, 0.0)


def _size(best: _Chosen) -> float:
    return max(float("inf") if r.size_bytes is None else r.size_bytes for r in best.values())


def _p50(row: Row) -> float:
    assert row.p50_us is not None
    return row.p50_us
