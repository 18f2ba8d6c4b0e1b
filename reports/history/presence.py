"""NEW and MISSING: which series a project's runs began to measure, and which they left."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bench.identity import Case, before
from bench.points import Point, PointState
from bench.records import RunRecord, RunStatus
from reports.history.model import Finding, SeriesHistory, Standing, Word
from reports.history.states import certain, when
from reports.history.words import short

# A run may have been narrowed by options; two in a row are a change of what is planned.
_RUNS_WITHOUT = 2
# A series that was left that long ago is history and no news.
_STILL_NEWS = 5
RESUME = "edgebench run --resume measures what is missing"
_AWAY = "not measured: the device stayed away"


@dataclass(frozen=True, slots=True)
class Rounds:
    """The ordinary runs of a project, oldest first: no paired A/B, which measures one case.

    Attributes:
        runs: those that have points.
        positions: run_id -> position in `runs`.
        covering: (model, device) -> positions of those that planned it.
        of_plan: plan_sha256 -> positions.
    """

    runs: tuple[RunRecord, ...]
    positions: Mapping[str, int]
    covering: Mapping[tuple[str, str], tuple[int, ...]]
    of_plan: Mapping[str, tuple[int, ...]]


def ordinary_runs(
    runs: Iterable[RunRecord],
    cases: Mapping[str, Case],
    points: Mapping[str, Sequence[Point]],
    elsewhere: Collection[str] = (),
) -> Rounds:
    """The runs by which presence is judged.

    Args:
        runs: of the project; cases: of all points, those of old sides of A/Bs included.
        points: by case_id.
        elsewhere: ids of runs that have points of series that were not read.
    """
    planned: dict[str, set[tuple[str, str]]] = defaultdict(set)
    paired: set[str] = set()
    for case_id, found in points.items():
        case = cases[case_id]
        if case.is_sentinel:
            continue
        for point in found:
            planned[point.run_id].add((case.model, case.device))
            if case.is_before:
                paired.add(point.run_id)
    kept = sorted(
        (
            run
            for run in runs
            if (run.run_id in planned or run.run_id in elsewhere)
            and run.run_id not in paired
            and not _is_paired(run)
        ),
        key=lambda run: (run.started_utc, run.run_id),
    )
    covering: dict[tuple[str, str], list[int]] = defaultdict(list)
    of_plan: dict[str, list[int]] = defaultdict(list)
    for position, run in enumerate(kept):
        of_plan[run.plan_sha256].append(position)
        for key in planned[run.run_id]:
            covering[key].append(position)
    return Rounds(
        runs=tuple(kept),
        positions={run.run_id: position for position, run in enumerate(kept)},
        covering={key: tuple(found) for key, found in covering.items()},
        of_plan={key: tuple(found) for key, found in of_plan.items()},
    )


def _is_paired(run: RunRecord) -> bool:
    models = run.plan.get("model")
    named = models if isinstance(models, list | tuple) else ()
    return any(isinstance(m, Mapping) and before(str(m.get("name", ""))) for m in named)


def presence_of(series: SeriesHistory, rounds: Rounds, since: datetime | None) -> Finding | None:
    """NEW, MISSING or nothing.

    NEW is a series whose first point is of `since` or later, or without it of the newest
    run; the project's first run makes nothing NEW. MISSING is one that was planned and that
    the newest run did not come to, that cannot exist any more, that the same plan does not
    hold any more, or that two runs of its model on its device went without; suspected where
    only the newest run did not come to it, and can be resumed.
    """
    if not series.points or not rounds.runs:
        return None
    return _missing(series, rounds) or _new(series, rounds, since)


def _new(series: SeriesHistory, rounds: Rounds, since: datetime | None) -> Finding | None:
    first = series.points[0]
    news = rounds.runs[-1].started_utc if since is None else since
    if first.started_utc < news or first.started_utc <= rounds.runs[0].started_utc:
        return None
    newest = series.points[-1]
    is_well = newest.state is PointState.MEASURED and newest.numerics != "WRONG"
    state = "" if is_well else f" It is {_state(newest)}."
    sentence = f"NEW {when(first)}.{state}"
    return certain(series, Word.NEW, None, first, "", _state(newest), sentence)


def _missing(series: SeriesHistory, rounds: Rounds) -> Finding | None:
    measured = [i for i, point in enumerate(series.points) if _was_there(point)]
    if not measured:
        return None
    good = series.points[measured[-1]]
    later = [p for p in series.points[measured[-1] + 1 :] if p.run_id in rounds.positions]
    if later:
        newest, first = later[-1], later[0]
        away = newest.reason.startswith(_AWAY)
        gone = newest.state is PointState.NOT_APPLICABLE
        if len(later) == 1 and not away and not gone:
            unended = rounds.runs[rounds.positions[newest.run_id]]
            if unended.status is not RunStatus.FINISHED:
                return _not_come_to(series, good, newest, unended)
        return certain(
            series,
            Word.MISSING,
            good,
            first,
            "measured",
            _state(newest),
            f"MISSING {when(first)}: {newest.reason}.",
            todo=""
            if gone
            else "edgebench devices doctor, then edgebench run --resume"
            if away
            else RESUME,
            standing=Standing.DEVICE if away else Standing.CERTAIN,
        )
    run = _left_by(series, good, rounds)
    if run is None:
        return None
    sentence = (
        f"MISSING since run {short(run.run_id)} of {run.started_utc:%Y-%m-%d}, which did not plan "
        f"it; measured last in run {short(good.run_id)} of {good.started_utc:%Y-%m-%d}."
    )
    found = certain(
        series,
        Word.MISSING,
        good,
        good,
        "measured",
        "not planned",
        sentence,
        todo="put it back into the plan, if it was left out by mistake",
    )
    return replace(found, run_id=run.run_id, since_utc=run.started_utc)


def _not_come_to(series: SeriesHistory, good: Point, newest: Point, run: RunRecord) -> Finding:
    """A run that can still be resumed says nothing of a case that it did not come to."""
    is_open = run.status is RunStatus.RUNNING
    ended = "has not ended yet" if is_open else "was interrupted before it came to it"
    return certain(
        series,
        Word.MISSING,
        good,
        newest,
        "measured",
        _state(newest),
        f"MISSING from run {short(run.run_id)} of {run.started_utc:%Y-%m-%d}, which {ended}.",
        todo="wait for it; if nothing measures any more, edgebench run --resume"
        if is_open
        else RESUME,
        standing=Standing.SUSPECTED,
    )


def _left_by(series: SeriesHistory, good: Point, rounds: Rounds) -> RunRecord | None:
    """The first run that should have had it, while that is news."""
    began = rounds.positions.get(good.run_id)
    if began is None:
        # Last measured in a paired A/B: from the ordinary run before it on.
        earlier = [i for i, run in enumerate(rounds.runs) if run.started_utc <= good.started_utc]
        if not earlier:
            return None
        began = earlier[-1]
    covering = rounds.covering.get((series.case.model, series.case.device), ())
    same = _after(began, rounds.of_plan[rounds.runs[began].plan_sha256])
    beside = _after(began, covering)
    if len(beside) > _STILL_NEWS or len(same) > _STILL_NEWS:
        return None
    if same:
        return rounds.runs[min((*same, *beside))]
    return rounds.runs[beside[0]] if len(beside) >= _RUNS_WITHOUT else None


def _after(position: int, of: Sequence[int]) -> Sequence[int]:
    return of[bisect_right(of, position) :]


def _was_there(point: Point) -> bool:
    return point.state not in (PointState.UNFINISHED, PointState.NOT_APPLICABLE)


def _state(point: Point) -> str:
    if point.numerics == "WRONG":
        return "WRONG"
    return point.state.value.replace("-", " ")
