"""Conditions on each device, and means over devices, as text for every medium."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from bench import format as fmt
from reports.device_model import AcrossDevices, DeviceConditions, Points, ThermalGate
from reports.render.facts import flatten

CONTROL_HEADS = ("control", "wanted", "before", "after", "outcome", "launches")
TOOL_HEADS = ("runner", "program", "launches")
SPOILT_HEADS = ("case", "round", "attempt", "what", "why")
ACROSS_HEADS = ("model", "variant", "delegate", "threads", "runner", "vs fp32", "n", "devices")


@dataclass(frozen=True, slots=True)
class DeviceView:
    """One device; all text without control characters, not escaped for any medium.

    Attributes:
        summary: (name, text) pairs: launches, temperature, cooling, battery.
        controls, tools, spoilt: lines of the tables under the heads of this module.
        absent: what nobody could read, with the reason.
        facts: (dotted name, text) of what all its launches share.
    """

    title: str
    summary: tuple[tuple[str, str], ...]
    controls: tuple[tuple[str, ...], ...]
    tools: tuple[tuple[str, ...], ...]
    spoilt: tuple[tuple[str, ...], ...]
    absent: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class AcrossView:
    """One mean over devices: cells under ACROSS_HEADS, and a sentence on what is not in it."""

    cells: tuple[str, ...]
    without: str


def device_view(found: DeviceConditions) -> DeviceView:
    """Formats the conditions on one device."""
    return DeviceView(
        title=fmt.visible(f"{found.device}, simulated" if found.simulated else found.device),
        summary=tuple((fmt.visible(name), fmt.visible(text)) for name, text in _summary(found)),
        controls=tuple(
            _texts(
                control.name,
                control.wanted or fmt.ABSENT,
                control.before or fmt.ABSENT,
                control.after or fmt.ABSENT,
                f"{control.outcome}: {control.reason}" if control.reason else control.outcome,
                str(control.launches),
            )
            for control in found.controls
        ),
        tools=tuple(
            _texts(tool.runner, _program(tool.facts), str(tool.launches)) for tool in found.tools
        ),
        spoilt=tuple(
            _texts(
                launch.case,
                str(launch.round),
                str(launch.attempt),
                launch.outcome,
                "; ".join(launch.reasons) or "no reason was recorded",
            )
            for launch in found.spoilt
        ),
        absent=tuple(map(fmt.visible, found.absent)),
        facts=flatten(found.facts),
    )


def across_view(found: AcrossDevices) -> AcrossView:
    """Formats a mean over devices."""
    options = "".join(f" {key}={value}" for key, value in found.delegate.options)
    each = ", ".join(f"{device} {fmt.ratio(value)}" for device, value in found.devices.items())
    cells = _texts(
        f"{found.model} (simulated)" if found.simulated else found.model,
        found.variant,
        f"{found.delegate.name}{options}",
        str(found.threads),
        found.runner,
        fmt.ratio(found.ratio),
        str(len(found.devices)),
        each,
    )
    what = f"{found.variant} · {found.delegate.name}{options} · {fmt.threads(found.threads)}"
    without = "; ".join(f"{device} ({why})" for device, why in found.without.items())
    return AcrossView(cells, fmt.visible(f"{what} is without {without}") if without else "")


def _texts(*cells: str) -> tuple[str, ...]:
    return tuple(map(fmt.visible, cells))


def _program(facts: object) -> str:
    pairs = flatten(facts) if isinstance(facts, dict) else ()
    return ", ".join(f"{name} {text}" for name, text in pairs) or fmt.ABSENT


def _summary(found: DeviceConditions) -> Iterator[tuple[str, str]]:
    spoilt = Counter(launch.outcome for launch in found.spoilt)
    lost = ", ".join(f"{count} {word}" for word, count in spoilt.most_common())
    yield "launches", f"{found.launches} made, {lost or 'none spoilt'}"
    if found.temperature_c:
        low, high = _range(found.temperature_c)
        yield "temperature", f"{low:.1f} to {high:.1f} °C"
    for policy, points in found.khz.items():
        if points:
            low, high = _range(points)
            yield f"frequency of {policy}", f"{low / 1000:.0f} to {high / 1000:.0f} MHz"
    if found.thermal is not None:
        yield "cooling", _cooling(found.thermal)
    if found.battery is not None:
        battery = found.battery
        text = f"{battery.first_percent:.0f} % to {battery.last_percent:.0f} %"
        drain = battery.drain_percent
        if drain is not None:
            text += f", {drain:.0f} points drawn in {battery.seconds / 60:.0f} min"
        yield "battery", text


def _cooling(gate: ThermalGate) -> str:
    waited = f"waited {gate.waited_s:.0f} s in all, {gate.longest_s:.0f} s at most"
    if gate.unknown == gate.launches:
        return "how warm its launches started is unknown: it tells no temperature of its processor"
    if not gate.missed:
        return f"every launch started cool enough; {waited}"
    return (
        f"{gate.missed} of {gate.launches} launches started too hot ({'; '.join(gate.reasons)});"
        f" {waited}"
    )


def _range(points: Points) -> tuple[float, float]:
    values = [value for _, value in points]
    return min(values), max(values)
