"""The statistics of the method as pure functions.

Sources: order-statistic interval, Hettmansperger and Sheather 1986 (Statistics and
Probability Letters 4), interpolated as there; percentiles, numpy's linear definition.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.power import MIN_ROUNDS_FOR_TEST, SIGNIFICANCE, percent, what_is_missing
from bench.power import rounds_needed as rounds_needed

STATS_VERSION = 1

MIN_LAUNCHES_FOR_INTERVAL = 4
MIN_ROUNDS_FOR_PRECISION = 7
_PRECISION_CONFIDENCE = 0.97
_SERIAL_LAG1 = 0.5
_SERIAL_MIN_LAUNCHES = 8


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval and how sure it is.

    Attributes:
        low, high: in the unit of what it is an interval of.
        confidence: stated coverage, e.g. 0.95; below 0.95 it is a plain range.
        kind: "order-statistic", "range" (minimum to maximum), "wilson", "paired".
    """

    low: float
    high: float
    confidence: float
    kind: str


class Change(StrEnum):
    """Verdict on a comparison (METHOD section 4)."""

    CHANGED = "CHANGED"
    SAME = "SAME"
    UNCLEAR = "UNCLEAR"


@dataclass(frozen=True, slots=True)
class RatioVerdict:
    """A ratio of two cases over common rounds.

    Attributes:
        ratio: median of the per-round ratios.
        interval: of that ratio; None below 4 common rounds.
        rounds: number of common rounds.
        change: verdict at `delta`.
        significant: after correction for the size of the matrix; None if not tested.
        p_value: corrected (Benjamini-Hochberg) where the pair is a cell of a matrix.
        missing: what would settle an UNCLEAR one, one sentence, else "".
    """

    ratio: float
    interval: Interval | None
    rounds: int
    change: Change
    significant: bool | None
    p_value: float | None
    missing: str


@dataclass(frozen=True, slots=True)
class PrecisionCheck:
    """Whether a case has been measured precisely enough to stop (METHOD section 5).

    Attributes:
        reached: True if no more rounds are needed.
        half_width: half width of the 97 % interval as a share of the median; None
            below 7 rounds or where a value is not a positive number.
        interval: that interval, stated as 95 % because of the optional stopping.
        serial: True where serial correlation of the launches blocks the stop.
        reason: one line for people.
    """

    reached: bool
    half_width: float | None
    interval: Interval | None
    serial: bool
    reason: str


def percentile(samples: Sequence[float] | NDArray[Any], q: float) -> float:
    """The q-th percentile (q in 0..100), numpy's linear definition, unit of the samples.

    Raises: ValueError if there are no samples or q lies outside 0..100.
    """
    values = np.asarray(samples)
    if values.size == 0:
        raise ValueError("a percentile needs at least one sample")
    return float(np.percentile(values, q))


def launch_interval(
    values: Iterable[float], confidence: float = 0.95, *, resolution: float = 0.0
) -> Interval | None:
    """Hettmansperger-Sheather order-statistic interval of the median over launches.

    Distribution-free. Where so few launches cannot reach `confidence`, it is the range
    from smallest to largest with its true confidence (5 launches 93.75 %, 4 launches
    87.5 %); below 4 launches None.

    Args:
        resolution: smallest step of the values. Each end is at least half of it away from
            the median, since whole steps that agree do not say more than that.

    Raises: ValueError for a value that is not finite.
    """
    y = sorted(values)
    n = len(y)
    if not all(map(math.isfinite, y)):
        raise ValueError("an interval needs finite values")
    if n < MIN_LAUNCHES_FOR_INTERVAL:
        return None
    if _sign_confidence(n, 1) < confidence:
        interval = Interval(y[0], y[-1], _sign_confidence(n, 1), "range")
    else:
        k, weight = _order_statistic(n, confidence)
        interval = Interval(
            _between(y[k - 1], y[k], weight),
            _between(y[n - k], y[n - k - 1], weight),
            confidence,
            "order-statistic",
        )
    if not resolution:
        return interval
    median = (y[(n - 1) // 2] + y[n // 2]) / 2
    return replace(
        interval,
        low=min(interval.low, median - resolution / 2),
        high=max(interval.high, median + resolution / 2),
    )


def adaptive_interval(values: Sequence[float], *, resolution: float = 0.0) -> Interval | None:
    """The interval of a case that was measured until it was precise enough.

    From 7 launches on the 97 % interval, stated as 95 %: looking after every round costs
    the difference. Below that, the plain `launch_interval`.
    """
    if len(values) < MIN_ROUNDS_FOR_PRECISION:
        return launch_interval(values, resolution=resolution)
    interval = launch_interval(values, _PRECISION_CONFIDENCE, resolution=resolution)
    assert interval is not None
    return replace(interval, confidence=0.95)


def precision_reached(
    values: Sequence[float], d: float, *, resolution: float = 0.0
) -> PrecisionCheck:
    """Whether the p50s of the launches, in order of rounds, are precise to `d` (0.02 is 2 %)."""
    n = len(values)
    if not all(math.isfinite(v) and v > 0 for v in values):
        return PrecisionCheck(False, None, None, False, "a launch value is not a positive number")
    if n < MIN_ROUNDS_FOR_PRECISION:
        reason = f"{n} of at least {MIN_ROUNDS_FOR_PRECISION} rounds"
        return PrecisionCheck(False, None, None, False, reason)
    interval = adaptive_interval(values, resolution=resolution)
    assert interval is not None
    half_width = (interval.high - interval.low) / 2 / statistics.median(values)
    lag1 = serial_correlation(values)
    if lag1 is not None:
        reason = f"launches follow each other: lag-1 correlation {lag1:.2f} over {n} launches"
        return PrecisionCheck(False, half_width, interval, True, reason)
    shown = f"{percent(half_width)} instead of {percent(d)}"
    if half_width <= d:
        reason = f"half width {percent(half_width)}, asked for {percent(d)}"
        return PrecisionCheck(True, half_width, interval, False, reason)
    return PrecisionCheck(False, half_width, interval, False, f"not reached: {shown}")


def lag1_correlation(values: Sequence[float] | NDArray[Any]) -> float | None:
    """Lag-1 autocorrelation in -1..1; None for fewer than 3 values or constant ones."""
    x = np.asarray(values, dtype=np.float64)
    if x.size < 3:
        return None
    centred = x - x.mean()
    total = float(centred @ centred)
    if total <= 0 or not math.isfinite(total):
        return None
    return float(centred[:-1] @ centred[1:] / total)


def serial_correlation(values: Sequence[float]) -> float | None:
    """The lag-1 correlation of launch values where it is too high to trust, else None.

    Too high is above 0.5 at 8 or more launches (METHOD section 5).
    """
    lag1 = lag1_correlation(values) if len(values) >= _SERIAL_MIN_LAUNCHES else None
    return lag1 if lag1 is not None and lag1 > _SERIAL_LAG1 else None


def geometric_mean(values: Iterable[float]) -> float:
    """Geometric mean of positive values.

    Raises: ValueError if there are none, or one is not a positive number.
    """
    numbers = list(values)
    if not numbers or not all(math.isfinite(v) and v > 0 for v in numbers):
        raise ValueError("a geometric mean needs positive finite values")
    return math.exp(math.fsum(map(math.log, numbers)) / len(numbers))


def log_ratios(
    reference_by_round: Mapping[int, float], other_by_round: Mapping[int, float]
) -> list[float]:
    """log(reference / other) per common round, in order of rounds.

    Raises: ValueError for a value that is not a positive number.
    """
    common = sorted(reference_by_round.keys() & other_by_round.keys())
    pairs = [(reference_by_round[r], other_by_round[r]) for r in common]
    if not all(math.isfinite(v) and v > 0 for pair in pairs for v in pair):
        raise ValueError("a ratio needs positive finite values")
    return [math.log(a / b) for a, b in pairs]


def paired_ratio(
    reference_by_round: Mapping[int, float],
    other_by_round: Mapping[int, float],
    *,
    delta: float,
    resolution: float = 0.0,
) -> RatioVerdict | None:
    """Compare two cases over the rounds that both have: reference / other, above 1 if faster.

    The verdict rests on the interval of the median per-round log ratio. Below 6 common
    rounds that cannot reach 95 %: nothing is tested and the verdict is UNCLEAR. None
    where there is no common round.

    Args:
        resolution: smallest step of a log ratio, the sum of those of both logs.

    Raises: ValueError for a value that is not a positive number.
    """
    logs = log_ratios(reference_by_round, other_by_round)
    if not logs:
        return None
    n = len(logs)
    interval = launch_interval(logs, resolution=resolution)
    significant = None
    if interval is not None and n >= MIN_ROUNDS_FOR_TEST:
        significant = interval.low > 0 or interval.high < 0
    verdict = RatioVerdict(
        ratio=math.exp(statistics.median(logs)),
        interval=None
        if interval is None
        else replace(interval, low=math.exp(interval.low), high=math.exp(interval.high)),
        rounds=n,
        change=Change.UNCLEAR,
        significant=significant,
        p_value=None,
        missing="",
    )
    return _judged(verdict, logs, delta)


def with_corrected_p(
    verdict: RatioVerdict, p_value: float, logs: Sequence[float], *, delta: float
) -> RatioVerdict:
    """The verdict of a pair as one cell of a matrix, by its corrected p value.

    `logs` are the per-round log ratios that `verdict` was made of.
    """
    tested = replace(verdict, significant=p_value <= SIGNIFICANCE, p_value=p_value)
    return _judged(tested, logs, delta)


def _judged(verdict: RatioVerdict, logs: Sequence[float], delta: float) -> RatioVerdict:
    border = math.log1p(delta)
    size = abs(math.log(verdict.ratio))
    interval = verdict.interval
    # The t test of a matrix is on the mean, what is shown is the median and its interval: where
    # a second mode or a burst pulls the mean alone, nothing is called changed.
    shown = interval is not None and (interval.low > 1 or interval.high < 1)
    if verdict.significant and shown and size >= border:
        return replace(verdict, change=Change.CHANGED, missing="")
    if (
        interval is not None
        and verdict.rounds >= MIN_ROUNDS_FOR_TEST
        and max(-math.log(interval.low), math.log(interval.high)) <= border
    ):
        return replace(verdict, change=Change.SAME, missing="")
    return replace(verdict, change=Change.UNCLEAR, missing=what_is_missing(logs, size, delta))


@lru_cache(maxsize=4096)
def _sign_confidence(n: int, k: int) -> float:
    """B(k): the confidence of [k-th smallest, k-th largest] of n values for the median."""
    return 1 - 2 * float(sum(math.comb(n, i) for i in range(k)) / 2**n)


@lru_cache(maxsize=1024)
def _order_statistic(n: int, confidence: float) -> tuple[int, float]:
    k = 1
    while _sign_confidence(n, k + 1) >= confidence:
        k += 1
    here, inner = _sign_confidence(n, k), _sign_confidence(n, k + 1)
    share = (here - confidence) / (here - inner)
    return k, (n - k) * share / (k + (n - 2 * k) * share)


def _between(outer: float, inner: float, weight: float) -> float:
    # This form stays between the two also in floating point.
    value = outer + weight * (inner - outer)
    return min(max(value, min(outer, inner)), max(outer, inner))
