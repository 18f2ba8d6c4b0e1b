"""Copying stores: every row unchanged, exactly once, and never over something else."""

from __future__ import annotations

import itertools
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import store_records as make
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_contents import contents, of_run
from store_points import edge_row, point

from bench.errors import StoreError, UserError
from bench.points import Baseline, BaselineKind
from bench.records import PlannedCase, Purpose, RunStatus
from bench.store import Store, StorePlace, open_store
from bench.store.merge import copy_runs
from bench.store.merge_run import RunCopy
from bench.store.prune import prune_run, sweep_environments
from bench.store.raw import TABLES, insert_raw
from tests.postgres import Server

pytest_plugins = ["tests.postgres_fixtures"]


@pytest.fixture
def a(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "a.db", write=True) as opened:
        yield opened


@pytest.fixture
def b(store_place: StorePlace) -> Iterator[Store]:
    """Where `a` is copied to: a file, and a database of a server."""
    with open_store(store_place, write=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A database of a server for a whole module."""
    server: Server = request.getfixturevalue("postgres")
    name = server.make_database(like=request.getfixturevalue("postgres_template"))
    with open_store(server.url(name), write=True) as opened:
        yield opened
    server.drop_database(name)


@pytest.fixture(scope="module", params=["file to file", "file to server", "server to file"])
def lasting(request: pytest.FixtureRequest) -> Iterator[tuple[Store, Store]]:
    """Two stores for many generated runs."""
    kinds = request.param.split(" to ")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        files = (stack.enter_context(open_store(Path(folder) / n, write=True)) for n in "ab")
        a, b = (
            next(files) if kind == "file" else request.getfixturevalue("shared") for kind in kinds
        )
        yield a, b


def add_run(store: Store, launches: int = 3, **changes: Any) -> PlannedCase:
    """A run with one case, some launches and a check."""
    run = make.run_record(**changes)
    case = make.planned(run)
    store.begin_run(run, [case])
    for index in range(launches):
        store.add_launch(make.launch_record(case, index))
    store.add_check(make.check_record(case, Purpose.TRACE))
    return case


def finish(store: Store, case: PlannedCase, status: RunStatus = RunStatus.FINISHED) -> None:
    store.finish_run(case.run_id, status, make.START + timedelta(hours=1))
    store.add_points(case.run_id, [point(case)])


def add_everything(store: Store, data: st.DataObject) -> str:
    """A run of arbitrary records; its id."""
    run = replace(data.draw(make.runs), pruned_utc=None)
    cases = tuple(
        PlannedCase(run.run_id, case, data.draw(st.none() | make.texts))
        for case in data.draw(st.lists(make.cases, max_size=2, unique_by=lambda c: c.case_id))
    )
    store.begin_run(run, cases)
    store.add_variant(data.draw(make.variants(run.run_id)))
    store.add_evaluation(data.draw(make.evaluations(run.run_id)))
    for planned in cases:
        store.add_launch(data.draw(make.launches(run.run_id, planned.case.case_id)))
        store.add_check(data.draw(make.checks(run.run_id, planned.case.case_id)))
    return run.run_id


@settings(
    deadline=None,
    max_examples=8,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.data())
def test_any_record_arrives_as_it_was(lasting: tuple[Store, Store], data: st.DataObject) -> None:
    a, b = lasting
    run_id = add_everything(a, data)
    copied = copy_runs(a, b, [run_id])
    assert (copied.runs_new, copied.runs_grown) == (1, 0)
    assert of_run(b, run_id) == of_run(a, run_id)
    again = copy_runs(a, b, [run_id])
    assert (again.runs_there, again.launches, again.checks) == (1, 0, 0)
    assert of_run(b, run_id) == of_run(a, run_id)


def test_a_copy_has_points_baselines_and_what_agents_sent(a: Store, b: Store) -> None:
    case = add_run(a)
    finish(a, case)
    a.add_baseline(Baseline("digits", BaselineKind.PINNED, "", case.run_id, make.START))
    a.add_baseline(Baseline("digits", BaselineKind.PINNED, "", None, make.START + timedelta(1)))
    with a._transaction() as connection:
        insert_raw(connection, TABLES["edge_metrics"], [edge_row("s1"), edge_row("s2")])
    copied = copy_runs(a, b)
    assert (copied.launches, copied.checks, copied.edge_metrics) == (3, 1, 2)
    assert contents(b) == contents(a)
    assert all(contents(b)[name] for name in ("point", "baseline", "artifact", "launch_samples"))


def test_of_some_runs_only_what_is_theirs_is_copied(a: Store, b: Store) -> None:
    first, second = add_run(a), add_run(a)
    for case in (first, second):
        a.add_baseline(Baseline(case.run_id, BaselineKind.PINNED, "", case.run_id, make.START))
    with a._transaction() as connection:
        insert_raw(connection, TABLES["edge_metrics"], [edge_row("s1")])
    copied = copy_runs(a, b, [second.run_id])
    assert copied.runs == 1
    assert [run.run_id for run in b.runs()] == [second.run_id]
    assert len(contents(b)["baseline"]) == 1
    assert contents(b)["edge_metrics"] == []
    with pytest.raises(StoreError, match="holds no run nowhere"):
        copy_runs(a, b, ["nowhere"])


def test_a_run_grows_and_ends_where_it_was_copied_to(a: Store, b: Store) -> None:
    case = add_run(a)
    copy_runs(a, b)
    assert b.run(case.run_id).status is RunStatus.RUNNING
    a.add_launch(make.launch_record(case, 7))
    finish(a, case, RunStatus.INTERRUPTED)
    copied = copy_runs(a, b)
    assert (copied.runs_new, copied.runs_grown, copied.launches) == (0, 1, 1)
    assert contents(b) == contents(a)
    a.reopen_run(case.run_id)
    a.add_launch(make.launch_record(case, 8))
    assert copy_runs(a, b).runs_grown == 1
    assert b.run(case.run_id).status is RunStatus.INTERRUPTED
    finish(a, case)
    assert copy_runs(a, b).runs_grown == 1
    assert contents(b) == contents(a)
    assert copy_runs(a, b).runs_there == 1


def test_a_run_never_goes_back(a: Store, b: Store, tmp_path: Path) -> None:
    case = add_run(a)
    with open_store(tmp_path / "old.db", write=True) as old:
        copy_runs(a, old)
        finish(a, case)
        copy_runs(a, b)
        before = contents(b)
        assert copy_runs(old, b).runs_there == 1
        assert contents(b) == before


def test_points_that_do_not_say_all_launches_are_not_kept(
    a: Store, b: Store, tmp_path: Path
) -> None:
    """Two stores went on with one run: what either says of it says only its own launches."""
    case = add_run(a)
    with open_store(tmp_path / "other.db", write=True) as other:
        copy_runs(a, other)
        for store, index in ((a, 10), (other, 11)):
            store.add_launch(make.launch_record(case, index))
            finish(store, case)
        copy_runs(a, b)
        assert len(contents(b)["point"]) == 1
        copy_runs(other, b)
        assert len(contents(b)["launch"]) == 5
        assert contents(b)["point"] == []
        copy_runs(a, b)
        assert contents(b)["point"] == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            "UPDATE launch SET p50_us = p50_us + 1 WHERE round_index = 1",
            "launch .* (p50_us differs)",
        ),
        ("UPDATE launch_samples SET samples_ns = x'0108'", "launch_samples .*samples_ns differs"),
        ("UPDATE artifact SET content = x'00'", "artifact .*content differs"),
        ("UPDATE run SET seed = 1", "run .*seed differs"),
        ("UPDATE planned_case SET reason = 'no'", "planned_case .*reason differs"),
        ("UPDATE environment SET facts = '{}'", "environment .*facts differs"),
        ("UPDATE run SET finished_utc = '2027-01-01 00:00:00.000000'", "finished_utc differs"),
        ("UPDATE run SET finished_utc = NULL", "finished_utc differs"),
    ],
)
def test_what_stands_in_both_and_differs_is_named_and_left(
    tmp_path: Path, change: str, named: str
) -> None:
    with (
        open_store(tmp_path / "a.db", write=True) as a,
        open_store(tmp_path / "b.db", write=True) as b,
    ):
        finish(a, add_run(a))
        copy_runs(a, b)
    with closing(sqlite3.connect(tmp_path / "b.db")) as connection:
        connection.execute(change)
        connection.commit()
    with (
        open_store(tmp_path / "a.db", write=False) as a,
        open_store(tmp_path / "b.db", write=True) as b,
    ):
        before = contents(b)
        with pytest.raises(StoreError, match=named.replace("(", r"\(").replace(")", r"\)")) as said:
            copy_runs(a, b)
        assert len(str(said.value).splitlines()) == 1
        assert contents(b) == before


def test_a_pruned_run_does_not_get_its_launches_back(a: Store, b: Store) -> None:
    case = add_run(a)
    finish(a, case)
    copy_runs(a, b)
    prune_run(b, case.run_id, make.START + timedelta(days=400))
    before = contents(b)
    copied = copy_runs(a, b)
    assert (copied.runs_there, copied.launches) == (1, 0)
    assert "was pruned" in copied.notes[0]
    assert contents(b) == before
    # And the other way round, nothing is taken from who has them.
    before = contents(a)
    assert copy_runs(b, a).runs_there == 1
    assert contents(a) == before


def test_a_pruned_run_is_copied_as_it_is(a: Store, b: Store) -> None:
    case = add_run(a)
    finish(a, case)
    prune_run(a, case.run_id, make.START + timedelta(days=400))
    sweep_environments(a)
    copy_runs(a, b)
    assert contents(b) == contents(a)
    assert copy_runs(a, b).runs_there == 1
    with pytest.raises(UserError, match="pruned on 2027-02-06"):
        b.load(case.run_id)


def stop_after(times: int) -> Callable[[object], None]:
    """A `tell` that gives up when it is called so often."""
    told = itertools.count(1)

    def tell(done: object) -> None:
        if next(told) == times:
            raise KeyboardInterrupt

    return tell


def test_a_part_of_a_run_that_was_pruned_meanwhile_never_passes_as_the_whole(
    a: Store, b: Store
) -> None:
    case = add_run(a, launches=150)
    finish(a, case)
    with pytest.raises(KeyboardInterrupt):
        copy_runs(a, b, tell=stop_after(1))
    prune_run(a, case.run_id, make.START + timedelta(days=400))
    before = contents(b)
    for _ in range(2):
        copied = copy_runs(a, b)
        assert "before all of it was in" in copied.notes[0]
        assert contents(b) == before
    assert b.run(case.run_id).status is RunStatus.RUNNING


def test_the_copy_of_a_pruned_run_goes_on_too(
    a: Store, b: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = add_run(a)
    finish(a, case)
    prune_run(a, case.run_id, make.START + timedelta(days=400))
    sweep_environments(a)
    with monkeypatch.context() as patch:
        patch.setattr(RunCopy, "_finish", stop)
        with pytest.raises(KeyboardInterrupt):
            copy_runs(a, b)
    assert b.run(case.run_id).status is RunStatus.RUNNING
    copy_runs(a, b)
    assert contents(b) == contents(a)


def stop(*_: object) -> bool:
    raise KeyboardInterrupt


def test_an_error_in_the_middle_keeps_what_was_copied(a: Store, b: Store) -> None:
    add_run(a, launches=250)
    with pytest.raises(KeyboardInterrupt):
        copy_runs(a, b, tell=stop_after(2))
    assert len(contents(b)["launch"]) == 200
    assert b.runs()[0].status is RunStatus.RUNNING
    copied = copy_runs(a, b)
    assert copied.launches == 50
    assert contents(b) == contents(a)


def test_two_copies_at_once_into_a_server(postgres_url: str, tmp_path: Path) -> None:
    """Both have some runs of their own and some that the other copies too."""
    with ExitStack() as stack:
        places = [tmp_path / name for name in "xyz"]
        x, y, z = (stack.enter_context(open_store(place, write=True)) for place in places)
        for _ in range(4):
            finish(x, add_run(x, launches=30))
        copy_runs(x, y)
        copy_runs(x, z)
        for store in (y, z):
            for _ in range(3):
                finish(store, add_run(store, launches=30))
        together = threading.Barrier(4)

        def copy(source: Store) -> None:
            with open_store(postgres_url, write=True) as target:
                together.wait()
                copy_runs(source, target)

        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(copy, source) for source in (x, y, z, y)]:
                done.result()
        for source in (y, z):
            copy_runs(source, x)
        with open_store(postgres_url, write=False) as found:
            assert contents(found) == contents(x)
