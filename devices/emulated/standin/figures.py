"""What the tool computes of its samples and how it writes that, in its own arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence


def number(value: float) -> str:
    """As a C++ stream writes a double: six significant digits, 1.04574e+06."""
    return f"{value:.6g}"


def average(samples: Sequence[int]) -> float:
    """0 where there are none: that is what the tool prints then."""
    return sum(samples) / len(samples) if samples else 0.0


def deviation(samples: Sequence[int]) -> int:
    """Of the population; the variance and its root are both cut to integers."""
    if not samples or min(samples) == max(samples):
        return 0
    mean = average(samples)
    return int(math.sqrt(max(0, int(sum(s * s for s in samples) / len(samples) - mean * mean))))


def percentile(samples: Sequence[int], percent: int) -> int:
    """The order statistic at floor(n p / 100); 0 where there are none."""
    if not samples:
        return 0
    return sorted(samples)[min(len(samples) * percent // 100, len(samples) - 1)]


def count_line(samples: Sequence[int]) -> str:
    """The line `count=...` of samples in us."""
    if not samples:
        head = "count=0"
    elif min(samples) == max(samples):
        same = "(all same)" if len(samples) > 1 else ""
        head = f"count={len(samples)} curr={samples[-1]}{same}"
    else:
        head = (
            f"count={len(samples)} first={samples[0]} curr={samples[-1]} min={min(samples)}"
            f" max={max(samples)} avg={number(average(samples))} std={deviation(samples)}"
        )
    p5, median, p95 = (percentile(samples, percent) for percent in (5, 50, 95))
    return f"{head} p5={p5} median={median} p95={p95}"
