"""Copying runs from one store into another: row by row, unchanged, exactly once.

A row is named by its primary key, which is the same in every store. What is there and equal is
left, what is there and different is an error: nothing is ever overwritten. Each transaction
adds some launches whole, so that whatever stops a copy, the next one goes on where it was; the
run says "running" until its last launch is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from bench.errors import StoreError
from bench.store.merge_run import Copied, RunCopy, Tell, missing_rows
from bench.store.raw import TABLES, chunks, column_of, insert_raw
from bench.store.reader import StoreReader
from bench.store.store import Store

__all__ = ["Copied", "Tell", "copy_runs"]


def copy_runs(
    source: StoreReader,
    target: Store,
    run_ids: Sequence[str] | None = None,
    *,
    tell: Tell | None = None,
) -> Copied:
    """Copy runs with all that belongs to them, oldest first.

    Baselines are copied where their run is; what agents sent, where everything is.

    Args:
        run_ids: whole ids; None is everything.
        tell: called after every transaction.

    Raises:
        StoreError: no such run, one of the stores cannot be read or written, or a row stands
            in both with different content. All that was told of stays copied.
    """
    ids = _oldest_first(source, run_ids)
    done = Copied(len(ids))
    tell = tell or (lambda _: None)
    for run_id in ids:
        done = RunCopy(source, target, run_id, tell).copy(done)
        tell(done)
    _copy_baselines(source, target, None if run_ids is None else ids)
    if run_ids is None:
        done = _copy_edge_metrics(source, target, done, tell)
    return done


def _oldest_first(source: StoreReader, run_ids: Sequence[str] | None) -> list[str]:
    run = TABLES["run"].c
    with source._snapshot() as reading:
        query = sa.select(run.run_id).order_by(run.started_utc, run.run_id)
        everything = list(reading.execute(query).scalars())
    if run_ids is None:
        return everything
    missing = set(run_ids) - set(everything)
    if missing:
        raise StoreError(f"{source.place} holds no run {min(missing)}")
    return [run_id for run_id in everything if run_id in set(run_ids)]


def _copy_baselines(source: StoreReader, target: Store, run_ids: Sequence[str] | None) -> None:
    table = TABLES["baseline"]

    def another(name: str, key: Sequence[object], column: str) -> StoreError:
        return StoreError(
            f"{name} {' '.join(map(str, key))} is not the same in {source.place} and "
            f"{target.place}: unpin one of them and pin it again"
        )

    with source._snapshot() as reading:
        for rows in chunks(reading, table):
            of_run = column_of(table, rows, "run_id")
            kept = [
                row
                for row, run_id in zip(rows, of_run, strict=True)
                if run_ids is None or run_id in run_ids
            ]
            with target._transaction() as writing:
                insert_raw(writing, table, missing_rows(writing, table, kept, another), once=True)


def _copy_edge_metrics(source: StoreReader, target: Store, done: Copied, tell: Tell) -> Copied:
    table = TABLES["edge_metrics"]

    def another(name: str, key: Sequence[object], column: str) -> StoreError:
        return StoreError(
            f"sample {key[0]} of {name} is not the same in {source.place} and {target.place} "
            f"({column} differs)"
        )

    with source._snapshot() as reading:
        for rows in chunks(reading, table):
            with target._transaction() as writing:
                missing = missing_rows(writing, table, rows, another)
                insert_raw(writing, table, missing, once=True)
            done = replace(done, edge_metrics=done.edge_metrics + len(missing))
            tell(done)
    return done
