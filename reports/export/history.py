"""A history as strict JSON: the same values, nothing rounded, absent is null."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bench.points import Point
from bench.stats import Interval
from reports.history.model import (
    AgainstBaseline,
    DeviceFinding,
    Finding,
    History,
    ProvenanceChange,
    SeriesHistory,
    Step,
)
from reports.history.words import is_simulated

SCHEMA = "edgebench-history/1"


def history_to_json(history: History) -> dict[str, Any]:
    """Plain JSON values. Units are in the keys; an interval is [low, high]; a ratio is after /
    before, above 1 is slower."""
    return {
        "schema": SCHEMA,
        "project": history.project,
        "findings": [finding_to_json(found) for found in history.findings],
        "devices": [device_finding_to_json(found) for found in history.devices],
        "series": [_series(one) for one in history.series],
    }


def finding_to_json(finding: Finding) -> dict[str, Any]:
    """One finding; `is_bad` is whether it fails a gate."""
    return {
        "word": finding.word.value,
        "standing": finding.standing.value,
        "is_bad": finding.is_bad,
        "case_id": finding.case_id,
        "case": finding.case.to_json(),
        "run_id": finding.run_id,
        "since_utc": finding.since_utc.isoformat(),
        "last_good_run_id": finding.last_good_run_id,
        "before": finding.before,
        "after": finding.after,
        "ratio": finding.ratio,
        "ratio_interval": _interval(finding.interval),
        "provenance": _changes(finding.provenance),
        "sentence": finding.sentence,
        "todo": finding.todo,
    }


def device_finding_to_json(found: DeviceFinding) -> dict[str, Any]:
    """A device all of whose cases moved at once."""
    return {
        "device": found.device,
        "since_utc": found.since_utc.isoformat(),
        "ratio": found.ratio,
        "cases": found.cases,
        "of": found.of,
        "provenance": _changes(found.provenance),
        "sentence": found.sentence,
    }


def _series(one: SeriesHistory) -> dict[str, Any]:
    judged = {point.run_id for point in one.judged}
    return {
        "case_id": one.case_id,
        "case": one.case.to_json(),
        "simulated": is_simulated(one),
        "points": [{**_point(point), "judged": point.run_id in judged} for point in one.points],
        "steps": [_step(step) for step in one.steps],
        "lone_points": [{"run_id": spike.run_id, "ratio": spike.ratio} for spike in one.spikes],
        "against": None if one.against is None else _against(one.against),
        "smallest_step": one.smallest_step,
        "changes": [
            {"run_id": one.points[at].run_id, "provenance": _changes(changes)}
            for at, changes in one.changes
        ],
    }


def _point(point: Point) -> dict[str, Any]:
    return {
        "run_id": point.run_id,
        "started_utc": point.started_utc.isoformat(),
        "state": point.state.value,
        "reason": point.reason,
        "quantity": point.quantity,
        "p50_us": point.p50_us,
        "p50_interval_us": None
        if point.p50_low_us is None
        else [point.p50_low_us, point.p50_high_us],
        "p90_us": point.p90_us,
        "mean_us": point.mean_us,
        "launches_made": point.launches_made,
        "launches_used": point.launches_used,
        "stability": point.stability,
        "coverage": point.coverage,
        "delegated_nodes": point.delegated_nodes,
        "total_nodes": point.total_nodes,
        "numerics": point.numerics,
        "accuracy": point.accuracy,
        "accuracy_interval": None
        if point.accuracy_low is None
        else [point.accuracy_low, point.accuracy_high],
        "metric": point.metric,
        "gates_failed": list(point.gates_failed),
        "size_bytes": point.size_bytes,
        "model_sha256": point.model_sha256,
        "runtime": point.runtime,
        "peak_rss_kib": point.peak_rss_kib,
        "energy_mj_per_invoke": point.energy_mj_per_invoke,
        "start_c": point.start_c,
        "simulated": point.simulated,
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "last_good_run_id": step.last_good_run_id,
        "first_bad_run_id": step.first_bad_run_id,
        "since_utc": step.since_utc.isoformat(),
        "before_us": step.before_us,
        "after_us": step.after_us,
        "ratio": step.ratio,
        "ratio_interval": _interval(step.interval),
        "p_value": step.p_value,
        "provenance": _changes(step.provenance),
    }


def _against(held: AgainstBaseline) -> dict[str, Any]:
    return {
        "what": held.what,
        "run_id": None if held.baseline is None else held.baseline.run_id,
        "before_us": held.before_us,
        "ratio": held.ratio,
        "ratio_interval": _interval(held.interval),
        "significant": held.significant,
    }


def _changes(changes: Iterable[ProvenanceChange]) -> list[dict[str, str]]:
    return [{"what": one.what, "before": one.before, "after": one.after} for one in changes]


def _interval(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]
