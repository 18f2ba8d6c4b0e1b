"""Weeks in every situation that the report must tell well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import histories
from comparisons import HOSTILE

from bench.identity import Case, DelegateSpec
from bench.points import PointState
from reports.history.model import (
    DeviceFinding,
    Finding,
    History,
    ProvenanceChange,
    SeriesHistory,
    Standing,
    Word,
)
from reports.weekly.build import build, weekly
from reports.weekly.model import ProjectWeek, Weekly

SINCE, UNTIL = histories.SINCE, histories.UNTIL


def project(
    history: History, year: histories.Year | None = None, before: History | None = None
) -> ProjectWeek:
    """The week of a history, with the runs and outcomes of a year if one is given."""
    runs, outcomes = (year.runs, year.outcomes) if year else ((), ())
    known = before or told(history)
    return build(history, known, runs, outcomes, since_utc=SINCE, until_utc=UNTIL)


def told(history: History) -> History:
    """What began before the window, found in the run that it began in."""
    return replace(
        history,
        findings=tuple(f for f in history.findings if f.since_utc < SINCE),
        devices=tuple(d for d in history.devices if d.since_utc < SINCE),
    )


def of(*projects: ProjectWeek) -> Weekly:
    return weekly(projects, SINCE, UNTIL)


def eventful() -> Weekly:
    """The synthetic year's last week."""
    year = histories.year()
    return of(project(year.history, year))


def quiet(name: str = histories.PROJECT) -> Weekly:
    """Everything measured, nothing found."""
    return of(_quiet(name))


def _quiet(name: str) -> ProjectWeek:
    year = histories.year()
    kept = tuple(
        s
        for s in year.history.series
        if s.case.device == "pi-5" and s.points[-1].run_id == year.runs[-1].run_id
    )
    series = tuple(replace(s, steps=()) for s in kept)
    return project(History(name, series, (), ()), year)


def silent() -> Weekly:
    """No run in the window, and one long before it."""
    year = histories.year()
    long_ago = SINCE - timedelta(days=100)
    runs = tuple(run for run in year.runs if run.started_utc < long_ago)
    series = tuple(
        replace(
            s,
            points=tuple(p for p in s.points if p.started_utc < long_ago),
            judged=(),
            steps=(),
        )
        for s in year.history.series
    )
    history = History(histories.PROJECT, series, (), ())
    return of(build(history, history, runs, (), since_utc=SINCE, until_utc=UNTIL))


def emulated() -> Weekly:
    """Only an emulated device, and it seems to regress."""
    year = histories.year()
    series = tuple(s for s in year.history.series if s.case.device == "emulated-phone")
    ids = {s.case_id for s in series}
    findings = tuple(f for f in year.history.findings if f.case_id in ids)
    return of(project(History(histories.PROJECT, series, findings, ()), year))


def older() -> Weekly:
    """Nothing new, but what was told before still stands."""
    return of(project(_only_old(Standing.CERTAIN)))


def _only_old(standing: Standing) -> History:
    year = histories.year()
    series = next(s for s in year.history.series if s.case.device == "pi-5")
    began = year.runs[-20].started_utc
    finding = histories.finding(series, Word.WRONG, standing, began, before="OK", after="WRONG")
    return History(histories.PROJECT, (series,), (finding,), ())


def several() -> Weekly:
    """Two projects, one of them quiet."""
    year = histories.year()
    return of(_quiet("audio"), project(year.history, year))


def many() -> Weekly:
    """An OS update that takes NNAPI from 300 cases, and 300 steps that are no group."""
    moments = histories.starts(8)
    series: list[SeriesHistory] = []
    findings: list[Finding] = []
    for number in range(300):
        device = f"phone-{number:03d}"
        case = histories.case(device, "mobilenet", "int8", "gpu")
        points = [histories.point(case, at, 1000.0 + number) for at in moments]
        one = histories.history_of(case, points, moments)
        series.append(one)
        word = Word.SLOWER if number % 2 else Word.FELL_BACK
        standing = Standing.SUSPECTED if number % 2 else Standing.CERTAIN
        findings.append(histories.finding(one, word, standing, moments[-3], before="a", after="b"))
    return of(project(History(histories.PROJECT, tuple(series), tuple(findings), ())))


def hostile() -> Weekly:
    """Names and texts that attack whatever shows them."""
    moments = histories.starts(8)
    series: list[SeriesHistory] = []
    findings: list[Finding] = []
    for number, name in enumerate(HOSTILE):
        delegate = DelegateSpec(name, (("option", name),))
        case = Case(HOSTILE[0], name, name, delegate, 1, name, name)
        points = [
            replace(
                histories.point(case, at, 900.0 + number),
                reason=name,
                metric=name,
                coverage="FULL",
                gates_failed=(name,) if at == moments[-1] else (),
            )
            for at in moments
        ]
        if number == 3:
            points[-1] = replace(points[-1], state=PointState.FAILED, p50_us=None)
        one = histories.history_of(case, points, moments)
        series.append(one)
        changed = (ProvenanceChange(name, name, name),)
        findings.append(
            histories.finding(
                one,
                (Word.WRONG, Word.SLOWER, Word.BIGGER)[number % 3],
                Standing.CERTAIN,
                moments[-2],
                before=name,
                after=name,
                provenance=changed,
                sentence=name,
                todo=name,
            )
        )
    devices = (DeviceFinding(HOSTILE[0], moments[-2], 1.1, 3, 3, changed, HOSTILE[8]),)
    return of(project(History(HOSTILE[0], tuple(series), tuple(findings), devices)))


SITUATIONS: dict[str, Callable[[], Weekly]] = {
    "eventful": eventful,
    "quiet": quiet,
    "silent": silent,
    "emulated": emulated,
    "older": older,
    "several": several,
    "many": many,
    "hostile": hostile,
}
