"""SLOWER and FASTER: steps and baselines of one series to findings, with how sure they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from bench.changepoints import MIN_POINTS, Detection
from bench.format import counted, duration
from bench.points import Point
from bench.stats import Interval
from reports.history.levels import MIN_RUNS, WINDOW, beyond, levels_of
from reports.history.model import (
    AgainstBaseline,
    Finding,
    ProvenanceChange,
    SeriesHistory,
    Standing,
    Step,
    Word,
)
from reports.history.paired import Move, SideBySide, software_of, standing_of
from reports.history.provenance import Provenances, delegation_text, in_words, unexplained
from reports.history.words import (
    CASE_DIGITS,
    change,
    change_interval,
    counted_runs,
    said,
    short,
)


@dataclass(frozen=True, slots=True)
class Context:
    """What one series is held against beside its own points.

    Attributes:
        started: of every run, by run_id; sides: paired A/Bs by case_id.
        delta: smallest relative change that counts.
    """

    provenances: Provenances
    started: Mapping[str, datetime]
    sides: Mapping[str, Sequence[SideBySide]]
    delta: float


@dataclass(frozen=True, slots=True)
class _Change:
    """A change of level, before it is known how sure it is; places are in `judged`."""

    good: int
    bad: int
    before_us: float
    after_us: float
    ratio: float
    interval: Interval | None
    provenance: tuple[ProvenanceChange, ...]
    how: str


def speeds_of(series: SeriesHistory, context: Context) -> tuple[Finding, ...]:
    """At most one SLOWER and one FASTER.

    A step is news for as long as its new level has at most 8 runs; a pinned run or a release
    is held against for as long as it is one. The newest run alone counts where the detector
    calls it a lone point, or is blind to so short a series, and the runs before it make it
    significant.
    """
    changes: dict[Word, _Change] = {}
    for found in (_of_step(series), _of_baseline(series, context), _alone(series, context)):
        if found is not None and beyond(found.ratio, context.delta):
            changes.setdefault(Word.SLOWER if found.ratio > 1 else Word.FASTER, found)
    return tuple(_finding(series, word, found, context) for word, found in changes.items())


def _of_step(series: SeriesHistory) -> _Change | None:
    step = series.steps[-1] if series.steps else None
    if step is None or len(series.judged) - step.position > WINDOW:
        return None
    return _by_step(series, step, _beside(series.against, step.ratio))


def _by_step(series: SeriesHistory, step: Step, how: str) -> _Change:
    place = {point.run_id: index for index, point in enumerate(series.judged)}
    return _Change(
        place[step.last_good_run_id],
        place[step.first_bad_run_id],
        step.before_us,
        step.after_us,
        step.ratio,
        step.interval,
        step.provenance,
        how,
    )


def _of_baseline(series: SeriesHistory, context: Context) -> _Change | None:
    held = series.against
    if held is None or held.baseline is None or not held.significant:
        return None
    judged = series.judged
    index = next(i for i, p in enumerate(judged) if p.run_id == held.baseline.run_id)
    how = f"held against {held.what}"
    for step in reversed(series.steps):
        if step.position > index and (step.ratio > 1) == (held.ratio > 1):
            found = _by_step(series, step, how)
            good, bad, provenance = found.good, found.bad, found.provenance
            break
    else:
        start = series.steps[-1].position if series.steps else 0
        good, bad = index, max(start, index + 1)
        provenance = context.provenances.across(judged[good], judged[bad])
    return _Change(
        good,
        bad,
        held.before_us,
        held.before_us * held.ratio,
        held.ratio,
        held.interval,
        provenance,
        how,
    )


def _alone(series: SeriesHistory, context: Context) -> _Change | None:
    """The newest run by itself: a lone point, until the next run agrees with it."""
    judged = series.judged
    last = len(judged) - 1
    lone = {spike.position: spike.ratio for spike in series.spikes}
    if last not in lone and len(judged) >= MIN_POINTS:
        return None
    start = series.steps[-1].position if series.steps else 0
    before = [_us(judged[i]) / lone.get(i, 1.0) for i in range(start, last)]
    if len(before) < MIN_RUNS:
        return None
    levels = levels_of(Detection((), (), tuple(before)))
    ratio = levels.ratio(before[-WINDOW:], (_us(judged[last]),))
    if not ratio.significant:
        return None
    return _Change(
        last - 1,
        last,
        median(before[-WINDOW:]),
        _us(judged[last]),
        ratio.value,
        ratio.interval,
        context.provenances.across(judged[last - 1], judged[last]),
        "one run alone",
    )


def _us(point: Point) -> float:
    assert point.p50_us is not None
    return point.p50_us


def _beside(held: AgainstBaseline | None, ratio: float) -> str:
    """What a baseline says beside a step."""
    if held is None or held.baseline is None:
        return ""
    if not held.significant:
        return f"no change that counts against {held.what}"
    same = (held.ratio > 1) == (ratio > 1)
    return f"{'' if same else 'but '}{change(held.ratio)} than {held.what}"


def _finding(series: SeriesHistory, word: Word, found: _Change, context: Context) -> Finding:
    judged = series.judged
    good, bad = judged[found.good], judged[found.bad]
    after = judged[found.bad :]
    standing, why, todo = standing_of(
        Move(
            good=good,
            bad=bad,
            after=after,
            before_us=found.before_us,
            ratio=found.ratio,
            software=software_of(c.what for c in found.provenance),
        ),
        context.sides.get(series.case_id, ()),
        context.provenances,
        context.started,
        context.delta,
    )
    if series.case.is_sentinel:
        standing, todo = Standing.DEVICE, None
        why = "It is the sentinel, which never changes: the device or its runtime did."
    return Finding(
        word=word,
        standing=standing,
        case=series.case,
        case_id=series.case_id,
        run_id=bad.run_id,
        since_utc=bad.started_utc,
        last_good_run_id=good.run_id,
        before=duration(found.before_us),
        after=duration(found.after_us),
        ratio=found.ratio,
        interval=found.interval,
        provenance=found.provenance,
        sentence=said(series, " ".join(_sentences(found, good, bad, after, why))),
        todo=_todo(series, standing) if todo is None else todo,
    )


def _sentences(
    found: _Change, good: Point, bad: Point, after: Sequence[Point], why: str
) -> Iterator[str]:
    interval = change_interval(found.interval)
    how = f" ({found.how})" if found.how else ""
    yield (
        f"{change(found.ratio)}{f' {interval}' if interval else ''} since run"
        f" {short(bad.run_id)} of {bad.started_utc:%Y-%m-%d}{how}: {duration(found.before_us)}"
        f" before, {duration(found.after_us)} in the {counted_runs(len(after))} from then on"
        f" ({_launches(after)})."
    )
    if found.provenance:
        yield f"Since run {short(good.run_id)} these changed: {in_words(found.provenance)}."
    else:
        yield unexplained(good, bad)
    taken = [delegation_text(point) for point in (good, bad)]
    if all(taken) and taken[0] != taken[1]:
        yield f"Its delegate took {taken[0]} and takes {taken[1]}."
    yield why


def _launches(points: Sequence[Point]) -> str:
    """ "6 launches each", "1 to 6 launches each": a run of one counts as much as one of six."""
    used = sorted(point.launches_used for point in points)
    each = " each" if len(used) > 1 else ""
    if used[0] == used[-1]:
        return f"{counted(used[0], 'launch')}{each}"
    return f"{used[0]} to {used[-1]} launches{each}"


def _todo(series: SeriesHistory, standing: Standing) -> str:
    if standing is not Standing.SUSPECTED:
        return ""
    return f"edgebench history --confirm {series.case_id[:CASE_DIGITS]}"
