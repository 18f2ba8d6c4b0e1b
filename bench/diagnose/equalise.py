"""Cross-layer equalisation: the same float function with weights that quantise better.

Source: Nagel, van Baalen, Blankevoort and Welling, "Data-Free Quantization Through Weight
Equalization and Bias Correction" (ICCV 2019, arXiv 1906.04721), section 4.1. Where channel
i of a layer is scaled by 1/s and everything that takes it by s, a positively homogeneous
function between them (none, or ReLU) leaves the output as it was. With r1, r2 the ranges of
the weights on both sides, s = r1 / sqrt(r1 r2) makes both sqrt(r1 r2).

Works on the constants of an fp32 .tflite in place: no tensor, op or offset changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.diagnose.pairs import BIAS, WEIGHTS, Pair, find_pairs, multiplier, scaled_constants
from bench.diagnose.weights import CHANNEL_AXES
from bench.tflite.graph import Graph, Op, parse_model

_ROUNDS = 500
# Scales that move less than this (natural logarithm) move a range by less than 1 %.
_CONVERGED = 1e-2

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


def equalise(fp32: bytes) -> Equalised:
    """Equalise the weight ranges of all pairs of layers that allow it.

    See bench.diagnose.pairs for which do. Chains of pairs are gone over until no scale
    changes.

    Raises: UnreadableOutput if it is no readable .tflite.
    """
    model = parse_model(fp32)
    graph = model.main
    pairs = find_pairs(model)
    constants = {
        index: graph.tensors[index].values().astype(np.float64)
        for pair in pairs.found
        for op in (pair.producer, pair.consumer)
        for index in scaled_constants(graph, op)
    }
    total: dict[int, Array] = {}
    rounds = 0
    for _ in range(_ROUNDS if pairs.found else 0):
        rounds += 1
        moved = 0.0
        for pair in pairs.found:
            scale = _equalise_pair(pair, constants)
            so_far = total.get(pair.producer.index, np.ones_like(scale))
            total[pair.producer.index] = so_far * scale
            moved = max(moved, float(np.abs(np.log(scale)).max()))
        if moved < _CONVERGED:
            break
    largest = max((float(np.exp(np.abs(np.log(s)).max())) for s in total.values()), default=1.0)
    data = bytearray(fp32)
    for index, values in constants.items():
        raw, start = values.astype("<f4").tobytes(), graph.tensors[index].data_offset
        data[start : start + len(raw)] = raw
    return Equalised(
        bytes(data),
        tuple((_name(graph, p.producer), _name(graph, p.consumer)) for p in pairs.found),
        pairs.skipped,
        largest,
        rounds,
    )


def _equalise_pair(pair: Pair, constants: dict[int, Array]) -> Array:
    """Scale both sides in place; the factor by channel that the producer was divided by."""
    producer = pair.producer
    axis = CHANNEL_AXES[producer.name][0]
    given = np.moveaxis(constants[producer.inputs[WEIGHTS]], axis, 0)
    taken = _by_input_channel(constants[pair.consumer.inputs[WEIGHTS]], pair)
    ranges = _greatest(given), _greatest(taken)
    scale = np.ones_like(ranges[0])
    # A channel without weights on one side has no range to equalise.
    live = (ranges[0] > 0) & (ranges[1] > 0)
    scale[live] = np.sqrt(ranges[0][live] / ranges[1][live])
    given /= _along_first(scale, given)
    taken *= _along_first(scale, taken)
    bias = producer.inputs[BIAS] if len(producer.inputs) > BIAS else -1
    if bias in constants:
        constants[bias] /= scale
    return scale


def _by_input_channel(values: Array, pair: Pair) -> Array:
    """A view with the consumer's input channels first."""
    axis = CHANNEL_AXES[pair.consumer.name][1]
    if axis is None:
        # Output channel of a depthwise convolution: input channel x multiplier + k.
        split = values.reshape(*values.shape[:3], pair.channels, multiplier(pair.consumer))
        return np.moveaxis(split, 3, 0)
    # Flattened inputs of a dense layer: position x channels + channel.
    split = values.reshape(*values.shape[:axis], -1, pair.channels, *values.shape[axis + 1 :])
    return np.moveaxis(split, axis + 1, 0)


def _greatest(values: Array) -> Array:
    greatest: Array = np.abs(values).reshape(len(values), -1).max(axis=1)
    return greatest


def _along_first(scale: Array, values: Array) -> Array:
    return scale.reshape(-1, *(1,) * (values.ndim - 1))


def _name(graph: Graph, op: Op) -> str:
    return graph.tensors[op.outputs[0]].name
