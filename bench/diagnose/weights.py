"""Constant weights by channel: how they are quantised and which channels stick out."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.diagnose.align import Alignment
from bench.diagnose.layers import Weights
from bench.diagnose.widths import effective_bits, median_live, outliers, spread
from bench.errors import UnreadableOutput
from bench.tflite.graph import Graph, Op, Tensor

# op -> (dimension of output channels, of input channels) of its weights; a depthwise
# convolution has one input channel per output channel.
CHANNEL_AXES: Mapping[str, tuple[int, int | None]] = {
    "CONV_2D": (0, 3),
    "DEPTHWISE_CONV_2D": (3, None),
    "FULLY_CONNECTED": (0, 1),
    "TRANSPOSE_CONV": (0, 3),
}
_WEIGHTS_INPUT = 1
_INTEGERS = ("INT8", "UINT8", "INT4", "INT2")


def weights_of(
    fp32: Graph, variant: Graph, alignment: Alignment, positions: Mapping[int, int]
) -> tuple[Weights, ...]:
    """The weights of every op of the float graph that has constant ones.

    Args:
        positions: tensor of the float graph -> position of its layer.
    """
    found = []
    for op in fp32.ops:
        values = _values(fp32, op)
        if values is None or op.outputs[0] not in positions:
            continue
        output_axis, input_axis = CHANNEL_AXES[op.name]
        by_output = _greatest(values, output_axis)
        by_input = None if input_axis is None else _greatest(values, input_axis)
        counterpart = _counterpart(variant, alignment.ops.get(op.index))
        scheme = _scheme(counterpart)
        found.append(
            Weights(
                position=positions[op.outputs[0]],
                op=op.name,
                name=fp32.tensors[op.inputs[_WEIGHTS_INPUT]].name,
                scheme=scheme,
                cosine=_cosine(values, counterpart),
                output_spread=spread(by_output),
                input_spread=None if by_input is None else spread(by_input),
                outliers=outliers(by_output),
                dead_channels=int(np.count_nonzero(by_output == 0)),
                effective_bits=_bits(by_output, scheme),
            )
        )
    return tuple(found)


def _values(graph: Graph, op: Op) -> NDArray[np.float32] | None:
    if op.name not in CHANNEL_AXES or len(op.inputs) <= _WEIGHTS_INPUT:
        return None
    index = op.inputs[_WEIGHTS_INPUT]
    if index < 0 or graph.tensors[index].dtype != "FLOAT32":
        return None
    try:
        values = graph.tensors[index].values()
    except UnreadableOutput:
        return None
    return values if values.ndim > max(a or 0 for a in CHANNEL_AXES[op.name]) else None


def _greatest(values: NDArray[np.float32], axis: int) -> NDArray[np.float64]:
    others = tuple(k for k in range(values.ndim) if k != axis)
    greatest: NDArray[np.float64] = np.abs(values).max(axis=others).astype(np.float64)
    return greatest


def _counterpart(variant: Graph, op_index: int | None) -> Tensor | None:
    """The weights of an op of the variant."""
    if op_index is None:
        return None
    op = variant.ops[op_index]
    index = op.inputs[_WEIGHTS_INPUT] if len(op.inputs) > _WEIGHTS_INPUT else -1
    return variant.tensors[index] if index >= 0 else None


def _scheme(counterpart: Tensor | None) -> str:
    if counterpart is None:
        return "unknown"
    if counterpart.dtype not in _INTEGERS or counterpart.quantization is None:
        return "float" if counterpart.dtype.startswith("FLOAT") else "unknown"
    return "per-tensor" if counterpart.quantization.axis is None else "per-channel"


def _cosine(values: NDArray[np.float32], counterpart: Tensor | None) -> float | None:
    """Cosine between weights and what stands for them in the variant, as real values."""
    if counterpart is None or counterpart.shape != values.shape:
        return None
    try:
        theirs = counterpart.values().astype(np.float64)
    except UnreadableOutput:
        return None
    given = counterpart.quantization
    if given is not None:
        along = [1] * theirs.ndim
        if given.axis is not None:
            along[given.axis] = -1
        scales, zeros = (np.asarray(v, np.float64) for v in (given.scales, given.zero_points))
        theirs = (theirs - zeros.reshape(along)) * scales.reshape(along)
    ours = values.astype(np.float64)
    length = float(np.sqrt(np.square(ours).sum() * np.square(theirs).sum()))
    return float((ours * theirs).sum()) / length if 0 < length < math.inf else None


def _bits(by_output: NDArray[np.float64], scheme: str) -> float | None:
    if scheme != "per-tensor":
        return None
    return effective_bits(median_live(by_output), float(by_output.max()), 8)
