"""How unequal the channels of a tensor are, and what that leaves for the ordinary ones."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bench.diagnose.layers import Outlier

# A channel this many times as wide as the median one costs all others three of their bits.
OUTLIER_RATIO = 8.0
# More are listed by nobody: a tensor with that many has no outliers but two populations.
MAX_OUTLIERS = 64


def outliers(widths: NDArray[np.float64]) -> tuple[Outlier, ...]:
    """Channels at least OUTLIER_RATIO times as wide as the median live one, widest first."""
    middle = median_live(widths)
    if middle is None:
        return ()
    found = np.flatnonzero(widths >= OUTLIER_RATIO * middle)
    order = found[np.argsort(-widths[found], kind="stable")][:MAX_OUTLIERS]
    return tuple(Outlier(int(c), float(widths[c] / middle)) for c in order)


def median_live(widths: NDArray[np.float64]) -> float | None:
    """Median of the widths above 0; None if there are none."""
    live = widths[widths > 0]
    return float(np.median(live)) if live.size else None


def spread(widths: NDArray[np.float64]) -> float | None:
    """Greatest width / median live one."""
    middle = median_live(widths)
    return None if middle is None else float(widths.max()) / middle


def effective_bits(width: float | None, representable_width: float, bits: int) -> float | None:
    """log2 of the steps that `width` takes up where all 2^bits take representable_width."""
    if width is None or width <= 0 or representable_width <= 0:
        return None
    return min(float(bits), math.log2(width / representable_width * 2**bits))
