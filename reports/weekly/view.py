"""The week in words and tables, the same for HTML, Markdown and text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from bench import format as fmt
from reports.history.model import (
    DeviceFinding,
    Finding,
    ProvenanceChange,
    SeriesHistory,
    Standing,
    Word,
)
from reports.render.cell import Tone
from reports.weekly.model import Coverage, Entry, ProjectWeek, Weekly
from reports.weekly.tables import Table, tables
from reports.weekly.words import (
    chance_sentence,
    coverage_sentence,
    headline,
    project_headline,
    sight_sentence,
    span,
)

# From so many on, findings that began alike are told as one.
_ALIKE = 3
_RUN_ID = 13
# What an update may have done.
_WITH_A_CAUSE = (
    Word.SLOWER,
    Word.FASTER,
    Word.WRONG,
    Word.FELL_BACK,
    Word.FAILED,
    Word.LESS_ACCURATE,
)


@dataclass(frozen=True, slots=True)
class FindingView:
    """A finding, ready for escaping; "" where there is nothing to say.

    Attributes:
        level: "1.91 ms → 2.04 ms"; ratio: "1.07× [1.05, 1.09]".
        changed: what differs between the last good run and the first bad one, first
            suspect first.
        like: all of those that began alike and are told as one: same word, run and first
            suspect on one device, or of one file; () for a finding of its own.
    """

    word: str
    standing: str
    tone: Tone
    title: str
    level: str
    ratio: str
    since: str
    run: str
    last_good: str
    changed: tuple[str, ...]
    sentence: str
    todo: str
    series: SeriesHistory
    like: tuple[FindingView, ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A device that moved as a whole."""

    device: str
    since: str
    ratio: str
    cases: str
    changed: tuple[str, ...]
    sentence: str


@dataclass(frozen=True, slots=True)
class TrendView:
    """What is drawn of one model on one device."""

    title: str
    series: tuple[SeriesHistory, ...]
    is_open: bool


@dataclass(frozen=True, slots=True)
class ProjectView:
    """One project.

    Attributes:
        banners: what must be read before any number.
        standing: told before, certain or confirmed, and not mended; older: suspected before.
        simulated_findings, simulated_devices: of emulated devices only.
    """

    name: str
    headline: str
    coverage: str
    total: Coverage
    failed: bool
    banners: tuple[str, ...]
    findings: tuple[FindingView, ...]
    standing: tuple[FindingView, ...]
    older: tuple[FindingView, ...]
    devices: tuple[DeviceView, ...]
    by_device: tuple[FindingView, ...]
    better: tuple[FindingView, ...]
    appeared: tuple[FindingView, ...]
    sight: str
    tables: tuple[Table, ...]
    trends: tuple[TrendView, ...]
    trends_left_out: str
    runs: tuple[tuple[str, str, str, str], ...]
    simulated_findings: tuple[FindingView, ...]
    simulated_devices: tuple[DeviceView, ...]


@dataclass(frozen=True, slots=True)
class WeeklyView:
    """All of it."""

    title: str
    headline: str
    gate: str
    projects: tuple[ProjectView, ...]

    @property
    def several(self) -> bool:
        return len(self.projects) > 1


RUN_HEADS = ("run", "started", "status", "cases")


def view(week: Weekly) -> WeeklyView:
    """Formats a week; pure.

    Raises:
        ValueError: a number in it cannot be shown.
    """
    return WeeklyView(
        title=f"Week of {span(week.since_utc, week.until_utc)}",
        headline=headline(week),
        gate=(
            "FAILED"
            if week.gate_failed
            else "nothing to judge by"
            if week.measured_nothing
            else "passed"
        ),
        projects=tuple(map(_project, week.projects)),
    )


def _project(project: ProjectWeek) -> ProjectView:
    simulated = project.simulated
    return ProjectView(
        name=fmt.visible(project.project),
        headline=project_headline(project),
        coverage=coverage_sentence(project.total, simulated.coverage),
        total=project.total,
        failed=project.gate_failed,
        banners=tuple(_banners(project)),
        findings=_grouped(project.worse),
        standing=_grouped(project.standing),
        older=_grouped([e for e in project.older if not e.finding.is_bad]),
        devices=tuple(map(_device, project.devices)),
        by_device=_grouped(project.by_device),
        better=_grouped(project.better),
        appeared=_grouped(project.appeared),
        sight=" ".join(
            filter(None, (sight_sentence(project.sight), chance_sentence(project.chance)))
        ),
        tables=tables(project),
        trends=tuple(
            TrendView(
                fmt.visible(f"{t.model} on {t.device}")
                + ("" if t.has_finding else ": without a finding"),
                t.series,
                t.has_finding,
            )
            for t in project.trends
        ),
        trends_left_out=_left_out(project),
        runs=tuple(
            (
                r.run_id[:_RUN_ID],
                f"{r.started_utc:%Y-%m-%d %H:%M}",
                f"SIMULATED, {r.status}" if r.simulated else r.status,
                str(r.points) if r.points else fmt.ABSENT,
            )
            for r in project.runs
        ),
        simulated_findings=_grouped(simulated.entries),
        simulated_devices=tuple(map(_device, simulated.devices)),
    )


def _banners(project: ProjectWeek) -> Iterable[str]:
    if project.measured_nothing:
        last = project.last_run_utc
        when = "There never was a run" if last is None else f"The last run is of {last:%Y-%m-%d}"
        yield f"Nothing was measured on a real device: nothing here says that all is well. {when}."
    if open_runs := [r for r in project.runs if r.status == "running"]:
        n = len(open_runs)
        yield f"{fmt.counted(n, 'run')} of the week {'has' if n == 1 else 'have'} not ended yet."
    if cut := [r for r in project.runs if r.status == "interrupted"]:
        n = len(cut)
        yield (
            f"{fmt.counted(n, 'run')} of the week {'was' if n == 1 else 'were'} interrupted: "
            "edgebench run --resume measures what is left of the newest."
        )


def _grouped(entries: Sequence[Entry]) -> tuple[FindingView, ...]:
    """In the order of the entries; those that began alike stand with the worst of them."""
    groups: dict[tuple[object, ...], list[Entry]] = {}
    for entry in entries:
        groups.setdefault(_alike(entry.finding), []).append(entry)
    shown: list[FindingView] = []
    for alike in groups.values():
        views = [_finding(entry) for entry in alike]
        if len(views) < _ALIKE:
            shown += views
            continue
        shown.append(_as_one(alike[0], views))
    return tuple(shown)


def _as_one(entry: Entry, views: Sequence[FindingView]) -> FindingView:
    """Findings that began alike under one title, with the figures of the worst of them."""
    cases = [view.series.case for view in views]
    parts = [
        {case.model for case in cases},
        {case.variant for case in cases},
        {case.delegate.label for case in cases},
    ]
    common = " · ".join(next(iter(names)) for names in parts if len(names) == 1)
    devices = {case.device for case in cases}
    where = f"on {next(iter(devices))}" if len(devices) == 1 else f"on {len(devices)} devices"
    worst = "" if len({(v.level, v.ratio) for v in views}) == 1 else "worst: "
    lead = _finding(entry)
    return replace(
        lead,
        title=f"{fmt.visible(f'{common} {where}'.strip())}: {len(views)} cases",
        level=f"{worst}{lead.level}" if lead.level else "",
        like=tuple(views),
    )


def _alike(found: Finding) -> tuple[object, ...]:
    """What findings have in common that are told as one."""
    of_file = found.word in (Word.BIGGER, Word.LESS_ACCURATE)
    where = (found.case.model, found.case.variant) if of_file else (found.case.device,)
    return (found.word, found.standing, where, found.run_id, found.provenance[:1])


def _finding(entry: Entry) -> FindingView:
    found = entry.finding
    level = " → ".join(fmt.visible(text) for text in (found.before, found.after) if text)
    ratio = ""
    if found.ratio is not None:
        interval = "" if found.interval is None else f" {fmt.bounds(found.interval)}"
        ratio = f"{fmt.ratio(found.ratio)}{interval}"
    return FindingView(
        word=str(found.word),
        standing="" if found.standing is Standing.CERTAIN else str(found.standing),
        tone=_tone(entry),
        title=fmt.visible(_title(entry)),
        level=level,
        ratio=ratio,
        since=f"{found.since_utc:%Y-%m-%d}",
        run=fmt.visible(found.run_id[:_RUN_ID]),
        last_good=fmt.visible((found.last_good_run_id or "")[:_RUN_ID]),
        changed=_changed(found.provenance) or _nothing_changed(entry),
        sentence=fmt.visible(found.sentence),
        todo=fmt.visible(found.todo),
        series=entry.series,
    )


def _title(entry: Entry) -> str:
    """Of a file what it is a file of: it is as large on every device."""
    case = entry.finding.case
    return f"{case.model} · {case.variant}" if entry.finding.word is Word.BIGGER else entry.title


def _tone(entry: Entry) -> Tone:
    found = entry.finding
    if found.word in (Word.FASTER, Word.MENDED):
        return Tone.GOOD
    if found.is_bad:
        return Tone.BAD
    return Tone.WARN if found.standing is Standing.SUSPECTED else Tone.QUIET


def _device(found: DeviceFinding) -> DeviceView:
    return DeviceView(
        device=fmt.visible(found.device),
        since=f"{found.since_utc:%Y-%m-%d}",
        ratio=fmt.ratio(found.ratio),
        cases=f"{found.cases} of {fmt.counted(found.of, 'case')}",
        changed=_changed(found.provenance),
        sentence=fmt.visible(found.sentence),
    )


def _changed(provenance: Iterable[ProvenanceChange]) -> tuple[str, ...]:
    return tuple(
        fmt.visible(f"{c.what} {c.before or 'not recorded'} → {c.after or 'not recorded'}")
        for c in provenance
    )


def _nothing_changed(entry: Entry) -> tuple[str, ...]:
    """Said where both sides tell what they were measured with, and it is the same."""
    found = entry.finding
    if found.word not in _WITH_A_CAUSE:
        return ()
    points = {point.run_id: point for point in entry.series.points}
    sides = [points.get(run_id or "") for run_id in (found.last_good_run_id, found.run_id)]
    known = all(point is not None and point.environment_id is not None for point in sides)
    return ("nothing that is recorded",) if known else ()


def _left_out(project: ProjectWeek) -> str:
    if not project.trends_left_out:
        return ""
    return (
        f"{fmt.counted(project.trends_left_out, 'more chart')} left out: those of findings come "
        "first, then those that moved most. edgebench history --all shows every series."
    )


def first(items: Sequence[FindingView], most: int) -> tuple[tuple[FindingView, ...], int]:
    """The first ones, and how many findings are left out with the rest."""
    return tuple(islice(items, most)), sum(len(f.like) or 1 for f in items[most:])
