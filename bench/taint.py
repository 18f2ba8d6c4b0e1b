"""Whether the conditions around one launch disqualify its number (METHOD section 6).

What is absent is no evidence, neither for nor against: it taints nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.power import percent
from bench.records import HostLoad, Json, Measurement

MAX_OTHER_LOAD = 0.10
MAX_STEAL = 0.01
MAX_SLOWER = 0.03
MIN_BATTERY_PERCENT = 20
# PowerManager.THERMAL_STATUS_MODERATE.
THERMAL_STATUS_MODERATE = 2

_TICK_NS = 10_000_000
# busy is the difference of a sum of five counters cut to whole ticks (user, nice, system,
# irq, softirq): its error has a standard deviation of 0.9 ticks, so that two of them are
# granted. Steal is one counter, off by less than one tick. A process's own time is four
# counters, which grants two more ticks where it is read beside the process.
_BUSY_ALLOWANCE_NS = 2 * _TICK_NS
_STEAL_ALLOWANCE_NS = _TICK_NS
_OWN_ALLOWANCE_NS = 2 * _TICK_NS
# Samples nearer to each other say more of ticks than of load.
_MIN_WINDOW_S = 0.9

# vcgencmd get_throttled: bits 0 to 3 are live, 16 to 19 say "since boot".
_THROTTLE_BITS = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")


def taints(
    measurement: Measurement | None,
    before: Json,
    after: Json,
    best_mean_khz: Mapping[str, float] | None,
    *,
    gate: Json | None = None,
    samples: Sequence[Json] = (),
) -> tuple[str, ...]:
    """Why a launch is tainted, one sentence with figures each; () if it is clean.

    Args:
        measurement: what it measured, None if it failed.
        before, after: devices.state's Snapshot.to_json().
        best_mean_khz: policy -> highest mean frequency of any launch of the case.
        gate: devices.thermal's GateResult.to_json(), None where nobody waited.
        samples: devices.sampler's TelemetryPoint.to_json() in order of time. They tell
            other load and steal time where the runner did not look at them itself.
    """
    load = None if measurement is None else measurement.load
    if load is not None:
        found = list(_load(load))
    elif measurement is not None:
        found = list(_load_of_samples(samples, before, after))
    else:
        found = []
    found += _restart(before, after)
    found += _throttling(before, after)
    found += _frequency(before, after, best_mean_khz or {})
    found += _power(before, after)
    found += _thermal_status(before, after)
    found += _start(before, gate or {})
    return tuple(found)


def _mean_khz(before: Json, after: Json) -> dict[str, float]:
    """Mean frequency in kHz per policy between two snapshots, from its time_in_state.

    A policy is left out where the times are missing or did not advance.
    """
    means: dict[str, float] = {}
    for name, old, new in _policies(before, after):
        past, now = _residency(old), _residency(new)
        spent = {khz: ticks - past.get(khz, 0.0) for khz, ticks in now.items()}
        total = sum(spent.values())
        if past and total > 0 and min(spent.values()) >= 0:
            means[name] = sum(khz * ticks for khz, ticks in spent.items()) / total
    return means


def _load(load: HostLoad) -> Iterator[str]:
    if load.wall_ns <= 0:
        return
    if load.busy_ns is not None:
        others = load.busy_ns - load.process_cpu_ns
        if others - _BUSY_ALLOWANCE_NS > MAX_OTHER_LOAD * load.wall_ns:
            yield f"other load: {others / load.wall_ns:.2f} of a core, limit {MAX_OTHER_LOAD:.2f}"
    if load.steal_ns is not None and (
        load.steal_ns - _STEAL_ALLOWANCE_NS > MAX_STEAL * load.wall_ns
    ):
        share = percent(load.steal_ns / load.wall_ns)
        yield f"steal time: {share} taken by the hypervisor, limit {percent(MAX_STEAL)}"


def _load_of_samples(samples: Sequence[Json], before: Json, after: Json) -> Iterator[str]:
    """Other load between the first and last sample with the program's own time.

    Only inside that window is it known how much of the load was its own. The snapshots
    around a launch span its start and clean-up too, so that they tell steal time alone.
    """
    keys = ("busy_ns", "steal_ns", "own_cpu_ns")
    inside = [s for s in samples if all(s.get(key) is not None for key in keys)]
    if len(inside) > 1:
        first, last = inside[0], inside[-1]
        wall_s = last["uptime_s"] - first["uptime_s"]
        busy, steal, own = (last[key] - first[key] for key in keys)
        if wall_s >= _MIN_WINDOW_S and min(busy, steal, own) >= 0:
            yield from _load(HostLoad(round(wall_s * 1e9), own + _OWN_ALLOWANCE_NS, busy, steal))
            return
    old, new = before.get("cpus") or {}, after.get("cpus") or {}
    span_s = (after.get("uptime_s") or 0.0) - (before.get("uptime_s") or 0.0)
    if old and old.keys() == new.keys() and span_s >= _MIN_WINDOW_S:
        steal = sum(new[cpu]["steal_ns"] - old[cpu]["steal_ns"] for cpu in new)
        # One tick for each CPU's counter; _load grants one.
        steal -= (len(new) - 1) * _STEAL_ALLOWANCE_NS
        if steal >= 0:
            yield from _load(HostLoad(round(span_s * 1e9), 0, None, steal))


def _restart(before: Json, after: Json) -> Iterator[str]:
    old, new = before.get("boot_id"), after.get("boot_id")
    if old is not None and new is not None and old != new:
        yield "restart: the device restarted during the launch"


def _throttling(before: Json, after: Json) -> Iterator[str]:
    old, new = before.get("throttled_bits"), after.get("throttled_bits")
    live = (old or 0) | (new or 0)
    names = [name for bit, name in enumerate(_THROTTLE_BITS) if live >> bit & 1]
    if names:
        yield f"throttling: {', '.join(names)} (get_throttled {live & 0xF:#x})"
    if old is not None and new is not None:
        since = (new & ~old) >> 16
        names = [name for bit, name in enumerate(_THROTTLE_BITS) if since >> bit & 1]
        if names:
            yield f"throttled meanwhile: {', '.join(names)} (get_throttled {new:#x})"


def _frequency(before: Json, after: Json, best: Mapping[str, float]) -> Iterator[str]:
    for name, old, new in _policies(before, after):
        was, now = old.get("max_khz"), new.get("max_khz")
        if was is not None and now is not None and now < was:
            yield (
                f"frequency limit of {name}: lowered from {was / 1000:.0f} to {now / 1000:.0f} MHz"
            )
    for name, khz in _mean_khz(before, after).items():
        top = best.get(name)
        if top is not None and khz < (1 - MAX_SLOWER) * top:
            yield (
                f"mean frequency of {name}: {khz / 1000:.0f} MHz, {percent(1 - khz / top)} below"
                f" the best launch, limit {percent(MAX_SLOWER)}"
            )


def _power(before: Json, after: Json) -> Iterator[str]:
    # What is plugged in is the better evidence: a battery that is full, or held at 80 %,
    # starts and stops taking charge by itself.
    was, now = before.get("plugged"), after.get("plugged")
    if was is None or now is None:
        was, now = before.get("charging"), after.get("charging")
    if was is not None and now is not None and was != now:
        change = "changed" if was and now else "connected" if now else "disconnected"
        yield f"charger: {change} during the launch"
    was, now = before.get("power_saver"), after.get("power_saver")
    if was is not None and now is not None and was != now:
        yield f"power saver: switched {'on' if now else 'off'} during the launch"
    known = (before.get("battery_percent"), after.get("battery_percent"))
    levels = [level for level in known if level is not None]
    if levels and min(levels) < MIN_BATTERY_PERCENT:
        yield f"battery: {min(levels):.0f} %, limit {MIN_BATTERY_PERCENT} %"


def _thermal_status(before: Json, after: Json) -> Iterator[str]:
    known = [
        int(s["thermal_status"]) for s in (before, after) if s.get("thermal_status") is not None
    ]
    if known and max(known) >= THERMAL_STATUS_MODERATE:
        yield f"thermal status: {max(known)}, limit below {THERMAL_STATUS_MODERATE} (MODERATE)"


def _start(before: Json, gate: Json) -> Iterator[str]:
    above_c = (gate.get("limit") or {}).get("taint_above_c")
    # The snapshot is nearest to the launch; the gate's last reading came just before it.
    start_c = before.get("temperature_c")
    start_c = gate.get("end_c") if start_c is None else start_c
    if above_c is not None and start_c is not None and start_c > above_c:
        yield f"start temperature: {start_c:.1f} C, limit {above_c:.1f} C"


def _policies(before: Json, after: Json) -> Iterator[tuple[str, Json, Json]]:
    old, new = before.get("policies") or {}, after.get("policies") or {}
    for name in sorted(old.keys() & new.keys()):
        yield name, old[name] or {}, new[name] or {}


def _residency(policy: Json) -> dict[float, float]:
    # JSON turns the kHz that are keys into text.
    states: Mapping[Any, Any] = policy.get("time_in_state") or {}
    return {float(khz): float(ticks) for khz, ticks in states.items()}
