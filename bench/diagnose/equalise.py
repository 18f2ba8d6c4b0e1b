"""Cross-layer equalisation: the same float function with weights that quantise better.

Source: Nagel, van Baalen, Blankevoort and Welling, "Data-Free Quantization Through Weight
Equalization and Bias Correction" (ICCV 2019, arXiv 1906.04721), section 4.1. Where channel
i of a layer is scaled by 1/s and everything that takes it by s, a positively homogeneous
function between them (none, or ReLU) leaves the output as it was. With r1, r2 the ranges of
the weights on both sides, s = r1 / sqrt(r1 r2) makes both sqrt(r1 r2).

Works on the constants of an fp32 .tflite in place: no tensor, op or offset changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.diagnose.weights import CHANNEL_AXES
from bench.tflite.graph import Graph, Op, Tensor, TfliteModel, parse_model

_HOMOGENEOUS = ("NONE", "RELU")
_PRODUCERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_ROUNDS = 500
# Scales that move less than this (natural logarithm) move a range by less than 1 %.
_CONVERGED = 1e-2
_BIAS = 2

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Equalised:
    """What became of a model.

    Attributes:
        data: the new file, as long as the old one.
        pairs: (producer, consumer) by the names of their output tensors, in order.
        skipped: output tensor name of a layer -> why nothing behind it was equalised.
        largest_scale: greatest factor, or inverse of one, that a channel was scaled by; 1.0
            where nothing changed.
        rounds: over all pairs, until they converged.
    """

    data: bytes
    pairs: tuple[tuple[str, str], ...]
    skipped: Mapping[str, str]
    largest_scale: float
    rounds: int


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two layers whose shared channels can be scaled."""

    producer: Op
    consumer: Op


def equalise(fp32: bytes) -> Equalised:
    """Equalise the weight ranges of all pairs of layers that allow it.

    A pair is two of CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED joined by a tensor that
    nobody else takes, with no activation or ReLU between, whose float32 constants belong to
    them alone. Chains of pairs are gone over until no scale changes.

    Raises: UnreadableOutput if it is no readable .tflite.
    """
    model = parse_model(fp32)
    graph = model.main
    offsets = _offsets(fp32, model)
    pairs, skipped = _find_pairs(graph, offsets)
    constants = {
        index: graph.tensors[index].values().astype(np.float64)
        for pair in pairs
        for op in (pair.producer, pair.consumer)
        for index in op.inputs[1:]
        if index >= 0
    }
    total: dict[int, Array] = {}
    rounds = 0
    for _ in range(_ROUNDS if pairs else 0):
        rounds += 1
        moved = 0.0
        for pair in pairs:
            scale = _equalise_pair(pair, constants)
            so_far = total.get(pair.producer.index, np.ones_like(scale))
            total[pair.producer.index] = so_far * scale
            moved = max(moved, float(np.abs(np.log(scale)).max()))
        if moved < _CONVERGED:
            break
    largest = max((float(np.exp(np.abs(np.log(s)).max())) for s in total.values()), default=1.0)
    data = bytearray(fp32)
    for index, values in constants.items():
        raw = values.astype("<f4").tobytes()
        data[offsets[index] : offsets[index] + len(raw)] = raw
    return Equalised(
        bytes(data),
        tuple((_name(graph, p.producer), _name(graph, p.consumer)) for p in pairs),
        skipped,
        largest,
        rounds,
    )


def _find_pairs(graph: Graph, offsets: Mapping[int, int]) -> tuple[list[_Pair], dict[str, str]]:
    takers: dict[int, list[Op]] = {}
    for op in graph.ops:
        for index in op.inputs:
            takers.setdefault(index, []).append(op)
    buffers = Counter(offsets.values())
    pairs: list[_Pair] = []
    skipped: dict[str, str] = {}
    for op in graph.ops:
        if op.name not in _PRODUCERS:
            continue
        why = _refusal(graph, op, takers, offsets, buffers)
        if why is None:
            pairs.append(_Pair(op, takers[op.outputs[0]][0]))
        else:
            skipped[_name(graph, op)] = why
    return pairs, skipped


def _refusal(
    graph: Graph,
    op: Op,
    takers: Mapping[int, list[Op]],
    offsets: Mapping[int, int],
    buffers: Mapping[int, int],
) -> str | None:
    """Why the channels behind a layer cannot be scaled; None if they can."""
    if op.activation not in _HOMOGENEOUS:
        return f"{op.activation} is not positively homogeneous"
    output = op.outputs[0]
    if output in graph.outputs:
        return "it is an output of the model"
    consumers = takers.get(output, [])
    if len(consumers) != 1:
        return f"{len(consumers)} ops take what it gives"
    consumer = consumers[0]
    if consumer.name not in _PRODUCERS or consumer.inputs[0] != output:
        return f"{consumer.name} takes what it gives"
    for layer in (op, consumer):
        for index in layer.inputs[1:]:
            if index < 0:
                continue
            tensor = graph.tensors[index]
            if tensor.dtype != "FLOAT32" or tensor.sparse or index not in offsets:
                return "its weights, or the next layer's, are no dense float32 constants"
            if len(takers[index]) > 1 or buffers[offsets[index]] > 1:
                return "its weights, or the next layer's, are shared"
    channels = graph.tensors[output].shape[-1]
    if _input_channels(graph.tensors[consumer.inputs[1]], consumer) != channels:
        return "the next layer takes its channels in another arrangement"
    return None


def _input_channels(weights: Tensor, consumer: Op) -> int | None:
    if consumer.name != "DEPTHWISE_CONV_2D":
        axis = CHANNEL_AXES[consumer.name][1]
        assert axis is not None
        return weights.shape[axis]
    multiplier = _multiplier(consumer)
    return weights.shape[3] // multiplier if weights.shape[3] % multiplier == 0 else None


def _multiplier(op: Op) -> int:
    return max(1, int(op.options.get("DepthMultiplier", 1)))


def _equalise_pair(pair: _Pair, constants: dict[int, Array]) -> Array:
    """Scale both sides in place; the factor by channel that the producer was divided by."""
    producer, consumer = pair.producer, pair.consumer
    axis = CHANNEL_AXES[producer.name][0]
    given = np.moveaxis(constants[producer.inputs[1]], axis, 0)
    taken = _by_input_channel(constants[consumer.inputs[1]], consumer)
    ranges = _greatest(given), _greatest(taken)
    scale = np.ones_like(ranges[0])
    # A channel without weights on one side has no range to equalise.
    live = (ranges[0] > 0) & (ranges[1] > 0)
    scale[live] = np.sqrt(ranges[0][live] / ranges[1][live])
    given /= _along_first(scale, given)
    taken *= _along_first(scale, taken)
    if len(producer.inputs) > _BIAS and producer.inputs[_BIAS] >= 0:
        constants[producer.inputs[_BIAS]] /= scale
    return scale


def _by_input_channel(values: Array, consumer: Op) -> Array:
    """A view with the consumer's input channels first."""
    axis = CHANNEL_AXES[consumer.name][1]
    if axis is not None:
        return np.moveaxis(values, axis, 0)
    # Output channel of a depthwise convolution: input channel x multiplier + k.
    split = values.reshape(*values.shape[:3], -1, _multiplier(consumer))
    return np.moveaxis(split, 3, 0)


def _greatest(values: Array) -> Array:
    greatest: Array = np.abs(values).reshape(len(values), -1).max(axis=1)
    return greatest


def _along_first(scale: Array, values: Array) -> Array:
    return scale.reshape(-1, *(1,) * (values.ndim - 1))


def _offsets(data: bytes, model: TfliteModel) -> dict[int, int]:
    """Where the constants of the main graph lie in the file; shared buffers share a place.

    Buffers that other graphs hold too count as shared, by being left out.
    """
    start = _address(memoryview(data))
    elsewhere = {
        _address(tensor.data) - start
        for graph in model.graphs[1:]
        for tensor in graph.tensors
        if tensor.is_constant
    }
    found = {
        tensor.index: _address(tensor.data) - start
        for tensor in model.main.tensors
        if tensor.is_constant
    }
    return {index: offset for index, offset in found.items() if offset not in elsewhere}


def _address(view: memoryview) -> int:
    interface: Any = np.frombuffer(view, dtype=np.uint8).__array_interface__
    return int(interface["data"][0])


def _name(graph: Graph, op: Op) -> str:
    return graph.tensors[op.outputs[0]].name
