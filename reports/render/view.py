"""A whole comparison in words: tables, numbered footnotes, advice, facts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench import format as fmt
from bench.metrics import Metric
from bench.records import Source
from reports.delegate_model import SlowerThanFp32
from reports.model import Comparison, Recommendation, Row
from reports.render.cells import RowView, group_title, row_view
from reports.render.conditions import AcrossView, DeviceView, across_view, device_view
from reports.render.evidence import EvidenceView, evidence
from reports.render.facts import flatten
from reports.render.forecasts import forecast_lines
from reports.render.matrix import MatrixView, matrices
from reports.render.notes import NoteBook, NoteView
from reports.render.numerics import NumericsView, numerics_view


@dataclass(frozen=True, slots=True)
class TableView:
    """The cases of one model on one device by one runner; cases of a variant side by side.

    Attributes:
        accuracy_title, change_title: heads of those columns, which depend on the metric.
    """

    model: str
    device: str
    title: str
    rows: tuple[RowView, ...]
    accuracy_title: str = "accuracy"
    change_title: str = "points"

    def head(self, name: str) -> str:
        """A column's head, given as "accuracy" or "points", in the words of the metric."""
        return {"accuracy": self.accuracy_title, "points": self.change_title}.get(name, name)


@dataclass(frozen=True, slots=True)
class RecommendationView:
    """A recommendation in sentences."""

    headline: str
    found: bool
    reason: str
    rule: str


@dataclass(frozen=True, slots=True)
class ReportView:
    """Everything a report says, ready for escaping.

    Attributes:
        banners: what must be read before any number (simulated, unfinished).
        remarks: sentences that must be read with the numbers.
        facts, environment: (name, value) pairs of the run and of what it ran on.
        slower: why cases are slower than fp32, a sentence each.
        forecasts: how forecasts of delegates fared, a sentence each.
    """

    title: str
    banners: tuple[str, ...]
    recommendations: tuple[RecommendationView, ...]
    tables: tuple[TableView, ...]
    notes: tuple[NoteView, ...]
    remarks: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    environment: tuple[tuple[str, str], ...]
    devices: tuple[DeviceView, ...] = ()
    across: tuple[AcrossView, ...] = ()
    matrices: tuple[MatrixView, ...] = ()
    evidence: tuple[EvidenceView, ...] = ()
    numerics: NumericsView | None = None
    slower: tuple[str, ...] = ()
    forecasts: tuple[str, ...] = ()

    @property
    def any_answers(self) -> bool:
        """Whether any case's answers were judged."""
        return any(row.row.numerics is not None for table in self.tables for row in table.rows)

    @property
    def all_samples(self) -> bool:
        """Whether every percentile was computed from samples."""
        sources = {s for t in self.tables for r in t.rows for s in _sources(r.row)}
        return sources <= {Source.SAMPLES}


def _sources(row: Row) -> Iterator[Source]:
    if row.p50_source is not None:
        yield row.p50_source
    if row.p90_us is not None and row.p90_source is not None:
        yield row.p90_source


def view(comparison: Comparison) -> ReportView:
    """Formats a comparison; pure.

    Raises:
        ValueError: a number in it is negative where it cannot be, or not finite.
    """
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in comparison.rows:
        case = row.case
        key = (case.model, case.device, case.runner, case.input_shapes)
        groups.setdefault(key, []).append(row)
    runners = {row.case.runner for row in comparison.rows}
    book = NoteBook(several_tables=len(groups) > 1, several_runners=len(runners) > 1)
    tables = tuple(_table(rows, book) for rows in groups.values())
    return ReportView(
        title=fmt.visible(comparison.project),
        banners=_banners(comparison),
        recommendations=tuple(_recommendation(r) for r in comparison.recommendations),
        tables=tables,
        notes=book.notes(),
        remarks=tuple(fmt.visible(note) for note in comparison.notes),
        facts=_facts(comparison),
        environment=flatten(comparison.environment),
        devices=tuple(map(device_view, comparison.devices)),
        across=tuple(map(across_view, comparison.across)),
        matrices=matrices(comparison),
        evidence=evidence(comparison),
        numerics=numerics_view(comparison),
        slower=tuple(map(_slower, comparison.slower)),
        forecasts=forecast_lines(comparison),
    )


def _banners(comparison: Comparison) -> tuple[str, ...]:
    banners = []
    emulators = dict.fromkeys(r.case.device for r in comparison.rows if r.simulated)
    real = {r.case.device for r in comparison.rows if not r.simulated}
    if emulators and real:
        names = fmt.visible(", ".join(emulators))
        banners.append(f"SIMULATED: the numbers of {names} come from an emulator.")
    elif comparison.simulated:
        banners.append("SIMULATED: these numbers come from an emulator and speak for no device.")
    if comparison.status != "finished":
        banners.append(
            f"The run is {fmt.visible(comparison.status)}: not every planned launch has been made."
        )
    return tuple(banners)


def _facts(comparison: Comparison) -> tuple[tuple[str, str], ...]:
    finished = comparison.finished_utc
    return (
        ("run", fmt.visible(comparison.run_id)),
        ("status", fmt.visible(comparison.status)),
        ("started", f"{comparison.started_utc:%Y-%m-%d %H:%M:%S} UTC"),
        ("finished", f"{finished:%Y-%m-%d %H:%M:%S} UTC" if finished else "not finished"),
        ("rounds planned", str(comparison.rounds)),
        ("seed", str(comparison.seed)),
        ("smallest change that counts", fmt.percent(comparison.delta, 1)),
        ("edgebench", fmt.visible(comparison.edgebench_version)),
    )


def _table(rows: list[Row], book: NoteBook) -> TableView:
    order = {variant: n for n, variant in enumerate(dict.fromkeys(r.case.variant for r in rows))}
    ordered = sorted(rows, key=lambda r: order[r.case.variant])
    title = group_title(rows[0])
    metric = next((row.accuracy.metric for row in rows if row.accuracy is not None), Metric())
    return TableView(
        model=fmt.visible(rows[0].case.model),
        device=fmt.visible(rows[0].case.device),
        title=f"SIMULATED: {title}" if rows[0].simulated else title,
        rows=tuple(row_view(row, book) for row in ordered),
        accuracy_title=fmt.visible(metric.title),
        change_title="points" if metric.is_share else "change",
    )


def _slower(found: SlowerThanFp32) -> str:
    mark = ", simulated" if found.simulated else ""
    what = f"{found.case.model} · {found.case.label} on {found.case.device}{mark}"
    return fmt.visible(f"{what}: {' '.join(found.why)}")


def _recommendation(found: Recommendation) -> RecommendationView:
    model = fmt.visible(found.model)
    if found.variant is None:
        headline = f"{model}: no variant can be recommended"
    else:
        headline = f"{model}: use {fmt.visible(found.variant)}"
    return RecommendationView(
        headline=f"SIMULATED: {headline}" if found.simulated else headline,
        found=found.variant is not None,
        reason=fmt.visible(found.reason),
        rule=fmt.visible(found.rule),
    )
