"""Points and baselines to rows and back, without I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from bench.points import POINTS_VERSION, Baseline, BaselineKind, Point, PointState
from bench.store import schema
from bench.store.checks import checked
from bench.store.codec import unescape_text
from bench.store.rows import Row

# In the order in which a Point is built.
POINT_FIELDS = tuple(field.name for field in fields(Point))
_BASELINE = tuple(field.name for field in fields(Baseline))
_STATES = {state.value: state for state in PointState}


def point_row(point: Point) -> dict[str, Any]:
    """The row of table point."""
    values = {name: getattr(point, name) for name in POINT_FIELDS}
    return checked(schema.point, {"points_version": POINTS_VERSION, **values})


class Texts(dict[str | None, Any]):
    """Texts by how they are stored; most of a store's points share theirs."""

    def __missing__(self, stored: str | None) -> str | None:
        text = None if stored is None else unescape_text(stored)
        self[stored] = text
        return text


def points_of(
    rows: Iterable[Sequence[Any]], started: Mapping[str, datetime], texts: Texts
) -> list[Point]:
    """The points of rows of POINT_FIELDS as the driver gives them, without SQLAlchemy's types:
    a store holds hundreds of thousands of them.

    Args:
        started: of every run, by run_id.
        texts: grows here; handed in again with the next rows.

    Raises:
        ValueError, KeyError: a row makes no sense.
    """
    parse = json.JSONDecoder().decode
    made = []
    for row in rows:
        (
            run_id,
            case_id,
            _started,
            state,
            reason,
            quantity,
            p50_us,
            p50_low_us,
            p50_high_us,
            p90_us,
            mean_us,
            rounds,
            launches_made,
            launches_used,
            stability,
            coverage,
            delegated_nodes,
            total_nodes,
            numerics,
            accuracy,
            accuracy_low,
            accuracy_high,
            metric,
            higher_is_better,
            gates_failed,
            size_bytes,
            model_sha256,
            peak_rss_kib,
            energy_mj_per_invoke,
            start_c,
            environment_id,
            simulated,
            runtime,
        ) = row
        run_id = texts[run_id]
        made.append(
            Point(
                run_id,
                texts[case_id],
                started[run_id],
                _STATES[state],
                texts[reason],
                texts[quantity],
                p50_us,
                p50_low_us,
                p50_high_us,
                p90_us,
                mean_us,
                () if rounds == "[]" else tuple(map(tuple, parse(rounds))),
                launches_made,
                launches_used,
                texts[stability],
                texts[coverage],
                delegated_nodes,
                total_nodes,
                texts[numerics],
                accuracy,
                accuracy_low,
                accuracy_high,
                texts[metric],
                bool(higher_is_better),
                () if gates_failed == "[]" else tuple(parse(gates_failed)),
                size_bytes,
                texts[model_sha256],
                peak_rss_kib,
                energy_mj_per_invoke,
                start_c,
                texts[environment_id],
                bool(simulated),
                texts[runtime],
            )
        )
    return made


def baseline_row(baseline: Baseline) -> dict[str, Any]:
    """The row of table baseline."""
    return checked(schema.baseline, {name: getattr(baseline, name) for name in _BASELINE})


def baseline_of(row: Row) -> Baseline:
    """The record of a row of table baseline."""
    values = {name: row[name] for name in _BASELINE if name != "kind"}
    return Baseline(kind=BaselineKind(row["kind"]), **values)
