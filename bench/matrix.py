"""Tests for many comparisons at once: moderated paired t and Benjamini-Hochberg.

Sources: Smyth 2004 (Statistical Applications in Genetics and Molecular Biology 3, article
3) for the prior from all cells; Benjamini and Hochberg 1995.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.power import MIN_ROUNDS_FOR_TEST
from bench.stats import RatioVerdict, log_ratios, paired_ratio, with_corrected_p

# From this many cells on, the cells lend each other what they know of the spread, and are
# corrected for their number: eight pairs at 2 % spread, each by its own interval, raise a
# false alarm in 16 % of simulated runs, and as a matrix in 5 %.
MATRIX_CELLS = 4
# Keeps the logarithm finite where a coarse clock makes all rounds equal: 0.01 % spread.
_VARIANCE_FLOOR = 1e-8
# All cells alike would mean infinite prior degrees of freedom; the reference caps them.
_MAX_PRIOR_DF = 200.0

Key = TypeVar("Key", bound=Hashable)
ByRound = Mapping[int, float]


def judge_pairs(
    pairs: Mapping[Key, tuple[ByRound, ByRound]],
    *,
    delta: float,
    resolutions: Mapping[Key, float],
) -> dict[Key, RatioVerdict]:
    """Verdicts on many comparisons (reference, other) of p50 by round (METHOD section 4).

    With 4 or more pairs that can be tested, significance comes from the moderated paired t
    with Benjamini-Hochberg; with fewer, from each pair's own interval. A pair without a
    common round is left out.

    Args:
        resolutions: key -> smallest step of that pair's log ratio, as in `paired_ratio`.
    """
    verdicts: dict[Key, RatioVerdict] = {}
    logs: dict[Key, list[float]] = {}
    for key, (reference, other) in pairs.items():
        verdict = paired_ratio(reference, other, delta=delta, resolution=resolutions[key])
        if verdict is None:
            continue
        verdicts[key] = verdict
        if verdict.rounds >= MIN_ROUNDS_FOR_TEST:
            logs[key] = log_ratios(reference, other)
    if len(logs) >= MATRIX_CELLS:
        adjusted = benjamini_hochberg(moderated_paired_t(list(logs.values())))
        for (key, cell), p in zip(logs.items(), adjusted, strict=True):
            verdicts[key] = with_corrected_p(verdicts[key], float(p), cell, delta=delta)
    return verdicts


def moderated_paired_t(log_ratios: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Two-sided p value per cell that the mean log ratio is 0.

    Args:
        log_ratios: one sequence per cell of its per-round log ratios, at least 2 each;
            the cells may have different numbers of rounds.

    The variance of a cell is s~^2 = (d0 s0^2 + df s^2) / (d0 + df), with d0 and s0 fitted
    to the log variances of all cells; its degrees of freedom are d0 + df, at most the sum of
    all df, as in the authors' own limma. A single cell is tested by the plain paired t.

    Raises: ValueError for a cell with fewer than 2 rounds or a value that is not finite.
    """
    from scipy import special

    cells = [np.asarray(cell, dtype=np.float64) for cell in log_ratios]
    if not cells:
        return np.empty(0)
    if any(cell.size < 2 or not np.isfinite(cell).all() for cell in cells):
        raise ValueError("every cell needs at least 2 finite log ratios")
    rounds = np.array([cell.size for cell in cells], dtype=np.float64)
    df = rounds - 1
    variance = np.maximum([cell.var(ddof=1) for cell in cells], _VARIANCE_FLOOR)
    prior_df, prior_variance = 0.0, 0.0
    if len(cells) > 1:
        z = np.log(variance) - special.digamma(df / 2) + np.log(df / 2)
        # What the log variances differ beyond chance is what the cells truly differ.
        excess = float(z.var(ddof=1) - special.polygamma(1, df / 2).mean())
        prior_df = _MAX_PRIOR_DF
        if excess > float(special.polygamma(1, _MAX_PRIOR_DF / 2)):
            prior_df = 2 * _inverse_trigamma(excess)
        prior_variance = float(
            np.exp(z.mean() + special.digamma(prior_df / 2) - np.log(prior_df / 2))
        )
    shrunk = (prior_df * prior_variance + df * variance) / (prior_df + df)
    # What all cells were measured with is the most that any of them can know.
    total_df = np.minimum(prior_df + df, df.sum())
    t = np.array([cell.mean() for cell in cells]) / np.sqrt(shrunk / rounds)
    return np.asarray(2 * special.stdtr(total_df, -np.abs(t)), dtype=np.float64)


def _inverse_trigamma(value: float) -> float:
    """The x > 0 at which trigamma is a positive `value`: by Newton's method on its reciprocal,
    which is convex, so that it converges from below (Smyth 2004, appendix)."""
    from scipy import special

    x = 0.5 + 1 / value
    while True:
        trigamma = float(special.polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(special.polygamma(2, x))
        x += step
        if abs(step) <= 1e-12 * x:
            return x


def benjamini_hochberg(p_values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjusted p values, in the given order: at most 5 % false ones among those <= 0.05.

    What scipy.stats.false_discovery_control gives, without the half second that importing
    scipy.stats takes.

    Raises: ValueError for a p value outside 0..1.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("p values lie between 0 and 1")
    largest_first = np.argsort(p)[::-1]
    ranks = np.arange(p.size, 0, -1)
    adjusted = np.empty_like(p)
    adjusted[largest_first] = np.minimum.accumulate(p[largest_first] * p.size / ranks)
    return np.minimum(adjusted, 1.0)
