"""How much is in a store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from bench.store import schema
from bench.store.migrate import REVISIONS
from bench.store.reader import StoreReader


@dataclass(frozen=True, slots=True)
class StoreSummary:
    """Counts of a store.

    Attributes:
        place: without a password.
        size_bytes: of the file and the log beside it, or of the whole database.
        pruned: how many of `runs` have no launches any more.
        oldest_utc, newest_utc: starts of runs; None without one.
    """

    place: str
    revision: str
    size_bytes: int
    runs: int
    pruned: int
    launches: int
    edge_metrics: int
    oldest_utc: datetime | None
    newest_utc: datetime | None


def summarise(store: StoreReader) -> StoreSummary:
    """Raises: StoreError if the store cannot be read."""
    run = schema.run.c
    of_runs = sa.select(
        sa.func.count(),
        sa.func.count(run.pruned_utc),
        sa.func.min(run.started_utc),
        sa.func.max(run.started_utc),
    )
    with store._snapshot() as connection:
        runs, pruned, oldest, newest = connection.execute(of_runs).one()
        launches, edge_metrics = (
            connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in (schema.launch, schema.edge_metrics)
        )
        if store.place.path is None:
            query = sa.select(sa.func.pg_database_size(sa.func.current_database()))
            size_bytes = int(connection.execute(query).scalar_one())
        else:
            path = store.place.path
            files = (path, path.with_name(path.name + "-wal"))
            size_bytes = sum(file.stat().st_size for file in files if file.exists())
    return StoreSummary(
        store.place.label,
        REVISIONS[-1],
        size_bytes,
        runs,
        pruned,
        launches,
        edge_metrics,
        oldest,
        newest,
    )
