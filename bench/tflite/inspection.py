"""What an inspection of a .tflite finds, as frozen values and as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.tflite.islands import FloatIsland
from bench.tflite.macs import MacCount
from bench.tflite.weights import Weights


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the main graph.

    Attributes:
        argument: name in the first signature that has it; None if none has.
        dtype: name in the TFLite schema.
        shape: as the runtime allocates it; () of unknown rank if ranked is False.
        signature: shape with -1 where it may be resized.
        scale, zero_point: real = (q - zero_point) * scale; None if not quantised so.
        real_range: least and greatest real number that it can stand for; None if it is
            not quantised, or if its scale is no positive finite number.
        remark: what is wrong with its quantisation.
    """

    name: str
    argument: str | None
    dtype: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    ranked: bool
    scale: float | None
    zero_point: int | None
    real_range: tuple[float, float] | None
    remark: str | None

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "argument": self.argument,
            "dtype": self.dtype,
            "shape": list(self.shape) if self.ranked else None,
            "signature": list(self.signature) if self.ranked else None,
            "scale": self.scale if self.scale is None or math.isfinite(self.scale) else None,
            "zero_point": self.zero_point,
            "real_range": None if self.real_range is None else list(self.real_range),
            "remark": self.remark,
        }


@dataclass(frozen=True, slots=True)
class OpKind:
    """Nodes of one op, over all graphs.

    Attributes:
        kind: "builtin", "flex" (a TensorFlow op) or "custom".
        versions: as the converter wrote them, ascending.
        in_float: how many take or give float tensors, conversions left out.
        in_integers: how many take quantised activations, conversions left out.
    """

    name: str
    kind: str
    versions: tuple[int, ...]
    count: int
    in_float: int
    in_integers: int

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "versions": list(self.versions),
            "count": self.count,
            "in_float": self.in_float,
            "in_integers": self.in_integers,
        }


@dataclass(frozen=True, slots=True)
class Activations:
    """Tensors of one element type that nodes compute.

    Attributes:
        size_bytes: of all of them side by side, which is more than a runtime needs, for
            it reuses memory; None if a shape is open or the type has no fixed size.
    """

    tensors: int
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A named way to call the model: argument -> name of its tensor."""

    key: str
    graph: int
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "graph": self.graph,
            "inputs": dict(self.inputs),
            "outputs": dict(self.outputs),
        }


@dataclass(frozen=True, slots=True)
class Inspection:
    """One file.

    Attributes:
        arithmetic: "integer", "mixed" (some ops stayed float), "dynamic" (float
            activations, integer weights without conversion before the op), "float", or
            "none" (no op computes on reals).
        graphs: name and number of nodes of each subgraph, the main one first.
        macs: of each subgraph.
        activations: element type -> computed tensors.
        dynamic_tensors: with an open dimension.
        unranked_tensors: of which not even the number of dimensions is known.
        control_flow: op name -> number of nodes that run other graphs.
        unassigned: variables that are read and never assigned (bench.tflite.variables).
        metadata: name -> bytes.
        min_runtime_version: as the converter wrote it; None if it did not.
        attached: file name -> bytes, of the zip behind the model.
    """

    size_bytes: int
    schema_version: int
    description: str
    min_runtime_version: str | None
    arithmetic: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    signatures: tuple[Entry, ...]
    ops: tuple[OpKind, ...]
    graphs: tuple[tuple[str, int], ...]
    macs: tuple[MacCount, ...]
    activations: Mapping[str, Activations]
    weights: Weights
    islands: tuple[FloatIsland, ...]
    dynamic_tensors: int
    unranked_tensors: int
    control_flow: Mapping[str, int]
    unassigned: tuple[str, ...]
    metadata: Mapping[str, int]
    attached: Mapping[str, int]

    def of_kind(self, kind: str) -> tuple[OpKind, ...]:
        """The ops that are "builtin", "flex" or "custom"."""
        return tuple(op for op in self.ops if op.kind == kind)

    def to_json(self) -> dict[str, Any]:
        """Numbers that are not known are None; all numbers are finite."""
        return {
            "size_bytes": self.size_bytes,
            "schema_version": self.schema_version,
            "description": self.description,
            "min_runtime_version": self.min_runtime_version,
            "arithmetic": self.arithmetic,
            "inputs": [port.to_json() for port in self.inputs],
            "outputs": [port.to_json() for port in self.outputs],
            "signatures": [entry.to_json() for entry in self.signatures],
            "ops": [op.to_json() for op in self.ops],
            "flex_ops": [op.name for op in self.of_kind("flex")],
            "custom_ops": [op.name for op in self.of_kind("custom")],
            "graphs": [
                {"name": name, "ops": count, "macs": macs.to_json()}
                for (name, count), macs in zip(self.graphs, self.macs, strict=True)
            ],
            "activations": {
                dtype: {"tensors": held.tensors, "size_bytes": held.size_bytes}
                for dtype, held in self.activations.items()
            },
            "weights": self.weights.to_json(),
            "float_islands": [island.to_json() for island in self.islands],
            "dynamic_tensors": self.dynamic_tensors,
            "unranked_tensors": self.unranked_tensors,
            "control_flow": dict(self.control_flow),
            "unassigned_variables": list(self.unassigned),
            "metadata": dict(self.metadata),
            "attached_files": dict(self.attached),
        }
