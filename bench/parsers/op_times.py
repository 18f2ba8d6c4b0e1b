"""The time of an op in one run of the model, from the rounded figures that a tool prints.

A row has its time per call, how often it was called, cut to a whole number per run, and
its share of the time of all rows, of which the tool prints the mean. Either gives the time
per run; which is the finer depends on the layout. Where they disagree, a row was not
called equally often in every run, and only the share is right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.errors import UnreadableOutput
from bench.parsers.benchmark_model import sixth_digit

# What sums and means in between may lose.
_SLACK = 1e-5
# Rounded up. No run takes a year.
_WHOLE = 100.01
_MOST_MS = 3e10


@dataclass(frozen=True, slots=True)
class PerRun:
    """Time per run in us, None where it cannot be told; uneven: see the module."""

    us: float | None
    uneven: bool = False


def per_run(
    avg_ms: str,
    calls: float | None,
    percent: str,
    total_us: float | None,
    *,
    fixed: bool,
    exact: bool = False,
) -> PerRun:
    """Of one row.

    Args:
        avg_ms: per call, as printed; calls: per run, None where not told.
        percent: of total_us, as printed.
        total_us: of all rows per run; None where not told.
        fixed: three decimals, rather than six significant digits.
        exact: of one run, so that every time is a whole number of us.

    Raises: UnreadableOutput where a figure is none that a tool prints.
    """
    each, share = float(avg_ms), float(percent)
    if each > _MOST_MS or share > _WHOLE or (total_us or 0) < 0:
        raise UnreadableOutput(f"a profile has an op of {avg_ms[:40]} ms and {percent[:40]} %")
    by_calls = by_share = None
    calls_slack = share_slack = math.inf
    if math.isfinite(each) and calls:
        by_calls = each * 1e3 * calls
        calls_slack = 0.0 if exact and fixed else _half_step(each, fixed) * 1e3 * calls
    if math.isfinite(share) and total_us:
        by_share = share / 100 * total_us
        share_slack = _half_step(share, fixed) / 100 * total_us + _SLACK * by_share
    if by_calls is None or by_share is None:
        known = by_calls if by_share is None else by_share
        return PerRun(None if known is None else round(known, 4))
    uneven = abs(by_calls - by_share) > calls_slack + share_slack + _SLACK * by_calls
    if uneven:
        return PerRun(round(by_share, 4), uneven=True)
    if share_slack < calls_slack:
        # The finer one, and never what the other excludes.
        best = min(max(by_share, by_calls - calls_slack), by_calls + calls_slack)
    else:
        best = by_calls
    return PerRun(round(best, 4))


def _half_step(value: float, fixed: bool) -> float:
    return 0.5e-3 if fixed else sixth_digit(value)
