"""The levels of a series between its steps, and how sure a ratio of two of them is.

Unpaired, on logarithms of the p50 of each run. The spread between runs is that around the
levels of the whole series, pooled; the interval is Student's t around the ratio of the
medians, whose variance is at most pi / 2 times that of means [Kenney and Keeping 1962].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from bench.changepoints import SIGNIFICANCE, Detection
from bench.stats import Interval

# Runs that one side needs, so that the spread between runs is known (METHOD section 4).
MIN_RUNS = 3
# How many runs tell what is usual, and how long a change is news.
WINDOW = 8
# A clock of whole microseconds can repeat itself exactly; no median repeats better.
_LEAST_SD = 0.002
_CONFIDENCE = 0.95
_MEDIAN = math.sqrt(math.pi / 2)


@dataclass(frozen=True, slots=True, eq=False)
class Ratio:
    """One group of runs divided by another.

    Attributes:
        interval: 95 %; None where no side has 3 runs.
        p_value: two-sided that there is no difference; None likewise.
    """

    value: float
    interval: Interval | None
    p_value: float | None

    @property
    def significant(self) -> bool:
        return self.p_value is not None and self.p_value < SIGNIFICANCE


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """A series with its levels.

    Attributes:
        values_us: lone points replaced.
        edges: 0, the position of every step, n.
        sd: spread between runs, of a logarithm, with `df` degrees of freedom.
    """

    values_us: tuple[float, ...]
    edges: tuple[int, ...]
    sd: float
    df: int

    def ratio(self, before_us: Sequence[float], after_us: Sequence[float]) -> Ratio:
        """The median of some of the series' points divided by that of others."""
        value = median(after_us) / median(before_us)
        sizes = (len(before_us), len(after_us))
        if max(sizes) < MIN_RUNS or self.df < MIN_RUNS - 1:
            return Ratio(value, None, None)
        from scipy.special import stdtr, stdtrit

        # The median of two is their mean.
        error = self.sd * math.sqrt(sum((_MEDIAN if n > 2 else 1.0) ** 2 / n for n in sizes))
        size = math.log(value)
        half = float(stdtrit(self.df, (1 + _CONFIDENCE) / 2)) * error
        interval = Interval(math.exp(size - half), math.exp(size + half), _CONFIDENCE, "unpaired")
        return Ratio(value, interval, float(2 * stdtr(self.df, -abs(size) / error)))


def levels_of(detection: Detection) -> Levels:
    """The levels of a series."""
    edges = (0, *(step.position for step in detection.steps), len(detection.cleaned))
    logs = np.log(detection.cleaned)
    rest = sum(float(((part - part.mean()) ** 2).sum()) for part in np.split(logs, edges[1:-1]))
    df = len(logs) - (len(edges) - 1)
    sd = math.sqrt(rest / df) if df > 0 else 0.0
    return Levels(detection.cleaned, edges, max(sd, _LEAST_SD), df)


def beyond(ratio: float, delta: float) -> bool:
    """Whether a ratio is a change that counts."""
    return abs(math.log(ratio)) >= math.log1p(delta)
