"""The state of an emulated phone that was never on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from devices.emulated.phone_profiles import PhoneProfile
from devices.emulated.phone_state import (
    BATTERY,
    CPU,
    Heat,
    PhoneState,
    replace_file,
    table_of,
    zone_of,
)
from devices.emulated.standin.build import Build

_LITTLE_KHZ = (300_000, 1_000_000, 1_800_000)
_BIG_KHZ = (700_000, 1_600_000, 2_800_000)


def first_state(home: Path, profile: PhoneProfile, cpus: Sequence[int]) -> PhoneState:
    """Lay out the state of a phone that was never on: charged, cool, its screen on.

    Args:
        cpus: of the machine, which the phone has for its own; the later half are big ones.
    """
    state = PhoneState.outside(home)
    for directory in (
        "settings/global",
        "settings/system",
        "settings/secure",
        "packages",
        "apps",
        "busy",
    ):
        (home / "state" / directory).mkdir(parents=True, exist_ok=True)
    replace_file(home / "state/logcat", "", 0o644)
    state.set_screen(on=True)
    state.set_thermal_status(0)
    state.put_setting("global", "stay_on_while_plugged_in", "0")
    state.put_setting("global", "airplane_mode_on", "0")
    state.put_setting("global", "low_power", "0")
    for number, (name, celsius) in enumerate((("cpu-0-0-usr", 30.0), ("skin-therm", 29.0))):
        state.write(f"{zone_of(number)}/type", name)
        state.write(f"{zone_of(number)}/temp", str(round(celsius * 1000)))
    state.write(f"{BATTERY}/type", "Battery")
    state.write(f"{BATTERY}/charge_counter", "2841000")
    state.set_battery(
        percent=85,
        temperature_c=29.0,
        voltage_uv=4_123_000,
        current_ua=250_000 * profile.current_sign,
        status="Discharging",
        plugged=True,
    )
    state.write("sys/class/power_supply/usb/type", "USB")
    _first_clocks(state, home, cpus)
    state.set_heat(Heat())
    state.set_standin(
        Build(
            android=True,
            gpu_unsupported=_optional(profile.gpu_unsupported),
            nnapi_accelerators=profile.nnapi_accelerators or None,
            logcat="/emulated/logcat",
            busy="/emulated/busy",
        )
    )
    return state


def _first_clocks(state: PhoneState, home: Path, cpus: Sequence[int]) -> None:
    half = len(cpus) // 2
    clusters = [(cpus[:half], _LITTLE_KHZ), (cpus[half:], _BIG_KHZ)]
    for members, frequencies in clusters:
        if not members:
            continue
        base = f"{CPU}/cpufreq/policy{members[0]}"
        values = {
            "related_cpus": " ".join(map(str, members)),
            "affected_cpus": " ".join(map(str, members)),
            "cpuinfo_min_freq": frequencies[0],
            "cpuinfo_max_freq": frequencies[-1],
            "scaling_min_freq": frequencies[0],
            "scaling_max_freq": frequencies[-1],
            "scaling_cur_freq": frequencies[0],
            "scaling_governor": "schedutil",
            "scaling_available_governors": "performance powersave schedutil",
            "scaling_available_frequencies": " ".join(map(str, frequencies)),
            "stats/time_in_state": table_of(dict.fromkeys(frequencies, 0)),
        }
        for name, value in values.items():
            state.write(f"{base}/{name}", str(value))
        for cpu in members:
            directory = home / CPU / f"cpu{cpu}"
            directory.mkdir(parents=True, exist_ok=True)
            link = directory / "cpufreq"
            if not link.is_symlink():
                link.symlink_to(f"../cpufreq/policy{members[0]}")
    listed = ",".join(map(str, cpus))
    for name in ("possible", "present", "online"):
        state.write(f"{CPU}/{name}", listed)


def _optional(pairs: tuple[tuple[str, str], ...] | None) -> Mapping[str, str] | None:
    return None if pairs is None else dict(pairs)
