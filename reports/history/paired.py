"""Old and new of a series that took turns in one run, and what that says of a step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bench.format import counted
from bench.identity import Case, before
from bench.matrix import judge_pairs
from bench.numerics.model import NumericsWord
from bench.points import Point, PointState
from bench.stats import Change, RatioVerdict
from reports.history.levels import beyond
from reports.history.model import Standing
from reports.history.provenance import MODEL, RUNNER, RUNTIME, Provenances
from reports.history.words import change, change_interval, short

_SOFTWARE = (MODEL, RUNTIME, RUNNER)
_WEEK = timedelta(days=7)
NEVER_PAIRED = "Old and new were never measured side by side."


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Both sides of one series in one paired A/B run.

    Attributes:
        old_run: beginning of the id of the run that the old side was first measured in.
        old, new: their points in this run; without a new one it is a trial that found the
            old file to be nowhere any more, and measured nothing.
        verdict: new / old over their common rounds, above 1 is slower; None where one of
            them has no number, or another quantity.
    """

    old_run: str
    old: Point
    new: Point | None
    verdict: RatioVerdict | None

    @property
    def old_cannot_run(self) -> bool:
        return self.old.state in (PointState.FAILED, PointState.FELL_BACK)

    @property
    def old_is_gone(self) -> bool:
        return self.old.state is PointState.NOT_APPLICABLE


@dataclass(frozen=True, slots=True)
class Move:
    """A change of level that wants to be explained.

    Attributes:
        good, bad: the points at both sides of it; after: the judged points of the new level
            from `bad` on.
        before_us: the old level; ratio: new / old.
        software: what of model, runtime and runner changed there.
    """

    good: Point
    bad: Point
    after: tuple[Point, ...]
    before_us: float
    ratio: float
    software: frozenset[str]


def side_by_side(
    cases: Mapping[str, Case], points: Mapping[str, Sequence[Point]], delta: float
) -> dict[str, tuple[SideBySide, ...]]:
    """case_id of the series -> its paired A/Bs, oldest first.

    The pairs of one run are judged as the cells of a matrix (METHOD section 4).

    Args:
        cases: of all series, and of the old sides; points: of them, by case_id.
    """
    runs: dict[str, list[tuple[str, str, Point, Point | None]]] = defaultdict(list)
    for case_id, case in cases.items():
        found = before(case.model)
        if found is None:
            continue
        name, old_run = found
        today = replace(case, model=name).case_id
        by_run = {point.run_id: point for point in points.get(today, ())}
        for old in points.get(case_id, ()):
            now = by_run.get(old.run_id)
            if now is not None or old.state is PointState.NOT_APPLICABLE:
                runs[old.run_id].append((today, old_run, old, now))
    sides: dict[str, list[SideBySide]] = defaultdict(list)
    for pairs in runs.values():
        comparable = {
            index: (dict(new.p50_by_round_us), dict(old.p50_by_round_us))
            for index, (_, _, old, new) in enumerate(pairs)
            if new is not None
            and _has_a_number(old)
            and _has_a_number(new)
            and old.quantity == new.quantity
        }
        verdicts = judge_pairs(comparable, delta=delta, resolutions=dict.fromkeys(comparable, 0.0))
        for index, (today, old_run, old, now) in enumerate(pairs):
            sides[today].append(SideBySide(old_run, old, now, verdicts.get(index)))
    return {
        case_id: tuple(sorted(found, key=lambda s: (s.old.started_utc, s.old.run_id, s.old_run)))
        for case_id, found in sides.items()
    }


def software_of(what: Iterable[str]) -> frozenset[str]:
    """What of these names of provenance is model, runtime or runner."""
    return frozenset(what) & frozenset(_SOFTWARE)


def standing_of(
    move: Move,
    sides: Sequence[SideBySide],
    provenances: Provenances,
    started: Mapping[str, datetime],
    delta: float,
) -> tuple[Standing, str, str | None]:
    """How sure a change of level is, the sentence that says why, and what settles it.

    Args:
        sides: of the series, oldest first.
        started: of every run, by run_id.

    Returns: standing, sentence, todo; None where an A/B of today settles it, if anything.
    """
    of_it = [s for s in reversed(sides) if _is_of(s, move, started)]
    # A file that is gone on one machine may have been measured on another.
    side = next((s for s in of_it if not s.old_is_gone), of_it[0] if of_it else None)
    if side is None:
        return Standing.SUSPECTED, NEVER_PAIRED, None
    run = short(side.old.run_id)
    if side.old_is_gone:
        gone = f"On {side.old.started_utc:%Y-%m-%d} the old one was not to be had any more"
        return _two_weeks(move, gone, delta)
    if side.verdict is None or side.new is None:
        if side.old_cannot_run:
            return _two_weeks(move, f"In run {run} the old one could not run any more", delta)
        reason = "" if side.new is None else side.new.reason
        why = side.old.reason or reason or "one of them has no number there"
        return Standing.SUSPECTED, f"Run {run} was to settle it and did not: {why}.", None
    verdict = side.verdict
    shown = f"{change(verdict.ratio)} {change_interval(verdict.interval)}".strip()
    rounds = counted(verdict.rounds, "round")
    if verdict.change is Change.UNCLEAR:
        sentence = f"Side by side in run {run} it is unclear: {shown} in {rounds}"
        return Standing.SUSPECTED, f"{sentence}; {verdict.missing}.", None
    same_way = (verdict.ratio > 1) == (move.ratio > 1)
    if verdict.change is Change.CHANGED and same_way:
        return (
            Standing.CONFIRMED,
            f"Confirmed side by side in run {run}: {shown} than the old one in {rounds}.",
            None,
        )
    now = move.after[-1].p50_us
    back = now is not None and not beyond(now / move.before_us, delta)
    if verdict.change is Change.SAME and back:
        sentence = f"Side by side in run {run} both are the same, and it is as fast as before."
        return Standing.REFUTED, sentence, None
    seen = "the same" if verdict.change is Change.SAME else shown
    tested = software_of(c.what for c in provenances.between(side.old, side.new))
    untested = [what for what in _SOFTWARE if what in move.software - tested]
    if untested:
        left = " and ".join(untested)
        return (
            Standing.SUSPECTED,
            f"Side by side in run {run} old and new are {seen} in {rounds}, but both by today's "
            f"{left}: what is left is the {left}, or the device.",
            f"measure it with the {left} of then beside today's",
        )
    sentence = (
        f"Side by side in run {run} old and new are {seen} in {rounds}: the device changed, "
        "not the model."
    )
    return Standing.DEVICE, sentence, None


def _two_weeks(move: Move, why: str, delta: float) -> tuple[Standing, str, str | None]:
    """Old cannot run: a week and two weeks later it must still be so, by as much as counts."""
    moved = [
        (point.started_utc - move.bad.started_utc, point.p50_us / move.before_us)
        for point in move.after
        if point.p50_us is not None
    ]
    ages = [age for age, ratio in moved if beyond(ratio, delta) and (ratio > 1) == (move.ratio > 1)]
    first = any(_WEEK <= age < 2 * _WEEK for age in ages)
    second = any(age >= 2 * _WEEK for age in ages)
    if first and second:
        return Standing.CONFIRMED, f"{why}, and two further weeks agree.", None
    due = move.bad.started_utc + (2 * _WEEK if first else _WEEK)
    todo = f"run the plan again, in the week that begins on {due:%Y-%m-%d}"
    return Standing.SUSPECTED, f"{why}; two further weeks decide.", todo


def _is_of(side: SideBySide, move: Move, started: Mapping[str, datetime]) -> bool:
    """Whether it was measured after the change, and its old side is what was before it."""
    if side.old.started_utc < move.bad.started_utc:
        return False
    runs = [utc for run_id, utc in started.items() if run_id.startswith(side.old_run)]
    if runs:
        return max(runs) < move.bad.started_utc
    # Of files that belong to no run: by what they are.
    return side.old.model_sha256 is not None and side.old.model_sha256 == move.good.model_sha256


def _has_a_number(point: Point) -> bool:
    return point.judged and point.numerics != NumericsWord.WRONG
