"""What a comparison says of a case's delegate beside its verdict: forecast, profile, CPU, fp32."""

from __future__ import annotations

from dataclasses import dataclass

from bench.forecast.model import Checked, Forecast
from bench.identity import Case, DelegateSpec
from bench.stats import RatioVerdict


@dataclass(frozen=True, slots=True)
class OpShare:
    """All ops of one kind in a profile, by who ran them.

    Attributes:
        op: of plain kernels the op's type ("CONV_2D"), of a delegate the kind of its steps
            whatever their type of numbers ("Convolution").
        us: per run of the model while it was profiled; share: of all ops, in 0..1.
    """

    op: str
    by_delegate: bool
    us: float
    share: float


@dataclass(frozen=True, slots=True)
class OpDifference:
    """The same ops in two profiles: times per run in us.

    Attributes:
        ops: names of the ops that make the group.
        us, reference_us: of this case, and of the case that it is held against.
    """

    ops: str
    us: float
    reference_us: float

    @property
    def difference_us(self) -> float:
        """Above 0 this case is slower there."""
        return self.us - self.reference_us


@dataclass(frozen=True, slots=True)
class ProfileSeen:
    """A profile in short; the share outside the delegate stands in the delegation.

    Attributes:
        top_op: type of the ops that took the most time, as the tool names it.
        top_share: of the time of all ops, in 0..1.
        ops: where the time went, the most first.
        against_fp32: the largest differences to the profile of fp32 with the same delegate,
            threads, runner and device first; () where there is none.
    """

    top_op: str
    top_share: float
    ops: tuple[OpShare, ...] = ()
    against_fp32: tuple[OpDifference, ...] = ()


@dataclass(frozen=True, slots=True)
class ForecastSeen:
    """What was forecast of a case before it ran, held against the measurement."""

    forecast: Forecast
    checked: Checked


@dataclass(frozen=True, slots=True)
class AgainstCpu:
    """A case against one on the processor of the same device, at equal variant and threads.

    Attributes:
        delegate: of that case; None where there is none, or where it is this very case.
        verdict: per-round ratio of that case to this one, above 1 is faster than the CPU;
            None with `reason`, and both None for the case that others are held against.
    """

    delegate: DelegateSpec | None
    verdict: RatioVerdict | None
    reason: str | None

    @property
    def is_reference(self) -> bool:
        """Whether others are held against this case."""
        return self.delegate is None and self.reason is None


@dataclass(frozen=True, slots=True)
class SlowerThanFp32:
    """A quantised case that is slower than fp32 with the same delegate, threads and device.

    Attributes:
        ratio: of fp32's time to its own, below 1.
        why: what the profiles and delegations say of it, sentences.
        simulated: measured on an emulator.
    """

    case: Case
    ratio: float
    why: tuple[str, ...]
    simulated: bool = False
