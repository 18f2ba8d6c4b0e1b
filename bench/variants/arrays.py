"""Reads the user's .npz files and refuses, with one line, whatever would give wrong numbers."""

from __future__ import annotations

import hashlib
import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import UserError
from bench.metrics import IGNORED_CLASS, Labels

# Of class maps: each class has two sums per sample, and 255 marks what does not count.
MAX_MAP_CLASS = 4095


# How the comment of an archive begins that bench.samples wrote; what the plan calls the
# samples follows, for its name is by its content and says nothing to the user.
NAME_COMMENT = b"edgebench samples: "
MAX_NAME_BYTES = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """The arrays of one .npz.

    Attributes:
        name: of the file, or what the plan calls samples that bench.samples made a file of.
        role: "calibration", "holdout" or "train".
        x: (N, ...) inputs, finite.
        y: as `labels` asked for: int64 (N,) or (N, H, W), finite numbers (N, ...), whatever
            there is, or None.
        sha256: of dtype, shape and content of the arrays, not of the file, whose
            time stamps and compression say nothing about the data.
    """

    name: str
    role: str
    x: NDArray[Any]
    y: NDArray[Any] | None
    sha256: str


def load_samples(path: Path, role: str, labels: Labels | None = None) -> Samples:
    """Read `x` and, where they are asked for, labels `y`; check all that needs no model.

    Args:
        labels: what `y` has to be (bench.metrics.Labels); by default classes, or nothing
            where role is "calibration".

    Raises: UserError naming the file, what is wrong and what to do.
    """
    name = _name_of(path)
    where = f"{role} {name}"
    if labels is None:
        labels = "none" if role == "calibration" else "classes"
    required = {"none": ("x",), "any": ("x",)}.get(labels, ("x", "y"))
    arrays = _read(path, where, required, optional="y" if labels == "any" else None)
    x = arrays["x"]
    if x.ndim == 0 or len(x) == 0:
        raise UserError(f"{where}: `x` is empty; save at least one sample, shape (N, ...)")
    if x.dtype == np.float64:
        raise UserError(
            f"{where}: `x` is float64, models take float32; save x.astype('float32') instead"
        )
    if x.dtype.kind not in "fiub":
        raise UserError(f"{where}: `x` has dtype {x.dtype}; save plain numbers, e.g. float32")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        bad = int(np.count_nonzero(~np.isfinite(x).reshape(len(x), -1).all(axis=1)))
        raise UserError(
            f"{where}: `x` has NaN or infinity in {bad} of {len(x)} samples; remove or mend them"
        )
    y = None
    if "y" in arrays:
        check = {"classes": _classes, "maps": _maps, "values": _values}.get(labels, _as_they_are)
        y = check(arrays["y"], len(x), where)
    return Samples(name, role, x, y, _hash(x, y))


def check_fits(
    samples: Samples, shape: tuple[int, ...], dtype: str, classes: int | None = None
) -> None:
    """Check the arrays against a model's input.

    Args:
        shape: of the model's input with batch dimension; -1 where any size will do.
        dtype: numpy name of what the float model takes, e.g. "float32".
        classes: length of the model's output; None if labels play no part.

    Raises: UserError naming the file, what is wrong and what to do.
    """
    where = f"{samples.role} {samples.name}"
    x = samples.x
    wanted = "(" + ", ".join(["N", *("any" if n < 0 else str(n) for n in shape[1:])]) + ")"
    if not _same_item(x.shape[1:], shape[1:]):
        hint = f"save x with shape {wanted}"
        if _same_item(x.shape, shape[1:]):
            hint = "the batch dimension is missing: save x[None, ...]"
        elif len(shape) == x.ndim + 1 and shape[-1] == 1:
            hint = "the channel dimension is missing: save x[..., None]"
        elif len(shape) == x.ndim and sorted(x.shape[1:]) == sorted(shape[1:]):
            hint = f"the dimensions are in another order: transpose x to {wanted}"
        raise UserError(
            f"{where}: `x` has shape {_text(x.shape)}, the model's input takes {wanted}; {hint}"
        )
    if x.dtype != np.dtype(dtype):
        raise UserError(
            f"{where}: `x` is {x.dtype}, the model's input takes {dtype}; save "
            f"x.astype('{dtype}'), scaled as in training"
        )
    if classes is not None and samples.y is not None and int(samples.y.max()) >= classes:
        raise UserError(
            f"{where}: `y` has label {int(samples.y.max())}, the model has {classes} outputs "
            f"(labels 0 to {classes - 1}); correct the labels or name the right model"
        )


def choose(count: int, at_most: int, seed: int) -> NDArray[np.int64]:
    """Indices, ascending, of a seeded choice of at most `at_most` out of `count` samples."""
    if count <= at_most:
        return np.arange(count, dtype=np.int64)
    drawn = np.random.default_rng(seed).choice(count, size=at_most, replace=False)
    return np.sort(drawn).astype(np.int64)


def _name_of(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            comment = archive.comment
    except (OSError, ValueError, zipfile.BadZipFile):
        return path.name
    if not comment.startswith(NAME_COMMENT):
        return path.name
    named = comment[len(NAME_COMMENT) :][:MAX_NAME_BYTES]
    return named.decode("utf-8", "replace") or path.name


def _read(
    path: Path, where: str, keys: tuple[str, ...], optional: str | None = None
) -> dict[str, NDArray[Any]]:
    if not path.exists():
        raise UserError(f"{where}: there is no such file ({path}); correct the path")
    try:
        # allow_pickle stays off: unpickling runs code that comes with the data.
        loaded = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        # What is no archive numpy takes for a pickle, and says how to load it unsafely.
        why = "no such archive" if "pickle" in str(error) else _reason(error)
        raise UserError(
            f"{where}: not a readable .npz ({why}); write it with numpy.savez"
        ) from error
    if isinstance(loaded, np.ndarray):
        raise UserError(f"{where}: a .npy, not an .npz; write it with numpy.savez(file, x=array)")
    arrays = {}
    with loaded:
        for key in (*keys, *([optional] if optional in loaded.files else [])):
            assert key is not None
            if key not in loaded.files:
                held = ", ".join(f"`{name}`" for name in loaded.files) or "nothing"
                raise UserError(
                    f"{where}: no array `{key}` (it holds {held}); write it with "
                    f"numpy.savez(file, {', '.join(f'{k}=...' for k in keys)})"
                )
            try:
                arrays[key] = loaded[key]
            except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
                if "allow_pickle" in str(error):
                    raise UserError(
                        f"{where}: `{key}` is an array of Python objects; save one plain array "
                        "of numbers, all samples of the same shape"
                    ) from error
                raise UserError(
                    f"{where}: `{key}` cannot be read ({_reason(error)}); write the file again"
                ) from error
    return arrays


def _classes(y: NDArray[Any], count: int, where: str) -> NDArray[Any]:
    if y.ndim != 1:
        hint = "save y.argmax(axis=1)" if y.ndim == 2 and y.shape[1] > 1 else "save y.ravel()"
        raise UserError(f"{where}: `y` has shape {_text(y.shape)}, labels have shape (N,); {hint}")
    _whole_numbers(y, where)
    _one_each(y, count, where)
    _from_zero(y, where)
    return y.astype(np.int64)


def _maps(y: NDArray[Any], count: int, where: str) -> NDArray[Any]:
    _whole_numbers(y, where)
    if y.ndim == 4 and y.shape[-1] == 1:
        y = y[..., 0]
    if y.ndim != 3:
        raise UserError(
            f"{where}: `y` has shape {_text(y.shape)}, class maps have shape (N, height, width); "
            "save one class index per pixel"
        )
    _one_each(y, count, where)
    _from_zero(y, where)
    if int(y.max()) > MAX_MAP_CLASS:
        raise UserError(
            f"{where}: `y` has class {int(y.max())}; class maps hold 0 to {MAX_MAP_CLASS}, and "
            f"{IGNORED_CLASS} for pixels that do not count"
        )
    return y


def _values(y: NDArray[Any], count: int, where: str) -> NDArray[Any]:
    if y.dtype.kind not in "fiu":
        raise UserError(f"{where}: `y` has dtype {y.dtype}; save plain numbers, e.g. float32")
    _one_each(y, count, where)
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise UserError(f"{where}: `y` has NaN or infinity; remove or mend those samples")
    return y


def _as_they_are(y: NDArray[Any], count: int, where: str) -> NDArray[Any]:
    _one_each(y, count, where)
    return y


def _whole_numbers(y: NDArray[Any], where: str) -> None:
    if y.dtype.kind not in "iu":
        raise UserError(
            f"{where}: `y` has dtype {y.dtype}, labels are whole numbers; save y.astype('int64')"
        )


def _one_each(y: NDArray[Any], count: int, where: str) -> None:
    rows = len(y) if y.ndim else 0
    if rows != count:
        raise UserError(
            f"{where}: `x` has {count} samples and `y` {rows} labels; save one label per sample"
        )


def _from_zero(y: NDArray[Any], where: str) -> None:
    if int(y.min()) < 0:
        raise UserError(f"{where}: `y` has label {int(y.min())}; labels start at 0")
    if int(y.max()) > np.iinfo(np.int32).max:
        raise UserError(f"{where}: `y` has label {int(y.max())}; labels are class indices")


def _hash(x: NDArray[Any], y: NDArray[Any] | None) -> str:
    digest = hashlib.sha256()
    for array in (x,) if y is None else (x, y):
        digest.update(f"{array.dtype.str}{_text(array.shape)};".encode("ascii"))
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _same_item(have: tuple[int, ...], want: tuple[int, ...]) -> bool:
    return len(have) == len(want) and all(w < 0 or h == w for h, w in zip(have, want, strict=True))


def _text(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"


def _reason(error: Exception) -> str:
    """One line; the system's own words without number and path."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def classes_of(shape: tuple[int, ...], batch: int = 1) -> int | None:
    """Number of classes of an output (batch, C), or None if it is not one score per class."""
    if len(shape) < 2 or shape[-1] < 2 or math.prod(abs(n) for n in shape) != batch * shape[-1]:
        return None
    return shape[-1]
