"""Conditions on devices, and means over devices, as plain JSON values."""

from __future__ import annotations

from typing import Any

from reports.device_model import AcrossDevices, DeviceConditions, Points


def device_to_json(found: DeviceConditions) -> dict[str, Any]:
    """One device; ranges stand for the curves, null for what nobody could read."""
    battery, thermal = found.battery, found.thermal
    return {
        "device": found.device,
        "simulated": found.simulated,
        "launches": found.launches,
        "tools": [
            {"runner": tool.runner, **tool.facts, "launches": tool.launches} for tool in found.tools
        ],
        "controls": [
            {
                "name": control.name,
                "wanted": control.wanted,
                "before": control.before,
                "after": control.after,
                "outcome": control.outcome,
                "reason": control.reason,
                "launches": control.launches,
            }
            for control in found.controls
        ],
        "thermal_gate": None
        if thermal is None
        else {
            "launches": thermal.launches,
            "missed": thermal.missed,
            "unknown": thermal.unknown,
            "waited_s": thermal.waited_s,
            "longest_s": thermal.longest_s,
            "reasons": list(thermal.reasons),
        },
        "temperature_c": _range(found.temperature_c),
        "frequency_khz": {policy: _range(points) for policy, points in found.khz.items()},
        "battery": None
        if battery is None
        else {
            "first_percent": battery.first_percent,
            "last_percent": battery.last_percent,
            "seconds": battery.seconds,
            "charged": battery.charged,
            "drain_percent": battery.drain_percent,
        },
        "spoilt_launches": [
            {
                "case": launch.case,
                "round": launch.round,
                "attempt": launch.attempt,
                "outcome": launch.outcome,
                "reasons": list(launch.reasons),
            }
            for launch in found.spoilt
        ],
        "absent": list(found.absent),
    }


def across_to_json(found: AcrossDevices) -> dict[str, Any]:
    """One mean over devices."""
    return {
        "model": found.model,
        "variant": found.variant,
        "delegate": found.delegate.name,
        "delegate_options": dict(found.delegate.options),
        "threads": found.threads,
        "runner": found.runner,
        "speedup_geometric_mean": found.ratio,
        "n": len(found.devices),
        "devices": dict(found.devices),
        "without": dict(found.without),
        "simulated": found.simulated,
    }


def _range(points: Points) -> list[float] | None:
    values = [value for _, value in points]
    return [min(values), max(values)] if values else None
