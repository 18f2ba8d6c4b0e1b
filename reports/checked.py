"""What the launches beside the timed ones found of a case: its profile, its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.config import MeasureConfig
from bench.delegation.model import Delegation
from bench.identity import Case
from bench.numerics.model import Numerics, NumericsVerdict, NumericsWord
from bench.numerics.verdict import judge_numerics
from bench.ops.model import OpProfile
from bench.records import CheckRecord, Outcome, Purpose
from reports.delegate_model import ProfileSeen
from reports.op_times import profile_seen

# Why there is no check where nothing went wrong.
NOT_ASKED = "the plan asks for none"
NOT_MADE = "not made"


@dataclass(frozen=True, slots=True)
class Checked:
    """The checks of one case.

    Attributes:
        profile: of the profiling launch; None with `profile_reason`.
        answers: how far the answers lie from the reference's; `numerics` judges them. Both
            None with `numerics_reason`.
        said: what these launches themselves say of the delegate, by purpose.
    """

    profile: OpProfile | None
    profile_reason: str | None
    answers: Numerics | None
    numerics: NumericsVerdict | None
    numerics_reason: str | None
    said: tuple[tuple[Purpose, Delegation], ...] = ()

    def of_another(self, reason: str) -> Checked:
        """Without what was found: it is not of the delegate that was asked for."""
        return Checked(None, reason, None, None, reason, self.said)

    @property
    def profile_seen(self) -> ProfileSeen | None:
        """The profile in short; None where there is none, or where it tells no times."""
        return None if self.profile is None else profile_seen(self.profile)

    @property
    def is_wrong(self) -> bool:
        """Whether the answers are WRONG: then no speed counts."""
        return self.numerics is not None and self.numerics.word is NumericsWord.WRONG


def checked_case(case: Case, checks: Sequence[CheckRecord], measure: MeasureConfig) -> Checked:
    """Gathers the checks of a case; of several attempts the last that went well counts.

    Args:
        checks: of this case alone, and of the variant's own file.
        measure: of the plan, which may have asked for none.
    """
    profiled = _last(checks, Purpose.PROFILE)
    answered = _last(checks, Purpose.NUMERICS)
    profile = None if profiled is None else profiled.profile
    answers = None if answered is None else answered.numerics
    return Checked(
        profile=profile,
        profile_reason=_why_none(profiled, profile, measure.profile),
        answers=answers,
        numerics=None
        if answers is None
        else judge_numerics(answers, variant=case.variant, delegate=case.delegate),
        numerics_reason=_why_none(answered, answers, measure.numerics),
        said=tuple(
            (check.purpose, check.delegation)
            for check in (profiled, answered)
            if check is not None and check.delegation is not None
        ),
    )


def _last(checks: Sequence[CheckRecord], purpose: Purpose) -> CheckRecord | None:
    made = sorted((c for c in checks if c.purpose is purpose), key=lambda c: c.attempt)
    sound = [check for check in made if check.outcome is Outcome.OK]
    return next(reversed(sound or made), None)


def _why_none(check: CheckRecord | None, found: object, asked: str) -> str | None:
    if found is not None:
        return None
    if check is not None:
        return "it found nothing" if check.failure is None else check.failure.message
    return NOT_ASKED if asked == "off" else NOT_MADE
