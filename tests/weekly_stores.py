"""Stores that hold points of synthetic years, for whole `edgebench weekly` commands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from bench.identity import Case
from bench.points import Point
from bench.records import PlannedCase, RunRecord
from bench.store import open_store


def fill(
    place: Path, runs: Iterable[RunRecord], cases: Iterable[Case], points: Iterable[Point]
) -> Path:
    """A store with these runs; each plans the cases that it has points of."""
    by_id = {case.case_id: case for case in cases}
    of_run: dict[str, list[Point]] = defaultdict(list)
    for point in points:
        of_run[point.run_id].append(point)
    with open_store(place, write=True) as store:
        for run in runs:
            found = of_run[run.run_id]
            store.begin_run(run, [PlannedCase(run.run_id, by_id[p.case_id]) for p in found])
            store.add_points(run.run_id, found)
    return place
