"""The figures of a numerics launch over all outputs of a model, each that of its worst."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.numerics.model import Numerics, OutputNumbers


@dataclass(frozen=True, slots=True)
class WorstAnswers:
    """Of each figure the worst of any output; None where no output has it.

    Attributes:
        nonfinite: NaN and infinite values of all outputs.
        The rest is as in bench.numerics.model.OutputNumbers.
    """

    max_abs: float | None
    max_rel: float | None
    cosine: float | None
    snr_db: float | None
    top1_agreement: float | None
    nonfinite: int


def worst(found: Numerics) -> WorstAnswers:
    """The worst figures of a numerics launch."""

    def of(
        pick: Callable[[list[float]], float], figure: Callable[[OutputNumbers], float | None]
    ) -> float | None:
        known = [value for out in found.outputs if (value := figure(out)) is not None]
        return pick(known) if known else None

    return WorstAnswers(
        max_abs=of(max, lambda out: out.max_abs),
        max_rel=of(max, lambda out: out.max_rel),
        cosine=of(min, lambda out: out.cosine),
        snr_db=of(min, lambda out: out.snr_db),
        top1_agreement=of(min, lambda out: out.top1_agreement),
        nonfinite=sum(out.nan + out.inf for out in found.outputs),
    )
