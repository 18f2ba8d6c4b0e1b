"""A .tflite as frozen values: its graphs, tensors, ops and signatures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from bench.errors import UnreadableOutput

# numpy dtypes of the element types whose buffers are plain arrays; INT4 and the like are
# packed, STRING and RESOURCE are no numbers.
NUMPY_DTYPES: Mapping[str, str] = MappingProxyType(
    {
        "FLOAT32": "<f4",
        "FLOAT16": "<f2",
        "FLOAT64": "<f8",
        "INT8": "<i1",
        "UINT8": "<u1",
        "INT16": "<i2",
        "UINT16": "<u2",
        "INT32": "<i4",
        "UINT32": "<u4",
        "INT64": "<i8",
        "UINT64": "<u8",
        "BOOL": "?",
    }
)

FLOATS = frozenset({"FLOAT16", "FLOAT32", "FLOAT64", "BFLOAT16", "FLOAT8_E4M3FN", "FLOAT8_E5M2"})

# Bits of one element where a dense constant has a fixed number of them.
ELEMENT_BITS: Mapping[str, int] = MappingProxyType(
    {
        **{name: 8 * np.dtype(dtype).itemsize for name, dtype in NUMPY_DTYPES.items()},
        "BFLOAT16": 16,
        "FLOAT8_E4M3FN": 8,
        "FLOAT8_E5M2": 8,
        "INT4": 4,
        "UINT4": 4,
        "INT2": 2,
        "COMPLEX64": 64,
        "COMPLEX128": 128,
    }
)

# Least and greatest number of the integer types that inputs and outputs are quantised to.
_INTEGER_RANGES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "INT8": (-128, 127),
        "UINT8": (0, 255),
        "INT16": (-32768, 32767),
        "UINT16": (0, 65535),
        "INT32": (-(2**31), 2**31 - 1),
    }
)

# They convert between element types, and compute nothing.
CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE"})


def real_range(dtype: str, scale: float, zero_point: int) -> tuple[float, float] | None:
    """Least and greatest real number that a quantised element of a type can stand for.

    None for types that are not quantised, and where the scale is no positive finite number.
    """
    limits = _INTEGER_RANGES.get(dtype)
    if limits is None or not (math.isfinite(scale) and scale > 0):
        return None
    low, high = ((limit - zero_point) * scale for limit in limits)
    return low, high


def names_of(enum: type) -> dict[int, str]:
    """Number -> name of a generated enumeration."""
    return {v: k for k, v in vars(enum).items() if isinstance(v, int) and not k.startswith("_")}


ACTIVATIONS: Mapping[int, str] = MappingProxyType(names_of(schema.ActivationFunctionType))


@dataclass(frozen=True, slots=True, eq=False)
class Quantization:
    """Affine quantisation: real = (q - zero_point) * scale.

    Attributes:
        scales: (k,) float32; k is 1 per tensor, or the size of dimension `axis`.
        zero_points: (k,) int64.
        axis: dimension that the scales belong to; None if per tensor.
    """

    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64]
    axis: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """One tensor of a graph.

    Attributes:
        index: within its graph.
        dtype: name in the schema, "FLOAT32", "INT8", "INT4", ...
        shape: as the runtime allocates it.
        signature: shape with -1 where it may be resized; equals shape if fixed.
        has_rank: False where even the number of dimensions is unknown (shape is () then).
        quantization: None if not quantised.
        data: the constant's raw bytes, b"" for what is computed.
        sparse: stored with a sparsity encoding.
        is_variable: keeps its value between invokes.
        external: a constant whose bytes lie in another file; data is b"".
        blockwise: a constant with a scale for each block, kept in other tensors;
            quantization is None.
        data_offset: where in the file `data` begins; the same for tensors that share it.
    """

    index: int
    name: str
    dtype: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    has_rank: bool
    quantization: Quantization | None
    data: memoryview
    sparse: bool
    is_variable: bool
    external: bool = False
    blockwise: bool = False
    data_offset: int = 0

    @property
    def is_constant(self) -> bool:
        return len(self.data) > 0 or self.external

    @property
    def elements(self) -> int:
        """Number of elements of `shape`; 1 for a scalar."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    def values(self) -> NDArray[Any]:
        """The constant as an array of `shape`, a read-only view.

        Raises: UnreadableOutput if it is no dense constant of a plain element type, or
        its bytes do not fill its shape.
        """
        dtype = NUMPY_DTYPES.get(self.dtype)
        if dtype is None or self.sparse or not self.data:
            raise UnreadableOutput(f"tensor {self.name!r} is no plain dense constant")
        if len(self.data) != self.elements * np.dtype(dtype).itemsize:
            raise UnreadableOutput(f"tensor {self.name!r}: its data do not fill its shape")
        return np.frombuffer(self.data, dtype=dtype).reshape(self.shape)


@dataclass(frozen=True, slots=True)
class Op:
    """One node of a graph.

    Attributes:
        index: within its graph, in order of execution.
        name: builtin name ("CONV_2D") or the custom op's own.
        version: of the op, as the converter wrote it.
        custom: not a builtin.
        inputs, outputs: tensor indices; -1 for an optional input that is absent.
        options: the builtin options that are numbers or booleans, by their schema name
            ("StrideW", "FusedActivationFunction", ...).
        variable: of a VAR_HANDLE, what its variable is called in the whole file; else None.
    """

    index: int
    name: str
    version: int
    custom: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, int | float | bool]
    variable: str | None = None

    @property
    def flex(self) -> bool:
        """A TensorFlow op, which no runtime without TensorFlow executes."""
        return self.custom and self.name.startswith("Flex")

    @property
    def converts(self) -> bool:
        """Turns numbers into another element type, and computes nothing."""
        return not self.custom and self.name in CONVERSIONS

    @property
    def activation(self) -> str:
        """Fused activation: "NONE", "RELU", "RELU6", ..."""
        return ACTIVATIONS.get(int(self.options.get("FusedActivationFunction", 0)), "UNKNOWN")


@dataclass(frozen=True, slots=True)
class Graph:
    """One subgraph. inputs and outputs are tensor indices."""

    name: str
    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """A named entry: argument name -> tensor index in graph number `graph`."""

    key: str
    graph: int
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TfliteModel:
    """A whole file.

    Attributes:
        version: of the schema, 3.
        description: free text of whoever wrote it.
        graphs: the first one is the main graph.
        metadata: name -> content.
        size_bytes: of the file.
    """

    version: int
    description: str
    graphs: tuple[Graph, ...]
    signatures: tuple[Signature, ...]
    metadata: Mapping[str, bytes]
    size_bytes: int

    @property
    def main(self) -> Graph:
        return self.graphs[0]
