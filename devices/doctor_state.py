"""From a device's state to findings: power, heat, clocks. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from devices.doctor_finding import Finding, Level
from devices.facts import Facts
from devices.state import Snapshot

# Android's power saver comes in at 15 to 20 %.
_LOW_BATTERY_PERCENT = 20
_WARM_BATTERY_C, _HOT_SOC_C = 40.0, 75.0
_THERMAL = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
# Of `vcgencmd get_throttled`, bits 0 to 3, and since boot 16 to 19.
_THROTTLED = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")


def judge_power(state: Snapshot) -> Iterator[Finding]:
    """Battery, charger, power saver."""
    if state.battery_percent is None:
        if state.battery_status is not None or state.charging is not None:
            yield Finding("battery", "warning", "it does not tell its battery's level")
    else:
        power = f"on {', '.join(state.plugged)}" if state.plugged else "unplugged"
        text = f"{state.battery_percent} %, {(state.battery_status or 'unknown').lower()}, {power}"
        low = state.battery_percent < _LOW_BATTERY_PERCENT
        fix = "charge it first: phones save power, and slow down, when it is low" if low else None
        yield Finding("battery", "warning" if low else "ok", text, fix)
    if state.power_saver:
        yield Finding(
            "power saver",
            "warning",
            "on: the processor is slowed down",
            "switch it off: adb shell settings put global low_power 0",
        )


def judge_heat(state: Snapshot) -> Iterator[Finding]:
    """Temperatures and what the system does about them."""
    wait = "let it cool down, out of its case, with air around it"
    if state.temperature_c is None:
        yield Finding(
            "temperature",
            "warning",
            "it tells none of its processor: no launch can wait until it is cool",
            "leave pauses between runs, and look at the figures' drift",
        )
    else:
        text = f"{state.temperature_c:.1f} °C ({state.temperature_zone})"
        hot = state.temperature_c >= _HOT_SOC_C
        yield Finding("temperature", "warning" if hot else "ok", text, wait if hot else None)
    if state.battery_c is not None and state.battery_c >= _WARM_BATTERY_C:
        text = f"its battery has {state.battery_c:.1f} °C, and phones slow down for that"
        yield Finding("battery heat", "warning", text, wait)
    if state.thermal_status is not None:
        word = _THERMAL[state.thermal_status]
        level: Level = "ok" if state.thermal_status == 0 else "warning"
        text = f"Android's thermal status: {word}"
        yield Finding("throttling", level, text, None if level == "ok" else wait)
    yield from _throttled(state)


def _throttled(state: Snapshot) -> Iterator[Finding]:
    if state.throttled_reason is not None:
        yield Finding(
            "throttled bits",
            "warning",
            state.throttled_reason,
            "sudo usermod -aG video USER, then log in again"
            if "video" in state.throttled_reason
            else None,
        )
    bits = state.throttled_bits
    if bits is None:
        return
    now = [name for bit, name in enumerate(_THROTTLED) if bits >> bit & 1]
    before = [name for bit, name in enumerate(_THROTTLED) if bits >> (bit + 16) & 1]
    fix = "cool it: a heat sink and a fan"
    if any("voltage" in name for name in (*now, *before)):
        fix = "use the official power supply and a short, thick cable"
    if now:
        text = f"now: {', '.join(now)} (get_throttled {bits:#x}); every launch would be tainted"
        yield Finding("throttled bits", "failure", text, fix)
    elif before:
        text = f"since boot: {', '.join(before)} (get_throttled {bits:#x})"
        yield Finding("throttled bits", "warning", text, f"{fix}; a restart clears the bits")
    else:
        yield Finding("throttled bits", "ok", f"none since boot (get_throttled {bits:#x})")


def judge_clocks(facts: Facts, state: Snapshot) -> Iterator[Finding]:
    """Governors, and limits below what the hardware can do."""
    policies = state.policies or {}
    governors = sorted({p.governor for p in policies.values() if p.governor})
    if governors:
        slow = "powersave" in governors
        yield Finding(
            "governor",
            "warning" if slow else "ok",
            ", ".join(governors),
            'try controls = { governor = "performance" } in devices.toml' if slow else None,
        )
    highest = {f"policy{c.cpus[0]}": c.max_khz for c in facts.clusters if c.cpus}
    capped = [
        f"{name} to {policy.max_khz / 1000:.0f} of {highest[name] / 1000:.0f} MHz"
        for name, policy in policies.items()
        if policy.max_khz is not None and policy.max_khz < highest.get(name, 0)
    ]
    if capped:
        yield Finding(
            "frequency limit",
            "warning",
            f"held down: {', '.join(capped)}",
            "it is hot, saves power, or somebody set scaling_max_freq",
        )
