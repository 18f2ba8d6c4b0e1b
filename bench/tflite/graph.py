"""Parses a .tflite into plain frozen values; the one place that touches the flatbuffer.

Source of the format: the TFLite schema (version 3, file identifier TFL3) as generated
into ai_edge_litert.schema_py_generated. Files come from strangers: every length is
bounded by what the file can hold, so that a damaged or hostile one gives UnreadableOutput
in time and memory proportional to its size, never a crash or a hang.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from bench.errors import UnreadableOutput
from bench.tflite.options import options_of, variable_of
from bench.tflite.values import (
    ACTIVATIONS,
    CONVERSIONS,
    ELEMENT_BITS,
    FLOATS,
    NUMPY_DTYPES,
    Graph,
    Op,
    Quantization,
    Signature,
    Tensor,
    TfliteModel,
    names_of,
)

__all__ = [
    "ACTIVATIONS",
    "CONVERSIONS",
    "FLOATS",
    "NUMPY_DTYPES",
    "Graph",
    "Op",
    "Quantization",
    "Signature",
    "Tensor",
    "TfliteModel",
    "parse_model",
]

# Vectors, strings and buffers may be shared by many tables of a file, which a hostile one
# turns into work that grows with the square of its size. Converters share next to nothing:
# what is read of a real file adds up to less than the file itself.
_BYTES_PER_BYTE = 3
_SLACK_BYTES = 1 << 16

# The largest models of today, language models with a graph per task, stay below 50,000.
_MOST_TABLES = 200_000

# No kernel of the runtime takes more than 8; the bound keeps products of sizes printable.
_MOST_DIMENSIONS = 16


def parse_model(data: bytes) -> TfliteModel:
    """Read a flatbuffer in the TFLite schema.

    Raises: UnreadableOutput if it is not one, is cut short, contradicts itself (a tensor,
    buffer or op code that is not there, a constant that does not fill its shape) or has
    no ops.
    """
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise UnreadableOutput("not a .tflite file: the identifier TFL3 is missing")
    try:
        model = _Parser(data).model()
    except _Damage as error:
        raise UnreadableOutput(f"a damaged .tflite file ({error})") from error
    except (
        struct.error,
        IndexError,
        ValueError,
        TypeError,
        AttributeError,
        KeyError,
        OverflowError,
    ) as error:
        raise UnreadableOutput("a damaged .tflite file (an offset leads astray)") from error
    if not any(graph.ops for graph in model.graphs):
        raise UnreadableOutput("a .tflite file without any op")
    return model


class _Damage(Exception):
    """What is wrong with a file, in words."""


_TENSOR_TYPES = names_of(schema.TensorType)
_OPS = names_of(schema.BuiltinOperator)


class _Parser:
    """Walks one file, and keeps account of how much it has walked."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._view = memoryview(data).toreadonly()
        self._left = _BYTES_PER_BYTE * len(data) + _SLACK_BYTES
        self._tables_left = _MOST_TABLES
        self._root = schema.Model.GetRootAs(data, 0)
        self._codes: list[tuple[str, int, bool]] = []
        self._seen: set[tuple[int, int]] = set()

    def model(self) -> TfliteModel:
        root = self._root
        self._codes = [
            self._code(code) for code in self._tables(root.OperatorCodes, root.OperatorCodesLength)
        ]
        graphs = tuple(self._graph(g) for g in self._tables(root.Subgraphs, root.SubgraphsLength))
        if not graphs:
            raise _Damage("no subgraph")
        return TfliteModel(
            version=int(root.Version()),
            description=self._text(root.Description()),
            graphs=graphs,
            signatures=tuple(
                self._signature(given, graphs)
                for given in self._tables(root.SignatureDefs, root.SignatureDefsLength)
            ),
            metadata=MappingProxyType(
                dict(
                    self._entry(given) for given in self._tables(root.Metadata, root.MetadataLength)
                )
            ),
            size_bytes=len(self._data),
        )

    def _pay(self, count_bytes: int) -> None:
        self._left -= count_bytes
        if self._left < 0:
            raise _Damage("its parts add up to more than the file")

    def _tables(self, at: Any, length: Any) -> Iterator[Any]:
        """The tables of a vector, given its generated accessors."""
        count = int(length())
        self._pay(4 * count)
        self._count(count)
        return map(at, range(count))

    def _count(self, tables: int) -> None:
        self._tables_left -= tables
        if self._tables_left < 0:
            raise _Damage(f"more than {_MOST_TABLES} tensors and ops")

    def _vector(self, length: Any, as_numpy: Any) -> NDArray[Any]:
        """A vector of numbers as a view into the file, given its generated accessors."""
        count = int(length())
        if count == 0:
            return np.empty(0, np.int64)
        # What becomes of a number in Python takes more than the bytes that it has here.
        self._pay(8 * count)
        values: NDArray[Any] = as_numpy()
        return values

    def _ints(self, length: Any, as_numpy: Any) -> tuple[int, ...]:
        return tuple(self._vector(length, as_numpy).tolist())

    def _text(self, raw: bytes | None) -> str:
        if raw is None:
            return ""
        self._pay(len(raw))
        return raw.decode("utf-8", errors="replace")

    def _code(self, code: Any) -> tuple[str, int, bool]:
        # Ops above 127 do not fit the deprecated byte; old files have only that byte.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if number < 0:
            raise _Damage(f"an op code of number {number}")
        name = _OPS.get(number, f"BUILTIN_{number}")
        if name == "CUSTOM":
            return self._text(code.CustomCode()) or "CUSTOM", int(code.Version()), True
        return name, int(code.Version()), False

    def _graph(self, graph: Any) -> Graph:
        tensors = tuple(
            self._tensor(index, tensor)
            for index, tensor in enumerate(self._tables(graph.Tensors, graph.TensorsLength))
        )
        ops = tuple(
            self._op(index, op)
            for index, op in enumerate(self._tables(graph.Operators, graph.OperatorsLength))
        )
        inputs = self._ints(graph.InputsLength, graph.InputsAsNumpy)
        outputs = self._ints(graph.OutputsLength, graph.OutputsAsNumpy)
        self._count(len(inputs) + len(outputs))
        for op in ops:
            _check(op.inputs, len(tensors), optional=True)
            _check(op.outputs, len(tensors))
        _check(inputs, len(tensors))
        _check(outputs, len(tensors))
        return Graph(self._text(graph.Name()), tensors, ops, inputs, outputs)

    def _tensor(self, index: int, given: Any) -> Tensor:
        shape = self._ints(given.ShapeLength, given.ShapeAsNumpy)
        signature = self._ints(given.ShapeSignatureLength, given.ShapeSignatureAsNumpy) or shape
        if len(shape) > _MOST_DIMENSIONS:
            raise _Damage(f"a tensor of {len(shape)} dimensions")
        if min(shape, default=0) < 0 or min(signature, default=0) < -1:
            raise _Damage("a tensor of negative size")
        if len(signature) != len(shape):
            raise _Damage("a tensor with two numbers of dimensions")
        start, data = self._buffer(given.Buffer())
        external = given.ExternalBuffer() > 0
        quantization = given.Quantization()
        tensor = Tensor(
            index=index,
            name=self._text(given.Name()),
            dtype=_TENSOR_TYPES.get(given.Type(), f"TYPE_{given.Type()}"),
            shape=shape,
            signature=signature,
            has_rank=bool(given.HasRank()) or bool(shape) or bool(data),
            quantization=self._quantization(quantization, shape),
            data=data,
            sparse=given.Sparsity() is not None,
            is_variable=bool(given.IsVariable()),
            external=external,
            data_offset=start,
            blockwise=quantization is not None
            and quantization.DetailsType() == schema.QuantizationDetails.BlockwiseQuantization,
        )
        bits = ELEMENT_BITS.get(tensor.dtype)
        if data and bits and not tensor.sparse and len(data) != (tensor.elements * bits + 7) // 8:
            raise _Damage("a constant that does not fill its shape")
        return tensor

    def _quantization(self, given: Any, shape: tuple[int, ...]) -> Quantization | None:
        if given is None or given.ScaleLength() == 0:
            return None
        scales = self._vector(given.ScaleLength, given.ScaleAsNumpy)
        zeros = self._vector(given.ZeroPointLength, given.ZeroPointAsNumpy)
        if len(zeros) not in (0, 1, len(scales)):
            raise _Damage("scales and zero points of different number")
        axis = int(given.QuantizedDimension()) if len(scales) > 1 else None
        if axis is not None and not 0 <= axis < len(shape):
            raise _Damage("scales of a dimension that is not there")
        if axis is not None and len(scales) != shape[axis]:
            raise _Damage("not one scale for each channel")
        return Quantization(
            scales=scales,
            zero_points=np.broadcast_to(zeros if len(zeros) else np.int64(0), (len(scales),)),
            axis=axis,
        )

    def _buffer(self, index: int) -> tuple[int, memoryview]:
        """Where a buffer begins, and what it holds."""
        if not 0 <= index < self._root.BuffersLength():
            raise _Damage(f"no buffer {index}")
        buffer = self._root.Buffers(index)
        length = buffer.DataLength()
        if length:
            # The vector's position: DataAsNumpy would give the bytes, but check nothing.
            start = buffer._tab.Vector(buffer._tab.Offset(4))
        else:
            # Models above 2 GB keep their data behind the flatbuffer.
            start, length = int(buffer.Offset()), int(buffer.Size())
            if start <= 1 or length == 0:
                return 0, self._view[:0]
        if start + length > len(self._data):
            raise _Damage("a buffer beyond the end of the file")
        # Whoever reads a model reads each constant, once: those that overlap are no more
        # than the file, or it is a bomb.
        if (start, length) not in self._seen:
            self._seen.add((start, length))
            self._pay(length)
        return start, self._view[start : start + length]

    def _op(self, index: int, op: Any) -> Op:
        number = op.OpcodeIndex()
        if not 0 <= number < len(self._codes):
            raise _Damage(f"no op code {number}")
        name, version, custom = self._codes[number]
        return Op(
            index=index,
            name=name,
            version=version,
            custom=custom,
            inputs=self._ints(op.InputsLength, op.InputsAsNumpy),
            outputs=self._ints(op.OutputsLength, op.OutputsAsNumpy),
            options=MappingProxyType({} if custom else options_of(op)),
            variable=variable_of(op, self._text) if name == "VAR_HANDLE" and not custom else None,
        )

    def _signature(self, given: Any, graphs: tuple[Graph, ...]) -> Signature:
        graph = int(given.SubgraphIndex())
        if not 0 <= graph < len(graphs):
            raise _Damage(f"a signature of subgraph {graph}, which is not there")
        inputs, outputs = (
            {self._text(entry.Name()): int(entry.TensorIndex()) for entry in entries}
            for entries in (
                self._tables(given.Inputs, given.InputsLength),
                self._tables(given.Outputs, given.OutputsLength),
            )
        )
        for indices in (inputs.values(), outputs.values()):
            _check(tuple(indices), len(graphs[graph].tensors))
        return Signature(
            self._text(given.SignatureKey()),
            graph,
            MappingProxyType(inputs),
            MappingProxyType(outputs),
        )

    def _entry(self, given: Any) -> tuple[str, bytes]:
        _, content = self._buffer(given.Buffer())
        self._pay(len(content))
        return self._text(given.Name()), bytes(content)


def _check(indices: tuple[int, ...], count: int, *, optional: bool = False) -> None:
    least = -1 if optional else 0
    if indices and not (least <= min(indices) and max(indices) < count):
        raise _Damage("a node names a tensor that is not there")
