"""Reading what lies over many runs: points, cases, environments, baselines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bench.errors import StoreError
from bench.identity import SENTINEL_PROJECT, Case
from bench.points import POINTS_VERSION, Baseline, Point
from bench.records import RunRecord, RunStatus
from bench.store import schema
from bench.store.outcomes import LaunchOutcomes, launch_outcomes
from bench.store.point_rows import POINT_FIELDS, Texts, baseline_of, points_of
from bench.store.rows import case_of, run_of
from bench.store.snapshots import Snapshots, in_parts


class SeriesReader(Snapshots):
    """What history, weekly and fleet ask for; every method raises StoreError if the store is
    closed, damaged or unreadable."""

    def run(self, run_id: str) -> RunRecord:
        """One run by its whole id.

        Raises:
            StoreError: no such run.
        """
        query = sa.select(schema.run).where(schema.run.c.run_id == run_id)
        with self._snapshot() as connection:
            row = connection.execute(query).mappings().first()
            if row is None:
                raise StoreError(f"{self.place} holds no run {run_id}")
            return run_of(row)

    def points(
        self,
        *,
        project: str | None = None,
        case_ids: Iterable[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        run_id: str | None = None,
    ) -> list[Point]:
        """Points by case_id, start and run, made by today's rules or of pruned runs.

        Args:
            project: only of its runs; the sentinels that they measured are among them.
            case_ids: only of these series.
            since, until: of the run's start, the first included and the last not.
            run_id: only of this run.
        """
        run, point = schema.run.c, schema.point.c
        of_run = []
        if project is not None:
            of_run.append(run.project == project)
        if since is not None:
            of_run.append(run.started_utc >= since)
        if until is not None:
            of_run.append(run.started_utc < until)
        if run_id is not None:
            of_run.append(run.run_id == run_id)
        runs = sa.select(run.run_id, run.started_utc).where(*of_run)
        # As the driver gives them: SQLAlchemy would convert value by value.
        columns = [sa.type_coerce(point[name], sa.types.NullType()) for name in POINT_FIELDS]
        query: sa.Select[*tuple[Any, ...]] = (
            sa.select(*columns)
            .join_from(schema.point, schema.run, point.run_id == run.run_id)
            .where(
                *of_run,
                (point.points_version == POINTS_VERSION) | run.pruned_utc.is_not(None),
            )
            .order_by(point.case_id, point.started_utc, point.run_id)
        )
        found: list[Point] = []
        texts = Texts()
        with self._snapshot() as connection:
            started: dict[str, datetime] = {row[0]: row[1] for row in connection.execute(runs)}
            for part in _parts(query, point.case_id, case_ids):
                found += points_of(connection.execute(part), started, texts)
        return found

    def runs_without_points(self, project: str | None = None) -> tuple[RunRecord, ...]:
        """Runs that ended and have no points by today's rules, oldest first."""
        run, point = schema.run.c, schema.point.c
        made = sa.exists().where(point.run_id == run.run_id, point.points_version == POINTS_VERSION)
        planned = sa.exists().where(schema.planned_case.c.run_id == run.run_id)
        query = (
            sa.select(schema.run)
            .where(run.status != RunStatus.RUNNING.value, run.pruned_utc.is_(None), planned, ~made)
            .order_by(run.started_utc, run.run_id)
        )
        if project is not None:
            query = query.where(run.project == project)
        with self._snapshot() as connection:
            return tuple(run_of(row) for row in connection.execute(query).mappings())

    def cases(
        self, case_ids: Iterable[str] | None = None, project: str | None = None
    ) -> dict[str, Case]:
        """Cases by their id.

        Args:
            case_ids: only these; those that the store does not know are not in the answer.
            project: only its own, and the sentinels of the devices that it measures on.
        """
        case = schema.case.c
        query = sa.select(schema.case)
        if project is not None:
            theirs = schema.case.alias().c
            devices = sa.select(theirs.device).where(theirs.project == project)
            query = query.where(
                (case.project == project)
                | ((case.project == SENTINEL_PROJECT) & case.device.in_(devices))
            )
        with self._snapshot() as connection:
            return {
                row["case_id"]: case_of(row)
                for part in _parts(query, case.case_id, case_ids)
                for row in connection.execute(part).mappings()
            }

    def environments(self, ids: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """Facts of environments by their id; without those that the store does not know."""
        environment = schema.environment.c
        query = sa.select(environment.environment_id, environment.facts)
        with self._snapshot() as connection:
            return {
                row[0]: row[1]
                for part in _parts(query, environment.environment_id, ids)
                for row in connection.execute(part)
            }

    def launch_outcomes(self, run_ids: Iterable[str]) -> tuple[LaunchOutcomes, ...]:
        """Why launches of these runs count for nothing; nothing is known of pruned ones."""
        with self._snapshot() as connection:
            return tuple(launch_outcomes(connection, run_ids))

    def baselines(self, project: str) -> tuple[Baseline, ...]:
        """Every baseline that a project ever had, newest first."""
        baseline = schema.baseline.c
        query = (
            sa.select(schema.baseline)
            .where(baseline.project == project)
            .order_by(baseline.made_utc.desc(), baseline.kind, baseline.name)
        )
        with self._snapshot() as connection:
            return tuple(baseline_of(row) for row in connection.execute(query).mappings())


def _parts(
    query: sa.Select[*tuple[Any, ...]], column: sa.ColumnElement[str], values: Iterable[str] | None
) -> Iterator[sa.Select[*tuple[Any, ...]]]:
    """The query, or the queries for these values of a column, in their order."""
    if values is None:
        yield query
        return
    for part in in_parts(values):
        yield query.where(column.in_(part))
