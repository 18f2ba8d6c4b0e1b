"""What is said of a fleet: groups of like devices, and what is wrong with which."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Trouble(StrEnum):
    """What may be wrong with a device, the worst first."""

    FELL_BACK = "FELL BACK"
    SLOWER = "SLOWER"
    BECAME_SLOWER = "BECAME SLOWER"
    FAILING = "FAILING"
    SILENT = "SILENT"
    THROTTLED = "THROTTLED"
    DRAINED = "DRAINED"
    LOST_SAMPLES = "LOST SAMPLES"
    FASTER = "FASTER"
    BECAME_FASTER = "BECAME FASTER"

    @property
    def fails_gate(self) -> bool:
        """Whether `fleet --gate` fails on it: a device that is slow, or not where it should run."""
        return self in (Trouble.FELL_BACK, Trouble.SLOWER, Trouble.BECAME_SLOWER)


@dataclass(frozen=True, slots=True)
class Kind:
    """Deployments that are each other's like: one model, delegate and make of device."""

    model_name: str
    model_version: str
    quantization_type: str
    delegate: str
    threads: int
    device_model: str | None


@dataclass(frozen=True, slots=True)
class Group:
    """Deployments of one kind.

    Attributes:
        devices: number of them; judged: those with at least 3 samples.
        p50_ms: median over the judged devices' medians; None without any.
        low_ms, high_ms: lowest and highest device.
        limit: least ratio to the median that would stand out; None where there are too few.
    """

    kind: Kind
    devices: int
    judged: int
    samples: int
    p50_ms: float | None
    low_ms: float | None
    high_ms: float | None
    limit: float | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with one device, or with many of a kind at once.

    Attributes:
        devices: their names.
        kind: what they run; None where it is about the device as a whole.
        text: one sentence.
        evidence: what may explain it, one line each.
        ratio: to the fleet, or to the device's own earlier days.
    """

    trouble: Trouble
    devices: tuple[str, ...]
    kind: Kind | None
    text: str
    evidence: tuple[str, ...] = ()
    ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Fleet:
    """All that is to be said of a window.

    Attributes:
        simulated: every row is of an emulated device, and proves nothing of real ones.
        devices, samples: that were heard of in the window.
        unsynchronised: devices whose clock was not synchronised at some sample.
        findings: the worst first.
    """

    since: datetime
    until: datetime
    simulated: bool
    devices: int
    samples: int
    unsynchronised: tuple[str, ...]
    groups: tuple[Group, ...]
    findings: tuple[Finding, ...]

    @property
    def gate_failed(self) -> bool:
        """Whether a device is slow or fell back."""
        return any(finding.trouble.fails_gate for finding in self.findings)
