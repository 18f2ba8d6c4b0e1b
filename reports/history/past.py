"""All that a project's history is made of, read from a store once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bench.errors import UserError
from bench.identity import Case
from bench.points import Baseline, Point
from bench.records import RunRecord
from bench.store.reader import StoreReader
from reports.points import points_of


@dataclass(frozen=True, slots=True)
class Past:
    """What was read of a project.

    Attributes:
        points: by case_id, oldest first; of cases that are in `cases` only.
        environments: facts by id, of all points at least.
        baselines: newest first.
        without: ids of runs that nobody has stored points of.
    """

    project: str
    cases: Mapping[str, Case]
    points: Mapping[str, Sequence[Point]]
    runs: tuple[RunRecord, ...]
    environments: Mapping[str, Mapping[str, Any]]
    baselines: tuple[Baseline, ...]
    without: frozenset[str]

    def as_of(self, until: datetime | None, ended_by: datetime | None = None) -> Past:
        """Without what began, or was pinned, at `until` or later, and without runs that had
        not ended by `ended_by`."""
        runs = tuple(r for r in self.runs if until is None or r.started_utc < until)
        if ended_by is not None:
            runs = tuple(
                r for r in runs if r.finished_utc is not None and r.finished_utc <= ended_by
            )
        if len(runs) == len(self.runs):
            points = self.points
        else:
            ids = {run.run_id for run in runs}
            kept = {key: [p for p in of if p.run_id in ids] for key, of in self.points.items()}
            points = {key: of for key, of in kept.items() if of}
        return replace(
            self,
            points=points,
            runs=runs,
            baselines=tuple(b for b in self.baselines if until is None or b.made_utc < until),
        )

    def of_devices(self, devices: Iterable[str]) -> Past:
        """With the points of these devices alone."""
        names = frozenset(devices)
        kept = {key: of for key, of in self.points.items() if self.cases[key].device in names}
        return replace(self, points=kept)


def read(
    store: StoreReader,
    project: str,
    *,
    until: datetime | None = None,
    where: Callable[[Case], bool] | None = None,
) -> Past:
    """Points of every series of the devices that have a case of `where`, or of all.

    Runs that nobody has made points of are read launch by launch, here and now.

    Args:
        until: points of later runs are not read.

    Raises: StoreError.
    """
    cases = store.cases(project=project)
    wanted: list[str] | None = None
    if where is not None:
        devices = {case.device for case in cases.values() if where(case)}
        wanted = sorted(key for key, case in cases.items() if case.device in devices)
    points: defaultdict[str, list[Point]] = defaultdict(list)
    for point in store.points(project=project, case_ids=wanted, until=until):
        points[point.case_id].append(point)
    kept = None if wanted is None else frozenset(wanted)
    touched: set[str] = set()
    without = store.runs_without_points(project)
    for run in without:
        if until is not None and run.started_utc >= until:
            continue
        # A plan that this version cannot read has no say.
        with suppress(UserError):
            for point in points_of(store.load(run.run_id)):
                if kept is None or point.case_id in kept:
                    points[point.case_id].append(point)
                    touched.add(point.case_id)
    for case_id in touched:
        points[case_id].sort(key=lambda point: (point.started_utc, point.run_id))
    known = {case_id: found for case_id, found in points.items() if found and case_id in cases}
    environments = {p.environment_id for found in known.values() for p in found}
    return Past(
        project=project,
        cases=cases,
        points=known,
        runs=tuple(store.runs(project)),
        environments=store.environments(sorted(key for key in environments if key is not None)),
        baselines=tuple(store.baselines(project)),
        without=frozenset(run.run_id for run in without),
    )
