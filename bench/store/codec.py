"""Values that SQL has no type for, as bytes and text: arrays, JSON, text with any code point."""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import StoreError

# Format of a packed array: this byte, one byte of item size, then zlib (level 6) of
# the little-endian items with their bytes transposed into planes (all lowest bytes
# first, then all second bytes, ...; the "shuffle" of HDF5 and Blosc).
#
# Measured on recorded and simulated launches of 500 to 5,000 samples, bytes per
# sample, plain / minus the first / differences / planes: 20 us 2.15 / 2.17 / 2.27 /
# 1.56; 1.1 ms 2.88 / 2.90 / 3.01 / 2.18; 8 ms 3.27 / 3.28 / 3.38 / 2.70. Planes are
# also packed four times faster, and subtracting before them only makes them longer.
_PLANES = 1
_HEADER_BYTES = 2

_UNSTORABLE = re.compile("[\\\\\x00\ud800-\udfff]")
_ESCAPED = re.compile(r"\\u([0-9a-f]{4})")


def pack_array(values: NDArray[Any], dtype: str) -> bytes:
    """Pack an array of shape (N,) losslessly.

    Args:
        values: of a type that converts to `dtype` without loss ("safe" casting).
        dtype: little-endian numpy type, e.g. "<i8"; unpack_array needs it again.

    Raises:
        StoreError: not one-dimensional, or not of that type.
    """
    array = np.asarray(values)
    if array.ndim != 1 or not np.can_cast(array.dtype, dtype, "safe"):
        raise StoreError(
            f"cannot store an array of shape {array.shape} and type {array.dtype} as {dtype}"
        )
    items = np.ascontiguousarray(array, dtype=dtype)
    size = items.dtype.itemsize
    planes = items.view(np.uint8).reshape(-1, size).T
    return bytes((_PLANES, size)) + zlib.compress(planes.tobytes(), 6)


def unpack_array(blob: bytes, dtype: str) -> NDArray[Any]:
    """Give back what pack_array was given, in native byte order, shape (N,).

    Raises:
        StoreError: the bytes are damaged, of another type, or of a newer encoding.
    """
    size = np.dtype(dtype).itemsize
    if blob[:_HEADER_BYTES] != bytes((_PLANES, size)):
        raise StoreError(
            f"stored array begins with {blob[:_HEADER_BYTES].hex() or 'nothing'}, not with "
            f"{_PLANES:02x}{size:02x}: written by a newer edgebench, or damaged"
        )
    try:
        data = zlib.decompress(blob[_HEADER_BYTES:])
    except zlib.error as error:
        raise StoreError(f"stored array is damaged: {error}") from error
    if len(data) % size:
        raise StoreError(f"stored array is damaged: {len(data)} bytes of {size}-byte items")
    planes = np.frombuffer(data, dtype=np.uint8).reshape(size, -1)
    items = np.ascontiguousarray(planes.T).reshape(-1).view(dtype)
    return items.astype(np.dtype(dtype).newbyteorder("="), copy=False)


def json_text(value: object, where: str) -> str:
    """One line of pure ASCII JSON in which nothing was changed on the way.

    Tuples become lists and numpy scalars plain numbers; everything else that JSON
    would have to bend (keys that are not text, NaN, infinity, other types) is refused.

    Args:
        where: what the value is, for the message.

    Raises:
        StoreError: not plain JSON; the message names the place inside the value.
    """
    return json.dumps(_plain(value, where), separators=(",", ":"), allow_nan=False)


def _plain(value: object, where: str) -> object:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise StoreError(f"{where} is {value}: a number that was not measured is None")
        return value
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise StoreError(f"{where} has the key {key!r}, which is not text")
        return {str(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
    raise StoreError(f"{where} is of type {type(value).__name__}, which JSON does not have")


def escape_text(text: str) -> str:
    r"""Make any Python text storable as UTF-8 without NUL, and readable where it was.

    Output of programs and names of files hold NUL and undecodable bytes (lone
    surrogates, PEP 383). They are written \uXXXX, and so is the backslash itself.
    """
    return _UNSTORABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def unescape_text(text: str) -> str:
    """Undo escape_text."""
    if "\\" not in text:
        return text
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
