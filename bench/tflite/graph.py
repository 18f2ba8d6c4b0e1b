"""Parses a .tflite into plain frozen values; the one place that touches the flatbuffer.

Source of the format: the TFLite schema (version 3, file identifier TFL3) as generated
into ai_edge_litert.schema_py_generated. Files come from strangers: every length is
bounded by what the file can hold, so that a damaged or hostile one gives UnreadableOutput
in time proportional to its size, never a crash or a hang.
"""

from __future__ import annotations

import struct
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

# Vectors may be shared by many tables of a file, which a hostile one turns into work that
# grows with the square of its size; no real model comes near this many elements per byte.
_ELEMENTS_PER_BYTE = 16


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

    @property
    def is_constant(self) -> bool:
        return len(self.data) > 0

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
        if dtype is None or self.sparse or not self.is_constant:
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
    """

    index: int
    name: str
    version: int
    custom: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, int | float | bool]

    @property
    def flex(self) -> bool:
        """A TensorFlow op, which no runtime without TensorFlow executes."""
        return self.custom and self.name.startswith("Flex")

    @property
    def activation(self) -> str:
        """Fused activation: "NONE", "RELU", "RELU6", ..."""
        return ACTIVATIONS.get(int(self.options.get("FusedActivationFunction", 0)), "NONE")


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


def parse_model(data: bytes) -> TfliteModel:
    """Read a flatbuffer in the TFLite schema.

    Raises: UnreadableOutput if it is not one, is cut short, contradicts itself (a tensor,
    buffer or op code that is not there) or has no ops.
    """
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise UnreadableOutput("not a .tflite file: the identifier TFL3 is missing")
    try:
        model = _Parser(data).model()
    except (
        struct.error,
        IndexError,
        ValueError,
        TypeError,
        AttributeError,
        KeyError,
        OverflowError,
    ) as error:
        raise UnreadableOutput(f"a damaged .tflite file ({error})") from error
    if not any(graph.ops for graph in model.graphs):
        raise UnreadableOutput("a .tflite file without any op")
    return model


def _names(enum: type) -> dict[int, str]:
    return {v: k for k, v in vars(enum).items() if isinstance(v, int) and not k.startswith("_")}


_TENSOR_TYPES = _names(schema.TensorType)
_OPS = _names(schema.BuiltinOperator)
_OPTIONS = _names(schema.BuiltinOptions)
ACTIVATIONS: Mapping[int, str] = MappingProxyType(_names(schema.ActivationFunctionType))


class _Parser:
    """Walks one file, and keeps account of how much it has walked."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._view = memoryview(data)
        self._left = _ELEMENTS_PER_BYTE * len(data)
        self._root = schema.Model.GetRootAs(data, 0)
        self._codes: list[tuple[str, int, bool]] = []

    def model(self) -> TfliteModel:
        root = self._root
        self._codes = [
            self._code(root.OperatorCodes(i)) for i in self._range(root.OperatorCodesLength())
        ]
        graphs = tuple(self._graph(root.Subgraphs(i)) for i in self._range(root.SubgraphsLength()))
        if not graphs:
            raise ValueError("no subgraph")
        return TfliteModel(
            version=int(root.Version()),
            description=_text(root.Description()),
            graphs=graphs,
            signatures=tuple(
                self._signature(root.SignatureDefs(i), graphs)
                for i in self._range(root.SignatureDefsLength())
            ),
            metadata=MappingProxyType(
                dict(self._entry(root.Metadata(i)) for i in self._range(root.MetadataLength()))
            ),
            size_bytes=len(self._data),
        )

    def _range(self, count: int) -> range:
        """Indices of a vector, paid for from the account."""
        self._left -= count
        if self._left < 0:
            raise ValueError("its vectors hold more than the file")
        return range(count)

    def _ints(self, count: int, at: Any) -> tuple[int, ...]:
        return tuple(int(at(i)) for i in self._range(count))

    def _code(self, code: Any) -> tuple[str, int, bool]:
        # Ops above 127 do not fit the deprecated byte; old files have only that byte.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = _OPS.get(number, f"BUILTIN_{number}")
        if name == "CUSTOM":
            return _text(code.CustomCode()) or "CUSTOM", int(code.Version()), True
        return name, int(code.Version()), False

    def _graph(self, graph: Any) -> Graph:
        tensors = tuple(
            self._tensor(i, graph.Tensors(i)) for i in self._range(graph.TensorsLength())
        )
        ops = tuple(self._op(i, graph.Operators(i)) for i in self._range(graph.OperatorsLength()))
        inputs = self._ints(graph.InputsLength(), graph.Inputs)
        outputs = self._ints(graph.OutputsLength(), graph.Outputs)
        for op in ops:
            _check(op.inputs, len(tensors), optional=True)
            _check(op.outputs, len(tensors))
        _check(inputs, len(tensors))
        _check(outputs, len(tensors))
        return Graph(_text(graph.Name()), tensors, ops, inputs, outputs)

    def _tensor(self, index: int, tensor: Any) -> Tensor:
        shape = self._ints(tensor.ShapeLength(), tensor.Shape)
        signature = self._ints(tensor.ShapeSignatureLength(), tensor.ShapeSignature) or shape
        if any(size < 0 for size in shape):
            raise ValueError("a tensor of negative size")
        return Tensor(
            index=index,
            name=_text(tensor.Name()),
            dtype=_TENSOR_TYPES.get(tensor.Type(), f"TYPE_{tensor.Type()}"),
            shape=shape,
            signature=signature,
            has_rank=bool(tensor.HasRank()) or bool(shape),
            quantization=self._quantization(tensor.Quantization()),
            data=self._buffer(tensor.Buffer()),
            sparse=tensor.Sparsity() is not None,
            is_variable=bool(tensor.IsVariable()),
        )

    def _quantization(self, given: Any) -> Quantization | None:
        if given is None or given.ScaleLength() == 0:
            return None
        count = given.ScaleLength()
        scales = np.array([given.Scale(i) for i in self._range(count)], np.float32)
        zeros = self._ints(given.ZeroPointLength(), given.ZeroPoint) or (0,)
        if len(zeros) not in (1, count):
            raise ValueError("scales and zero points of different number")
        return Quantization(
            scales=scales,
            zero_points=np.broadcast_to(np.array(zeros, np.int64), (count,)),
            axis=int(given.QuantizedDimension()) if count > 1 else None,
        )

    def _buffer(self, index: int) -> memoryview:
        if not 0 <= index < self._root.BuffersLength():
            raise ValueError(f"no buffer {index}")
        buffer = self._root.Buffers(index)
        length = buffer.DataLength()
        if length:
            # The vector's position; DataAsNumpy would copy nothing but check nothing either.
            field = buffer._tab.Offset(4)
            start = buffer._tab.Vector(field)
        else:
            # Models above 2 GB keep their data behind the flatbuffer.
            start, length = int(buffer.Offset()), int(buffer.Size())
            if start <= 1 or length == 0:
                return self._view[:0]
        if start < 0 or start + length > len(self._data):
            raise ValueError("a buffer beyond the end of the file")
        return self._view[start : start + length]

    def _op(self, index: int, op: Any) -> Op:
        number = op.OpcodeIndex()
        if not 0 <= number < len(self._codes):
            raise ValueError(f"no op code {number}")
        name, version, custom = self._codes[number]
        return Op(
            index=index,
            name=name,
            version=version,
            custom=custom,
            inputs=self._ints(op.InputsLength(), op.Inputs),
            outputs=self._ints(op.OutputsLength(), op.Outputs),
            options=MappingProxyType(_options(op)),
        )

    def _signature(self, given: Any, graphs: tuple[Graph, ...]) -> Signature:
        graph = int(given.SubgraphIndex())
        if not 0 <= graph < len(graphs):
            raise ValueError(f"a signature of subgraph {graph}, which is not there")
        inputs = {
            _text(entry.Name()): int(entry.TensorIndex())
            for entry in map(given.Inputs, self._range(given.InputsLength()))
        }
        outputs = {
            _text(entry.Name()): int(entry.TensorIndex())
            for entry in map(given.Outputs, self._range(given.OutputsLength()))
        }
        for indices in (inputs.values(), outputs.values()):
            _check(tuple(indices), len(graphs[graph].tensors))
        return Signature(
            _text(given.SignatureKey()),
            graph,
            MappingProxyType(inputs),
            MappingProxyType(outputs),
        )

    def _entry(self, given: Any) -> tuple[str, bytes]:
        return _text(given.Name()), bytes(self._buffer(given.Buffer()))


def _options(op: Any) -> dict[str, int | float | bool]:
    """The numeric fields of whichever options table the op has."""
    table = op.BuiltinOptions()
    kind = getattr(schema, _OPTIONS.get(op.BuiltinOptionsType(), ""), None)
    if table is None or kind is None:
        return {}
    options = kind()
    options.Init(table.Bytes, table.Pos)
    found = {}
    for name in _fields(kind):
        value = getattr(options, name)()
        if isinstance(value, bool | int | float):
            found[name] = value
    return found


_FIELDS: dict[type, tuple[str, ...]] = {}


def _fields(kind: type) -> tuple[str, ...]:
    """Names of a generated table's scalar fields; vectors have a `...Length` beside them."""
    if kind not in _FIELDS:
        names = [n for n, v in vars(kind).items() if n[0].isupper() and callable(v)]
        vectors = {n.removesuffix("Length") for n in names if n.endswith("Length")}
        _FIELDS[kind] = tuple(
            n
            for n in names
            if n != "Init"
            and n not in vectors
            and not n.endswith(("Length", "AsNumpy", "IsNone"))
            and not n.startswith("GetRootAs")
        )
    return _FIELDS[kind]


def _check(indices: tuple[int, ...], count: int, *, optional: bool = False) -> None:
    least = -1 if optional else 0
    if any(not least <= index < count for index in indices):
        raise ValueError("a node names a tensor that is not there")


def _text(raw: bytes | None) -> str:
    return "" if raw is None else raw.decode("utf-8", errors="replace")
