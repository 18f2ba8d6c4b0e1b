"""A judged fleet as JSON for machines."""

from __future__ import annotations

from typing import Any

from reports.fleet.model import Finding, Fleet, Group, Kind

SCHEMA = "edgebench-fleet/1"


def fleet_to_json(fleet: Fleet) -> dict[str, Any]:
    """Times in ISO 8601, UTC; latencies in ms."""
    return {
        "schema": SCHEMA,
        "since": fleet.since.isoformat(),
        "until": fleet.until.isoformat(),
        "simulated": fleet.simulated,
        "devices": fleet.devices,
        "samples": fleet.samples,
        "unsynchronised": list(fleet.unsynchronised),
        "gate_failed": fleet.gate_failed,
        "groups": [_group(group) for group in fleet.groups],
        "findings": [_finding(finding) for finding in fleet.findings],
    }


def _group(group: Group) -> dict[str, Any]:
    return {
        **_kind(group.kind),
        "devices": group.devices,
        "judged": group.judged,
        "samples": group.samples,
        "p50_ms": group.p50_ms,
        "low_ms": group.low_ms,
        "high_ms": group.high_ms,
        "limit_ratio": group.limit,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "trouble": finding.trouble.value,
        "fails_gate": finding.trouble.fails_gate,
        "devices": list(finding.devices),
        "kind": None if finding.kind is None else _kind(finding.kind),
        "text": finding.text,
        "evidence": list(finding.evidence),
        "ratio": finding.ratio,
    }


def _kind(kind: Kind) -> dict[str, Any]:
    return {
        "model_name": kind.model_name,
        "model_version": kind.model_version,
        "quantization_type": kind.quantization_type,
        "delegate": kind.delegate,
        "threads": kind.threads,
        "device_model": kind.device_model,
    }
