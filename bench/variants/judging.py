"""Whether a model's answers can be judged by a metric on this holdout, and as what."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bench.errors import UserError
from bench.metrics import IGNORED_CLASS, Metric
from bench.records import Failure
from bench.tflite.facts import ModelFacts, TensorFacts, batch_of
from bench.tflite.variables import unassigned_text
from bench.variants.arrays import Samples, check_fits, classes_of


@dataclass(frozen=True, slots=True)
class Head:
    """What the answers of a model are.

    Attributes:
        classifies: the greatest score is an answer, and `y` the right one.
        map_classes: of class maps, the number of classes; else None.
    """

    classifies: bool = False
    map_classes: int | None = None


def head_of(facts: ModelFacts, samples: Samples, metric: Metric) -> Head | Failure:
    """What a metric will look at, or why it has no meaning for this model.

    Raises: UserError where the holdout does not fit the model.
    """
    if facts.unassigned:
        return Failure("evaluate", unassigned_text(facts.unassigned))
    inputs, outputs = len(facts.inputs), facts.outputs
    if inputs != 1 or not outputs:
        return _no(metric, f"needs one input, this model has {inputs}")
    if len(outputs) != 1 and not (metric.is_function or metric.name == "cosine"):
        return _no(
            metric,
            f"needs one input and one output, this model has {inputs} and {len(outputs)}; judge "
            "it by a function of your own (metric module:function)",
        )
    batch = own_batch(facts)
    classes = classes_of(outputs[0].shape, batch) if len(outputs) == 1 else None
    if metric.name in ("top1", "topk"):
        if classes is None:
            return _no(
                metric,
                f"needs an output of shape ({batch}, classes), this one is {outputs[0].shape}",
            )
        if metric.k is not None and metric.k >= classes:
            return _no(metric, f"is always right for {classes} classes; choose a smaller k")
        check_input(facts, samples, classes)
        return Head(classifies=True)
    check_input(facts, samples)
    if metric.name == "mean_iou":
        return _maps(outputs[0], samples, metric)
    if metric.labels == "values" and samples.y is not None:
        _check_values(outputs[0], samples)
    return Head(classifies=_classifies(classes, samples))


def own_batch(facts: ModelFacts) -> int:
    """How many samples one invoke answers."""
    return batch_of([t.shape for t in facts.inputs], [t.shape for t in facts.outputs])


def check_input(facts: ModelFacts, samples: Samples, classes: int | None = None) -> None:
    """Check `x`, and class labels where the number of classes is given.

    Raises: UserError in one line.
    """
    if len(facts.inputs) != 1:
        raise UserError(
            f"holdout {samples.name}: the model has {len(facts.inputs)} inputs, `x` serves one"
        )
    check_fits(samples, facts.inputs[0].signature, _real_dtype(facts.inputs[0]), classes)


def _real_dtype(tensor: TensorFacts) -> str:
    """What the user gives for this input: a quantised one takes real values."""
    return "float32" if tensor.scale is not None else tensor.dtype.lower()


def _maps(output: TensorFacts, samples: Samples, metric: Metric) -> Head | Failure:
    assert samples.y is not None
    counted = samples.y != IGNORED_CLASS
    labelled = 1 + int(np.max(samples.y, where=counted, initial=0)) if counted.any() else 0
    is_class = output.scale is None and "FLOAT" not in output.dtype
    rank = len(output.shape)
    if rank not in ((3, 4) if is_class else (4,)) or (
        rank == 4 and is_class and output.shape[-1] != 1
    ):
        return _no(
            metric,
            "needs an output of shape (1, height, width, classes), or class indices "
            f"(1, height, width); this one is {output.shape} of {output.dtype}",
        )
    size = samples.y.shape[1:]
    given = output.signature[1:3]
    if all(n > 0 for n in given) and size != given:
        raise UserError(
            f"holdout {samples.name}: `y` has class maps of {_by(size)} pixels, the model gives "
            f"{_by(given)}; resize the labels (nearest neighbour)"
        )
    classes = labelled if is_class else max(2, output.shape[-1])
    if labelled > classes:
        raise UserError(
            f"holdout {samples.name}: `y` has class {labelled - 1}, the model has {classes} "
            f"(0 to {classes - 1}); correct the labels, {IGNORED_CLASS} for what does not count"
        )
    if classes == 0:
        raise UserError(f"holdout {samples.name}: every pixel of `y` is {IGNORED_CLASS}")
    return Head(map_classes=classes)


def _check_values(output: TensorFacts, samples: Samples) -> None:
    assert samples.y is not None
    if any(n < 0 for n in output.signature[1:]):
        return  # only its answers tell
    wanted, given = math.prod(output.shape[1:]), math.prod(samples.y.shape[1:])
    if wanted != given:
        shape = ", ".join(["N", *map(str, output.shape[1:])])
        raise UserError(
            f"holdout {samples.name}: `y` has {given} values per sample, the model gives "
            f"{wanted}; save y with shape ({shape})"
        )


def _classifies(classes: int | None, samples: Samples) -> bool:
    """Whether a function's labels are classes of this model, so that argmax can be shown."""
    y = samples.y
    return (
        classes is not None
        and y is not None
        and y.ndim == 1
        and y.dtype.kind in "iu"
        and int(y.min()) >= 0
        and int(y.max()) < classes
    )


def _no(metric: Metric, why: str) -> Failure:
    name = "top-1" if metric.name == "top1" else metric.title
    return Failure("evaluate", f"{name} {why}")


def _by(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))
