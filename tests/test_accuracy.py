"""Intervals and tests of accuracies: published values, coverage, exactness."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from bench.accuracy import mcnemar_exact, paired_difference, wilson

answers = st.integers(1, 60).flatmap(
    lambda n: st.tuples(
        st.lists(st.booleans(), min_size=n, max_size=n),
        st.lists(st.booleans(), min_size=n, max_size=n),
    )
)


def pair(only_a: int, only_b: int, both: int, none: int = 0) -> tuple[NDArray[np.bool_], ...]:
    a = [True] * only_a + [False] * only_b + [True] * both + [False] * none
    b = [False] * only_a + [True] * only_b + [True] * both + [False] * none
    return np.array(a), np.array(b)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (1, 10), (81, 263), (719, 719), (697, 719)])
def test_wilson_is_the_published_interval(k: int, n: int) -> None:
    expected = scipy_stats.binomtest(k, n).proportion_ci(method="wilson")
    interval = wilson(k, n)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert interval.kind == "wilson"


def test_newcombes_example() -> None:
    # Newcombe 1998, Statistics in Medicine 17, table I: 81 of 263.
    interval = wilson(81, 263)
    assert (interval.low, interval.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@pytest.mark.parametrize(("k", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_what_is_no_share_is_refused(k: int, n: int) -> None:
    with pytest.raises(ValueError, match="not a share"):
        wilson(k, n)


@pytest.mark.parametrize(
    ("only_a", "only_b"), [(0.02, 0.02), (0.005, 0.015), (0.05, 0.01), (0.002, 0.002)]
)
@pytest.mark.parametrize("n", [100, 719])
def test_the_paired_interval_covers_the_true_difference(
    only_a: float, only_b: float, n: int
) -> None:
    rng = np.random.default_rng(n)
    draws = rng.multinomial(n, [only_a, only_b, 1 - only_a - only_b], 1500)
    tables, times = np.unique(draws, axis=0, return_counts=True)
    covered = 0
    for (a, b, same), count in zip(tables, times, strict=True):
        interval = paired_difference(*pair(a, b, same)).interval_points
        covered += count * (interval.low <= 100 * (only_a - only_b) <= interval.high)
    assert covered / 1500 >= 0.935


def test_a_paired_difference_by_hand() -> None:
    # Bonett and Price: (5 + 1) / 102 and (2 + 1) / 102.
    difference = paired_difference(*pair(5, 2, 90, 3))
    assert difference.points == pytest.approx(3.0)
    p, q = 6 / 102, 3 / 102
    half = 1.959964 * ((p + q - (p - q) ** 2) / 102) ** 0.5
    assert difference.interval_points.low == pytest.approx(100 * (p - q - half), rel=1e-5)
    assert difference.interval_points.high == pytest.approx(100 * (p - q + half), rel=1e-5)
    assert difference.interval_points.kind == "paired"


def test_equal_answers_still_leave_doubt() -> None:
    interval = paired_difference(*pair(0, 0, 100)).interval_points
    assert interval.low < 0 < interval.high


@given(answers)
def test_swapping_the_two_mirrors_everything(both: tuple[list[bool], list[bool]]) -> None:
    a, b = (np.array(v) for v in both)
    one, two = paired_difference(a, b), paired_difference(b, a)
    assert one.points == pytest.approx(-two.points)
    assert one.interval_points.low == pytest.approx(-two.interval_points.high)
    assert mcnemar_exact(a, b) == mcnemar_exact(b, a)


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_the_exact_binomial_test(only_a: int, only_b: int) -> None:
    p = mcnemar_exact(*pair(only_a, only_b, 5))
    if only_a + only_b == 0:
        assert p == 1
    else:
        assert p == pytest.approx(scipy_stats.binomtest(only_a, only_a + only_b).pvalue)


def test_mcnemar_of_a_large_holdout() -> None:
    p = mcnemar_exact(*pair(3100, 2900, 44_000))
    assert p == pytest.approx(scipy_stats.binomtest(3100, 6000).pvalue)


def test_other_images_are_refused() -> None:
    for test in (paired_difference, mcnemar_exact):
        with pytest.raises(ValueError, match="same images"):
            test(np.array([True]), np.array([True, False]))
        with pytest.raises(ValueError, match="same images"):
            test(np.array([], dtype=bool), np.array([], dtype=bool))
