"""Points say what the run's own report says, case by case."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from analysis import (
    answers,
    around,
    check,
    matrix,
    measured,
    plan,
    rounds,
    run_data,
    variant_record,
)
from hypothesis import given
from hypothesis import strategies as st
from records import RUN_ID, case, launch

from bench.cli.main import main
from bench.config import DeviceGates, GatesConfig
from bench.delegation.model import Coverage, Delegation
from bench.identity import Case, named_before, sha256_of
from bench.points import Point, PointState
from bench.records import (
    Failure,
    LaunchRecord,
    Outcome,
    Purpose,
    RunData,
    RunStatus,
    Source,
)
from bench.sentinel import sentinel_case
from bench.store import open_store
from reports.compare import compare
from reports.model import GateStatus
from reports.points import points_of, store_missing_points


def only(data: RunData) -> Point:
    (found,) = points_of(data)
    return found


@st.composite
def some_runs(draw: st.DrawFn) -> RunData:
    """Runs of a few cases in which anything may have happened to any launch."""
    launches: dict[Case, list[LaunchRecord]] = {}
    for variant in draw(st.sets(st.sampled_from(["fp32", "int8"]), min_size=1)):
        for delegate in draw(st.sets(st.sampled_from(["none", "xnnpack"]), min_size=1)):
            of = case(variant, delegate)
            made = []
            for index in range(draw(st.integers(0, 8))):
                fate = draw(st.sampled_from(["ok", "ok", "ok", "tainted", "crashed", "fell back"]))
                took = Delegation("xnnpack", Coverage.NONE, 0, 10, 0)
                changes = {"delegation": took} if fate == "fell back" and delegate != "none" else {}
                one = measured(of, index, draw(st.floats(100, 200)), **changes)
                if fate == "tainted":
                    one = replace(one, taints=("load",))
                if fate == "crashed":
                    one = launch(of, index=index, outcome=Outcome.CRASHED)
                made.append(one)
            launches[of] = made
    gates = GatesConfig(device=(DeviceGates(p50_us_max=150.0),))
    return run_data(
        launches,
        of=plan(holdout=False, gates=gates, rounds=6),
        status=draw(st.sampled_from([RunStatus.FINISHED, RunStatus.INTERRUPTED])),
    )


@given(some_runs())
def test_a_point_and_the_row_of_its_report_never_disagree(data: RunData) -> None:
    rows = compare(data).rows
    points = points_of(data)
    assert [p.case_id for p in points] == [row.case_id for row in rows]
    for point, row in zip(points, rows, strict=True):
        interval = row.p50_interval_us
        assert point.p50_us == row.p50_us
        assert (point.p50_low_us, point.p50_high_us) == (
            (None, None) if interval is None else (interval.low, interval.high)
        )
        assert (point.p90_us, point.mean_us) == (row.p90_us, row.mean_us)
        assert (point.launches_made, point.launches_used) == (row.launches_made, row.launches_used)
        assert point.stability == row.stability.word
        assert point.size_bytes == row.size_bytes
        assert point.gates_failed == tuple(g.name for g in row.gates if g.status is GateStatus.FAIL)
        assert (point.p50_us is None) == (point.p50_by_round_us == ())
        if point.p50_us is not None:
            values = [us for _, us in point.p50_by_round_us]
            assert float(np.median(values)) == point.p50_us
        assert point.judged == (row.failure is None and row.stability.word != "INVALID")
        assert (point.reason == "") == (point.state is PointState.MEASURED)
        if row.failure is not None:
            assert point.reason == row.failure


def test_a_healthy_case() -> None:
    of = case("int8")
    data = run_data({of: rounds(of, around(812.0))}, correct={"int8": answers(680)})
    found = only(data)
    assert found.state is PointState.MEASURED
    assert found.quantity == "a median of single invokes"
    assert [index for index, _ in found.p50_by_round_us] == list(range(6))
    assert (found.coverage, found.delegated_nodes, found.total_nodes) == ("FULL", 10, 10)
    assert found.metric == "accuracy"
    assert found.accuracy == pytest.approx(680 / 700)
    assert found.accuracy_low is not None
    assert found.accuracy_high is not None
    assert found.accuracy_low < 680 / 700 < found.accuracy_high
    assert found.runtime == "ai_edge_litert 2.3.0"
    assert found.environment_id == sha256_of(data.launches[-1].environment)


def test_where_another_engine_did_the_work_it_fell_back_and_has_no_number() -> None:
    of = case(delegate="xnnpack")
    none = Delegation("xnnpack", Coverage.NONE, 0, 10, 0)
    found = only(run_data({of: rounds(of, around(900.0), delegation=none)}))
    assert found.state is PointState.FELL_BACK
    assert found.p50_us is None
    assert found.p50_by_round_us == ()
    assert (found.coverage, found.quantity) == ("NONE", "")
    assert "xnnpack took no node" in found.reason


def test_too_many_spoilt_launches_are_invalid() -> None:
    of = case()
    made = rounds(of, around(900.0))
    spoilt = [replace(one, taints=("load: high",)) for one in made[:3]]
    found = only(run_data({of: [*spoilt, *made[3:]]}))
    assert found.state is PointState.INVALID
    assert found.p50_us is not None
    assert not found.judged


def test_what_ran_and_was_spoilt_did_not_fail() -> None:
    of = case()
    spoilt = [replace(one, taints=("other load: 1.4",)) for one in rounds(of, around(900.0))]
    crashed = launch(of, index=6, outcome=Outcome.CRASHED)
    found = only(run_data({of: [*spoilt, crashed]}))
    assert found.state is PointState.INVALID
    assert found.reason == "no clean launch in 7; other load: 1.4"
    assert not found.judged
    guard = sentinel_case("local", "invoke_loop")
    seen = [replace(one, taints=("load",)) for one in rounds(guard, [700.0])]
    assert points_of(run_data({guard: seen}))[0].state is PointState.INVALID


def test_what_failed_what_was_not_come_to_and_what_cannot_be() -> None:
    crashed, unfinished, unmade, impossible = map(case, ("fp32", "fp16", "int8", "dynamic"))
    failure = Failure("convert", "the converter refused it")
    data = run_data(
        {
            crashed: [launch(crashed, index=n, outcome=Outcome.CRASHED) for n in range(6)],
            unfinished: [],
            unmade: [],
            impossible: [],
        },
        made=[
            variant_record("fp32"),
            variant_record("fp16"),
            variant_record("int8", path=None, sha256=None, size_bytes=None, failure=failure),
        ],
        not_applicable={impossible: "no such delegate here"},
        status=RunStatus.INTERRUPTED,
    )
    assert [(p.state, p.reason) for p in points_of(data)] == [
        (PointState.FAILED, "crashed in 6 of 6 launches: the runtime aborted (SIGABRT)"),
        (PointState.UNFINISHED, "not measured: the run is interrupted"),
        (PointState.FAILED, "not made: the converter refused it"),
        (PointState.NOT_APPLICABLE, "no such delegate here"),
    ]


def test_start_temperature_is_the_median_of_used_launches() -> None:
    of = case()
    made = rounds(of, around(900.0))
    warm = [
        replace(one, conditions={"before": {"temperature_c": 30.0 + n}})
        for n, one in enumerate(made)
    ]
    tainted = replace(warm[5], taints=("load",), conditions={"before": {"temperature_c": 90.0}})
    assert only(run_data({of: [*warm[:5], tainted]})).start_c == 32.0
    assert only(run_data({of: made})).start_c is None


def test_a_sentinel_has_the_median_of_its_clean_launches_and_no_rounds() -> None:
    guard, of = sentinel_case("local", "invoke_loop"), case()
    seen = rounds(guard, [700.0, 710.0, 705.0])
    seen[1] = replace(seen[1], taints=("load",))
    found = points_of(run_data({guard: seen, of: rounds(of, around(900.0))}))[0]
    assert found.case_id == guard.case_id
    assert found.p50_us == pytest.approx((seen_us(seen[0]) + seen_us(seen[2])) / 2)
    assert (found.launches_made, found.launches_used) == (3, 2)
    assert found.p50_by_round_us == ()
    assert found.judged
    none = points_of(run_data({guard: [], of: rounds(of, around(900.0))}))[0]
    assert none.state is PointState.UNFINISHED


def seen_us(one: LaunchRecord) -> float:
    assert one.measurement is not None
    assert one.measurement.p50_us is not None
    return one.measurement.p50_us


def test_means_are_another_quantity_than_medians() -> None:
    of = case()
    means = rounds(of, around(90.0), p50_source=Source.TOOL_MEAN)
    assert only(run_data({of: means})).quantity == "a tool's mean"


def test_simulated_launches_make_a_simulated_point() -> None:
    of = case()
    made = [
        replace(one, environment={**one.environment, "simulated": True})
        for one in rounds(of, around(900.0))
    ]
    assert only(run_data({of: made})).simulated


def test_the_old_side_of_an_ab_has_a_point_too() -> None:
    new = case()
    old = replace(new, model=named_before("m", RUN_ID))
    record = replace(variant_record("fp32"), model=old.model)
    data = run_data(
        {new: rounds(new, around(900.0)), old: rounds(old, around(850.0))},
        made=[variant_record("fp32"), record],
    )
    found = points_of(data)
    assert [p.case_id for p in found] == [new.case_id, old.case_id]
    assert all(p.judged for p in found)


def test_a_profile_is_no_part_of_a_point() -> None:
    of = case()
    data = run_data({of: rounds(of, around(900.0))})
    with_check = replace(data, checks=(check(of, Purpose.PROFILE),))
    assert points_of(with_check) == points_of(data)


def test_missing_points_are_stored_once_and_come_back_the_same(tmp_path: Path) -> None:
    data = run_data(matrix({"fp32": 900.0, "int8": 500.0}))
    with open_store(tmp_path / "s.db", write=True) as store:
        running = replace(data.run, status=RunStatus.RUNNING, finished_utc=None)
        store.begin_run(running, data.cases)
        for variant in data.variants:
            store.add_variant(variant)
        for one in data.launches:
            assert one.measurement is not None
            by_tool = replace(one.measurement, p50_source=Source.TOOL, p90_source=Source.TOOL)
            store.add_launch(replace(one, measurement=by_tool))
        assert store_missing_points(store) == 0
        store.finish_run(RUN_ID, RunStatus.FINISHED, data.run.started_utc)
        assert store_missing_points(store) == 1
        assert store_missing_points(store) == 0
        stored = {p.case_id: p for p in store.points(run_id=RUN_ID)}
        assert stored == {p.case_id: p for p in points_of(store.load(RUN_ID))}
        known = {p.environment_id for p in stored.values() if p.environment_id is not None}
        assert store.environments(known).keys() == known


def test_a_finished_run_is_pinned_with_its_files_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EDGEBENCH_KEPT", str(tmp_path / "kept"))
    monkeypatch.setenv("EDGEBENCH_STORE", str(tmp_path / "s.db"))
    file = tmp_path / "out" / "fp32.tflite"
    file.parent.mkdir()
    file.write_bytes(b"a model")
    sha256 = hashlib.sha256(b"a model").hexdigest()
    of, gone = case("fp32"), case("int8")
    data = run_data(
        {of: [launch(of)], gone: [launch(gone)]},
        made=[variant_record("fp32", sha256=sha256), variant_record("int8")],
        of=plan(holdout=False).model_copy(update={"out": "out"}),
        root=str(tmp_path),
    )
    with open_store(tmp_path / "s.db", write=True) as store:
        store.begin_run(replace(data.run, status=RunStatus.RUNNING), data.cases)
        for variant in data.variants:
            store.add_variant(variant)
        for one in data.launches:
            store.add_launch(one)
    assert main(["baseline", "pin", RUN_ID[:8]]) == 2
    assert "is running: pin a finished one" in capsys.readouterr().err
    with open_store(tmp_path / "s.db", write=True) as store:
        store.finish_run(RUN_ID, RunStatus.FINISHED, data.run.started_utc)
    assert main(["baseline", "pin", "latest"]) == 0
    out, err = capsys.readouterr()
    assert out == f"p: run {RUN_ID} of 2026-01-02 is pinned.\n"
    assert err == "Not kept, since it has changed or is gone: m int8 (int8.tflite)\n"
    assert (tmp_path / "kept" / sha256).read_bytes() == b"a model"
    assert main(["baseline", "pin", "latest", "--release", "1.0"]) == 0
    assert main(["baseline", "list"]) == 0
    assert "release 1.0" in capsys.readouterr().out
    assert main(["baseline", "pin", "latest", "--release", " "]) == 2


def test_a_plan_that_cannot_be_read_leaves_its_run_without(tmp_path: Path) -> None:
    data = run_data(matrix({"fp32": 900.0}), plan={"of": "another age"})
    with open_store(tmp_path / "s.db", write=True) as store:
        store.begin_run(replace(data.run, status=RunStatus.RUNNING), data.cases)
        store.finish_run(RUN_ID, RunStatus.FINISHED, data.run.started_utc)
        assert store_missing_points(store) == 0
        assert store.points() == []
