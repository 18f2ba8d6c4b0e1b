"""Which variant to ship, by one stated rule, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.matrix import judge_pairs
from bench.metrics import Statistics
from bench.power import percent
from bench.records import Source
from bench.stability import StabilityWord
from bench.stats import RatioVerdict, geometric_mean
from reports.advice import REFERENCE, Chosen, accuracy_of, praise, why_of_equals
from reports.model import GateStatus, Recommendation, Row
from reports.standing import why_not_under_its_name

USUAL_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What the rule needs beside the rows.

    Attributes:
        p50_by_round: case_id -> round -> p50 in us of the launch that counts.
        quantity: case_id -> what its p50 is, see MeasuredCase.
        resolution: case_id -> smallest step of its p50, as a share of it.
        statistics: (model, variant, kernels) -> what its accuracy is computed of.
    """

    p50_by_round: Mapping[str, Mapping[int, float]]
    quantity: Mapping[str, str]
    resolution: Mapping[str, float]
    statistics: Mapping[tuple[str, str, str], Statistics]


def recommend(
    rows: Sequence[Row], evidence: Evidence, *, delta: float
) -> tuple[Recommendation, ...]:
    """One recommendation per model, in the order of the rows, which have their gates.

    A variant is represented on each device, by each runner, by its fastest case that passes
    every gate. Simulated devices have no say where there are real ones. INVALID, NOT STEADY
    and failed cases, those without an interval, those whose answers are WRONG and those whose
    delegation is not as requested, or suspect, represent nothing.
    """
    models = dict.fromkeys(row.case.model for row in rows)
    return tuple(
        _for_model(model, [row for row in rows if row.case.model == model], evidence, delta)
        for model in models
    )


def why_not_carried(row: Row) -> str | None:
    """Why a case cannot carry a recommendation, whatever its gates, or None if it can."""
    if row.failure is None and row.p50_source is Source.UNAVAILABLE:
        return "the tool tells no p50"
    if row.failure is not None or row.p50_us is None:
        return row.failure or "not measured"
    if row.stability.word in (StabilityWord.INVALID, StabilityWord.NOT_STEADY):
        return f"{row.stability.word}: {row.stability.reasons[0]}"
    if row.p50_interval_us is None:
        return f"{row.launches_used} usable launches give no interval"
    return why_not_under_its_name(row)


def _rule(delta: float) -> str:
    return (
        "Among the variants whose intervals lie wholly inside every gate on every device: the"
        f" set not significantly slower (by {percent(delta)} or more) than the fastest; of that"
        " the most accurate, then the smallest."
    )


def _for_model(model: str, rows: list[Row], evidence: Evidence, delta: float) -> Recommendation:
    possible = [row for row in rows if row.not_applicable is None]
    real = [row for row in possible if not row.simulated]
    emulators = dict.fromkeys(row.case.device for row in possible if row.simulated)
    considered = real or possible
    runners: dict[str, set[str]] = {}
    for row in considered:
        runners.setdefault(row.case.device, set()).add(row.case.runner)
    by_place: dict[str, list[Row]] = {}
    for row in considered:
        several = len(runners[row.case.device]) > 1
        place = f"{row.case.device} ({row.case.runner})" if several else row.case.device
        by_place.setdefault(place, []).append(row)
    found = _among(model, rows, by_place, evidence, delta)
    if real and emulators:
        reason = f"{found.reason} Simulated and not considered: {', '.join(emulators)}."
        return replace(found, reason=reason)
    return replace(found, simulated=bool(emulators))


def _among(
    model: str,
    rows: Sequence[Row],
    by_place: Mapping[str, Sequence[Row]],
    evidence: Evidence,
    delta: float,
) -> Recommendation:
    devices = list(by_place)
    chosen: dict[str, Chosen] = {}
    refused: dict[str, list[str]] = {}
    for variant in dict.fromkeys(row.case.variant for row in rows):
        best = _representatives(variant, by_place)
        if isinstance(best, str):
            refused.setdefault(best, []).append(variant)
        else:
            chosen[variant] = best
    if not chosen:
        reason = f"No variant qualifies: {_each(refused)}."
        return _none(model, delta, reason)
    for device in devices:
        kinds = sorted({evidence.quantity[best[device].case_id] for best in chosen.values()})
        if len(kinds) > 1:
            reason = (
                f"No variant qualifies: on {device} p50 is {' or '.join(kinds)}, and these are"
                " never compared."
            )
            return _none(model, delta, reason)
    fastest = min(chosen, key=lambda variant: _slowness(chosen, variant, devices))
    equal, doubts = _not_slower(chosen, fastest, devices, evidence, delta)
    winner = min(equal, key=lambda v: (-accuracy_of(chosen[v]), _size(chosen[v])))
    reference_size = next((r.size_bytes for r in rows if r.case.variant == REFERENCE), None)
    reasons = [praise(chosen[winner], reference_size)]
    if len(equal) > 1:
        reasons.append(why_of_equals(model, winner, fastest, equal, chosen, evidence.statistics))
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


def _representatives(variant: str, by_place: Mapping[str, Sequence[Row]]) -> Chosen | str:
    """The fastest passing case per place, or why one place has none."""
    best: dict[str, Row] = {}
    for place, rows in by_place.items():
        here = [row for row in rows if row.case.variant == variant]
        good = [r for r in here if why_not_carried(r) is None and not _gates_missed(r)]
        if not good:
            where = f" on {place}" if len(by_place) > 1 else ""
            return f"{_why_none(here)}{where}"
        best[place] = min(good, key=lambda row: row.p50_us or 0.0)
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
        return "no case of it can exist"
    gates = [missed for row in rows if (missed := _gates_missed(row))]
    sound = [_gates_missed(row) for row in rows if why_not_carried(row) is None]
    if sound:
        return min(sound, key=len)[0]
    reasons = [why for row in rows if (why := why_not_carried(row)) is not None]
    failed = [text for missed in gates for text in missed if GateStatus.FAIL in text]
    return failed[0] if failed else max(dict.fromkeys(reasons), key=reasons.count)


def _slowness(chosen: Mapping[str, Chosen], variant: str, devices: Sequence[str]) -> float:
    """Geometric mean over devices of p50 relative to the fastest variant there."""
    return geometric_mean(
        _p50(chosen[variant][device]) / min(_p50(best[device]) for best in chosen.values())
        for device in devices
    )


def _not_slower(
    chosen: Mapping[str, Chosen],
    fastest: str,
    devices: Sequence[str],
    evidence: Evidence,
    delta: float,
) -> tuple[list[str], list[str]]:
    """The variants not significantly slower than the fastest, and what weakens that."""
    # The fastest was picked after the fact and is held against everybody: without a
    # correction one variant in ten runs is called slower that is not.
    pairs = {
        (variant, device): (chosen[fastest][device].case_id, best[device].case_id)
        for variant, best in chosen.items()
        for device in devices
        if variant != fastest
    }
    by_round, resolution = evidence.p50_by_round, evidence.resolution
    verdicts = judge_pairs(
        {key: (by_round[a], by_round[b]) for key, (a, b) in pairs.items()},
        delta=delta,
        resolutions={key: resolution[a] + resolution[b] for key, (a, b) in pairs.items()},
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


def _size(best: Chosen) -> float:
    return max(float("inf") if r.size_bytes is None else r.size_bytes for r in best.values())


def _p50(row: Row) -> float:
    assert row.p50_us is not None
    return row.p50_us
