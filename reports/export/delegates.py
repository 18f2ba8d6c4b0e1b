"""What is known of a case's delegate, for JSON and for CSV: evidence, profile, CPU, answers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, TypeAlias

from bench.delegation.model import Delegation
from bench.forecast.stored import to_json
from bench.numerics.model import DeviceAccuracy, Numerics
from bench.stats import Interval, RatioVerdict
from reports.answers import worst
from reports.delegate_model import ForecastSeen, SlowerThanFp32
from reports.model import Row

_Value: TypeAlias = str | int | float | bool | None


def delegation_to_json(found: Delegation | None) -> dict[str, Any] | None:
    """A verdict with all of its evidence, the strongest first."""
    if found is None:
        return None
    return {
        "requested": found.requested,
        "verdict": found.verdict.value,
        "delegated_nodes": found.delegated_nodes,
        "total_nodes": found.total_nodes,
        "partitions": found.partitions,
        "fallback_ops": dict(found.fallback_ops),
        "evidence": [
            {"source": e.source.value, "says": e.says and e.says.value, "text": e.text}
            for e in found.evidence
        ],
        "as_requested": found.as_requested,
        "unsupported": [
            {"op": refusal.op, "reason": refusal.reason, "nodes": refusal.nodes}
            for refusal in found.unsupported
        ],
        "accelerators": list(found.accelerators),
        "outside_time": found.outside_time,
        "suspicion": found.suspicion,
    }


def numerics_to_json(row: Row) -> dict[str, Any]:
    """The verdict on the answers; every value null where there is none, with the reason."""
    found = row.numerics
    return {
        "word": None if found is None else found.word.value,
        "reasons": [] if found is None else list(found.reasons),
        "missing": row.numerics_reason,
    }


def checks_to_json(row: Row) -> dict[str, Any]:
    """The keys of a case that its profile and its answers have."""
    profile, cpu = row.profile, row.against_cpu
    return {
        "forecast": None if row.forecast is None else _forecast(row.forecast),
        "profile": None
        if profile is None
        else {"top_op": profile.top_op, "top_share": profile.top_share},
        "profile_reason": row.profile_reason,
        "against_cpu": None
        if cpu is None
        else {
            "is_reference": cpu.is_reference,
            "delegate": None if cpu.delegate is None else cpu.delegate.name,
            "speedup": ratio_to_json(cpu.verdict),
            "reason": cpu.reason,
        },
        "answers": None if row.answers is None else _answers(row.answers),
    }


def ratio_to_json(verdict: RatioVerdict | None) -> dict[str, Any] | None:
    """A ratio of two cases with its interval and what it says."""
    if verdict is None:
        return None
    interval = verdict.interval
    return {
        "ratio": verdict.ratio,
        "interval": None if interval is None else [interval.low, interval.high],
        "interval_confidence": None if interval is None else interval.confidence,
        "rounds": verdict.rounds,
        "change": verdict.change.value,
        "significant": verdict.significant,
        "p_value": verdict.p_value,
        "missing": verdict.missing,
    }


def slower_to_json(found: SlowerThanFp32) -> dict[str, Any]:
    """A case that is slower than fp32, and why."""
    return {
        "case_id": found.case.case_id,
        "ratio": found.ratio,
        "why": list(found.why),
        "simulated": found.simulated,
    }


def _forecast(seen: ForecastSeen) -> dict[str, Any]:
    (document,) = to_json([seen.forecast])
    return {
        **document,
        "disagreements": list(seen.checked.disagreements),
        "not_compared": seen.checked.why_not,
    }


def _answers(found: Numerics) -> dict[str, Any]:
    return {
        "samples": found.samples,
        "inputs": found.inputs,
        "inputs_sha256": found.inputs_sha256,
        "reference": found.reference,
        "outputs": [asdict(output) for output in found.outputs],
        "accuracy": None if found.accuracy is None else _accuracy(found.accuracy),
    }


def _accuracy(found: DeviceAccuracy) -> dict[str, Any]:
    return {
        "metric": found.metric,
        "k": found.k,
        "value": found.value,
        "reference_value": found.reference_value,
        "samples": found.samples,
        "of": found.of,
    }


COLUMNS = (
    "delegation_suspicion",
    "delegation_unsupported",
    "delegation_accelerators",
    "delegation_outside_time",
    "profile_top_op",
    "profile_top_share",
    "profile_reason",
    "cpu_delegate",
    "cpu_speedup_ratio",
    "cpu_speedup_low",
    "cpu_speedup_high",
    "cpu_speedup_confidence",
    "cpu_speedup_change",
    "cpu_speedup_reason",
    "numerics",
    "numerics_reasons",
    "numerics_missing",
    "numerics_samples",
    "numerics_max_abs",
    "numerics_max_rel",
    "numerics_cosine",
    "numerics_snr_db",
    "numerics_top1_agreement",
    "numerics_nonfinite",
    "device_accuracy",
    "device_accuracy_metric",
    "device_accuracy_samples",
    "device_accuracy_reference",
)


def csv_values(row: Row) -> dict[str, _Value]:
    """The values under COLUMNS; of several outputs each figure is the worst."""
    found, profile, cpu = row.delegation, row.profile, row.against_cpu
    ratio = None if cpu is None else cpu.verdict
    interval: Interval | None = None if ratio is None else ratio.interval
    of = None if row.answers is None else worst(row.answers)
    accuracy = None if row.answers is None else row.answers.accuracy
    return {
        "delegation_suspicion": found.suspicion if found else None,
        "delegation_unsupported": "; ".join(
            f"{r.op}: {r.reason}" if r.reason else r.op for r in found.unsupported
        )
        if found
        else None,
        "delegation_accelerators": "; ".join(found.accelerators) if found else None,
        "delegation_outside_time": found.outside_time if found else None,
        "profile_top_op": profile.top_op if profile else None,
        "profile_top_share": profile.top_share if profile else None,
        "profile_reason": row.profile_reason,
        "cpu_delegate": cpu.delegate.name if cpu and cpu.delegate else None,
        "cpu_speedup_ratio": ratio.ratio if ratio else None,
        "cpu_speedup_low": interval.low if interval else None,
        "cpu_speedup_high": interval.high if interval else None,
        "cpu_speedup_confidence": interval.confidence if interval else None,
        "cpu_speedup_change": ratio.change.value if ratio else None,
        "cpu_speedup_reason": cpu.reason if cpu else None,
        "numerics": row.numerics.word.value if row.numerics else None,
        "numerics_reasons": "; ".join(row.numerics.reasons) if row.numerics else None,
        "numerics_missing": row.numerics_reason,
        "numerics_samples": row.answers.samples if row.answers else None,
        "numerics_max_abs": of.max_abs if of else None,
        "numerics_max_rel": of.max_rel if of else None,
        "numerics_cosine": of.cosine if of else None,
        "numerics_snr_db": of.snr_db if of else None,
        "numerics_top1_agreement": of.top1_agreement if of else None,
        "numerics_nonfinite": of.nonfinite if of else None,
        "device_accuracy": accuracy.value if accuracy else None,
        "device_accuracy_metric": accuracy.metric if accuracy else None,
        "device_accuracy_samples": accuracy.samples if accuracy else None,
        "device_accuracy_reference": accuracy.reference_value if accuracy else None,
    }
