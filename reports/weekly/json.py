"""The week as JSON for machines: every finding, point of coverage and device, none left out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from bench.points import Point
from bench.stats import Interval
from reports.history.model import DeviceFinding, ProvenanceChange
from reports.weekly.model import (
    SCHEMA,
    Coverage,
    Entry,
    GateChange,
    ProjectWeek,
    Sight,
    Weekly,
)
from reports.weekly.words import headline, project_headline


def weekly_to_text(week: Weekly) -> str:
    """One line per value, with a newline at its end.

    Raises:
        ValueError: a number in the week is not finite.
    """
    return json.dumps(weekly_to_json(week), indent=2, allow_nan=False) + "\n"


def weekly_to_json(week: Weekly) -> dict[str, Any]:
    """Plain JSON values; latencies in microseconds, ratios after / before, shares in 0..1."""
    return {
        "schema": SCHEMA,
        "since_utc": _moment(week.since_utc),
        "until_utc": _moment(week.until_utc),
        "headline": headline(week),
        "gate_failed": week.gate_failed,
        "measured_nothing": week.measured_nothing,
        "projects": [_project(project) for project in week.projects],
    }


def _project(project: ProjectWeek) -> dict[str, Any]:
    return {
        "project": project.project,
        "headline": project_headline(project),
        "gate_failed": project.gate_failed,
        "measured_nothing": project.measured_nothing,
        "last_run_utc": _moment(project.last_run_utc),
        "coverage": _coverage(project.total),
        "worse": _entries(project.worse),
        "older": _entries(project.older),
        "by_device": _entries(project.by_device),
        "better": _entries(project.better),
        "new": _entries(project.appeared),
        "devices": [_device(device) for device in project.devices],
        "delegations": [
            {
                "case_id": c.change.now.case_id,
                "case": c.change.title,
                "device": c.change.case.device,
                "worse": c.worse,
                "before": _taken(c.change.before),
                "now": _taken(c.change.now),
                "run_id": c.change.first.run_id,
                "since_utc": _moment(c.change.first.started_utc),
            }
            for c in project.delegations
        ],
        "gates": [_gate(change) for change in project.gates],
        "unreliable": [
            {
                "device": one.device,
                "cases": one.cases,
                "cases_lost": one.cases_lost,
                "launches_made": one.launches_made,
                "launches_used": one.launches_used,
                "reasons": _counted(one.reasons),
            }
            for one in project.unreliable
        ],
        "coverage_by_device": [
            {"device": c.device, **_coverage(c.coverage), "reasons": _counted(c.reasons)}
            for c in project.coverage
        ],
        "smallest_step": _sight(project.sight),
        "smallest_step_by_device": [
            {"device": sight.device, **_sight(sight)} for sight in project.sights
        ],
        "chance": {
            "series": project.chance.series,
            "numbers": project.chance.looks,
            "false_alarms": [project.chance.low, project.chance.high],
            "suspected": project.chance.suspected,
            "stand_out": sorted(project.chance.outstanding),
        },
        "charts_left_out": project.trends_left_out,
        "runs": [
            {
                "run_id": run.run_id,
                "status": run.status,
                "started_utc": _moment(run.started_utc),
                "simulated": run.simulated,
                "cases": run.points,
            }
            for run in project.runs
        ],
        "simulated": {
            "entries": _entries(project.simulated.entries),
            "devices": [_device(device) for device in project.simulated.devices],
            "coverage": _coverage(project.simulated.coverage),
        },
    }


def _entries(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    return [
        {
            "word": str(entry.finding.word),
            "standing": str(entry.finding.standing),
            "is_bad": entry.finding.is_bad,
            "case_id": entry.finding.case_id,
            "case": entry.title,
            "spec": entry.finding.case.to_json(),
            "run_id": entry.finding.run_id,
            "since_utc": _moment(entry.finding.since_utc),
            "last_good_run_id": entry.finding.last_good_run_id,
            "before": entry.finding.before,
            "after": entry.finding.after,
            "ratio": entry.finding.ratio,
            **_interval(entry.finding.interval),
            "provenance": _provenance(entry.finding.provenance),
            "sentence": entry.finding.sentence,
            "todo": entry.finding.todo,
            "smallest_step": entry.series.smallest_step,
        }
        for entry in entries
    ]


def _device(found: DeviceFinding) -> dict[str, Any]:
    return {
        "device": found.device,
        "since_utc": _moment(found.since_utc),
        "ratio": found.ratio,
        "cases": found.cases,
        "of": found.of,
        "provenance": _provenance(found.provenance),
        "sentence": found.sentence,
    }


def _gate(found: GateChange) -> dict[str, Any]:
    change = found.change
    return {
        "case_id": change.now.case_id,
        "case": change.title,
        "gate": found.gate,
        "fails": found.fails,
        "run_id": change.first.run_id,
        "since_utc": _moment(change.first.started_utc),
    }


def _coverage(one: Coverage) -> dict[str, int]:
    return {
        "planned": one.planned,
        "measured": one.measured,
        "invalid": one.invalid,
        "fell_back": one.fell_back,
        "failed": one.failed,
        "unfinished": one.unfinished,
        "missing": one.missing,
        "not_applicable": one.not_applicable,
    }


def _sight(one: Sight) -> dict[str, Any]:
    return {
        "series": one.series,
        "too_short": one.too_short,
        "median": one.median,
        "nine_of_ten": one.tenth,
        "worst": one.worst,
    }


def _taken(point: Point) -> dict[str, Any]:
    return {
        "coverage": point.coverage,
        "delegated_nodes": point.delegated_nodes,
        "total_nodes": point.total_nodes,
    }


def _interval(interval: Interval | None) -> dict[str, Any]:
    """As everywhere: [low, high]."""
    if interval is None:
        return {"interval": None, "confidence": None}
    return {"interval": [interval.low, interval.high], "confidence": interval.confidence}


def _provenance(changes: Iterable[ProvenanceChange]) -> list[dict[str, str]]:
    return [{"what": c.what, "before": c.before, "after": c.after} for c in changes]


def _counted(reasons: Iterable[tuple[str, int]]) -> list[dict[str, Any]]:
    return [{"reason": reason, "count": count} for reason, count in reasons]


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
