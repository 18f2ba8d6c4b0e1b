"""Multiply-accumulates of one inference, counted from the shapes in a graph.

What is counted: convolutions, fully connected layers and matrix products, each as one
MAC for every weight that an output takes in, with no discount for padding (a window over
the border counts whole), as layer formulas in papers do. Adding a bias, element-wise ops,
pooling and moving data count as none.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bench.tflite.graph import Graph, Op, Tensor

# Ops that run other graphs of the file, or parts of this one again.
CONTROL_FLOW = frozenset(
    {"CALL", "CALL_ONCE", "IF", "WHILE", "STABLEHLO_CASE", "STABLEHLO_COMPOSITE", "STABLEHLO_WHILE"}
)

# Builtins that multiply and accumulate in a way that no formula here covers.
_UNCOUNTED = CONTROL_FLOW | {
    "BIDIRECTIONAL_SEQUENCE_LSTM",
    "BIDIRECTIONAL_SEQUENCE_RNN",
    "DELEGATE",
    "LSTM",
    "RFFT2D",
    "RNN",
    "STABLEHLO_CONVOLUTION",
    "STABLEHLO_CUSTOM_CALL",
    "STABLEHLO_DOT_GENERAL",
    "STABLEHLO_REDUCE_WINDOW",
    "SVDF",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "UNIDIRECTIONAL_SEQUENCE_RNN",
}

# They move elements between the first dimension and others: where that one is open, the
# shape stored after them need no longer stand for one item of a batch.
_REGROUPING = frozenset({"BATCH_TO_SPACE_ND", "RESHAPE", "SPACE_TO_BATCH_ND"})


@dataclass(frozen=True, slots=True)
class MacCount:
    """Of one graph.

    Attributes:
        total: over all counted ops; None if a shape that it takes is not known, and 0
            only where a graph has none of these ops.
        reason: why total is None.
        by_op: op name -> MACs, of the ops whose shapes are known.
        not_counted: op name -> number of nodes that may multiply and accumulate, which
            `total` leaves out: recurrent, control flow, custom and unknown ops.
        per_item: the first dimension is open, and `total` is for one item of it.
    """

    total: int | None
    reason: str | None
    by_op: Mapping[str, int]
    not_counted: Mapping[str, int]
    per_item: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "total": self.total,
            "reason": self.reason,
            "by_op": dict(self.by_op),
            "not_counted": dict(self.not_counted),
            "per_item": self.per_item,
        }


class _UnknownShape(Exception):
    """Why the MACs of an op cannot be told."""


def count_macs(graph: Graph) -> MacCount:
    """Count over every op of a graph, each once, at the shapes stored in the file."""
    by_op: Counter[str] = Counter()
    not_counted: Counter[str] = Counter()
    reasons = []
    per_item = False
    for op in graph.ops:
        formula = None if op.custom else _FORMULAS.get(op.name)
        if formula is None:
            may = op.custom or op.name in _UNCOUNTED or op.name.startswith("BUILTIN_")
            if may:
                not_counted[op.name] += 1
            if op.name in _REGROUPING and _regroups(graph, op):
                reasons.append(f"op {op.index} {op.name} folds an open dimension into others")
            continue
        try:
            by_op[op.name] += formula(graph, op)
            per_item = per_item or any(-1 in t.signature for t in _ends(graph, op))
        except _UnknownShape as unknown:
            reasons.append(f"op {op.index} {op.name}: {unknown}")
    if not by_op and not reasons and not_counted:
        reasons.append("its ops are none of those that are counted")
    return MacCount(
        total=None if reasons else sum(by_op.values()),
        reason=_first(reasons),
        by_op=_sorted(by_op),
        not_counted=_sorted(not_counted),
        per_item=per_item and not reasons,
    )


def _conv(graph: Graph, op: Op) -> int:
    # (out channels, height, width, in channels of one group)
    kernel = _shape(graph, op.inputs, 1, rank=4)
    return _elements(graph, op.outputs, 0) * math.prod(kernel[1:])


def _depthwise(graph: Graph, op: Op) -> int:
    # (1, height, width, out channels)
    kernel = _shape(graph, op.inputs, 1, rank=4)
    return _elements(graph, op.outputs, 0) * kernel[1] * kernel[2]


def _transposed(graph: Graph, op: Op) -> int:
    # Each input element goes into a whole window of each output channel;
    # (out channels, height, width, in channels)
    kernel = _shape(graph, op.inputs, 1, rank=4)
    return _elements(graph, op.inputs, 2) * math.prod(kernel[:3])


def _conv_3d(graph: Graph, op: Op) -> int:
    # (depth, height, width, in channels of one group, out channels)
    kernel = _shape(graph, op.inputs, 1, rank=5)
    return _elements(graph, op.outputs, 0) * math.prod(kernel[:4])


def _transposed_3d(graph: Graph, op: Op) -> int:
    # (depth, height, width, out channels, in channels)
    kernel = _shape(graph, op.inputs, 1, rank=5)
    return _elements(graph, op.inputs, 2) * math.prod(kernel[:4])


def _fully_connected(graph: Graph, op: Op) -> int:
    # (units, features)
    kernel = _shape(graph, op.inputs, 1, rank=2)
    return _elements(graph, op.outputs, 0) * kernel[1]


def _matmul(graph: Graph, op: Op) -> int:
    left = _shape(graph, op.inputs, 0)
    if len(left) < 2:
        raise _UnknownShape("a matrix of fewer than 2 dimensions")
    inner = -2 if op.options.get("AdjX") else -1
    if graph.tensors[op.inputs[0]].signature[inner] == -1:
        raise _UnknownShape("an open dimension is summed over")
    return _elements(graph, op.outputs, 0) * left[inner]


_FORMULAS: Mapping[str, Callable[[Graph, Op], int]] = MappingProxyType(
    {
        "BATCH_MATMUL": _matmul,
        "CONV_2D": _conv,
        "CONV_3D": _conv_3d,
        "CONV_3D_TRANSPOSE": _transposed_3d,
        "DEPTHWISE_CONV_2D": _depthwise,
        "FULLY_CONNECTED": _fully_connected,
        "TRANSPOSE_CONV": _transposed,
    }
)


def _shape(
    graph: Graph, ends: tuple[int, ...], position: int, *, rank: int | None = None
) -> tuple[int, ...]:
    """The shape of one input or output, known but for how many items a batch has."""
    if position >= len(ends) or ends[position] < 0:
        raise _UnknownShape("a tensor that it needs is absent")
    tensor = graph.tensors[ends[position]]
    if not tensor.has_rank:
        raise _UnknownShape("a shape that only the runtime knows")
    if rank is not None and len(tensor.shape) != rank:
        raise _UnknownShape(f"weights of {len(tensor.shape)} dimensions instead of {rank}")
    if -1 in tensor.signature[1:] or (position == 1 and -1 in tensor.signature[:1]):
        raise _UnknownShape(f"an open dimension in {list(tensor.signature)}")
    return tensor.shape


def _elements(graph: Graph, ends: tuple[int, ...], position: int) -> int:
    return math.prod(_shape(graph, ends, position))


def _regroups(graph: Graph, op: Op) -> bool:
    if not op.inputs or not op.outputs or op.inputs[0] < 0:
        return False
    before, after = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    if -1 not in (*before.signature, *after.signature):
        return False
    # Padding and cropping change the number of elements too, in one direction each.
    if op.name == "SPACE_TO_BATCH_ND":
        return after.elements < before.elements
    if op.name == "BATCH_TO_SPACE_ND":
        return after.elements > before.elements
    return after.elements != before.elements


def _ends(graph: Graph, op: Op) -> list[Tensor]:
    return [graph.tensors[k] for k in (*op.inputs, *op.outputs) if k >= 0]


def _first(reasons: list[str]) -> str | None:
    if not reasons:
        return None
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return reasons[0] + more


def _sorted(counts: Counter[str]) -> Mapping[str, int]:
    return MappingProxyType({name: counts[name] for name in sorted(counts) if counts[name]})
