"""Which cases are drawn where there are more than anybody would look at."""

from __future__ import annotations

from dataclasses import dataclass

from bench import format as fmt
from bench.stability import StabilityWord
from reports.model import Comparison, Row
from reports.render.cells import group_title

# Groups are the cases of one model on one device by one runner, as in the tables.
MOST_GROUPS = 8
MOST_OF_A_MODEL = 3
# Of one group, in charts that have a panel for each case.
MOST_PANELS = 8


@dataclass(frozen=True, slots=True)
class Choice:
    """What is drawn.

    Attributes:
        groups: title of a group -> its cases.
        left_out: groups that are not drawn; rule: by what, a sentence, "" if none is left out.
    """

    groups: dict[str, tuple[Row, ...]]
    left_out: int
    rule: str

    @property
    def devices(self) -> frozenset[str]:
        """Names of the devices that are drawn."""
        return frozenset(row.case.device for rows in self.groups.values() for row in rows)


def chosen(comparison: Comparison) -> Choice:
    """All groups of a small run; of a large one a few of each model."""
    groups: dict[str, list[Row]] = {}
    for row in comparison.rows:
        groups.setdefault(group_title(row), []).append(row)
    kept = list(groups)
    if len(groups) > MOST_GROUPS:
        kept = _most_telling(groups)
    left_out = len(groups) - len(kept)
    rule = ""
    if left_out:
        rule = (
            f"Drawn are {len(kept)} of {len(groups)} tables, at most {MOST_OF_A_MODEL} of a "
            "model: those with the most cases that failed, are WRONG, are not what was asked "
            "for, or are slower than the processor. The tables have the numbers of all."
        )
    return Choice({title: tuple(groups[title]) for title in kept}, left_out, rule)


def panels(rows: tuple[Row, ...]) -> tuple[tuple[Row, ...], str]:
    """The cases that get a panel each, in the table's order, and what is left out, "" if none."""
    ranked = sorted(rows, key=lambda row: (_is_steady(row), not row.pareto))
    kept = {row.case_id for row in ranked[:MOST_PANELS]}
    left_out = len(rows) - len(kept)
    if not left_out:
        return rows, ""
    text = (
        f" {fmt.counted(left_out, 'case')} more: drawn are first those that are not STABLE, then "
        "the Pareto front, then the first of the table."
    )
    return tuple(row for row in rows if row.case_id in kept), text


def _most_telling(groups: dict[str, list[Row]]) -> list[str]:
    order = {title: place for place, title in enumerate(groups)}
    by_model: dict[str, list[str]] = {}
    for title, rows in groups.items():
        by_model.setdefault(rows[0].case.model, []).append(title)
    ranked = [
        sorted(titles, key=lambda title: (-sum(map(_asks_for_a_look, groups[title])), order[title]))
        for titles in by_model.values()
    ]
    # The first of every model before the second of any.
    turns = [titles[n] for n in range(MOST_OF_A_MODEL) for titles in ranked if n < len(titles)]
    return sorted(turns[:MOST_GROUPS], key=lambda title: order[title])


def _asks_for_a_look(row: Row) -> bool:
    against = row.against_cpu
    slower = against is not None and against.verdict is not None and against.verdict.ratio < 1
    asked = row.delegation is None or row.delegation.as_requested
    return row.failure is not None or row.is_wrong or row.is_suspect or not asked or slower


def _is_steady(row: Row) -> bool:
    return row.stability.word is StabilityWord.STABLE
