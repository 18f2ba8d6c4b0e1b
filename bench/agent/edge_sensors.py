"""What this machine tells of itself while it measures: heat, throttling, battery, power.

Read from sysfs, as devices.sensors and devices.power judge the same of boards; whatever is
not there is None. Every reading takes one file, so that it may be made in between.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MIN_POWER_READINGS = 3
# Names of sensors over or in the processor; a skin sensor is named after what lies under it.
_SOC = re.compile(r"cpu|soc|pkg_temp|tctl|^(big|mid|little)\b|coretemp|k10temp|zenpower", re.I)
_NO_SOC = re.compile(r"skin|^(mtkts|mtk-)?batt", re.I)
_PLAUSIBLE_C = (1.0, 150.0)
# Chips that measure what goes into a board. Other power sensors may sit anywhere.
_INA = re.compile(r"ina(209|219|22[06]|23[0138]|260)")
_LIVE_BITS = 0xF
_TIMESYNC = Path("/run/systemd/timesync/synchronized")
_TIME_ERROR = 5  # of adjtimex(2): the clock is not synchronised

# When a value was read, by the monotonic clock in ns, and the value.
Reading = tuple[int, float]


@dataclass(frozen=True)
class Battery:
    """percent: of a full charge, as finely as the gauge tells; status: the kernel's word."""

    percent: float
    status: str


@dataclass(frozen=True)
class Throttle:
    """What tells of throttling at one moment; None where nothing does.

    Attributes:
        bits: a Raspberry Pi's get_throttled: 0 to 3 hold now, 16 to 19 held since boot.
        cooled: whether a cooling device holds the processor back now.
        events: how often the processor throttled since boot (x86).
        max_khz: highest clock that is allowed now, summed over clusters.
        full_khz: highest that the processor has.
    """

    bits: int | None = None
    cooled: bool | None = None
    events: int | None = None
    max_khz: int | None = None
    full_khz: int | None = None


@dataclass(frozen=True)
class PowerSource:
    """Something that can be read again and again.

    Attributes:
        name: for the log.
        read: watts, or joules since some moment where `counts`; None where it failed.
        wraps_j: joules after which a counter begins anew.
    """

    name: str
    read: Callable[[], float | None]
    counts: bool = False
    wraps_j: float = 0.0


class Machine:
    """The machine that this runs on.

    Args:
        root: of its file system, for tests.
        vcgencmd: the Raspberry Pi's program, where sysfs does not tell; None for none.
    """

    def __init__(self, root: Path = Path("/"), vcgencmd: str | None = None) -> None:
        self._root = root
        self._vcgencmd = vcgencmd or (shutil.which("vcgencmd") if root == Path("/") else None)

    def model(self) -> str | None:
        """What the board or computer is called by its maker."""
        for name in ("proc/device-tree/model", "sys/class/dmi/id/product_name"):
            text = self._text(name).rstrip("\0").strip()
            if text:
                return "".join(c for c in text if c.isprintable())[:200]
        return None

    def temperature_c(self) -> float | None:
        """The hottest plausible sensor of the processor, degrees Celsius."""
        places = [
            (folder / name, folder / value)
            for pattern, name, value in (
                ("sys/class/thermal/thermal_zone*", "type", "temp"),
                ("sys/class/hwmon/hwmon*", "name", "temp1_input"),
            )
            for folder in self._root.glob(pattern)
        ]
        degrees = []
        for name, value in places:
            label = _read(name)
            reading = _whole(_read(value))
            if reading is not None and _SOC.search(label) and not _NO_SOC.search(label):
                degrees.append(reading / 1000)
        low, high = _PLAUSIBLE_C
        return max((d for d in degrees if low <= d <= high), default=None)

    def throttle(self) -> Throttle:
        """All that tells of throttling, now."""
        cooling = [
            (_whole(_read(folder / "cur_state")) or 0) > 0
            for folder in self._root.glob("sys/class/thermal/cooling_device*")
            if re.search(r"cpufreq|^Processor$", _read(folder / "type"))
        ]
        events = self._numbers("sys/devices/system/cpu/cpu*/thermal_throttle/*_throttle_count")
        policies = "sys/devices/system/cpu/cpufreq/policy*/"
        allowed = self._numbers(f"{policies}scaling_max_freq")
        full = self._numbers(f"{policies}cpuinfo_max_freq")
        return Throttle(
            bits=self._throttled_bits(),
            cooled=any(cooling) if cooling else None,
            events=sum(events) if events else None,
            max_khz=sum(allowed) if allowed else None,
            full_khz=sum(full) if full else None,
        )

    def battery(self) -> Battery | None:
        """The battery that this machine runs on."""
        for folder in sorted(self._root.glob("sys/class/power_supply/*")):
            # One with the scope "Device" is a mouse's or a pen's.
            if _read(folder / "type") != "Battery" or _read(folder / "scope") == "Device":
                continue
            percent: float | None = _whole(_read(folder / "capacity"))
            for unit in ("charge", "energy"):
                now, full = (_whole(_read(folder / f"{unit}_{of}")) for of in ("now", "full"))
                if now is not None and full and 0 <= now <= full:
                    percent = 100.0 * now / full
            if percent is not None and 0 <= percent <= 100:
                return Battery(float(percent), _read(folder / "status"))
        return None

    def power(self) -> tuple[PowerSource | None, str]:
        """What measures this machine's power; else why nothing does."""
        chips = [
            folder
            for folder in sorted(self._root.glob("sys/class/hwmon/hwmon*"))
            if _INA.fullmatch(_read(folder / "name"))
        ]
        if len(chips) > 1:
            return None, f"{len(chips)} power sensors, and which is the board's is not known"
        if chips:
            return _ina(chips[0])
        domains = {
            _read(folder / "name"): folder
            for folder in sorted(self._root.glob("sys/class/powercap/intel-rapl:*"))
        }
        for wanted in ("psys", "package-0"):
            if wanted in domains and not (wanted == "package-0" and "package-1" in domains):
                return _rapl(domains[wanted], wanted)
        return None, "no power sensor that is known (INA2xx, RAPL)"

    def _throttled_bits(self) -> int | None:
        for file in self._root.glob("sys/devices/platform/soc*/soc*firmware/get_throttled"):
            with suppress(ValueError):
                return int(_read(file), 16)
        if self._vcgencmd is not None:
            with suppress(OSError, subprocess.SubprocessError, ValueError):
                said = subprocess.run(
                    [self._vcgencmd, "get_throttled"], capture_output=True, timeout=5, check=True
                ).stdout.decode("ascii", "replace")
                if found := re.fullmatch(r"throttled=0x([0-9a-fA-F]{1,8})", said.strip()):
                    return int(found[1], 16)
        return None

    def _text(self, name: str) -> str:
        return _read(self._root / name)

    def _numbers(self, pattern: str) -> list[int]:
        found = (_whole(_read(file)) for file in self._root.glob(pattern))
        return [number for number in found if number is not None]


def throttled(before: Throttle, after: Throttle, most_khz: int | None) -> bool | None:
    """Whether the machine was held back between two moments; None where nothing tells.

    A lowered clock alone may be somebody's wish: it counts where it has been higher, now or
    since the agent started (`most_khz`), and proves the contrary only where it is not lowered.
    """
    told: list[bool] = []
    if before.bits is not None and after.bits is not None:
        told.append(bool((before.bits | after.bits) & _LIVE_BITS or after.bits & ~before.bits))
    if before.cooled is not None and after.cooled is not None:
        told.append(before.cooled or after.cooled)
    if before.events is not None and after.events is not None:
        told.append(after.events > before.events)
    if before.max_khz is not None and after.max_khz is not None:
        if after.max_khz < max(before.max_khz, most_khz or 0):
            told.append(True)
        elif after.max_khz == after.full_khz == before.full_khz:
            told.append(False)
    return any(told) if told else None


def drain_pct(before: Battery | None, after: Battery | None) -> float | None:
    """Percent of a full charge that went from one sample to the next; None on a charger."""
    if before is None or after is None:
        return None
    if before.status != "Discharging" or after.status != "Discharging":
        return None
    # What rose was charged in between.
    return before.percent - after.percent if after.percent <= before.percent else None


def energy_mj(
    source: PowerSource, readings: Sequence[Reading], window_ns: Sequence[int], mean_ms: float
) -> tuple[float | None, str]:
    """Energy of one invoke of those back to back in a window: mean power times mean latency.

    Whatever else the machine does is in it. Returns (mJ, "") or (None, why).
    """
    inside = [(at, value) for at, value in readings if window_ns[0] <= at <= window_ns[1]]
    if len(inside) < MIN_POWER_READINGS:
        return None, f"{len(inside)} readings of {source.name}, {MIN_POWER_READINGS} are needed"
    if not source.counts:
        watts = sum(value for _, value in inside) / len(inside)
    else:
        joules = 0.0
        for (_, one), (_, next_one) in zip(inside, inside[1:]):  # noqa: B905, RUF007
            joules += next_one - one if next_one >= one else next_one - one + source.wraps_j
        watts = joules / (inside[-1][0] - inside[0][0]) * 1e9
    if watts <= 0:
        return None, f"{source.name} says {watts:g} W"
    return watts * mean_ms, ""


def clock_synchronised() -> bool | None:
    """Whether the system's clock follows another; None where the kernel does not say."""
    if _TIMESYNC.exists():
        return True
    # struct timex is at most 208 bytes; modes = 0 only reads.
    buffer = ctypes.create_string_buffer(512)
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR


def reading(source: PowerSource) -> Reading | None:
    """One reading with its moment, or None."""
    value = source.read()
    return None if value is None else (time.monotonic_ns(), value)


def _ina(chip: Path) -> tuple[PowerSource | None, str]:
    label = f"{_read(chip / 'name')} ({chip.name})"

    def watts() -> float | None:
        microwatts = _whole(_read(chip / "power1_input"))
        if microwatts is not None:
            return microwatts / 1e6
        milliamps, millivolts = (_whole(_read(chip / f"{f}1_input")) for f in ("curr", "in"))
        return None if milliamps is None or millivolts is None else milliamps * millivolts / 1e6

    if watts() is None:
        return None, f"{label} cannot be read"
    return PowerSource(label, watts), ""


def _rapl(domain: Path, name: str) -> tuple[PowerSource | None, str]:
    label = f"RAPL {name}"

    def joules() -> float | None:
        microjoules = _whole(_read(domain / "energy_uj"))
        return None if microjoules is None else microjoules / 1e6

    wraps = _whole(_read(domain / "max_energy_range_uj"))
    if joules() is None or not wraps:
        why = "" if os.access(domain / "energy_uj", os.R_OK) else ": root alone may, by default"
        return None, f"{label} cannot be read{why}"
    return PowerSource(label, joules, counts=True, wraps_j=wraps / 1e6), ""


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else None
