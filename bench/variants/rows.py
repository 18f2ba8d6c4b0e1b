"""Reads the arrays of a large .npz some rows at a time, in the memory of those rows."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray


def read_rows(path: Path, key: str, at_once: int) -> Iterator[NDArray[Any]]:
    """Yield an array (N, ...) of an .npz in blocks of at most `at_once` rows.

    The file is one that bench.variants.arrays has checked.

    Raises: OSError or ValueError if it is no longer what it was.
    """
    with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as file:
        shape, fortran_order, dtype = _header(file)
        if not fortran_order:
            row_bytes = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
            for start in range(0, shape[0], at_once):
                count = min(at_once, shape[0] - start)
                data = file.read(count * row_bytes)
                if len(data) != count * row_bytes:
                    raise ValueError(f"{path.name} has changed: `{key}` is cut short")
                yield np.frombuffer(data, dtype).reshape(count, *shape[1:])
            return
    # Columns first: no row lies in one piece.
    with np.load(path, allow_pickle=False) as arrays:
        whole = arrays[key]
    for start in range(0, len(whole), at_once):
        yield whole[start : start + at_once]


def count_rows(path: Path, key: str) -> int | None:
    """N of an array (N, ...) of an .npz; None if there is no such array."""
    with zipfile.ZipFile(path) as archive:
        if f"{key}.npy" not in archive.namelist():
            return None
        with archive.open(f"{key}.npy") as file:
            return _header(file)[0][0]


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type."""
    if np.lib.format.read_magic(file) == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    return np.lib.format.read_array_header_2_0(file)
