"""The range and spread of the values of a large array, in one pass and little memory.

Quantiles come from a histogram over the upper bits of the float32 pattern, whose bins are
0.2 % wide whatever the magnitude, so that one wild value does not coarsen all others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TAIL = 0.001
_SHIFT = 14
_BINS = 1 << (32 - _SHIFT)
_BLOCK = 1 << 20
_MAX_CHANNELS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """How the values of one set lie.

    Attributes:
        minimum, maximum: exact.
        low, high: 0.1 and 99.9 % quantile; minimum and maximum below 1000 values.
        std: standard deviation, of values clipped to low..high.
        counts: (2**18,) int64, values per bin.
    """

    minimum: float
    maximum: float
    low: float
    high: float
    std: float
    counts: NDArray[np.int64]

    @property
    def width(self) -> float:
        return self.high - self.low

    def share_outside(self, low: float, high: float) -> float:
        """Share of values below low or above high, exact to a bin."""
        inside = self.counts[np.logical_and(low <= _CENTRES, high >= _CENTRES)].sum()
        return 1 - float(inside / self.counts.sum())


def spreads(x: NDArray[Any]) -> tuple[Spread, ...]:
    """Of all values of a finite, not empty array and, for 2 to 4 channels, of each channel.

    Channels are the last dimension of what has at least three.
    """
    channels = x.shape[-1] if x.ndim >= 3 else 1
    if not 2 <= channels <= _MAX_CHANNELS:
        return (_spread_of(*_count(x)),)
    parts = [_count(x[..., channel]) for channel in range(channels)]
    counts = np.sum([part[0] for part in parts], axis=0)
    least = min(part[1] for part in parts)
    most = max(part[2] for part in parts)
    return (_spread_of(counts, least, most), *(_spread_of(*part) for part in parts))


def _count(x: NDArray[Any]) -> tuple[NDArray[np.int64], float, float]:
    """Values per bin, minimum and maximum."""
    counts = np.zeros(_BINS, np.int64)
    least, most = np.inf, -np.inf
    for block in _blocks(x):
        least, most = min(least, float(block.min())), max(most, float(block.max()))
        counts += np.bincount(_bin_of(block), minlength=_BINS)
    return counts, least, most


def _blocks(x: NDArray[Any]) -> Iterator[NDArray[np.float32]]:
    """All values in flat float32 blocks; only one of them is a copy at a time."""
    for sample in _groups(x):
        flat = sample.reshape(-1)
        for start in range(0, flat.size, _BLOCK):
            # -0.0 would lie in a bin of its own.
            yield flat[start : start + _BLOCK].astype(np.float32) + np.float32(0)


def _groups(x: NDArray[Any]) -> Iterator[NDArray[Any]]:
    if x.ndim == 0:
        yield x
        return
    step = max(1, _BLOCK // max(1, x[0].size))
    for start in range(0, len(x), step):
        yield x[start : start + step]


def _bin_of(values: NDArray[np.float32]) -> NDArray[Any]:
    """Bins in the order of the values: the sign bit flipped, negative patterns inverted."""
    bits = values.view(np.uint32)
    ordered = np.where(bits >> 31, ~bits, bits | np.uint32(0x80000000))
    return np.right_shift(ordered, _SHIFT)


def _centres() -> NDArray[np.float64]:
    """The value of each bin nearest to zero, so that 1.0 and 0.0625 stand for themselves."""
    ordered = np.arange(_BINS, dtype=np.uint32) << np.uint32(_SHIFT)
    low = ordered | np.uint32((1 << _SHIFT) - 1)
    bits = np.where(ordered >> 31, ordered & np.uint32(0x7FFFFFFF), ~low)
    with np.errstate(invalid="ignore"):
        values = bits.astype(np.uint32).view(np.float32).astype(np.float64)
    # Patterns of NaN and infinity, which no finite value falls into.
    return np.nan_to_num(values, nan=0.0)


_CENTRES = _centres()


def _spread_of(counts: NDArray[np.int64], least: float, most: float) -> Spread:
    total = int(counts.sum())
    cumulated = np.cumsum(counts)
    skipped = int(_TAIL * total)
    low, high = least, most
    if skipped:
        low = float(_CENTRES[np.searchsorted(cumulated, skipped, side="right")])
        high = float(_CENTRES[np.searchsorted(cumulated, total - skipped)])
        low, high = max(low, least), min(high, most)
    held = np.flatnonzero(counts)
    values = np.clip(_CENTRES[held], low, high)
    weights = counts[held] / total
    mean = float(values @ weights)
    std = float(np.sqrt(((values - mean) ** 2) @ weights))
    return Spread(least, most, low, high, std, counts)
