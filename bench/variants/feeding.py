"""Feeds samples to an interpreter, in batches where that is proved to change nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from bench.format import first_line

RESOLVERS = {
    "none": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "xnnpack": OpResolverType.AUTO,
}

# Batches make a model of microseconds twice as fast and gain nothing on one of milliseconds,
# whose activations they would multiply.
BATCH = 32
_BATCH_BYTES = 8 << 20

Outputs = list[NDArray[Any]]


def quantise(x: NDArray[Any], detail: Mapping[str, Any]) -> NDArray[Any]:
    """Real values to what the input takes: clip(round(x / scale) + zero_point)."""
    dtype = np.dtype(detail["dtype"])
    scale, zero_point = detail["quantization"]
    if dtype.kind not in "iu" or scale == 0:
        return x.astype(dtype)
    limits = np.iinfo(dtype)
    steps: NDArray[Any] = np.round(x / scale) + zero_point
    clipped: NDArray[Any] = np.clip(steps, limits.min, limits.max)
    return clipped.astype(dtype)


def dequantise(y: NDArray[Any], detail: Mapping[str, Any]) -> NDArray[Any]:
    """What the output gave to real values: (y - zero_point) * scale."""
    scale, zero_point = detail["quantization"]
    if np.dtype(detail["dtype"]).kind not in "iu" or scale == 0:
        return y
    real: NDArray[Any] = (y.astype(np.float32) - zero_point) * np.float32(scale)
    return real


def open_interpreter(model: str, kernels: str) -> Any:
    """An interpreter of one thread, tensors not allocated; kernels "none" or "xnnpack"."""
    return Interpreter(
        model_path=model, num_threads=1, experimental_op_resolver_type=RESOLVERS[kernels]
    )


@dataclass(frozen=True, slots=True)
class Feeder:
    """An interpreter that is ready for `batch` samples at a time.

    Attributes:
        why: why the batch is what it is, for the record.
    """

    interpreter: Any
    batch: int
    why: str

    def answer(self, x: NDArray[Any], first: int = 0) -> Outputs:
        """Real values of every output for these samples, each (n, ...).

        Args:
            x: (n, ...) real values, any number of them.
            first: number of the first sample, for messages.

        Raises: ValueError where an output is not finite, or changes its shape.
        """
        (taken,) = self.interpreter.get_input_details()
        parts: list[Outputs] = []
        for start in range(0, len(x), self.batch):
            part = x[start : start + self.batch]
            count = len(part)
            if count < self.batch:
                part = np.concatenate([part, np.repeat(part[-1:], self.batch - count, axis=0)])
            self.interpreter.set_tensor(taken["index"], quantise(part, taken))
            self.interpreter.invoke()
            given = [
                _per_sample(self.interpreter.get_tensor(d["index"]), d, self.batch)[:count]
                for d in self.interpreter.get_output_details()
            ]
            for y in given:
                _require_finite(y, first + start)
            if parts and [y.shape[1:] for y in given] != [y.shape[1:] for y in parts[0]]:
                raise ValueError(
                    f"an output changes its shape at sample {first + start}; give the model "
                    "outputs of one size"
                )
            parts.append(given)
        return [np.concatenate(each) for each in zip(*parts, strict=True)]


def open_feeder(model: str, kernels: str, sample: NDArray[Any], *, batched: bool) -> Feeder:
    """A feeder for samples like these, with a batch that is known to give the same answers.

    Args:
        sample: (n, ...) the first samples; a batch is tried with up to BATCH of them.
        batched: False for one sample at a time, where the model is made for one.

    Raises: ValueError or RuntimeError where the model cannot be prepared or run.
    """
    interpreter = open_interpreter(model, kernels)
    (taken,) = interpreter.get_input_details()
    own = int(taken["shape"][0]) if len(taken["shape"]) == sample.ndim else 1
    if own > 1:
        _allocate(interpreter, (own, *sample.shape[1:]))
        return Feeder(interpreter, own, "the model's own")
    _allocate(interpreter, (1, *sample.shape[1:]))
    single = Feeder(interpreter, 1, "")
    if not batched:
        return Feeder(interpreter, 1, "a batch ended the process")
    answers = single.answer(sample[:BATCH])
    sizes = sum(y.nbytes // len(y) for y in answers) + sample[:1].nbytes
    batch = min(BATCH, len(answers[0]), _BATCH_BYTES // max(1, sizes))
    if batch < 2:
        few = "there is one sample" if len(answers[0]) < 2 else "its samples are large"
        return Feeder(interpreter, 1, few)
    try:
        wide = open_interpreter(model, kernels)
        _allocate(wide, (batch, *sample.shape[1:]))
        several = Feeder(wide, batch, f"answers proved equal to one at a time on {batch} samples")
        together = several.answer(sample[:batch])
    except (ValueError, RuntimeError) as error:
        return Feeder(interpreter, 1, f"the model takes no batch: {first_line(error)}")
    if not _same([y[:batch] for y in answers], together):
        return Feeder(interpreter, 1, f"a batch of {batch} changes its answers")
    return several


def _allocate(interpreter: Any, shape: tuple[int, ...]) -> None:
    (taken,) = interpreter.get_input_details()
    if tuple(int(n) for n in taken["shape"]) != shape:
        interpreter.resize_tensor_input(taken["index"], list(shape))
    interpreter.allocate_tensors()


def _per_sample(y: NDArray[Any], detail: Mapping[str, Any], batch: int) -> NDArray[Any]:
    """Real values, (batch, ...); what has no batch dimension belongs to its one sample."""
    if y.ndim == 0 or y.shape[0] != batch:
        if batch > 1:
            raise ValueError(f"output {detail['name']} has shape {y.shape} for {batch} samples")
        y = y[None]
    return dequantise(y, detail)


def _require_finite(y: NDArray[Any], first: int) -> None:
    if y.dtype.kind != "f":
        return
    bad = ~np.isfinite(y).reshape(len(y), -1).all(axis=1)
    if bad.any():
        raise ValueError(f"the output for sample {first + int(np.argmax(bad))} is not finite")


def _same(a: Sequence[NDArray[Any]], b: Sequence[NDArray[Any]]) -> bool:
    return all(
        x.shape == y.shape and x.dtype == y.dtype and np.array_equal(x, y)
        for x, y in zip(a, b, strict=True)
    )
