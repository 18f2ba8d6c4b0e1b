"""Launches of a run -> the conditions on each device: controls, heat, battery, what was spoilt."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from bench.identity import Case
from bench.records import Json, LaunchRecord, Outcome, RunData
from reports.device_model import (
    Battery,
    ControlSeen,
    DeviceConditions,
    Points,
    SpoiltLaunch,
    ThermalGate,
    ToolSeen,
)
from reports.provenance import mapping

# Of launch environments, shown in a place of their own or belonging to a variant.
_ELSEWHERE = frozenset({"model_sha256", "controls", "simulated", "runner"})
# What a runner says of the program that it runs: runner_sha256, runner_dialect, ...
_TOOL = "runner_"


def conditions(data: RunData) -> tuple[DeviceConditions, ...]:
    """One entry per device, in the order of the plan."""
    cases = {planned.case.case_id: planned.case for planned in data.cases}
    by_device: dict[str, list[LaunchRecord]] = {c.device: [] for c in cases.values()}
    for launch in data.launches:
        by_device[cases[launch.case_id].device].append(launch)
    simulated = simulated_devices(data)
    return tuple(
        _device(
            name,
            sorted(made, key=lambda item: item.started_utc),
            cases,
            data.run.started_utc,
            simulated=name in simulated,
        )
        for name, made in by_device.items()
    )


def simulated_devices(data: RunData) -> frozenset[str]:
    """Names of the devices that are emulators.

    Each launch says it of its own device. Where none of its launches does, it is the run's
    word: rather a real number marked than a simulated one not. A device without a launch has
    no number to mark.
    """
    cases = {planned.case.case_id: planned.case for planned in data.cases}
    said: dict[str, set[bool | None]] = {case.device: set() for case in cases.values()}
    for launch in data.launches:
        said[cases[launch.case_id].device].add(_flag(launch.environment.get("simulated")))
    return frozenset(
        device
        for device, words in said.items()
        if True in words or (words == {None} and data.run.simulated)
    )


def heat_of(launch: LaunchRecord) -> Points:
    """(seconds since the launch began, degrees Celsius), by the device's own clock."""
    return tuple(
        (at, celsius)
        for at, state in _readings(launch, launch.started_utc)
        if (celsius := _celsius(state)) is not None
    )


def span_of(launch: LaunchRecord) -> float | None:
    """Seconds from the first to the last reading of anything around a launch; None without."""
    times = [at for at, _ in _readings(launch, launch.started_utc)]
    return times[-1] if len(times) > 1 else None


def shared(values: Sequence[Json]) -> dict[str, Any]:
    """What all of them hold alike."""
    if not values:
        return {}
    first, *others = values
    return {
        key: value
        for key, value in first.items()
        if all(key in other and other[key] == value for other in others)
    }


def _device(
    name: str,
    launches: Sequence[LaunchRecord],
    cases: Mapping[str, Case],
    began: datetime,
    *,
    simulated: bool,
) -> DeviceConditions:
    degrees: list[tuple[float, float]] = []
    clocks: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for launch in launches:
        for at, state in _readings(launch, began):
            if (celsius := _celsius(state)) is not None:
                degrees.append((at, celsius))
            for policy, khz in _khz(state):
                clocks[policy].append((at, khz))
    heat = _thinned(degrees, max)
    battery = _battery(launches)
    facts = shared([launch.environment for launch in launches])
    runtimes = [x.measurement.runtime for x in launches if x.measurement is not None]
    return DeviceConditions(
        device=name,
        simulated=simulated,
        launches=len(launches),
        tools=_tools(launches),
        controls=_controls(launches),
        thermal=_thermal(launches),
        temperature_c=heat,
        khz={policy: _thinned(points, min) for policy, points in sorted(clocks.items())},
        battery=battery,
        spoilt=tuple(_spoilt(launches, cases)),
        absent=tuple(_absent(launches, heat, clocks, battery)),
        facts={
            **{
                key: value
                for key, value in facts.items()
                if key not in _ELSEWHERE and not key.startswith(_TOOL)
            },
            "runtime": shared(runtimes),
        },
    )


def _tools(launches: Iterable[LaunchRecord]) -> tuple[ToolSeen, ...]:
    """Each program once: a change of its sha256 in the middle of a run shows as two."""
    seen: dict[tuple[str, str], list[Json]] = defaultdict(list)
    for launch in launches:
        known = launch.environment
        tool = {k.removeprefix(_TOOL): v for k, v in known.items() if k.startswith(_TOOL)}
        seen[str(known.get("runner", "")), json.dumps(tool, sort_keys=True)].append(tool)
    return tuple(ToolSeen(runner, facts[0], len(facts)) for (runner, _), facts in seen.items())


def _controls(launches: Iterable[LaunchRecord]) -> tuple[ControlSeen, ...]:
    """Each control once for every way in which it went."""
    seen: Counter[tuple[str, str | None, str | None, str | None, str, str]] = Counter()
    for launch in launches:
        for control in _mappings(launch.environment.get("controls")):
            seen[
                _text(control.get("name")) or "?",
                _text(control.get("wanted")),
                _text(control.get("before")),
                _text(control.get("after")),
                _text(control.get("outcome")) or "unknown",
                _text(control.get("reason")) or "",
            ] += 1
    return tuple(ControlSeen(*key, count) for key, count in seen.items())


def _thermal(launches: Iterable[LaunchRecord]) -> ThermalGate | None:
    gates = [gate for x in launches if (gate := mapping(x.conditions, "gate"))]
    if not gates:
        return None
    waits = [_number(gate.get("waited_s")) or 0.0 for gate in gates]
    # None is "nobody can tell", and right for the launch that the others are held against.
    unknown = sum(gate.get("reached", False) is None for gate in gates)
    missed = [gate for gate in gates if gate.get("reached", False) not in (True, None)]
    return ThermalGate(
        launches=len(gates),
        missed=len(missed),
        unknown=unknown,
        waited_s=sum(waits),
        longest_s=max(waits),
        reasons=tuple(dict.fromkeys(_text(gate.get("reason")) or "no reason" for gate in missed)),
    )


def _battery(launches: Iterable[LaunchRecord]) -> Battery | None:
    readings = []
    chargers = set()
    for launch in launches:
        for key in ("before", "after"):
            state = mapping(launch.conditions, key)
            level = _number(state.get("battery_percent"))
            if level is not None:
                offset = launch.duration_s if key == "after" else 0.0
                readings.append((launch.started_utc.timestamp() + offset, level))
                chargers.add(True if state.get("plugged") else _flag(state.get("charging")))
    if not readings:
        return None
    (first_s, first), (last_s, last) = readings[0], readings[-1]
    charged = True if True in chargers else False if chargers == {False} else None
    return Battery(first, last, last_s - first_s, charged)


def _spoilt(launches: Iterable[LaunchRecord], cases: Mapping[str, Case]) -> Iterator[SpoiltLaunch]:
    for launch in launches:
        if launch.usable:
            continue
        failed = launch.outcome is not Outcome.OK
        case = cases[launch.case_id]
        why = (launch.failure.message,) if launch.failure is not None else ()
        yield SpoiltLaunch(
            case=f"{case.model} · {case.label} ({case.runner})",
            round=launch.index + 1,
            attempt=launch.attempt + 1,
            outcome=launch.outcome.value if failed else "tainted",
            reasons=(*why, *launch.taints),
        )


def _absent(
    launches: Sequence[LaunchRecord],
    heat: Points,
    clocks: Mapping[str, Sequence[object]],
    battery: Battery | None,
) -> Iterator[str]:
    if not launches:
        yield "no launch was made on this device"
        return
    if not heat:
        yield "temperature: the device tells none"
    if not any(clocks.values()):
        yield "frequency: the device tells none"
    if battery is None:
        yield "battery: the device tells no level"
    elif battery.drain_percent is None:
        known = "a charger was connected" if battery.charged else "the charger's state is unknown"
        yield f"battery drain: {known}"
    measured = [x.measurement for x in launches if x.measurement is not None]
    why = Counter(
        m.energy_reason or "not measured" for m in measured if m.energy_mj_per_invoke is None
    )
    for reason, count in why.most_common():
        yield f"energy: {reason} ({count} of {len(measured)} launches)"
    if not any(launch.environment.get("controls") for launch in launches):
        yield "controls: none were asked for"


def _states(launch: LaunchRecord) -> Iterator[Json]:
    yield mapping(launch.conditions, "before")
    yield from _mappings(launch.conditions.get("samples"))
    yield mapping(launch.conditions, "after")


def _readings(launch: LaunchRecord, began: datetime) -> Iterator[tuple[float, Json]]:
    """(seconds since the run began, state): the device's own clock, from the launch's start."""
    zero = _number(mapping(launch.conditions, "before").get("uptime_s"))
    if zero is None:
        return
    start = (launch.started_utc - began).total_seconds()
    for state in _states(launch):
        uptime = _number(state.get("uptime_s"))
        # A device that restarted meanwhile counts from zero again.
        if uptime is not None and uptime >= zero:
            yield start + uptime - zero, state


def _celsius(state: Json) -> float | None:
    return _number(state.get("temperature_c"))


def _khz(state: Json) -> Iterator[tuple[str, float]]:
    """By policy: of a reading during a launch, or of a snapshot beside it."""
    readings, snapshots = mapping(state, "khz"), mapping(state, "policies")
    for policy in sorted({*readings, *snapshots}):
        snapshot = mapping(snapshots, policy).get("cur_khz")
        if (khz := _number(readings.get(policy, snapshot))) is not None:
            yield policy, khz


# No reading of any sensor is larger, in any of its units.
_MOST = 1e15
# As many as a chart can show.
_MOST_POINTS = 600


def _thinned(points: Sequence[tuple[float, float]], worst: Any) -> Points:
    """At most 600 points: of each stretch its worst, so that no peak is lost."""
    ordered = sorted(points)
    step = -(-len(ordered) // _MOST_POINTS) or 1
    groups = [ordered[i : i + step] for i in range(0, len(ordered), step)]
    return tuple(worst(group, key=lambda point: point[1]) for group in groups)


def _mappings(value: object) -> list[Json]:
    found = value if isinstance(value, list | tuple) else ()
    return [item for item in found if isinstance(item, Mapping)]


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < _MOST else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)
