"""Reading runs: the records exactly as they were written, from one snapshot each."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bench.errors import StoreError, UserError
from bench.records import CheckRecord, LaunchRecord, RunData, RunRecord
from bench.store import schema
from bench.store.check_rows import artifact_content, check_of
from bench.store.launch_rows import launch_of
from bench.store.rows import evaluation_of, planned_case_of, run_of, variant_of
from bench.store.series import SeriesReader

_CANDIDATES = 5
# How far back the ordinary speed of a machine is looked for.
_HISTORY_RUNS = 50


class StoreReader(SeriesReader):
    """The reading half of a Store; any number of threads and processes at once.

    Every method raises StoreError if the store is closed, damaged or unreadable.
    """

    def runs(self, project: str | None = None) -> tuple[RunRecord, ...]:
        """Every run, or those of one project, newest first."""
        with self._snapshot() as connection:
            rows = connection.execute(_newest_first(sa.select(schema.run), project))
            return tuple(run_of(row) for row in rows.mappings())

    def latest_run(self, project: str | None = None) -> RunRecord | None:
        """The newest run, or that of one project; None if there is none."""
        with self._snapshot() as connection:
            query = _newest_first(sa.select(schema.run), project).limit(1)
            row = connection.execute(query).mappings().first()
            return None if row is None else run_of(row)

    def find_run(self, prefix: str) -> RunRecord:
        """The one run whose id begins with `prefix`.

        Raises:
            UserError: no run or several begin so; the message names candidates.
        """
        with self._snapshot() as connection:
            ids = sa.select(schema.run.c.run_id)
            everything = list(connection.execute(_newest_first(ids, None)).scalars())
        found = [run_id for run_id in everything if run_id.startswith(prefix.lower())]
        if len(found) == 1:
            return self.run(found[0])
        named = ", ".join((found or everything)[:_CANDIDATES])
        if found:
            raise UserError(
                f"{len(found)} runs begin with {prefix!r}: {named}; give more of the id"
            )
        if everything:
            raise UserError(f"no run begins with {prefix!r}; the newest are {named}")
        raise UserError(f"no run begins with {prefix!r}; {self.place} holds no runs")

    def load(self, run_id: str, *, samples: bool = False) -> RunData:
        """Everything about one run.

        Cases are in the order of the plan, variants and evaluations in that of adding,
        launches by round, attempt and position, checks by purpose, case and attempt.

        Args:
            samples: whether to unpack samples_ns and warmup_ns; None without.

        Raises:
            StoreError: no such run.
            UserError: its launches were pruned.
        """
        with self._snapshot() as connection:
            run = connection.execute(_of_run(schema.run, run_id)).mappings().first()
            if run is None:
                raise StoreError(f"{self.place} holds no run {run_id}")
            if run["pruned_utc"] is not None:
                raise UserError(
                    f"run {run_id}: its launches were pruned on {run['pruned_utc']:%Y-%m-%d}; "
                    "`edgebench history` has its summary"
                )
            cases = connection.execute(
                sa.select(schema.planned_case, schema.case.c.spec)
                .join(schema.case)
                .where(schema.planned_case.c.run_id == run_id)
                .order_by(schema.planned_case.c.position)
            ).mappings()
            variants = connection.execute(
                _of_run(schema.variant, run_id).order_by(schema.variant.c.position)
            ).mappings()
            evaluations = connection.execute(
                _of_run(schema.evaluation, run_id).order_by(schema.evaluation.c.position)
            ).mappings()
            planned = tuple(planned_case_of(row) for row in cases)
            sentinels = [p.case.case_id for p in planned if p.case.is_sentinel]
            return RunData(
                run=run_of(run),
                cases=planned,
                variants=tuple(variant_of(row) for row in variants),
                evaluations=tuple(evaluation_of(row) for row in evaluations),
                launches=_launches(connection, schema.launch.c.run_id == run_id, samples=samples),
                earlier_sentinels=_launches(
                    connection,
                    schema.launch.c.case_id.in_(sentinels)
                    & schema.launch.c.run_id.in_(_runs_before(run["started_utc"])),
                    samples=False,
                ),
                checks=_checks(connection, run_id),
            )

    def load_artifact(self, launch_id: str, name: str) -> bytes:
        """The content of a file that a launch beside the timed ones left.

        Raises:
            StoreError: no such launch, or it left no file of that name.
        """
        artifact = schema.artifact.c
        query = sa.select(artifact.content).where(
            artifact.launch_id == launch_id, artifact.name == name
        )
        with self._snapshot() as connection:
            packed = connection.execute(query).scalar_one_or_none()
        if packed is None:
            raise StoreError(f"{self.place} holds no {name} of launch {launch_id}")
        return artifact_content(packed, f"{name} of launch {launch_id}")

    def launches_done(self, run_id: str) -> set[tuple[str, int, int]]:
        """(case_id, index, attempt) of every launch of a run that was stored."""
        launch = schema.launch.c
        query = sa.select(launch.case_id, launch.round_index, launch.attempt).where(
            launch.run_id == run_id
        )
        with self._snapshot() as connection:
            return {(row[0], row[1], row[2]) for row in connection.execute(query)}


def _newest_first(
    query: sa.Select[*tuple[Any, ...]], project: str | None
) -> sa.Select[*tuple[Any, ...]]:
    run = schema.run.c
    if project is not None:
        query = query.where(run.project == project)
    return query.order_by(run.started_utc.desc(), run.run_id.desc())


def _of_run(table: sa.Table, run_id: str) -> sa.Select[tuple[object, ...]]:
    return sa.select(table).where(table.c.run_id == run_id)


def _runs_before(started_utc: datetime) -> sa.Select[tuple[str]]:
    run = schema.run.c
    return (
        sa.select(run.run_id)
        .where(run.started_utc < started_utc)
        .order_by(run.started_utc.desc())
        .limit(_HISTORY_RUNS)
    )


def _launches(
    connection: sa.Connection, which: sa.ColumnElement[bool], *, samples: bool
) -> tuple[LaunchRecord, ...]:
    launch, packed = schema.launch, schema.launch_samples
    columns = [*launch.c, schema.environment.c.facts]
    source = launch.join(schema.environment)
    if samples:
        columns += [packed.c.samples_ns, packed.c.warmup_ns]
        source = source.outerjoin(packed, packed.c.launch_id == launch.c.launch_id)
    query = (
        sa.select(*columns)
        .select_from(source)
        .where(which)
        .order_by(launch.c.round_index, launch.c.attempt, launch.c.position, launch.c.launch_id)
    )
    return tuple(launch_of(row) for row in connection.execute(query).mappings())


def _checks(connection: sa.Connection, run_id: str) -> tuple[CheckRecord, ...]:
    check, artifact = schema.check_launch, schema.artifact
    left: dict[str, list[str]] = {}
    named = (
        sa.select(artifact.c.launch_id, artifact.c.name)
        .join(check)
        .where(check.c.run_id == run_id)
        .order_by(artifact.c.position)
    )
    for launch_id, name in connection.execute(named):
        left.setdefault(launch_id, []).append(name)
    query = (
        sa.select(*check.c, schema.environment.c.facts)
        .select_from(check.join(schema.environment))
        .where(check.c.run_id == run_id)
        .order_by(check.c.purpose, check.c.case_id, check.c.attempt)
    )
    rows = connection.execute(query).mappings()
    return tuple(check_of(row, left.get(row["launch_id"], ())) for row in rows)
