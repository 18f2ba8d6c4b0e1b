"""What a launch left on its device, and the state of the device around it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from bench.records import Measurement
from devices.errors import DeviceError
from devices.launch_output import LaunchOutput
from devices.power import energy_mj_per_invoke
from devices.sampler import TelemetryPoint, UnreadableSamples, parse_samples
from devices.telemetry import Snapshot, UnreadableState, parse_snapshot

# The file beside a launch that holds what its record needs, whoever collects it.
CONTEXT = "edgebench.json"


@dataclass(frozen=True, slots=True)
class Left:
    """What a launch left behind, or how the device failed.

    context: what was written beside it when it was started; {} where that is lost.
    link: what happened to the link meanwhile.
    """

    output: LaunchOutput | None
    error: DeviceError | None
    context: Mapping[str, Any]
    link: str = ""


def context_of(output: LaunchOutput) -> Mapping[str, Any]:
    try:
        found = json.loads(output.files.get(CONTEXT, b"{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class Conditions:
    """The device before, during and after a launch; None is "it did not tell"."""

    before: Snapshot | None
    after: Snapshot | None
    samples: Sequence[TelemetryPoint]
    found: Mapping[str, Any]
    link: str

    def to_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "before": None if self.before is None else self.before.to_json(),
            "after": None if self.after is None else self.after.to_json(),
            **self.found,
        }
        if self.samples:
            told["samples"] = [point.to_json() for point in self.samples]
        if self.link:
            told["link"] = self.link
        return told


def conditions_of(left: Left, context: Mapping[str, Any]) -> Conditions:
    output = left.output
    samples: Sequence[TelemetryPoint] = ()
    if output is not None and output.samples:
        # A sampler that says nothing readable costs its own lines and no measurement.
        with suppress(UnreadableSamples):
            samples = parse_samples(output.samples)
    return Conditions(
        before=None if output is None else _snapshot_of(output.before),
        after=None if output is None else _snapshot_of(output.after),
        samples=samples,
        found=context.get("ready") or {},
        link=left.link,
    )


def _snapshot_of(text: bytes) -> Snapshot | None:
    try:
        return parse_snapshot(text.decode("utf-8", "replace"))
    except UnreadableState:
        return None


def with_energy(measurement: Measurement, seen: Conditions) -> Measurement:
    if seen.before is None or seen.after is None:
        return replace(measurement, energy_reason="the device did not tell its state")
    invokes = measurement.count * measurement.invokes_per_sample
    energy, reason = energy_mj_per_invoke(
        seen.samples,
        seen.before,
        seen.after,
        mean_us=measurement.mean_us,
        measured_s=invokes * measurement.mean_us / 1e6,
    )
    return replace(measurement, energy_mj_per_invoke=energy, energy_reason=reason)
