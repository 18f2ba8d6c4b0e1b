"""Which pairs of layers of a float model may trade the scales of their channels.

A pair is two of CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED where everything between
them treats every channel alone and passes a positive factor through, f(s x) = s f(x).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bench.diagnose.weights import CHANNEL_AXES
from bench.errors import UnreadableOutput
from bench.tflite.graph import Graph, Op, Tensor, TfliteModel

WEIGHTS, BIAS = 1, 2
_LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_HOMOGENEOUS = ("NONE", "RELU")
# Pooling and moving within a channel; PAD adds zeros, which any factor leaves as they are.
_PASSED = (
    "AVERAGE_POOL_2D",
    "BATCH_TO_SPACE_ND",
    "LEAKY_RELU",
    "MAX_POOL_2D",
    "MEAN",
    "PAD",
    "RELU",
    "RESHAPE",
    "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR",
    "SPACE_TO_BATCH_ND",
)
_FLAT = "FULLY_CONNECTED"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two layers whose shared channels can be scaled.

    Attributes:
        channels: how many; the consumer takes them in this order, over and over where
            positions were flattened into its inputs.
    """

    producer: Op
    consumer: Op
    channels: int


@dataclass(frozen=True, slots=True)
class Pairs:
    """What was found.

    Attributes:
        found: in order of execution.
        skipped: output tensor name of a layer -> why nothing behind it can be scaled.
    """

    found: tuple[Pair, ...]
    skipped: Mapping[str, str]


def find_pairs(model: TfliteModel) -> Pairs:
    """All pairs of the main graph whose constants are float32, dense and theirs alone."""
    search = _Search(model)
    found: list[Pair] = []
    skipped: dict[str, str] = {}
    for op in search.graph.ops:
        if op.name not in _LAYERS:
            continue
        result = search.behind(op)
        if isinstance(result, Pair):
            found.append(result)
        else:
            skipped[search.graph.tensors[op.outputs[0]].name] = result
    return Pairs(tuple(found), skipped)


def scaled_constants(graph: Graph, op: Op) -> tuple[int, ...]:
    """Tensors that change with the scales of a layer: its weights, and its bias unless it
    is all zero, which any factor leaves as it is."""
    given = [index for index in op.inputs[WEIGHTS : BIAS + 1] if index >= 0]
    return tuple(given[:1]) + tuple(i for i in given[1:] if not _all_zero(graph.tensors[i]))


class _Search:
    """One model, and who takes what of it."""

    def __init__(self, model: TfliteModel) -> None:
        self.graph = model.main
        self.takers: dict[int, list[Op]] = {}
        for op in self.graph.ops:
            for index in op.inputs:
                self.takers.setdefault(index, []).append(op)
        # Converters let equal constants, also of several graphs, lie in one place.
        self.places = Counter(
            tensor.data_offset
            for graph in model.graphs
            for tensor in graph.tensors
            if tensor.is_constant
        )

    def behind(self, op: Op) -> Pair | str:
        """The pair that begins with this layer, or why there is none."""
        if op.activation not in _HOMOGENEOUS:
            return f"{op.activation} is not positively homogeneous"
        output = op.outputs[0]
        channels = self._width(output)
        consumer = self._consumer(output, channels)
        if isinstance(consumer, str):
            return consumer
        for layer in (op, consumer):
            if why := self._not_its_own(layer):
                return why
        taken = self.graph.tensors[consumer.inputs[WEIGHTS]]
        if not channels or not _takes(consumer, taken, channels):
            return "the next layer takes its channels in another arrangement"
        return Pair(op, consumer, channels)

    def _consumer(self, tensor: int, channels: int) -> Op | str:
        """The layer behind a tensor, past what lets its channels' factors through."""
        while True:
            if tensor in self.graph.outputs:
                return "it is an output of the model"
            takers = self.takers.get(tensor, [])
            if len(takers) != 1:
                return f"{len(takers)} ops take what it gives"
            (op,) = takers
            if op.name in _LAYERS and op.inputs[0] == tensor:
                flat = self._width(tensor) != channels
                return "its channels are no channels any more" if flat and op.name != _FLAT else op
            if op.custom or op.inputs[0] != tensor or not self._passes(op, tensor, channels):
                return f"{op.name} takes what it gives"
            tensor = op.outputs[0]

    def _passes(self, op: Op, tensor: int, channels: int) -> bool:
        """Whether an op treats every channel alone, in their order, and is homogeneous."""
        if op.name not in _PASSED or op.activation not in _HOMOGENEOUS:
            return False
        after = self._width(op.outputs[0])
        if op.name == "RESHAPE":
            return after > 0 and after % channels == 0
        if self._width(tensor) != channels or after != channels:
            return False
        if op.name == "MEAN":
            return self._keeps_last(op, tensor)
        # Of fewer dimensions the last one need not be that of the channels.
        return op.name in ("RELU", "LEAKY_RELU") or len(self.graph.tensors[tensor].shape) == 4

    def _keeps_last(self, op: Op, tensor: int) -> bool:
        rank = len(self.graph.tensors[tensor].shape)
        try:
            axes = self.graph.tensors[op.inputs[1]].values()
        except (UnreadableOutput, IndexError):
            return False
        return all(int(axis) % rank != rank - 1 for axis in np.ravel(axes))

    def _not_its_own(self, op: Op) -> str | None:
        """Why the constants of a layer cannot be changed; None if they can."""
        for index in op.inputs[WEIGHTS:]:
            if index < 0:
                continue
            tensor = self.graph.tensors[index]
            if tensor.dtype != "FLOAT32" or tensor.sparse or not tensor.data:
                return "its weights, or the next layer's, are no dense float32 constants"
        for index in scaled_constants(self.graph, op):
            shared = self.places[self.graph.tensors[index].data_offset] > 1
            if shared or len(self.takers[index]) > 1 or index in self.graph.outputs:
                return "its weights, or the next layer's, are shared"
        return None

    def _width(self, tensor: int) -> int:
        """Size of the last dimension; 0 of a scalar."""
        shape = self.graph.tensors[tensor].shape
        return shape[-1] if shape else 0


def multiplier(op: Op) -> int:
    """Output channels of a depthwise convolution per input channel."""
    return max(1, int(op.options.get("DepthMultiplier", 1)))


def _takes(consumer: Op, weights: Tensor, channels: int) -> bool:
    """Whether the weights of a layer have a place for each of so many channels."""
    if len(weights.shape) != (2 if consumer.name == _FLAT else 4):
        return False
    axis = CHANNEL_AXES[consumer.name][1]
    if axis is None:
        return weights.shape[3] == channels * multiplier(consumer)
    size = weights.shape[axis]
    return size % channels == 0 if consumer.name == _FLAT else size == channels


def _all_zero(tensor: Tensor) -> bool:
    try:
        return not tensor.values().any()
    except UnreadableOutput:
        return False
