"""A comparison as tidy CSV: one line per case, units in the names of the columns."""

from __future__ import annotations

import csv
import io
import math
from typing import TypeAlias

from bench import format as fmt
from bench.stats import Interval
from reports.export import delegates
from reports.model import Comparison, Row

Value: TypeAlias = str | int | float | bool | None

# A spreadsheet takes a cell that begins with one of these for a formula; the last
# four are the full-width forms, which some of them fold to the first four.
_FORMULA_STARTS = tuple("=+-@\t\r＝＋－＠")


def comparison_to_csv(comparison: Comparison) -> str:
    """One header line and one line per case; absent values are empty, never zero.

    Numbers are unrounded. Text has its control characters spelt out, and an apostrophe
    in front where a spreadsheet would run it as a formula.

    Raises:
        ValueError: a number in it is not finite.
    """
    out = io.StringIO()
    lines = [_line(row, comparison) for row in comparison.rows]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in lines:
        writer.writerow([csv_cell(line[name]) for name in COLUMNS])
    return out.getvalue()


COLUMNS = (
    "run_id",
    "project",
    "started_utc",
    "simulated",
    "case_id",
    "model",
    "variant",
    "delegate",
    "delegate_options",
    "threads",
    "device",
    "runner",
    "launches",
    "launches_made",
    "samples",
    "p50_us",
    "p50_low_us",
    "p50_high_us",
    "p50_confidence",
    "p50_source",
    "p90_us",
    "p90_low_us",
    "p90_high_us",
    "p90_confidence",
    "p90_source",
    "p90_bound_low_us",
    "p90_bound_high_us",
    "p90_reason",
    "p95_us",
    "p95_low_us",
    "p95_high_us",
    "p95_confidence",
    "mean_us",
    "mean_low_us",
    "mean_high_us",
    "mean_confidence",
    "min_us",
    "resolution_us",
    "first_inference_us",
    "load_us",
    "init_us",
    "cpu_us_per_invoke",
    "peak_rss_kib",
    "energy_mj_per_invoke",
    "energy_reason",
    "size_bytes",
    "model_sha256",
    "accuracy_metric",
    "accuracy_higher_is_better",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "accuracy_images",
    "accuracy_kernels",
    "accuracy_change",
    "accuracy_change_low",
    "accuracy_change_high",
    "accuracy_change_points",
    "accuracy_p_value",
    "accuracy_verdict",
    "accuracy_agreeing",
    "accuracy_reason",
    "speedup_ratio",
    "speedup_low",
    "speedup_high",
    "speedup_confidence",
    "speedup_rounds",
    "speedup_change",
    "speedup_p_value",
    "speedup_reason",
    "stability",
    "stability_reasons",
    "modes",
    "delegation",
    "delegation_as_requested",
    "delegated_nodes",
    "total_nodes",
    "partitions",
    "gates",
    "pareto",
    "tf_ops",
    "warnings",
    "failure",
    "not_applicable",
    *delegates.COLUMNS,
)


def _line(row: Row, comparison: Comparison) -> dict[str, Value]:
    case = row.case
    accuracy = row.accuracy
    speedup = row.speedup
    found = row.delegation
    return {
        "run_id": comparison.run_id,
        "project": comparison.project,
        "started_utc": comparison.started_utc.isoformat(),
        "simulated": row.simulated,
        "case_id": row.case_id,
        "model": case.model,
        "variant": case.variant,
        "delegate": case.delegate.name,
        "delegate_options": " ".join(f"{key}={value}" for key, value in case.delegate.options),
        "threads": case.threads,
        "device": case.device,
        "runner": case.runner,
        "launches": row.launches_used,
        "launches_made": row.launches_made,
        "samples": row.samples,
        "p50_us": row.p50_us,
        **_bounds("p50", row.p50_interval_us, "_us"),
        "p50_source": row.p50_source and row.p50_source.value,
        "p90_us": row.p90_us,
        **_bounds("p90", row.p90_interval_us, "_us"),
        "p90_source": row.p90_source and row.p90_source.value,
        "p90_bound_low_us": row.p90_bounds_us and row.p90_bounds_us[0],
        "p90_bound_high_us": row.p90_bounds_us and row.p90_bounds_us[1],
        "p90_reason": row.p90_reason,
        "p95_us": row.p95_us,
        **_bounds("p95", row.p95_interval_us, "_us"),
        "mean_us": row.mean_us,
        **_bounds("mean", row.mean_interval_us, "_us"),
        "min_us": row.min_us,
        "resolution_us": row.resolution_us,
        "first_inference_us": row.first_inference_us,
        "load_us": row.load_us,
        "init_us": row.init_us,
        "cpu_us_per_invoke": row.cpu_us_per_invoke,
        "peak_rss_kib": row.peak_rss_kib,
        "energy_mj_per_invoke": row.energy_mj_per_invoke,
        "energy_reason": row.energy_reason,
        "size_bytes": row.size_bytes,
        "model_sha256": row.model_sha256,
        "accuracy_metric": accuracy.metric.title if accuracy else None,
        "accuracy_higher_is_better": accuracy.metric.higher_is_better if accuracy else None,
        "accuracy": accuracy.value if accuracy else None,
        **_bounds("accuracy", accuracy.interval if accuracy else None),
        "accuracy_images": accuracy.images if accuracy else None,
        "accuracy_kernels": accuracy.kernels if accuracy else None,
        "accuracy_change": accuracy.change if accuracy else None,
        **_bounds("accuracy_change", accuracy.change_interval if accuracy else None),
        "accuracy_change_points": accuracy.change_points if accuracy else None,
        "accuracy_p_value": accuracy.p_value if accuracy else None,
        "accuracy_verdict": accuracy.verdict.text if accuracy and accuracy.verdict else None,
        "accuracy_agreeing": accuracy.agreeing if accuracy else None,
        "accuracy_reason": row.accuracy_reason,
        "speedup_ratio": speedup.ratio if speedup else None,
        **_bounds("speedup", speedup.interval if speedup else None),
        "speedup_rounds": speedup.rounds if speedup else None,
        "speedup_change": speedup.change.value if speedup else None,
        "speedup_p_value": speedup.p_value if speedup else None,
        "speedup_reason": row.speedup_reason or (speedup.missing if speedup else None),
        "stability": row.stability.word.value,
        "stability_reasons": "; ".join(row.stability.reasons),
        "modes": "; ".join(f"{m.share:.2f} at {m.p50_us:.6g} us" for m in row.stability.modes),
        "delegation": found.verdict.value if found else None,
        "delegation_as_requested": found.as_requested if found else None,
        "delegated_nodes": found.delegated_nodes if found else None,
        "total_nodes": found.total_nodes if found else None,
        "partitions": found.partitions if found else None,
        "gates": "; ".join(f"{gate.name} {gate.status}" for gate in row.gates),
        "pareto": row.pareto,
        "tf_ops": "; ".join(row.tf_ops),
        "warnings": "; ".join(row.warnings),
        "failure": row.failure,
        "not_applicable": row.not_applicable,
        **delegates.csv_values(row),
    }


def _bounds(name: str, interval: Interval | None, unit: str = "") -> dict[str, Value]:
    return {
        f"{name}_low{unit}": interval.low if interval else None,
        f"{name}_high{unit}": interval.high if interval else None,
        f"{name}_confidence": interval.confidence if interval else None,
    }


def csv_cell(value: Value) -> str:
    """A value as the text of one cell, by the rules of `comparison_to_csv`.

    Raises:
        ValueError: a number that is not finite.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} cannot be exported: a value that was not measured is None")
    if isinstance(value, int | float):
        return str(value)
    text = fmt.visible(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA_STARTS) else text
