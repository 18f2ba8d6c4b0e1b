"""Writing a store: append-only, one transaction per record, one writer at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa

from bench.errors import StoreError
from bench.records import (
    CheckRecord,
    EvaluationRecord,
    LaunchRecord,
    PlannedCase,
    RunRecord,
    RunStatus,
    VariantRecord,
)
from bench.store import schema
from bench.store.check_rows import artifact_rows, check_row
from bench.store.engine import reading_engine, store_errors, writing_engine
from bench.store.launch_rows import environment_row, launch_row, samples_row
from bench.store.lock import WriterLock
from bench.store.migrate import REVISIONS, revision, upgrade
from bench.store.reader import StoreReader
from bench.store.rows import (
    case_row,
    evaluation_of,
    evaluation_row,
    planned_case_row,
    run_row,
    same_evaluation,
    same_variant,
    variant_of,
    variant_row,
)


class Store(StoreReader):
    """An open store; made by open_store, best used as a context manager.

    Writing methods may be called from any thread; each returns when its record is
    safe on disk, and raises StoreError with nothing written otherwise.
    """

    def __init__(
        self, path: Path, reading: sa.Engine, writing: sa.Engine | None, lock: WriterLock | None
    ) -> None:
        super().__init__(path, reading)
        self._writing = writing
        self._lock = lock
        self._one_thread = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Wait for the write under way, close, and let the next writer in."""
        with self._one_thread:
            super().close()
            if self._writing is not None:
                self._writing.dispose()
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def begin_run(self, run: RunRecord, cases: Sequence[PlannedCase]) -> None:
        """Add a run and, in order, everything that it plans.

        Raises:
            StoreError: the run is there already, or a case is another run's or double.
        """
        if any(planned.run_id != run.run_id for planned in cases):
            raise StoreError(f"run {run.run_id} was given cases of another run")
        if len({planned.case.case_id for planned in cases}) != len(cases):
            raise StoreError(f"run {run.run_id} plans a case twice")
        row = run_row(run)
        with self._transaction() as connection:
            if _find(connection, schema.run, row) is not None:
                raise StoreError(f"run {run.run_id} is in the store already")
            connection.execute(sa.insert(schema.run), row)
            for position, planned in enumerate(cases):
                _insert_once(connection, schema.case, case_row(planned.case))
                planned_row = planned_case_row(planned, position)
                connection.execute(sa.insert(schema.planned_case), planned_row)

    def add_variant(self, record: VariantRecord) -> None:
        """Add a variant; the same file, or the same kind of failure, again does nothing.

        Raises:
            StoreError: the run has another file under this name: its launches would
                stand beside a model that they did not measure.
        """
        with self._transaction() as connection:
            row = variant_row(record, _next_position(connection, schema.variant, record.run_id))
            stored = _find(connection, schema.variant, row)
            if stored is None:
                connection.execute(sa.insert(schema.variant), row)
            elif not same_variant(variant_of(stored), record):
                raise StoreError(
                    f"{record.model} {record.variant} is not what run {record.run_id} began "
                    "with: start a new run"
                )

    def add_evaluation(self, record: EvaluationRecord) -> None:
        """Add an evaluation; the same answers again do nothing.

        Raises:
            StoreError: the run has other answers of this variant already.
        """
        with self._transaction() as connection:
            position = _next_position(connection, schema.evaluation, record.run_id)
            row = evaluation_row(record, position)
            stored = _find(connection, schema.evaluation, row)
            if stored is None:
                connection.execute(sa.insert(schema.evaluation), row)
            elif not same_evaluation(evaluation_of(stored), record):
                raise StoreError(
                    f"{record.model} {record.variant} ({record.kernels}) answers otherwise than "
                    f"when run {record.run_id} began: start a new run"
                )

    def add_launch(self, record: LaunchRecord) -> None:
        """Add a launch with its samples and its environment.

        Raises:
            StoreError: it is there already, its run does not plan its case, or it
                contradicts itself.
        """
        environment = environment_row(record.environment)
        row = launch_row(record, environment["environment_id"])
        samples = record.measurement and samples_row(record.launch_id, record.measurement)
        with self._transaction() as connection:
            _insert_launch(connection, schema.launch, row, environment, "launch")
            if samples:
                connection.execute(sa.insert(schema.launch_samples), samples)

    def add_check(self, record: CheckRecord) -> None:
        """Add a launch beside the timed ones, with its artifacts and its environment.

        Raises:
            StoreError: as add_launch.
        """
        environment = environment_row(record.environment)
        row = check_row(record, environment["environment_id"])
        artifacts = artifact_rows(record)
        with self._transaction() as connection:
            _insert_launch(connection, schema.check_launch, row, environment, "check")
            if artifacts:
                connection.execute(sa.insert(schema.artifact), artifacts)

    def finish_run(self, run_id: str, status: RunStatus, finished_utc: datetime) -> None:
        """Say how a run ended, FINISHED or INTERRUPTED, and when.

        Raises:
            StoreError: no such run, or it is FINISHED already.
        """
        if status is RunStatus.RUNNING:
            raise StoreError(f"run {run_id} cannot end as {status}")
        self._set_status(run_id, status, finished_utc)

    def reopen_run(self, run_id: str) -> None:
        """Make an INTERRUPTED run, or one whose controller died, RUNNING again.

        Raises:
            StoreError: no such run, or it is FINISHED.
        """
        self._set_status(run_id, RunStatus.RUNNING, None)

    def _set_status(self, run_id: str, status: RunStatus, finished_utc: datetime | None) -> None:
        with self._transaction() as connection:
            stored = _find(connection, schema.run, {"run_id": run_id})
            if stored is None:
                raise StoreError(f"{self.path} holds no run {run_id}")
            if stored["status"] == RunStatus.FINISHED:
                raise StoreError(f"run {run_id} is finished")
            connection.execute(
                sa.update(schema.run)
                .where(schema.run.c.run_id == run_id)
                .values(status=status.value, finished_utc=finished_utc)
            )

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with self._one_thread:
            if self._closed:
                raise StoreError(f"{self.path} is closed")
            if self._writing is None:
                raise StoreError(f"{self.path} was opened for reading only")
            with store_errors(self.path), self._writing.begin() as connection:
                yield connection


def open_store(path: Path, *, write: bool, create: bool = True) -> Store:
    """Open a store; the caller closes it.

    Args:
        path: the SQLite file; `-wal`, `-shm` and `.lock` appear beside it.
        write: True makes this the one writer until close, and brings an older store
            up to date.
        create: with `write`, make the store and its directory where there is none.

    Raises:
        StoreError: no store there, another writer, a newer version's store, not a
            store, or the place cannot be read or written.
    """
    path = path.absolute().resolve()
    with store_errors(path):
        if path.is_dir():
            raise StoreError(f"{path} is a directory, not a store")
        exists = path.exists()
    if not exists and not (write and create):
        raise StoreError(f"there is no store at {path}: `edgebench run` makes one")
    # Looked at before anything is written, so that a file that is no store stays as it is.
    found = _revision(path) if exists else None
    if write:
        return _open_for_writing(path)
    if found != REVISIONS[-1]:
        raise StoreError(
            f"{path} is {'empty' if found is None else f'of an older revision, {found}'}: "
            "the next `edgebench run` into it brings it up to date"
        )
    return Store(path, reading_engine(path), None, None)


def _open_for_writing(path: Path) -> Store:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make the directory {path.parent}: {error.strerror}") from error
    lock = WriterLock(path)
    writing = writing_engine(path)
    try:
        if revision(writing, path) != REVISIONS[-1]:
            writing.dispose()
            upgrade(path)
        return Store(path, reading_engine(path), writing, lock)
    except BaseException:
        writing.dispose()
        lock.release()
        raise


def _revision(path: Path) -> str | None:
    engine = reading_engine(path)
    try:
        return revision(engine, path)
    finally:
        engine.dispose()


def _find(
    connection: sa.Connection, table: sa.Table, row: Mapping[str, Any]
) -> sa.RowMapping | None:
    """The stored row with the primary key of `row`."""
    key = [column == row[column.name] for column in table.primary_key.columns]
    return connection.execute(sa.select(table).where(*key)).mappings().first()


def _insert_launch(
    connection: sa.Connection,
    table: sa.Table,
    row: Mapping[str, Any],
    environment: Mapping[str, Any],
    what: str,
) -> None:
    """Insert a launch, timed or not, of a case that its run plans, with its environment."""
    if _find(connection, table, row) is not None:
        raise StoreError(f"{what} {row['launch_id']} is in the store already")
    if _find(connection, schema.planned_case, row) is None:
        raise StoreError(f"run {row['run_id']} does not plan case {row['case_id']}")
    _insert_once(connection, schema.environment, environment)
    connection.execute(sa.insert(table), row)


def _insert_once(connection: sa.Connection, table: sa.Table, row: Mapping[str, Any]) -> None:
    """Insert a row that is named by its content, unless it is there."""
    if _find(connection, table, row) is None:
        connection.execute(sa.insert(table), row)


def _next_position(connection: sa.Connection, table: sa.Table, run_id: str) -> int:
    count = sa.select(sa.func.count()).select_from(table).where(table.c.run_id == run_id)
    return int(connection.execute(count).scalar_one())
