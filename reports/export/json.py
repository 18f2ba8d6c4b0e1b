"""A comparison as strict JSON: the same values, nothing rounded, absent is null."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np

from bench.stats import Interval
from reports.export.delegates import (
    checks_to_json,
    delegation_to_json,
    numerics_to_json,
    ratio_to_json,
    slower_to_json,
)
from reports.export.devices import across_to_json, device_to_json
from reports.model import (
    Accuracy,
    ClassReport,
    Comparison,
    GateResult,
    Recommendation,
    Row,
    VariantSummary,
)

SCHEMA = "edgebench-comparison/2"


def comparison_to_json(comparison: Comparison) -> dict[str, Any]:
    """Plain JSON values. Units are in the keys; an interval is [low, high].

    Raises:
        ValueError: a measured number is not finite, with the key it stands under.
    """
    document = {
        "schema": SCHEMA,
        "run": {
            "run_id": comparison.run_id,
            "project": comparison.project,
            "status": comparison.status,
            "started_utc": comparison.started_utc.isoformat(),
            "finished_utc": comparison.finished_utc.isoformat()
            if comparison.finished_utc
            else None,
            "edgebench_version": comparison.edgebench_version,
            "rounds": comparison.rounds,
            "seed": comparison.seed,
            "delta": comparison.delta,
            "simulated": comparison.simulated,
        },
        "cases": [_case(row) for row in comparison.rows],
        "variants": [_variant(variant) for variant in comparison.variants],
        "recommendations": [_recommendation(found) for found in comparison.recommendations],
        "classes": [classes_to_json(found) for found in comparison.classes],
        "devices": [
            {**device_to_json(found), "facts": _free_form(found.facts)}
            for found in comparison.devices
        ],
        "slower_than_fp32": [slower_to_json(found) for found in comparison.slower],
        "across_devices": [across_to_json(found) for found in comparison.across],
        "notes": list(comparison.notes),
        "environment": _free_form(comparison.environment),
    }
    _require_finite(document, "comparison")
    return document


def comparison_to_text(comparison: Comparison) -> str:
    """The JSON document as indented text in ASCII, with a final newline."""
    return json.dumps(comparison_to_json(comparison), indent=2, allow_nan=False) + "\n"


def _case(row: Row) -> dict[str, Any]:
    case = row.case
    return {
        "case_id": row.case_id,
        "model": case.model,
        "variant": case.variant,
        "delegate": case.delegate.name,
        "delegate_options": dict(case.delegate.options),
        "threads": case.threads,
        "device": case.device,
        "runner": case.runner,
        "input_shapes": {name: list(shape) for name, shape in case.input_shapes},
        "launches": row.launches_used,
        "launches_made": row.launches_made,
        "samples": row.samples,
        "p50_us": row.p50_us,
        "p50_source": row.p50_source and row.p50_source.value,
        **_interval("p50_interval", row.p50_interval_us),
        "p90_us": row.p90_us,
        "p90_source": row.p90_source and row.p90_source.value,
        **_interval("p90_interval", row.p90_interval_us),
        "p90_bounds_us": None if row.p90_bounds_us is None else list(row.p90_bounds_us),
        "p90_reason": row.p90_reason,
        "p95_us": row.p95_us,
        **_interval("p95_interval", row.p95_interval_us),
        "mean_us": row.mean_us,
        **_interval("mean_interval", row.mean_interval_us),
        "resolution_us": row.resolution_us,
        "first_inference_us": row.first_inference_us,
        "load_us": row.load_us,
        "init_us": row.init_us,
        "min_us": row.min_us,
        "cpu_us_per_invoke": row.cpu_us_per_invoke,
        "peak_rss_kib": row.peak_rss_kib,
        "energy_mj_per_invoke": row.energy_mj_per_invoke,
        "energy_reason": row.energy_reason,
        "size_bytes": row.size_bytes,
        "model_sha256": row.model_sha256,
        **accuracy_to_json(row.accuracy),
        "accuracy_reason": row.accuracy_reason,
        "speedup": ratio_to_json(row.speedup),
        "speedup_reason": row.speedup_reason,
        "verdicts": {
            "stability": {
                "word": row.stability.word.value,
                "reasons": list(row.stability.reasons),
                "modes": [
                    {"p50_us": mode.p50_us, "share": mode.share} for mode in row.stability.modes
                ],
            },
            "delegation": delegation_to_json(row.delegation),
            "numerics": numerics_to_json(row),
            "gates": [gate_to_json(gate) for gate in row.gates],
        },
        "pareto": row.pareto,
        "tf_ops": list(row.tf_ops),
        "warnings": list(row.warnings),
        "failure": row.failure,
        "not_applicable": row.not_applicable,
        "simulated": row.simulated,
        **checks_to_json(row),
    }


def _interval(key: str, interval: Interval | None) -> dict[str, Any]:
    return {
        f"{key}_us": _pair(interval),
        f"{key}_confidence": None if interval is None else interval.confidence,
        f"{key}_kind": None if interval is None else interval.kind,
    }


def _pair(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]


def accuracy_to_json(accuracy: Accuracy | None) -> dict[str, Any]:
    """The keys of one accuracy; all there, and null, where there is none.

    Shares are in 0..1, changes too, with `..._points` beside them in percentage points.
    """
    found = accuracy
    metric = None if found is None else found.metric
    verdict = None if found is None else found.verdict
    return {
        "accuracy_metric": None if metric is None else metric.name,
        "accuracy_k": None if metric is None else metric.k,
        "accuracy_is_share": None if metric is None else metric.is_share,
        "accuracy_higher_is_better": None if metric is None else metric.higher_is_better,
        "accuracy": None if found is None else found.value,
        "accuracy_interval": None if found is None else _pair(found.interval),
        "accuracy_images": None if found is None else found.images,
        "accuracy_kernels": None if found is None else found.kernels,
        "accuracy_change": None if found is None else found.change,
        "accuracy_change_interval": None if found is None else _pair(found.change_interval),
        "accuracy_change_points": None if found is None else found.change_points,
        "accuracy_change_interval_points": (
            None if found is None else _pair(found.change_interval_points)
        ),
        "accuracy_p_value": None if found is None else found.p_value,
        "accuracy_loss": None if verdict is None else verdict.loss.value,
        "accuracy_verdict": None if verdict is None else verdict.text,
        "accuracy_agreeing": None if found is None else found.agreeing,
    }


def classes_to_json(found: ClassReport) -> dict[str, Any]:
    """Classes of one variant: a table, a matrix where it is small, the commonest mistakes."""
    return {
        "model": found.model,
        "variant": found.variant,
        "kernels": found.kernels,
        "count": found.classes,
        "classes": [
            {
                "class": row.label,
                "images": row.images,
                "recall": row.recall,
                "precision": row.precision,
                "recall_change": row.recall_change,
            }
            for row in found.rows
        ],
        "left_out": found.left_out,
        "confusion": [list(line) for line in found.matrix] or None,
        "confusions": [
            {"class": c.label, "answer": c.predicted, "count": c.count, "before": c.before}
            for c in found.confusions
        ],
    }


def gate_to_json(gate: GateResult) -> dict[str, Any]:
    """One gate of one case."""
    return {
        "name": gate.name,
        "status": gate.status.value,
        "limit": gate.limit,
        "value": gate.value,
        "reason": gate.reason,
    }


def _variant(made: VariantSummary) -> dict[str, Any]:
    return {
        "model": made.model,
        "variant": made.variant,
        "size_bytes": made.size_bytes,
        "size_ratio": made.size_ratio,
        "zip_bytes": made.zip_bytes,
        "sha256": made.sha256,
        "failure": made.failure,
        "tf_ops": list(made.tf_ops),
        "warnings": list(made.warnings),
        "provenance": _free_form(made.provenance),
    }


def _recommendation(found: Recommendation) -> dict[str, Any]:
    return {
        "model": found.model,
        "variant": found.variant,
        "configuration": {
            device: {"delegate": delegate, "threads": threads}
            for device, (delegate, threads) in found.configuration.items()
        },
        "equally_fast": list(found.equally_fast),
        "rule": found.rule,
        "reason": found.reason,
        "simulated": found.simulated,
    }


def _free_form(value: Any) -> Any:
    """Facts of any shape as JSON; what JSON has no word for becomes its text."""
    if isinstance(value, Mapping):
        return {str(key): _free_form(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_free_form(item) for item in value]
    if isinstance(value, np.generic):
        return _free_form(value.item())
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | None) else str(value)


def _require_finite(value: Any, where: str) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _require_finite(item, f"{where}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _require_finite(item, f"{where}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value}: a value that was not measured is None")
