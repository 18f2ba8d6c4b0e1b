"""Runs a float model and its variant side by side and sums up how each layer differs.

One group of samples at a time, plain kernels, running sums only: memory grows with the
number of channels, not of samples. Runs in a worker process: a damaged model may abort it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from bench.tflite.graph import Graph, Tensor
from bench.tflite.values import real_range
from bench.variants.feeding import quantise

Array = NDArray[np.float64]


@dataclass(slots=True)
class ChannelRange:
    """Least and greatest value of every channel (last dimension) so far."""

    low: Array
    high: Array

    @classmethod
    def of(cls, channels: int) -> ChannelRange:
        return cls(np.full(channels, np.inf), np.full(channels, -np.inf))

    def add(self, values: NDArray[Any]) -> None:
        """Values are (rows, channels)."""
        self.low = np.minimum(self.low, values.min(axis=0))
        self.high = np.maximum(self.high, values.max(axis=0))

    @property
    def limits(self) -> tuple[float, float]:
        return float(self.low.min()), float(self.high.max())

    @property
    def widths(self) -> Array:
        """Width by channel, zero included, as affine quantisation has to represent it."""
        return np.maximum(self.high, 0.0) - np.minimum(self.low, 0.0)


@dataclass(slots=True)
class Difference:
    """Running sums of one pair of tensors, by channel of the float one.

    Attributes:
        signal, noise: sums of squares of the float values, and of the differences.
        clipped: float values beyond what the counterpart holds, by over one step.
        count: of values.
    """

    signal: Array
    noise: Array
    range: ChannelRange
    clipped: int = 0
    count: int = 0

    @classmethod
    def of(cls, channels: int) -> Difference:
        return cls(np.zeros(channels), np.zeros(channels), ChannelRange.of(channels))


@dataclass(slots=True)
class Runner:
    """One interpreter that keeps every tensor.

    Raises: RuntimeError or ValueError, the runtime's own, where the model does not load.
    """

    data: bytes
    interpreter: Any = field(init=False)
    batch: int = field(init=False)

    def __post_init__(self) -> None:
        with warnings.catch_warnings():
            # Preserving all tensors costs memory, it says; that is what is wanted here.
            warnings.simplefilter("ignore")
            self.interpreter = Interpreter(
                model_content=self.data,
                num_threads=1,
                experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
                experimental_preserve_all_tensors=True,
            )
            self.interpreter.allocate_tensors()
        (entry,) = self.interpreter.get_input_details()
        self.batch = int(entry["shape"][0])

    def run(self, x: NDArray[Any]) -> None:
        """Invoke on one group of `batch` samples, real values."""
        (entry,) = self.interpreter.get_input_details()
        self.interpreter.reset_all_variables()
        self.interpreter.set_tensor(entry["index"], quantise(x, entry))
        self.interpreter.invoke()

    def tensor(self, index: int) -> NDArray[Any]:
        """A tensor's values as they are stored, (rows, channels)."""
        values: NDArray[Any] = self.interpreter.get_tensor(index)
        return values.reshape(-1, values.shape[-1] if values.ndim else 1)

    def outputs(self) -> list[NDArray[Any]]:
        return [
            self.interpreter.get_tensor(detail["index"])
            for detail in self.interpreter.get_output_details()
        ]


def groups(x: NDArray[Any], batch: int) -> list[NDArray[Any]]:
    """Samples in groups of a model's batch size; the last one filled with its last sample."""
    found = []
    for start in range(0, len(x), batch):
        group = x[start : start + batch]
        if len(group) < batch:
            group = np.concatenate([group, np.repeat(group[-1:], batch - len(group), axis=0)])
        found.append(group)
    return found


def float_ranges(
    fp32: bytes, tensors: Sequence[int], x: NDArray[Any], advance: Callable[[int], None]
) -> dict[int, tuple[float, float]]:
    """Exact least and greatest value of each tensor of a float model, over all samples."""
    runner = Runner(fp32)
    found: dict[int, tuple[float, float]] = {}
    for number, group in enumerate(groups(x, runner.batch)):
        runner.run(group)
        for index in tensors:
            values = runner.tensor(index)
            if values.size:
                low, high = found.get(index, (np.inf, -np.inf))
                found[index] = min(low, float(values.min())), max(high, float(values.max()))
        advance(min(len(x), (number + 1) * runner.batch))
    return found


def differences(
    fp32: bytes,
    variant: bytes,
    graph: Graph,
    tensors: Sequence[int],
    pairs: Mapping[int, int],
    x: NDArray[Any],
    advance: Callable[[int], None],
) -> dict[int, Difference]:
    """Sums of every float tensor, and of its difference from its counterpart where it has one.

    Args:
        graph: main graph of the variant.
        tensors: of the float model; pairs: of them, to tensors of the variant.
        x: (N, ...) real values.

    Raises: ValueError if the two take another number of samples at a time.
    """
    ours, theirs = Runner(fp32), Runner(variant)
    if ours.batch != theirs.batch:
        raise ValueError(f"batch sizes differ: {ours.batch} and {theirs.batch}")
    found: dict[int, Difference] = {}
    for number, group in enumerate(groups(x, ours.batch)):
        ours.run(group)
        theirs.run(group)
        for index in tensors:
            values = ours.tensor(index).astype(np.float64)
            if not values.size:
                continue
            sums = found.setdefault(index, Difference.of(values.shape[1]))
            sums.range.add(values)
            sums.count += values.size
            if index in pairs:
                tensor = graph.tensors[pairs[index]]
                _add(sums, values, real_values(theirs.tensor(tensor.index), tensor), tensor)
        advance(min(len(x), (number + 1) * ours.batch))
    return found


def _add(sums: Difference, values: Array, given: Array, tensor: Tensor) -> None:
    sums.signal += np.square(values).sum(axis=0)
    sums.noise += np.square(given.reshape(values.shape) - values).sum(axis=0)
    held = representable(tensor)
    if held is not None:
        # The softmax output tops at 255/256 by definition: one step is rounding, not clipping.
        margin = 1.01 * step(tensor)
        beyond = (values < held[0] - margin) | (values > held[1] + margin)
        sums.clipped += int(np.count_nonzero(beyond))


def is_quantised(tensor: Tensor) -> bool:
    """Whether it holds integers that stand for real values, with one scale for all."""
    return (
        tensor.dtype in ("INT8", "UINT8", "INT16")
        and tensor.quantization is not None
        and tensor.quantization.axis is None
    )


def step(tensor: Tensor) -> float:
    """Real difference of neighbouring integers; of a quantised tensor only."""
    assert tensor.quantization is not None
    return float(tensor.quantization.scales[0])


def bits(tensor: Tensor) -> int:
    return 16 if tensor.dtype == "INT16" else 8


def representable(tensor: Tensor) -> tuple[float, float] | None:
    """Real values that a tensor can hold; None if it is not quantised."""
    if not is_quantised(tensor):
        return None
    assert tensor.quantization is not None
    return real_range(tensor.dtype, step(tensor), int(tensor.quantization.zero_points[0]))


def real_values(values: NDArray[Any], tensor: Tensor) -> Array:
    """Stored values as real ones: (q - zero_point) * scale where quantised."""
    real = values.astype(np.float64)
    if not is_quantised(tensor):
        return real
    assert tensor.quantization is not None
    return (real - int(tensor.quantization.zero_points[0])) * step(tensor)
