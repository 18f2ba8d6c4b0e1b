"""The store gives back exactly what it was given, once, in order, and nothing else."""

from __future__ import annotations

import dataclasses
import itertools
import math
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
import store_records as make
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.errors import StoreError, UserError
from bench.records import (
    Artifact,
    CheckRecord,
    EvaluationRecord,
    Failure,
    Measurement,
    Outcome,
    PlannedCase,
    Purpose,
    RunData,
    RunStatus,
    Source,
    VariantRecord,
)
from bench.store import Store, StorePlace, open_store
from tests.postgres import Server

pytest_plugins = ["tests.postgres_fixtures"]


@pytest.fixture
def store(store_place: StorePlace) -> Iterator[Store]:
    with open_store(store_place, write=True) as opened:
        yield opened


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def lasting_store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """One store for many generated records, each in a run of its own."""
    if request.param == "sqlite":
        with (
            tempfile.TemporaryDirectory() as folder,
            open_store(Path(folder) / "s.sqlite", write=True) as opened,
        ):
            yield opened
        return
    server: Server = request.getfixturevalue("postgres")
    name = server.make_database(like=request.getfixturevalue("postgres_template"))
    with open_store(server.url(name), write=True) as opened:
        yield opened
    server.drop_database(name)


def fields(record: Any) -> Any:
    """A record as plain values that == can compare, arrays with their type."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return {f.name: fields(getattr(record, f.name)) for f in dataclasses.fields(record)}
    if isinstance(record, np.ndarray):
        return (str(record.dtype), record.tolist())
    if isinstance(record, tuple):
        return tuple(fields(item) for item in record)
    return record


def without_samples(measured: Measurement | None) -> Measurement | None:
    if measured is None:
        return None
    return dataclasses.replace(measured, samples_ns=None, warmup_ns=None)


def without_content(check: CheckRecord) -> CheckRecord:
    return dataclasses.replace(
        check, artifacts=tuple(Artifact(item.name, b"") for item in check.artifacts)
    )


# --- what goes in comes out ---------------------------------------------------------


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(st.data())
def test_records_come_back_as_they_were_written(lasting_store: Store, data: st.DataObject) -> None:
    store = lasting_store
    run = data.draw(make.runs)
    cases = tuple(
        PlannedCase(run.run_id, case, data.draw(st.none() | make.texts))
        for case in data.draw(st.lists(make.cases, max_size=2, unique_by=lambda c: c.case_id))
    )
    variants = data.draw(
        st.lists(make.variants(run.run_id), max_size=2, unique_by=lambda v: (v.model, v.variant))
    )
    evaluations = data.draw(
        st.lists(
            make.evaluations(run.run_id),
            max_size=2,
            unique_by=lambda e: (e.model, e.variant, e.kernels, e.metric),
        )
    )
    launches = [data.draw(make.launches(run.run_id, c.case.case_id)) for c in cases]
    checks = [data.draw(make.checks(run.run_id, c.case.case_id)) for c in cases]
    store.begin_run(run, cases)
    for variant in variants:
        store.add_variant(variant)
    for evaluation in evaluations:
        store.add_evaluation(evaluation)
    for launch in launches:
        store.add_launch(launch)
    for check in checks:
        store.add_check(check)

    launches.sort(key=lambda r: (r.index, r.attempt, r.position, r.launch_id))
    checks.sort(key=lambda r: (r.purpose, r.case_id, r.attempt))
    whole = RunData(
        run,
        cases,
        tuple(variants),
        tuple(evaluations),
        tuple(launches),
        checks=tuple(map(without_content, checks)),
    )
    assert fields(store.load(run.run_id, samples=True)) == fields(whole)
    light = tuple(
        dataclasses.replace(r, measurement=without_samples(r.measurement)) for r in launches
    )
    assert fields(store.load(run.run_id)) == fields(dataclasses.replace(whole, launches=light))
    assert store.launches_done(run.run_id) == {(r.case_id, r.index, r.attempt) for r in launches}
    assert run in store.runs(project=run.project)
    for check in checks:
        for artifact in check.artifacts:
            assert store.load_artifact(check.launch_id, artifact.name) == artifact.content


def test_times_come_back_aware_and_in_utc(store: Store) -> None:
    store.begin_run(make.run_record(), [])
    latest = store.latest_run()
    assert latest is not None
    assert latest.started_utc == make.START
    assert latest.started_utc.utcoffset() == timedelta(0)


def test_another_process_sees_the_same(store: Store, store_place: StorePlace) -> None:
    run = make.run_record()
    case = make.planned(run)
    store.begin_run(run, [case])
    store.add_launch(make.launch_record(case))
    store.close()
    with open_store(store_place, write=False) as again:
        assert again.runs() == (run,)
        assert again.run(run.run_id) == run
        assert len(again.load(run.run_id).launches) == 1
    path = store_place.path
    if path is not None:
        beside = sorted(p.name for p in path.parent.iterdir())
        assert beside == [path.name, path.name + ".lock"]


def test_environments_are_shared(store: Store) -> None:
    run = make.run_record()
    case = make.planned(run)
    store.begin_run(run, [case])
    for index, facts in enumerate([{"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": 3}]):
        store.add_launch(make.launch_record(case, index, environment=facts))
    found = [launch.environment for launch in store.load(run.run_id).launches]
    assert found == [{"a": 1, "b": 2}, {"a": 1, "b": 2}, {"a": 1, "b": 3}]


def test_launches_are_in_order_of_rounds_whatever_came_first(store: Store) -> None:
    run = make.run_record()
    cases = [make.planned(run, "fp32"), make.planned(run, "int8")]
    store.begin_run(run, cases)
    keys = list(itertools.product((1, 0), (1, 0), (0, 1)))
    for index, attempt, which in keys:
        record = make.launch_record(cases[which], index, attempt=attempt, position=which)
        store.add_launch(record)
    found = [(r.index, r.attempt, r.position) for r in store.load(run.run_id).launches]
    assert found == sorted(keys)


# --- finding runs ---------------------------------------------------------------------


def test_runs_are_newest_first_and_by_project(store: Store) -> None:
    made = [
        make.run_record(project=project, started_utc=make.START + timedelta(days=day))
        for day, project in [(2, "a"), (0, "b"), (3, "b"), (1, "a")]
    ]
    for run in made:
        store.begin_run(run, [])
    assert [run.started_utc.day for run in store.runs()] == [5, 4, 3, 2]
    assert store.runs(project="b") == (made[2], made[1])
    assert store.latest_run() == made[2]
    assert store.latest_run("a") == made[0]
    assert store.latest_run("c") is None


def test_a_run_is_found_by_the_start_of_its_id(store: Store) -> None:
    with pytest.raises(UserError, match="holds no runs"):
        store.find_run("0")
    for run_id in ("0193a-1", "0193a-2", "0194"):
        store.begin_run(make.run_record(run_id=run_id), [])
    assert store.find_run("0194").run_id == "0194"
    assert store.find_run("0193A-2").run_id == "0193a-2"
    with pytest.raises(UserError, match="2 runs begin with '0193': 0193a-2, 0193a-1"):
        store.find_run("0193")
    with pytest.raises(UserError, match="no run begins with '%'; the newest are 0194, 0193a-2"):
        store.find_run("%")


def test_an_unknown_run_is_an_error_and_not_an_empty_one(store: Store) -> None:
    with pytest.raises(StoreError, match="holds no run nothing"):
        store.load("nothing")


# --- status -----------------------------------------------------------------------------


def test_a_run_ends_and_is_resumed(store: Store) -> None:
    run = make.run_record()
    store.begin_run(run, [])
    end = make.START + timedelta(hours=1)
    store.finish_run(run.run_id, RunStatus.INTERRUPTED, end)
    interrupted = store.find_run(run.run_id)
    assert (interrupted.status, interrupted.finished_utc) == (RunStatus.INTERRUPTED, end)
    store.reopen_run(run.run_id)
    assert store.find_run(run.run_id) == run
    store.finish_run(run.run_id, RunStatus.FINISHED, end)
    for again in (RunStatus.FINISHED, RunStatus.INTERRUPTED):
        with pytest.raises(StoreError, match="is finished"):
            store.finish_run(run.run_id, again, end)
    with pytest.raises(StoreError, match="is finished"):
        store.reopen_run(run.run_id)
    with pytest.raises(StoreError, match="holds no run"):
        store.reopen_run("nothing")


def test_a_run_does_not_end_as_running_nor_at_an_unknown_time(store: Store) -> None:
    run = make.run_record()
    store.begin_run(run, [])
    with pytest.raises(StoreError, match="cannot end as running"):
        store.finish_run(run.run_id, RunStatus.RUNNING, make.START)
    with pytest.raises(StoreError, match="2026-01-02T00:00:00 has no time zone"):
        store.finish_run(run.run_id, RunStatus.FINISHED, datetime(2026, 1, 2))
    assert store.find_run(run.run_id) == run


# --- refusals -----------------------------------------------------------------------------


def test_nothing_is_added_twice(store: Store) -> None:
    run = make.run_record()
    case = make.planned(run)
    store.begin_run(run, [case])
    with pytest.raises(StoreError, match="in the store already"):
        store.begin_run(run, [case])
    store.add_launch(make.launch_record(case))
    with pytest.raises(StoreError, match="in the store already"):
        store.add_launch(make.launch_record(case, duration_s=99.0))
    with pytest.raises(StoreError, match="contradicts what is stored"):
        store.add_launch(make.launch_record(case, launch_id="another name for it"))
    [launch] = store.load(run.run_id).launches
    assert launch.duration_s == 2.0


def test_a_case_that_is_not_planned_is_refused(store: Store) -> None:
    run = make.run_record()
    store.begin_run(run, [make.planned(run)])
    with pytest.raises(StoreError, match="does not plan case"):
        store.add_launch(make.launch_record(make.planned(run, "int8")))
    other = make.run_record()
    with pytest.raises(StoreError, match="cases of another run"):
        store.begin_run(other, [make.planned(run)])
    with pytest.raises(StoreError, match="plans a case twice"):
        store.begin_run(other, [make.planned(other), make.planned(other)])
    assert store.runs() == (run,)


NUMBERS = [
    "p50_us",
    "p90_us",
    "p95_us",
    "mean_us",
    "min_us",
    "max_us",
    "first_inference_us",
    "load_us",
    "allocate_us",
    "input_copy_us",
    "output_copy_us",
    "cpu_us_per_invoke",
    "timer_cost_ns",
    "warmup_s",
]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64("nan")])
def test_a_number_that_is_none_is_refused(store: Store, name: str, value: float) -> None:
    run = make.run_record()
    case = make.planned(run)
    store.begin_run(run, [case])
    record = make.launch_record(case, measurement=make.measurement(**{name: value}))
    with pytest.raises(StoreError, match=rf"launch\.{name} is -?(nan|inf)"):
        store.add_launch(record)
    assert store.load(run.run_id).launches == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean_us": None}, "launch.mean_us is missing"),
        ({"p50_us": None}, "p50_us is None and its source samples"),
        ({"p50_source": Source.UNAVAILABLE}, "p50_us is 1000.0 and its source unavailable"),
        ({"p90_source": Source.UNAVAILABLE}, "a p90_us whose source is unavailable"),
        ({"p90_source": Source.INTERPOLATED}, "an interpolated p90 without bounds"),
        ({"p90_bounds_us": (1001.0, 1000.0)}, "p90 bounds 1001.0 and 1000.0 are reversed"),
        ({"p90_bounds_us": (1000.0, math.nan)}, "launch.p90_high_us is nan"),
        ({"p50_source": Source.TOOL, "warmup_ns": None}, "comes without its samples"),
        ({"p50_source": Source.TOOL, "samples_ns": None}, "comes without its samples"),
        ({"p50_us": "1000"}, "launch.p50_us is '1000' of type str"),
        ({"warmup_cut": 2.5}, "launch.warmup_cut is 2.5 of type float"),
        ({"warmup_cut": 2**63}, "does not fit into 64 bits"),
        ({"steady": 1}, "launch.steady is 1 of type int"),
        ({"samples_ns": None}, "comes without its samples"),
        ({"warmup_ns": None}, "comes without its samples"),
        ({"count": 99}, "says 99 samples and holds 100"),
        ({"samples_ns": np.ones(100)}, "cannot store an array"),
        ({"runtime": {"load": math.nan}}, "launch.runtime.load is nan"),
    ],
)
def test_a_measurement_that_is_wrong_is_refused(
    store: Store, changes: dict[str, Any], message: str
) -> None:
    run = make.run_record()
    case = make.planned(run)
    store.begin_run(run, [case])
    with pytest.raises(StoreError) as caught:
        store.add_launch(make.launch_record(case, measurement=make.measurement(**changes)))
    assert message in str(caught.value)
    assert store.load(run.run_id).launches == ()


def test_numpy_numbers_are_stored_as_numbers(store: Store) -> None:
    run = make.run_record()
    case = make.planned(run)
    store.begin_run(run, [case])
    measured = make.measurement(
        p50_us=np.float32(0.5), warmup_cut=np.int64(3), steady=np.bool_(False)
    )
    store.add_launch(make.launch_record(case, measurement=measured))
    back = store.load(run.run_id).launches[0].measurement
    assert back is not None
    assert (back.p50_us, back.warmup_cut, back.steady) == (0.5, 3, False)
    assert (type(back.p50_us), type(back.warmup_cut), type(back.steady)) == (float, int, bool)


@pytest.mark.parametrize(
    "changes",
    [
        {"measurement": None},
        {"failure": Failure("crash", "it crashed")},
        {"outcome": Outcome.CRASHED},
        {"outcome": Outcome.CRASHED, "failure": Failure("crash", "it crashed")},
        {"outcome": Outcome.CRASHED, "measurement": None},
    ],
)
def test_outcome_measurement_and_failure_must_agree(store: Store, changes: dict[str, Any]) -> None:
    run = make.run_record()
    case = make.planned(run)
    store.begin_run(run, [case])
    with pytest.raises(StoreError, match="goes with"):
        store.add_launch(make.launch_record(case, **changes))
    assert store.load(run.run_id).launches == ()


# --- variants and evaluations again, as a resumed run makes them -----------------------


def test_the_same_variant_again_is_nothing_and_another_is_refused(store: Store) -> None:
    run = make.run_record()
    store.begin_run(run, [])
    first = VariantRecord(run.run_id, "cnn", "int8", "a.tflite", "1" * 64, 10, {"cached": False})
    store.add_variant(first)
    store.add_variant(dataclasses.replace(first, provenance={"cached": True}))
    assert store.load(run.run_id).variants == (first,)
    for other in (
        dataclasses.replace(first, sha256="2" * 64),
        dataclasses.replace(first, path=None, sha256=None, failure=Failure("convert", "no")),
    ):
        with pytest.raises(StoreError, match="start a new run"):
            store.add_variant(other)
    assert store.load(run.run_id).variants == (first,)


def test_the_same_answers_again_are_nothing_and_others_are_refused(store: Store) -> None:
    run = make.run_record()
    store.begin_run(run, [])
    right = np.array([[1.0], [1.0], [0.0]])
    first = EvaluationRecord(
        run.run_id, "cnn", "int8", "none", "top1", 2 / 3, np.arange(3, dtype="i4"), right, "h", {}
    )
    store.add_evaluation(first)
    store.add_evaluation(dataclasses.replace(first))
    for changes in (
        {"value": 0.5},
        {"predictions": np.array([0, 1, 3], dtype="i4")},
        {"predictions": None},
        {"statistics": np.array([[1.0], [0.0], [1.0]])},
        {"statistics": None},
        {"holdout_sha256": "other"},
        {"failure": Failure("load", "no")},
    ):
        with pytest.raises(StoreError, match="start a new run"):
            store.add_evaluation(dataclasses.replace(first, **changes))
    store.add_evaluation(dataclasses.replace(first, kernels="xnnpack", value=0.5))
    assert [e.value for e in store.load(run.run_id).evaluations] == [2 / 3, 0.5]


# --- one writer, many readers --------------------------------------------------------------


def test_threads_append_at_once_and_nothing_is_lost(store: Store) -> None:
    run = make.run_record()
    cases = [make.planned(run, f"v{n}") for n in range(4)]
    store.begin_run(run, cases)
    wrong: list[BaseException] = []

    def append(case: PlannedCase) -> None:
        try:
            for index in range(15):
                store.add_launch(make.launch_record(case, index))
                assert (case.case.case_id, index, 0) in store.launches_done(run.run_id)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=append, args=(case,)) for case in cases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(store.launches_done(run.run_id)) == 60


def test_a_load_is_one_snapshot(store: Store) -> None:
    run = make.run_record()
    case = make.planned(run)
    store.begin_run(run, [case])
    meanwhile = [make.launch_record(case)]

    @sa.event.listens_for(store._reading, "after_cursor_execute")
    def write_between(*statement: Any) -> None:
        if "FROM run" in statement[2] and meanwhile:
            store.add_launch(meanwhile.pop())

    assert store.load(run.run_id).launches == ()
    assert meanwhile == []
    assert len(store.load(run.run_id).launches) == 1


def test_a_store_opened_for_reading_or_closed_is_not_written(
    store: Store, store_place: StorePlace
) -> None:
    run = make.run_record()
    with (
        open_store(store_place, write=False) as reading,
        pytest.raises(StoreError, match="reading only"),
    ):
        reading.begin_run(run, [])
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.begin_run(run, [])
    with pytest.raises(StoreError, match="is closed"):
        store.runs()
    store.close()


# --- what importing costs --------------------------------------------------------------------


def loaded_after(code: str, *arguments: str) -> set[str]:
    program = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in done.stdout.split()}


def test_only_the_store_brings_sqlalchemy(store: Store, store_place: StorePlace) -> None:
    assert "sqlalchemy" not in loaded_after("import bench.records, bench.identity, bench.errors")
    opening = (
        "from bench.store import open_store\n"
        "open_store(sys.argv[1], write=sys.argv[2] == 'w').close()"
    )
    store.close()
    for mode in ("r", "w"):
        loaded = loaded_after(opening, store_place.url or str(store_place.path), mode)
        assert "sqlalchemy" in loaded
        assert ("psycopg" in loaded) == store_place.shared
        assert not loaded & {"alembic", "mako", "tensorflow", "pandas"}


def test_a_launch_without_samples_has_no_row_of_them_and_is_not_damaged(store: Store) -> None:
    run = make.run_record()
    case = make.planned(run)
    store.begin_run(run, [case])
    bare = make.measurement(
        samples_ns=None,
        warmup_ns=None,
        count=318,
        load=None,
        steady=None,
        warmup_cut=None,
        timer_cost_ns=None,
        cpu_us_per_invoke=None,
        load_us=None,
        p50_source=Source.TOOL,
        p90_source=Source.INTERPOLATED,
        p90_bounds_us=(1000.0, 1010.0),
        resolution_us=1.0,
        init_us=9000.0,
        energy_reason="no sensor",
    )
    store.add_launch(make.launch_record(case, measurement=bare))
    for samples in (True, False):
        (found,) = store.load(run.run_id, samples=samples).launches
        assert found.measurement is not None
        assert fields(found.measurement) == fields(bare)


# --- launches beside the timed ones -------------------------------------------------


def test_a_check_is_added_once_and_only_of_a_planned_case(store: Store) -> None:
    run = make.run_record()
    case = make.planned(run)
    store.begin_run(run, [case])
    store.add_check(make.check_record(case))
    with pytest.raises(StoreError, match="in the store already"):
        store.add_check(make.check_record(case))
    with pytest.raises(StoreError, match="does not plan case"):
        store.add_check(make.check_record(make.planned(run, "int8")))
    assert len(store.load(run.run_id).checks) == 1


def test_the_content_of_an_artifact_is_read_only_when_asked_for(store: Store) -> None:
    run = make.run_record()
    case = make.planned(run)
    check = make.check_record(case, Purpose.TRACE)
    store.begin_run(run, [case])
    store.add_check(check)
    (found,) = store.load(run.run_id).checks
    assert found.artifacts == (Artifact("system.perfetto-trace", b""),)
    assert store.load_artifact(check.launch_id, "system.perfetto-trace") == b"trace"
    for launch_id, name in [(check.launch_id, "other"), ("0" * 64, "system.perfetto-trace")]:
        with pytest.raises(StoreError, match="holds no"):
            store.load_artifact(launch_id, name)


@pytest.mark.parametrize(
    ("purpose", "changes"),
    [
        (Purpose.PROFILE, {"profile": None}),
        (Purpose.PROFILE, {"failure": Failure("crash", "SIGSEGV")}),
        (Purpose.PROFILE, {"outcome": Outcome.CRASHED}),
        (Purpose.PROFILE, {"outcome": Outcome.CRASHED, "failure": Failure("crash", "SIGSEGV")}),
        (Purpose.PROFILE, {"artifacts": (Artifact("a", b""),)}),
        (Purpose.NUMERICS, {"numerics": None}),
        (Purpose.TRACE, {"artifacts": ()}),
        (Purpose.TIMING, {}),
    ],
)
def test_a_check_that_contradicts_itself_is_refused(
    store: Store, purpose: Purpose, changes: dict[str, Any]
) -> None:
    run = make.run_record()
    case = make.planned(run)
    store.begin_run(run, [case])
    with pytest.raises(StoreError):
        store.add_check(make.check_record(case, purpose, **changes))
    assert store.load(run.run_id).checks == ()


def test_a_figure_of_a_check_that_is_no_number_is_refused(store: Store) -> None:
    run = make.run_record()
    case = make.planned(run)
    store.begin_run(run, [case])
    good = make.check_record(case, Purpose.NUMERICS)
    assert good.numerics is not None
    (output,) = good.numerics.outputs
    bad = dataclasses.replace(
        good.numerics, outputs=(dataclasses.replace(output, max_abs=math.inf),)
    )
    with pytest.raises(StoreError, match=r"outputs\[0\]\.max_abs is inf"):
        store.add_check(dataclasses.replace(good, numerics=bad))


def test_what_no_launch_can_know_of_a_delegate_is_refused_and_not_lost(store: Store) -> None:
    run = make.run_record()
    case = make.planned(run)
    store.begin_run(run, [case])
    delegation = dataclasses.replace(make.measurement().delegation, outside_time=0.5)
    with pytest.raises(StoreError, match="of other launches"):
        store.add_launch(
            make.launch_record(case, measurement=make.measurement(delegation=delegation))
        )
