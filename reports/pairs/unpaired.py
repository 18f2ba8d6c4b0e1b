"""Two runs without common rounds: what their ratio says, given how much runs differ anyway.

METHOD section 4: at least 3 runs of one side are needed to know the spread between runs. The
ratio of two single runs then has the standard error sqrt(2) times that spread, and Student's t
of its degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from bench.format import counted
from bench.matrix import benjamini_hochberg
from bench.power import SIGNIFICANCE, percent
from bench.stats import Change, Interval, RatioVerdict
from reports.pairs.model import Spread

LEAST_RUNS = 3
_CONFIDENCE = 0.95

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class TwoRuns:
    """A p50 of each side in us, and those of the runs that are like them.

    Attributes:
        runs_a, runs_b: p50 of each run of that side, its own run included.
        one_kind: whether both sides are of one kind, so that runs_a and runs_b are the same.
    """

    a_us: float
    b_us: float
    runs_a: Sequence[float]
    runs_b: Sequence[float]
    one_kind: bool


def judge_unpaired(
    found: Mapping[Key, TwoRuns], *, delta: float
) -> dict[Key, tuple[RatioVerdict, Spread | None]]:
    """Verdicts on ratios A / B of single runs, corrected for their number.

    CHANGED and SAME only where the spread between runs is known. `rounds` is 0 throughout.

    Raises: ValueError for a p50 that is not a positive number.
    """
    spreads = {key: _spread(pair) for key, pair in found.items()}
    tested = [key for key, spread in spreads.items() if spread is not None]
    p_values = benjamini_hochberg([_p_value(found[key], spreads[key]) for key in tested])
    corrected = dict(zip(tested, map(float, p_values), strict=True))
    verdicts: dict[Key, tuple[RatioVerdict, Spread | None]] = {}
    for key, pair in found.items():
        spread = spreads[key]
        if spread is None:
            verdicts[key] = (_unknown(pair), None)
        else:
            verdicts[key] = (_judged(pair, spread, corrected[key], delta), spread[0])
    return verdicts


def _spread(pair: TwoRuns) -> tuple[Spread, int] | None:
    """The spread between runs, pooled over the sides that have several, and its degrees of
    freedom; None where no side has at least 3 runs."""
    sides = [pair.runs_a] if pair.one_kind else [pair.runs_a, pair.runs_b]
    if max(map(len, sides)) < LEAST_RUNS:
        return None
    logs = [np.log(np.asarray(side, dtype=np.float64)) for side in sides if len(side) > 1]
    df = sum(len(side) - 1 for side in logs)
    squares = sum(float(((side - side.mean()) ** 2).sum()) for side in logs)
    count_b = 0 if pair.one_kind else len(pair.runs_b)
    return Spread(math.sqrt(squares / df), len(pair.runs_a), count_b), df


def _log_ratio(pair: TwoRuns) -> float:
    if not all(math.isfinite(us) and us > 0 for us in (pair.a_us, pair.b_us)):
        raise ValueError("a ratio needs positive finite values")
    return math.log(pair.a_us / pair.b_us)


def _error(spread: Spread) -> float:
    # Runs that agree to the last digit do not mean that the next one will.
    return math.sqrt(2) * max(spread.share, 1e-4)


def _p_value(pair: TwoRuns, known: tuple[Spread, int] | None) -> float:
    from scipy import special

    assert known is not None
    spread, df = known
    return float(2 * special.stdtr(df, -abs(_log_ratio(pair)) / _error(spread)))


def _judged(pair: TwoRuns, known: tuple[Spread, int], p_value: float, delta: float) -> RatioVerdict:
    from scipy import special

    spread, df = known
    log, border = _log_ratio(pair), math.log1p(delta)
    half = float(special.stdtrit(df, (1 + _CONFIDENCE) / 2)) * _error(spread)
    significant = p_value <= SIGNIFICANCE
    change, missing = Change.UNCLEAR, ""
    if significant and half < abs(log) >= border:
        change = Change.CHANGED
    elif abs(log) + half <= border:
        change = Change.SAME
    else:
        missing = (
            f"runs differ by {percent(spread.share)} anyway, so that two single runs can show"
            f" {percent(math.expm1(max(half, border)))}; `run --against` measures both in one run"
        )
    return RatioVerdict(
        ratio=math.exp(log),
        interval=Interval(math.exp(log - half), math.exp(log + half), _CONFIDENCE, "between-runs"),
        rounds=0,
        change=change,
        significant=significant,
        p_value=p_value,
        missing=missing,
    )


def _unknown(pair: TwoRuns) -> RatioVerdict:
    most = max(len(pair.runs_a), len(pair.runs_b))
    missing = (
        f"how much runs differ anyway is told by {LEAST_RUNS} runs of one side, and there"
        f" {'is' if most == 1 else 'are'} {counted(most, 'run')}; `run --against` measures both"
        " in one run"
    )
    return RatioVerdict(math.exp(_log_ratio(pair)), None, 0, Change.UNCLEAR, None, None, missing)
