"""How far a case's number can be trusted, and why not further."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class StabilityWord(StrEnum):
    """METHOD's words, from best to worst."""

    STABLE = "STABLE"
    NOISY = "NOISY"
    NOT_STEADY = "NOT STEADY"
    TAINTED = "TAINTED"
    INVALID = "INVALID"


@dataclass(frozen=True, slots=True)
class Mode:
    """One mode of a bimodal distribution: its median in us and its share in 0..1."""

    p50_us: float
    share: float


@dataclass(frozen=True, slots=True)
class Stability:
    """The verdict on one case.

    Attributes:
        word: the verdict.
        reasons: one line each; () only for STABLE with nothing to say.
        modes: both modes where the samples are bimodal, else ().
    """

    word: StabilityWord
    reasons: tuple[str, ...] = ()
    modes: tuple[Mode, ...] = ()
