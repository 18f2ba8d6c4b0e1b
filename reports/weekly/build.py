"""A history and the runs of a window to the week that the report tells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from bench.points import Point
from bench.records import RunRecord
from bench.store.outcomes import LaunchOutcomes
from reports.history.model import Finding, History, SeriesHistory, Standing, Word
from reports.history.words import is_simulated
from reports.weekly.chance import chance_of
from reports.weekly.changes import delegation_changes, gate_changes
from reports.weekly.coverage import coverage_by_device, planned_cases, total_of, unreliable_devices
from reports.weekly.model import Chance, Entry, ProjectWeek, Simulated, Weekly, WeekRun
from reports.weekly.names import titles_of
from reports.weekly.news import Told
from reports.weekly.sight import sights
from reports.weekly.trends import trends
from reports.weekly.window import Window

# What people want to hear first, the worst first; among equals the larger ratio.
_GRAVITY = (
    Word.WRONG,
    Word.FELL_BACK,
    Word.LESS_ACCURATE,
    Word.FAILED,
    Word.SLOWER,
    Word.BIGGER,
    Word.MISSING,
)
_BETTER = (Word.FASTER, Word.MENDED)
_NOT_THE_MODEL = (Standing.DEVICE, Standing.REFUTED)


def build(
    history: History,
    before: History,
    runs: Sequence[RunRecord],
    outcomes: Iterable[LaunchOutcomes],
    *,
    since_utc: datetime,
    until_utc: datetime,
) -> ProjectWeek:
    """One project's week.

    Args:
        history: of all its series, as of `until_utc`; sentinels and the old sides of paired
            A/B runs count for nothing here.
        before: the same as of `since_utc`: what it holds was told before this week.
        runs: of the project, in any order; those outside of the window are looked past.
        outcomes: of the launches of the window's runs; () where they are not known.
    """
    window = Window(since_utc, until_utc)
    series = [s for s in history.series if not (s.case.is_sentinel or s.case.is_before)]
    titles = titles_of(series)
    emulated = {s.case_id for s in series if _is_emulated(s)}
    real = [s for s in series if s.case_id not in emulated]
    by_id = {s.case_id: s for s in series}
    entries = [
        Entry(finding, by_id[finding.case_id], titles[finding.case_id])
        for finding in history.findings
        if finding.case_id in by_id and finding.since_utc < until_utc
    ]
    measured = sorted((e for e in entries if e.finding.case_id not in emulated), key=_worst_first)
    told = Told(before, by_id)
    now = [e for e in measured if not told.has(e.finding)]
    worse = [e for e in now if _is_for_the_worse(e.finding)]
    older = [e for e in measured if e not in now and _is_for_the_worse(e.finding)]
    # What a run that can be resumed has not come to is not finished, and no more.
    missing = {
        e.finding.case_id
        for e in measured
        if e.finding.word is Word.MISSING and e.finding.standing is not Standing.SUSPECTED
    }
    devices = tuple(d for d in history.devices if not told.has_device(d))
    real_devices = {s.case.device for s in real}
    drawn, left_out = trends(real, window, worse)
    each, everything = sights(real, window)
    chance = chance_of(real, window, worse)
    # Where there are many suspicions, those first that are more than chance.
    worse.sort(key=lambda e: _is_likely_chance(e, chance))
    return ProjectWeek(
        project=history.project,
        runs=tuple(_runs(runs, series, window)),
        last_run_utc=max((r.started_utc for r in runs if r.started_utc < until_utc), default=None),
        worse=tuple(worse),
        older=tuple(older),
        by_device=tuple(e for e in now if e.finding.standing in _NOT_THE_MODEL),
        devices=tuple(d for d in devices if d.device in real_devices),
        better=tuple(e for e in now if e.finding.word in _BETTER and e not in worse),
        appeared=tuple(e for e in now if e.finding.word is Word.NEW),
        delegations=delegation_changes(real, window, titles),
        gates=gate_changes(real, window, titles, _known_wrong(measured)),
        unreliable=unreliable_devices(real, window, missing, outcomes),
        coverage=coverage_by_device(real, window, missing),
        cases=planned_cases(real, window, missing),
        sights=each,
        sight=everything,
        chance=chance,
        trends=drawn,
        trends_left_out=left_out,
        simulated=Simulated(
            entries=tuple(
                e
                for e in sorted(entries, key=_worst_first)
                if e.finding.case_id in emulated and not told.has(e.finding)
            ),
            devices=tuple(d for d in devices if d.device not in real_devices),
            coverage=total_of((by_id[c] for c in emulated), window),
        ),
        titles=titles,
    )


def weekly(projects: Iterable[ProjectWeek], since_utc: datetime, until_utc: datetime) -> Weekly:
    """All of them: those that fail first, then those that were measured, by name."""
    ordered = sorted(projects, key=lambda p: (not p.gate_failed, p.measured_nothing, p.project))
    return Weekly(since_utc, until_utc, tuple(ordered))


def _is_emulated(series: SeriesHistory) -> bool:
    """Also where only the newest run was: it would stand for the case."""
    return is_simulated(series) or (bool(series.points) and series.points[-1].simulated)


def _is_for_the_worse(finding: Finding) -> bool:
    return finding.word in _GRAVITY and finding.standing not in _NOT_THE_MODEL


def _worst_first(entry: Entry) -> tuple[object, ...]:
    """What is sure before what is suspected, then by word, then by how much."""
    finding = entry.finding
    gravity = _GRAVITY.index(finding.word) if finding.word in _GRAVITY else len(_GRAVITY)
    return (
        finding.standing is Standing.SUSPECTED,
        gravity,
        -(finding.ratio or 0.0),
        entry.title,
        finding.case_id,
    )


def _is_likely_chance(entry: Entry, chance: Chance) -> bool:
    found = entry.finding
    return found.standing is Standing.SUSPECTED and found.case_id not in chance.outstanding


def _known_wrong(entries: Iterable[Entry]) -> set[str]:
    return {e.finding.case_id for e in entries if e.finding.word is Word.WRONG}


def _runs(
    runs: Sequence[RunRecord], series: Iterable[SeriesHistory], window: Window
) -> Iterable[WeekRun]:
    """The window's runs, newest first."""
    points: Mapping[str, int] = Counter(
        p.run_id for s in series for p in window.points(s) if _is_planned(p)
    )
    for run in sorted(runs, key=lambda r: (r.started_utc, r.run_id), reverse=True):
        if window.holds(run.started_utc):
            yield WeekRun(
                run.run_id, str(run.status), run.started_utc, run.simulated, points[run.run_id]
            )


def _is_planned(point: Point) -> bool:
    return point.state != "not-applicable"
