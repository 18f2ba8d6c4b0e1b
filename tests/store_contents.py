"""All rows of a store, as they lie in it, for tests that hold two stores together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.store import StoreReader
from bench.store.portable import rows_of_runs
from bench.store.raw import TABLES


def contents(store: StoreReader, run_ids: Sequence[str] | None = None) -> dict[str, list[Any]]:
    """Table -> its rows (of these runs), doubles as their repr."""
    with store._snapshot() as connection:
        return {
            name: sorted(
                (
                    tuple(_exact(value) for value in row)
                    for part in rows_of_runs(connection, table, run_ids)
                    for row in part
                ),
                key=repr,
            )
            for name, table in TABLES.items()
        }


def of_run(store: StoreReader, run_id: str) -> dict[str, list[Any]]:
    """All rows that belong to one run."""
    return contents(store, [run_id])


def _exact(value: Any) -> Any:
    # SQLite keeps no sign of zero.
    return repr(value + 0.0) if isinstance(value, float) else value
