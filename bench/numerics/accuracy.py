"""The plan's metric on answers that a device gave, and on the reference's to the same samples."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import UnreadableOutput
from bench.metrics import Statistics, statistics
from bench.numerics.answering import WORKER
from bench.numerics.figures import Tensor
from bench.numerics.model import DeviceAccuracy
from bench.numerics.reference import Judging
from bench.variants.child import ChildJob, Message, run_children

_SCORE_TIMEOUT_S = 600.0


def device_accuracy(
    device: Sequence[Tensor], reference: Sequence[Tensor], judging: Judging
) -> DeviceAccuracy | None:
    """Judge both by the metric; outputs are (samples, ...).

    Returns: None where the device's answers have no value: they hold NaN or infinity, and the
    metric does not merely count who is right.

    Raises: UnreadableOutput where the user's function, or what was written for it, fails.
    """
    mine, theirs = [t.real() for t in device], [t.real() for t in reference]
    finite = _finite(mine)
    counts = judging.metric.name in ("top1", "topk")
    if not (counts or finite.all()):
        return None
    rows = _statistics(mine, judging)
    if counts:
        # NaN is greater than nothing: it would pass as the right class.
        rows[~finite] = 0
    try:
        value = judging.metric.value_of(rows)
    except ValueError:
        return None
    return DeviceAccuracy(
        metric=judging.metric.name,
        k=judging.metric.k,
        value=value,
        samples=len(rows),
        of=judging.of,
        statistics=tuple(tuple(map(float, row)) for row in rows),
        reference_value=_value(theirs, judging),
    )


def _value(outputs: list[NDArray[Any]], judging: Judging) -> float | None:
    if not _finite(outputs).all():
        return None
    try:
        return judging.metric.value_of(_statistics(outputs, judging))
    except ValueError:
        return None


def _finite(outputs: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
    """Which samples have nothing but finite numbers."""
    finite = np.ones(len(outputs[0]), dtype=np.bool_)
    for values in outputs:
        finite &= np.isfinite(values).reshape(len(values), -1).all(axis=1)
    return finite


def _statistics(outputs: list[NDArray[Any]], judging: Judging) -> Statistics:
    if judging.metric.is_function:
        return _scores(outputs, judging)
    y = truth = None
    try:
        if judging.labels is not None:
            with np.load(judging.labels, allow_pickle=False) as held:
                y = held["y"]
        if judging.truth is not None:
            with np.load(judging.truth, allow_pickle=False) as held:
                truth = [held[f"arr_{i}"].reshape(values.shape) for i, values in enumerate(outputs)]
    except (OSError, ValueError, KeyError) as error:
        raise UnreadableOutput(f"what the answers are judged by is gone: {error}") from error
    return statistics(judging.metric, outputs, y, classes=judging.map_classes, reference=truth)


def _scores(outputs: list[NDArray[Any]], judging: Judging) -> Statistics:
    """What the user's function says, asked in a process of its own."""
    said: list[Message] = []
    with tempfile.TemporaryDirectory(prefix="edgebench-score-") as name:
        scratch = Path(name)
        np.savez(scratch / "outputs.npz", *outputs)
        job = {
            "task": "score",
            "folder": name,
            "metric": judging.metric.name,
            "root": str(judging.root),
            "outputs": str(scratch / "outputs.npz"),
            "labels": None if judging.labels is None else str(judging.labels),
        }
        child = ChildJob(WORKER, job, scratch, scratch / "log", _SCORE_TIMEOUT_S, {})
        (end,) = run_children(
            [child], at_most=1, on_message=lambda _, message: said.append(message)
        )
    message = said[-1] if said else {}
    if "scores" not in message:
        why = message.get("failed") or message.get("user_error") or end.explain()
        raise UnreadableOutput(f"metric {judging.metric.name} on the device's answers: {why}")
    return np.asarray(message["scores"], dtype=np.float64)[:, None]
