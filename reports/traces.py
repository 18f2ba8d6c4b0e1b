"""The launches of a case that say most, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.records import LaunchRecord, Measurement
from reports.conditions import heat_of, span_of
from reports.device_model import LaunchTrace, Points
from reports.measured import MeasuredCase


def traces_of(item: MeasuredCase) -> tuple[LaunchTrace, ...]:
    """The launch of the median p50, and of the tainted ones the slowest; () without samples."""
    traces = []
    used = _with_samples([x for x in item.used if not x.taints])
    if used:
        middle = float(np.median([_middle(m) for _, m in used]))
        launch, measured = min(used, key=lambda one: abs(_middle(one[1]) - middle))
        of = "the only one" if len(used) == 1 else f"the median of {len(used)}"
        traces.append(_trace(launch, measured, of))
    tainted = _with_samples([x for x in item.launches if x.taints])
    if tainted:
        launch, measured = max(tainted, key=lambda one: _middle(one[1]))
        of = "tainted" if len(tainted) == 1 else f"the slowest of {len(tainted)} tainted"
        traces.append(_trace(launch, measured, of))
    return tuple(traces)


def _with_samples(launches: Sequence[LaunchRecord]) -> list[tuple[LaunchRecord, Measurement]]:
    return [
        (launch, launch.measurement)
        for launch in launches
        if launch.measurement is not None
        and launch.measurement.samples_ns is not None
        and len(launch.measurement.samples_ns)
    ]


def _middle(measured: Measurement) -> float:
    return measured.mean_us if measured.p50_us is None else measured.p50_us


def _trace(launch: LaunchRecord, measured: Measurement, why: str) -> LaunchTrace:
    assert measured.samples_ns is not None
    heat, within = _placed(launch, measured)
    return LaunchTrace(
        round=launch.index + 1,
        attempt=launch.attempt + 1,
        why=why,
        samples_us=measured.samples_ns / 1e3,
        invokes_per_sample=measured.invokes_per_sample,
        temperature_c=heat,
        placed_within_s=within,
        taints=launch.taints,
    )


def _placed(launch: LaunchRecord, measured: Measurement) -> tuple[Points, float | None]:
    """Its temperatures by seconds since the first sample, and how far off these may be.

    The first sample came after loading and warm-up, and so long before the end that all
    samples had room.
    """
    heat, span = heat_of(launch), span_of(launch)
    if not heat or span is None or measured.samples_ns is None:
        return (), None
    all_samples_s = float(measured.samples_ns.sum()) * measured.invokes_per_sample / 1e9
    earliest = (measured.load_us or 0.0) / 1e6 + measured.warmup_s
    latest = span - all_samples_s
    first = (earliest + latest) / 2
    return tuple((at - first, celsius) for at, celsius in heat), abs(latest - earliest) / 2
