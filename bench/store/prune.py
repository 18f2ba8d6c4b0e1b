"""Taking the launches of old runs out and keeping what they said.

What stays of a run: itself, its plan, cases, variants and evaluations, and its points, with the
environments that those name. Each run goes in one transaction, so it is there whole or pruned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from bench.errors import StoreError
from bench.points import POINTS_VERSION
from bench.records import RunRecord, RunStatus
from bench.store import schema
from bench.store.faults import store_errors
from bench.store.inserts import hold_run
from bench.store.reader import StoreReader
from bench.store.rows import run_of
from bench.store.store import Store

# What the sweep waits for on a server; the next prune does what this one could not.
_LOCK_TIMEOUT = "5s"
_LOCK_NOT_AVAILABLE = "55P03"


@dataclass(frozen=True, slots=True)
class Prunable:
    """Which runs are old enough.

    Attributes:
        runs: to prune, oldest first.
        kept: (run, why it stays) of the others that are as old; not those pruned before.
    """

    runs: tuple[RunRecord, ...]
    kept: tuple[tuple[RunRecord, str], ...]


@dataclass(frozen=True, slots=True)
class Freed:
    """What pruning took out.

    Attributes:
        launches, checks, artifacts: rows.
        packed_bytes: of their samples, profiles and artifacts, as they lay in the store.
    """

    launches: int = 0
    checks: int = 0
    artifacts: int = 0
    packed_bytes: int = 0

    def __add__(self, other: Freed) -> Freed:
        return Freed(
            self.launches + other.launches,
            self.checks + other.checks,
            self.artifacts + other.artifacts,
            self.packed_bytes + other.packed_bytes,
        )


def prunable(store: StoreReader, before: datetime, project: str | None = None) -> Prunable:
    """Runs that began before a time, of one project or of all.

    A run that is a baseline stays, and so does one that may be gone on with.
    """
    run = schema.run.c
    query = (
        sa.select(schema.run)
        .where(run.started_utc < before, run.pruned_utc.is_(None))
        .order_by(run.started_utc, run.run_id)
    )
    if project is not None:
        query = query.where(run.project == project)
    with store._snapshot() as connection:
        found = [run_of(row) for row in connection.execute(query).mappings()]
        held = _held(connection)
    kept, pruned = [], []
    for record in found:
        if record.run_id in held:
            kept.append((record, f"it is {held[record.run_id]}"))
        elif record.status is not RunStatus.FINISHED:
            kept.append((record, f"it is {record.status.value}, not finished"))
        else:
            pruned.append(record)
    return Prunable(tuple(pruned), tuple(kept))


def has_points(store: StoreReader, run_id: str) -> bool:
    """Whether a run has points by today's rules."""
    with store._snapshot() as connection:
        return _has_points(connection, run_id)


def prune_run(store: Store, run_id: str, now: datetime) -> Freed:
    """Take the launches of a run out; of one that was pruned before, nothing.

    Raises:
        StoreError: no such run, it is no finished one, it is a baseline, or it has no points
            by today's rules: nothing would be left of it.
    """
    with store._transaction() as connection:
        stored = hold_run(connection, run_id, pruned=True)
        if stored is None:
            raise StoreError(f"{store.place} holds no run {run_id}")
        if stored["pruned_utc"] is not None:
            return Freed()
        if stored["status"] != RunStatus.FINISHED:
            raise StoreError(f"run {run_id} is {stored['status']}, not finished")
        if (what := _held(connection).get(run_id)) is not None:
            raise StoreError(f"run {run_id} is {what}")
        if not _has_points(connection, run_id):
            raise StoreError(f"run {run_id} has no points: nothing would be left of it")
        freed = _delete(connection, run_id)
        connection.execute(
            sa.update(schema.run).where(schema.run.c.run_id == run_id).values(pruned_utc=now)
        )
    return freed


def sweep_environments(store: Store) -> int | None:
    """Take out environments that nothing names any more; how many.

    None where others use the store so much that it must wait for another time.
    """
    environment = schema.environment.c
    named = sa.union(
        sa.select(schema.launch.c.environment_id),
        sa.select(schema.check_launch.c.environment_id),
        sa.select(schema.point.c.environment_id).where(schema.point.c.environment_id.is_not(None)),
    )
    unused = sa.delete(schema.environment).where(environment.environment_id.not_in(named))
    try:
        with store._transaction() as connection:
            if connection.dialect.name == "postgresql":
                # Whoever adds a launch counts on the environment that it found there: this
                # waits for all who add one, and they for this.
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
                connection.exec_driver_sql("LOCK TABLE environment IN SHARE ROW EXCLUSIVE MODE")
            return connection.execute(unused).rowcount
    except StoreError as error:
        cause = getattr(error.__cause__, "orig", None)
        if getattr(cause, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
            return None
        raise


def compact(store: Store, tell: Callable[[str], None]) -> None:
    """Give what was freed back to the file system; a server does that by itself.

    Where there is no room for the copy that it takes, `tell` is told and the store is as it was.
    """
    if store.place.shared:
        return
    assert store._writing is not None
    try:
        with store._one_thread, store_errors(store.place):
            # VACUUM is refused within a transaction, and every other way begins one.
            connection = store._writing.raw_connection()
            try:
                cursor = connection.cursor()
                cursor.execute("VACUUM")
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                cursor.close()
            finally:
                connection.close()
    except StoreError as error:
        tell(f"the file stays as large as it was: {error}")


def _held(connection: sa.Connection) -> dict[str, str]:
    """Runs that are baselines now, and of what kind."""
    baseline = schema.baseline.c
    query = sa.select(schema.baseline).order_by(baseline.made_utc)
    newest = {
        (row["project"], row["kind"], row["name"]): row["run_id"]
        for row in connection.execute(query).mappings()
    }
    return {
        run_id: f"the baseline {name}" if name else "the pinned baseline"
        for (_, _, name), run_id in newest.items()
        if run_id is not None
    }


def _has_points(connection: sa.Connection, run_id: str) -> bool:
    point = schema.point.c
    query = sa.select(point.case_id).where(
        point.run_id == run_id, point.points_version == POINTS_VERSION
    )
    return connection.execute(query.limit(1)).first() is not None


def _delete(connection: sa.Connection, run_id: str) -> Freed:
    launch, check = schema.launch, schema.check_launch
    samples, artifact = schema.launch_samples, schema.artifact
    launches = sa.select(launch.c.launch_id).where(launch.c.run_id == run_id)
    checks = sa.select(check.c.launch_id).where(check.c.run_id == run_id)

    def bytes_of(table: sa.Table, which: sa.ColumnElement[bool], *names: str) -> int:
        lengths = [sa.func.coalesce(sa.func.length(table.c[name]), 0) for name in names]
        query = sa.select(sa.func.sum(sum(lengths[1:], lengths[0]))).where(which)
        return int(connection.execute(query).scalar_one() or 0)

    of_samples, of_artifacts = samples.c.launch_id.in_(launches), artifact.c.launch_id.in_(checks)
    packed = bytes_of(samples, of_samples, "samples_ns", "warmup_ns")
    packed += bytes_of(check, check.c.run_id == run_id, "profile", "numerics")
    packed += bytes_of(artifact, of_artifacts, "content")
    connection.execute(sa.delete(samples).where(of_samples))
    artifacts = connection.execute(sa.delete(artifact).where(of_artifacts)).rowcount
    return Freed(
        connection.execute(sa.delete(launch).where(launch.c.run_id == run_id)).rowcount,
        connection.execute(sa.delete(check).where(check.c.run_id == run_id)).rowcount,
        artifacts,
        packed,
    )
