"""Pairs as strict JSON: the same values, nothing rounded, absent is null."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bench.stats import Interval
from reports.export.delegates import delegation_to_json, ratio_to_json
from reports.model import Accuracy, Row
from reports.pairs.model import OpsMoved, Pair, Pairs, Side

SCHEMA = "edgebench-pairs/1"


def pairs_to_json(pairs: Pairs) -> dict[str, Any]:
    """Plain JSON values. Units are in the keys; an interval is [low, high]; ratios are A / B."""
    return {
        "schema": SCHEMA,
        "a": _side(pairs.a),
        "b": _side(pairs.b),
        "delta": pairs.delta,
        "differing": list(pairs.differing),
        "gate_failed": pairs.gate_failed,
        "pairs": [_pair(pair) for pair in pairs.pairs],
        "notes": list(pairs.notes),
    }


def _side(side: Side) -> dict[str, Any]:
    return {**asdict(side), "started_utc": side.started_utc.isoformat()}


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "case": pair.case.to_json(),
        "word": pair.word.value,
        "reason": pair.reason,
        "paired": pair.paired,
        "worse": pair.worse,
        "simulated": pair.simulated,
        "speedup": ratio_to_json(pair.speedup),
        "between_runs": None if pair.spread is None else asdict(pair.spread),
        "accuracy": _change(pair.accuracy),
        "accuracy_reason": pair.accuracy_reason,
        "provenance": [asdict(change) for change in pair.provenance],
        "ops": _ops(pair.ops),
        "a": _row(pair.a),
        "b": _row(pair.b),
    }


def _row(row: Row | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "case_id": row.case_id,
        "model": row.case.model,
        "launches": row.launches_used,
        "launches_made": row.launches_made,
        # A wrong answer has no speed.
        "p50_us": None if row.is_wrong else row.p50_us,
        "p50_interval_us": None if row.is_wrong else _interval(row.p50_interval_us),
        "p50_source": row.p50_source and row.p50_source.value,
        "size_bytes": row.size_bytes,
        "model_sha256": row.model_sha256,
        "peak_rss_kib": row.peak_rss_kib,
        "energy_mj_per_invoke": row.energy_mj_per_invoke,
        "accuracy": None if row.accuracy is None else row.accuracy.value,
        "accuracy_metric": None if row.accuracy is None else row.accuracy.metric.title,
        "delegation": delegation_to_json(row.delegation),
        "numerics": None if row.numerics is None else row.numerics.word.value,
        "stability": row.stability.word.value,
        "failure": row.failure,
        "not_applicable": row.not_applicable,
        "simulated": row.simulated,
    }


def _change(found: Accuracy | None) -> dict[str, Any] | None:
    if found is None or found.change is None:
        return None
    return {
        "metric": found.metric.title,
        "higher_is_better": found.metric.higher_is_better,
        "samples": found.images,
        "change": found.change,
        "change_interval": _interval(found.change_interval),
        "p_value": found.p_value,
        "verdict": None if found.verdict is None else found.verdict.text,
    }


def _ops(found: OpsMoved | None) -> dict[str, Any] | None:
    if found is None:
        return None
    moved = [{**asdict(op), "difference_us": op.difference_us} for op in found.moved]
    return {**asdict(found), "moved": moved}


def _interval(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]
