"""Energy and power, from battery gauges whose units and signs are their vendors'.

The kernel's rule (Documentation/ABI/testing/sysfs-class-power) is uA and uV, and a negative
current while discharging. Vendors break both: some count mA, some turn the sign round.
Where a rule of plausibility does not settle it, there is no figure but a reason.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from devices.sampler import TelemetryPoint
from devices.state import Snapshot

MIN_READINGS = 3

# What a phone or tablet at work can draw from its battery, in mA. As uA the same range
# lies a thousand times higher, so that no reading fits both.
_PLAUSIBLE_MA = (50.0, 8000.0)
_PLAUSIBLE_MV = (2000.0, 30000.0)
_RAIL = re.compile(r"\s*(\S+)_([AV]) (?:current|volt)\(\d+\)=(\d+(?:\.\d+)?)[AV]\s*")


def energy_mj_per_invoke(
    points: Sequence[TelemetryPoint],
    before: Snapshot,
    after: Snapshot,
    *,
    mean_us: float,
    measured_s: float,
) -> tuple[float | None, str | None]:
    """Energy of the whole device in one of back-to-back invokes, mJ, or why there is none.

    It is the mean power over the readings that surely lie in the measured part, times the
    mean latency; screen, radio and everything else that runs are in it.

    Args:
        points: of the launch, of devices.sampler.
        before, after: the launch.
        mean_us: of one invoke.
        measured_s: length of the measured part, which is the last of the launch.
    """
    power, reason = _mean_mw(points, before, after, measured_s)
    return (None, reason) if power is None else (power * mean_us * 1e-6, None)


def pmic_w(lines: Sequence[str]) -> float | None:
    """Sum of volts times amps over the rails of `vcgencmd pmic_read_adc` (Pi 5), W.

    None where there is no such chip, and where a rail has a current and no voltage: a sum
    that lacks a rail would be too low.
    """
    amps: dict[str, float] = {}
    volts: dict[str, float] = {}
    for line in lines:
        if match := _RAIL.fullmatch(line):
            (amps if match[2] == "A" else volts)[match[1]] = float(match[3])
        elif re.match(r"\s*\S+_A ", line):
            return None
    if not amps or not amps.keys() <= volts.keys():
        return None
    return sum(current * volts[rail] for rail, current in amps.items())


def _mean_mw(
    points: Sequence[TelemetryPoint], before: Snapshot, after: Snapshot, measured_s: float
) -> tuple[float | None, str | None]:
    if reason := _not_on_battery(before, after):
        return None, reason
    if not points:
        return None, "nothing was sampled during the launch"
    # The launch ended within one period after the last point.
    begin_s = points[-1].uptime_s + 1.0 - measured_s
    inside = [point for point in points if point.uptime_s >= begin_s]
    if any(point.battery_status not in (None, "Discharging") for point in inside):
        return None, "the battery was not discharging all the time"
    currents = [p.battery_current_raw for p in inside if p.battery_current_raw is not None]
    if not any(point.battery_current_raw is not None for point in points):
        return None, "the device does not tell its battery's current"
    if len(currents) < MIN_READINGS:
        return None, f"{len(currents)} readings of the current, {MIN_READINGS} are needed"
    if len(set(currents)) == 1:
        return None, "the current gauge did not move: it is slower than the launch"
    if min(currents) < 0 < max(currents) or 0 in currents:
        return None, "the current gauge changes its sign or says 0 while discharging"
    per_ma = _unit([abs(current) for current in currents], _PLAUSIBLE_MA)
    if per_ma is None:
        return None, f"currents of {min(currents)} to {max(currents)} fit neither mA nor uA"
    volts = _millivolts(inside, before, after)
    if volts is None:
        return None, "the device does not tell its battery's voltage"
    mean_ma = math.fsum(abs(current) for current in currents) / len(currents) / per_ma
    return mean_ma * volts / 1000, None


def _millivolts(
    inside: Sequence[TelemetryPoint], before: Snapshot, after: Snapshot
) -> float | None:
    readings = [p.battery_voltage_raw for p in inside if p.battery_voltage_raw is not None]
    per_mv = _unit(readings, _PLAUSIBLE_MV) if readings else None
    if per_mv is not None:
        return math.fsum(readings) / len(readings) / per_mv
    around = [s.battery_voltage_mv for s in (before, after) if s.battery_voltage_mv is not None]
    return math.fsum(around) / len(around) if around else None


def _unit(readings: Sequence[int], plausible: tuple[float, float]) -> int | None:
    """1 where all readings are thousandths as they stand, 1000 where millionths; else None."""
    for scale in (1, 1000):
        if all(plausible[0] <= reading / scale <= plausible[1] for reading in readings):
            return scale
    return None


def _not_on_battery(before: Snapshot, after: Snapshot) -> str | None:
    states = (before, after)
    if any(state.plugged for state in states) or any(s.charging for s in states):
        return "the device was on external power"
    if any(state.battery_status is None for state in states):
        return "no battery that says whether it is discharging"
    if any(state.battery_status != "Discharging" for state in states):
        return "the battery was not discharging"
    return None
