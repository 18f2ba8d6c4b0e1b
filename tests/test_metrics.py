"""Metrics against plain reckoning, and what they ask of labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bench.config import METRICS, MetricConfig
from bench.errors import UserError
from bench.metrics import Metric, class_map, metric_named, metric_of, statistics

TOP1 = metric_named("top1")
MEAN_IOU = metric_named("mean_iou")

scores = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 8), st.integers(2, 9)),
    # Few different ones, as quantised scores are: ties are the point.
    elements=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
)


@given(scores, st.data())
def test_top_k_is_a_place_among_the_first_k_of_a_stable_order(
    outputs: np.ndarray[Any, Any], data: st.DataObject
) -> None:
    n, classes = outputs.shape
    y = np.array(data.draw(st.lists(st.integers(0, classes - 1), min_size=n, max_size=n)))
    for k in range(1, classes):
        metric = TOP1 if k == 1 else metric_named("topk", k)
        found = statistics(metric, [outputs], y)
        order = np.argsort(-outputs, axis=1, kind="stable")[:, :k]
        assert found[:, 0].tolist() == [float(y[i] in order[i]) for i in range(n)]
    assert (statistics(TOP1, [outputs], y)[:, 0] == (outputs.argmax(axis=1) == y)).all()


maps = arrays.arrays(np.uint8, (3, 2, 4), elements=st.sampled_from([0, 1, 2, 255]))


@given(maps, arrays.arrays(np.int64, (3, 2, 4), elements=st.integers(0, 4)))
def test_mean_iou_is_that_of_all_pixels_of_all_samples(
    y: np.ndarray[Any, Any], answers: np.ndarray[Any, Any]
) -> None:
    found = statistics(MEAN_IOU, [answers], y, classes=3)
    assert found.shape == (3, 6)
    counted = y != 255
    shares = []
    for label in range(3):
        common = (counted & (y == label) & (answers == label)).sum()
        either = (counted & ((y == label) | (answers == label))).sum()
        if either:
            shares.append(common / either)
    if shares:
        assert MEAN_IOU.value_of(found) == pytest.approx(np.mean(shares))
    else:
        with pytest.raises(ValueError, match="no pixel"):
            MEAN_IOU.value_of(found)


def test_class_maps_of_every_form_of_output() -> None:
    many = np.zeros((1, 2, 2, 3), np.float32)
    many[0, 1, 1, 2] = 1
    assert class_map(many).tolist() == [[[0, 0], [0, 2]]]
    one = np.array([0.4, 0.6, 0.0, 1.0], np.float32).reshape(1, 2, 2, 1)
    assert class_map(one).tolist() == [[[0, 1], [0, 1]]]
    indices = np.array([3, 1], np.int32).reshape(1, 1, 2, 1)
    assert class_map(indices).tolist() == class_map(indices[..., 0]).tolist() == [[[3, 1]]]


@given(
    arrays.arrays(np.float32, (5, 2, 3), elements=st.floats(-100, 100, width=32)),
    arrays.arrays(np.float32, (5, 6), elements=st.floats(-100, 100, width=32)),
)
def test_errors_are_those_of_all_values(
    outputs: np.ndarray[Any, Any], y: np.ndarray[Any, Any]
) -> None:
    error = outputs.reshape(5, 6).astype(float) - y
    for name, expected in (
        ("mae", np.abs(error).mean()),
        ("rmse", np.sqrt(np.square(error).mean())),
    ):
        metric = metric_named(name)
        assert metric.value_of(statistics(metric, [outputs], y)) == pytest.approx(expected)
        assert not metric.higher_is_better
        assert metric.better(1.0, than=3.0) == 2.0


def test_cosine_is_of_all_outputs_of_a_sample_together() -> None:
    metric = metric_named("cosine")
    a = [np.array([[1.0], [0.0], [0.0]]), np.array([[0.0], [2.0], [0.0]])]
    b = [np.array([[2.0], [0.0], [0.0]]), np.array([[0.0], [-1.0], [0.0]])]
    assert statistics(metric, a, None, reference=b)[:, 0].tolist() == [1.0, -1.0, 1.0]
    zero = [np.zeros((1, 2))]
    assert statistics(metric, zero, None, reference=[np.ones((1, 2))]).tolist() == [[0.0]]
    with pytest.raises(ValueError, match="other shapes"):
        statistics(metric, zero, None, reference=[np.zeros((1, 3))])


def test_labels_of_another_size_are_the_users_error() -> None:
    with pytest.raises(UserError, match="4 x 4 pixels, the model gives 2 x 2"):
        statistics(
            MEAN_IOU, [np.zeros((1, 2, 2, 3), np.float32)], np.zeros((1, 4, 4), int), classes=3
        )
    with pytest.raises(UserError, match="3 values per sample, the model gives 2"):
        statistics(metric_named("mae"), [np.zeros((1, 2), np.float32)], np.zeros((1, 3)))


def test_every_metric_of_a_plan_is_known_here() -> None:
    for name in METRICS:
        metric = metric_of(MetricConfig(name=name))
        assert not metric.is_function
        assert metric_named(metric.name, metric.k, metric.higher_is_better) == metric
    assert metric_of(MetricConfig(name="topk", k=3)).title == "top-3 accuracy"
    mine = metric_of(MetricConfig(name="a.b:c", higher_is_better=False))
    assert mine == Metric("a.b:c", None, False)
    assert (mine.is_function, mine.labels, mine.is_share) == (True, "any", False)
