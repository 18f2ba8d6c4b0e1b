"""Controls of processors and fans, through the files of the kernel.

Sources: the kernel's admin-guide/pm/cpufreq and driver-api/thermal/sysfs-api; numbers of
frequencies are kHz.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from devices.controls_base import (
    Control,
    ControlResult,
    Hands,
    NotPossible,
    Outcome,
    StateControl,
)
from devices.journal import Journal
from devices.state import parse_cpu_list

_EVERYWHERE = frozenset({"linux", "android"})
_WORD = re.compile(r"[A-Za-z0-9_-]{1,32}")
_POLICY = re.compile(r"policy\d{1,4}")
_COOLER = re.compile(r"cooling_device\d{1,4}")
_CPU_LIST = re.compile(r"\d{1,3}(-\d{1,3})?(,\d{1,3}(-\d{1,3})?)*")
_ALLOWED = ["grep", "Cpus_allowed_list", "/proc/self/status"]


class _PerPolicy(StateControl):
    """One file of every frequency policy."""

    kinds = _EVERYWHERE
    file: ClassVar[str]

    def read(self, hands: Hands) -> Mapping[str, str]:
        policies = hands.read_files(hands.paths.cpufreq, "policy[0-9]*", self.file)
        if not policies:
            raise NotPossible("unsupported", "the kernel shows no frequency policies")
        return {name: files[self.file] for name, files in policies.items()}

    def write(self, hands: Hands, target: str, value: str) -> str:
        if not _POLICY.fullmatch(target):
            return f"{target} is no frequency policy"
        return hands.write_file(f"{hands.paths.cpufreq}/{target}/{self.file}", value)


class Governor(_PerPolicy):
    name = "governor"
    takes = "a governor's name, such as performance"
    file = "scaling_governor"

    def accepts(self, value: str) -> bool:
        return _WORD.fullmatch(value) is not None

    def goal(self, hands: Hands, value: str, now: Mapping[str, str]) -> Mapping[str, str]:
        offered = hands.read_files(
            hands.paths.cpufreq, "policy[0-9]*", "scaling_available_governors"
        )
        for policy in now:
            names = offered.get(policy, {}).get("scaling_available_governors", "").split()
            if names and value not in names:
                raise NotPossible("unsupported", f"{policy} offers {', '.join(names)}")
        return dict.fromkeys(now, value)


class FrequencyLimit(_PerPolicy):
    """`max_khz` or `min_khz`; the nearest frequency that each policy has within the limit."""

    kinds = _EVERYWHERE
    takes = "kHz as a whole number, min or max"
    edge: ClassVar[str]

    def accepts(self, value: str) -> bool:
        return value in ("min", "max") or (value.isascii() and value.isdigit() and len(value) < 9)

    def goal(self, hands: Hands, value: str, now: Mapping[str, str]) -> Mapping[str, str]:
        bounds = hands.read_files(
            hands.paths.cpufreq,
            "policy[0-9]*",
            "cpuinfo_min_freq",
            "cpuinfo_max_freq",
            "scaling_available_frequencies",
        )
        return {policy: self._frequency(value, policy, bounds.get(policy, {})) for policy in now}

    def _frequency(self, value: str, policy: str, files: Mapping[str, str]) -> str:
        try:
            low, high = int(files["cpuinfo_min_freq"]), int(files["cpuinfo_max_freq"])
            steps = [int(khz) for khz in files.get("scaling_available_frequencies", "").split()]
        except (KeyError, ValueError):
            raise NotPossible("unsupported", f"{policy} does not tell its frequencies") from None
        if value in ("min", "max"):
            return str(low if value == "min" else high)
        khz = min(max(int(value), low), high)
        if self.edge == "max":
            return str(max((step for step in steps if step <= khz), default=khz))
        return str(min((step for step in steps if step >= khz), default=khz))


class MaxFrequency(FrequencyLimit):
    """The kernel shows the limit in force, so one read of a throttled device is too low."""

    name = "max_khz"
    file = "scaling_max_freq"
    edge = "max"


class MinFrequency(FrequencyLimit):
    name = "min_khz"
    file = "scaling_min_freq"
    edge = "min"


class Fan(StateControl):
    """Fans that the kernel controls; its own thermal governor may change them again."""

    name = "fan"
    kinds = frozenset({"linux"})
    takes = "off, max or a step of the fan"

    def accepts(self, value: str) -> bool:
        return value in ("off", "max") or (value.isascii() and value.isdigit() and len(value) < 4)

    def read(self, hands: Hands) -> Mapping[str, str]:
        return {name: files["cur_state"] for name, files in self._fans(hands).items()}

    def goal(self, hands: Hands, value: str, now: Mapping[str, str]) -> Mapping[str, str]:
        steps = {name: files["max_state"] for name, files in self._fans(hands).items()}
        if value == "max":
            return {name: steps[name] for name in now}
        step = "0" if value == "off" else str(int(value))
        for name in now:
            if int(step) > int(steps[name]):
                raise NotPossible("unsupported", f"{name} has steps 0 to {steps[name]}")
        return dict.fromkeys(now, step)

    def write(self, hands: Hands, target: str, value: str) -> str:
        if not _COOLER.fullmatch(target):
            return f"{target} is no fan"
        return hands.write_file(f"{hands.paths.thermal}/{target}/cur_state", value)

    @staticmethod
    def _fans(hands: Hands) -> dict[str, dict[str, str]]:
        coolers = hands.read_files(
            hands.paths.thermal, "cooling_device[0-9]*", "type", "cur_state", "max_state"
        )
        fans = {
            name: files
            for name, files in coolers.items()
            if "fan" in files.get("type", "").lower()
            and files.get("cur_state", "").isdigit()
            and files.get("max_state", "").isdigit()
        }
        if not fans:
            raise NotPossible("unsupported", "there is no fan that the kernel controls")
        return fans


class Cores(Control):
    """Cores that launches may run on: no state, but words before the program."""

    name = "cores"
    kinds = _EVERYWHERE
    takes = "big, little or a list such as 0-3,6"

    def accepts(self, value: str) -> bool:
        if value in ("big", "little"):
            return True
        return _CPU_LIST.fullmatch(value) is not None and len(parse_cpu_list(value)) > 0

    def apply(self, hands: Hands, value: str, journal: Journal) -> ControlResult:
        cluster = value in ("big", "little")
        cpus = _cluster(hands, value) if cluster else parse_cpu_list(value)
        # Hexadecimal without "0x" is what util-linux, busybox and toybox all read.
        prefix = ("taskset", f"{sum(1 << cpu for cpu in cpus):x}")
        before = _allowed(hands, ())
        after = _allowed(hands, prefix)
        if parse_cpu_list(after) != cpus:
            raise NotPossible("unsupported", f"programs may run on {after} only")
        outcome: Outcome = "already" if before == after else "applied"
        return ControlResult(self.name, value, before, after, outcome, argv_prefix=prefix)


def _cluster(hands: Hands, value: str) -> tuple[int, ...]:
    """CPUs of the fastest or slowest policies, by what the hardware allows."""
    policies = hands.read_files(
        hands.paths.cpufreq, "policy[0-9]*", "cpuinfo_max_freq", "related_cpus"
    )
    try:
        speeds = {
            parse_cpu_list(files["related_cpus"].replace(" ", ",")): int(files["cpuinfo_max_freq"])
            for files in policies.values()
        }
    except (KeyError, ValueError):
        raise NotPossible("unsupported", "the kernel does not tell the cores' speeds") from None
    if len(set(speeds.values())) < 2:
        raise NotPossible("unsupported", f"there are no {value} cores: all are alike")
    speed = max(speeds.values()) if value == "big" else min(speeds.values())
    return tuple(sorted(cpu for cpus, khz in speeds.items() if khz == speed for cpu in cpus))


def _allowed(hands: Hands, prefix: tuple[str, ...]) -> str:
    """CPUs that a program with these words before it may run on, as the kernel lists them."""
    result = hands.run([*prefix, *_ALLOWED])
    if result is None:
        raise NotPossible("unsupported", f"there is no {(*prefix, *_ALLOWED)[0]}")
    _, found, cpus = result.text.strip().partition(":")
    if result.exit_code != 0 or not found or not _CPU_LIST.fullmatch(cpus.strip()):
        said = result.stderr.decode("utf-8", "replace").strip().splitlines()
        raise NotPossible("unsupported", said[-1] if said else "the kernel does not tell the cores")
    return cpus.strip()
