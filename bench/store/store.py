"""Writing a store: append-only, one transaction per record."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Self

import sqlalchemy as sa

from bench.errors import StoreError
from bench.points import Baseline, Point
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
from bench.store.faults import store_errors
from bench.store.inserts import (
    check_points,
    find,
    forget_points,
    hold_run,
    insert_launch,
    insert_once,
    next_position,
)
from bench.store.launch_rows import environment_row, launch_row, samples_row
from bench.store.lock import WriterLock
from bench.store.place import StorePlace
from bench.store.point_rows import baseline_row, point_row
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
        self,
        place: StorePlace,
        reading: sa.Engine,
        writing: sa.Engine | None,
        lock: WriterLock | None,
    ) -> None:
        super().__init__(place, reading)
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
        planned_rows = [planned_case_row(planned, at) for at, planned in enumerate(cases)]
        with self._transaction() as connection:
            if find(connection, schema.run, row) is not None:
                raise StoreError(f"run {run.run_id} is in the store already")
            connection.execute(sa.insert(schema.run), row)
            insert_once(connection, schema.case, [case_row(planned.case) for planned in cases])
            if planned_rows:
                connection.execute(sa.insert(schema.planned_case), planned_rows)

    def add_variant(self, record: VariantRecord) -> None:
        """Add a variant; the same file, or the same kind of failure, again does nothing.

        Raises:
            StoreError: the run has another file under this name: its launches would
                stand beside a model that they did not measure.
        """
        with self._transaction() as connection:
            hold_run(connection, record.run_id)
            row = variant_row(record, next_position(connection, schema.variant, record.run_id))
            stored = find(connection, schema.variant, row)
            if stored is None:
                forget_points(connection, record.run_id)
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
            hold_run(connection, record.run_id)
            position = next_position(connection, schema.evaluation, record.run_id)
            row = evaluation_row(record, position)
            stored = find(connection, schema.evaluation, row)
            if stored is None:
                forget_points(connection, record.run_id)
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
            insert_launch(connection, schema.launch, row, environment, "launch")
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
            insert_launch(connection, schema.check_launch, row, environment, "check")
            if artifacts:
                connection.execute(sa.insert(schema.artifact), artifacts)

    def add_points(self, run_id: str, points: Sequence[Point]) -> None:
        """Add what a run says of its series, in place of what was there of it.

        Raises:
            StoreError: no such run, a point of another run, time or case than it planned, or
                its launches were pruned and the points that it has are all that is left.
        """
        rows = [point_row(point) for point in points]
        with self._transaction() as connection:
            stored = hold_run(connection, run_id, pruned=True)
            if stored is None:
                raise StoreError(f"{self.place} holds no run {run_id}")
            check_points(connection, stored, points)
            forget_points(connection, run_id)
            if rows:
                connection.execute(sa.insert(schema.point), rows)

    def add_baseline(self, baseline: Baseline) -> None:
        """Add a baseline, or with no run the end of one.

        Raises:
            StoreError: no such run, or one of this kind and name was made at this very time.
        """
        row = baseline_row(baseline)
        with self._transaction() as connection:
            if baseline.run_id is not None and find(connection, schema.run, row) is None:
                raise StoreError(f"{self.place} holds no run {baseline.run_id}")
            connection.execute(sa.insert(schema.baseline), row)

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
            stored = hold_run(connection, run_id)
            if stored is None:
                raise StoreError(f"{self.place} holds no run {run_id}")
            if stored["status"] == RunStatus.FINISHED:
                raise StoreError(f"run {run_id} is finished")
            forget_points(connection, run_id)
            connection.execute(
                sa.update(schema.run)
                .where(schema.run.c.run_id == run_id)
                .values(status=status.value, finished_utc=finished_utc)
            )

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with self._one_thread:
            if self._closed:
                raise StoreError(f"{self.place} is closed")
            if self._writing is None:
                raise StoreError(f"{self.place} was opened for reading only")
            with store_errors(self.place), self._writing.begin() as connection:
                yield connection
