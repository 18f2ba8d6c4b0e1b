"""The constants of a model: parameters, element types, granularity, sparsity."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.tflite.graph import FLOATS, NUMPY_DTYPES, Tensor, TfliteModel

# Elements looked at at once, so that a model of gigabytes costs megabytes beside it.
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class ElementType:
    """Constants of one element type.

    Attributes:
        tensors: how many distinct constants.
        parameters: elements of those that stand for real numbers.
        size_bytes: as stored in the file; None if some lie in another file.
    """

    tensors: int
    parameters: int
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Weights:
    """All constants of a file, each counted once however many tensors share it.

    Attributes:
        parameters: elements of constants that stand for real numbers: floats, and
            integers with a scale. Shapes, axes and indices are none.
        by_type: element type -> its constants.
        per_channel, per_tensor, blockwise: number of quantised constants of 2 dimensions
            or more by how many scales they have (biases are left out).
        sparse_tensors: stored in a sparse encoding.
        zeros: dense weights (2 dimensions or more) that are exactly zero in real numbers.
        zeros_of: elements that `zeros` was looked for in.
        zeros_unread: weights whose zeros were not counted: sparse, in another file, or of
            an element type that no code here reads.
    """

    parameters: int
    by_type: Mapping[str, ElementType]
    per_channel: int
    per_tensor: int
    blockwise: int
    sparse_tensors: int
    zeros: int
    zeros_of: int
    zeros_unread: int

    @property
    def zero_share(self) -> float | None:
        """Of the dense weights; None if the file has none that could be looked at."""
        return self.zeros / self.zeros_of if self.zeros_of else None

    def to_json(self) -> dict[str, Any]:
        return {
            "parameters": self.parameters,
            "by_type": {
                dtype: {
                    "tensors": held.tensors,
                    "parameters": held.parameters,
                    "size_bytes": held.size_bytes,
                }
                for dtype, held in self.by_type.items()
            },
            "granularity": {
                "per_channel": self.per_channel,
                "per_tensor": self.per_tensor,
                "blockwise": self.blockwise,
            },
            "sparsity": {
                "sparse_tensors": self.sparse_tensors,
                "zeros": self.zeros,
                "zeros_of": self.zeros_of,
                "zero_share": self.zero_share,
                "tensors_not_read": self.zeros_unread,
            },
        }


def weigh(model: TfliteModel) -> Weights:
    """Look at every constant of a file once."""
    constants = list(_distinct(model))
    matrices = [t for t in constants if len(t.shape) >= 2 and _is_parameter(t)]
    counts = [_zeros(tensor) for tensor in matrices]
    scaled = [t.quantization for t in matrices if t.quantization is not None]
    by_type: dict[str, list[Tensor]] = {}
    for tensor in constants:
        by_type.setdefault(tensor.dtype, []).append(tensor)
    return Weights(
        parameters=sum(t.elements for t in constants if _is_parameter(t)),
        by_type=MappingProxyType({dtype: _type(by_type[dtype]) for dtype in sorted(by_type)}),
        per_channel=sum(given.axis is not None for given in scaled),
        per_tensor=sum(given.axis is None for given in scaled),
        blockwise=sum(t.blockwise for t in matrices),
        sparse_tensors=sum(t.sparse for t in constants),
        zeros=sum(count for count in counts if count is not None),
        zeros_of=sum(
            t.elements for t, count in zip(matrices, counts, strict=True) if count is not None
        ),
        zeros_unread=sum(count is None for count in counts),
    )


def _distinct(model: TfliteModel) -> Iterator[Tensor]:
    seen: set[tuple[int, int]] = set()
    for graph in model.graphs:
        for tensor in graph.tensors:
            if not tensor.is_constant:
                continue
            place = (tensor.data_offset, len(tensor.data))
            if tensor.external or place not in seen:
                seen.add(place)
                yield tensor


def _is_parameter(tensor: Tensor) -> bool:
    return tensor.dtype in FLOATS or tensor.quantization is not None or tensor.blockwise


def _type(tensors: list[Tensor]) -> ElementType:
    external = any(tensor.external for tensor in tensors)
    return ElementType(
        tensors=len(tensors),
        parameters=sum(t.elements for t in tensors if _is_parameter(t)),
        size_bytes=None if external else sum(len(t.data) for t in tensors),
    )


def _zeros(tensor: Tensor) -> int | None:
    """Elements that stand for exactly 0.0; None if they cannot be read."""
    unpack = _UNPACK.get(tensor.dtype)
    if tensor.sparse or tensor.blockwise or not tensor.data:
        return None
    if unpack is None and tensor.dtype not in NUMPY_DTYPES:
        return None
    raw = np.frombuffer(tensor.data, NUMPY_DTYPES.get(tensor.dtype, "<u1"))
    zero_points = _zero_points(tensor)
    if zero_points is None:
        return None
    found, start = 0, 0
    step = _CHUNK
    for begin in range(0, len(raw), step):
        values = raw[begin : begin + step]
        if unpack is not None:
            values = unpack(values)[: tensor.elements - start]
        zeros = zero_points(start, len(values))
        found += int(np.count_nonzero(values == zeros))
        start += len(values)
    return found


def _zero_points(tensor: Tensor) -> Callable[[int, int], Any] | None:
    """(first element, number) -> the values that stand for zero there."""
    given = tensor.quantization
    if given is None or tensor.dtype in FLOATS:
        return lambda first, count: 0
    points = given.zero_points
    if given.axis is None or (points == points[0]).all():
        return lambda first, count: points[0]
    inner = int(np.prod(tensor.shape[given.axis + 1 :], dtype=np.int64))
    if inner == 0:
        return None
    return lambda first, count: points[np.arange(first, first + count) // inner % len(points)]


def _int4(packed: NDArray[Any]) -> NDArray[Any]:
    """Two's complement nibbles, the low one first."""
    nibbles = np.stack([packed & 15, packed >> 4], axis=1).reshape(-1).astype(np.int8)
    return np.where(nibbles > 7, nibbles - 16, nibbles)


def _bfloat16(packed: NDArray[Any]) -> NDArray[Any]:
    """Only zero or not matters here: all bits but the sign."""
    return packed.view("<u2") & 0x7FFF


_UNPACK: Mapping[str, Callable[[NDArray[Any]], NDArray[Any]]] = MappingProxyType(
    {"BFLOAT16": _bfloat16, "INT4": _int4}
)
