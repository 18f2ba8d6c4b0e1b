"""The state of a device at one moment, read in one command."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from devices import dumpsys
from devices.deadline import Deadline
from devices.errors import TransferError
from devices.power import pmic_w
from devices.sensors import Place, celsius, place_of
from devices.state import CpuTimes, FrequencyPolicy, Snapshot, mean_khz, parse_cpu_list
from devices.transport import Transport

__all__ = [
    "SCRIPT",
    "CpuTimes",
    "FrequencyPolicy",
    "Snapshot",
    "UnreadableState",
    "mean_khz",
    "parse_cpu_list",
    "parse_snapshot",
    "snapshot",
]

# One line per fact, "path:content" or "source:line", so that no text of a service or file
# can pass for another's. Two processes on a board, a dozen on a phone: between launches
# only. What is not there is left out.
SCRIPT = """
echo edgebench-telemetry 1
grep -H '' /proc/uptime /proc/loadavg /proc/sys/kernel/random/boot_id /proc/pressure/memory \
    /sys/class/thermal/thermal_zone*/type /sys/class/thermal/thermal_zone*/temp \
    /sys/class/hwmon/hwmon*/name /sys/class/hwmon/hwmon*/temp1_input \
    /sys/devices/system/cpu/cpufreq/policy*/scaling_max_freq \
    /sys/devices/system/cpu/cpufreq/policy*/scaling_cur_freq \
    /sys/devices/system/cpu/cpufreq/policy*/scaling_governor \
    /sys/devices/system/cpu/cpufreq/policy*/stats/time_in_state \
    /sys/class/power_supply/*/type /sys/class/power_supply/*/scope \
    /sys/class/power_supply/*/capacity /sys/class/power_supply/*/status \
    /sys/class/power_supply/*/current_now /sys/class/power_supply/*/voltage_now \
    /sys/class/power_supply/*/temp /sys/class/power_supply/*/online 2> /dev/null
grep -HE '^(cpu[0-9]|MemAvailable|Cpus_allowed_list)' \
    /proc/stat /proc/meminfo /proc/self/status 2> /dev/null
if command -v vcgencmd > /dev/null; then
    vcgencmd get_throttled 2>&1 | sed 's/^/vcgencmd:/'
    vcgencmd pmic_read_adc 2>&1 | sed 's/^/pmic:/'
fi
if command -v dumpsys > /dev/null; then
    dumpsys -t 5 battery 2>&1 | sed 's/^/battery:/'
    dumpsys -t 5 thermalservice 2>&1 | sed 's/^/thermal:/'
    dumpsys -t 5 power 2>&1 | grep -E '^ *(mWakefulness=|Display Power: state=)' | sed 's/^/power:/'
    settings get global low_power 2>&1 | sed 's/^/low_power:/'
fi
echo edgebench-telemetry end
"""

# USER_HZ, the unit of /proc/stat, is 100 on every architecture that runs TFLite (proc(5)).
_NS_PER_TICK = 10_000_000


class UnreadableState(ValueError):
    """The text is not what the telemetry script prints, or only part of it."""


def snapshot(transport: Transport, deadline: Deadline) -> Snapshot:
    """Read the state of a device in one command.

    Raises: what Transport.run raises, CommandFailed, TransferError (its answer cannot
    be read, most likely cut off).
    """
    result = transport.run(["sh", "-c", SCRIPT], deadline=deadline).check()
    try:
        return parse_snapshot(result.text)
    except UnreadableState as error:
        raise TransferError(str(error), device=result.device, stderr=result.stderr) from error


def parse_snapshot(text: str) -> Snapshot:
    """Read what the telemetry script printed.

    Raises: UnreadableState where the first or last line or the uptime is missing, or
    where a line is none of those that the script prints.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[0] != "edgebench-telemetry 1" or lines[-2:] != ["edgebench-telemetry end", ""]:
        raise UnreadableState(f"not a whole telemetry text: {text[:80]!r} ... {text[-80:]!r}")
    found = _Found()
    for line in lines[1:-2]:
        for pattern, take in _LINES:
            if match := pattern.fullmatch(line):
                try:
                    take(found, *match.groups())
                except (ValueError, IndexError) as error:
                    raise UnreadableState(f"telemetry line {line!r}: {error}") from error
                break
        else:
            raise UnreadableState(f"unknown telemetry line: {line!r}")
    try:
        return found.snapshot()
    except ValueError as error:
        raise UnreadableState(f"telemetry: {error}") from error


class _Found:
    """What the lines said so far."""

    def __init__(self) -> None:
        self.scalars: dict[str, Any] = {}
        self.sensors: dict[str, dict[str, str]] = {}
        self.cpus: dict[int, CpuTimes] = {}
        self.policies: dict[str, dict[str, Any]] = {}
        self.supplies: dict[str, dict[str, str]] = {}
        self.texts: dict[str, list[str]] = {}

    def uptime(self, value: str) -> None:
        self.scalars["uptime_s"] = float(value)

    def load(self, value: str) -> None:
        self.scalars["load_1m"] = float(value)

    def boot_id(self, value: str) -> None:
        self.scalars["boot_id"] = value

    def pressure(self, value: str) -> None:
        self.scalars["mem_pressure_percent"] = float(value)

    def memory(self, value: str) -> None:
        self.scalars["mem_available_kib"] = int(value)

    def allowed(self, value: str) -> None:
        self.scalars["allowed_cpus"] = parse_cpu_list(value)

    def sensor(self, name: str, key: str, value: str) -> None:
        self.sensors.setdefault(name, {})[key] = value

    def cpu(self, number: str, times: str) -> None:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, times.split()[:8])
        self.cpus[int(number)] = CpuTimes(
            busy_ns=(user + nice + system + irq + softirq) * _NS_PER_TICK,
            steal_ns=steal * _NS_PER_TICK,
        )

    def khz(self, policy: str, key: str, value: str) -> None:
        self.policies.setdefault(policy, {})[f"{key}_khz"] = int(value)

    def governor(self, policy: str, value: str) -> None:
        self.policies.setdefault(policy, {})["governor"] = value

    def residency(self, policy: str, khz: str, time: str) -> None:
        states = self.policies.setdefault(policy, {}).setdefault("time_in_state", {})
        states[int(khz)] = int(time)

    def supply(self, name: str, key: str, value: str) -> None:
        self.supplies.setdefault(name, {})[key] = value

    def text(self, source: str, line: str) -> None:
        self.texts.setdefault(source, []).append(line)

    def nothing(self) -> None:
        """A line that is known and tells nothing."""

    def snapshot(self) -> Snapshot:
        if "uptime_s" not in self.scalars:
            raise UnreadableState("telemetry without /proc/uptime")
        battery = dumpsys.read_battery(self.texts.get("battery", ()))
        thermal = dumpsys.read_thermal(self.texts.get("thermal", ()))
        hal = (thermal and thermal.hal_c) or {}
        kernel = self._battery()
        # What the service says goes first: it knows which of a phone's gauges counts.
        status = (battery and battery.status) or kernel.get("status")
        soc = self._hottest("soc") or _hal(hal, "CPU", "SOC")
        skin = self._hottest("skin") or _hal(hal, "SKIN")
        cell = (
            battery.temperature_c if battery else None,
            celsius(kernel.get("temp", ""), 10),
            (self._hottest("battery") or (None,))[0],
            hal.get("BATTERY"),
        )
        return Snapshot(
            temperature_c=soc[0] if soc else None,
            temperature_zone=soc[1] if soc else None,
            skin_c=skin[0] if skin else None,
            battery_c=next((degrees for degrees in cell if degrees is not None), None),
            hal_c=hal or None,
            thermal_status=thermal.status if thermal else None,
            cpus=self.cpus or None,
            policies={name: FrequencyPolicy(**p) for name, p in self.policies.items()} or None,
            battery_percent=battery.percent
            if battery and battery.percent is not None
            else _percent(kernel.get("capacity", "")),
            battery_status=status if status in _CHARGING else None,
            charging=_CHARGING.get(status or ""),
            plugged=battery.plugged if battery and battery.plugged is not None else self._online(),
            battery_current_raw=_whole(kernel.get("current_now", "")),
            battery_voltage_mv=battery.voltage_mv
            if battery and battery.voltage_mv is not None
            else _millivolts(kernel.get("voltage_now", "")),
            power_saver=_POWER_SAVER.get("\n".join(self.texts.get("low_power", ()))),
            screen_on=dumpsys.read_screen(self.texts.get("power", ())),
            pmic_w=pmic_w(self.texts.get("pmic", ())),
            **self._throttled(),
            **self.scalars,
        )

    def _hottest(self, place: Place) -> tuple[float, str] | None:
        readings = []
        for sensor in self.sensors.values():
            name, degrees = sensor.get("name", ""), celsius(sensor.get("value", ""), 1000)
            if degrees is not None and place_of(name) == place:
                readings.append((degrees, name))
        return max(readings, default=None)

    def _battery(self) -> Mapping[str, str]:
        for _, supply in sorted(self.supplies.items()):
            if supply.get("type") == "Battery" and supply.get("scope") != "Device":
                return supply
        return {}

    def _online(self) -> tuple[str, ...] | None:
        """Types of the supplies that are plugged in; None where none says whether it is."""
        inputs = [
            (supply.get("type", name), supply["online"])
            for name, supply in sorted(self.supplies.items())
            if "online" in supply and supply.get("type") != "Battery"
        ]
        return tuple(kind for kind, online in inputs if online != "0") if inputs else None

    def _throttled(self) -> dict[str, Any]:
        text = "\n".join(self.texts.get("vcgencmd", ())).strip()
        if not text:
            return {}
        if match := re.fullmatch(r"throttled=0x([0-9a-fA-F]{1,8})", text):
            return {"throttled_bits": int(match[1], 16)}
        if "open device file" in text or "/dev/vcio" in text or "/dev/vchiq" in text:
            return {"throttled_reason": "vcgencmd was refused: add this user to the group video"}
        return {"throttled_reason": f"vcgencmd said {text[:200]!r}"}


def _hal(hal: Mapping[str, float], *kinds: str) -> tuple[float, str] | None:
    return max(((hal[k], f"HAL {k}") for k in kinds if k in hal), default=None)


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?[0-9]{1,12}", text) else None


def _percent(text: str) -> int | None:
    value = _whole(text)
    return value if value is not None and 0 <= value <= 100 else None


def _millivolts(microvolts: str) -> float | None:
    value = _whole(microvolts)
    return value / 1000 if value is not None and 2_000_000 <= value <= 30_000_000 else None


# Values of power_supply's `status` (Documentation/ABI/testing/sysfs-class-power); a full
# battery that is plugged in says Full, and "Unknown" stays unknown.
_CHARGING = {"Charging": True, "Full": True, "Discharging": False, "Not charging": False}
# Of `settings get global low_power`; "null" is one that was never set, and off.
_POWER_SAVER = {"0": False, "null": False, "1": True}

_CPUFREQ = r"/sys/devices/system/cpu/cpufreq/(policy[0-9]+)"
_LINES: tuple[tuple[re.Pattern[str], Callable[..., None]], ...] = tuple(
    (re.compile(pattern), take)
    for pattern, take in (
        (r"/proc/uptime:([\d.]+) .*", _Found.uptime),
        (r"/proc/loadavg:([\d.]+) .*", _Found.load),
        (r"/proc/sys/kernel/random/boot_id:([0-9a-f-]+)", _Found.boot_id),
        (r"/proc/pressure/memory:some avg10=([\d.]+) .*", _Found.pressure),
        (r"/proc/pressure/memory:full .*", _Found.nothing),
        (r"/proc/stat:cpu(\d+) (.*)", _Found.cpu),
        (r"/proc/meminfo:MemAvailable:\s*(\d+) kB", _Found.memory),
        (r"/proc/self/status:Cpus_allowed_list:\s*([\d,-]+)", _Found.allowed),
        (r"/sys/class/(thermal/thermal_zone\d+)/type:(.*)", lambda f, n, v: f.sensor(n, "name", v)),
        (
            r"/sys/class/(thermal/thermal_zone\d+)/temp:(.*)",
            lambda f, n, v: f.sensor(n, "value", v),
        ),
        (r"/sys/class/(hwmon/hwmon\d+)/name:(.*)", lambda f, n, v: f.sensor(n, "name", v)),
        (r"/sys/class/(hwmon/hwmon\d+)/temp1_input:(.*)", lambda f, n, v: f.sensor(n, "value", v)),
        (_CPUFREQ + r"/scaling_(max|cur)_freq:(\d+)", _Found.khz),
        # A driver that cannot tell the present frequency says "<unknown>".
        (_CPUFREQ + r"/scaling_cur_freq:<unknown>", lambda f, n: f.nothing()),
        (_CPUFREQ + r"/scaling_governor:(.+)", _Found.governor),
        (_CPUFREQ + r"/stats/time_in_state:(\d+) (\d+)", _Found.residency),
        (
            r"/sys/class/power_supply/(.+)/"
            r"(type|scope|capacity|status|current_now|voltage_now|temp|online):(.*)",
            _Found.supply,
        ),
        (r"(vcgencmd|pmic|battery|thermal|power|low_power):(.*)", _Found.text),
    )
)
