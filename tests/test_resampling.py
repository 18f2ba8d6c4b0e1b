"""Intervals of any metric keep their promise, and tests of equal models their level."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bench.accuracy import (
    Loss,
    PairedChange,
    judge_loss,
    mcnemar_exact,
    paired_change,
    value_interval,
)
from bench.metrics import Metric, Statistics, metric_named
from bench.resampling import LARGE, MIN_SAMPLES, bootstrap, randomisation_p
from bench.stats import Interval

MAE, RMSE, MEAN_IOU = metric_named("mae"), metric_named("rmse"), metric_named("mean_iou")
TOP1, MINE = metric_named("top1"), metric_named("m:f")

Draw = Callable[[np.random.Generator, int], tuple[Statistics, ...]]


def one_mae(rng: np.random.Generator, n: int) -> tuple[Statistics, ...]:
    return (np.abs(rng.normal(size=(n, 1))),)


def one_iou(rng: np.random.Generator, n: int) -> tuple[Statistics, ...]:
    """Two classes; of 100 pixels each, 80 and 60 % common on average."""
    common = rng.beta((8.0, 6.0), (2.0, 4.0), (n, 2)) * 100
    return (np.concatenate([common, np.full((n, 2), 100.0)], axis=1),)


def equal_pair(rng: np.random.Generator, n: int) -> tuple[Statistics, ...]:
    error = rng.normal(size=(n, 1))
    a, b = (np.square(error + 0.2 * rng.normal(size=(n, 1))) for _ in range(2))
    return a, b


@pytest.mark.parametrize(
    ("metric", "draw", "n", "truth"),
    [
        (MAE, one_mae, 100, np.sqrt(2 / np.pi)),
        (MEAN_IOU, one_iou, 100, 0.7),
        (RMSE, equal_pair, 100, 0.0),
        (RMSE, equal_pair, LARGE, 0.0),
    ],
)
def test_the_interval_covers_the_truth(metric: Metric, draw: Draw, n: int, truth: float) -> None:
    rng, times = np.random.default_rng(7), 250
    covered = 0
    for _ in range(times):
        interval = bootstrap(metric, draw(rng, n))
        assert interval is not None
        covered += interval.low <= truth <= interval.high
    # Three standard errors of 250 draws at 95 % are 4 points.
    assert covered / times >= 0.905


@pytest.mark.parametrize("n", [60, LARGE])
def test_equal_models_are_rarely_told_apart(n: int) -> None:
    rng, times = np.random.default_rng(3), 250
    found = sum(randomisation_p(RMSE, *equal_pair(rng, n)) <= 0.05 for _ in range(times))
    assert found / times <= 0.095


def test_a_clear_difference_is_found() -> None:
    rng = np.random.default_rng(0)
    base = np.abs(rng.normal(size=(200, 1)))
    change = paired_change(MAE, base + 0.1, base)
    assert change.difference == pytest.approx(0.1)
    assert change.interval is not None
    assert 0 < change.interval.low <= change.interval.high
    assert change.p_value <= 0.001


statistics = arrays.arrays(
    np.float64,
    st.tuples(st.integers(MIN_SAMPLES, MIN_SAMPLES + 40), st.just(1)),
    elements=st.floats(0, 100, width=32),
)


@settings(max_examples=25, deadline=None)
@given(statistics)
def test_the_same_samples_give_the_same_interval_around_the_value(rows: Statistics) -> None:
    first, second = bootstrap(RMSE, (rows,)), bootstrap(RMSE, (rows.copy(),))
    assert first == second
    assert first is not None
    assert first.low <= first.high
    assert rows.min() ** 0.5 - 1e-6 <= first.low
    assert first.high <= rows.max() ** 0.5 + 1e-6


@settings(max_examples=25, deadline=None)
@given(statistics, st.integers(0, 2**32 - 1))
def test_swapping_the_two_mirrors_the_change(a: Statistics, seed: int) -> None:
    b = np.abs(a + np.random.default_rng(seed).normal(size=a.shape))
    one, two = paired_change(MAE, a, b), paired_change(MAE, b, a)
    assert one.difference == pytest.approx(-two.difference)
    assert one.p_value == pytest.approx(two.p_value, abs=0.02)


def test_models_that_never_differ_have_no_doubt_and_no_difference() -> None:
    rows = np.abs(np.random.default_rng(0).normal(size=(50, 1)))
    change = paired_change(MAE, rows, rows.copy())
    assert change == PairedChange(0.0, Interval(0.0, 0.0, 0.95, "bootstrap"), 1.0)


def test_too_few_samples_have_no_interval() -> None:
    rows = np.abs(np.random.default_rng(0).normal(size=(MIN_SAMPLES, 1)))
    assert value_interval(MAE, rows) is not None
    assert value_interval(MAE, rows[1:]) is None


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 30), st.integers(0, 30))
def test_right_or_wrong_scores_of_a_function_are_shares(only_a: int, only_b: int) -> None:
    a = np.array([1.0] * only_a + [0.0] * only_b + [1.0] * 40)[:, None]
    b = np.array([0.0] * only_a + [1.0] * only_b + [1.0] * 40)[:, None]
    assert paired_change(MINE, a, b) == paired_change(TOP1, a, b)
    # The randomisation test, which others get, agrees with McNemar's exact one.
    exact = mcnemar_exact(a[:, 0] == 1, b[:, 0] == 1)
    assert randomisation_p(TOP1, a, b) == pytest.approx(exact, abs=0.05)


def change(low: float, high: float) -> PairedChange:
    p_value = 0.01 if low > 0 or high < 0 else 0.5
    return PairedChange((low + high) / 2, Interval(low, high, 0.95, "paired"), p_value)


@pytest.mark.parametrize(
    ("metric", "low", "high", "allowed", "loss", "text"),
    [
        (TOP1, -0.015, 0.009, 0.03, Loss.NONE_SHOWN, "no loss shown, at most 1.5 points"),
        (TOP1, -0.015, 0.009, 0.01, Loss.UNCLEAR, "unclear: 719 samples can show 1.2 points"),
        (TOP1, -0.015, 0.009, None, Loss.UNCLEAR, "unclear: 719 samples can show 1.2 points"),
        (TOP1, -0.029, -0.008, 0.03, Loss.WORSE, "worse by 0.8 to 2.9 points"),
        (TOP1, 0.003, 0.02, 0.03, Loss.BETTER, "better by 0.3 to 2.0 points"),
        (MAE, 0.1, 0.25, 1.0, Loss.WORSE, "worse by 0.1000 to 0.2500"),
        (MAE, -0.25, -0.1, 1.0, Loss.BETTER, "better by 0.1000 to 0.2500"),
        (MAE, -0.1, 0.25, 0.3, Loss.NONE_SHOWN, "no loss shown, at most 0.2500"),
    ],
)
def test_what_is_called_a_loss(
    metric: Metric, low: float, high: float, allowed: float | None, loss: Loss, text: str
) -> None:
    found = judge_loss(metric, change(low, high), 719, allowed)
    assert (found.loss, found.text) == (loss, text)


def test_without_an_interval_nothing_is_said() -> None:
    found = judge_loss(MAE, PairedChange(0.1, None, 0.2), 5, 1.0)
    assert (found.loss, found.text) == (Loss.UNCLEAR, "unclear: 5 samples are too few to tell")
