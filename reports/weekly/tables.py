"""The tables of a week as text: delegations, gates, devices, coverage, what could be seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench import format as fmt
from bench.points import Point
from reports.weekly.coverage import MAX_LOST_LAUNCHES
from reports.weekly.model import Change, Coverage, ProjectWeek, Reliability, Sight

_RUN_ID = 13


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text below heads.

    Attributes:
        key: short and fit for an id; lead: a sentence to read before it.
        numeric: columns that stand to the right.
        wide: columns of sentences, which may wrap.
        folded: whether it is for those who look it up.
    """

    key: str
    title: str
    lead: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[int, ...] = ()
    wide: tuple[int, ...] = ()
    folded: bool = False


def tables(project: ProjectWeek) -> tuple[Table, ...]:
    """Those that have a row; names in them are visible, and not escaped for any medium."""
    made = (_delegations(project), _gates(project), _unreliable(project), _coverage(project))
    return tuple(table for table in (*made, _sight(project)) if table.rows)


def _delegations(project: ProjectWeek) -> Table:
    return Table(
        "delegations",
        "What delegates take",
        "Of every case whose delegate took other nodes than before the week.",
        ("device", "case", "what", "before", "now", "since", "first run"),
        tuple(
            (
                fmt.visible(c.change.case.device),
                fmt.visible(f"{c.change.case.model} · {c.change.case.label}"),
                "worse" if c.worse else "better",
                _taken(c.change.before),
                _taken(c.change.now),
                *_when(c.change),
            )
            for c in project.delegations
        ),
        wide=(0, 1),
    )


def _taken(point: Point) -> str:
    text = point.coverage or fmt.ABSENT
    if point.delegated_nodes is not None and point.total_nodes is not None:
        text += f" {point.delegated_nodes}/{point.total_nodes}"
    return text


def _gates(project: ProjectWeek) -> Table:
    return Table(
        "gates",
        "Gates of the plan that changed",
        "Gates that pass or fail otherwise than before the week.",
        ("case", "gate", "what", "before", "now", "since", "first run"),
        tuple(
            (
                fmt.visible(g.change.title),
                fmt.visible(g.gate),
                "FAILS" if g.fails else "passes again",
                _judged_by(g.gate, g.change.before),
                _judged_by(g.gate, g.change.now),
                *_when(g.change),
            )
            for g in project.gates
        ),
        wide=(0,),
    )


def _judged_by(gate: str, point: Point) -> str:
    """The figure of a point that a gate is about; "" where the point does not hold it."""
    if gate.startswith("accuracy"):
        return accuracy_text(point)
    figures = {
        "p50_us_max": fmt.duration(point.p50_us),
        "p90_us_max": fmt.duration(point.p90_us),
        "size_bytes_max": fmt.size(point.size_bytes),
        "peak_rss_kib_max": fmt.memory(point.peak_rss_kib),
        "numerics": point.numerics or fmt.ABSENT,
    }
    return figures.get(gate, "")


def accuracy_text(point: Point) -> str:
    """ "top1 97.2 %" in the words of its metric; a plain number where it is no share."""
    if point.accuracy is None:
        return fmt.ABSENT
    share = point.metric.startswith("top") or point.metric == ""
    return fmt.visible(f"{point.metric} {fmt.score(point.accuracy, share=share)}".strip())


def _when(change: Change) -> tuple[str, str]:
    first = change.first
    return f"{first.started_utc:%Y-%m-%d}", fmt.visible(first.run_id[:_RUN_ID])


def _unreliable(project: ProjectWeek) -> Table:
    return Table(
        "unreliable",
        "Devices that could not be relied on",
        f"They lost whole cases, or more than {fmt.percent(MAX_LOST_LAUNCHES, 0)} of their "
        "launches; the worst first.",
        ("device", "cases without a number", "launches that count for nothing", "why"),
        tuple(
            (
                fmt.visible(one.device),
                f"{one.cases_lost} of {one.cases}",
                _lost(one),
                "; ".join(fmt.visible(f"{why} ({count})") for why, count in one.reasons)
                or fmt.ABSENT,
            )
            for one in project.unreliable
        ),
        numeric=(1, 2),
        wide=(0, 3),
    )


def _lost(one: Reliability) -> str:
    share = one.launches_lost_share
    if share is None:
        return "none was made"
    lost = one.launches_made - one.launches_used
    return f"{lost} of {one.launches_made} ({fmt.percent(share, 0)})"


def _coverage(project: ProjectWeek) -> Table:
    return Table(
        "coverage",
        "Planned, and measured",
        "Of each planned case its newest run of the week. Missing: planned before, and by no "
        "run of the week. Cases that cannot exist are not among the planned ones.",
        (
            "device",
            "planned",
            "measured",
            "invalid",
            "fell back",
            "failed",
            "not finished",
            "missing",
            "cannot exist",
            "why not",
        ),
        tuple(
            (
                fmt.visible(one.device),
                *_counts(one.coverage),
                "; ".join(fmt.visible(f"{why} ({n})") for why, n in one.reasons),
            )
            for one in project.coverage
        ),
        numeric=tuple(range(1, 9)),
        wide=(0, 9),
    )


def _counts(one: Coverage) -> Iterator[str]:
    yield str(one.planned)
    yield str(one.measured)
    for number in (
        one.invalid,
        one.fell_back,
        one.failed,
        one.unfinished,
        one.missing,
        one.not_applicable,
    ):
        yield str(number) if number else "·"


def _sight(project: ProjectWeek) -> Table:
    return Table(
        "sight",
        "The smallest step that could have been seen",
        "What a series can show within three more runs, from its own noise.",
        (
            "device",
            "series",
            "half can show",
            "9 of 10 can show",
            "the worst can show",
            "too few points",
        ),
        tuple(map(_sight_row, project.sights)),
        numeric=(1, 2, 3, 4, 5),
        wide=(0,),
        folded=True,
    )


def _sight_row(one: Sight) -> tuple[str, ...]:
    steps = (fmt.percent(step, 1) for step in (one.median, one.tenth, one.worst))
    return (fmt.visible(one.device), str(one.series), *steps, str(one.too_short))
