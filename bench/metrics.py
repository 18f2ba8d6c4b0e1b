"""What "accuracy" means: a row of numbers per sample, and the value that their sums give.

Every metric has this one form, so that the interval of any of them, and of its difference
between two models, comes from resampling the same rows (bench.accuracy).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.config import MetricConfig
from bench.errors import UserError

# (N, k) float64, one row per sample of the holdout, in its order.
Statistics: TypeAlias = NDArray[np.float64]

# What the holdout's `y` holds: class indices (N,), class maps (N, H, W), real values, what
# only the user's function knows, or nothing that is looked at.
Labels = Literal["classes", "maps", "values", "any", "none"]

# The usual mark of pixels that belong to no class.
IGNORED_CLASS = 255

_LABELS: dict[str, Labels] = {
    "top1": "classes",
    "topk": "classes",
    "mean_iou": "maps",
    "mae": "values",
    "rmse": "values",
    "cosine": "none",
}
_TITLES = {
    "top1": "accuracy",
    "mean_iou": "mean IoU",
    "mae": "MAE",
    "rmse": "RMSE",
    "cosine": "cosine",
}
_SHARES = ("top1", "topk", "mean_iou")
_LOWER_IS_BETTER = ("mae", "rmse")


@dataclass(frozen=True, slots=True)
class Metric:
    """By what answers are judged.

    Attributes:
        name: "top1", "topk", "mean_iou", "mae", "rmse", "cosine", or the user's
            "module:function".
        k: of topk; None for all others.
        higher_is_better: False where less is better.
    """

    name: str = "top1"
    k: int | None = None
    higher_is_better: bool = True

    @property
    def title(self) -> str:
        """How tables call it."""
        if self.name == "topk":
            return f"top-{self.k} accuracy"
        return _TITLES.get(self.name, self.name)

    @property
    def is_share(self) -> bool:
        """In 0..1, so that changes are percentage points; else in a unit of its own."""
        return self.name in _SHARES

    @property
    def is_function(self) -> bool:
        """The user's own code."""
        return self.name not in _LABELS

    @property
    def labels(self) -> Labels:
        """What it needs as `y`."""
        return _LABELS.get(self.name, "any")

    def value(self, totals: NDArray[np.float64], count: float) -> NDArray[np.float64]:
        """The metric of `count` samples whose statistics sum up to `totals`.

        Args:
            totals: (..., k); any number of sums at once.

        Returns: (...); NaN where a sum says nothing (no pixel of any class).
        """
        if self.name == "mean_iou":
            classes = totals.shape[-1] // 2
            common, either = totals[..., :classes], totals[..., classes:]
            there = either > 0
            shares = np.divide(common, either, out=np.zeros_like(common), where=there)
            with np.errstate(invalid="ignore"):
                mean: NDArray[np.float64] = shares.sum(axis=-1) / there.sum(axis=-1)
            return mean
        mean = totals[..., 0] / count
        if self.name != "rmse":
            return mean
        # Taking one sample from the sum of all may leave less than nothing, by rounding.
        root: NDArray[np.float64] = np.sqrt(np.maximum(mean, 0))
        return root

    def value_of(self, statistics: Statistics) -> float:
        """The metric of these samples.

        Raises: ValueError if they say nothing.
        """
        value = float(self.value(statistics.sum(axis=0), len(statistics)))
        if not np.isfinite(value):
            raise ValueError(f"{self.title} has no value: no pixel belongs to a class")
        return value

    def better(self, value: float, than: float) -> float:
        """By how much `value` is better than another: above 0 is better."""
        return value - than if self.higher_is_better else than - value


def metric_of(config: MetricConfig) -> Metric:
    """The metric that a plan names."""
    return metric_named(config.name, config.k, config.higher_is_better)


def metric_named(name: str, k: int | None = None, higher_is_better: bool | None = True) -> Metric:
    """A metric by the words of a plan; k counts for topk only, the direction for functions."""
    if name in _LABELS:
        return Metric(name, k if name == "topk" else None, name not in _LOWER_IS_BETTER)
    return Metric(name, None, higher_is_better is not False)


def statistics(
    metric: Metric,
    outputs: Sequence[NDArray[Any]],
    y: NDArray[Any] | None,
    *,
    classes: int | None = None,
    reference: Sequence[NDArray[Any]] | None = None,
) -> Statistics:
    """Rows of some samples, for every metric but the user's function.

    Args:
        outputs: real values of the model's outputs, each (n, ...).
        y: labels of these samples; None for cosine.
        classes: of mean_iou, its number of classes.
        reference: for cosine, the outputs of the reference for these samples.

    Raises: UserError where labels do not fit the outputs.
    """
    if metric.name == "cosine":
        assert reference is not None
        return _cosine(outputs, reference)
    assert y is not None
    first = outputs[0]
    if metric.name == "mean_iou":
        assert classes is not None
        return _overlaps(class_map(first), y, classes)
    if metric.name in ("mae", "rmse"):
        return _errors(first, y, squared=metric.name == "rmse")
    scores = first.reshape(len(first), -1)
    return (_rank(scores, y) < (metric.k or 1)).astype(np.float64)[:, None]


def class_map(output: NDArray[Any]) -> NDArray[np.int64]:
    """The class of every pixel, (n, H, W), of an output of a segmentation model.

    Scores (n, H, W, C) give their greatest; one score (n, H, W, 1) is that of class 1
    against class 0, in 0..1, decided at 0.5; integers (n, H, W) or (n, H, W, 1) are
    classes already.
    """
    if output.dtype.kind in "iub":
        classes = output[..., 0] if output.ndim == 4 and output.shape[-1] == 1 else output
        return classes.astype(np.int64)
    if output.shape[-1] == 1:
        return (output[..., 0] > 0.5).astype(np.int64)
    greatest: NDArray[np.int64] = output.argmax(axis=-1)
    return greatest


def _rank(scores: NDArray[Any], y: NDArray[Any]) -> NDArray[np.int64]:
    """Number of classes before the right one, (n,); of equal scores the first counts as
    the greatest, as argmax has it: quantised scores are often equal."""
    right = np.take_along_axis(scores, y[:, None].astype(np.int64), axis=1)
    ties = (scores == right) & (np.arange(scores.shape[1]) < y[:, None])
    ranks: NDArray[np.int64] = ((scores > right) | ties).sum(axis=1)
    return ranks


def _overlaps(predicted: NDArray[np.int64], y: NDArray[Any], classes: int) -> Statistics:
    """Pixels common to prediction and label, then pixels of either, per class: (n, 2C)."""
    if predicted.shape != y.shape:
        raise UserError(
            f"holdout: `y` has class maps of {_size(y)} pixels, the model gives {_size(predicted)}"
            "; resize the labels (nearest neighbour) to what the model gives"
        )
    n = len(y)
    known = (y != IGNORED_CLASS).reshape(n, -1)
    # What the model calls a class that no label can have is wrong, whichever it is.
    given = np.clip(predicted, 0, classes).reshape(n, -1)
    label = np.where(known, y.reshape(n, -1), classes).astype(np.int64)
    rows = np.arange(n)[:, None] * (classes + 1)

    def per_class(mask: NDArray[np.bool_], which: NDArray[np.int64]) -> NDArray[np.float64]:
        counts = np.bincount((rows + which)[mask], minlength=n * (classes + 1))
        return counts.reshape(n, classes + 1)[:, :classes].astype(np.float64)

    common = per_class(known & (given == label), label)
    either = per_class(known, given) + per_class(known, label) - common
    return np.concatenate([common, either], axis=1)


def _errors(output: NDArray[Any], y: NDArray[Any], *, squared: bool) -> Statistics:
    n = len(output)
    if output[0].size != y[0].size:
        raise UserError(
            f"holdout: `y` has {y[0].size} values per sample, the model gives {output[0].size}; "
            f"save y with shape (N{''.join(f', {d}' for d in output.shape[1:])})"
        )
    error = output.reshape(n, -1).astype(np.float64) - y.reshape(n, -1)
    each = np.square(error) if squared else np.abs(error)
    mean: Statistics = each.mean(axis=1, keepdims=True)
    return mean


def _cosine(outputs: Sequence[NDArray[Any]], reference: Sequence[NDArray[Any]]) -> Statistics:
    """Cosine between all outputs of a sample, laid end to end, and the reference's: (n, 1)."""
    n = len(outputs[0])
    if [out.shape for out in outputs] != [out.shape for out in reference]:
        raise ValueError("its outputs have other shapes than those of the reference")
    dot, mine, theirs = np.zeros((3, n))
    for out, ref in zip(outputs, reference, strict=True):
        a, b = (v.reshape(n, -1).astype(np.float64) for v in (out, ref))
        dot += (a * b).sum(axis=1)
        mine += (a * a).sum(axis=1)
        theirs += (b * b).sum(axis=1)
    norm = np.sqrt(mine * theirs)
    # Two answers of nothing but zeros agree; one of them alone agrees with nothing.
    same = (mine == 0) & (theirs == 0)
    cosine = np.divide(dot, norm, out=same.astype(np.float64), where=norm > 0)
    bounded: Statistics = np.clip(cosine, -1, 1)[:, None]
    return bounded


def _size(maps: NDArray[Any]) -> str:
    return " x ".join(map(str, maps.shape[1:]))
