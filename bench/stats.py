"""The statistics of the method as pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

STATS_VERSION = 1


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
        p_value: corrected (Benjamini-Hochberg) where the matrix has 10 or more cells.
        missing: what would settle an UNCLEAR one, one sentence, else "".
    """

    ratio: float
    interval: Interval | None
    rounds: int
    change: Change
    significant: bool | None
    p_value: float | None
    missing: str
