"""Whether a node of a model meets the conditions of a rule, and which one it does not."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.errors import UnreadableOutput
from bench.forecast.rules import Bounds, Rule, RuleList, Types
from bench.tflite.values import FLOATS, Graph, Op, Tensor


@dataclass(frozen=True, slots=True)
class Node:
    """A node with its tensors.

    Attributes:
        inputs: None for one that is left out. outputs: its tensors.
        made_constant: tensors that nodes make of constants, by index.
    """

    op: Op
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    made_constant: Collection[int] = frozenset()

    def input(self, index: int) -> Tensor | None:
        """None where the node has no such input."""
        return self.inputs[index] if 0 <= index < len(self.inputs) else None

    def is_constant(self, tensor: Tensor) -> bool:
        """Of the file, or made of what is."""
        return tensor.is_constant or tensor.index in self.made_constant


def node_of(graph: Graph, op: Op, made_constant: Collection[int] = frozenset()) -> Node:
    """A node of a graph."""
    return Node(
        op,
        tuple(graph.tensors[k] if k >= 0 else None for k in op.inputs),
        tuple(graph.tensors[k] for k in op.outputs),
        made_constant,
    )


def problem(node: Node, rule: Rule, of: RuleList) -> str | None:
    """The first condition that a node does not meet, in words; None if it meets all."""
    data = _data(node, rule, of)
    return next(_problems(node, rule, of, data), None)


def _data(node: Node, rule: Rule, of: RuleList) -> tuple[Tensor, ...]:
    wanted = of.of if rule.of is None else rule.of
    if wanted == "computed":
        return tuple(t for t in node.inputs if t is not None and not node.is_constant(t))
    return tuple(t for k in wanted if (t := node.input(k)) is not None)


def _problems(node: Node, rule: Rule, of: RuleList, data: Sequence[Tensor]) -> Iterator[str]:
    yield from _counts(node, rule)
    yield from _types(node, rule, data)
    if of.per_tensor:
        yield from _per_tensor((*data, *node.outputs))
    yield from _ranks(node, rule, of)
    yield from _constants(node, rule)
    yield from _weights(node, rule, data)
    yield from _options(node.op, rule)
    yield from _scales(node, rule, data)


def _counts(node: Node, rule: Rule) -> Iterator[str]:
    present = sum(tensor is not None for tensor in node.inputs)
    for what, count, bounds in (
        ("input", present, rule.inputs),
        ("output", len(node.outputs), rule.outputs),
    ):
        if bounds is not None and not bounds[0] <= count <= bounds[1]:
            yield f"{count} {what}s, it takes {_bounds(bounds)}"
    if rule.max_version is not None and node.op.version > rule.max_version:
        yield f"version {node.op.version} of the op, it takes up to {rule.max_version}"


def _types(node: Node, rule: Rule, data: Sequence[Tensor]) -> Iterator[str]:
    out_types = rule.types if rule.out_types is None else rule.out_types
    for what, tensors, types in (("input", data, rule.types), ("output", node.outputs, out_types)):
        for tensor in tensors:
            if types is not None and tensor.dtype not in types:
                yield f"{what} of {tensor.dtype}, it takes {', '.join(types)}"
    if data and rule.to:
        allowed = rule.to.get(data[0].dtype, ())
        for tensor in node.outputs:
            if tensor.dtype not in allowed:
                yield f"from {data[0].dtype} to {tensor.dtype}"
    both = (*data, *node.outputs)
    if rule.same_type and len(types_of := dict.fromkeys(t.dtype for t in both)) > 1:
        yield f"mixes {' and '.join(types_of)}"
    if rule.same_scale and len({_quantised(t) for t in both if t.dtype not in FLOATS}) > 1:
        yield "inputs and outputs have different scales"


def _quantised(tensor: Tensor) -> tuple[float, int] | None:
    found = tensor.quantization
    return None if found is None else (float(found.scales[0]), int(found.zero_points[0]))


def _per_tensor(tensors: Sequence[Tensor]) -> Iterator[str]:
    for tensor in tensors:
        found = tensor.quantization
        # These types are only ever taken for numbers with a scale.
        if tensor.dtype in ("INT8", "UINT8") and (found is None or len(found.scales) != 1):
            yield f"{tensor.dtype} without a single scale"


def _ranks(node: Node, rule: Rule, of: RuleList) -> Iterator[str]:
    for where, bounds in rule.rank.items():
        for tensor in node.outputs if where == "out" else (node.input(int(where)),):
            if tensor is not None and not bounds[0] <= len(tensor.shape) <= bounds[1]:
                yield f"{len(tensor.shape)} dimensions, it takes {_bounds(bounds)}"
    for tensor in (*node.inputs, *node.outputs):
        if tensor is not None and of.max_rank is not None and len(tensor.shape) > of.max_rank:
            yield f"{len(tensor.shape)} dimensions, it takes up to {of.max_rank}"


def _constants(node: Node, rule: Rule) -> Iterator[str]:
    bias = None if rule.bias is None else node.input(rule.bias)
    for tensor in (*(node.input(k) for k in rule.constant), bias):
        if tensor is not None and not node.is_constant(tensor):
            yield "an input that must be a constant is computed"
    if bias is not None and len(bias.shape) != 1:
        yield f"a bias of {len(bias.shape)} dimensions"
    for index, bounds in rule.values.items():
        tensor = node.input(int(index))
        if tensor is None or not tensor.is_constant:
            continue
        try:
            numbers = tensor.values()
        except UnreadableOutput:
            continue
        if (
            numbers.size
            and not bounds[0] <= float(numbers.min()) <= float(numbers.max()) <= (bounds[1])
        ):
            yield f"input {index} has values outside {_bounds(bounds)}"


def _weights(node: Node, rule: Rule, data: Sequence[Tensor]) -> Iterator[str]:
    weights = node.input(1)
    if not rule.weights or weights is None or not data:
        return
    allowed: Types = rule.weights.get(data[0].dtype, ())
    if weights.dtype not in allowed:
        yield f"{weights.dtype} weights with {data[0].dtype} activations"
    found = weights.quantization
    by_channel = found is not None and found.axis is not None
    if found is not None and by_channel and rule.channel not in (None, found.axis):
        yield f"weights with a scale for each slice of dimension {found.axis}"


def _options(op: Op, rule: Rule) -> Iterator[str]:
    if rule.activation is not None and op.activation not in rule.activation:
        yield f"fused {op.activation}"
    for name, values in rule.options.items():
        # A field that is not in the file has its default, which the parser gives; without
        # options at all every number is 0.
        if float(op.options.get(name, 0)) not in values:
            yield f"{name} is {op.options.get(name, 0):g}"
    for name, least in rule.option_min.items():
        if float(op.options.get(name, 0)) < least:
            yield f"{name} is {op.options.get(name, 0):g}"
    if rule.pool_window:
        yield from _pool_window(op.options)


def _pool_window(options: Mapping[str, int | float | bool]) -> Iterator[str]:
    (height, width), (down, right) = (
        (options.get(f"{name}H", 0), options.get(f"{name}W", 0))
        if name == "Stride"
        else (options.get(f"{name}Height", 0), options.get(f"{name}Width", 0))
        for name in ("Filter", "Stride")
    )
    if down > height or right > width:
        yield "strides longer than the window"


def _scales(node: Node, rule: Rule, data: Sequence[Tensor]) -> Iterator[str]:
    if not node.outputs or (rule.scale_ratio is None and rule.scale_product is None):
        return
    scales = [_scale(tensor) for tensor in data]
    out = _scale(node.outputs[0])
    if out is None or None in scales or any(t.dtype != node.outputs[0].dtype for t in data):
        return
    known = [scale for scale in scales if scale is not None]
    ratios = {
        "scale of an input by that of the output": (rule.scale_ratio, [s / out for s in known]),
        "product of the inputs' scales by that of the output": (
            rule.scale_product,
            [math.prod(known) / out],
        ),
    }
    for what, (bounds, found) in ratios.items():
        if bounds is not None and any(not bounds[0] <= ratio <= bounds[1] for ratio in found):
            yield f"{what} outside {_bounds(bounds)}"


def _scale(tensor: Tensor) -> float | None:
    found = tensor.quantization
    if tensor.dtype in FLOATS or found is None or not float(found.scales[0]) > 0:
        return None
    return float(found.scales[0])


def _bounds(bounds: Bounds | tuple[int, int]) -> str:
    low, high = bounds
    if low == high:
        return f"{low:g}"
    return f"{low:g} to {high:g}" if math.isfinite(high) else f"{low:g} or more"
