"""How sure an accuracy is, and whether two variants really differ on the same images.

Sources: Wilson 1927; Bonett and Price 2012 (Journal of Educational and Behavioral
Statistics 37, the adjusted Wald interval of paired proportions); McNemar 1947, exact.
What is no share of right answers: bench.resampling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from bench.config import GatesConfig
from bench.format import counted, score
from bench.metrics import Metric, Statistics
from bench.power import SIGNIFICANCE
from bench.resampling import bootstrap, randomisation_p
from bench.stats import Interval

_CONFIDENCE = 0.95
_Z = NormalDist().inv_cdf((1 + _CONFIDENCE) / 2)


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """A difference of two accuracies on the same images.

    Attributes:
        points: accuracy of a minus that of b, in percentage points.
        interval_points: its 95 % interval, kind "paired".
    """

    points: float
    interval_points: Interval


@dataclass(frozen=True, slots=True)
class PairedChange:
    """A metric of one model minus that of another on the same samples.

    Attributes:
        difference: in the metric's unit, shares in 0..1.
        interval: 95 %, of the same; None where there are too few samples for one.
        p_value: two-sided, that the two are equally good.
    """

    difference: float
    interval: Interval | None
    p_value: float


class Loss(StrEnum):
    """What a paired change says of a loss.

    NONE_SHOWN: no difference is shown, and the interval holds no loss beyond what is allowed.
    WORSE, BETTER: the whole interval lies on one side, and the test says so too.
    UNCLEAR: a loss beyond what is allowed is neither shown nor excluded.
    """

    NONE_SHOWN = "no loss shown"
    WORSE = "worse"
    BETTER = "better"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class LossVerdict:
    """A verdict and how to say it: "worse by 0.8 to 2.9 points"."""

    loss: Loss
    text: str


def judge_loss(
    metric: Metric, change: PairedChange, samples: int, allowed: float | None
) -> LossVerdict:
    """Whether a change is a loss, as far as these samples can tell.

    Args:
        allowed: largest loss that is accepted, in the metric's unit; None if unknown.
    """
    around = change.interval
    if around is None:
        few = f"{counted(samples, 'sample')} {'is' if samples == 1 else 'are'} too few"
        return LossVerdict(Loss.UNCLEAR, f"unclear: {few} to tell")
    ends = sorted(metric.better(end, 0.0) for end in (around.low, around.high))
    worst, best = ends
    if worst == best == 0:
        return LossVerdict(Loss.NONE_SHOWN, "no loss shown: equally good on every sample")
    # Interval and test are made in different ways, and differ now and then at the edge.
    if change.p_value <= SIGNIFICANCE and best < 0:
        return LossVerdict(Loss.WORSE, f"worse by {_range(metric, -best, -worst)}")
    if change.p_value <= SIGNIFICANCE and worst > 0:
        return LossVerdict(Loss.BETTER, f"better by {_range(metric, worst, best)}")
    if allowed is not None and -worst <= allowed:
        at_most = f", at most {amount(metric, -worst)}" if worst < 0 else ""
        return LossVerdict(Loss.NONE_SHOWN, f"no loss shown{at_most}")
    can_show = amount(metric, (best - worst) / 2)
    return LossVerdict(Loss.UNCLEAR, f"unclear: {counted(samples, 'sample')} can show {can_show}")


def _range(metric: Metric, low: float, high: float) -> str:
    if metric.is_share:
        return f"{_points(low)} to {_points(high)} points"
    return f"{score(low, share=False)} to {score(high, share=False)}"


def amount(metric: Metric, value: float) -> str:
    """A difference of a metric with its unit: "0.8 points"."""
    return f"{_points(value)} points" if metric.is_share else score(value, share=False)


def _points(share: float) -> str:
    """A share as percentage points: "0.8", "0.04"; what is not zero does not look like it."""
    value = 100 * share
    for decimals in (1, 2):
        if value == 0 or float(f"{value:.{decimals}f}") > 0:
            return f"{value:.{decimals}f}"
    return "below 0.01"


def allowed_loss(metric: Metric, reference: float, gates: GatesConfig) -> float:
    """By how much a value may be worse than the reference's and pass both gates.

    In the metric's unit, >= 0; infinite where the gates allow anything.
    """
    ratio, whole = gates.accuracy_ratio_min, abs(reference)
    if not metric.higher_is_better:
        return whole / ratio - whole if ratio > 0 else math.inf
    by_ratio = (1 - ratio) * whole
    return min(by_ratio, gates.accuracy_drop_max_points / 100) if metric.is_share else by_ratio


def value_interval(metric: Metric, statistics: Statistics) -> Interval | None:
    """95 % interval of a metric in its own unit; None where there are too few samples."""
    if _right_or_wrong(metric, statistics):
        return wilson(int(statistics.sum()), len(statistics))
    return bootstrap(metric, (statistics,))


def paired_change(metric: Metric, a: Statistics, b: Statistics) -> PairedChange:
    """The metric of a minus that of b, both on the same samples in the same order.

    Raises: ValueError if they are empty or of different shape.
    """
    if a.shape != b.shape or len(a) == 0:
        raise ValueError(f"a pair needs the same samples: {a.shape} against {b.shape}")
    if _right_or_wrong(metric, a) and _right_or_wrong(metric, b):
        right_a, right_b = a[:, 0] == 1, b[:, 0] == 1
        found = paired_difference(right_a, right_b)
        around = found.interval_points
        return PairedChange(
            found.points / 100,
            Interval(around.low / 100, around.high / 100, around.confidence, around.kind),
            mcnemar_exact(right_a, right_b),
        )
    return PairedChange(
        metric.value_of(a) - metric.value_of(b),
        bootstrap(metric, (a, b)),
        randomisation_p(metric, a, b),
    )


def _right_or_wrong(metric: Metric, statistics: Statistics) -> bool:
    """Whether the value is the share of samples with a 1; a function may score so too."""
    if metric.name in ("top1", "topk"):
        return True
    return metric.is_function and bool(np.isin(statistics, (0.0, 1.0)).all())


def wilson(k: int, n: int) -> Interval:
    """95 % interval in 0..1 of a share of `k` right answers among `n`.

    Raises: ValueError unless 0 <= k <= n and n >= 1.
    """
    if n < 1 or not 0 <= k <= n:
        raise ValueError(f"{k} of {n} is not a share")
    share, z2 = k / n, _Z * _Z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    # At the ends the formula gives exactly 0 and 1, which rounding would miss.
    low = 0.0 if k == 0 else max(0.0, centre - half)
    high = 1.0 if k == n else min(1.0, centre + half)
    return Interval(low, high, _CONFIDENCE, "wilson")


def paired_difference(
    correct_a: NDArray[np.bool_], correct_b: NDArray[np.bool_]
) -> PairedDifference:
    """Accuracy of a minus that of b in percentage points, with the Bonett-Price interval.

    Both say, for the same images in the same order, whether the answer was right.

    Raises: ValueError if they are empty or of different length.
    """
    only_a, only_b, n = _discordant(correct_a, correct_b)
    p_a, p_b = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    half = _Z * math.sqrt((p_a + p_b - (p_a - p_b) ** 2) / (n + 2))
    low, high = max(-1.0, p_a - p_b - half), min(1.0, p_a - p_b + half)
    return PairedDifference(
        points=100 * (only_a - only_b) / n,
        interval_points=Interval(100 * low, 100 * high, _CONFIDENCE, "paired"),
    )


def mcnemar_exact(correct_a: NDArray[np.bool_], correct_b: NDArray[np.bool_]) -> float:
    """Two-sided exact p value that a and b are right equally often on the same images.

    1.0 where they never differ.

    Raises: ValueError if they are empty or of different length.
    """
    only_a, only_b, _ = _discordant(correct_a, correct_b)
    m = only_a + only_b
    term = tail = 1
    for i in range(min(only_a, only_b)):
        term = term * (m - i) // (i + 1)
        tail += term
    return min(1.0, float(2 * tail / 2**m))


def _discordant(correct_a: NDArray[np.bool_], correct_b: NDArray[np.bool_]) -> tuple[int, int, int]:
    a, b = np.asarray(correct_a, dtype=np.bool_), np.asarray(correct_b, dtype=np.bool_)
    if a.ndim != 1 or a.shape != b.shape or a.size == 0:
        raise ValueError(f"a pair needs the same images: {a.shape} against {b.shape}")
    return int((a & ~b).sum()), int((b & ~a).sum()), int(a.size)
