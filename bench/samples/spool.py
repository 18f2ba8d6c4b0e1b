"""Collects samples on disk as they come, and makes one .npz of them."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from bench.errors import UserError
from bench.variants.arrays import MAX_NAME_BYTES, NAME_COMMENT

# Beyond what a machine can calibrate with, or judge by: a generator that never ends.
MAX_BYTES = 16 * 2**30
MAX_SAMPLES = 10_000_000

_ROWS = 1 << 20


class Spool:
    """Samples of one shape and dtype, appended to a file.

    Attributes:
        name: of the array, "x" or "y".
        what: begins every message, e.g. "calibration data:samples: `x`".
        count: number of samples so far.
        dtype: None as long as there is none.
        item: shape of one sample.
    """

    def __init__(self, path: Path, name: str, where: str) -> None:
        self.name = name
        self.what = f"{where}: `{name}`"
        self.count = 0
        self.dtype: np.dtype[Any] | None = None
        self.item: tuple[int, ...] = ()
        self._path = path
        self._file = path.open("wb")

    def append(self, samples: NDArray[Any]) -> None:
        """Add (n, ...) samples.

        Raises: UserError if they are of another shape or dtype than the first, or too many.
        """
        if self.dtype is None:
            self.dtype, self.item = samples.dtype, samples.shape[1:]
        if samples.shape[1:] != self.item:
            raise UserError(
                f"{self.what} of sample {self.count} has shape {samples.shape[1:]}, the first has "
                f"{self.item}; give all samples the same shape"
            )
        if samples.dtype != self.dtype:
            raise UserError(
                f"{self.what} of sample {self.count} is {samples.dtype}, the first is "
                f"{self.dtype}; give all samples the same type"
            )
        self.count += len(samples)
        size = self._file.tell() + samples.nbytes
        limit = f"{MAX_SAMPLES:,} samples or {MAX_BYTES / 2**30:.0f} GiB"
        if self.count > MAX_SAMPLES or size > MAX_BYTES:
            raise UserError(
                f"{self.what} has more than {limit}; give fewer, and let a generator end"
            )
        step = max(1, _ROWS // max(1, samples[:1].nbytes))
        for start in range(0, len(samples), step):
            self._file.write(np.ascontiguousarray(samples[start : start + step]).data)

    def pour(self, into: IO[bytes], digest: Any) -> None:
        """Write all samples as one .npy, and feed the digest with type, shape and content."""
        assert self.dtype is not None
        self._file.flush()
        shape = (self.count, *self.item)
        header = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": shape,
        }
        digest.update(repr(sorted(header.items())).encode("utf-8"))
        np.lib.format.write_array_header_2_0(into, header)
        with self._path.open("rb") as file:
            shutil.copyfileobj(file, cast(IO[bytes], _Both(into, digest)), _ROWS)


class _Both:
    """A file that also feeds a digest."""

    def __init__(self, file: IO[bytes], digest: Any) -> None:
        self._file, self._digest = file, digest

    def write(self, data: bytes) -> None:
        self._digest.update(data)
        self._file.write(data)


def write_npz(path: Path, spools: Mapping[str, Spool], named: str) -> str:
    """Write a .npz; return the hex sha256 of its arrays. Same arguments, same bytes.

    Not compressed: it is read more often than it is kept.

    Args:
        named: what the plan calls these samples, for whoever reads them.
    """
    digest = hashlib.sha256()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = NAME_COMMENT + named.encode("utf-8", "replace")[:MAX_NAME_BYTES]
        for name, spool in spools.items():
            digest.update(name.encode("utf-8"))
            # A ZipInfo of our own carries no time of day.
            entry = zipfile.ZipInfo(f"{name}.npy")
            with archive.open(entry, "w", force_zip64=True) as file:
                spool.pour(file, digest)
    return digest.hexdigest()
