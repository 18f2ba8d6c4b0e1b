"""Two arrays of answers, device and reference -> figures of how far they lie apart."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.numerics.model import OutputNumbers

# Elements at once: double precision of an output of hundreds of megabytes would not fit.
BLOCK_ELEMENTS = 1 << 20
# Below this share of the largest value, an error is relative to that share.
SMALLEST_SHARE = 1e-3

Quantization = tuple[float, int] | None


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """One output over all samples as a runtime gave it, (samples, ...).

    Attributes:
        quantization: scale and zero point of whole numbers that stand for real ones.
    """

    values: NDArray[Any]
    quantization: Quantization

    def real(self) -> NDArray[Any]:
        """Real values as the accuracy of variants is judged by: single precision."""
        if self.quantization is None:
            return self.values
        scale, zero_point = self.quantization
        real: NDArray[Any] = (self.values.astype(np.float32) - zero_point) * np.float32(scale)
        return real

    def blocks(self, rows_at_once: int) -> Iterator[NDArray[np.float64]]:
        """Real values, some samples at a time, (rows, elements)."""
        flat = self.values.reshape(len(self.values), -1)
        for start in range(0, len(flat), rows_at_once):
            part = flat[start : start + rows_at_once].astype(np.float64)
            if self.quantization is not None:
                scale, zero_point = self.quantization
                part = (part - zero_point) * scale
            yield part


def figures(name: str, device: Tensor, reference: Tensor) -> OutputNumbers:
    """Compare one output; both have as many samples, and as many elements in each.

    Everything is computed in doubles, in units of the largest value, so that squares
    neither overflow nor vanish.
    """
    samples = len(device.values)
    elements = device.values[0].size
    rows = max(1, BLOCK_ELEMENTS // max(1, elements))
    sums = _Sums()
    for given, wanted in zip(device.blocks(rows), reference.blocks(rows), strict=True):
        sums.look(given, wanted)
    unit = max(sums.device_max, sums.reference_max) or 1.0
    for given, wanted in zip(device.blocks(rows), reference.blocks(rows), strict=True):
        sums.add(given, wanted, unit)
    found, n = sums.finite > 0, max(1, sums.finite)
    power = sums.reference_power > 0
    return OutputNumbers(
        name=name,
        dtype=device.values.dtype.name,
        elements=elements,
        scale=None if device.quantization is None else device.quantization[0],
        reference_range=_value(sums.high - sums.low) if found else None,
        reference_max_abs=sums.reference_max if found else None,
        reference_rms=_value(unit * (sums.reference_power / n) ** 0.5) if found else None,
        max_abs=_value(unit * sums.max_abs) if found else None,
        rms=_value(unit * (sums.error_power / n) ** 0.5) if found else None,
        max_rel=_value(sums.max_rel) if found and power else None,
        cosine=_cosine(sums) if power and sums.device_power > 0 else None,
        snr_db=_decibels(sums) if power and sums.error_power > 0 else None,
        top1_agreement=sums.agreeing / samples if _scores(reference.values) else None,
        nan=sums.nan,
        inf=sums.inf,
        reference_nonfinite=sums.reference_nonfinite,
        spoilt=sums.spoilt,
        differing=sums.unequal / (samples * elements) if elements else None,
        same_for_all=samples > 1 and bool((reference.values == reference.values[:1]).all()),
    )


class _Sums:
    """What two passes over the blocks add up; powers and errors are in units of `unit`."""

    def __init__(self) -> None:
        self.finite = self.nan = self.inf = self.reference_nonfinite = 0
        self.spoilt = self.unequal = self.agreeing = 0
        self.device_max = self.reference_max = 0.0
        self.low, self.high = np.inf, -np.inf
        self.max_abs = self.max_rel = 0.0
        self.error_power = self.reference_power = self.device_power = self.product = 0.0

    def look(self, given: NDArray[np.float64], wanted: NDArray[np.float64]) -> None:
        """First pass: what is finite, and how large it is."""
        both = np.isfinite(given) & np.isfinite(wanted)
        self.finite += int(both.sum())
        self.nan += int(np.isnan(given).sum())
        self.inf += int(np.isinf(given).sum())
        self.reference_nonfinite += int((~np.isfinite(wanted)).sum())
        same = (given == wanted) | (np.isnan(given) & np.isnan(wanted))
        self.spoilt += int((~np.isfinite(given) & np.isfinite(wanted)).sum())
        self.unequal += int((~same).sum())
        if both.any():
            theirs = wanted[both]
            self.low = min(self.low, float(theirs.min()))
            self.high = max(self.high, float(theirs.max()))
            self.reference_max = max(self.reference_max, float(np.abs(theirs).max()))
            self.device_max = max(self.device_max, float(np.abs(given[both]).max()))
        if given.shape[1]:
            whole = np.isfinite(given).all(axis=1)
            self.agreeing += int((whole & (given.argmax(axis=1) == wanted.argmax(axis=1))).sum())

    def add(self, given: NDArray[np.float64], wanted: NDArray[np.float64], unit: float) -> None:
        """Second pass: squares and errors."""
        both = np.isfinite(given) & np.isfinite(wanted)
        a, b = given[both] / unit, wanted[both] / unit
        if not a.size:
            return
        error = np.abs(a - b)
        least = SMALLEST_SHARE * self.reference_max / unit
        if least > 0:
            with np.errstate(over="ignore"):  # more than the largest number is told as that
                relative = error / np.maximum(np.abs(b), least)
            self.max_rel = max(self.max_rel, float(relative.max()))
        self.max_abs = max(self.max_abs, float(error.max()))
        self.error_power += float(error @ error)
        self.reference_power += float(b @ b)
        self.device_power += float(a @ a)
        self.product += float(a @ b)


def _scores(values: NDArray[Any]) -> bool:
    """Whether an answer is one score per class."""
    axes = [length for length in values.shape[1:] if length > 1]
    return len(axes) == 1


def _cosine(sums: _Sums) -> float:
    if sums.max_abs == 0:
        return 1.0
    norms = float(np.sqrt(sums.reference_power) * np.sqrt(sums.device_power))
    return min(1.0, max(-1.0, sums.product / norms)) if norms else 0.0


def _decibels(sums: _Sums) -> float:
    return float(10 * (np.log10(sums.reference_power) - np.log10(sums.error_power)))


def _value(number: float) -> float:
    """A figure that can be written down: the largest number there is stands for more."""
    return float(min(number, sys.float_info.max))
