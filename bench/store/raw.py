"""Rows of every table exactly as they are stored, for whoever carries them elsewhere.

Text and JSON stay in the form that the database holds (bench.store.codec): what was never
parsed cannot come out otherwise. Times are aware datetimes in UTC, as SQLite and PostgreSQL
write them differently.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from bench.store import schema
from bench.store.snapshots import in_parts

# One value per column, in the order of the table's columns.
RawRow: TypeAlias = tuple[Any, ...]

_metadata = sa.MetaData()


def _raw(table: sa.Table) -> sa.Table:
    def stored(column: sa.Column[Any]) -> Any:
        text = isinstance(column.type, schema.AnyText | schema.JsonText)
        return sa.Text() if text else column.type

    return sa.Table(
        table.name,
        _metadata,
        *(
            sa.Column(c.name, stored(c), primary_key=c.primary_key, nullable=c.nullable)
            for c in table.c
        ),
    )


# Parents before their children.
TABLES: Mapping[str, sa.Table] = {
    table.name: _raw(table)
    for table in (
        schema.run,
        schema.case,
        schema.planned_case,
        schema.variant,
        schema.evaluation,
        schema.environment,
        schema.launch,
        schema.launch_samples,
        schema.check_launch,
        schema.artifact,
        schema.point,
        schema.baseline,
        schema.edge_metrics,
    )
}

# Rows that are held in memory at once: an artifact may be a system trace of 50 MB.
_AT_ONCE = {"artifact": 1, "check_launch": 20, "evaluation": 20, "launch": 100}
_AT_ONCE_ELSE = 200


def chunks(
    connection: sa.Connection, table: sa.Table, which: sa.ColumnElement[bool] | None = None
) -> Iterator[list[RawRow]]:
    """The rows of a table by primary key, a bounded number of them at a time."""
    query = sa.select(table).order_by(*table.primary_key.columns)
    if which is not None:
        query = query.where(which)
    size = _AT_ONCE.get(table.name, _AT_ONCE_ELSE)
    for part in connection.execute(query.execution_options(yield_per=size)).partitions():
        yield [tuple(row) for row in part]


def rows_where(
    connection: sa.Connection, table: sa.Table, column: str, values: Iterable[str]
) -> list[RawRow]:
    """The rows whose text `column` is one of `values`, by primary key."""
    query = sa.select(table).order_by(*table.primary_key.columns)
    return [
        tuple(row)
        for part in in_parts(values)
        for row in connection.execute(query.where(table.c[column].in_(part)))
    ]


def column_of(table: sa.Table, rows: Iterable[RawRow], name: str) -> list[Any]:
    """The values of one column."""
    at = list(table.c.keys()).index(name)
    return [row[at] for row in rows]


def insert_raw(
    connection: sa.Connection, table: sa.Table, rows: Sequence[RawRow], *, once: bool = False
) -> None:
    """Insert rows in their order.

    Args:
        once: whether rows that somebody else inserted meanwhile are left as they are.
    """
    if not rows:
        return
    statement: Any = sa.insert(table)
    if once:
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        statement = insert(table).on_conflict_do_nothing()
    names = list(table.c.keys())
    connection.execute(statement, [dict(zip(names, row, strict=True)) for row in rows])
