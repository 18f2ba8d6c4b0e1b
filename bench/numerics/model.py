"""How far a device's answers lie from the reference's: figures, and a verdict on them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class NumericsWord(StrEnum):
    """OK: within the stated tolerance of the arithmetic. DIFFERS: beyond it, and not wrong.
    WRONG: no rounding explains it, or an answer is NaN or infinite where the reference is
    not. UNKNOWN: not checked, or there is nothing to judge by.
    """

    OK = "OK"
    DIFFERS = "DIFFERS"
    WRONG = "WRONG"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class OutputNumbers:
    """One output of the model over all samples, device against reference, as real numbers.

    Attributes:
        name, dtype: of the tensor as the device gives it.
        elements: of one sample.
        scale: of its quantisation; None for floats.
        reference_range: largest minus smallest value of the reference.
        reference_max_abs, reference_rms: of the reference's values.
        max_abs, rms: of the differences.
        max_rel: largest |difference| / max(|reference|, 1e-3 x reference_max_abs).
        cosine: of the two, all samples in one; None where one of them is all zero.
        snr_db: 10 lg (power of the reference / power of the difference); None where they
            are equal or the reference is zero.
        top1_agreement: share of samples with the same argmax; None where an answer is not
            one score per class: below two elements, or along several axes.
        nan, inf: counts in the device's answers; reference_nonfinite: in the reference.
        spoilt: elements that are NaN or infinite on the device and not in the reference.
        differing: share of all elements that are not equal; None without elements.
        same_for_all: the reference gives every one of several samples the same answer.
        Differences are over elements that are finite in both; None where there are none.
    """

    name: str
    dtype: str
    elements: int
    scale: float | None
    reference_range: float | None
    reference_max_abs: float | None
    reference_rms: float | None
    max_abs: float | None
    rms: float | None
    max_rel: float | None
    cosine: float | None
    snr_db: float | None
    top1_agreement: float | None
    nan: int
    inf: int
    reference_nonfinite: int
    spoilt: int = 0
    differing: float | None = None
    same_for_all: bool = False


@dataclass(frozen=True, slots=True)
class DeviceAccuracy:
    """The plan's metric, computed from answers that a device gave.

    Attributes:
        metric, k: see bench.metrics.Metric.
        value: of it.
        samples, of: how many of the holdout's samples were answered; "all" is samples == of.
        statistics: per sample what the metric is computed of, (samples, n).
        reference_value: of the reference on the very same samples; None if not computed.
    """

    metric: str
    k: int | None
    value: float
    samples: int
    of: int
    statistics: tuple[tuple[float, ...], ...]
    reference_value: float | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every sample of the holdout was answered."""
        return self.samples == self.of


@dataclass(frozen=True, slots=True)
class Numerics:
    """What one numerics launch found.

    Attributes:
        outputs: in the model's order.
        samples: inputs that were tried.
        inputs: where they come from: "holdout" or "seeded-draw".
        inputs_sha256: of their bytes as they were given.
        reference: what gave the reference answers, for people: "plain kernels,
            ai-edge-litert 2.3.0, x86_64".
        accuracy: None where the plan asks for none, or has no holdout.
    """

    outputs: tuple[OutputNumbers, ...]
    samples: int
    inputs: str
    inputs_sha256: str
    reference: str
    accuracy: DeviceAccuracy | None = None


@dataclass(frozen=True, slots=True)
class NumericsVerdict:
    """A judgement of Numerics and the figures it rests on, each a line for people."""

    word: NumericsWord
    reasons: tuple[str, ...]
