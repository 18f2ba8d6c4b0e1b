"""Sets of samples that are scaled otherwise are told from those that merely differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from bench.samples.ranges import advise_count, compare_samples, compare_with_input
from bench.samples.spread import spreads
from bench.variants.arrays import Samples

Array = np.ndarray[Any, Any]


def digits() -> tuple[Array, Array]:
    """Images (1797, 8, 8, 1) in 0..1 and their classes."""
    datasets = pytest.importorskip("sklearn.datasets")
    x, y = datasets.load_digits(return_X_y=True)
    return (x.reshape(-1, 8, 8, 1) / 16).astype(np.float32), y


X, Y = digits()
TRAIN, HOLDOUT = X[:1078], X[1078:]


def samples(x: Array, role: str = "calibration") -> Samples:
    return Samples(f"{role}.npz", role, x, None, "0" * 64)


def against_holdout(x: Array, holdout: Array = HOLDOUT) -> tuple[str, ...]:
    return compare_samples(samples(x.astype(np.float32)), samples(holdout, "holdout"), None)


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (TRAIN / 16, "0 to 0.0625, the holdout 0 to 1: 1/16 as wide, as if scaled twice"),
        (TRAIN * 0.3, "0.3 times as wide, as if dark"),
        (TRAIN * 0, "every value of calibration calibration.npz is 0"),
        (TRAIN * 255, "255 times as wide, as if not scaled at all"),
        (TRAIN * 2 - 1, "2 times as wide, as if scaled otherwise"),
        (TRAIN / 255, "1/255 as wide"),
    ],
    ids=["twice", "dark", "zeros", "x255", "signed", "twice-255"],
)
def test_another_scaling_is_reported_with_its_numbers(x: Array, says: str) -> None:
    (sentence,) = against_holdout(x)
    assert says in sentence
    (from_train,) = compare_samples(samples(x.astype(np.float32)), None, samples(TRAIN, "train"))
    assert says.replace("the holdout", "the training set") in from_train


@pytest.mark.parametrize(
    "x",
    [
        TRAIN[Y[:1078] == 1],
        TRAIN[Y[:1078] == 0],
        1 - TRAIN,
        np.random.default_rng(0).random((200, 8, 8, 1)),
        TRAIN + np.float32(0.05),
    ],
    ids=["one class", "another class", "inverted", "noise", "shifted a little"],
)
def test_harmless_sets_pass(x: Array) -> None:
    assert against_holdout(x) == ()


def test_any_number_of_samples_of_the_same_kind_passes() -> None:
    assert [i for i in range(0, 1078, 7) if against_holdout(TRAIN[i : i + 1])] == []
    assert [n for n in (2, 3, 5, 10, 30, 100, 300, 1078) if against_holdout(TRAIN[:n])] == []


@settings(max_examples=40, deadline=None)
@given(st.floats(1e-6, 0.7), st.integers(1, 300))
def test_every_smaller_scale_is_reported(scale: float, count: int) -> None:
    assert len(against_holdout(TRAIN[:count] * scale)) == 1


@settings(max_examples=40, deadline=None)
@given(st.floats(1.7, 1e6), st.integers(1, 300))
def test_every_much_larger_scale_is_reported(scale: float, count: int) -> None:
    assert len(against_holdout(TRAIN[:count] * scale)) == 1


@settings(max_examples=40, deadline=None)
@given(st.floats(0.85, 1.4), st.integers(20, 300))
def test_no_scale_close_to_one_is_reported(scale: float, count: int) -> None:
    assert against_holdout(TRAIN[:count] * scale) == ()


def test_signed_holdout_and_unsigned_calibration() -> None:
    (sentence,) = against_holdout(TRAIN, HOLDOUT * 2 - 1)
    assert "calibration.npz spans 0 to 1, the holdout -1 to 1: 0.5 times as wide" in sentence


def test_twice_normalised_around_a_mean() -> None:
    signed = HOLDOUT * 2 - 1
    (sentence,) = against_holdout((TRAIN * 2 - 2) / 127.5, signed)
    assert "as if scaled twice" in sentence


def test_a_few_outliers_in_the_holdout_say_nothing() -> None:
    holdout = HOLDOUT.copy()
    holdout[:4, 3, 3] = 100
    assert against_holdout(TRAIN, holdout) == ()


def test_an_outlier_that_would_take_the_whole_range_is_reported() -> None:
    x = TRAIN.copy()
    x[7, 3, 3] = 255
    (sentence,) = against_holdout(x)
    assert "outliers up to 255" in sentence


def test_the_same_ends_with_another_spread_are_reported() -> None:
    x = TRAIN / 100
    x[::5, 0, 0] = 1
    x[:, 7, 7] = 0
    (sentence,) = against_holdout(x)
    assert "standard deviation" in sentence


def test_one_wrong_channel_is_named() -> None:
    rng = np.random.default_rng(0)
    x, holdout = (rng.random((50, 6, 6, 3), dtype=np.float32) for _ in range(2))
    assert against_holdout(x, holdout) == ()
    x[..., 2] /= 20
    (sentence,) = against_holdout(x, holdout)
    assert sentence.startswith("channel 2 of calibration calibration.npz spans")


def test_the_training_set_judges_both() -> None:
    sentences = compare_samples(
        samples(TRAIN / 16), samples(HOLDOUT / 16, "holdout"), samples(TRAIN, "train")
    )
    assert [s.split()[0] for s in sentences] == ["calibration", "holdout"]


def test_ids_and_absent_sets_are_left_alone() -> None:
    ids = np.arange(100, dtype=np.int32).reshape(10, 10)
    assert compare_samples(samples(ids), samples(ids * 1000, "holdout"), None) == ()
    assert compare_samples(None, samples(HOLDOUT, "holdout"), None) == ()
    assert compare_samples(samples(TRAIN), None, None) == ()
    assert compare_samples(None, None, None) == ()


def test_pixels_of_8_bits_are_compared() -> None:
    holdout = (HOLDOUT * 255).astype(np.uint8)
    found = compare_samples(samples(HOLDOUT.astype(np.uint8)), samples(holdout, "holdout"), None)
    assert len(found) == 1


@dataclass(frozen=True)
class Input:
    dtype: str
    scale: float | None
    zero_point: int | None


@pytest.mark.parametrize(
    ("scale", "zero_point", "dtype", "says"),
    [
        (1 / 255, -128, "INT8", None),
        (1 / 255, 0, "UINT8", None),
        (1 / 32768, 0, "INT16", None),
        (1 / 270, -128, "INT8", None),
        (2 / 255, 0, "INT8", None),
        (1 / 255 / 16, -128, "INT8", "% of its values are clipped"),
        (1.0, -128, "INT8", "99.6 % of the range"),
        (1.0, 0, "INT16", None),
        (None, None, "FLOAT32", None),
    ],
)
def test_the_holdout_has_to_fit_the_models_input(
    scale: float | None, zero_point: int | None, dtype: str, says: str | None
) -> None:
    found = compare_with_input([Input(dtype, scale, zero_point)], samples(HOLDOUT, "holdout"))
    assert len(found) == (says is not None)
    assert says is None or says in found[0]


def test_clipped_share_is_counted() -> None:
    x = np.linspace(0, 1, 10_001, dtype=np.float32).reshape(1, -1)
    (sentence,) = compare_with_input([Input("INT8", 0.5 / 255, -128)], samples(x, "holdout"))
    assert "0 to 0.5, the holdout spans 0.0" in sentence
    assert "49.8 % of its values are clipped" in sentence or "49.9 %" in sentence


def test_several_inputs_are_left_alone() -> None:
    two = [Input("INT8", 1.0, 0)] * 2
    assert compare_with_input(two, samples(HOLDOUT, "holdout")) == ()


def test_advice_on_the_count() -> None:
    assert advise_count(100) is None
    assert advise_count(5000) is None
    said = advise_count(99)
    assert said is not None
    assert "100 to 500" in said
    assert str(advise_count(1)).startswith("1 calibration sample:")


FINITE: Callable[[], Any] = lambda: hnp.arrays(  # noqa: E731
    np.float32,
    hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=12),
    elements=st.floats(-(2.0**100), 2.0**100, width=32),
)


@settings(max_examples=200, deadline=None)
@given(FINITE())
def test_quantiles_are_those_of_the_sorted_values(x: Array) -> None:
    """Exact below 1000 values, within a bin (0.2 %) above."""
    whole, *channels = spreads(np.repeat(x, 3, axis=0))
    ordered = np.sort(np.repeat(x, 3, axis=0).reshape(-1)).astype(np.float64)
    skipped = int(0.001 * ordered.size)
    assert whole.minimum == ordered[0]
    assert whole.maximum == ordered[-1]
    low, high = ordered[skipped], ordered[ordered.size - 1 - skipped]
    assert whole.low == pytest.approx(low, rel=2e-3)
    assert whole.high == pytest.approx(high, rel=2e-3)
    assert whole.counts.sum() == ordered.size
    assert whole.share_outside(-np.inf, np.inf) == 0
    assert len(channels) == (x.shape[-1] if x.ndim >= 3 and 2 <= x.shape[-1] <= 4 else 0)
    assert whole.std == pytest.approx(
        np.clip(ordered, low, high).std(), rel=5e-3, abs=1e-2 * (abs(ordered).max() + 1e-30)
    )


def test_blocks_give_what_one_piece_gives() -> None:
    x = np.random.default_rng(1).standard_normal((40, 300, 100, 1)).astype(np.float32)
    whole = spreads(x)[0]
    assert whole.low == pytest.approx(np.quantile(x, 0.001), rel=1e-2)
    assert whole.high == pytest.approx(np.quantile(x, 0.999), rel=1e-2)
    assert whole.std == pytest.approx(x.std(), rel=1e-2)
    assert spreads(x[:, ::-1, :, :])[0].counts.tolist() == whole.counts.tolist()
