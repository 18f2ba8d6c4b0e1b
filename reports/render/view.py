"""A whole comparison in words: tables, numbered footnotes, advice, facts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench import format as fmt
from bench.metrics import Metric
from reports.model import Comparison, Recommendation, Row
from reports.render.cells import RowView, group_title, row_view
from reports.render.notes import NoteBook, NoteView


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
    """

    title: str
    banners: tuple[str, ...]
    recommendations: tuple[RecommendationView, ...]
    tables: tuple[TableView, ...]
    notes: tuple[NoteView, ...]
    remarks: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    environment: tuple[tuple[str, str], ...]


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
    book = NoteBook(several_tables=len(groups) > 1)
    tables = tuple(_table(rows, book, comparison) for rows in groups.values())
    return ReportView(
        title=fmt.visible(comparison.project),
        banners=_banners(comparison),
        recommendations=tuple(_recommendation(r, comparison) for r in comparison.recommendations),
        tables=tables,
        notes=book.notes(),
        remarks=tuple(fmt.visible(note) for note in comparison.notes),
        facts=_facts(comparison),
        environment=flatten(comparison.environment),
    )


def flatten(values: Mapping[str, Any], prefix: str = "") -> tuple[tuple[str, str], ...]:
    """Nested facts as (dotted name, text) pairs, in the order they stand in."""
    pairs: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            pairs.extend(flatten(value, f"{name}."))
        elif value is None:
            pairs.append((fmt.visible(name), fmt.ABSENT))
        elif isinstance(value, str):
            pairs.append((fmt.visible(name), fmt.visible(value)))
        else:
            text = json.dumps(value, ensure_ascii=False, default=str)
            pairs.append((fmt.visible(name), fmt.visible(text)))
    return tuple(pairs)


def _banners(comparison: Comparison) -> tuple[str, ...]:
    banners = []
    if comparison.simulated:
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


def _table(rows: list[Row], book: NoteBook, comparison: Comparison) -> TableView:
    order = {variant: n for n, variant in enumerate(dict.fromkeys(r.case.variant for r in rows))}
    ordered = sorted(rows, key=lambda r: order[r.case.variant])
    title = group_title(rows[0])
    metric = next((row.accuracy.metric for row in rows if row.accuracy is not None), Metric())
    return TableView(
        model=fmt.visible(rows[0].case.model),
        device=fmt.visible(rows[0].case.device),
        title=f"SIMULATED: {title}" if comparison.simulated else title,
        rows=tuple(row_view(row, book) for row in ordered),
        accuracy_title=fmt.visible(metric.title),
        change_title="points" if metric.is_share else "change",
    )


def _recommendation(found: Recommendation, comparison: Comparison) -> RecommendationView:
    model = fmt.visible(found.model)
    if found.variant is None:
        headline = f"{model}: no variant can be recommended"
    else:
        headline = f"{model}: use {fmt.visible(found.variant)}"
    return RecommendationView(
        headline=f"SIMULATED: {headline}" if comparison.simulated else headline,
        found=found.variant is not None,
        reason=fmt.visible(found.reason),
        rule=fmt.visible(found.rule),
    )
