"""The state of a device at one moment: temperature, frequency, load, memory, power."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from devices.deadline import Deadline
from devices.errors import TransferError
from devices.transport import Transport

# One line per fact, "path:content"; two processes in all. What is not there is left out.
_SCRIPT = """
echo edgebench-telemetry 1
grep -H '' /proc/uptime /proc/loadavg /proc/sys/kernel/random/boot_id \
    /sys/class/thermal/thermal_zone*/type /sys/class/thermal/thermal_zone*/temp \
    /sys/class/hwmon/hwmon*/name /sys/class/hwmon/hwmon*/temp1_input \
    /sys/devices/system/cpu/cpufreq/policy*/scaling_max_freq \
    /sys/devices/system/cpu/cpufreq/policy*/scaling_governor \
    /sys/devices/system/cpu/cpufreq/policy*/stats/time_in_state \
    /sys/class/power_supply/*/type /sys/class/power_supply/*/scope \
    /sys/class/power_supply/*/capacity /sys/class/power_supply/*/status 2> /dev/null
grep -HE '^(cpu[0-9]|MemAvailable|Cpus_allowed_list)' \
    /proc/stat /proc/meminfo /proc/self/status 2> /dev/null
command -v vcgencmd > /dev/null && vcgencmd get_throttled 2>&1 | sed 's/^/vcgencmd:/'
echo edgebench-telemetry end
"""

# USER_HZ, the unit of /proc/stat, is 100 on every architecture that runs TFLite (proc(5)).
_NS_PER_TICK = 10_000_000
# Names that kernels give the sensors of processors; not of battery, skin, modem or GPU.
# acpitz is left out: on many boards it is a constant.
_PROCESSOR = re.compile(
    r"cpu|soc|pkg_temp|tctl|^(big|mid|little)\b|coretemp|k10temp|zenpower", re.IGNORECASE
)
# Outside of it a sensor is off (0), unplugged (-274) or does not count in milli-degrees.
_PLAUSIBLE_C = (1.0, 150.0)


class UnreadableState(ValueError):
    """The text is not what the telemetry script prints, or only part of it."""


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Cumulative times of one CPU since boot, ns.

    Attributes:
        busy_ns: user + nice + system + irq + softirq.
        steal_ns: taken by a hypervisor.
    """

    busy_ns: int
    steal_ns: int


@dataclass(frozen=True, slots=True)
class FrequencyPolicy:
    """CPUs that share a clock; None is what the kernel does not tell.

    Attributes:
        max_khz: scaling_max_freq, the limit in force.
        governor: scaling_governor.
        time_in_state: kHz -> time spent there since boot, units of 10 ms.
    """

    max_khz: int | None = None
    governor: str | None = None
    time_in_state: Mapping[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a device; None or an empty mapping is "the device does not tell".

    Attributes:
        uptime_s: seconds since boot, a monotonic clock of 10 ms.
        boot_id: changes with every boot.
        temperature_c: highest of the processor's sensors, and the name of that sensor.
        cpus: number of CPU -> its times.
        load_1m: load average of a minute.
        policies: name ("policy0") -> frequency policy.
        mem_available_kib: MemAvailable.
        allowed_cpus: CPUs that a fresh process may use.
        battery_percent, charging: of the first battery that is no peripheral's.
        throttled_bits: of `vcgencmd get_throttled`; 0 is a Pi that reports no trouble.
    """

    uptime_s: float
    boot_id: str | None = None
    temperature_c: float | None = None
    temperature_zone: str | None = None
    cpus: Mapping[int, CpuTimes] | None = None
    load_1m: float | None = None
    policies: Mapping[str, FrequencyPolicy] | None = None
    mem_available_kib: int | None = None
    allowed_cpus: tuple[int, ...] | None = None
    battery_percent: int | None = None
    charging: bool | None = None
    throttled_bits: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Field names as keys, plain JSON values; numbers that are keys become strings."""
        value: dict[str, Any] = _plain(asdict(self))
        return value


def snapshot(transport: Transport, deadline: Deadline) -> Snapshot:
    """Read the state of a device in one command.

    Raises: what Transport.run raises, CommandFailed, TransferError (its answer cannot
    be read, most likely cut off).
    """
    result = transport.run(["sh", "-c", _SCRIPT], deadline=deadline).check()
    try:
        return parse_snapshot(result.text)
    except UnreadableState as error:
        raise TransferError(str(error), device=result.device, stderr=result.stderr) from error


def mean_khz(before: Snapshot, after: Snapshot) -> dict[str, float]:
    """Mean frequency of each policy between two snapshots, from its residency, kHz.

    A policy is left out where either snapshot has no residency of it, where no time
    passed, or where the counters were reset or the device restarted in between.
    """
    means: dict[str, float] = {}
    if before.boot_id != after.boot_id:
        return means
    for name, policy in (after.policies or {}).items():
        earlier = (before.policies or {}).get(name, FrequencyPolicy()).time_in_state
        if earlier is None or policy.time_in_state is None:
            continue
        spent = {khz: t - earlier.get(khz, 0) for khz, t in policy.time_in_state.items()}
        total = sum(spent.values())
        if total > 0 and min(spent.values()) >= 0:
            means[name] = sum(khz * t for khz, t in spent.items()) / total
    return means


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
    return found.snapshot()


class _Found:
    """What the lines said so far."""

    def __init__(self) -> None:
        self.scalars: dict[str, Any] = {}
        self.sensors: dict[str, dict[str, str]] = {}
        self.cpus: dict[int, CpuTimes] = {}
        self.policies: dict[str, dict[str, Any]] = {}
        self.supplies: dict[str, dict[str, str]] = {}

    def uptime(self, value: str) -> None:
        self.scalars["uptime_s"] = float(value)

    def load(self, value: str) -> None:
        self.scalars["load_1m"] = float(value)

    def boot_id(self, value: str) -> None:
        self.scalars["boot_id"] = value

    def memory(self, value: str) -> None:
        self.scalars["mem_available_kib"] = int(value)

    def allowed(self, value: str) -> None:
        self.scalars["allowed_cpus"] = parse_cpu_list(value)

    def throttled(self, value: str) -> None:
        if match := re.fullmatch(r"throttled=0x([0-9a-fA-F]+)", value.strip()):
            self.scalars["throttled_bits"] = int(match[1], 16)

    def sensor(self, name: str, key: str, value: str) -> None:
        self.sensors.setdefault(name, {})[key] = value

    def cpu(self, number: str, times: str) -> None:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, times.split()[:8])
        self.cpus[int(number)] = CpuTimes(
            busy_ns=(user + nice + system + irq + softirq) * _NS_PER_TICK,
            steal_ns=steal * _NS_PER_TICK,
        )

    def max_khz(self, policy: str, value: str) -> None:
        self.policies.setdefault(policy, {})["max_khz"] = int(value)

    def governor(self, policy: str, value: str) -> None:
        self.policies.setdefault(policy, {})["governor"] = value

    def residency(self, policy: str, khz: str, time: str) -> None:
        states = self.policies.setdefault(policy, {}).setdefault("time_in_state", {})
        states[int(khz)] = int(time)

    def supply(self, name: str, key: str, value: str) -> None:
        self.supplies.setdefault(name, {})[key] = value

    def snapshot(self) -> Snapshot:
        if "uptime_s" not in self.scalars:
            raise UnreadableState("telemetry without /proc/uptime")
        temperature = self._temperature()
        battery = self._battery()
        capacity = battery.get("capacity", "")
        return Snapshot(
            temperature_c=temperature[0] if temperature else None,
            temperature_zone=temperature[1] if temperature else None,
            cpus=self.cpus or None,
            policies={name: FrequencyPolicy(**p) for name, p in self.policies.items()} or None,
            battery_percent=int(capacity) if capacity.isdecimal() else None,
            charging=_CHARGING.get(battery.get("status", "")),
            **self.scalars,
        )

    def _temperature(self) -> tuple[float, str] | None:
        readings = []
        for sensor in self.sensors.values():
            name, value = sensor.get("name", ""), sensor.get("value", "")
            if _PROCESSOR.search(name) and re.fullmatch(r"-?\d+", value):
                celsius = int(value) / 1000
                if _PLAUSIBLE_C[0] <= celsius <= _PLAUSIBLE_C[1]:
                    readings.append((celsius, name))
        return max(readings, default=None)

    def _battery(self) -> Mapping[str, str]:
        for _, supply in sorted(self.supplies.items()):
            if supply.get("type") == "Battery" and supply.get("scope") != "Device":
                return supply
        return {}


# Values of power_supply's `status` (Documentation/ABI/testing/sysfs-class-power); a full
# battery that is plugged in says Full, and "Unknown" stays unknown.
_CHARGING = {"Charging": True, "Full": True, "Discharging": False, "Not charging": False}

_CPUFREQ = r"/sys/devices/system/cpu/cpufreq/(policy\d+)"
_LINES: tuple[tuple[re.Pattern[str], Callable[..., None]], ...] = tuple(
    (re.compile(pattern), take)
    for pattern, take in (
        (r"/proc/uptime:([\d.]+) .*", _Found.uptime),
        (r"/proc/loadavg:([\d.]+) .*", _Found.load),
        (r"/proc/sys/kernel/random/boot_id:([0-9a-f-]+)", _Found.boot_id),
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
        (_CPUFREQ + r"/scaling_max_freq:(\d+)", _Found.max_khz),
        (_CPUFREQ + r"/scaling_governor:(.+)", _Found.governor),
        (_CPUFREQ + r"/stats/time_in_state:(\d+) (\d+)", _Found.residency),
        (r"/sys/class/power_supply/(.+)/(type|scope|capacity|status):(.*)", _Found.supply),
        (r"vcgencmd:(.*)", _Found.throttled),
    )
)


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """CPU numbers of the kernel's list format, "0-3,6" (cpuset(7)), ascending.

    Raises: ValueError.
    """
    cpus: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        cpus.update(range(int(first), int(last or first) + 1))
    return tuple(sorted(cpus))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return list(value) if isinstance(value, tuple) else value
