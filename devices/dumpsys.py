"""What `dumpsys` of Android's battery, thermal and power services says.

Written by BatteryService, ThermalManagerService and PowerManagerService of AOSP, versions
8 to 15. Vendors add lines of their own, which are skipped; a service that is not there, or
that refuses, is None. A level or status that is there and is none raises ValueError.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from devices.sensors import celsius, plausible_c

# BatteryManager.BATTERY_STATUS_*, in the words of the kernel's power_supply class.
_STATUS = {2: "Charging", 3: "Discharging", 4: "Not charging", 5: "Full"}
# android.os.Temperature.TYPE_*, without 6 to 8, whose values are no temperatures.
_TYPES = {
    0: "CPU",
    1: "GPU",
    2: "BATTERY",
    3: "SKIN",
    4: "USB_PORT",
    5: "POWER_AMPLIFIER",
    9: "NPU",
    10: "TPU",
    11: "DISPLAY",
    12: "MODEM",
    13: "SOC",
}
_TEMPERATURE = re.compile(
    r"Temperature\{mValue=(-?[0-9.]+(?:E-?[0-9]+)?|NaN), mType=(-?[0-9]{1,4}), mName=.*,"
    r" mStatus=[0-9]+\}"
)
# PowerManager.THERMAL_STATUS_SHUTDOWN.
_WORST_STATUS = 6
# Of one lithium cell to a tablet's or laptop's pack; services that do not know say 0.
_PLAUSIBLE_MV = (2000, 30000)


@dataclass(frozen=True, slots=True)
class Battery:
    """Of `dumpsys battery`; None is what it does not say.

    Attributes:
        percent: level of scale. status: in the kernel's words.
        plugged: what power comes in by, in the service's words; () is unplugged.
    """

    percent: int | None
    status: str | None
    plugged: tuple[str, ...] | None
    voltage_mv: float | None
    temperature_c: float | None


@dataclass(frozen=True, slots=True)
class Thermal:
    """Of `dumpsys thermalservice`.

    Attributes:
        status: 0 to 6; None where not said, and where somebody overrides it
            (`cmd thermalservice override-status`).
        hal_c: type -> highest temperature that the HAL says now.
    """

    status: int | None
    hal_c: Mapping[str, float] | None


def read_battery(lines: Sequence[str]) -> Battery | None:
    """None where there is no battery, and while `dumpsys battery set` or `unplug` fakes one.

    Raises: ValueError.
    """
    if "Current Battery Service state:" not in (line.strip() for line in lines):
        return None
    values: dict[str, str] = {}
    for line in lines:
        key, colon, value = line.strip().partition(":")
        if colon:
            # The service's own lines come first; vendors' histories repeat the names.
            values.setdefault(key, value.strip())
    if any("UPDATES STOPPED" in line for line in lines) or values.get("present") == "false":
        return None
    level, scale, status = (_number(values, key) for key in ("level", "scale", "status"))
    if level is not None and not 0 <= level <= (scale or 100):
        raise ValueError(f"battery level {level} of {scale or 100}")
    powered = {
        key.removesuffix(" powered"): value
        for key, value in values.items()
        if key.endswith(" powered")
    }
    return Battery(
        percent=None if level is None else round(100 * level / (scale or 100)),
        status=None if status is None else _STATUS.get(status),
        plugged=tuple(name for name, on in powered.items() if on == "true") if powered else None,
        voltage_mv=_millivolts(values.get("voltage", "")),
        temperature_c=celsius(values.get("temperature", ""), 10),
    )


def read_thermal(lines: Sequence[str]) -> Thermal | None:
    """None before Android 10. The temperatures it has cached may be old and do not count.

    Raises: ValueError.
    """
    status: int | None = None
    overridden = in_hal = False
    hal: dict[str, float] = {}
    known = False
    for line in lines:
        if not line[:1].isspace():
            in_hal = line.strip() == "Current temperatures from HAL:"
        if found := re.fullmatch(r"Thermal Status: (.*)", line.strip()):
            known, status = True, int(found[1])
            if not 0 <= status <= _WORST_STATUS:
                raise ValueError(f"thermal status {status}")
        elif line.strip() == "IsStatusOverride: true":
            overridden = True
        elif in_hal and line.strip().startswith("Temperature{"):
            reading = _TEMPERATURE.fullmatch(line.strip())
            if reading is None:
                raise ValueError(f"thermal line {line!r}")
            kind, degrees = _TYPES.get(int(reading[2])), plausible_c(float(reading[1]))
            if kind is not None and degrees is not None:
                hal[kind] = max(degrees, hal.get(kind, degrees))
    if not (known or hal):
        return None
    return Thermal(None if overridden else status, hal or None)


def read_screen(lines: Sequence[str]) -> bool | None:
    """Whether the display is on, of `dumpsys power`; the display's own word goes first."""
    text = "\n".join(line.strip() for line in lines)
    if display := re.search(r"^Display Power: state=(\w+)", text, re.MULTILINE):
        return display[1] == "ON"
    if awake := re.search(r"^mWakefulness=(\w+)", text, re.MULTILINE):
        return awake[1] == "Awake"
    return None


def _millivolts(text: str) -> float | None:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        return None
    return float(text) if _PLAUSIBLE_MV[0] <= int(text) <= _PLAUSIBLE_MV[1] else None


def _number(values: Mapping[str, str], key: str) -> int | None:
    text = values.get(key)
    if text is None:
        return None
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise ValueError(f"battery {key} {text!r}")
    return int(text)
