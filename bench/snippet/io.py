"""What code has to know of a model's inputs and outputs, made fit to stand in code.

Names in a model are data of strangers: they reach comments only, and nothing but letters,
digits and a few marks of them does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from bench.errors import UserError
from bench.tflite.values import Quantization, Tensor, TfliteModel

ITEM_BYTES: Mapping[str, int] = MappingProxyType(
    {"float32": 4, "int8": 1, "uint8": 1, "int16": 2, "int32": 4, "int64": 8, "bool": 1}
)
# Arithmetic in double and a clamp are exact for these.
_QUANTISED = ("int8", "uint8", "int16", "int32")

# What java.nio and a TfLiteTensor's int dimensions hold.
_MAX_BYTES = 2**31 - 1
_NAME_CHARS = 60


@dataclass(frozen=True, slots=True)
class Io:
    """One input or output.

    Attributes:
        role: "input" or "output".
        index: among its kind, the order in which every runtime takes them.
        name: of the tensor, safe in a comment of any language.
        var: identifier, "input", or "input0" where there are several.
        dtype: numpy name, a key of ITEM_BYTES.
        shape: as allocated by default.
        open_axes: dimensions that take any size, which `shape` only stands in for.
        scale: None if not quantised; real = (q - zero_point) * scale.
        zero_point: 0 if not quantised.
    """

    role: str
    index: int
    name: str
    var: str
    dtype: str
    shape: tuple[int, ...]
    open_axes: tuple[int, ...]
    scale: np.float32 | None
    zero_point: int

    @property
    def quantised(self) -> bool:
        return self.scale is not None

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        return self.count * ITEM_BYTES[self.dtype]

    @property
    def const(self) -> str:
        """Beginning of its constants' names."""
        return self.var.upper()

    @property
    def scale_text(self) -> str:
        """Shortest decimal that is this very float32; without suffix."""
        return str(self.scale)

    @property
    def low(self) -> int:
        return int(np.iinfo(self.dtype).min)

    @property
    def high(self) -> int:
        return int(np.iinfo(self.dtype).max)

    @property
    def shape_text(self) -> str:
        """ "(1, 8, 8, 1)", "any" for an open dimension."""
        sizes = ["any" if i in self.open_axes else str(n) for i, n in enumerate(self.shape)]
        return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"

    @property
    def values_text(self) -> str:
        """How many values there are to give, in which shape."""
        return f"{'' if self.open_axes else f'{self.count} '}values of shape {self.shape_text}"

    @property
    def about(self) -> str:
        """One line: name, type, shape, size, meaning of the numbers."""
        size = "" if self.open_axes else f", {self.size_bytes} bytes"
        meaning = (
            f", real = (q - {self.zero_point}) * {self.scale_text}".replace("- -", "+ ")
            if self.quantised
            else ""
        )
        return f"{self.var} {self.name}: {self.dtype} {self.shape_text}{size}{meaning}"


@dataclass(frozen=True, slots=True)
class ModelIo:
    """Inputs and outputs of a model.

    Attributes:
        dynamic: whether any size is open, so that sizes are asked for at run time.
        custom_ops: ops that have to be registered with the runtime, safe in a comment.
    """

    inputs: tuple[Io, ...]
    outputs: tuple[Io, ...]
    dynamic: bool
    custom_ops: tuple[str, ...]


def describe(model: TfliteModel, name: str) -> ModelIo:
    """Inputs and outputs of the main graph.

    Args:
        name: of the file, for messages.

    Raises: UserError for a model that cannot run (Flex ops), or whose inputs or outputs no
    plain buffer can hold.
    """
    ops = [op for graph in model.graphs for op in graph.ops]
    if flex := sorted({op.name for op in ops if op.flex}):
        raise UserError(
            f"{name}: needs TensorFlow ops ({', '.join(flex)}), which no LiteRT interpreter runs; "
            "replace those layers, and convert without select-tf-ops"
        )
    graph = model.main
    if not graph.inputs or not graph.outputs:
        raise UserError(
            f"{name}: has no {'outputs' if graph.inputs else 'inputs'} to write code for"
        )
    inputs = _all("input", [graph.tensors[i] for i in graph.inputs], name)
    outputs = _all("output", [graph.tensors[i] for i in graph.outputs], name)
    return ModelIo(
        inputs=inputs,
        outputs=outputs,
        # Without a rank it may be a scalar, or anything.
        dynamic=any(io.open_axes for io in (*inputs, *outputs))
        or any(not graph.tensors[i].has_rank for i in graph.outputs),
        custom_ops=tuple(sorted({comment(op.name) for op in ops if op.custom})),
    )


def comment(text: str) -> str:
    """A name that ends no comment, begins no escape and continues no line, in any language."""
    return (
        re.sub(r"[^A-Za-z0-9_.:/;()+-]", "_", text)[:_NAME_CHARS].replace("//", "__") or "unnamed"
    )


def _all(role: str, tensors: list[Tensor], name: str) -> tuple[Io, ...]:
    return tuple(
        _io(role, index, tensor, role if len(tensors) == 1 else f"{role}{index}", name)
        for index, tensor in enumerate(tensors)
    )


def _io(role: str, index: int, tensor: Tensor, var: str, name: str) -> Io:
    where = f"{name}: {role} {index}"
    dtype = tensor.dtype.lower()
    if dtype not in ITEM_BYTES:
        raise UserError(
            f"{where} is {tensor.dtype}; code is written for {', '.join(ITEM_BYTES)} only"
        )
    open_axes = tuple(i for i, size in enumerate(tensor.signature) if size < 0)
    if open_axes and len(tensor.signature) != len(tensor.shape):
        raise UserError(f"{where} contradicts itself about its shape; convert the model again")
    # What is open stands at 1 by default, whatever an odd file says.
    shape = tuple(max(1, n) if i in open_axes else n for i, n in enumerate(tensor.shape))
    scale, zero_point = _scale(tensor.quantization, dtype, where)
    io = Io(role, index, comment(tensor.name), var, dtype, shape, open_axes, scale, zero_point)
    if not 0 < io.size_bytes <= _MAX_BYTES:
        raise UserError(
            f"{where} has shape {io.shape_text}, {io.size_bytes} bytes, which no buffer holds"
        )
    return io


def _scale(given: Quantization | None, dtype: str, where: str) -> tuple[np.float32 | None, int]:
    if given is None or dtype not in ITEM_BYTES or dtype in ("float32", "bool"):
        return None, 0
    if len(given.scales) != 1:
        raise UserError(f"{where} is quantised per channel; inputs and outputs have one scale")
    scale, zero_point = np.float32(given.scales[0]), int(given.zero_points[0])
    # As the interpreters have it: a scale of zero is none.
    if scale == 0:
        return None, 0
    if dtype not in _QUANTISED:
        raise UserError(
            f"{where} is quantised {dtype}; code is written for {', '.join(_QUANTISED)}"
        )
    limits = np.iinfo(dtype)
    if not (np.isfinite(scale) and scale > 0) or not limits.min <= zero_point <= limits.max:
        raise UserError(
            f"{where} has scale {scale} and zero point {zero_point}, which no {dtype} can have; "
            "convert the model again"
        )
    return scale, zero_point
