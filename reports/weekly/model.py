"""What the report of a week says, as values: every output is made from these and agrees.

Numbers of emulated devices stand apart (`Simulated`): no count of a week has them in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from bench.identity import Case
from bench.points import Point
from reports.history.model import DeviceFinding, Finding, SeriesHistory, Standing, Word

SCHEMA = "edgebench-weekly/1"


@dataclass(frozen=True, slots=True)
class Entry:
    """A finding, with its series, and what people call the case."""

    finding: Finding
    series: SeriesHistory
    title: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """What became of the planned cases: of each its newest point in the window, one of a run
    that was interrupted only where it has no other.

    Attributes:
        missing: planned before, and by no run of the window.
        not_applicable: cannot exist; no part of `planned`.
    """

    measured: int = 0
    invalid: int = 0
    fell_back: int = 0
    failed: int = 0
    unfinished: int = 0
    missing: int = 0
    not_applicable: int = 0

    @property
    def planned(self) -> int:
        """How many cases there should be a number of."""
        return self.measured + self.without

    @property
    def without(self) -> int:
        """How many of them have none under their own name."""
        return self.invalid + self.fell_back + self.failed + self.unfinished + self.missing

    def __add__(self, other: Coverage) -> Coverage:
        return Coverage(
            self.measured + other.measured,
            self.invalid + other.invalid,
            self.fell_back + other.fell_back,
            self.failed + other.failed,
            self.unfinished + other.unfinished,
            self.missing + other.missing,
            self.not_applicable + other.not_applicable,
        )


@dataclass(frozen=True, slots=True)
class DeviceCoverage:
    """Coverage of one device, with the commonest reasons why cases have no number."""

    device: str
    coverage: Coverage
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class WeekCase:
    """A case that something was expected of; `reason`: why it has no number, "" if it has."""

    case: Case
    case_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reliability:
    """How well a device did in the window.

    Attributes:
        launches_made, launches_used: of all its points in the window.
        cases, cases_lost: planned cases; those that failed, are invalid or unfinished.
        reasons: (why, launches), the commonest first; () where the launches are pruned.
    """

    device: str
    launches_made: int
    launches_used: int
    cases: int
    cases_lost: int
    reasons: tuple[tuple[str, int], ...]

    @property
    def launches_lost_share(self) -> float | None:
        """In 0..1; None without a launch."""
        if not self.launches_made:
            return None
        return 1 - self.launches_used / self.launches_made


@dataclass(frozen=True, slots=True)
class Change:
    """Two points of one series that a table holds against each other.

    Attributes:
        before: the last one before the window, or the first in it.
        now: the newest one of the window; `first` the first one that was like it.
    """

    case: Case
    title: str
    before: Point
    first: Point
    now: Point


@dataclass(frozen=True, slots=True)
class DelegationChange:
    """The delegate took other nodes than before; `worse`: fewer."""

    change: Change
    worse: bool


@dataclass(frozen=True, slots=True)
class GateChange:
    """A gate of the plan that fails now and did not, or the other way round."""

    change: Change
    gate: str
    fails: bool


@dataclass(frozen=True, slots=True)
class Sight:
    """The smallest steps that the series of a device, or of all, can show.

    Attributes:
        series: with a judged point in the window; too_short: those without a smallest step.
        median, worst: shares, over those that have one; None if none has.
        tenth: nine of ten series can show this one or a smaller one.
    """

    device: str
    series: int
    too_short: int
    median: float | None
    tenth: float | None
    worst: float | None


@dataclass(frozen=True, slots=True)
class Chance:
    """How much of what is suspected to be slower noise alone would have made.

    Attributes:
        series: long enough to show a step, with a judged point in the window; looks: such
            points, each of which the detector looked at.
        low, high: suspected steps to slower that so many looks raise where nothing changed,
            by docs/history.md, from noise of 1 % to noise with two modes.
        suspected: SLOWER and suspected, of this week; outstanding: those of them whose steps
            are more than so many series show by chance (bench.changepoints.worth_a_look).
    """

    series: int
    looks: int
    low: float
    high: float
    suspected: int
    outstanding: frozenset[str]


@dataclass(frozen=True, slots=True)
class Trend:
    """The series of one model on one device that are drawn: those with a finding, or the others."""

    model: str
    device: str
    series: tuple[SeriesHistory, ...]
    has_finding: bool


@dataclass(frozen=True, slots=True)
class WeekRun:
    """A run of the window.

    Attributes:
        points: how many cases it has a point of; 0 where it has not ended.
    """

    run_id: str
    status: str
    started_utc: datetime
    simulated: bool
    points: int


@dataclass(frozen=True, slots=True)
class Simulated:
    """What emulated devices gave: for those who test their set-up, no measurement."""

    entries: tuple[Entry, ...] = ()
    devices: tuple[DeviceFinding, ...] = ()
    coverage: Coverage = field(default_factory=Coverage)


@dataclass(frozen=True, slots=True)
class ProjectWeek:
    """One project in the window.

    Attributes:
        last_run_utc: of the newest run before `until`; None if there never was one.
        worse: certain, confirmed and suspected changes for the worse that began or were
            settled in the window, the worst first; older: those of before that still stand.
        by_device: findings that the device explains, or that a paired A/B refuted.
        better: FASTER and MENDED; appeared: NEW.
        cases: all that `coverage` counts as planned.
        chance: what noise alone would have raised.
        trends: what is drawn; trends_left_out: series that are not.
        titles: case_id -> what people call the case, of every series.
    """

    project: str
    runs: tuple[WeekRun, ...]
    last_run_utc: datetime | None
    worse: tuple[Entry, ...]
    older: tuple[Entry, ...]
    by_device: tuple[Entry, ...]
    devices: tuple[DeviceFinding, ...]
    better: tuple[Entry, ...]
    appeared: tuple[Entry, ...]
    delegations: tuple[DelegationChange, ...]
    gates: tuple[GateChange, ...]
    unreliable: tuple[Reliability, ...]
    coverage: tuple[DeviceCoverage, ...]
    cases: tuple[WeekCase, ...]
    sights: tuple[Sight, ...]
    sight: Sight
    chance: Chance
    trends: tuple[Trend, ...]
    trends_left_out: int
    simulated: Simulated
    titles: dict[str, str]

    @property
    def total(self) -> Coverage:
        """Coverage of all its devices."""
        return sum((one.coverage for one in self.coverage), Coverage())

    @property
    def failing_gates(self) -> tuple[GateChange, ...]:
        """Gates that passed before and fail now."""
        return tuple(change for change in self.gates if change.fails)

    @property
    def gate_failed(self) -> bool:
        """Whether the week fails: something certain or confirmed that is new or still stands,
        or a gate of the plan that passed before."""
        return bool(self.failing_gates or self.standing) or any(
            e.finding.is_bad for e in self.worse
        )

    @property
    def standing(self) -> tuple[Entry, ...]:
        """What is certain or confirmed, was told before, and is not mended."""
        return tuple(e for e in self.older if e.finding.is_bad)

    @property
    def measured_nothing(self) -> bool:
        """Whether no real device gave any number in the window."""
        return self.total.measured == 0

    def of(self, word: Word, *standings: Standing) -> tuple[Entry, ...]:
        """Entries for the worse of one word; of these standings, if any are given."""
        return tuple(
            entry
            for entry in self.worse
            if entry.finding.word is word and (not standings or entry.finding.standing in standings)
        )


@dataclass(frozen=True, slots=True)
class Weekly:
    """All projects of the report; the window is since_utc <= start of a run < until_utc."""

    since_utc: datetime
    until_utc: datetime
    projects: tuple[ProjectWeek, ...]

    @property
    def gate_failed(self) -> bool:
        return any(project.gate_failed for project in self.projects)

    @property
    def measured_nothing(self) -> bool:
        return all(project.measured_nothing for project in self.projects)
