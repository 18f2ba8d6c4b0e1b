"""What the samples of one launch say about themselves, small enough to store beside p50.

Made once, when the launch is measured, so that verdicts never unpack samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.stats import lag1_correlation

# A second mode counts from this share and distance on, where the valley between the two
# is at most this part of the lower peak.
_MODE_MIN_SHARE = 0.10
_MODE_MIN_DISTANCE = math.log(1.05)
_MODE_VALLEY = 0.4
# A lower peak than this part of the highest is a wisp of a long tail.
_MODE_MIN_PEAK = 0.10
_MODE_MIN_SAMPLES = 64
_DRIFT_MIN_SAMPLES = 10
# Samples of a quiet launch are correlated (lag 1 about 0.4 to 0.6), also where a short
# launch does not show it.
_LEAST_INFLATION = 1.5
_MAD_TO_SD = 1.4826


@dataclass(frozen=True, slots=True)
class SampleDigest:
    """The shape of one launch's samples.

    Attributes:
        count: number of samples.
        bad_samples: how many were zero or negative: a clock that stood or went back.
        first_half_p50_us, second_half_p50_us: medians in order of time; None below 10
            samples.
        drift: log(second / first); drift_se: its standard error, correlation allowed for.
        lag1: lag-1 correlation of the logs within the halves; None if they are constant.
        step_us: least difference between two unequal samples; None if all are equal.
        mode_p50s_us, mode_shares: of the two modes if there are two, else empty.
    """

    count: int
    bad_samples: int
    first_half_p50_us: float | None
    second_half_p50_us: float | None
    drift: float | None
    drift_se: float | None
    lag1: float | None
    step_us: float | None
    mode_p50s_us: tuple[float, ...] = ()
    mode_shares: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives the same digest back."""
        return {
            "count": self.count,
            "bad_samples": self.bad_samples,
            "first_half_p50_us": self.first_half_p50_us,
            "second_half_p50_us": self.second_half_p50_us,
            "drift": self.drift,
            "drift_se": self.drift_se,
            "lag1": self.lag1,
            "step_us": self.step_us,
            "mode_p50s_us": list(self.mode_p50s_us),
            "mode_shares": list(self.mode_shares),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SampleDigest:
        """Raises: KeyError, TypeError if the value is not what `to_json` made."""
        modes = {name: tuple(value[name]) for name in ("mode_p50s_us", "mode_shares")}
        return cls(**{**value, **modes})


def digest(samples_ns: NDArray[np.int64]) -> SampleDigest:
    """Digest of a launch's samples in ns, in order of time.

    Raises: ValueError if there are no samples.
    """
    samples = np.asarray(samples_ns, dtype=np.float64)
    if samples.size == 0:
        raise ValueError("a digest needs at least one sample")
    bad = int((samples <= 0).sum())
    distinct = np.unique(samples)
    step_us = float(np.diff(distinct).min()) / 1e3 if distinct.size > 1 else None
    if bad or samples.size < _DRIFT_MIN_SAMPLES:
        return SampleDigest(samples.size, bad, None, None, None, None, None, step_us)
    logs = np.log(samples)
    half = samples.size // 2
    early, late = logs[:half], logs[samples.size - half :]
    centred = np.concatenate([early - np.median(early), late - np.median(late)])
    lag1 = lag1_correlation(centred)
    low, high = _modes(logs, lag1 or 0.0)
    return SampleDigest(
        count=samples.size,
        bad_samples=0,
        first_half_p50_us=float(np.median(samples[:half])) / 1e3,
        second_half_p50_us=float(np.median(samples[samples.size - half :])) / 1e3,
        drift=float(np.median(late) - np.median(early)),
        drift_se=_drift_error(centred, half, lag1 or 0.0),
        lag1=lag1,
        step_us=step_us,
        mode_p50s_us=tuple(math.exp(float(np.median(m))) / 1e3 for m in (low, high) if high.size),
        mode_shares=tuple(m.size / logs.size for m in (low, high) if high.size),
    )


def _drift_error(centred: NDArray[np.float64], half: int, lag1: float) -> float:
    """Standard error of the difference of two medians of `half` correlated samples.

    1.25 sd / sqrt(n) is that of the median of normal values; first-order correlation r
    inflates it by sqrt((1 + r) / (1 - r)).
    """
    spread = _MAD_TO_SD * float(np.median(np.abs(centred)))
    r = min(max(lag1, 0.0), 0.95)
    inflation = max(_LEAST_INFLATION, math.sqrt((1 + r) / (1 - r)))
    return 1.25 * spread * math.sqrt(2 / half) * inflation


def _modes(
    logs: NDArray[np.float64], lag1: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The log samples of the lower and of the upper mode; the upper is empty if there is one.

    Valleys of a Gaussian kernel density (Silverman 1986, rule of thumb with the quartile
    range) whose bandwidth grows with the correlation, because a slow walk is no mode.
    """
    single = logs, logs[:0]
    if logs.size < _MODE_MIN_SAMPLES:
        return single
    r = min(max(lag1, 0.0), 0.95)
    effective = logs.size * (1 - r) / (1 + r)
    quartiles = float(np.subtract(*np.percentile(logs, [75, 25]))) / 1.34
    sd = float(logs.std())
    # Half the samples may be equal on a coarse clock; a bandwidth of 0 finds modes in ticks.
    scale = max(min(sd, quartiles), 0.002)
    width = 0.9 * scale * effective ** (-1 / 5)
    low, high = np.percentile(logs, [0.5, 99.5])
    if high - low < _MODE_MIN_DISTANCE:
        return single
    grid = np.arange(low - 3 * width, high + 3 * width, max(width / 4, (high - low) / 4000))
    step = grid[1] - grid[0]
    counts = np.histogram(logs, bins=grid.size, range=(grid[0], grid[-1] + step))[0]
    reach = min(math.ceil(4 * width / step), (grid.size - 1) // 2)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / width) ** 2)
    density = np.convolve(counts, kernel, mode="same")
    peaks = np.minimum(np.maximum.accumulate(density), np.maximum.accumulate(density[::-1])[::-1])
    below = np.cumsum(counts) / logs.size
    # Only where both sides hold enough: the gap before a few outliers is the deepest of all.
    valley = (below >= _MODE_MIN_SHARE) & (below <= 1 - _MODE_MIN_SHARE)
    valley &= peaks >= _MODE_MIN_PEAK * density.max()
    depth = np.divide(density, peaks, out=np.ones_like(density), where=valley)
    at = int(np.argmin(depth))
    if depth[at] > _MODE_VALLEY:
        return single
    border = grid[at] + step / 2
    lower, upper = logs[logs <= border], logs[logs > border]
    if min(lower.size, upper.size) < _MODE_MIN_SHARE * logs.size:
        return single
    if float(np.median(upper) - np.median(lower)) < _MODE_MIN_DISTANCE:
        return single
    return lower, upper
