"""How many rounds a comparison needs, and what an unclear one lacks.

Normal approximation: a median over n rounds has the variance pi spread^2 / (2 n), the
asymptotic efficiency of the sign test and its interval (Hettmansperger and Sheather 1986).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, stdev

SIGNIFICANCE = 0.05
# Fewest rounds whose smallest and largest value enclose the median with 95 %.
MIN_ROUNDS_FOR_TEST = 6
_POWER = 0.90


def rounds_needed(effect: float, spread: float, delta: float) -> int:
    """Rounds for 90 % power to call a relative `effect` CHANGED, or SAME where effect is 0.

    Args:
        effect: true relative difference, 0.05 is 5 %; beyond delta, or 0.
        spread: standard deviation of the per-round log ratios.
        delta: smallest relative change that counts.

    CHANGED asks that the interval leaves out 0 and that the median lies beyond delta; SAME
    that the interval lies inside +-delta. Never below 6, where no 95 % interval exists.

    Raises: ValueError if delta does not lie below the effect that is to be found.
    """
    size, border = abs(math.log1p(effect)), math.log1p(delta)
    if spread < 0 or delta <= 0 or 0 < size <= border:
        raise ValueError("needs spread >= 0, delta > 0, and an effect beyond delta (or 0)")
    z_test, z_power = _z(1 - SIGNIFICANCE / 2), _z(_POWER)
    one = math.sqrt(math.pi / 2) * spread
    if size == 0:
        root = (z_test + _z((1 + _POWER) / 2)) * one / border
    else:
        root = max((z_test + z_power) * one / size, z_power * one / (size - border))
    return max(MIN_ROUNDS_FOR_TEST, math.ceil(root * root))


def percent(share: float) -> str:
    """A share as text with two significant digits: 0.031 is "3.1 %", 0.02 is "2 %"."""
    value = 100 * share
    return f"{value:.0f} %" if abs(value) >= 10 else f"{value:.2g} %"


def what_is_missing(logs: Sequence[float], size: float, delta: float) -> str:
    """What would settle an unclear comparison, one sentence.

    Args:
        logs: per-round log ratios, at least one; size: absolute log of their ratio.
        delta: smallest relative change that counts.
    """
    n = len(logs)
    rounds = f"{n} round" if n == 1 else f"{n} rounds"
    if n < 2:
        return f"{rounds}: nothing can be tested; needs at least {MIN_ROUNDS_FOR_TEST}"
    spread = stdev(logs)
    stated = f"{rounds}, paired spread {percent(spread)}"
    same = f"to show less than {percent(delta)} needs {_about(rounds_needed(0.0, spread, delta))}"
    # An effect just above delta would need rounds without end, so the next whole percent
    # beyond it is the least that is promised.
    effect = max(math.ceil(100 * math.expm1(size) - 0.5) / 100, delta + 0.01)
    found = f"{percent(effect)} needs {_about(rounds_needed(effect, spread, delta))}"
    more = same if size < math.log1p(delta) else found
    if n < MIN_ROUNDS_FOR_TEST:
        return f"{stated}: below {MIN_ROUNDS_FOR_TEST} rounds nothing can be tested; {more}"
    return f"{stated}: can show {percent(_smallest_effect(n, spread, delta))}; {more}"


def _smallest_effect(n: int, spread: float, delta: float) -> float:
    """The effect for which `rounds_needed` gives n, in whole percent."""
    one = math.sqrt(math.pi / 2) * spread / math.sqrt(n)
    z_test, z_power = _z(1 - SIGNIFICANCE / 2), _z(_POWER)
    size = max((z_test + z_power) * one, math.log1p(delta) + z_power * one)
    return max(round(math.expm1(size), 2), 0.01)


def _about(rounds: int) -> str:
    return f"about {rounds if rounds < 20 else 5 * math.ceil(rounds / 5)}"


def _z(probability: float) -> float:
    return NormalDist().inv_cdf(probability)
