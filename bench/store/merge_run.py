"""One run on its way from one store into another; see bench.store.merge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from bench.errors import StoreError
from bench.records import RunStatus
from bench.store.inserts import forget_points, hold_run
from bench.store.raw import TABLES, RawRow, chunks, column_of, insert_raw, rows_where
from bench.store.reader import StoreReader
from bench.store.store import Store

_RUN = tuple(TABLES["run"].c.keys())
# Of a run, what may change after it was begun.
_MOVES = ("status", "finished_utc", "pruned_utc")
_ORDER = (RunStatus.RUNNING, RunStatus.INTERRUPTED, RunStatus.FINISHED)
# Rows of a run that are not its launches and are there before them.
_OF_RUN = ("planned_case", "variant", "evaluation")
# Of one question; up to five columns each, and a database takes 32,766 values.
_KEYS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy did, or has done so far.

    Attributes:
        runs: how many it was asked for.
        runs_new, runs_grown, runs_there: there now and not before; there before, and with more
            in them now; there before, as they are.
        launches, checks, edge_metrics: how many of each were added.
        notes: what was left out and why, a line for people each.
    """

    runs: int
    runs_new: int = 0
    runs_grown: int = 0
    runs_there: int = 0
    launches: int = 0
    checks: int = 0
    edge_metrics: int = 0
    notes: tuple[str, ...] = ()

    @property
    def runs_done(self) -> int:
        return self.runs_new + self.runs_grown + self.runs_there


Tell = Callable[[Copied], None]
# (table, key, column) -> what to say of a row that stands in both stores and differs.
Another = Callable[[str, Sequence[object], str], StoreError]


class RunCopy:
    """One run on its way: read in one snapshot, written in many transactions."""

    def __init__(self, source: StoreReader, target: Store, run_id: str, tell: Tell) -> None:
        self._source = source
        self._target = target
        self._run_id = run_id
        self._tell = tell

    def copy(self, done: Copied) -> Copied:
        """Copy it; return what has been done by then."""
        with self._source._snapshot() as reading:
            theirs = self._rows(reading, "run")[0]
            run = dict(zip(_RUN, theirs, strict=True))
            new, grown, pruned = self._begin(reading, run)
            if pruned is not None:
                return replace(done, runs_there=done.runs_there + 1, notes=(*done.notes, *pruned))
            before = done.launches + done.checks
            for name, count in (("launch", "launches"), ("check_launch", "checks")):
                for rows in chunks(reading, TABLES[name], TABLES[name].c.run_id == self._run_id):
                    added = self._add_launches(reading, name, rows)
                    done = replace(done, **{count: getattr(done, count) + added})
                    self._tell(done)
            grown |= done.launches + done.checks > before
            grown |= self._finish(reading, run)
        kind = "runs_new" if new else "runs_grown" if grown else "runs_there"
        return replace(done, **{kind: getattr(done, kind) + 1})

    def _rows(self, reading: sa.Connection, name: str) -> list[RawRow]:
        table = TABLES[name]
        return [
            row for part in chunks(reading, table, table.c.run_id == self._run_id) for row in part
        ]

    def _begin(
        self, reading: sa.Connection, run: dict[str, Any]
    ) -> tuple[bool, bool, tuple[str, ...] | None]:
        """Have the run, its cases, variants and evaluations there.

        Returns: whether the run is new; whether it was there and anything was added; and, where
        nothing else of it is to be copied, what to say of that.
        """
        parts = {name: self._rows(reading, name) for name in _OF_RUN}
        cases = rows_where(
            reading,
            TABLES["case"],
            "case_id",
            column_of(TABLES["planned_case"], parts["planned_case"], "case_id"),
        )
        table = TABLES["run"]
        with self._target._transaction() as writing:
            stored = self._stored_run(writing)
            new = stored is None
            if stored is None:
                # Not ended before its last launch is there, so that nobody reports a part.
                begun = run | {"status": RunStatus.RUNNING.value, "finished_utc": None}
                insert_raw(writing, table, [tuple(begun[name] for name in _RUN)], once=True)
                stored = self._stored_run(writing)
                assert stored is not None
            self._refuse_another(stored, run)
            pruned = None if new else self._of_pruned(stored, run)
            if pruned is not None:
                return False, False, pruned
            self._add(writing, "case", cases, once=True)
            added = sum(self._add(writing, name, rows) for name, rows in parts.items())
            if added and not new:
                forget_points(writing, self._run_id)
        return new, added > 0 and not new, None

    def _of_pruned(self, stored: sa.RowMapping, run: dict[str, Any]) -> tuple[str, ...] | None:
        """What to say of a run that is there and was pruned on either side; None to go on."""
        there, here = stored["pruned_utc"], run["pruned_utc"]
        whole = stored["status"] == RunStatus.FINISHED.value
        if there is not None and here is None:
            return (
                f"run {self._run_id} was pruned from {self._target.place} on {there:%Y-%m-%d}: "
                "its launches are not brought back",
            )
        if there is None and here is not None and not whole:
            return (
                f"run {self._run_id} was pruned from {self._source.place} before all of it was "
                f"in {self._target.place}: it stays {stored['status']} there",
            )
        return () if here is not None and whole else None

    def _add_launches(self, reading: sa.Connection, name: str, rows: list[RawRow]) -> int:
        table = TABLES[name]
        ids = column_of(table, rows, "launch_id")
        environments = rows_where(
            reading,
            TABLES["environment"],
            "environment_id",
            column_of(table, rows, "environment_id"),
        )
        if name == "launch":
            kept = {
                "launch_samples": rows_where(reading, TABLES["launch_samples"], "launch_id", ids)
            }
            return self._add_chunk(name, rows, environments, kept)
        added = 0
        # One by one, since what they left may be large.
        for row, launch_id in zip(rows, ids, strict=True):
            kept = {"artifact": rows_where(reading, TABLES["artifact"], "launch_id", [launch_id])}
            added += self._add_chunk(name, [row], environments, kept)
        return added

    def _add_chunk(
        self,
        name: str,
        rows: list[RawRow],
        environments: list[RawRow],
        kept: dict[str, list[RawRow]],
    ) -> int:
        with self._target._transaction() as writing:
            hold_run(writing, self._run_id)
            self._add(writing, "environment", environments, once=True)
            added = self._add(writing, name, rows)
            for child, children in kept.items():
                self._add(writing, child, children)
            if added:
                forget_points(writing, self._run_id)
        return added

    def _finish(self, reading: sa.Connection, run: dict[str, Any]) -> bool:
        """Have the run end as it ended in the source, and its points there."""
        points = self._rows(reading, "point")
        environments = rows_where(
            reading,
            TABLES["environment"],
            "environment_id",
            filter(None, column_of(TABLES["point"], points, "environment_id")),
        )
        contents = self._contents(reading)
        with self._target._transaction() as writing:
            stored = self._stored_run(writing)
            assert stored is not None
            moved = _later(stored, run)
            if moved:
                table = TABLES["run"]
                writing.execute(
                    sa.update(table).where(table.c.run_id == self._run_id).values(**moved)
                )
                forget_points(writing, self._run_id)
            # Points say what all launches of a run say: none where it has others here, for
            # `history` makes them of what there is.
            ended = run["status"] != RunStatus.RUNNING.value
            if points and ended and contents == self._contents(writing):
                there = self._versions(writing)
                if there < max(column_of(TABLES["point"], points, "points_version")):
                    forget_points(writing, self._run_id)
                    self._add(writing, "environment", environments, once=True)
                    insert_raw(writing, TABLES["point"], points)
        return bool(moved)

    def _contents(self, connection: sa.Connection) -> list[int]:
        """How many rows there are of what points are made of; each is in both stores or none."""
        tables = (TABLES[name] for name in ("launch", "check_launch", "variant", "evaluation"))
        return [
            connection.execute(
                sa.select(sa.func.count()).where(table.c.run_id == self._run_id)
            ).scalar_one()
            for table in tables
        ]

    def _versions(self, connection: sa.Connection) -> int:
        point = TABLES["point"].c
        query = sa.select(sa.func.max(point.points_version)).where(point.run_id == self._run_id)
        return connection.execute(query).scalar_one() or 0

    def _stored_run(self, writing: sa.Connection) -> sa.RowMapping | None:
        """The run in the target, held there: copies of one run into it take turns."""
        if hold_run(writing, self._run_id, pruned=True) is None:
            return None
        table = TABLES["run"]
        query = sa.select(table).where(table.c.run_id == self._run_id)
        return writing.execute(query).mappings().one()

    def _refuse_another(self, stored: sa.RowMapping, run: dict[str, Any]) -> None:
        ended = RunStatus.FINISHED.value
        fixed = [name for name in _RUN if name not in _MOVES]
        if stored["status"] == run["status"] == ended:
            fixed.append("finished_utc")
        for name in fixed:
            if stored[name] != run[name]:
                raise self._another("run", (self._run_id,), name)

    def _another(self, table: str, key: Sequence[object], column: str) -> StoreError:
        named = " ".join(str(part) for part in key)
        return StoreError(
            f"{table} {named} is not the same in {self._source.place} and {self._target.place} "
            f"({column} differs): the run went on in both; copy it into a store of its own"
        )

    def _add(
        self, writing: sa.Connection, name: str, rows: list[RawRow], *, once: bool = False
    ) -> int:
        """Insert what is not there; return how many.

        Raises: StoreError where a row is there with another content.
        """
        missing = missing_rows(writing, TABLES[name], rows, self._another)
        insert_raw(writing, TABLES[name], missing, once=once)
        return len(missing)


def _later(stored: sa.RowMapping, run: dict[str, Any]) -> dict[str, Any]:
    """What changes of a run that ended since it was copied; a run never goes back."""
    mine, theirs = (_ORDER.index(RunStatus(each["status"])) for each in (stored, run))
    moved = {name: run[name] for name in ("status", "finished_utc")}
    if theirs > mine:
        return moved
    ended, before = run["finished_utc"], stored["finished_utc"]
    again = theirs == mine and ended is not None and (before is None or ended > before)
    return moved if again else {}


def missing_rows(
    writing: sa.Connection,
    table: sa.Table,
    rows: Iterable[RawRow],
    another: Another,
) -> list[RawRow]:
    """The rows whose key is not there, by key: whoever inserts in one order waits, and never
    for each other."""
    names = list(table.c.keys())
    at = [names.index(column.name) for column in table.primary_key.columns]
    given = {tuple(row[i] for i in at): row for row in rows}
    if not given:
        return []
    columns = [table.c[names[i]] for i in at]
    key = columns[0] if len(at) == 1 else sa.tuple_(*columns)
    wanted = [each[0] if len(at) == 1 else each for each in given]
    for start in range(0, len(wanted), _KEYS_AT_ONCE):
        part = wanted[start : start + _KEYS_AT_ONCE]
        for found in writing.execute(sa.select(table).where(key.in_(part))):
            stored = tuple(found)
            its_key = tuple(stored[i] for i in at)
            row = given.pop(its_key)
            for name, a, b in zip(names, row, stored, strict=True):
                if a != b:
                    raise another(table.name, its_key, name)
    return [given[each] for each in sorted(given)]
