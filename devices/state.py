"""What is known of a device at one moment, and what two such moments say together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


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
        cur_khz: scaling_cur_freq, at the moment of reading.
    """

    max_khz: int | None = None
    governor: str | None = None
    time_in_state: Mapping[int, int] | None = None
    cur_khz: int | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a device; None or an empty mapping is "the device does not tell".

    Attributes:
        uptime_s: seconds since boot, a monotonic clock of 10 ms.
        boot_id: changes with every boot.
        temperature_c: highest of the processor's sensors, and the name of that sensor.
        skin_c: highest of the sensors under the case.
        battery_c: of the battery.
        hal_c: Android's type of sensor ("CPU", "SKIN", ...) -> its highest, as the thermal
            HAL says now (Android 10 and later).
        thermal_status: Android's, 0 (none) to 6 (shutdown); None also while somebody
            overrides it.
        cpus: number of CPU -> its times.
        load_1m: load average of a minute.
        policies: name ("policy0") -> frequency policy.
        mem_available_kib: MemAvailable.
        mem_pressure_percent: share of the last 10 s in which some task waited for memory
            (/proc/pressure/memory).
        allowed_cpus: CPUs that a fresh process may use.
        battery_percent, battery_status: of the first battery that is no peripheral's;
            "Charging", "Discharging", "Not charging" or "Full".
        charging: whether it takes charge or is held full.
        plugged: what power comes in by ("AC", "USB", ...); () is unplugged.
        battery_current_raw: current_now as the kernel has it. Unit and sign are the
            vendor's; devices.power finds them.
        battery_voltage_mv: of the battery.
        power_saver: whether Android's power saver is on.
        screen_on: whether the display is on, and not dozing.
        throttled_bits: of `vcgencmd get_throttled`; 0 is a Pi that reports no trouble.
        throttled_reason: why a Pi does not tell them.
        pmic_w: sum over the rails that a Pi 5's power chip measures, W: without its
            own losses and what USB draws.
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
    skin_c: float | None = None
    battery_c: float | None = None
    hal_c: Mapping[str, float] | None = None
    thermal_status: int | None = None
    mem_pressure_percent: float | None = None
    battery_status: str | None = None
    plugged: tuple[str, ...] | None = None
    battery_current_raw: int | None = None
    battery_voltage_mv: float | None = None
    power_saver: bool | None = None
    screen_on: bool | None = None
    throttled_reason: str | None = None
    pmic_w: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Field names as keys, plain JSON values; numbers that are keys become strings."""
        value: dict[str, Any] = _plain(asdict(self))
        return value


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
