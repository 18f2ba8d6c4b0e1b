"""Pruning: launches of old runs go, everything that was said of them stays."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
import store_records as make
from store_contents import contents
from store_points import point
from test_store_merge import add_run, finish

from bench.errors import StoreError, UserError
from bench.points import Baseline, BaselineKind
from bench.records import PlannedCase, RunStatus
from bench.store import Store, StorePlace, open_store, schema
from bench.store.prune import (
    compact,
    has_points,
    prunable,
    prune_run,
    sweep_environments,
)

pytest_plugins = ["tests.postgres_fixtures"]

LATER = make.START + timedelta(days=400)
GO = ("launch", "launch_samples", "check_launch", "artifact")


@pytest.fixture
def store(store_place: StorePlace) -> Iterator[Store]:
    with open_store(store_place, write=True) as opened:
        yield opened


def finished(store: Store, **changes: object) -> PlannedCase:
    case = add_run(store, **changes)
    finish(store, case)
    return case


def test_only_launches_go(store: Store) -> None:
    case, other = finished(store), finished(store)
    before = contents(store)
    freed = prune_run(store, case.run_id, LATER)
    assert (freed.launches, freed.checks, freed.artifacts) == (3, 1, 1)
    packed = [row for name in GO for row in before[name]]
    assert 0 < freed.packed_bytes < sum(len(v) for r in packed for v in r if isinstance(v, bytes))
    after = contents(store)
    for name, rows in after.items():
        if name in GO:
            assert len(rows) == len(before[name]) // 2
        elif name != "run":
            assert rows == before[name]
    pruned, kept = store.run(case.run_id), store.run(other.run_id)
    assert replace(pruned, run_id="", pruned_utc=None) == replace(kept, run_id="")
    assert pruned.pruned_utc == LATER
    assert [p.p50_us for p in store.points(run_id=case.run_id)] == [1000.0]
    assert len(store.load(other.run_id).launches) == 3
    assert prune_run(store, case.run_id, LATER).launches == 0


def test_a_pruned_run_cannot_be_loaded_and_says_where_its_summary_is(store: Store) -> None:
    case = finished(store)
    prune_run(store, case.run_id, LATER)
    with pytest.raises(UserError, match=r"pruned on 2027-02-06; `edgebench history` has"):
        store.load(case.run_id)


def test_runs_that_are_needed_are_not_prunable(store: Store) -> None:
    plain, pinned, unpinned, release, superseded, open_run, stopped, young = (
        add_run(store, started_utc=make.START + timedelta(days=age)) for age in range(8)
    )
    for case in (plain, pinned, unpinned, release, superseded, young):
        store.finish_run(case.run_id, RunStatus.FINISHED, LATER)
    store.finish_run(stopped.run_id, RunStatus.INTERRUPTED, LATER)
    made = make.START
    for kind, name, case in [
        (BaselineKind.PINNED, "", unpinned),
        (BaselineKind.PINNED, "", pinned),
        (BaselineKind.RELEASE, "1.0", superseded),
        (BaselineKind.RELEASE, "1.0", release),
    ]:
        made += timedelta(seconds=1)
        store.add_baseline(Baseline("digits", kind, name, case.run_id, made))
    found = prunable(store, make.START + timedelta(days=7))
    assert [run.run_id for run in found.runs] == [c.run_id for c in (plain, unpinned, superseded)]
    assert [(run.run_id, why) for run, why in found.kept] == [
        (pinned.run_id, "it is the pinned baseline"),
        (release.run_id, "it is the baseline 1.0"),
        (open_run.run_id, "it is running, not finished"),
        (stopped.run_id, "it is interrupted, not finished"),
    ]
    assert prunable(store, LATER, "nothing").runs == ()
    store.add_points(plain.run_id, [point(plain)])
    prune_run(store, plain.run_id, LATER)
    again = prunable(store, make.START + timedelta(days=7))
    assert [run.run_id for run in again.runs] == [unpinned.run_id, superseded.run_id]


def test_a_run_that_would_leave_nothing_or_is_needed_is_refused(store: Store) -> None:
    bare, pinned = add_run(store), finished(store)
    with pytest.raises(StoreError, match="is running, not finished"):
        prune_run(store, bare.run_id, LATER)
    store.finish_run(bare.run_id, RunStatus.FINISHED, LATER)
    with pytest.raises(StoreError, match="has no points"):
        prune_run(store, bare.run_id, LATER)
    store.add_baseline(Baseline("digits", BaselineKind.PINNED, "", pinned.run_id, make.START))
    with pytest.raises(StoreError, match="is the pinned baseline"):
        prune_run(store, pinned.run_id, LATER)
    with pytest.raises(StoreError, match="holds no run"):
        prune_run(store, "nowhere", LATER)
    assert len(contents(store)["launch"]) == 6


def test_points_of_older_rules_do_not_count(store: Store) -> None:
    case = finished(store)
    assert has_points(store, case.run_id)
    with store._transaction() as connection:
        connection.execute(sa.update(schema.point).values(points_version=0))
    assert not has_points(store, case.run_id)
    with pytest.raises(StoreError, match="has no points"):
        prune_run(store, case.run_id, LATER)


def test_environments_go_when_nothing_names_them(store: Store) -> None:
    case, other = add_run(store, launches=1), add_run(store, launches=1)
    for index, of in [(5, case), (6, case), (7, case), (8, other)]:
        record = make.launch_record(of, index, environment={"number": min(index, 7)})
        store.add_launch(record)
    there = {row[1]: row[0] for row in contents(store)["environment"]}
    kept = there['{"number":6}']
    for of in (case, other):
        store.finish_run(of.run_id, RunStatus.FINISHED, LATER)
        store.add_points(of.run_id, [point(of, environment_id=kept if of is case else None)])
    assert sweep_environments(store) == 0
    prune_run(store, case.run_id, LATER)
    assert sweep_environments(store) == 1
    assert {row[1] for row in contents(store)["environment"]} == set(there) - {'{"number":5}'}
    assert len(store.load(other.run_id).launches) == 2


def size(path: Path) -> int:
    """Of the store and its log."""
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))


def test_the_file_gets_smaller(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with open_store(path, write=True) as store:
        case = make.planned(run := make.run_record())
        store.begin_run(run, [case])
        for index in range(50):
            store.add_launch(make.launch_record(case, index, stderr_tail="x" * 20_000))
        finish(store, case)
        prune_run(store, case.run_id, LATER)
        before = size(path)
        notes: list[str] = []
        with open_store(path, write=False) as reader:
            compact(store, notes.append)
            assert reader.runs()[0].pruned_utc == LATER
        assert notes == []
        assert size(path) < before / 3
        # And it goes on.
        add_run(store)


def test_a_file_that_cannot_be_compacted_is_said_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with open_store(path, write=True) as store:
        case = finished(store)
        prune_run(store, case.run_id, LATER)
        with open_store(path, write=False) as reader, reader._snapshot() as snapshot:
            snapshot.execute(sa.select(schema.run)).all()
            assert store._writing is not None
            with store._writing.connect() as connection:
                connection.exec_driver_sql("PRAGMA busy_timeout=10")
            notes: list[str] = []
            compact(store, notes.append)
        assert store.run(case.run_id).pruned_utc == LATER
        for note in notes:
            assert note.startswith("the file stays as large as it was: ")


def test_a_server_in_use_keeps_its_environments_for_now(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.store.prune._LOCK_TIMEOUT", "200ms")
    with (
        open_store(postgres_url, write=True) as writer,
        open_store(postgres_url, write=True) as pruner,
    ):
        add_run(writer)
        with writer._transaction() as connection:
            connection.execute(sa.insert(schema.environment).values(environment_id="e", facts="{}"))
            assert sweep_environments(pruner) is None
        assert sweep_environments(pruner) == 1


def test_launches_are_added_while_environments_are_swept(postgres_url: str) -> None:
    """An environment that a launch counts on is never taken from under it."""
    with (
        open_store(postgres_url, write=True) as writer,
        open_store(postgres_url, write=True) as pruner,
    ):
        case = add_run(writer, launches=0)
        done = threading.Event()
        swept: list[int | None] = []

        def sweep() -> None:
            while not done.is_set():
                swept.append(sweep_environments(pruner))

        thread = threading.Thread(target=sweep)
        thread.start()
        try:
            for index in range(60):
                environment = {"number": index % 2}
                record = make.launch_record(case, index, environment=environment)
                writer.add_launch(record)
                if index % 5 == 0:
                    with writer._transaction() as connection:
                        connection.execute(sa.delete(schema.launch_samples))
                        connection.execute(sa.delete(schema.launch))
        finally:
            done.set()
            thread.join()
        assert sum(filter(None, swept)) > 0
        assert len(writer.launches_done(case.run_id)) == 4
