"""Pairs as tidy CSV: one line per case, units in the names of the columns."""

from __future__ import annotations

import csv
import io

from reports.export.csv import Value, csv_cell
from reports.model import Row
from reports.pairs.model import Pair, Pairs

_OF_ROW = (
    "run_id",
    "case_id",
    "model",
    "variant",
    "delegate",
    "threads",
    "device",
    "runner",
    "p50_us",
    "p50_low_us",
    "p50_high_us",
    "launches",
    "size_bytes",
    "model_sha256",
    "peak_rss_kib",
    "energy_mj_per_invoke",
    "accuracy",
    "delegation",
    "delegated_nodes",
    "total_nodes",
    "numerics",
    "stability",
    "failure",
)
COLUMNS = (
    "word",
    "paired",
    "ratio",
    "ratio_low",
    "ratio_high",
    "ratio_confidence",
    "rounds",
    "change",
    "p_value",
    "between_runs_share",
    "reason",
    "simulated",
    "accuracy_change",
    "accuracy_change_low",
    "accuracy_change_high",
    "accuracy_p_value",
    "accuracy_verdict",
    "accuracy_reason",
    "provenance",
    *(f"{side}_{name}" for side in "ab" for name in _OF_ROW),
)


def pairs_to_csv(pairs: Pairs) -> str:
    """One header line and one line per pair; absent values are empty, never zero. Ratios are
    A / B.

    Raises: ValueError where a number is not finite.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for pair in pairs.pairs:
        line = _line(pair, pairs)
        writer.writerow([csv_cell(line[name]) for name in COLUMNS])
    return out.getvalue()


def _line(pair: Pair, pairs: Pairs) -> dict[str, Value]:
    speedup, accuracy = pair.speedup, pair.accuracy
    interval = None if speedup is None else speedup.interval
    around = None if accuracy is None else accuracy.change_interval
    line: dict[str, Value] = {
        "word": pair.word.value,
        "paired": pair.paired,
        "ratio": speedup.ratio if speedup else None,
        "ratio_low": interval.low if interval else None,
        "ratio_high": interval.high if interval else None,
        "ratio_confidence": interval.confidence if interval else None,
        "rounds": speedup.rounds if speedup else None,
        "change": speedup.change.value if speedup else None,
        "p_value": speedup.p_value if speedup else None,
        "between_runs_share": pair.spread.share if pair.spread else None,
        "reason": pair.reason,
        "simulated": pair.simulated,
        "accuracy_change": accuracy.change if accuracy else None,
        "accuracy_change_low": around.low if around else None,
        "accuracy_change_high": around.high if around else None,
        "accuracy_p_value": accuracy.p_value if accuracy else None,
        "accuracy_verdict": accuracy.verdict.text if accuracy and accuracy.verdict else None,
        "accuracy_reason": pair.accuracy_reason,
        "provenance": "; ".join(f"{c.what}: {c.before} → {c.after}" for c in pair.provenance),
    }
    for name, side, row in (("a", pairs.a, pair.a), ("b", pairs.b, pair.b)):
        found = _row(row)
        found["run_id"] = None if row is None else side.run_id
        line |= {f"{name}_{key}": found.get(key) for key in _OF_ROW}
    return line


def _row(row: Row | None) -> dict[str, Value]:
    if row is None:
        return {}
    around = None if row.is_wrong else row.p50_interval_us
    taken = row.delegation
    return {
        "case_id": row.case_id,
        "model": row.case.model,
        "variant": row.case.variant,
        "delegate": row.case.delegate.label,
        "threads": row.case.threads,
        "device": row.case.device,
        "runner": row.case.runner,
        # A wrong answer has no speed.
        "p50_us": None if row.is_wrong else row.p50_us,
        "p50_low_us": around.low if around else None,
        "p50_high_us": around.high if around else None,
        "launches": row.launches_used,
        "size_bytes": row.size_bytes,
        "model_sha256": row.model_sha256,
        "peak_rss_kib": row.peak_rss_kib,
        "energy_mj_per_invoke": row.energy_mj_per_invoke,
        "accuracy": None if row.accuracy is None else row.accuracy.value,
        "delegation": None if taken is None else taken.verdict.value,
        "delegated_nodes": None if taken is None else taken.delegated_nodes,
        "total_nodes": None if taken is None else taken.total_nodes,
        "numerics": None if row.numerics is None else row.numerics.word.value,
        "stability": row.stability.word.value,
        "failure": row.failure or row.not_applicable,
    }
