"""How sure an accuracy is, and whether two variants really differ on the same images.

Sources: Wilson 1927; Bonett and Price 2012 (Journal of Educational and Behavioral
Statistics 37, the adjusted Wald interval of paired proportions); McNemar 1947, exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

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
