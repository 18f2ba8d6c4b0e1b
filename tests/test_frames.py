"""`bench.load`: tidy frames that say what the store says, and nothing that was not measured."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import store_records as make
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_points import point
from test_store_merge import add_everything

import bench
from bench import frames
from bench.delegation.model import Coverage, Delegation
from bench.errors import StoreError, UserError
from bench.frame_columns import ACCURACY, CASE, LAUNCH, OP, POINT, RUNS
from bench.identity import SENTINEL_MODEL, SENTINEL_PROJECT, Case, DelegateSpec
from bench.numerics.model import DeviceAccuracy, Numerics
from bench.ops.model import OpKind, OpProfile, OpRow, OpTable, ProfileSource
from bench.points import PointState
from bench.records import (
    EvaluationRecord,
    Failure,
    Outcome,
    PlannedCase,
    Purpose,
    RunStatus,
    Source,
)
from bench.store import StorePlace, open_store
from bench.store.prune import prune_run

pytest_plugins = ["tests.postgres_fixtures"]

GPU = DelegateSpec("gpu", (("precision", "fp32"),))
PHONE = "pixel \udcff"


def planned(run_id: str, delegate: DelegateSpec, device: str = "local") -> PlannedCase:
    case = Case("digits", "cnn", "int8", delegate, 2, "invoke_loop", device)
    return PlannedCase(run_id, case)


@pytest.fixture
def place(store_place: StorePlace) -> StorePlace:
    """Two runs: one whole, with a bit of everything, and one of a week later with no end."""
    run = make.run_record(finished_utc=None)
    cpu, gpu, phone = (
        planned(run.run_id, DelegateSpec("none")),
        planned(run.run_id, GPU),
        planned(run.run_id, GPU, PHONE),
    )
    absent = PlannedCase(run.run_id, planned(run.run_id, DelegateSpec("nnapi")).case, "no NNAPI")
    sentinel = Case(
        SENTINEL_PROJECT, SENTINEL_MODEL, "fp32", DelegateSpec("none"), 1, "invoke_loop", "local"
    )
    with open_store(store_place, write=True) as store:
        store.begin_run(run, [cpu, gpu, phone, absent, PlannedCase(run.run_id, sentinel)])
        for index in range(3):
            measurement = make.measurement(
                samples_ns=np.array([1_000_000 + index, 1_000_500, 999_001]), count=3
            )
            store.add_launch(make.launch_record(cpu, index, measurement=measurement))
        store.add_launch(make.launch_record(PlannedCase(run.run_id, sentinel), 0))
        printed = make.measurement(
            samples_ns=None,
            warmup_ns=None,
            count=50,
            p50_source=Source.TOOL,
            delegation=Delegation("gpu", Coverage.NONE, 0, 10, 0),
        )
        store.add_launch(
            make.launch_record(gpu, 0, measurement=printed, taints=("hot: 70 C", "throttled"))
        )
        failure = Failure("crash", "aborted\x00")
        store.add_launch(
            make.launch_record(gpu, 1, outcome=Outcome.CRASHED, measurement=None, failure=failure)
        )
        store.add_launch(make.launch_record(phone, 0, environment={"simulated": True}))
        rows = (
            OpRow(OpKind.OP, "CONV_2D", "[a]:0", 2.5, node=0, order=0),
            OpRow(OpKind.DELEGATE, "GPU", "", None),
        )
        profile = OpProfile(
            ProfileSource.C_API,
            (OpTable(rows),),
            (OpTable((OpRow(OpKind.PHASE, "AllocateTensors", "", 9.0),)),),
            runs=50,
        )
        store.add_check(make.check_record(cpu, Purpose.PROFILE, profile=profile))
        answers = DeviceAccuracy("top1", None, 0.5, 4, 8, ((1.0,), (0.0,)) * 2)
        store.add_check(
            make.check_record(
                phone,
                Purpose.NUMERICS,
                numerics=Numerics((), 4, "holdout", "2" * 64, "plain", answers),
                environment={"simulated": True},
            )
        )
        right = np.array([[1.0], [0.0], [1.0], [1.0]])
        for kernels, value, statistics in (("none", 0.75, right), ("xnnpack", None, None)):
            store.add_evaluation(
                EvaluationRecord(
                    *(run.run_id, "cnn", "int8", kernels, "top1", value, None, statistics),
                    holdout_sha256="3" * 64,
                    runtime={},
                    failure=None if value else Failure("run", "cannot be run"),
                )
            )
        store.finish_run(run.run_id, RunStatus.FINISHED, make.START + timedelta(hours=2))
        store.add_points(
            run.run_id,
            [
                point(cpu, gates_failed=("latency", "size")),
                point(gpu, state=PointState.INVALID, reason="2 launches", p50_us=400.0),
                point(phone, simulated=True),
                point(absent, state=PointState.NOT_APPLICABLE, reason="no NNAPI", p50_us=None),
                point(PlannedCase(run.run_id, sentinel)),
            ],
        )
        later = make.run_record(project="other", started_utc=make.START + timedelta(days=7))
        open_case = PlannedCase(later.run_id, planned(later.run_id, GPU).case)
        nowhere = PlannedCase(
            later.run_id, planned(later.run_id, DelegateSpec("npu")).case, "no NPU"
        )
        store.begin_run(later, [open_case, nowhere])
    return store_place


def test_runs(place: StorePlace) -> None:
    found = bench.load(place).runs
    assert list(found["project"]) == ["digits", "other"]
    assert list(found["cases"]) == [4, 2]
    assert list(found["launches"]) == [6, 0]
    assert list(found["status"]) == ["finished", "running"]
    assert found["started_utc"][0] == pd.Timestamp(make.START)
    assert pd.isna(found["finished_utc"][1])
    assert str(found["started_utc"].dtype) == "datetime64[us, UTC]"
    assert found["project"].dtype == "category"


def test_cases_have_numbers_only_where_they_count(place: StorePlace) -> None:
    found = bench.load(place).cases
    assert list(found["delegate"])[:4] == ["none", *["gpu (precision=fp32)"] * 2, "nnapi"]
    assert list(found["state"])[:4] == ["measured", "invalid", "measured", "not-applicable"]
    assert found["p50_us"].isna().tolist() == [False, True, False, True, True, True]
    assert (found["p50_us"].fillna(1) != 0).all()
    assert list(found["simulated"]) == [False, False, True, False, False, False]
    assert found["gates_failed"][0] == "latency, size"
    assert found["device"][2] == "pixel \\udcff"
    # Of the run that has no end: what is known and why nothing else is.
    assert pd.isna(found["state"][4])
    assert "`edgebench history`" in found["reason"][4]
    assert (found["state"][5], found["reason"][5]) == ("not-applicable", "no NPU")
    assert pd.isna(found["launches_made"][4])
    assert SENTINEL_MODEL not in set(found["model"])
    both = bench.load(place).points
    assert sorted(both["p50_us"].dropna()) == [400.0, 1000.0, 1000.0]
    assert list(both.columns) == list(found.columns)


def test_launches_and_samples(place: StorePlace) -> None:
    results = bench.load(place)
    launches, samples = results.launches, results.samples
    assert len(launches) == 6
    tainted = launches[launches["taints"] != ""].iloc[0]
    assert tainted["taints"] == "hot: 70 C; throttled"
    assert not tainted["usable"]
    assert tainted["p50_source"] == "tool"
    assert tainted["delegation_verdict"] == "NONE"
    crashed = launches[launches["outcome"] == "crashed"].iloc[0]
    assert crashed["failure_message"] == "aborted\x00"
    assert pd.isna(crashed["p50_us"])
    assert pd.isna(crashed["sample_count"])
    assert launches.loc[launches["simulated"], "device"].tolist() == ["pixel \\udcff"]

    local = samples[~samples["simulated"]]
    assert len(local) == 9
    assert local["latency_us"].tolist()[3:6] == [1000.001, 1000.5, 999.001]
    assert local["index"].tolist() == [0, 1, 2] * 3
    assert local["round"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert samples["simulated"].sum() == 100
    assert set(samples["launch_id"]) < set(launches["launch_id"])
    assert samples["latency_us"].dtype == np.float64
    for name in ("run_id", "launch_id", "model", "delegate", "device"):
        assert samples[name].dtype == "category"


def test_ops(place: StorePlace) -> None:
    found = bench.load(place).ops
    assert list(found["type"]) == ["CONV_2D", "GPU", "AllocateTensors"]
    assert list(found["while_preparing"]) == [False, False, True]
    assert found["avg_us"].isna().tolist() == [False, True, False]
    assert list(found["node"].isna()) == [False, True, True]
    assert list(found["resolution_us"]) == [1.0] * 3
    assert list(found["profiled_runs"]) == [50] * 3


def test_accuracy_is_of_kernels_here_or_of_a_device(place: StorePlace) -> None:
    found = bench.load(place).accuracy
    assert list(found["kernels"])[:2] == ["none", "xnnpack"]
    assert found["kernels"].isna().tolist() == [False, False, True]
    assert found["value"].tolist()[0] == 0.75
    assert np.isnan(found["value"][1])
    assert found["failure"][1] == "cannot be run"
    assert found["samples"][0] == 4
    assert (found["samples"][2], found["holdout_samples"][2]) == (4, 8)
    assert found["device"].isna().tolist() == [True, True, False]
    assert list(found["simulated"]) == [False, False, True]
    assert found["higher_is_better"].all()


def test_what_is_picked(place: StorePlace) -> None:
    assert list(bench.load(place, project="other").runs["project"]) == ["other"]
    assert list(bench.load(place, since="2026-01-03").runs["project"]) == ["other"]
    naive = datetime(2026, 1, 2, 3, 0)
    for since in ("2026-01-02T03:00", naive, naive.replace(tzinfo=UTC)):
        assert len(bench.load(place, since=since).runs) == 2
    ids = bench.load(place).runs["run_id"].tolist()
    for run in (ids[0], [ids[0]], ids[0][:-1]):
        picked = bench.load(place, run=run)
        assert picked.runs["run_id"].tolist() == ids[:1]
        assert len(picked.cases) == 4
    assert bench.load(place, run=ids[1]).samples.empty
    assert bench.load(place, run=ids, project="digits").runs["run_id"].tolist() == ids[:1]
    with pytest.raises(UserError, match="no run begins with 'ff'"):
        _ = bench.load(place, run="ff").runs
    with pytest.raises(UserError, match="since='last week': no time; write 2026-01-31"):
        bench.load(place, since="last week")


def test_pruned_runs_keep_their_cases_and_have_no_launches(place: StorePlace) -> None:
    before = bench.load(place)
    kept, samples = before.cases, before.samples
    assert len(samples) > 0
    with open_store(place, write=True) as store:
        prune_run(store, before.runs["run_id"][0], make.START + timedelta(days=400))
    after = bench.load(place)
    pd.testing.assert_frame_equal(after.cases, kept)
    assert pd.isna(after.runs["launches"][0])
    assert after.launches.empty
    assert after.samples.empty
    assert list(after.samples.columns) == list(samples.columns)


def test_more_samples_than_memory_holds_are_refused(
    place: StorePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "MOST_SAMPLES", 100)
    with pytest.raises(UserError, match="209 samples are more than the 100 that fit"):
        _ = bench.load(place).samples
    with pytest.raises(StoreError, match="there is no store"):
        _ = bench.load("nowhere.db").runs


def test_an_empty_store_has_frames_with_all_columns(tmp_path: Path) -> None:
    open_store(tmp_path / "a.db", write=True).close()
    results = bench.load(tmp_path / "a.db")
    for found, columns in [
        (results.runs, RUNS),
        (results.cases, CASE | POINT),
        (results.points, CASE | POINT),
        (results.launches, CASE | LAUNCH),
        (results.ops, CASE | OP),
        (results.accuracy, CASE | ACCURACY),
    ]:
        assert list(found.columns) == list(columns)
        assert found.empty
    assert results.samples["latency_us"].dtype == np.float64


def test_every_column_is_documented() -> None:
    documented = " ".join(
        getattr(frames.Frames, name).__doc__ or ""
        for name in ("runs", "cases", "launches", "samples", "ops", "accuracy")
    ).replace("`", " ")
    words = {word.strip(".,;:()") for word in documented.split()}
    for columns in (RUNS, CASE, POINT, LAUNCH, OP, ACCURACY):
        assert set(columns) <= words, set(columns) - words


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("frames") / "a.db"
    open_store(path, write=True).close()
    return path


@settings(
    max_examples=10,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.data())
def test_any_record_can_be_shown(lasting: Path, data: st.DataObject) -> None:
    with open_store(lasting, write=True) as store:
        run_id = add_everything(store, data)
        expected = store.load(run_id, samples=True)
    found = bench.load(lasting, run=run_id)
    assert len(found.cases) == len(expected.cases)
    assert len(found.launches) == len(expected.launches)
    assert len(found.accuracy) >= len(expected.evaluations)
    samples = [m.samples_ns for x in expected.launches if (m := x.measurement) is not None]
    assert len(found.samples) == sum(len(s) for s in samples if s is not None)
    for each in (found.runs, found.ops, found.points):
        assert "simulated" in each


def test_importing_bench_brings_no_pandas() -> None:
    code = "import sys, bench; bench.load; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pandas", "numpy", "sqlalchemy"} & set(done.stdout.split())
