"""What the agent reads of a machine: fake trees of sysfs, and what each reading may mean."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.agent import edge_sensors
from bench.agent.edge_sensors import (
    Battery,
    Machine,
    PowerSource,
    Throttle,
    clock_synchronised,
    drain_pct,
    energy_mj,
    throttled,
)

PI: Mapping[str, str] = {
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "61322\n",
    "sys/class/thermal/cooling_device0/type": "cpufreq-cpu0\n",
    "sys/class/thermal/cooling_device0/cur_state": "0\n",
    "sys/class/thermal/cooling_device1/type": "pwm-fan\n",
    "sys/class/thermal/cooling_device1/cur_state": "3\n",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq": "1500000\n",
    "sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq": "1500000\n",
    "sys/class/hwmon/hwmon0/name": "ina219\n",
    "sys/class/hwmon/hwmon0/curr1_input": "800\n",
    "sys/class/hwmon/hwmon0/in1_input": "5000\n",
}


def machine(root: Path, files: Mapping[str, str]) -> Machine:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return Machine(root)


def test_a_raspberry_pi(tmp_path: Path) -> None:
    pi = machine(tmp_path, PI)
    assert pi.model() == "Raspberry Pi 4 Model B Rev 1.4"
    assert pi.temperature_c() == pytest.approx(61.322)
    assert pi.throttle() == Throttle(0x50005, False, None, 1500000, 1500000)
    assert pi.battery() is None
    source, why = pi.power()
    assert source is not None, why
    assert source.read() == pytest.approx(4.0)


def test_a_machine_without_anything(tmp_path: Path) -> None:
    bare = machine(tmp_path, {})
    assert bare.model() is None
    assert bare.temperature_c() is None
    assert bare.throttle() == Throttle()
    assert throttled(bare.throttle(), bare.throttle(), None) is None
    assert bare.battery() is None
    assert bare.power() == (None, "no power sensor that is known (INA2xx, RAPL)")


@pytest.mark.parametrize(
    ("zone", "reading"),
    [("acpitz", "40000"), ("cpu-skin", "40000"), ("cpu", "0"), ("cpu", "-274000"), ("cpu", "?")],
)
def test_a_temperature_that_is_none_of_the_processors(
    tmp_path: Path, zone: str, reading: str
) -> None:
    folder = "sys/class/thermal/thermal_zone0"
    assert (
        machine(tmp_path, {f"{folder}/type": zone, f"{folder}/temp": reading}).temperature_c()
        is None
    )


FREE = Throttle(max_khz=100, full_khz=100)


@pytest.mark.parametrize(
    ("before", "after", "most", "said"),
    [
        (Throttle(bits=0), Throttle(bits=0), None, False),
        (Throttle(bits=0x50000), Throttle(bits=0x50000), None, False),  # once since boot
        (Throttle(bits=0), Throttle(bits=0x40000), None, True),  # in between
        (Throttle(bits=0), Throttle(bits=0x1), None, True),
        (Throttle(cooled=False), Throttle(cooled=True), None, True),
        (Throttle(cooled=False), Throttle(cooled=False), None, False),
        (Throttle(events=3), Throttle(events=3), None, False),
        (Throttle(events=3), Throttle(events=4), None, True),
        (FREE, FREE, None, False),
        (FREE, Throttle(max_khz=80, full_khz=100), None, True),
        # Lowered before and after: heat, or somebody's wish.
        (Throttle(max_khz=80, full_khz=100), Throttle(max_khz=80, full_khz=100), None, None),
        (Throttle(max_khz=80, full_khz=100), Throttle(max_khz=80, full_khz=100), 100, True),
        (Throttle(), Throttle(bits=0), None, None),
    ],
)
def test_throttled(before: Throttle, after: Throttle, most: int | None, said: bool | None) -> None:
    assert throttled(before, after, most) is said


BATTERY = {
    "sys/class/power_supply/BAT0/type": "Battery",
    "sys/class/power_supply/BAT0/status": "Discharging",
    "sys/class/power_supply/BAT0/capacity": "57",
}


def test_batteries(tmp_path: Path) -> None:
    assert machine(tmp_path / "a", BATTERY).battery() == Battery(57.0, "Discharging")
    folder = "sys/class/power_supply/BAT0"
    fine = {**BATTERY, f"{folder}/charge_now": "2880000", f"{folder}/charge_full": "5000000"}
    assert machine(tmp_path / "b", fine).battery() == Battery(57.6, "Discharging")
    mouse = {**BATTERY, f"{folder}/scope": "Device"}
    assert machine(tmp_path / "c", mouse).battery() is None
    wrong = {**BATTERY, f"{folder}/capacity": "240"}
    assert machine(tmp_path / "d", wrong).battery() is None


def test_drain_is_only_of_a_battery_that_discharges() -> None:
    def at(percent: float, status: str = "Discharging") -> Battery:
        return Battery(percent, status)

    assert drain_pct(at(50), at(48.5)) == pytest.approx(1.5)
    assert drain_pct(at(50), at(50)) == 0
    assert drain_pct(at(50), at(60)) is None
    assert drain_pct(at(50, "Charging"), at(49)) is None
    assert drain_pct(at(50), at(49, "Full")) is None
    assert drain_pct(None, at(49)) is None
    assert drain_pct(at(50), None) is None


SECOND = 1_000_000_000


def test_energy_is_mean_power_times_mean_latency() -> None:
    source = PowerSource("INA", lambda: None)
    # What was read before and after the measured part is not of it.
    readings = [(0, 99.0), (SECOND, 3.0), (2 * SECOND, 5.0), (3 * SECOND, 4.0), (9 * SECOND, 99.0)]
    assert energy_mj(source, readings, [SECOND, 3 * SECOND], 2.5) == (pytest.approx(10.0), "")
    few, why = energy_mj(source, readings, [SECOND, 2 * SECOND], 2.5)
    assert (few, why) == (None, "2 readings of INA, 3 are needed")
    assert energy_mj(source, [(n, 0.0) for n in range(3)], [0, 9], 1)[0] is None


def test_energy_of_a_counter_that_begins_anew() -> None:
    source = PowerSource("RAPL", lambda: None, counts=True, wraps_j=100.0)
    readings = [(0, 90.0), (SECOND, 98.0), (2 * SECOND, 6.0)]
    assert energy_mj(source, readings, [0, 2 * SECOND], 1.0) == (pytest.approx(8.0), "")


def rapl(*names: str) -> dict[str, str]:
    files = {}
    for number, name in enumerate(names):
        folder = f"sys/class/powercap/intel-rapl:{number}"
        files |= {
            f"{folder}/name": name,
            f"{folder}/energy_uj": "5000000",
            f"{folder}/max_energy_range_uj": "262143328850",
        }
    return files


def test_which_power_sensor_counts(tmp_path: Path) -> None:
    source, _ = machine(tmp_path / "one", rapl("package-0")).power()
    assert source is not None
    assert (source.name, source.read(), source.counts) == ("RAPL package-0", 5.0, True)
    source, _ = machine(tmp_path / "psys", rapl("package-0", "psys")).power()
    assert source is not None
    assert source.name == "RAPL psys"
    # Of two packages neither is the machine.
    assert machine(tmp_path / "two", rapl("package-0", "package-1")).power()[0] is None
    both = {"sys/class/hwmon/hwmon0/name": "ina219", "sys/class/hwmon/hwmon1/name": "ina226"}
    assert "which is the board's is not known" in machine(tmp_path / "ina", both).power()[1]
    other = {"sys/class/hwmon/hwmon0/name": "nvme", "sys/class/hwmon/hwmon0/power1_input": "1"}
    assert machine(tmp_path / "nvme", other).power()[0] is None
    deaf = {"sys/class/hwmon/hwmon0/name": "ina219"}
    assert machine(tmp_path / "deaf", deaf).power() == (None, "ina219 (hwmon0) cannot be read")


@pytest.mark.parametrize(("state", "said"), [(0, True), (5, False), (-1, None), (1, True)])
def test_the_clock_is_what_the_kernel_says(
    monkeypatch: pytest.MonkeyPatch, state: int, said: bool | None
) -> None:
    monkeypatch.setattr(edge_sensors, "_TIMESYNC", Path("/nowhere"))
    kernel = SimpleNamespace(adjtimex=lambda buffer: state)
    monkeypatch.setattr(edge_sensors.ctypes, "CDLL", lambda *_, **__: kernel)
    assert clock_synchronised() is said


def test_systemd_may_know_more_of_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "synchronized").touch()
    monkeypatch.setattr(edge_sensors, "_TIMESYNC", tmp_path / "synchronized")
    assert clock_synchronised() is True
