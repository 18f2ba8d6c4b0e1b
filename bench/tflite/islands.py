"""Float islands: groups of float ops within a model that otherwise computes in integers."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from bench.tflite.facts import computes_in_float, computes_in_integers
from bench.tflite.graph import FLOATS, Graph, Op

# Bounds what is stored and shown of an island that spans a whole model.
_MOST_NAMES = 50
_NAME_LENGTH = 200


@dataclass(frozen=True, slots=True)
class IslandOp:
    """One float op: its number in the graph, its name, and the tensor that it computes."""

    index: int
    name: str
    output: str


@dataclass(frozen=True, slots=True)
class FloatIsland:
    """Float ops that hand each other float tensors, up to the conversions around them.

    Each conversion at its border reads and writes all elements of a tensor at every
    inference, and an accelerator for integers has to give the work back to the CPU there.

    Attributes:
        graph: number of its subgraph.
        ops: in order of execution, at most 50 of them.
        op_count: how many they are in all.
        dequantize, quantize: number of nodes that lead into it, and out of it.
        converted_elements: elements that those convert in one inference; None where a
            shape is open.
        at_border: takes a float input of the model or gives a float output of it.
    """

    graph: int
    ops: tuple[IslandOp, ...]
    op_count: int
    dequantize: int
    quantize: int
    converted_elements: int | None
    at_border: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "graph": self.graph,
            "ops": [{"index": o.index, "name": o.name, "output": o.output} for o in self.ops],
            "op_count": self.op_count,
            "dequantize": self.dequantize,
            "quantize": self.quantize,
            "converted_elements": self.converted_elements,
            "at_border": self.at_border,
        }


def float_islands(graph: Graph, number: int = 0) -> tuple[FloatIsland, ...]:
    """The islands of one subgraph, in order of execution.

    () if no op of it computes in integers: a float model is no island.
    """
    if not any(computes_in_integers(graph, op) for op in graph.ops):
        return ()
    floats = [op for op in graph.ops if computes_in_float(graph, op)]
    joined = _Sets()
    shared = _passed_on(graph)
    for op in floats:
        for tensor in _float_ends(graph, op, shared):
            joined.join(("op", op.index), ("tensor", tensor))
    members: dict[Any, list[Op]] = defaultdict(list)
    for op in floats:
        members[joined.root(("op", op.index))].append(op)
    borders: dict[Any, list[Op]] = defaultdict(list)
    for op in graph.ops:
        ends = op.outputs if op.name == "DEQUANTIZE" else op.inputs
        if op.converts and ends and ends[0] in shared:
            borders[joined.root(("tensor", ends[0]))].append(op)
    return tuple(_island(graph, number, ops, borders[root]) for root, ops in members.items())


def _passed_on(graph: Graph) -> frozenset[int]:
    """Float tensors that carry activations: neither constants nor decoded constants."""
    decoded = {
        output
        for op in graph.ops
        if op.converts and all(k >= 0 and graph.tensors[k].is_constant for k in op.inputs)
        for output in op.outputs
    }
    return frozenset(
        tensor.index
        for tensor in graph.tensors
        if tensor.dtype in FLOATS and not tensor.is_constant and tensor.index not in decoded
    )


def _float_ends(graph: Graph, op: Op, shared: frozenset[int]) -> list[int]:
    return [k for k in (*op.inputs, *op.outputs) if k in shared]


def _island(graph: Graph, number: int, ops: list[Op], borders: list[Op]) -> FloatIsland:
    elements: int | None = 0
    for op in borders:
        tensor = graph.tensors[op.outputs[0] if op.outputs else op.inputs[0]]
        if elements is None or not tensor.has_rank or -1 in tensor.signature:
            elements = None
        else:
            elements += tensor.elements
    ends = {k for op in ops for k in (*op.inputs, *op.outputs)}
    return FloatIsland(
        graph=number,
        ops=tuple(IslandOp(op.index, op.name, _output(graph, op)) for op in ops[:_MOST_NAMES]),
        op_count=len(ops),
        dequantize=sum(op.name == "DEQUANTIZE" for op in borders),
        quantize=sum(op.name == "QUANTIZE" for op in borders),
        converted_elements=elements,
        at_border=any(
            k in ends and graph.tensors[k].dtype in FLOATS for k in (*graph.inputs, *graph.outputs)
        ),
    )


def _output(graph: Graph, op: Op) -> str:
    return graph.tensors[op.outputs[0]].name[:_NAME_LENGTH] if op.outputs else ""


class _Sets:
    """Disjoint sets, joined pair by pair."""

    def __init__(self) -> None:
        self._parent: dict[Any, Any] = {}

    def root(self, item: Any) -> Any:
        self._parent.setdefault(item, item)
        while self._parent[item] != item:
            self._parent[item] = self._parent[self._parent[item]]
            item = self._parent[item]
        return item

    def join(self, one: Any, other: Any) -> None:
        self._parent[self.root(one)] = self.root(other)
