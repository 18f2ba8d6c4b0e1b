"""p90 from p5, median and p95: exact where the model holds, honest where it cannot."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bench.interpolate import MAX_P95_TO_MEDIAN, interpolate_p90

Z = {p: NormalDist().inv_cdf(p / 100) for p in (5, 90, 95)}
NOISE = {
    "normal": lambda rng, n: 1000 + 15 * rng.standard_normal(n),
    "lognormal": lambda rng, n: 950 + 50 * np.exp(0.4 * rng.standard_normal(n)),
    "exponential": lambda rng, n: 1000 + rng.exponential(20, n),
    "gamma": lambda rng, n: 980 + rng.gamma(2.0, 12.0, n),
    "heavy tail": lambda rng, n: 1000 + 8 * rng.standard_t(4, n),
}


@given(
    more=st.floats(0, 1e6),
    scale=st.floats(1e-2, 1e5),
    sigma=st.floats(0.01, 3),
)
def test_exact_on_a_shifted_lognormal(more: float, scale: float, sigma: float) -> None:
    # The shift from which on p95 is near enough to the median for a figure.
    spread = math.exp(sigma * Z[95])
    least = scale * (spread - MAX_P95_TO_MEDIAN) / (MAX_P95_TO_MEDIAN - 1)
    shift = max(0.0, least * (1 + 1e-9)) + more
    quantile = {p: shift + scale * math.exp(sigma * z) for p, z in Z.items()}
    median = shift + scale
    assume(quantile[95] <= MAX_P95_TO_MEDIAN * median)
    # What floating point leaves of the two distances decides how exact it can be.
    error = 1e-12 * median / (median - quantile[5])
    assume(error < 1e-4)
    value = interpolate_p90(quantile[5], median, quantile[95]).value_us
    assert value == pytest.approx(quantile[90], rel=1e-3 * error + 1e-9)


@given(centre=st.floats(1, 1e6), share=st.floats(1e-4, 0.04))
def test_exact_on_a_normal(centre: float, share: float) -> None:
    quantile = {p: centre * (1 + share * z) for p, z in Z.items()}
    value = interpolate_p90(quantile[5], centre, quantile[95]).value_us
    assert value == pytest.approx(quantile[90], rel=1e-9)


# Whole us, as the tool prints them.
percentiles = st.lists(st.integers(1, 10**7), min_size=3, max_size=3).map(sorted)
close = st.integers(100, 10**6).flatmap(
    lambda m: st.tuples(st.integers(m // 2, m), st.just(m), st.integers(m, m + m * 7 // 100))
)


@given(st.one_of(percentiles, close))
def test_between_median_and_p95_or_nothing(three: list[int]) -> None:
    p5, median, p95 = three
    estimate = interpolate_p90(p5, median, p95)
    assert estimate.bounds_us == (median, p95)
    if p95 > MAX_P95_TO_MEDIAN * median or p5 == median < p95:
        assert estimate.value_us is None
    else:
        assert estimate.value_us is not None
        assert median <= estimate.value_us <= p95


@given(close, st.floats(1e-3, 1e3))
def test_the_unit_does_not_matter(three: tuple[int, int, int], factor: float) -> None:
    p5, median, p95 = three
    assume(p95 < 1.0799 * median)
    one = interpolate_p90(p5, median, p95).value_us
    # Scaled differences round differently where p5 is nearly the median.
    assume(p5 < median)
    other = interpolate_p90(p5 * factor, median * factor, p95 * factor).value_us
    assert one is not None
    assert other == pytest.approx(one * factor, rel=1e-9)


@given(close, st.integers(1, 1000))
def test_a_higher_p95_never_lowers_p90_where_the_tail_is_no_longer_than_the_other(
    three: tuple[int, int, int], more: int
) -> None:
    p5, median, p95 = three
    higher = p95 + more
    assume(higher - median <= median - p5 and higher <= MAX_P95_TO_MEDIAN * median)
    one, other = (interpolate_p90(p5, median, p).value_us for p in (p95, higher))
    assert one is not None
    assert other is not None
    assert other >= one


@pytest.mark.parametrize("kind", NOISE)
def test_simulated_launches_miss_their_p90_by_under_one_per_cent(kind: str) -> None:
    rng = np.random.default_rng(3)
    errors = []
    for _ in range(300):
        samples = np.sort(NOISE[kind](rng, 500).astype(np.int64))  # whole us, as printed
        n = len(samples)
        p5, median, p95 = (float(samples[n * p // 100]) for p in (5, 50, 95))
        value = interpolate_p90(p5, median, p95).value_us
        if value is not None:
            errors.append(value / np.percentile(samples, 90) - 1)
    assert len(errors) > 100
    assert math.sqrt(np.mean(np.square(errors))) < 0.01
    assert abs(np.mean(errors)) < 0.005


# Computed by hand from the closed form: above / below = 2, k = z90 / z95 = 0.77913:
# 40 (2^k - 1) / (2 - 1) = 28.643.
@pytest.mark.parametrize(
    ("three", "value"),
    [
        ((980, 1000, 1040), 1028.643),
        ((960, 1000, 1020), 1015.583),
        ((1000, 1000, 1000), 1000.0),
        ((2991, 3087, 3354), None),
        ((18, 18, 19), None),
        ((1000, 1000, 1010), None),
        ((0, 0, 0), None),
        ((0, 1, 1), 1.0),
    ],
)
def test_worked_examples(three: tuple[int, int, int], value: float | None) -> None:
    assert interpolate_p90(*three).value_us == (
        None if value is None else pytest.approx(value, abs=1e-3)
    )


@pytest.mark.parametrize(
    "three",
    [(-1, 1, 2), (2, 1, 3), (1, 3, 2), (1, 2, math.inf), (math.nan, 1, 2)],
)
def test_what_are_no_percentiles_is_refused(three: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="in order"):
        interpolate_p90(*three)
