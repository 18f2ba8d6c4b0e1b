"""What p50 and p90 of one case are: values of its launches that are the same quantity.

Launches of one case may tell their p50 in different ways: the recorded clock proves itself
in some and not in others, and around 100 us a tool's median gives way to its mean. A median
and a mean are never put into one row, so the coarsest of them speaks for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.records import Measurement, Source

# From the best to the worst.
_ORDER = tuple(Source)
_MEDIANS = (Source.SAMPLES, Source.TOOL)


@dataclass(frozen=True, slots=True)
class Headline:
    """One value per launch, all the same quantity.

    Attributes:
        source: the worst of the launches'. UNAVAILABLE: there is no p50, and the values are
            the means, to be shown under that name only.
        values_us: medians, or means where `is_median` is False; in the order given.
        resolution_us: the largest of the launches'; no interval is stated narrower.
    """

    source: Source
    values_us: tuple[float, ...]
    resolution_us: float

    @property
    def is_median(self) -> bool:
        return self.source in _MEDIANS

    @property
    def is_p50(self) -> bool:
        """Whether it may stand under the name p50, with its source beside it."""
        return self.source is not Source.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Tail:
    """p90 of the launches.

    Attributes:
        source: the worst of the launches'; INTERPOLATED is an estimate that is shown with
            its bounds and never tested or gated, UNAVAILABLE has no values.
        values_us: one per launch, or () where a launch has none.
        bounds_us: one (low, high) per launch that p90 lies between for certain; () where
            every value is exact, or a launch has neither a value nor bounds.
        reason: why there are no values, or None.
    """

    source: Source
    values_us: tuple[float, ...]
    bounds_us: tuple[tuple[float, float], ...]
    reason: str | None


def headline(measured: Sequence[Measurement]) -> Headline:
    """p50 of the launches of one case.

    Raises: ValueError if there is none.
    """
    source = _worst([m.p50_source for m in measured])
    medians = [m.p50_us for m in measured if m.p50_us is not None]
    if source not in _MEDIANS or len(medians) < len(measured):
        medians = [m.mean_us for m in measured]
    return Headline(source, tuple(medians), max(m.resolution_us for m in measured))


def tail(measured: Sequence[Measurement]) -> Tail:
    """p90 of the launches of one case.

    Raises: ValueError if there is none.
    """
    values = [m.p90_us for m in measured if m.p90_us is not None]
    ranges = [_range(m) for m in measured]
    bounds = tuple(r for r in ranges if r is not None)
    exact = all(low == high for low, high in bounds)
    if exact or len(bounds) < len(measured):
        bounds = ()
    if len(values) == len(measured):
        return Tail(_worst([m.p90_source for m in measured]), tuple(values), bounds, None)
    without = [m for m in measured if m.p90_us is None]
    reason = next((m.p90_reason for m in without if m.p90_reason), "not measured")
    if len(without) < len(measured):
        reason = f"missing in {len(without)} of {len(measured)} launches: {reason}"
    return Tail(Source.UNAVAILABLE, (), bounds, reason)


def _range(m: Measurement) -> tuple[float, float] | None:
    if m.p90_bounds_us is not None:
        return m.p90_bounds_us
    return None if m.p90_us is None else (m.p90_us, m.p90_us)


def _worst(sources: Sequence[Source]) -> Source:
    return max(sources, key=_ORDER.index)
