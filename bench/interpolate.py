"""p90 estimated from the percentiles that benchmark_model prints (docs/method.md, section 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

# The spread up to which the estimate is good enough to show: rmse 0.6 % of p90.
MAX_P95_TO_MEDIAN = 1.08

_Z90 = NormalDist().inv_cdf(0.90)
_Z95 = NormalDist().inv_cdf(0.95)


@dataclass(frozen=True, slots=True)
class P90Estimate:
    """Where p90 lies, in us.

    Attributes:
        value_us: the estimate, never tested and never gated; None where only the bounds
            can be stated.
        bounds_us: p90 of the tool's own whole-us times lies between these for certain.
    """

    value_us: float | None
    bounds_us: tuple[float, float]


def interpolate_p90(p5_us: float, median_us: float, p95_us: float) -> P90Estimate:
    """p90 of the shifted lognormal through the three, or of the normal where it has no tail.

    There is no value where p95 is more than 8 % above the median, and none where p5 is the
    median and p95 is not: then whole us, or a floor, hide the shape.

    Raises: ValueError if the three are not finite, in order and at least zero.
    """
    if not 0 <= p5_us <= median_us <= p95_us < math.inf:
        raise ValueError("p5, median and p95 need to be times and in order")
    bounds = (median_us, p95_us)
    below, above = median_us - p5_us, p95_us - median_us
    if median_us == 0 or p95_us > MAX_P95_TO_MEDIAN * median_us or below == 0 < above:
        return P90Estimate(None, bounds)
    return P90Estimate(min(median_us + above * _share(below, above), p95_us), bounds)


def _share(below: float, above: float) -> float:
    """How far from the median to p95 p90 lies, 0..1."""
    share = _Z90 / _Z95
    if above <= below:
        return share
    # exp(mu + sigma z) - exp(mu): the two distances give exp(sigma z95) as their ratio.
    log_ratio = math.log(above / below)
    return math.expm1(share * log_ratio) / math.expm1(log_ratio)
