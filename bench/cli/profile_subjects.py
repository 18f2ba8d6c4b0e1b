"""One profile with all that `edgebench profile` knows around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bench.delegation.model import Delegation
from bench.errors import UserError
from bench.identity import Case
from bench.ops.explain import Side
from bench.ops.mapping import Mapping, OtherModel, map_rows, unmapped
from bench.ops.model import OpProfile
from bench.ops.summary import Summary, summarise
from bench.tflite.graph import TfliteModel


@dataclass(frozen=True, slots=True)
class Subject:
    """One profile with all that is known around it.

    Attributes:
        label: short, for sentences; title: for people; about: plain JSON.
        p50_us: of the timed launches of the same case.
    """

    label: str
    title: str
    about: dict[str, Any]
    profile: OpProfile
    model: TfliteModel | None
    mapping: Mapping
    delegation: Delegation | None = None
    p50_us: float | None = None
    case: Case | None = None
    summary: Summary = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "summary", summarise(self.profile, self.mapping))

    def side(self, label: str) -> Side:
        """As one side of a comparison."""
        return Side(label, self.profile, self.summary, self.delegation, self.p50_us)


def difference_of(one: Subject, other: Subject) -> tuple[str, str]:
    """What to call two subjects beside each other: by what they differ in."""
    if one.case is None or other.case is None:
        return one.label, other.label
    for a, b in (
        (one.case.variant, other.case.variant),
        (one.case.delegate.name, other.case.delegate.name),
        (one.case.device, other.case.device),
        (one.case.model, other.case.model),
    ):
        if a != b:
            return a, b
    return one.title, other.title


def mapped(profile: OpProfile, model: TfliteModel | None, name: str) -> Mapping:
    """The rows with their nodes, where the model is at hand.

    Raises: UserError where `model`, called `name`, is not what was profiled.
    """
    if model is None:
        return unmapped(profile)
    try:
        return map_rows(profile, model)
    except OtherModel as error:
        raise UserError(f"{name}: not the model that was profiled: {error}") from error
