"""The facts of a .tflite that tell which variant it is: what it computes in, and with."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bench.tflite.graph import FLOATS, Graph, Op, Tensor, parse_model
from bench.tflite.variables import unassigned_variables


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """An input or output.

    Attributes:
        dtype: name in the TFLite schema, "FLOAT32", "INT8", ...
        shape: as the runtime allocates it; (1, ...) where the signature has -1.
        signature: shape with -1 where it may be resized; equals shape if fixed.
        scale, zero_point: of per-tensor quantisation, real = (q - zero_point) * scale;
            None if not quantised.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    scale: float | None
    zero_point: int | None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Content of one .tflite, over all its subgraphs.

    Attributes:
        ops: op name -> number of nodes; custom ops under their own name.
        float_ops: those of them that take or give float tensors, conversions between
            float and integer left out.
        integer_ops: those that compute on quantised activations, conversions left out.
        flex_ops: TensorFlow ops that this runtime cannot execute.
        custom_ops: other ops that are not builtins.
        constant_bytes: element type -> bytes of constant tensors.
        dequantised_bytes: element type -> bytes of constants that a DEQUANTIZE node makes
            float again before they are used.
        activations: element type -> number of quantised tensors that nodes compute.
        inputs, outputs: of the main subgraph.
        unassigned: variables that are read and never assigned (bench.tflite.variables).
    """

    ops: Mapping[str, int]
    float_ops: Mapping[str, int]
    integer_ops: Mapping[str, int]
    flex_ops: tuple[str, ...]
    custom_ops: tuple[str, ...]
    constant_bytes: Mapping[str, int]
    dequantised_bytes: Mapping[str, int]
    activations: Mapping[str, int]
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    unassigned: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Stored as provenance: keys are added, never renamed or taken away."""
        return {
            "ops": dict(self.ops),
            "float_ops": dict(self.float_ops),
            "integer_ops": dict(self.integer_ops),
            "flex_ops": list(self.flex_ops),
            "custom_ops": list(self.custom_ops),
            "constant_bytes": dict(self.constant_bytes),
            "dequantised_bytes": dict(self.dequantised_bytes),
            "activations": dict(self.activations),
            "inputs": [_tensor_json(tensor) for tensor in self.inputs],
            "outputs": [_tensor_json(tensor) for tensor in self.outputs],
            "unassigned_variables": list(self.unassigned),
        }


def batch_of(inputs: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]]) -> int:
    """How many samples one invoke answers, by the shapes: 1 unless the file fixes another
    number, which it does where its one input and all outputs begin with the same."""
    firsts = {shape[0] if shape else 1 for shape in (*inputs, *outputs)}
    return firsts.pop() if len(inputs) == 1 and outputs and len(firsts) == 1 else 1


def read_model(data: bytes) -> ModelFacts:
    """Read a flatbuffer in the TFLite schema (file identifier TFL3).

    Raises: UnreadableOutput if it is not one, is cut short or has no ops.
    """
    model = parse_model(data)
    ops: Counter[str] = Counter()
    float_ops: Counter[str] = Counter()
    integer_ops: Counter[str] = Counter()
    constants: Counter[str] = Counter()
    dequantised: Counter[str] = Counter()
    activations: Counter[str] = Counter()
    flex: set[str] = set()
    custom: set[str] = set()
    for graph in model.graphs:
        for tensor in graph.tensors:
            if tensor.is_constant:
                constants[tensor.dtype] += len(tensor.data)
        for op in graph.ops:
            ops[op.name] += 1
            float_ops[op.name] += computes_in_float(graph, op)
            integer_ops[op.name] += computes_in_integers(graph, op)
            if op.custom:
                (flex if op.flex else custom).add(op.name)
            if op.converts and op.name == "DEQUANTIZE":
                for tensor in _tensors(graph, op.inputs):
                    dequantised[tensor.dtype] += len(tensor.data)
            for tensor in _tensors(graph, op.outputs):
                activations[tensor.dtype] += is_quantised_activation(tensor)
    return ModelFacts(
        ops=_sorted(ops),
        float_ops=_sorted(float_ops),
        integer_ops=_sorted(integer_ops),
        flex_ops=tuple(sorted(flex)),
        custom_ops=tuple(sorted(custom)),
        constant_bytes=_sorted(constants),
        dequantised_bytes=_sorted(dequantised),
        activations=_sorted(activations),
        inputs=tuple(_facts(model.main.tensors[k]) for k in model.main.inputs),
        outputs=tuple(_facts(model.main.tensors[k]) for k in model.main.outputs),
        unassigned=unassigned_variables(model),
    )


def computes_in_float(graph: Graph, op: Op) -> bool:
    """Takes or gives a float tensor, and is no mere conversion from or to one."""
    if op.converts:
        return False
    return any(tensor.dtype in FLOATS for tensor in _tensors(graph, (*op.inputs, *op.outputs)))


def is_quantised_activation(tensor: Tensor) -> bool:
    """Computed rather than stored, and integers that stand for reals."""
    return not tensor.is_constant and tensor.quantization is not None and tensor.dtype not in FLOATS


def computes_in_integers(graph: Graph, op: Op) -> bool:
    """Takes a quantised activation, and is no mere conversion of it."""
    if op.converts:
        return False
    return any(is_quantised_activation(tensor) for tensor in _tensors(graph, op.inputs))


def _tensors(graph: Graph, indices: tuple[int, ...]) -> list[Tensor]:
    return [graph.tensors[k] for k in indices if k >= 0]


def _sorted(counts: Counter[str]) -> Mapping[str, int]:
    return MappingProxyType({name: counts[name] for name in sorted(counts) if counts[name]})


def _facts(tensor: Tensor) -> TensorFacts:
    given = tensor.quantization
    single = given is not None and len(given.scales) == 1
    return TensorFacts(
        name=tensor.name,
        dtype=tensor.dtype,
        shape=tensor.shape,
        signature=tensor.signature,
        scale=float(given.scales[0]) if given is not None and single else None,
        zero_point=int(given.zero_points[0]) if given is not None and single else None,
    )


def _tensor_json(tensor: TensorFacts) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "signature": list(tensor.signature),
        # A hostile file's, which no JSON holds.
        "scale": tensor.scale if tensor.scale is None or math.isfinite(tensor.scale) else None,
        "zero_point": tensor.zero_point,
    }
