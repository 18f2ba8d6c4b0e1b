"""What a history says, ready to be rendered: values, never formatted text.

Made by reports.history from stored points; read by `history`, `weekly` and charts.
Latencies in microseconds; ratios are after / before, above 1 is slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bench.identity import Case
from bench.points import Baseline, Point
from bench.stats import Interval


class Word(StrEnum):
    """What happened to a series. MENDED: what had FAILED, FELL BACK or been WRONG is well."""

    SLOWER = "SLOWER"
    FASTER = "FASTER"
    WRONG = "WRONG"
    LESS_ACCURATE = "LESS ACCURATE"
    FELL_BACK = "FELL BACK"
    BIGGER = "BIGGER"
    FAILED = "FAILED"
    MISSING = "MISSING"
    NEW = "NEW"
    MENDED = "MENDED"


class Standing(StrEnum):
    """How sure it is.

    CERTAIN: seen, not inferred (an answer, a file's size, a delegate's verdict). SUSPECTED: a
    step in the series; old and new were never measured side by side. CONFIRMED: a paired A/B
    of old against new shows it too, or two further weeks agree where old cannot run any more.
    DEVICE: old is as slow as new now, or all cases of the device moved at once: the device
    changed and not the model. REFUTED: the paired A/B says SAME.
    """

    CERTAIN = "certain"
    SUSPECTED = "suspected"
    CONFIRMED = "confirmed"
    DEVICE = "device"
    REFUTED = "refuted"


@dataclass(frozen=True, slots=True)
class ProvenanceChange:
    """One thing that was another before the step than after it.

    Attributes:
        what: "runtime", "model", "runner", "OS build", "GPU driver", "controls", ...
        before, after: short texts, shown as they are; "" where it was not recorded.
    """

    what: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Step:
    """A level that changed.

    Attributes:
        position: in the series' judged points, of the first point of the new level.
        last_good_run_id, first_bad_run_id: the runs at both sides; since_utc of the latter.
        before_us, after_us: medians of both levels.
        ratio: after / before; interval: 95 %, None where there are too few points.
        p_value: of the detector; None where only the baseline tells it.
        provenance: what differs between the two runs, first suspect first.
    """

    position: int
    last_good_run_id: str
    first_bad_run_id: str
    since_utc: datetime
    before_us: float
    after_us: float
    ratio: float
    interval: Interval | None
    p_value: float | None
    provenance: tuple[ProvenanceChange, ...]


@dataclass(frozen=True, slots=True)
class Spike:
    """A lone point far from its neighbours: left out of the level, and a suspect of its own."""

    position: int
    run_id: str
    ratio: float


@dataclass(frozen=True, slots=True)
class AgainstBaseline:
    """The newest level held against a baseline.

    Attributes:
        baseline: None for the rolling window.
        what: in words: "pinned run 0198a2b3", "release 1.4", "the 8 runs before".
        before_us: its level; ratio: newest / before; significant: by the test of docs/history.md.
    """

    baseline: Baseline | None
    what: str
    before_us: float
    ratio: float
    interval: Interval | None
    significant: bool


@dataclass(frozen=True, slots=True)
class SeriesHistory:
    """One series over time.

    Attributes:
        points: all of it, oldest first, also those without a number.
        judged: those of `points` whose p50 counts (Point.judged, one quantity).
        steps: changes of level, oldest first; spikes: likewise.
        against: None without a baseline or without a number.
        smallest_step: share, e.g. 0.04: the smallest step that this series can show; None
            for too few points.
        changes: (position in `points`, what changed there) for every change of provenance.
    """

    case: Case
    case_id: str
    points: tuple[Point, ...]
    judged: tuple[Point, ...]
    steps: tuple[Step, ...]
    spikes: tuple[Spike, ...]
    against: AgainstBaseline | None
    smallest_step: float | None
    changes: tuple[tuple[int, tuple[ProvenanceChange, ...]], ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a person should know of one series.

    Attributes:
        run_id: the first run that shows it; since_utc of it; last_good_run_id if there is one.
        before, after: in words with units ("1.91 ms", "FULL 65/65", "3.4 MB"), "" if nothing.
        ratio, interval: of SLOWER and FASTER, else None.
        provenance: what changed between last good and first bad, first suspect first.
        sentence: one line for people, complete in itself.
        todo: what settles or mends it, a sentence or a command; "" if nothing is to be done.
    """

    word: Word
    standing: Standing
    case: Case
    case_id: str
    run_id: str
    since_utc: datetime
    last_good_run_id: str | None
    before: str
    after: str
    ratio: float | None
    interval: Interval | None
    provenance: tuple[ProvenanceChange, ...]
    sentence: str
    todo: str

    @property
    def is_bad(self) -> bool:
        """Whether it is a regression that fails a gate: certain or confirmed, and for the worse."""
        worse = self.word not in (Word.FASTER, Word.NEW, Word.MENDED)
        return worse and self.standing in (Standing.CERTAIN, Standing.CONFIRMED)


@dataclass(frozen=True, slots=True)
class DeviceFinding:
    """All cases of a device moved at once: what changed is the device.

    Attributes:
        ratio: geometric mean of the steps of its `cases`; of so many there are `of`.
        sentence, provenance: as in Finding.
    """

    device: str
    since_utc: datetime
    ratio: float
    cases: int
    of: int
    provenance: tuple[ProvenanceChange, ...]
    sentence: str


@dataclass(frozen=True, slots=True)
class History:
    """Every series of a project, or those that were asked for."""

    project: str
    series: tuple[SeriesHistory, ...]
    findings: tuple[Finding, ...]
    devices: tuple[DeviceFinding, ...]
