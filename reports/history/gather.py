"""A project's stored points -> its History: series, findings, devices."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime

from bench.changepoints import detect_many, smallest_step_given
from bench.config import AnalysisConfig
from bench.identity import Case
from bench.points import Point
from bench.records import RunRecord, RunStatus
from bench.store.reader import StoreReader
from reports.history.baselines import in_force
from reports.history.blame import blame
from reports.history.model import Finding, History, SeriesHistory, Standing, Word
from reports.history.paired import side_by_side
from reports.history.past import Past, read
from reports.history.presence import ordinary_runs, presence_of
from reports.history.provenance import Provenances
from reports.history.series import Held, judged_of, series_of
from reports.history.speeds import Context, speeds_of
from reports.history.states import states_of
from reports.history.words import is_simulated, title
from reports.provenance import mapping

# The worst first.
_GRAVITY = (
    Word.WRONG,
    Word.FELL_BACK,
    Word.LESS_ACCURATE,
    Word.FAILED,
    Word.SLOWER,
    Word.BIGGER,
    Word.MISSING,
    Word.MENDED,
    Word.FASTER,
    Word.NEW,
)
_SURENESS = (
    Standing.CERTAIN,
    Standing.CONFIRMED,
    Standing.SUSPECTED,
    Standing.DEVICE,
    Standing.REFUTED,
)
# Of a file and not of a case: told once, whatever it was measured with.
_OF_FILES = (Word.BIGGER, Word.LESS_ACCURATE)


def gather(
    store: StoreReader,
    project: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    ended_by: datetime | None = None,
    where: Callable[[Case], bool] | None = None,
) -> History:
    """The history of a project's series, as of `until`.

    Whatever `where` leaves out is not in the answer, but is asked for its opinion: a step is
    the device's fault or not whatever else is shown. The sentinels of the devices are series
    too; the old sides of paired A/Bs are not.

    Args:
        since: from when on what is NEW or MENDED is told; without it, of the newest run.
            What holds now is told whenever it began.
        until: later runs are left out, and what was pinned later.
        ended_by: runs that had not ended by then are left out too.
        where: which series; all without it.

    Raises: StoreError.
    """
    past = read(store, project, until=until, where=where).as_of(until, ended_by)
    return history_of(past, since=since, where=where)


def history_of(
    past: Past,
    *,
    since: datetime | None = None,
    where: Callable[[Case], bool] | None = None,
) -> History:
    """The history of what was read; `since` and `where` as in `gather`."""
    cases, points, runs = past.cases, past.points, past.runs
    newest = max(runs, key=lambda run: (run.started_utc, run.run_id), default=None)
    delta = AnalysisConfig().delta if newest is None else delta_of(newest)
    provenances = Provenances(past.environments, {run.run_id: run for run in runs})
    held = Held(provenances, in_force(past.baselines), delta)
    series = _series(cases, points, held)
    context = Context(
        provenances=provenances,
        started={run.run_id: run.started_utc for run in runs},
        sides=side_by_side(cases, points, delta),
        delta=delta,
    )
    # A run without any point of what was asked for left it all out.
    ended = {run.run_id for run in runs if run.status is not RunStatus.RUNNING}
    rounds = ordinary_runs(runs, cases, points, ended - past.without if where else ())
    news = since if since is not None or not rounds.runs else rounds.runs[-1].started_utc
    findings: list[Finding] = []
    for one in series:
        findings += speeds_of(one, context)
        if not one.case.is_sentinel:
            findings += states_of(
                one, provenances, lambda point: news is not None and point.started_utc >= news
            )
            if (presence := presence_of(one, rounds, since)) is not None:
                findings.append(presence)
    devices, judged = blame(series, findings, delta)
    shown = tuple(one for one in series if where is None or where(one.case))
    names = {one.case.device for one in shown}
    ids = {one.case_id for one in shown}
    return History(
        project=past.project,
        series=shown,
        findings=_in_order(
            (finding for finding in judged if finding.case_id in ids),
            {one.case_id for one in shown if is_simulated(one)},
        ),
        devices=tuple(device for device in devices if device.device in names),
    )


def delta_of(run: RunRecord) -> float:
    """The smallest relative change that counts, of the run's plan."""
    found = mapping(run.plan, "analysis").get("delta")
    return float(found) if isinstance(found, int | float) else AnalysisConfig().delta


def _series(
    cases: Mapping[str, Case], points: Mapping[str, Sequence[Point]], held: Held
) -> list[SeriesHistory]:
    """Of every case with a point but the old sides of A/Bs, by name."""
    chosen = sorted(
        (case_id for case_id in points if not cases[case_id].is_before),
        key=lambda case_id: (title(cases[case_id]), case_id),
    )
    judged = [judged_of(points[case_id]) for case_id in chosen]
    detections = detect_many(
        [[p.p50_us for p in found if p.p50_us is not None] for found in judged]
    )
    return [
        series_of(
            cases[case_id],
            case_id,
            points[case_id],
            found,
            detection,
            smallest_step_given(detection),
            held,
        )
        for case_id, found, detection in zip(chosen, judged, detections, strict=True)
    ]


def _in_order(findings: Iterable[Finding], emulated: Collection[str]) -> tuple[Finding, ...]:
    """The worst and surest first; of one file each thing once.

    Args:
        emulated: case ids of simulated series: what they tell of a file stands for no real one.
    """
    ordered = sorted(
        findings,
        key=lambda f: (
            not f.is_bad,
            _SURENESS.index(f.standing),
            _GRAVITY.index(f.word),
            -abs((f.ratio or 1.0) - 1.0),
            title(f.case),
            f.case_id,
        ),
    )
    told: dict[tuple[object, ...], Finding] = {}
    for finding in ordered:
        told.setdefault((*what_of(finding), finding.case_id in emulated), finding)
    return tuple(told.values())


def what_of(finding: Finding) -> tuple[object, ...]:
    """Equal for findings that say the same thing of the same case, or of the same file."""
    if finding.word in _OF_FILES:
        case = finding.case
        return (finding.word, case.model, case.variant, finding.before, finding.after)
    return (finding.word, finding.case_id)
