"""A history on a terminal: what needs a look, or one series run by run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich import box
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bench import format as fmt
from bench.points import Point, PointState
from bench.stats import Interval
from reports.history.model import Finding, History, SeriesHistory, Standing, Word
from reports.history.provenance import delegation_text, in_words
from reports.history.words import change, change_interval, is_simulated, share, short, title
from reports.render.pen import Pen

_BLOCKS, _ASCII_BLOCKS = "▁▂▃▄▅▆▇█", "_.-:=+*#"
_LOST, _NOT_JUDGED = "x", "·"
# Terminals of less columns get shorter trends, and no word of what is held against.
_NARROW = 100
_MOST_TREND, _NARROW_TREND = 24, 10
# Below this span, a share of the level, noise would look like an event.
_LEAST_SPAN = 0.06
_NAME_WIDTH = 34
_NOT_WELL = (PointState.FAILED, PointState.FELL_BACK, PointState.INVALID)
_GOOD = (Word.FASTER, Word.NEW, Word.MENDED)
_LEGEND = (
    "p50: of the newest run that counts. against: its level and the baseline's, or the runs "
    "before; * is more than chance and than the plan's delta. trend: the newest runs, x without "
    "a number. shows: the smallest step that the series would show within 3 more runs."
)


@dataclass(frozen=True, slots=True)
class HistoryScreen:
    """Many series as a table, with what was found.

    Attributes:
        series: the rows, those with findings first.
        left_out: how many quiet ones are not among them.
        since: what began before it was left out of the findings, if anything was.
    """

    history: History
    series: tuple[SeriesHistory, ...]
    left_out: int
    since: datetime | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        pen = _Pen(options.ascii_only)
        findings = self.history.findings
        yield pen.text(self._headline(), "bold")
        if without := self._without():
            were = "case has" if without == 1 else "cases have"
            yield pen.text(
                f"{without} other {were} no good number in the newest run, and had none before"
                " (failed, fell back, invalid or WRONG): edgebench show says why.",
                "yellow",
            )
        for device in self.history.devices:
            yield pen.text(device.sentence, "yellow")
        if self.series:
            yield Text("")
            yield self._table(pen, narrow=options.max_width < _NARROW)
            yield pen.text(_LEGEND, "dim")
        for finding in findings:
            yield Text("")
            yield from _told(finding, pen)
        if self.left_out:
            yield Text("")
            quiet = f"{fmt.counted(self.left_out, 'quiet case')} not shown"
            yield pen.text(f"{quiet}; --all shows every one.", "dim")

    def _headline(self) -> str:
        count = sum(not one.case.is_sentinel for one in self.history.series)
        of = f"{self.history.project}: {fmt.counted(count, 'case')}"
        if not self.history.findings:
            if self.since is not None:
                return f"{of}, nothing that began since {self.since:%Y-%m-%d}."
            if all(len(one.points) < 2 for one in self.history.series):
                return f"{of}, and no second run yet that could be held against the first."
            return f"{of}, nothing that needs a look."
        found = len({f.case_id for f in self.history.findings if not f.case.is_sentinel})
        return f"{of}, {found} to look at."

    def _without(self) -> int:
        """Cases that were never well: no change, and all the same not well."""
        if self.since is not None:
            return 0
        found = {finding.case_id for finding in self.history.findings}
        newest = [
            one.points[-1]
            for one in self.history.series
            if one.points and one.case_id not in found and not one.case.is_sentinel
        ]
        return sum(point.state in _NOT_WELL or point.numerics == "WRONG" for point in newest)

    def _table(self, pen: _Pen, *, narrow: bool) -> Table:
        table = _empty(pen, ("what", "case", "p50", "against", "trend", "runs", "shows"))
        table.columns[1].max_width = _NAME_WIDTH
        for column in (2, 3, 5, 6):
            table.columns[column].justify = "right"
        for column in (2, 4, 5, 6):
            table.columns[column].no_wrap = True
        found: dict[str, list[Finding]] = defaultdict(list)
        for finding in self.history.findings:
            found[finding.case_id].append(finding)
        for one in self.series:
            last = one.judged[-1] if one.judged else None
            table.add_row(
                Text("\n").join(_badge(f, pen) for f in found[one.case_id]),
                pen.text(_name(one)),
                pen.text(fmt.duration(None if last is None else last.p50_us)),
                pen.text(_against(one, narrow=narrow)),
                pen.trend(one, _NARROW_TREND if narrow else _MOST_TREND),
                str(len(one.judged)),
                pen.text(_shows(one)),
            )
        return table


@dataclass(frozen=True, slots=True)
class SeriesScreen:
    """One series: its findings, its runs, and what changed when."""

    series: SeriesHistory
    findings: tuple[Finding, ...]
    points: tuple[Point, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        pen, one = _Pen(options.ascii_only), self.series
        simulated = " (simulated)" if is_simulated(one) else ""
        yield pen.text(f"{title(one.case)}{simulated}", "bold")
        yield pen.text(f"case {one.case_id}", "dim")
        yield Text("")
        yield self._runs(pen)
        for step in one.steps:
            why = f": {in_words(step.provenance)}" if step.provenance else ""
            interval = change_interval(step.interval)
            yield pen.text(
                f"Step of {step.since_utc:%Y-%m-%d}: {change(step.ratio)}"
                f"{f' {interval}' if interval else ''}, {fmt.duration(step.before_us)} before,"
                f" {fmt.duration(step.after_us)} after; changed since run"
                f" {short(step.last_good_run_id)}{why or ': nothing that is recorded'}."
            )
        for spike in one.spikes:
            at = one.judged[spike.position].started_utc
            yield pen.text(
                f"Lone run of {at:%Y-%m-%d}: {change(spike.ratio)} than its neighbours;"
                " it counts for no level."
            )
        yield pen.text(_in_short(one))
        for finding in self.findings:
            yield Text("")
            yield from _told(finding, pen)

    def _runs(self, pen: _Pen) -> Table:
        table = _empty(pen, ("date (UTC)", "run", "p50 [95 %]", "launches", "delegated", "remarks"))
        table.columns[3].justify = "right"
        for column in (0, 1, 3):
            table.columns[column].no_wrap = True
        changes = {self.series.points[at].run_id: what for at, what in self.series.changes}
        steps = {step.first_bad_run_id: step for step in self.series.steps}
        for point in self.points:
            remarks = [*_remarks(point)]
            if (step := steps.get(point.run_id)) is not None:
                remarks.insert(0, f"STEP: {change(step.ratio)}")
            if point.run_id in changes:
                remarks.append(f"changed: {in_words(changes[point.run_id])}")
            table.add_row(
                f"{point.started_utc:%Y-%m-%d %H:%M}",
                short(point.run_id),
                pen.text(fmt.duration_with_interval(point.p50_us, _interval(point))),
                f"{point.launches_used} of {point.launches_made}",
                pen.text(delegation_text(point) or fmt.ABSENT),
                pen.text("\n".join(remarks)),
            )
        return table


@dataclass(frozen=True, slots=True)
class _Pen:
    """Text as it is, in the terminal's alphabet, with whatever could steer it spelt out."""

    ascii_only: bool

    def text(self, content: str, style: str = "") -> Text:
        # Line ends of ours stay; those of names are spelt out before they are joined.
        lines = [fmt.visible(line) for line in content.split("\n")]
        return Pen(self.ascii_only).text("\n".join(lines), style)

    def trend(self, series: SeriesHistory, most: int) -> Text:
        return Text(trend(series, most, ascii_only=self.ascii_only))


def trend(series: SeriesHistory, most: int = _MOST_TREND, *, ascii_only: bool) -> str:
    """The newest runs, a character each, by p50 from the fastest to the slowest.

    The span is at least 6 % of it, so that noise stays low; a run that has no number, or none
    that counts, is no height.
    """
    blocks = _ASCII_BLOCKS if ascii_only else _BLOCKS
    judged = {p.run_id: p.p50_us for p in series.judged if p.p50_us is not None}
    points = series.points[-most:]
    values = [us for p in points if (us := judged.get(p.run_id)) is not None]
    if not values:
        return _LOST * len(points)
    low, high = min(values), max(values)
    span = max(high - low, _LEAST_SPAN * low)
    low = (low + high - span) / 2

    def block(point: Point) -> str:
        us = judged.get(point.run_id)
        if us is None:
            lost = point.state in (PointState.FAILED, PointState.FELL_BACK)
            return _LOST if lost else "-" if ascii_only else _NOT_JUDGED
        return blocks[min(len(blocks) - 1, int((us - low) / span * len(blocks)))]

    return "".join(map(block, points))


def with_findings_first(
    series: Iterable[SeriesHistory], findings: Sequence[Finding]
) -> tuple[SeriesHistory, ...]:
    """Those that something was found of in the order of the findings, then the rest."""
    rank: dict[str, int] = {}
    for finding in findings:
        rank.setdefault(finding.case_id, len(rank))
    return tuple(sorted(series, key=lambda one: rank.get(one.case_id, len(rank))))


def _empty(pen: _Pen, heads: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    for head in heads:
        table.add_column(pen.text(head), overflow="fold")
    return table


def _name(series: SeriesHistory) -> str:
    """On three lines: a name that holds a line end may not make it four."""
    case = series.case
    lines = (case.model, case.label, f"{case.device} ({case.runner})")
    return "\n".join(fmt.visible(line) for line in lines)


def _badge(finding: Finding, pen: _Pen) -> Text:
    if finding.is_bad:
        style = "bold red"
    elif finding.word in _GOOD:
        style = "green"
    else:
        style = "yellow" if finding.standing is Standing.SUSPECTED else "dim"
    sure = "" if finding.standing is Standing.CERTAIN else f" ({finding.standing.value})"
    return pen.text(f"{finding.word.value}{sure}", style)


def _told(finding: Finding, pen: _Pen) -> Iterator[ConsoleRenderable]:
    head = _badge(finding, pen)
    yield head.append_text(pen.text(f"  {_one_line(finding.sentence)}"))
    if finding.todo:
        yield Padding(pen.text(f"To do: {_one_line(finding.todo)}", "dim"), (0, 0, 0, 2))


def _one_line(text: str) -> str:
    return fmt.visible(text)


def _against(series: SeriesHistory, *, narrow: bool) -> str:
    held = series.against
    if held is None:
        return fmt.ABSENT
    mark = "*" if held.significant else ""
    moved = f"{share(held.ratio - 1, signed=True)}{mark}"
    return moved if narrow else f"{moved}\n{fmt.visible(held.what)}"


def _shows(series: SeriesHistory) -> str:
    step = series.smallest_step
    return fmt.ABSENT if step is None else share(step)


def _interval(point: Point) -> Interval | None:
    if point.p50_low_us is None or point.p50_high_us is None:
        return None
    return Interval(point.p50_low_us, point.p50_high_us, 0.95, "stored")


def _remarks(point: Point) -> Iterator[str]:
    if point.simulated:
        yield "simulated"
    if point.state is not PointState.MEASURED:
        word = point.state.value.replace("-", " ")
        yield f"{word}: {fmt.visible(point.reason)}" if point.reason else word
    elif point.stability not in ("", "STABLE"):
        yield point.stability
    if point.numerics not in (None, "OK", "UNKNOWN"):
        yield f"answers {point.numerics}"
    if point.gates_failed:
        yield f"gates failed: {', '.join(point.gates_failed)}"


def _in_short(series: SeriesHistory) -> str:
    parts = [f"{fmt.counted(len(series.judged), 'run')} that count"]
    held = series.against
    if held is not None:
        sure = "" if held.significant else ", which may be chance or too little to count"
        parts.append(f"{share(held.ratio - 1, signed=True)} against {held.what}{sure}")
    step = series.smallest_step
    parts.append(
        "too few to show a step" if step is None else f"shows steps of {share(step)} and more"
    )
    return "; ".join(parts) + "."
