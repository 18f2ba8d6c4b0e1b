"""Which tensor of an integer variant holds what which tensor of the float model holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from bench.tflite.graph import CONVERSIONS, Graph, Op, Tensor

ORDER = "order"
NAMES = "names"


@dataclass(frozen=True, slots=True)
class Alignment:
    """How counterparts were found, ORDER or NAMES, and which they are.

    Attributes:
        tensors: float tensor -> tensor of the variant, both by index.
        ops: float op -> op of the variant, both by index.
    """

    how: str
    tensors: dict[int, int]
    ops: dict[int, int]


def align(fp32: Graph, variant: Graph) -> Alignment:
    """Pair the tensors that ops give, and the inputs, of two main graphs.

    By the order of the ops where both have the same ones, conversions left out, giving
    tensors of the same shapes; else by the names of the tensors, where one name stands
    for one tensor of the same shape in each. What neither pairs stays unpaired.
    """
    tensors = dict(_inputs(fp32, variant))
    ours, theirs = _computing(fp32), _computing(variant)
    if [_signature(fp32, op) for op in ours] == [_signature(variant, op) for op in theirs]:
        for a, b in zip(ours, theirs, strict=True):
            tensors |= dict(zip(a.outputs, b.outputs, strict=True))
        ops = {a.index: b.index for a, b in zip(ours, theirs, strict=True)}
        return Alignment(ORDER, tensors, ops)
    named = _by_name(variant, theirs)
    once = _by_name(fp32, ours)
    ops = {}
    for name, (op, tensor) in once.items():
        if name not in named:
            continue
        counterpart, other = named[name]
        if counterpart.name == op.name and other.shape == tensor.shape:
            tensors[tensor.index] = other.index
            ops[op.index] = counterpart.index
    return Alignment(NAMES, tensors, ops)


def _computing(graph: Graph) -> list[Op]:
    return [op for op in graph.ops if op.name not in CONVERSIONS]


def _signature(graph: Graph, op: Op) -> tuple[str, tuple[tuple[int, ...], ...]]:
    return op.name, tuple(graph.tensors[index].shape for index in op.outputs)


def _inputs(fp32: Graph, variant: Graph) -> list[tuple[int, int]]:
    if len(fp32.inputs) != len(variant.inputs):
        return []
    return [
        (a, _behind_conversion(variant, b))
        for a, b in zip(fp32.inputs, variant.inputs, strict=True)
        if fp32.tensors[a].shape == variant.tensors[b].shape
    ]


def _behind_conversion(graph: Graph, index: int) -> int:
    """The tensor that the ops compute with, where the input is converted first."""
    takers = [op for op in graph.ops if index in op.inputs]
    if len(takers) == 1 and takers[0].name == "QUANTIZE":
        return takers[0].outputs[0]
    return index


def _by_name(graph: Graph, ops: list[Op]) -> dict[str, tuple[Op, Tensor]]:
    """Tensors that ops give, by their names, where a name stands for one tensor only."""
    given = [(op, graph.tensors[index]) for op in ops for index in op.outputs]
    counts = Counter(tensor.name for _, tensor in given)
    return {
        tensor.name: (op, tensor)
        for op, tensor in given
        if tensor.name and counts[tensor.name] == 1
    }
