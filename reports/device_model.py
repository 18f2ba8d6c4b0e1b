"""What a report says of each device of a run: values, never formatted text.

Made by reports.conditions and reports.across. Temperatures in degrees Celsius, frequencies
in kHz, times in seconds. None and () are "not known", and `absent` says why where a person
would ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.identity import DelegateSpec

# (seconds since the run began, value), in order of time.
Points: TypeAlias = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class ControlSeen:
    """One control as it was found and left in so many launches."""

    name: str
    wanted: str | None
    before: str | None
    after: str | None
    outcome: str
    reason: str
    launches: int


@dataclass(frozen=True, slots=True)
class ToolSeen:
    """One program that measured: its runner kind and what is known of it (sha256, dialect)."""

    runner: str
    facts: Mapping[str, Any]
    launches: int


@dataclass(frozen=True, slots=True)
class ThermalGate:
    """How the launches waited for the device to cool.

    Attributes:
        launches: that had to pass it; missed: that started hotter all the same;
            unknown: of which nobody can tell, the first one among them.
        waited_s: all waiting together; longest_s: the longest.
        reasons: why it was missed, each once.
    """

    launches: int
    missed: int
    unknown: int
    waited_s: float
    longest_s: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Battery:
    """Level of the battery at the first and at the last reading, and the time between."""

    first_percent: float
    last_percent: float
    seconds: float
    charged: bool | None

    @property
    def drain_percent(self) -> float | None:
        """How much the run drew, in points; None where a charger was connected."""
        return None if self.charged is not False else self.first_percent - self.last_percent


@dataclass(frozen=True, slots=True)
class SpoiltLaunch:
    """A launch that counts for nothing, and why.

    Attributes:
        case: its label, with the model and runner.
        round, attempt: from 1.
        outcome: bench.records.Outcome's value, "tainted" where only the conditions failed.
    """

    case: str
    round: int
    attempt: int
    outcome: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class LaunchTrace:
    """One launch sample by sample, with the heat of its device beside it.

    Attributes:
        round, attempt: from 1.
        why: it was chosen: "median of 6", "tainted".
        samples_us: (n,) in order of time; each is the mean of `invokes_per_sample` invokes.
        temperature_c: (seconds since the first sample, degrees); those before are negative.
        placed_within_s: how far off these seconds may be: a launch tells when it began and
            ended, and not when its first sample did. None without a temperature.
        taints: why the launch counts for nothing, () if it counts.
    """

    round: int
    attempt: int
    why: str
    samples_us: NDArray[np.float64]
    invokes_per_sample: int
    temperature_c: Points
    placed_within_s: float | None
    taints: tuple[str, ...]

    @property
    def seconds(self) -> NDArray[np.float64]:
        """(n,) when each sample ended, since the first one began: the time of all before it."""
        return np.cumsum(self.samples_us) * self.invokes_per_sample / 1e6


@dataclass(frozen=True, slots=True)
class DeviceConditions:
    """One device, and the conditions that its launches met.

    Attributes:
        simulated: an emulator, whose numbers count as nobody's.
        launches: made on it, sentinels and repeats included.
        temperature_c: before, during and after launches.
        khz: frequency policy -> its readings during launches.
        absent: what nobody could read, one line each with the reason.
        facts: what all launches on it share: device, runtime, limits.
    """

    device: str
    simulated: bool
    launches: int
    tools: tuple[ToolSeen, ...]
    controls: tuple[ControlSeen, ...]
    thermal: ThermalGate | None
    temperature_c: Points
    khz: Mapping[str, Points]
    battery: Battery | None
    spoilt: tuple[SpoiltLaunch, ...]
    absent: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AcrossDevices:
    """Speed-up of one configuration over several devices (METHOD section 4).

    Attributes:
        ratio: geometric mean of the devices' speed-ups against fp32.
        devices: device -> speed-up, those that are in the mean; n is their number.
        without: devices that have no speed-up of it, and why.
        simulated: whether all of them are; real and simulated ones never share a mean.
    """

    model: str
    variant: str
    delegate: DelegateSpec
    threads: int
    runner: str
    ratio: float
    devices: Mapping[str, float]
    without: Mapping[str, str]
    simulated: bool
