"""The timed runs: the same reads of the same clock in the same order as the real tool's loop."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """When a series of runs ends: after the minimum of both, or at the maximum."""

    runs: int
    min_s: float
    max_s: float


def now_us() -> int:
    """CLOCK_MONOTONIC in whole us, cut; one call of libc's clock_gettime."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def timed_runs(
    invoke: Callable[[], bool],
    limits: Limits,
    *,
    delay_s: float = -1.0,
    per_s: float = -1.0,
) -> tuple[list[int], bool]:
    """Run until the limits say so. One read of the clock before, then three per run.

    Args:
        invoke: one run; False where it failed, which does not end the series.
        delay_s: pause between runs; none where negative.
        per_s: runs per second instead of a pause; costs one more read per run.

    Returns: samples in us, and whether every run was well.
    """
    samples: list[int] = []
    well = True
    collecting = gc.isenabled()
    gc.disable()
    try:
        now = now_us()
        enough = now + int(limits.min_s * 1e6)
        latest = now + int(limits.max_s * 1e6)
        gap_s = 1.0 / per_s if per_s > 0 else 0.0
        finish_s = now * 1e-6 + gap_s
        while (len(samples) < limits.runs or now < enough) and now <= latest:
            start = now_us()
            done = invoke()
            end = now_us()
            samples.append(end - start)
            if per_s > 0:
                delay_s = finish_s - now_us() * 1e-6
                finish_s += gap_s
            if delay_s > 0:
                time.sleep(delay_s)
            now = now_us()
            well = well and done
    finally:
        if collecting:
            gc.enable()
    return samples, well
