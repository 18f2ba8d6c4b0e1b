"""What must be read with the numbers of a run, and what all of it shares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bench.records import LaunchRecord, Purpose, RunData, RunStatus, Source
from bench.sentinel import judge
from reports.conditions import shared, simulated_devices
from reports.measured import MeasuredCase
from reports.model import Row
from reports.provenance import mapping
from reports.standing import why_not_under_its_name

# Below this number of units nothing is said about a device model (METHOD section 9).
UNITS_OF_A_MODEL = 3
# What tells a device's kind, the most telling first.
_KIND = ("soc", "board", "cpu_model")


def environment(data: RunData) -> Mapping[str, Any]:
    """What all launches share, and the controller; what differs is left out."""
    facts = shared([launch.environment for launch in data.launches])
    runtime = shared([x.measurement.runtime for x in data.launches if x.measurement is not None])
    # The file belongs to the variant, also where a run has only one.
    facts.pop("model_sha256", None)
    return {**facts, "runtime": runtime, "host": data.run.host}


def notes(data: RunData, cases: Sequence[MeasuredCase], rows: Sequence[Row]) -> tuple[str, ...]:
    """Sentences that must be read with the numbers."""
    found = []
    emulators = simulated_devices(data)
    devices = sorted({item.case.device for item in cases})
    if emulators.issuperset(devices):
        found.append("Simulated: every device of this run is emulated; no number is real.")
    elif emulators:
        found.append(
            f"Simulated: {', '.join(sorted(emulators))}. No number of these is real, and none"
            " enters the recommendation or a mean with real ones."
        )
    if data.run.status is not RunStatus.FINISHED:
        found.append(f"The run is {data.run.status.value}: rounds are missing.")
    alone = _few_of_their_kind(data, [d for d in devices if d not in emulators] or devices)
    if alone:
        what, kind = (
            ("this unit", "its kind") if len(alone) == 1 else ("these units", "their kinds")
        )
        found.append(f"Speaks for {what} only ({', '.join(alone)}), not for {kind}.")
    found.append(
        "Latency is back to back with warm caches, without copying inputs and outputs; the unit"
        " of analysis is the launch (one fresh process)."
    )
    if any(row.accuracy is not None for row in rows):
        kernels = sorted({row.accuracy.kernels for row in rows if row.accuracy is not None})
        found.append(
            "Accuracy is by the kernels of each row's delegate (evaluated: "
            f"{', '.join(kernels)}); changes are paired on the same images."
        )
    metrics = dict.fromkeys(row.accuracy.metric for row in rows if row.accuracy is not None)
    for metric in metrics:
        if not metric.is_share:
            better = "more" if metric.higher_is_better else "less"
            found.append(
                f"{metric.title}: {better} is better; it is no share, so that changes are in its"
                " own unit and accuracy_drop_max_points does not apply; accuracy_ratio_min does."
            )
    found += _sources(rows)
    runners = dict.fromkeys(row.case.runner for row in rows)
    if len(runners) > 1:
        found.append(
            f"Runners: {', '.join(runners)}. Their numbers are never compared with each other."
        )
    made = sum(row.launches_made for row in rows)
    lost = made - sum(row.launches_used for row in rows)
    if lost:
        tainted = sum(bool(launch.taints) for item in cases for launch in item.launches)
        found.append(
            f"{lost} of {made} launches are not used ({tainted} tainted, the others failed or were"
            " repeated)."
        )
    found += _sentinels(data)
    foreign = sum(item.foreign for item in cases)
    if foreign:
        found.append(f"{foreign} launches are left out: they measured another file of a variant.")
    found += _unchecked(data, rows)
    for row in rows:
        doubt = why_not_under_its_name(row)
        if row.p50_us is not None and doubt is not None:
            found.append(f"{row.case.model} · {row.case.label} on {row.case.device}: {doubt}.")
    return tuple(found)


def _few_of_their_kind(data: RunData, devices: Sequence[str]) -> list[str]:
    """Devices of which too few like them were measured to speak for their kind.

    Alike are those of one chip or board; two names of one unit count once.
    """
    device_of = {planned.case.case_id: planned.case.device for planned in data.cases}
    facts = {device_of[x.case_id]: mapping(x.environment, "device") for x in data.launches}
    kind = {
        device: next((str(known[key]) for key in _KIND if known.get(key)), f"({device})")
        for device in devices
        for known in (facts.get(device, {}),)
    }
    units: dict[str, set[str]] = {}
    for device in devices:
        unit = facts.get(device, {}).get("unit")
        units.setdefault(kind[device], set()).add(str(unit or device))
    return [device for device in devices if len(units[kind[device]]) < UNITS_OF_A_MODEL]


def _sources(rows: Sequence[Row]) -> Iterator[str]:
    """What stands in the place of a percentile of samples, where any does."""
    p50s = {row.p50_source for row in rows}
    if Source.TOOL_MEAN in p50s:
        yield (
            "tool-mean: below 100 µs the tool's whole microseconds are too coarse for a median,"
            " and its mean stands in; it is compared with other means only."
        )
    if Source.UNAVAILABLE in p50s:
        yield "mean: the tool prints no percentile; its mean is compared with nothing."
    if Source.INTERPOLATED in {row.p90_source for row in rows}:
        yield (
            "~ before a p90: an estimate between the tool's median and p95, which bound it for"
            " certain; it is never tested and never gated."
        )


def _unchecked(data: RunData, rows: Sequence[Row]) -> Iterator[str]:
    """Once for the run, where it holds no check of a kind at all."""
    if not any(row.p50_us is not None for row in rows):
        return
    purposes = {check.purpose for check in data.checks}
    if Purpose.NUMERICS not in purposes:
        yield "Not checked in this run: whether the answers are those of the plain kernels."
    if Purpose.PROFILE not in purposes:
        yield "Not profiled in this run: which ops took the time, and where they ran."


def _sentinels(data: RunData) -> Iterator[str]:
    """Per device: whether it ran at its ordinary speed (METHOD section 6)."""
    sentinels = [planned.case for planned in data.cases if planned.case.is_sentinel]
    made, earlier = _by_case(data.launches), _by_case(data.earlier_sentinels)
    for case in sentinels:
        verdict = judge(made.get(case.case_id, ()), earlier.get(case.case_id, ()))
        yield f"{case.device}: {verdict.sentence}" if len(sentinels) > 1 else verdict.sentence


def _by_case(launches: Iterable[LaunchRecord]) -> dict[str, list[LaunchRecord]]:
    found: dict[str, list[LaunchRecord]] = {}
    for launch in launches:
        found.setdefault(launch.case_id, []).append(launch)
    return found
