"""The formulas of the method: hand-computed cases, properties, coverage by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.power import percent
from bench.stats import (
    Change,
    adaptive_interval,
    geometric_mean,
    lag1_correlation,
    launch_interval,
    log_ratios,
    paired_ratio,
    percentile,
    precision_reached,
    rounds_needed,
    with_corrected_p,
)

NOISE = {
    "normal": lambda rng, shape: rng.normal(0, 0.05, shape),
    "exponential": lambda rng, shape: rng.exponential(0.08, shape),
    "bimodal": lambda rng, shape: rng.normal(0, 0.02, shape) + 0.22 * (rng.random(shape) < 0.3),
    "lognormal": lambda rng, shape: rng.lognormal(0, 0.5, shape),
    "student": lambda rng, shape: rng.standard_t(3, shape),
}
positive = st.floats(min_value=1e-3, max_value=1e9)
launches = st.lists(positive, min_size=4, max_size=30)


def weights(n: int, confidence: float = 0.95) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What each order statistic adds to the two ends: the interval of unit vectors."""
    # An interval is linear in the sorted values, so that steps 0..0,1..1 reveal it.
    ends = []
    for i in range(n):
        interval = launch_interval([0.0] * i + [1.0] * (n - i), confidence)
        assert interval is not None
        ends.append((interval.low, interval.high))
    steps = np.array([*ends, (0.0, 0.0)])
    low, high = (steps[:-1] - steps[1:]).T
    return low, high


@pytest.mark.parametrize("kind", NOISE)
@pytest.mark.parametrize("n", [6, 7, 8, 10, 12, 15, 20])
def test_the_interval_covers_the_true_median_as_often_as_it_says(kind: str, n: int) -> None:
    rng = np.random.default_rng(n)
    truth = np.median(NOISE[kind](rng, 2_000_000))
    runs = np.sort(NOISE[kind](rng, (40_000, n)), axis=1)
    low, high = weights(n)
    covered = ((runs @ low <= truth) & (truth <= runs @ high)).mean()
    assert 0.94 <= covered <= 0.965


def test_intervals_computed_by_hand() -> None:
    # n = 6: B(1) = 1 - 2/64, B(2) = 1 - 14/64, I = (B(1) - .95) / (B(1) - B(2)) = 0.1,
    # L = 5 I / (1 + 4 I) = 0.357142857.
    interval = launch_interval([6, 1, 5, 2, 4, 3])
    assert interval is not None
    assert (interval.kind, interval.confidence) == ("order-statistic", 0.95)
    assert interval.low == pytest.approx(1 + 0.5 / 1.4)
    assert interval.high == pytest.approx(6 - 0.5 / 1.4)
    # n = 10: k = 2, B(2) = 1002/1024, B(3) = 912/1024.
    share = (1002 / 1024 - 0.95) / (90 / 1024)
    weight = 8 * share / (2 + 6 * share)
    interval = launch_interval(range(1, 11))
    assert interval is not None
    assert interval.low == pytest.approx(2 + weight)
    assert interval.high == pytest.approx(9 - weight)


@pytest.mark.parametrize(("n", "confidence"), [(4, 0.875), (5, 0.9375)])
def test_with_few_launches_it_is_the_range_and_says_how_sure(n: int, confidence: float) -> None:
    interval = launch_interval([float(v) for v in range(n)])
    assert interval is not None
    assert (interval.low, interval.high) == (0.0, n - 1.0)
    assert interval.confidence == confidence
    assert interval.kind == "range"


@pytest.mark.parametrize("n", range(4))
def test_below_four_launches_there_is_no_interval(n: int) -> None:
    assert launch_interval([1.0] * n) is None


def test_an_interval_of_something_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        launch_interval([1.0, 2.0, 3.0, math.nan])


@given(launches, st.randoms(use_true_random=False))
def test_an_interval_does_not_depend_on_order_and_stays_inside(values, random) -> None:  # type: ignore[no-untyped-def]
    interval = launch_interval(values)
    shuffled = list(values)
    random.shuffle(shuffled)
    assert launch_interval(shuffled) == interval
    assert interval is not None
    assert min(values) <= interval.low <= np.median(values) <= interval.high <= max(values)


@given(launches, st.floats(min_value=0.001, max_value=1000))
def test_an_interval_scales_with_the_unit(values: list[float], scale: float) -> None:
    plain, scaled = launch_interval(values), launch_interval([v * scale for v in values])
    assert plain is not None
    assert scaled is not None
    assert scaled.low == pytest.approx(plain.low * scale)
    assert scaled.high == pytest.approx(plain.high * scale)


@given(launches, st.integers(min_value=0), st.floats(min_value=0, max_value=1e6))
def test_an_interval_rises_with_its_values(values: list[float], at: int, by: float) -> None:
    raised = list(values)
    raised[at % len(values)] += by
    before, after = launch_interval(values), launch_interval(raised)
    assert before is not None
    assert after is not None
    assert after.low >= before.low * (1 - 1e-12)
    assert after.high >= before.high * (1 - 1e-12)


@given(launches, st.floats(min_value=0, max_value=100))
def test_percentile_is_numpys_linear_one(values: list[float], q: float) -> None:
    position = q / 100 * (len(values) - 1)
    y = sorted(values)
    below = y[math.floor(position)]
    above = y[min(math.floor(position) + 1, len(y) - 1)]
    expected = below + (above - below) * (position - math.floor(position))
    assert percentile(values, q) == pytest.approx(expected)


def test_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        percentile([], 50)


def by_round(values: list[float]) -> dict[int, float]:
    return dict(enumerate(values))


def test_the_ratio_is_per_round_and_not_of_medians() -> None:
    # The device heats up: both cases slow down together, and only rounds show it.
    heat = [1.0, 1.1, 1.3, 1.6, 1.9, 2.3]
    jitter = [1.0, 1.01, 0.99, 1.0, 1.005, 0.995]
    reference = by_round([2.0 * h for h in heat])
    other = by_round([h * j for h, j in zip(heat, jitter, strict=True)])
    verdict = paired_ratio(reference, other, delta=0.02)
    assert verdict is not None
    assert verdict.ratio == pytest.approx(2.0, rel=0.01)
    assert verdict.interval is not None
    assert 1.95 < verdict.interval.low <= verdict.ratio <= verdict.interval.high < 2.05
    assert verdict.change is Change.CHANGED
    assert verdict.significant is True
    assert verdict.p_value is None
    assert verdict.missing == ""


def test_only_common_rounds_count() -> None:
    reference, other = {0: 2.0, 1: 3.0, 5: 100.0}, {0: 1.0, 1: 1.5, 7: 100.0}
    verdict = paired_ratio(reference, other, delta=0.02)
    assert verdict is not None
    assert verdict.rounds == 2
    assert verdict.ratio == pytest.approx(2.0)
    assert verdict.interval is None
    assert paired_ratio({0: 1.0}, {1: 1.0}, delta=0.02) is None


def test_below_six_rounds_nothing_is_tested_however_clear_it_looks() -> None:
    verdict = paired_ratio(by_round([3.0, 3.1, 3.0, 2.9, 3.0]), by_round([1.0] * 5), delta=0.02)
    assert verdict is not None
    assert verdict.significant is None
    assert verdict.change is Change.UNCLEAR
    assert "nothing can be tested" in verdict.missing


def test_same_needs_the_interval_inside_delta() -> None:
    close = by_round([1.0, 1.003, 0.998, 1.001, 0.999, 1.002])
    verdict = paired_ratio(by_round([1.0] * 6), close, delta=0.02)
    assert verdict is not None
    assert verdict.change is Change.SAME
    wide = by_round([1.0, 1.05, 0.96, 1.01, 0.95, 1.03])
    verdict = paired_ratio(by_round([1.0] * 6), wide, delta=0.02)
    assert verdict is not None
    assert verdict.change is Change.UNCLEAR
    assert verdict.missing.startswith("6 rounds, paired spread ")
    assert "needs about" in verdict.missing


def test_a_significant_difference_below_delta_is_not_a_change() -> None:
    slightly = by_round([1.015, 1.016, 1.014, 1.015, 1.017, 1.013])
    verdict = paired_ratio(slightly, by_round([1.0] * 6), delta=0.02)
    assert verdict is not None
    assert verdict.significant is True
    assert verdict.change is Change.SAME


def test_what_is_missing_is_said_as_in_the_method() -> None:
    logs = np.array([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0])
    logs = 0.0295 + logs * 0.03 / logs.std(ddof=1)
    reference = by_round([float(v) for v in np.exp(logs)])
    verdict = paired_ratio(reference, by_round([1.0] * 6), delta=0.02)
    assert verdict is not None
    assert verdict.missing == "6 rounds, paired spread 3 %: can show 5 %; 3 % needs about 25"


def test_a_ratio_of_something_not_positive_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        paired_ratio({0: 1.0}, {0: 0.0}, delta=0.02)


@given(
    st.dictionaries(st.integers(0, 30), positive, min_size=1),
    st.dictionaries(st.integers(0, 30), positive, min_size=1),
)
def test_swapping_the_two_inverts_the_ratio(a: dict[int, float], b: dict[int, float]) -> None:
    one, two = paired_ratio(a, b, delta=0.02), paired_ratio(b, a, delta=0.02)
    assert (one is None) == (two is None) == (not a.keys() & b.keys())
    if one is not None and two is not None:
        assert one.ratio * two.ratio == pytest.approx(1)
        assert one.change is two.change
        assert one.significant is two.significant
        assert (one.change is Change.UNCLEAR) == bool(one.missing)


def test_a_corrected_p_value_takes_the_verdict_over() -> None:
    a, b = by_round([1.1, 1.12, 1.09, 1.11, 1.1, 1.13]), by_round([1.0] * 6)
    verdict = paired_ratio(a, b, delta=0.02)
    assert verdict is not None
    assert verdict.change is Change.CHANGED
    refused = with_corrected_p(verdict, 0.2, log_ratios(a, b), delta=0.02)
    assert refused.significant is False
    assert refused.p_value == 0.2
    assert refused.change is Change.UNCLEAR
    assert refused.missing
    confirmed = with_corrected_p(verdict, 0.001, log_ratios(a, b), delta=0.02)
    assert confirmed.change is Change.CHANGED
    assert confirmed.interval == verdict.interval


TABLE = [
    (0.03, 0.01, 6), (0.03, 0.02, 12), (0.03, 0.03, 30), (0.03, 0.05, 80),
    (0.05, 0.01, 6), (0.05, 0.02, 6), (0.05, 0.03, 7), (0.05, 0.05, 20),
    (0.0, 0.01, 6), (0.0, 0.02, 25), (0.0, 0.03, 50),
]  # fmt: skip


@pytest.mark.parametrize(("effect", "spread", "rounds"), TABLE)
def test_rounds_needed_are_those_of_the_method(effect: float, spread: float, rounds: int) -> None:
    assert rounds_needed(effect, spread, 0.02) == pytest.approx(rounds, rel=0.25)


def test_rounds_needed_at_the_edges() -> None:
    assert rounds_needed(0.0, 0.05, 0.02) > 100
    with pytest.raises(ValueError, match="beyond delta"):
        rounds_needed(0.02, 0.03, 0.02)


def test_rounds_needed_give_the_power_that_they_promise() -> None:
    rng = np.random.default_rng(4)
    effect, spread, delta = 0.05, 0.05, 0.02
    n = rounds_needed(effect, spread, delta)
    logs = np.sort(rng.normal(math.log1p(effect), spread, (20_000, n)), axis=1)
    low, _ = weights(n)
    found = (logs @ low > 0) & (np.median(logs, axis=1) >= math.log1p(delta))
    assert 0.84 <= found.mean() <= 0.95


def test_precision_is_judged_from_seven_rounds_on() -> None:
    assert not precision_reached([100.0] * 6, 0.02).reached
    reached = precision_reached([100, 100.5, 99.5, 100.2, 99.8, 100.1, 99.9], 0.02)
    assert reached.reached
    assert reached.interval is not None
    assert reached.interval.confidence == 0.95
    missed = precision_reached([100, 108, 92, 104, 97, 101, 95], 0.02)
    assert not missed.reached
    assert missed.half_width is not None
    assert missed.reason == f"not reached: {percent(missed.half_width)} instead of 2 %"


@pytest.mark.parametrize("bad", [0.0, math.nan])
def test_a_value_that_is_no_latency_never_reaches_a_precision(bad: float) -> None:
    assert not precision_reached([100.0] * 8 + [bad], 0.02).reached


def test_serial_correlation_blocks_the_stop() -> None:
    creeping = [100 + 0.1 * i for i in range(12)]
    check = precision_reached(creeping, 0.05)
    assert check.half_width is not None
    assert check.half_width < 0.05
    assert check.serial
    assert not check.reached


def test_the_interval_after_an_adaptive_stop_keeps_its_coverage() -> None:
    rng = np.random.default_rng(11)
    hits = 0
    for _ in range(600):
        values = (100 * np.exp(rng.normal(0, 0.03, 40))).tolist()
        n = next((n for n in range(7, 40) if precision_reached(values[:n], 0.02).reached), 40)
        interval = adaptive_interval(values[:n])
        assert interval is not None
        hits += interval.low <= 100 <= interval.high
    assert hits / 600 >= 0.93


def test_the_adaptive_interval_is_the_wider_one_stated_as_95() -> None:
    values = [float(v) for v in range(12)]
    plain, wide, stated = (
        launch_interval(values), launch_interval(values, 0.97), adaptive_interval(values)
    )  # fmt: skip
    assert plain is not None
    assert wide is not None
    assert stated is not None
    assert (stated.low, stated.high, stated.confidence) == (wide.low, wide.high, 0.95)
    assert stated.low < plain.low
    assert adaptive_interval(values[:6]) == launch_interval(values[:6])


def test_lag1_correlation() -> None:
    assert lag1_correlation([1, -1, 1, -1]) == pytest.approx(-0.75)
    assert lag1_correlation([5.0] * 9) is None
    assert lag1_correlation([1.0, 2.0]) is None


@given(st.lists(positive, min_size=1, max_size=20), st.floats(min_value=0.01, max_value=100))
def test_geometric_mean_lies_inside_and_scales(values: list[float], scale: float) -> None:
    mean = geometric_mean(values)
    assert min(values) * (1 - 1e-9) <= mean <= max(values) * (1 + 1e-9)
    assert geometric_mean([v * scale for v in values]) == pytest.approx(mean * scale)


@pytest.mark.parametrize("values", [[], [1.0, 0.0], [math.inf]])
def test_geometric_mean_of_something_not_positive_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="positive"):
        geometric_mean(values)


@pytest.mark.parametrize(
    ("share", "text"), [(0.031, "3.1 %"), (0.02, "2 %"), (0.123, "12 %"), (0, "0 %")]
)
def test_percent(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize("n", [4, 5, 6, 8, 20])
def test_an_interval_is_never_narrower_than_the_resolution(n: int) -> None:
    for interval in (
        launch_interval([150.0] * n, resolution=1.0),
        adaptive_interval([150.0] * n, resolution=1.0),
    ):
        assert interval is not None
        assert (interval.low, interval.high) == (149.5, 150.5)
    assert launch_interval([150.0] * n) is not None


@given(st.lists(st.integers(100, 200), min_size=4, max_size=20), st.sampled_from([0.001, 1.0, 3.0]))
def test_the_resolution_only_ever_widens_and_the_median_stays_inside(
    values: list[int], resolution: float
) -> None:
    floats = [float(v) for v in values]
    plain, wide = launch_interval(floats), launch_interval(floats, resolution=resolution)
    assert plain is not None
    assert wide is not None
    assert wide.low <= plain.low
    assert wide.high >= plain.high
    assert wide.high - wide.low >= resolution * 0.999
    assert wide.low < float(np.median(floats)) < wide.high


def test_whole_steps_that_agree_are_not_called_precise() -> None:
    steps = [100.0] * 8
    assert precision_reached(steps, 0.002).reached
    assert not precision_reached(steps, 0.002, resolution=1.0).reached


def test_whole_steps_that_agree_are_not_called_changed_or_the_same() -> None:
    rounds = range(6)
    verdict = paired_ratio(
        dict.fromkeys(rounds, 103.0), dict.fromkeys(rounds, 100.0), delta=0.02, resolution=2.0 / 100
    )
    assert verdict is not None
    assert verdict.interval is not None
    assert verdict.interval.low == pytest.approx(1.03 * np.exp(-0.01))
    assert verdict.change is Change.CHANGED
    coarse = paired_ratio(
        dict.fromkeys(rounds, 103.0), dict.fromkeys(rounds, 100.0), delta=0.02, resolution=0.08
    )
    assert coarse is not None
    assert coarse.change is Change.UNCLEAR
    equal = paired_ratio(
        dict.fromkeys(rounds, 20.0), dict.fromkeys(rounds, 20.0), delta=0.02, resolution=0.1
    )
    assert equal is not None
    assert equal.change is Change.UNCLEAR
