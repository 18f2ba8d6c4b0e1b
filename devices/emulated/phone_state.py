"""The state of an emulated phone, in files that anybody may read and change while it runs."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from devices.emulated.standin.build import Build

CPU = "sys/devices/system/cpu"
BATTERY = "sys/class/power_supply/battery"


@dataclass(frozen=True, slots=True)
class Heat:
    """How a phone's processor warms up and cools down. By default a launch costs it a degree
    or two, and it needs some seconds to lose them.

    Attributes:
        ambient_c: where it ends when it does nothing.
        busy_c: where it ends when it works.
        tau_s: time in which 63 % of the way is gone.
    """

    ambient_c: float = 30.0
    busy_c: float = 38.0
    tau_s: float = 6.0

    def after(self, temperature_c: float, seconds: float, *, busy: bool) -> float:
        """The temperature some seconds later."""
        end = self.busy_c if busy else self.ambient_c
        return end + (temperature_c - end) * math.exp(-seconds / self.tau_s)


class PhoneState:
    """What is true of one phone now.

    Values of sysfs are read-only for a phone's shell, so they are replaced and never
    written into.

    Args:
        home: directory of the phone on the host, or / inside of it.
        state: where its other values lie.
    """

    def __init__(self, home: Path, state: Path) -> None:
        self._home = home
        self._state = state

    @classmethod
    def outside(cls, home: Path) -> PhoneState:
        """Of a phone whose files lie in `home`."""
        return cls(home, home / "state")

    @classmethod
    def inside(cls) -> PhoneState:
        """Of the phone that this process runs in."""
        return cls(Path("/"), Path("/emulated"))

    # Temperature

    @property
    def temperature_c(self) -> float:
        """Of the processor."""
        return int(self._read(f"{zone_of(0)}/temp")) / 1000

    def set_temperature(self, celsius: float) -> None:
        """Of the processor; the heat model goes on from there."""
        self.write(f"{zone_of(0)}/temp", str(round(celsius * 1000)))

    @property
    def heat(self) -> Heat | None:
        """How it goes on; None where temperatures stay."""
        try:
            return Heat(**json.loads((self._state / "heat").read_text()))
        except (FileNotFoundError, ValueError):
            return None

    def set_heat(self, heat: Heat | None) -> None:
        text = json.dumps(asdict(heat)) if heat else ""
        replace_file(self._state / "heat", text, 0o644)

    def set_thermal_status(self, status: int) -> None:
        """Android's, from 0 (none) to 6 (shutdown)."""
        self._write_state("thermal_status", str(status))

    # Battery

    def set_battery(
        self,
        *,
        percent: int | None = None,
        temperature_c: float | None = None,
        voltage_uv: int | None = None,
        current_ua: int | None = None,
        status: str | None = None,
        plugged: bool | None = None,
    ) -> None:
        """Change what is given.

        Args:
            current_ua: with the sign that this phone gives it.
            status: Charging, Discharging, Not charging, Full or Unknown.
            plugged: whether USB gives power.
        """
        values = {
            "capacity": percent,
            "temp": None if temperature_c is None else round(temperature_c * 10),
            "voltage_now": voltage_uv,
            "current_now": current_ua,
            "status": status,
        }
        for name, value in values.items():
            if value is not None:
                self.write(f"{BATTERY}/{name}", str(value))
        if plugged is not None:
            self.write("sys/class/power_supply/usb/online", str(int(plugged)))

    # Clocks

    def policies(self) -> list[str]:
        """Names of its frequency policies, e.g. policy0."""
        return sorted(p.name for p in self._path(f"{CPU}/cpufreq").glob("policy*"))

    def limit_frequency(self, khz: int) -> None:
        """Throttle: no policy runs faster from now on."""
        for policy in self.policies():
            highest = int(self._policy(policy, "cpuinfo_max_freq"))
            self.write(f"{CPU}/cpufreq/{policy}/scaling_max_freq", str(min(khz, highest)))

    def governor(self, policy: str = "policy0") -> str:
        return self._policy(policy, "scaling_governor")

    def spend(self, seconds: float, *, busy: bool) -> None:
        """Let time pass on every clock: the frequency in force, and time_in_state."""
        for policy in self.policies():
            base = f"{CPU}/cpufreq/{policy}"
            available = sorted(
                map(int, self._policy(policy, "scaling_available_frequencies").split())
            )
            limit = int(self._policy(policy, "scaling_max_freq"))
            fast = busy or self.governor(policy) == "performance"
            allowed = [khz for khz in available if khz <= limit] or available[:1]
            khz = allowed[-1] if fast else allowed[0]
            self.write(f"{base}/scaling_cur_freq", str(khz))
            spent = dict.fromkeys(available, 0) | {
                int(f): int(t)
                for f, t in (
                    line.split()
                    for line in self._policy(policy, "stats/time_in_state").splitlines()
                )
            }
            spent[khz] += round(seconds * 100)
            self.write(f"{base}/stats/time_in_state", table_of(spent))

    # Everything else

    @property
    def busy(self) -> bool:
        """Whether a stand-in is at work in it; only true for whoever looks from inside."""
        marks = self._state / "busy"
        found = False
        for mark in marks.iterdir():
            if Path("/proc", mark.name).exists():
                found = True
            else:
                mark.unlink(missing_ok=True)
        return found

    def setting(self, space: str, key: str) -> str | None:
        """A value of `settings`, None where there is none."""
        path = self._state / "settings" / space / key
        return path.read_text().strip() if path.exists() else None

    def put_setting(self, space: str, key: str, value: str) -> None:
        path = self._state / "settings" / space / key
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, f"{value}\n", 0o644)

    @property
    def screen_on(self) -> bool:
        return self._read_state("screen") == "on"

    def set_screen(self, *, on: bool, lock: str = "open") -> None:
        """Args: lock: open, swipe, or secure for one that only its owner opens."""
        self._write_state("screen", "on" if on else "off")
        self._write_state("lock", lock)

    def set_standin(self, build: Build) -> None:
        """What benchmark_model does on it from now on."""
        given = {k: v for k, v in asdict(build).items() if v is not None}
        replace_file(self._state / "standin.json", json.dumps(given), 0o644)

    @property
    def standin(self) -> Build:
        return Build.of_json((self._state / "standin.json").read_text())

    def _path(self, name: str) -> Path:
        return self._home / name

    def _read(self, name: str) -> str:
        return self._path(name).read_text().strip()

    def write(self, name: str, value: str) -> None:
        """Replace a file of sysfs, a name without its slash in front."""
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, f"{value}\n", 0o444)

    def _policy(self, policy: str, name: str) -> str:
        return self._read(f"{CPU}/cpufreq/{policy}/{name}")

    def _read_state(self, name: str) -> str:
        return (self._state / name).read_text().strip()

    def _write_state(self, name: str, value: str) -> None:
        replace_file(self._state / name, f"{value}\n", 0o644)


def table_of(spent: Mapping[int, int]) -> str:
    """The text of time_in_state."""
    return "\n".join(f"{khz} {time}" for khz, time in sorted(spent.items()))


def zone_of(number: int) -> str:
    """Directory of a thermal zone."""
    return f"sys/class/thermal/thermal_zone{number}"


def replace_file(path: Path, text: str, mode: int) -> None:
    """Write a file that whoever reads it sees whole; it may be a read-only one."""
    fresh = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    fresh.write_text(text)
    fresh.chmod(mode)
    fresh.replace(path)
