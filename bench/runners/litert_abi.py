"""What libLiteRt of the ai-edge-litert wheel expects in memory: structures, numbers, types.

Source: litert/c/*.h of LiteRT 2.3. Sizes are checked at import. Copied to the device beside
litert_capi.py, whose other half it is: standard library and numpy only, Python 3.9.
"""

from __future__ import annotations

import ctypes as c
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np

PLUGIN_DIR, DISPATCH_DIR, RUNTIME_DIR, LOG_SEVERITY = 0, 1, 22, 25
ANY_INT, ANY_TEXT = 2, 8
LOG_INFO = 1
_LIBRARIES = {"darwin": "libLiteRt.dylib", "linux": "libLiteRt.so"}
_MAX_RANK = 8
_RANK_BITS = 0x7F
PER_TENSOR = 1
LOCK_READ, LOCK_WRITE = 0, 1
_STATUS = {
    1: "invalid argument",
    2: "out of memory",
    3: "runtime failure",
    4: "missing input tensor",
    5: "unsupported",
    6: "not found",
    7: "timeout",
    8: "wrong version",
    9: "unknown",
    500: "file I/O",
    501: "invalid flatbuffer",
    502: "dynamic loading",
    503: "serialization",
    504: "compilation",
}
# TfLiteType -> numpy; what is missing (strings, 4 bits, bfloat16) numpy cannot hold.
_TYPES = {
    1: "f4",
    2: "i4",
    3: "u1",
    4: "i8",
    6: "?",
    7: "i2",
    9: "i1",
    10: "f2",
    11: "f8",
    13: "u8",
    16: "u4",
    17: "u2",
}

Array = Any
Handle = c.c_void_p


class LiteRtError(Exception):
    """A call into the library failed, or the library is not what this module knows."""


class Layout(c.Structure):
    _fields_ = (
        ("bits", c.c_uint32),
        ("dimensions", c.c_int32 * _MAX_RANK),
        ("strides", c.c_uint32 * _MAX_RANK),
    )


class TensorType(c.Structure):
    _fields_ = (("element", c.c_int32), ("layout", Layout))


class PerTensor(c.Structure):
    _fields_ = (("scale", c.c_float), ("zero_point", c.c_int64))


class _Memory(c.Structure):
    _fields_ = (("total", c.c_size_t), ("in_use", c.c_size_t), ("private", c.c_size_t))


class RawEvent(c.Structure):
    _fields_ = (
        ("tag", c.c_char_p),
        ("kind", c.c_int),
        ("start_us", c.c_uint64),
        ("us", c.c_uint64),
        ("before", _Memory),
        ("after", _Memory),
        ("index", c.c_uint64),
        ("subgraph", c.c_uint64),
        ("source", c.c_int),
    )


class Value(c.Union):
    _fields_ = (("number", c.c_int64), ("text", c.c_char_p))


class AnyValue(c.Structure):
    _fields_ = (("kind", c.c_int32), ("value", Value))


class EnvironmentOption(c.Structure):
    _fields_ = (("tag", c.c_int32), ("any", AnyValue))


_SIZES = {
    Layout: 68,
    TensorType: 72,
    PerTensor: 16,
    _Memory: 24,
    RawEvent: 104,
    EnvironmentOption: 24,
}
for _structure, _size in _SIZES.items():
    if c.sizeof(_structure) != _size:
        raise ImportError(f"{_structure.__name__} takes {c.sizeof(_structure)} bytes, not {_size}")


def load() -> tuple[Any, Path]:
    """Return (libLiteRt, the directory that it and its accelerators lie in).

    Raises: LiteRtError where this Python has no ai-edge-litert with that library.
    """
    found = importlib.util.find_spec("ai_edge_litert")
    places = (found.submodule_search_locations if found else None) or ()
    name = _LIBRARIES.get(sys.platform, "")
    for place in places:
        folder = Path(place)
        if name and (folder / name).is_file():
            try:
                return c.CDLL(str(folder / name)), folder
            except OSError as error:
                raise LiteRtError(f"{name} cannot be loaded: {error}") from error
    if not places:
        raise LiteRtError("this Python has no ai-edge-litert")
    raise LiteRtError(f"this ai-edge-litert has no {name or 'libLiteRt'}; versions from 2.1 have")


def problem(status: int) -> str:
    """A status in words; LiteRtGetStatusString is not among what the library exports."""
    return f"{_STATUS.get(status, 'status')} ({status})"


def numpy_type(element: int) -> Any:
    """The numpy type of an element type; LiteRtError where numpy has none."""
    if element not in _TYPES:
        raise LiteRtError(f"a tensor is of TfLiteType {element}, which numpy does not have")
    return np.dtype(_TYPES[element])


def shape_of(layout: Layout) -> list[int]:
    """Its dimensions; LiteRtError for a rank that cannot be."""
    rank = layout.bits & _RANK_BITS
    if rank > _MAX_RANK:
        raise LiteRtError(f"a tensor of {rank} dimensions: not the library this was written for")
    return [int(d) for d in layout.dimensions[:rank]]
