"""Points, baselines, cases and environments: whole, in order, and never older than launches."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import store_records as make
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_points import point

from bench.errors import StoreError
from bench.identity import SENTINEL_MODEL, SENTINEL_PROJECT
from bench.points import Baseline, BaselineKind, Point, PointState
from bench.records import (
    EvaluationRecord,
    PlannedCase,
    RunRecord,
    RunStatus,
    VariantRecord,
)
from bench.store import Store, StorePlace, open_store

pytest_plugins = ["tests.postgres_fixtures"]

WEEK = timedelta(weeks=1)


@pytest.fixture
def store(store_place: StorePlace) -> Iterator[Store]:
    with open_store(store_place, write=True) as opened:
        yield opened


def measured(
    store: Store, *variants: str, started_utc: datetime = make.START, **changes: Any
) -> tuple[RunRecord, list[PlannedCase]]:
    """A run that ended, with a point of each of its cases."""
    run = make.run_record(started_utc=started_utc, **changes)
    cases = [make.planned(run, variant) for variant in variants or ("fp32",)]
    store.begin_run(run, cases)
    store.finish_run(run.run_id, RunStatus.FINISHED, started_utc)
    store.add_points(run.run_id, [point(case, started_utc=started_utc) for case in cases])
    return run, cases


maybe_numbers = st.none() | make.floats
maybe_integers = st.none() | make.integers
points = st.builds(
    Point,
    run_id=st.just(""),
    case_id=st.just(""),
    started_utc=make.times,
    state=st.sampled_from(PointState),
    reason=make.texts,
    quantity=make.texts,
    p50_us=maybe_numbers,
    p50_low_us=maybe_numbers,
    p50_high_us=maybe_numbers,
    p90_us=maybe_numbers,
    mean_us=maybe_numbers,
    p50_by_round_us=st.lists(st.tuples(make.integers, make.floats), max_size=3).map(tuple),
    launches_made=make.integers,
    launches_used=make.integers,
    stability=make.texts,
    coverage=st.none() | make.texts,
    delegated_nodes=maybe_integers,
    total_nodes=maybe_integers,
    numerics=st.none() | make.texts,
    accuracy=maybe_numbers,
    accuracy_low=maybe_numbers,
    accuracy_high=maybe_numbers,
    metric=make.texts,
    higher_is_better=st.booleans(),
    gates_failed=st.lists(make.texts, max_size=2).map(tuple),
    size_bytes=maybe_integers,
    model_sha256=st.none() | make.texts,
    peak_rss_kib=maybe_integers,
    energy_mj_per_invoke=maybe_numbers,
    start_c=maybe_numbers,
    environment_id=st.none() | make.texts,
    simulated=st.booleans(),
    runtime=make.texts,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(drawn=points, case=make.cases)
def test_points_come_back_as_they_were_written(store: Store, drawn: Point, case: Any) -> None:
    run = make.run_record(started_utc=drawn.started_utc)
    store.begin_run(run, [PlannedCase(run.run_id, case)])
    given_point = dataclasses.replace(drawn, run_id=run.run_id, case_id=case.case_id)
    store.add_points(run.run_id, [given_point])
    (found,) = store.points(run_id=run.run_id)
    assert found == given_point
    assert {type(value) for value in (found.higher_is_better, found.simulated)} == {bool}
    assert store.cases([case.case_id]) == {case.case_id: case}


def test_points_are_by_series_then_time_whatever_came_first(store: Store) -> None:
    days = [timedelta(days=day) for day in (3, 1, 2)]
    for day in days:
        measured(store, "fp32", "int8", started_utc=make.START + day)
    found = [(p.case_id, p.started_utc) for p in store.points()]
    assert found == sorted(found)
    assert len(found) == 6


def test_points_are_narrowed_by_project_series_and_time(store: Store) -> None:
    old, cases = measured(store, "fp32", "int8")
    new, _ = measured(store, "fp32", "int8", started_utc=make.START + WEEK)
    other, _ = measured(store, "fp32", project="other")
    wanted = cases[0].case.case_id

    def runs(**options: Any) -> set[str]:
        return {p.run_id for p in store.points(**options)}

    assert runs(project="other") == {other.run_id}
    assert runs(project=new.project) == {old.run_id, new.run_id}
    assert runs(project="none") == set()
    assert {p.case_id for p in store.points(case_ids=[wanted])} == {wanted}
    assert store.points(case_ids=[]) == []
    # A start is in its own time and not in the one before it.
    assert runs(project=new.project, since=new.started_utc) == {new.run_id}
    assert runs(project=new.project, until=new.started_utc) == {old.run_id}
    assert runs(run_id=old.run_id) == {old.run_id}


def test_more_series_than_fit_into_one_statement_are_read(store: Store) -> None:
    run = make.run_record()
    cases = [make.planned(run, f"v{n}") for n in range(1203)]
    store.begin_run(run, cases)
    store.add_points(run.run_id, [point(case) for case in cases])
    ids = [case.case.case_id for case in cases]
    assert [p.case_id for p in store.points(case_ids=ids)] == sorted(ids)
    assert store.cases(ids).keys() == set(ids)


def test_points_made_again_replace_all_of_their_run(store: Store) -> None:
    run, cases = measured(store, "fp32", "int8")
    other, _ = measured(store, "fp32", started_utc=make.START + WEEK)
    store.add_points(run.run_id, [point(cases[0], p50_us=7.0)])
    assert [p.p50_us for p in store.points(run_id=run.run_id)] == [7.0]
    assert len(store.points(run_id=other.run_id)) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"run_id": "another"}, "a point of another run"),
        ({"started_utc": make.START + WEEK}, "a point of another run"),
        ({"case_id": "another"}, "does not plan case another"),
        ({"p50_us": math.nan}, "point.p50_us is nan"),
        ({"launches_made": 2.5}, "point.launches_made is 2.5"),
    ],
)
def test_a_point_that_is_wrong_is_refused_and_what_was_there_stays(
    store: Store, changes: dict[str, Any], message: str
) -> None:
    run, cases = measured(store, "fp32", "int8")
    before = store.points()
    good = [point(case) for case in cases]
    with pytest.raises(StoreError, match=message):
        store.add_points(run.run_id, [good[0], dataclasses.replace(good[1], **changes)])
    assert store.points() == before
    with pytest.raises(StoreError, match="holds no run nothing"):
        store.add_points("nothing", [])


# --- derived and never older than what it is derived from --------------------------------


def test_runs_without_points_are_those_that_ended_oldest_first(store: Store) -> None:
    made = []
    for day, status in [(2, RunStatus.FINISHED), (1, RunStatus.INTERRUPTED), (0, None)]:
        start = make.START + timedelta(days=day)
        run = make.run_record(started_utc=start)
        store.begin_run(run, [make.planned(run)])
        if status is not None:
            store.finish_run(run.run_id, status, start)
        made.append(run.run_id)
    measured(store)
    assert [run.run_id for run in store.runs_without_points()] == [made[1], made[0]]
    assert store.runs_without_points("none") == ()


@pytest.mark.parametrize("what", ["launch", "check", "variant", "evaluation", "status"])
def test_whatever_is_added_to_a_run_makes_its_points_void(store: Store, what: str) -> None:
    run = make.run_record()
    case = make.planned(run)
    store.begin_run(run, [case])
    store.finish_run(run.run_id, RunStatus.INTERRUPTED, make.START)
    store.add_points(run.run_id, [point(case)])
    other, _ = measured(store, started_utc=make.START + WEEK)
    if what == "launch":
        store.add_launch(make.launch_record(case))
    elif what == "check":
        store.add_check(make.check_record(case))
    elif what == "variant":
        store.add_variant(VariantRecord(run.run_id, "m", "v", "a", "1" * 64, 1, {}))
    elif what == "evaluation":
        store.add_evaluation(
            EvaluationRecord(run.run_id, "m", "v", "none", "top1", 0.5, None, None, "h", {})
        )
    else:
        store.reopen_run(run.run_id)
    assert [p.run_id for p in store.points()] == [other.run_id]
    if what != "status":
        assert [r.run_id for r in store.runs_without_points()] == [run.run_id]


def change(store: Store, statement: str) -> None:
    """What another version of edgebench, or `db prune`, leaves."""
    with store._transaction() as connection:
        connection.execute(sa.text(statement))


def test_points_of_other_rules_are_made_again_but_those_of_pruned_runs_are_kept(
    store: Store,
) -> None:
    old, _ = measured(store)
    pruned, cases = measured(store, started_utc=make.START + WEEK)
    change(store, "UPDATE point SET points_version = 0")
    change(store, f"UPDATE run SET pruned_utc = started_utc WHERE run_id = '{pruned.run_id}'")
    assert [p.run_id for p in store.points()] == [pruned.run_id]
    assert [run.run_id for run in store.runs_without_points()] == [old.run_id]
    for write in (
        lambda: store.add_points(pruned.run_id, []),
        lambda: store.add_launch(make.launch_record(cases[0])),
        lambda: store.reopen_run(pruned.run_id),
    ):
        with pytest.raises(StoreError, match="was pruned"):
            write()
    assert [p.run_id for p in store.points()] == [pruned.run_id]


def test_a_clock_that_goes_backwards_costs_nothing(store: Store) -> None:
    run = make.run_record(started_utc=make.START + WEEK)
    case = make.planned(run)
    store.begin_run(run, [case])
    store.add_launch(make.launch_record(case, started_utc=make.START))
    store.finish_run(run.run_id, RunStatus.FINISHED, make.START - WEEK)
    store.add_points(run.run_id, [point(case, started_utc=run.started_utc)])
    earlier, _ = measured(store, started_utc=make.START)
    assert [p.run_id for p in store.points()] == [earlier.run_id, run.run_id]
    found = store.run(run.run_id)
    assert found.finished_utc is not None
    assert found.finished_utc < found.started_utc
    assert len(store.load(run.run_id).launches) == 1


# --- cases, environments, baselines ----------------------------------------------------------


def test_a_projects_cases_come_with_the_sentinels_of_its_devices(store: Store) -> None:
    run = make.run_record(project="mine")
    mine = make.planned(run).case
    mine = dataclasses.replace(mine, project="mine", device="board")
    sentinel = dataclasses.replace(
        mine, project=SENTINEL_PROJECT, model=SENTINEL_MODEL, device="board"
    )
    elsewhere = dataclasses.replace(sentinel, device="phone")
    others = dataclasses.replace(mine, project="other")
    cases = [mine, sentinel, elsewhere, others]
    store.begin_run(run, [PlannedCase(run.run_id, case) for case in cases])
    assert set(store.cases(project="mine").values()) == {mine, sentinel}
    assert set(store.cases().values()) == set(cases)
    both = store.cases([mine.case_id, others.case_id, "unknown"], project="mine")
    assert both == {mine.case_id: mine}


def test_environments_are_found_by_their_ids(store: Store) -> None:
    run = make.run_record()
    case = make.planned(run)
    store.begin_run(run, [case])
    store.add_launch(make.launch_record(case, environment={"os": "one \x00"}))
    store.add_launch(make.launch_record(case, 1, environment={"os": "two"}))
    with store._snapshot() as connection:
        ids = list(connection.execute(sa.text("SELECT environment_id FROM environment")).scalars())
    assert sorted(e["os"] for e in store.environments(ids).values()) == ["one \x00", "two"]
    assert store.environments([ids[0], "unknown"]).keys() == {ids[0]}
    assert store.environments([]) == {}


def test_baselines_are_newest_first_and_never_changed(store: Store) -> None:
    run, _ = measured(store)
    made = [
        Baseline("p", BaselineKind.PINNED, "", run.run_id, make.START),
        Baseline("p", BaselineKind.RELEASE, "1.2 '; --", run.run_id, make.START + WEEK),
        Baseline("p", BaselineKind.PINNED, "", None, make.START + 2 * WEEK),
        Baseline("other", BaselineKind.PINNED, "", run.run_id, make.START),
    ]
    for baseline in made:
        store.add_baseline(baseline)
    assert store.baselines("p") == (made[2], made[1], made[0])
    assert store.baselines("none") == ()
    with pytest.raises(StoreError, match="contradicts what is stored"):
        store.add_baseline(made[0])
    with pytest.raises(StoreError, match="holds no run nothing"):
        store.add_baseline(dataclasses.replace(made[0], run_id="nothing"))
    assert len(store.baselines("p")) == 3


def test_one_run_is_found_by_its_whole_id(store: Store) -> None:
    run = make.run_record()
    store.begin_run(run, [])
    assert store.run(run.run_id) == run
    with pytest.raises(StoreError, match="holds no run"):
        store.run(run.run_id[:-1])
