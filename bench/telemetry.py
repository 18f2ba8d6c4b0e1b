"""What agents in the field sent, summed up by deployment."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

# Model name of the rows by which an agent tells of its own losses (bench.agent.edge_spool).
AGENT_ITSELF = "(agent)"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One model as one device runs it."""

    device_id: str
    model_name: str
    model_version: str
    quantization_type: str
    delegate: str
    threads: int


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What a deployment sent in a window.

    Attributes:
        device_model: make of the device; None where no sample knows it.
        samples: rows, failures among them.
        failures: of them without a latency.
        last_failure: text of the newest of these; "" without any.
        first_utc, last_utc: by the device's clock.
        daily_ms: (day in UTC, median of the samples' medians), oldest first.
        throttled, told: samples that say they were throttled, of those that say.
        drained_pct: sum of the drains that were told; None where none was.
        unsynchronised: samples under a clock that was not synchronised.
        latest: of the newest sample with a latency: model_sha256, delegate_verdict,
            runtime_version, temperature_c, clock_synchronised and timestamp; {} without one.
    """

    deployment: Deployment
    device_model: str | None
    samples: int
    failures: int
    last_failure: str
    first_utc: datetime
    last_utc: datetime
    daily_ms: tuple[tuple[date, float], ...]
    throttled: int
    told: int
    drained_pct: float | None
    unsynchronised: int
    latest: Mapping[str, Any]

    @property
    def p50_ms(self) -> float | None:
        """Median over days, so that a busy one counts once; None without any."""
        return statistics.median(ms for _, ms in self.daily_ms) if self.daily_ms else None


@dataclass(frozen=True, slots=True)
class Loss:
    """What an agent said of samples that it lost."""

    device_id: str
    text: str
    when_utc: datetime
