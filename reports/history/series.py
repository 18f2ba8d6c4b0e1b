"""Points of one series to its history: levels, steps, lone points, what changed when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from bench.changepoints import Detection
from bench.identity import Case
from bench.numerics.model import NumericsWord
from bench.points import Baseline, Point
from bench.stability import StabilityWord
from reports.history.baselines import against
from reports.history.levels import Levels, levels_of
from reports.history.model import SeriesHistory, Spike, Step
from reports.history.provenance import Provenances


@dataclass(frozen=True, slots=True)
class Held:
    """By what series are judged.

    Attributes:
        baselines: in force, the one that counts most first.
        delta: smallest relative change that counts.
    """

    provenances: Provenances
    baselines: tuple[Baseline, ...]
    delta: float


def judged_of(points: Sequence[Point]) -> tuple[Point, ...]:
    """Those that may be held against each other, in their order.

    They have a number under their own name, of launches that were mostly clean and of
    answers that are not WRONG; none is simulated unless all are; and they are of one
    quantity, that of the newest.
    """
    clean = [
        point
        for point in points
        if point.judged
        and point.stability not in (StabilityWord.TAINTED, StabilityWord.INVALID)
        and point.numerics != NumericsWord.WRONG
    ]
    real = [point for point in clean if not point.simulated] or clean
    return tuple(point for point in real if point.quantity == real[-1].quantity)


def series_of(
    case: Case,
    case_id: str,
    points: Sequence[Point],
    judged: tuple[Point, ...],
    detection: Detection,
    smallest_step: float | None,
    held: Held,
) -> SeriesHistory:
    """The history of one series.

    Args:
        points: all of it, oldest first.
        judged: judged_of(points); detection and smallest_step: of their p50.
    """
    levels = levels_of(detection) if judged else None
    return SeriesHistory(
        case=case,
        case_id=case_id,
        points=tuple(points),
        judged=judged,
        steps=() if levels is None else tuple(_steps(judged, detection, levels, held)),
        spikes=tuple(_spikes(judged, detection)),
        against=None if levels is None else against(judged, levels, held.baselines, held.delta),
        smallest_step=smallest_step,
        changes=held.provenances.along(points),
    )


def _steps(
    judged: Sequence[Point], detection: Detection, levels: Levels, held: Held
) -> Iterator[Step]:
    lone = set(detection.spikes)
    for index, step in enumerate(detection.steps):
        start, at, end = levels.edges[index : index + 3]
        # A lone point is no witness of the level that it lies in.
        good = next((i for i in reversed(range(start, at)) if i not in lone), at - 1)
        bad = next((i for i in range(at, end) if i not in lone), at)
        before, after = levels.values_us[start:at], levels.values_us[at:end]
        ratio = levels.ratio(before, after)
        yield Step(
            position=step.position,
            last_good_run_id=judged[good].run_id,
            first_bad_run_id=judged[bad].run_id,
            since_utc=judged[bad].started_utc,
            before_us=median(before),
            after_us=median(after),
            ratio=ratio.value,
            interval=ratio.interval,
            p_value=step.p_value,
            provenance=held.provenances.across(judged[good], judged[bad]),
        )


def _spikes(judged: Sequence[Point], detection: Detection) -> Iterator[Spike]:
    for index in detection.spikes:
        us = judged[index].p50_us
        assert us is not None
        yield Spike(index, judged[index].run_id, us / detection.cleaned[index])
