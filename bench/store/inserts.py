"""What writing transactions are made of, on either database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from bench.errors import StoreError
from bench.points import Point
from bench.store import schema

Values = Mapping[str, Any]


def find(connection: sa.Connection, table: sa.Table, row: Values) -> sa.RowMapping | None:
    """The stored row with the primary key of `row`."""
    key = [column == row[column.name] for column in table.primary_key.columns]
    return connection.execute(sa.select(table).where(*key)).mappings().first()


def hold_run(
    connection: sa.Connection, run_id: str, *, pruned: bool = False
) -> sa.RowMapping | None:
    """The row of a run, which no other writer changes or adds to until this transaction ends.

    SQLite has one writer anyway.

    Raises:
        StoreError: its launches were pruned and, unless `pruned`, nothing can be added to it.
    """
    query = (
        sa.select(schema.run).where(schema.run.c.run_id == run_id).with_for_update(key_share=True)
    )
    found = connection.execute(query).mappings().first()
    if found is not None and found["pruned_utc"] is not None and not pruned:
        raise StoreError(f"run {run_id} was pruned: nothing can be added to it")
    return found


def check_points(connection: sa.Connection, run: sa.RowMapping, points: Sequence[Point]) -> None:
    """Refuse points that are not this run's, or would replace all that is left of it.

    Raises:
        StoreError: names the first that is wrong.
    """
    run_id, started_utc = run["run_id"], run["started_utc"]
    planned = sa.select(schema.planned_case.c.case_id).where(schema.planned_case.c.run_id == run_id)
    known = set(connection.execute(planned).scalars())
    for point in points:
        if (point.run_id, point.started_utc) != (run_id, started_utc):
            raise StoreError(f"run {run_id} was given a point of another run")
        if point.case_id not in known:
            raise StoreError(f"run {run_id} does not plan case {point.case_id}")
    there = sa.select(schema.point.c.case_id).where(schema.point.c.run_id == run_id).limit(1)
    if run["pruned_utc"] is not None and connection.execute(there).first() is not None:
        raise StoreError(f"run {run_id} was pruned: its points cannot be made again")


def forget_points(connection: sa.Connection, run_id: str) -> None:
    """Take a run's points out: they were made before what is added now."""
    connection.execute(sa.delete(schema.point).where(schema.point.c.run_id == run_id))


def insert_once(connection: sa.Connection, table: sa.Table, rows: Sequence[Values]) -> None:
    """Insert rows that are named by their content, but for those that are there.

    Always in the order of their names: two writers never wait for each other crosswise.
    """
    if not rows:
        return
    (name,) = table.primary_key.columns.keys()
    ordered = sorted((dict(row) for row in rows), key=lambda row: str(row[name]))
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(insert(table).on_conflict_do_nothing(), ordered)


def insert_launch(
    connection: sa.Connection, table: sa.Table, row: Values, environment: Values, what: str
) -> None:
    """Insert a launch, timed or not, of a case that its run plans, with its environment."""
    hold_run(connection, row["run_id"])
    if find(connection, table, row) is not None:
        raise StoreError(f"{what} {row['launch_id']} is in the store already")
    if find(connection, schema.planned_case, row) is None:
        raise StoreError(f"run {row['run_id']} does not plan case {row['case_id']}")
    forget_points(connection, row["run_id"])
    insert_once(connection, schema.environment, [environment])
    connection.execute(sa.insert(table), row)


def next_position(connection: sa.Connection, table: sa.Table, run_id: str) -> int:
    """Where the next row of a run comes; the run is held."""
    count = sa.select(sa.func.count()).select_from(table).where(table.c.run_id == run_id)
    return int(connection.execute(count).scalar_one())
