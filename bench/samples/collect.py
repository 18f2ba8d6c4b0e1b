"""Calls the user's "module:function" and takes in whatever form of samples it returns.

Runs in a process of its own (bench.samples.worker).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import UserError
from bench.format import first_line
from bench.samples.spool import Spool
from bench.users_code import load_function, users_code

_FORMS = "return x, (x, y), or an iterable of samples or of (x, y)"


def call(spec: str, root: Path, where: str) -> Any:
    """What the function returns. Raises: UserError in one line for whatever it does wrong."""
    function = load_function(spec, root, where)
    with users_code(where):
        return function()


def collect(returned: Any, where: str, x: Spool, y: Spool) -> None:
    """Put what a function returned into the spools; y stays empty if there are no labels.

    Raises: UserError in one line for what is no set of samples.
    """
    if isinstance(returned, tuple):
        if len(returned) != 2:
            raise UserError(f"{where}: returned a tuple of {len(returned)}; {_FORMS}")
        _append(x, _array(returned[0], x.what))
        _append(y, _array(returned[1], y.what))
    elif _is_array(returned):
        _append(x, _array(returned, x.what))
    elif isinstance(returned, Iterable) and not isinstance(returned, str | bytes | Mapping):
        for sample in _samples(returned, where):
            if isinstance(sample, tuple):
                if len(sample) != 2:
                    raise UserError(
                        f"{where}: yields tuples of {len(sample)}; yield a sample or (x, y)"
                    )
                _append(x, _array(sample[0], x.what)[None])
                _append(y, _array(sample[1], y.what)[None])
            else:
                _append(x, _array(sample, x.what)[None])
    else:
        kind = "None" if returned is None else f"an object of type {type(returned).__name__}"
        raise UserError(f"{where}: returned {kind}; {_FORMS}")
    if x.count == 0:
        raise UserError(f"{where}: returned no sample at all; {_FORMS}")
    if y.count not in (0, x.count):
        raise UserError(
            f"{where}: returned {x.count} samples and {y.count} labels; return one label per sample"
        )


def _samples(returned: Iterable[Any], where: str) -> Iterator[Any]:
    with users_code(where):
        iterator = iter(returned)
    while True:
        with users_code(where):
            try:
                sample = next(iterator)
            except StopIteration:
                return
        yield sample


def _is_array(value: Any) -> bool:
    """Arrays and what numpy can make one of by itself: tensors, data frames."""
    return isinstance(value, np.ndarray) or hasattr(type(value), "__array__")


def _array(value: Any, what: str) -> NDArray[Any]:
    if value is None:
        raise UserError(f"{what} is None; {_FORMS}")
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        if "inhomogeneous" in str(error):
            raise UserError(
                f"{what} has samples of different shapes; give all samples the same shape"
            ) from error
        raise UserError(f"{what} cannot be made an array: {first_line(error)}") from error
    if array.dtype.kind not in "fiub":
        kind = "Python objects" if array.dtype == object else f"dtype {array.dtype}"
        raise UserError(
            f"{what} is an array of {kind}; return plain numbers, all samples of the same shape"
        )
    return array


def _append(spool: Spool, samples: NDArray[Any]) -> None:
    if samples.ndim == 0:
        raise UserError(f"{spool.what} is a single number; {_FORMS}")
    if spool.name == "x" and samples.dtype == np.float64:
        raise UserError(f"{spool.what} is float64, models take float32; return x.astype('float32')")
    spool.append(samples)
