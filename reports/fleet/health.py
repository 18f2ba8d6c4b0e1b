"""Devices that fail, are silent, are throttled or drained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median

from bench.telemetry import Telemetry
from reports.fleet.latency import MIN_DEVICES, MIN_SAMPLES
from reports.fleet.model import Finding, Kind, Trouble
from reports.fleet.outliers import outlier_limit

_NOTICED_SHARE = 0.1
_SILENT_INTERVALS = 3
_SILENT_UNKNOWN = timedelta(days=1)
_LEAST_DRAIN_PCT_PER_DAY = 5.0


def failing(kind: Kind, members: Sequence[Telemetry]) -> list[Finding]:
    return [
        Finding(
            Trouble.FAILING,
            (one.deployment.device_id,),
            kind,
            f"{one.failures} of {one.samples} samples failed.",
            (f"last: {one.last_failure}",),
        )
        for one in members
        if one.failures and one.failures >= _NOTICED_SHARE * one.samples
    ]


def silent(
    by_device: Mapping[str, Sequence[Telemetry]], heard: Mapping[str, datetime], until: datetime
) -> list[Finding]:
    found = []
    for device, last in sorted(heard.items()):
        # With one sample alone, or none in this window, its interval is not known.
        every = min(
            (
                (one.last_utc - one.first_utc) / (one.samples - 1)
                for one in by_device.get(device, ())
                if one.samples > MIN_SAMPLES
            ),
            default=None,
        )
        patience = _SILENT_UNKNOWN if every is None else every * _SILENT_INTERVALS
        if until - last > patience:
            usual = "" if every is None else f"; it sent one every {_time(every)}"
            text = f"Nothing for {_time(until - last)}{usual}."
            found.append(Finding(Trouble.SILENT, (device,), None, text))
    return found


def throttled(by_device: Mapping[str, Sequence[Telemetry]]) -> list[Finding]:
    found = []
    for device, many in by_device.items():
        throttled, told = sum(t.throttled for t in many), sum(t.told for t in many)
        if throttled and throttled >= _NOTICED_SHARE * told:
            text = f"Throttled in {throttled} of {told} samples."
            hot = [t.latest["temperature_c"] for t in many if t.latest.get("temperature_c")]
            evidence = (f"{max(hot):.0f} °C at the last sample",) if hot else ()
            found.append(Finding(Trouble.THROTTLED, (device,), None, text, evidence))
    return found


def drained(by_device: Mapping[str, Sequence[Telemetry]]) -> list[Finding]:
    per_day = {}
    for device, many in by_device.items():
        told = [one.drained_pct for one in many if one.drained_pct is not None]
        seen = max(t.last_utc for t in many) - min(t.first_utc for t in many)
        if told and seen >= timedelta(days=1):
            per_day[device] = math.fsum(told) / (seen / timedelta(days=1))
    if len(per_day) < MIN_DEVICES:
        return []
    usual = median(per_day.values())
    limit = outlier_limit([math.log(max(drain, 1.0)) for drain in per_day.values()])
    return [
        Finding(
            Trouble.DRAINED,
            (device,),
            None,
            f"{drain:.0f} % of a charge per day where others use {usual:.0f} %.",
        )
        for device, drain in per_day.items()
        if drain - usual >= _LEAST_DRAIN_PCT_PER_DAY
        and math.log(max(drain, 1.0)) - math.log(max(usual, 1.0)) >= limit
    ]


def _time(span: timedelta) -> str:
    for unit, name in ((timedelta(days=1), "days"), (timedelta(hours=1), "hours")):
        if span >= 2 * unit:
            return f"{span / unit:.0f} {name}"
    return f"{span / timedelta(minutes=1):.0f} minutes"
