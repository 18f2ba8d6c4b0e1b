"""The litert runner and its scripts, with real inference in processes of their own."""

from __future__ import annotations

import ast
import dataclasses
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from hypothesis import given
from hypothesis import strategies as st
from test_plan import plan
from vulkan import swiftshader

from bench.delegation.model import Coverage
from bench.identity import Case, DelegateSpec
from bench.ops.model import OpKind, ProfileSource
from bench.plan import all_cells
from bench.records import Failure, Measurement, Outcome, Purpose
from bench.runners import litert_loop, scripts
from bench.runners.base import Answers, LaunchLimits, LaunchSpec, Profiled, RawOutput, Runner
from bench.runners.invoke_loop import Failed
from bench.runners.litert import LitertRunner, not_applicable
from bench.runners.litert_abi import LiteRtError
from bench.runners.litert_capi import DELEGATE_OP, OP, RUNTIME, Event, Session
from bench.runners.loop import InvokeLoopRunner
from devices.blobs import BlobStore
from devices.deadline import Deadline
from devices.launch import Launcher
from devices.local import LocalTransport

QUICK = LaunchLimits(
    warmup_min_s=0.02, warmup_max_s=0.2, measure_min_s=0.02, measure_max_s=1.0, min_samples=64
)
LITERT, LOOP = LitertRunner(), InvokeLoopRunner()
SWIFTSHADER = swiftshader()
needs_gpu = pytest.mark.skipif(
    SWIFTSHADER is None, reason="needs a Vulkan driver: that of chromium (SwiftShader)"
)


class Bench:
    """Runs launches below one temporary directory."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._count = folder, 0

    def _fresh(self) -> Path:
        self._count += 1
        folder = self.folder / f"{self._count}"
        folder.mkdir()
        return folder

    def spec(self, content: bytes, delegate: str = "xnnpack", **more: Any) -> LaunchSpec:
        threads, shapes = more.pop("threads", 1), more.pop("shapes", ())
        options = tuple(more.pop("options", {}).items())
        chosen = DelegateSpec(delegate, options)
        case = Case("p", "m", "fp32", chosen, threads, "litert", "local", shapes)
        model = models.write_model(self._fresh() / "m", content)
        spec = LaunchSpec(case, model, more.pop("inputs", None), more.pop("seed", 0), QUICK, "key")
        return dataclasses.replace(spec, **more)

    def start(self, spec: LaunchSpec, runner: Runner = LITERT, **env: str) -> RawOutput:
        prepared, folder = runner.prepare(spec), self._fresh()
        for name, source in prepared.files.items():
            # No symbolic link: Python would import from where it leads.
            shutil.copyfile(source, folder / name)
        for name, text in prepared.texts.items():
            (folder / name).write_text(text)
        argv = [sys.executable if word == "{python}" else word for word in prepared.argv]
        done = subprocess.run(
            argv, cwd=folder, capture_output=True, env={"PATH": "/usr/bin:/bin", **env}, check=False
        )
        left = {name: (folder / name).read_bytes() for name in prepared.results if done.stdout}
        return RawOutput(done.returncode, done.stdout, done.stderr, left)

    def measure(self, content: bytes, delegate: str = "xnnpack", **more: Any) -> Measurement:
        runner, env = more.pop("runner", LITERT), more.pop("env", {})
        spec = self.spec(content, delegate, **more)
        outcome, measurement, failure = runner.read(spec, self.start(spec, runner, **env))
        assert failure is None, failure
        assert outcome is Outcome.OK
        assert measurement is not None
        return measurement

    def failure(self, content: bytes, delegate: str = "xnnpack", **more: Any) -> Failure:
        env = more.pop("env", {})
        spec = self.spec(content, delegate, **more)
        outcome, measurement, failure = LITERT.read(spec, self.start(spec, **env))
        assert measurement is None
        assert outcome in (Outcome.LOAD_FAILED, Outcome.CRASHED)
        assert failure is not None
        return failure

    def profile(self, content: bytes, delegate: str = "xnnpack", **more: Any) -> Profiled:
        runner = more.pop("runner", LITERT)
        spec = self.spec(content, delegate, purpose=Purpose.PROFILE, **more)
        assert runner.cannot(spec) is None
        outcome, profiled, failure = runner.read_profile(spec, self.start(spec, runner))
        assert failure is None, failure
        assert outcome is Outcome.OK
        assert profiled is not None
        return profiled

    def answers(self, content: bytes, *samples: Any, delegate: str, **more: Any) -> Answers:
        path, env = self._fresh() / "samples.npz", more.pop("env", {})
        np.savez(path, *samples)
        spec = self.spec(content, delegate, purpose=Purpose.NUMERICS, samples=path, **more)
        _, answers, failure = LITERT.read_answers(spec, self.start(spec, **env))
        assert failure is None, failure
        assert answers is not None
        return answers


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


# --- timing --------------------------------------------------------------------------------


@pytest.mark.parametrize("delegate", ["none", "xnnpack"])
def test_a_launch_measures_under_the_delegate_it_was_asked_for(bench: Bench, delegate: str) -> None:
    m = bench.measure(models.conv_model(), delegate)
    assert m.samples_ns is not None
    assert m.count == len(m.samples_ns) >= 64
    assert m.p90_us is not None
    assert m.min_us <= m.p50_us <= m.p90_us <= m.max_us
    assert m.delegation.as_requested
    assert m.delegation.verdict is (Coverage.NONE if delegate == "none" else Coverage.FULL)
    assert m.delegation.total_nodes == 6
    # One run tells who runs which node, and no time of it.
    assert m.delegation.outside_time is None
    assert "gpu_sync" not in m.runtime
    assert m.peak_rss_kib is not None
    assert m.peak_rss_kib >= m.runtime["baseline_rss_kib"] > 0


@pytest.mark.parametrize(
    "content",
    [
        models.int8_model(),
        models.fp16_model(),
        models.two_input_model(),
        models.partial_model(),
        models.unsupported_model(),
    ],
    ids=["int8", "fp16", "two-input", "partial", "unsupported"],
)
def test_it_finds_what_the_interpreters_node_list_says_and_feeds_the_same(
    bench: Bench, content: bytes
) -> None:
    mine, theirs = bench.measure(content, seed=3), bench.measure(content, seed=3, runner=LOOP)
    assert mine.delegation.verdict is theirs.delegation.verdict
    assert mine.delegation.delegated_nodes == theirs.delegation.delegated_nodes
    assert mine.delegation.total_nodes == theirs.delegation.total_nodes
    assert mine.delegation.fallback_ops == theirs.delegation.fallback_ops
    assert mine.inputs == theirs.inputs


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "int32", "int64", "float16"])
def test_every_input_type_can_be_drawn(bench: Bench, dtype: str) -> None:
    spec = bench.spec(models.cast_model(dtype), purpose=Purpose.PROFILE)
    _, profiled, failure = LITERT.read_profile(spec, bench.start(spec))
    assert failure is None
    assert profiled is not None


def test_an_open_dimension_becomes_one_or_what_the_plan_says(bench: Bench) -> None:
    content = models.cast_model(np.float32, -1)
    assert bench.measure(content).inputs["tensors"][0]["shape"] == [1, 1]
    m = bench.measure(content, shapes=(("input", (2, 32)),))
    assert m.inputs["tensors"][0]["shape"] == [2, 32]


# --- what must not give a number -----------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_model_gives_no_number(bench: Bench, share: float) -> None:
    content = models.conv_model(8, 4)
    assert bench.failure(content[: int(len(content) * share)]).message


def test_a_custom_op_that_the_runtime_lacks_is_named(bench: Bench) -> None:
    failure = bench.failure(models.flex_model())
    assert failure.kind == "allocate"
    assert "Select TensorFlow op" in failure.message


@pytest.mark.parametrize(
    ("name", "shape", "kind"), [("input", (1, 63), "allocate"), ("image", (1, 64), "inputs")]
)
def test_a_shape_that_cannot_be_is_a_failure(
    bench: Bench, name: str, shape: tuple[int, ...], kind: str
) -> None:
    assert bench.failure(models.float_model(64), shapes=((name, shape),)).kind == kind


def test_an_accelerator_that_is_not_there_is_no_cpu_number(bench: Bench) -> None:
    npu = bench.failure(models.conv_model(), "npu")
    assert npu.kind == "delegate"
    assert "has no npu accelerator" in npu.message
    gpu = bench.failure(models.conv_model(), "gpu", env={"VK_ICD_FILENAMES": "/nowhere.json"})
    assert gpu.kind == "delegate"


def test_an_npu_library_that_is_none_leaves_no_number_standing(
    bench: Bench, tmp_path: Path
) -> None:
    (tmp_path / "libLiteRtDispatch_Fake.so").write_bytes(b"no library")
    m = bench.measure(models.conv_model(), "npu", options={"dispatch_library_path": str(tmp_path)})
    assert not m.delegation.as_requested


def test_a_wheel_without_the_library_is_named(bench: Bench, tmp_path: Path) -> None:
    package = tmp_path / "site" / "ai_edge_litert"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    spec = bench.spec(models.conv_model())
    output = bench.start(spec, PYTHONPATH=str(package.parent))
    _, _, failure = LITERT.read(spec, output)
    assert failure is not None
    assert (failure.kind, "has no libLiteRt" in failure.message) == ("no-runtime", True)


class Slow:
    """A session whose run is told as over `early` and whose output waits for the rest."""

    def __init__(self, run_s: float, early_s: float) -> None:
        self.run_s, self.early_s, self.ready = run_s, early_s, 0.0

    def get_output_details(self) -> list[dict[str, Any]]:
        return [{"index": 0}]

    def invoke(self) -> None:
        self.ready = time.monotonic() + self.run_s
        time.sleep(self.early_s)

    def get_tensor(self, index: int) -> None:
        time.sleep(max(0.0, self.ready - time.monotonic()))


def test_a_run_that_is_told_as_over_too_early_is_asynchronous() -> None:
    with pytest.raises(Failed, match="its time is not the model's") as caught:
        litert_loop.synchrony(Slow(0.05, 0.001))  # type: ignore[arg-type]
    assert caught.value.kind == "asynchronous"
    assert litert_loop.synchrony(Slow(0.01, 0.02))[0] > 10_000  # type: ignore[arg-type]


@given(st.floats(1, 1e9), st.floats(0, 1e9), st.floats(0, 1e9))
def test_what_an_accelerator_needs_to_hand_over_is_no_run(
    run: float, copy: float, wait: float
) -> None:
    assert not litert_loop.is_asynchronous(run, copy, copy)
    assert litert_loop.is_asynchronous(run, copy + run * 2.001 + wait, copy) is True


# --- profiles ------------------------------------------------------------------------------


@pytest.mark.parametrize("runner", [LITERT, LOOP], ids=["litert", "invoke_loop"])
def test_a_profile_of_plain_kernels_names_every_node(bench: Bench, runner: Runner) -> None:
    profiled = bench.profile(models.conv_model(), "none", runner=runner)
    profile = profiled.profile
    assert profile.source is ProfileSource.C_API
    (table,) = profile.regular
    assert [row.node for row in table.rows] == [0, 1, 2, 3, 4, 5]
    assert [row.type for row in table.rows] == [
        *["CONV_2D"] * 3,
        *["RESHAPE", "FULLY_CONNECTED", "SOFTMAX"],
    ]
    assert {row.kind for row in table.rows} == {OpKind.OP}
    assert [row.order for row in table.rows] == [0, 1, 2, 3, 4, 5]
    assert profile.runs is not None
    assert profile.runs >= 20
    assert profile.invoke_us is not None
    assert 0 < sum(row.avg_us or 0 for row in table.rows) <= profile.invoke_us
    assert profiled.delegation is not None
    assert profiled.delegation.verdict is Coverage.NONE


def test_a_profile_of_xnnpack_tells_its_steps_and_what_it_left(bench: Bench) -> None:
    profiled = bench.profile(models.partial_model(), threads=2)
    rows = profiled.profile.regular[0].rows
    left = [row for row in rows if row.kind is OpKind.OP]
    assert [(row.type, row.node) for row in left] == [("ATAN2", 1)]
    steps = [row for row in rows if row.kind is OpKind.DELEGATE_OP]
    assert any("Fully Connected" in row.type for row in steps)
    assert {row.node for row in steps} == {None}
    assert any("one thread" in note for note in profiled.profile.notes)
    assert profiled.delegation is not None
    assert profiled.delegation.fallback_ops == {"ATAN2": 1}


def test_what_cannot_be_profiled_says_why(bench: Bench) -> None:
    content = models.conv_model()
    for delegate, threads, why in (("gpu", 1, "accelerators"), ("none", 2, "one thread")):
        spec = bench.spec(content, delegate, threads=threads, purpose=Purpose.PROFILE)
        for runner in (LITERT, LOOP):
            assert runner.cannot(spec) is not None
        assert why in str(LITERT.cannot(spec))


def run_of(*events: tuple[int, str, int, int, int]) -> list[Event]:
    return [Event(RUNTIME, "Invoke", 100, 0, 0), *(Event(*event) for event in events)]


def test_runs_of_one_order_are_told_row_by_row() -> None:
    runs = [run_of((OP, "A", us, 0, 0), (OP, "A", 7, 1, 0)) for us in (9, 1, 2)]
    found = litert_loop.profile_of(runs)
    assert found["in_order"] is True
    first, second = found["rows"]
    assert (first["mean_us"], first["first_us"], first["max_us"]) == (4, 9, 9)
    assert (second["index"], second["mean_us"]) == (1, 7)


@pytest.mark.parametrize(
    "runs",
    [
        [run_of((OP, "A", 3, 0, 0)), run_of((OP, "A", 3, 0, 0), (OP, "A", 3, 0, 0))],
        [run_of((OP, "WHILE", 9, 1, 0), (OP, "A", 3, 0, 1), (OP, "A", 3, 0, 1))],
    ],
    ids=["differ", "subgraph"],
)
def test_runs_that_differ_or_loop_are_merged_by_name(runs: list[list[Event]]) -> None:
    found = litert_loop.profile_of(runs)
    assert found["in_order"] is False
    row = next(row for row in found["rows"] if row["tag"] == "A")
    assert row["calls"] == sum(e.tag == "A" for run in runs for e in run) / len(runs)
    assert row["max_us"] == 6


EVENT = st.builds(
    Event,
    st.sampled_from([OP, DELEGATE_OP, RUNTIME, 16, 32]),
    st.sampled_from(["A", "B", "Invoke"]),
    st.integers(0, 10**6),
    st.integers(0, 3),
    st.integers(0, 1),
)


@given(st.lists(st.lists(EVENT, max_size=8), min_size=1, max_size=5))
def test_no_time_is_lost_or_made_up(runs: list[list[Event]]) -> None:
    whole = [[Event(RUNTIME, "Invoke", 1, 0, 0), *run] for run in runs]
    found = litert_loop.profile_of(whole)
    told = [sum(e.us for e in run if e.kind in (OP, DELEGATE_OP)) for run in runs]
    assert sum(row["first_us"] for row in found["rows"]) == told[0]
    assert sum(row["min_us"] for row in found["rows"]) <= min(told)
    assert sum(row["max_us"] for row in found["rows"]) >= max(told)


def test_a_disturbance_that_wanders_over_the_ops_is_no_time_unexplained() -> None:
    runs = [
        [Event(RUNTIME, "Invoke", 130, 0, 0)]
        + [Event(OP, "A", 110 if at == hit else 10, at, 0) for at in range(3)]
        for hit in range(3)
    ]
    found = litert_loop.profile_of(runs)
    assert sum(row["mean_us"] for row in found["rows"]) == found["invoke_us"] == 130


@given(st.lists(st.lists(st.integers(0, 10**6), min_size=3, max_size=3), min_size=1, max_size=20))
def test_the_ops_add_up_to_the_calmer_half_of_the_invokes(times: list[list[int]]) -> None:
    runs = [
        [
            Event(RUNTIME, "Invoke", sum(us), 0, 0),
            *(Event(OP, "A", t, n, 0) for n, t in enumerate(us)),
        ]
        for us in times
    ]
    found = litert_loop.profile_of(runs)
    assert sum(row["mean_us"] for row in found["rows"]) == pytest.approx(found["invoke_us"])
    assert found["invoke_us"] <= np.median([sum(us) for us in times]) + 1e-6


def test_a_profiler_without_the_time_of_a_run_is_a_failure() -> None:
    with pytest.raises(Failed, match="does not tell the time"):
        litert_loop.profile_of([[Event(OP, "A", 1, 0, 0)]])


# --- answers -------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [models.conv_model(), models.int8_model()])
def test_plain_kernels_answer_as_the_interpreters_do(bench: Bench, content: bytes) -> None:
    interpreter = Interpreter(
        model_content=content,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    (given_in,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
    shape = (3, *given_in["shape"][1:])
    integers = given_in["dtype"] == np.int8
    rng = np.random.default_rng(0)
    x = rng.integers(-128, 128, shape, np.int8) if integers else rng.random(shape, np.float32)
    answers = bench.answers(content, x, delegate="none")
    for item, answered in zip(x, answers.outputs[0], strict=True):
        interpreter.set_tensor(given_in["index"], item[None])
        interpreter.invoke()
        assert np.array_equal(interpreter.get_tensor(out["index"]), answered)
    assert answers.names == ("output",)
    assert (answers.quantization[0] is not None) == integers
    assert answers.delegation is not None
    assert answers.delegation.as_requested


class Counting:
    """A session that answers with how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __enter__(self) -> Counting:
        return self

    def __exit__(self, *_: object) -> None: ...

    def _details(self) -> list[dict[str, Any]]:
        detail = {"name": "x", "index": 0, "shape": [1, 2], "dtype": np.float32}
        return [{**detail, "quantization": (0.0, 0)}]

    get_input_details = get_output_details = _details

    def set_tensor(self, index: int, values: Any) -> None: ...

    def invoke(self) -> None:
        self.asked += 1

    def get_tensor(self, index: int) -> Any:
        return np.full((1, 2), self.asked, np.float32)


def test_a_model_that_remembers_is_not_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("samples.npz", np.zeros((2, 1, 2), np.float32))
    monkeypatch.setattr(litert_loop, "opened", lambda spec: Counting())
    monkeypatch.setattr(litert_loop, "compile_model", lambda *_, **__: 0)
    with pytest.raises(Failed, match="keeps something between invokes") as caught:
        litert_loop.answer({"samples": "samples.npz"})
    assert caught.value.kind == "state"


# --- a GPU that is none --------------------------------------------------------------------


@needs_gpu
def test_a_rasteriser_on_the_processor_does_not_stand_as_gpu(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's own environment reaches a launch on this machine."""
    assert SWIFTSHADER is not None
    for name, value in SWIFTSHADER.items():
        monkeypatch.setenv(name, value)
    spec = bench.spec(models.conv_model(8, 4), "gpu", options={"precision": "fp32"})
    laid, transport = LITERT.prepare(spec), LocalTransport()
    launcher = Launcher(transport, str(tmp_path / "w"), BlobStore(transport, str(tmp_path / "w")))
    left = launcher.run(
        "launch",
        [sys.executable if word == "{python}" else word for word in laid.argv],
        files=laid.files,
        texts=laid.texts,
        env=laid.env,
        deadline=Deadline(100),
        results=laid.results,
    )
    raw = RawOutput(left.exit_code, left.stdout, left.stderr, left.files)
    outcome, m, failure = LITERT.read(spec, raw)
    assert failure is None
    assert outcome is Outcome.OK
    assert m is not None
    assert m.delegation.verdict is Coverage.NONE
    assert not m.delegation.as_requested
    assert "SwiftShader" in m.delegation.accelerators[0]
    assert m.runtime["gpu_sync"]["how"] == "benchmark-mode"


@needs_gpu
def test_without_benchmark_mode_the_launch_finds_itself_asynchronous(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SWIFTSHADER is not None
    broken = bench.folder / "litert_loop.py"
    text = scripts.LITERT_LOOP.read_text()
    assert text.count("benchmark_mode = true") == 1
    broken.write_text(text.replace("benchmark_mode = true", "benchmark_mode = false"))
    spec = bench.spec(models.conv_model(64, 16), "gpu")
    laid = LITERT.prepare(spec)
    files = {**laid.files, scripts.LITERT_LOOP.name: broken}
    changed = dataclasses.replace(laid, files=files)
    monkeypatch.setattr(LitertRunner, "prepare", lambda *_: changed)
    _, _, failure = LITERT.read(spec, bench.start(spec, **SWIFTSHADER))
    assert failure is not None
    assert failure.kind == "asynchronous"


@needs_gpu
def test_the_gpus_refusals_are_told_with_their_reason(bench: Bench) -> None:
    assert SWIFTSHADER is not None
    m = bench.measure(models.partial_model(), "gpu", env=SWIFTSHADER)
    assert [refusal.op for refusal in m.delegation.unsupported] == ["ATAN2"]
    assert m.delegation.unsupported[0].reason


@needs_gpu
def test_the_precision_that_was_asked_for_is_computed_in(bench: Bench) -> None:
    assert SWIFTSHADER is not None
    graph = models.GraphBuilder()
    x, y = graph.tensor((1, 64), name="x"), graph.tensor((1, 64), name="y")
    z = graph.tensor((1, 64), name="z")
    graph.op(schema.BuiltinOperator.FLOOR_MOD, (x, y), (z,))
    content = graph.build((x, y), (z,))
    rng = np.random.default_rng(0)
    left, right = rng.random((2, 1, 64), np.float32), rng.random((2, 1, 64), np.float32) + 0.01
    off = {}
    for precision in ("fp16", "fp32"):
        answers = bench.answers(
            *(content, left, right),
            delegate="gpu",
            options={"precision": precision},
            env=SWIFTSHADER,
        )
        got = answers.outputs[0]
        off[precision] = float(np.abs(got.reshape(left.shape) - np.mod(left, right)).max())
    assert off["fp32"] < 1e-6 < 1e-4 < off["fp16"]


# --- the scripts and the runner ------------------------------------------------------------


@pytest.mark.parametrize("script", [scripts.LITERT_ABI, scripts.LITERT_CAPI, scripts.LITERT_LOOP])
def test_the_scripts_are_written_for_python_3_9(script: Path) -> None:
    tree = ast.parse(script.read_text(), feature_version=(3, 9))
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    assert any(n.module == "__future__" for n in imports)
    assert not any(isinstance(n, ast.Match) for n in ast.walk(tree))


def test_a_session_frees_what_it_made_and_says_what_went_wrong(tmp_path: Path) -> None:
    path = models.write_model(tmp_path / "m", models.conv_model())
    with Session(str(path)) as session:
        session.compile(1, {"xnnpack": "num_threads = 1\n"})
        session.allocate_tensors()
        with pytest.raises(LiteRtError, match="does not fit"):
            session.set_tensor(0, np.zeros((1, 3), np.float32))
        with pytest.raises(LiteRtError, match="has no LiteRtNoSuchCall"):
            session._call("LiteRtNoSuchCall")
        session.invoke()
    with pytest.raises(LiteRtError, match="LiteRtCreateModelFromFile"):
        Session(str(tmp_path / "not-there"))


def test_what_the_runner_lacks_is_refused_and_what_it_measures_with_is_told(bench: Bench) -> None:
    for delegate, more in (
        ("nnapi", {}),
        ("none", {"threads": 2}),
        ("gpu", {"options": {"precision": "int8"}}),
        ("npu", {"options": {"dispatch_library_path": "relative"}}),
    ):
        with pytest.raises(ValueError, match=r"delegate|thread|value"):
            LITERT.prepare(bench.spec(models.conv_model(), delegate, **more))
    assert LITERT.environment != LOOP.environment
    assert len(LITERT.environment["runner_sha256"]) == 64


def test_a_plan_says_which_cells_of_it_cannot_exist(tmp_path: Path) -> None:
    measured = {
        "runners": ["litert"],
        "delegates": ["none", "xnnpack", "gpu", "nnapi"],
        "threads": [1, 2],
    }
    why = {
        (case.delegate.name, case.threads): reason
        for case, reason in all_cells(plan(tmp_path, measure=measured))
    }
    assert why["none", 1] is None
    assert "one thread" in str(why["none", 2])
    assert why["xnnpack", 2] is None
    assert why["gpu", 1] is None
    assert "no nnapi" in str(why["nnapi", 1])
    phone = Case("p", "m", "fp32", DelegateSpec("gpu"), 1, "litert", "phone")
    assert "no Python" in str(not_applicable(phone, "android"))
