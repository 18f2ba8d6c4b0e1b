"""The invoke loop and its runner, with real inference in processes of their own."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.delegation.model import Coverage
from bench.identity import Case, DelegateSpec
from bench.records import Failure, Measurement, Outcome
from bench.runners import invoke_loop
from bench.runners.base import LaunchLimits, LaunchSpec, RawOutput
from bench.runners.invoke_loop import Failed, draw, node_evidence, to_tensor
from bench.runners.loop import SCRIPT, InvokeLoopRunner

QUICK = LaunchLimits(
    warmup_min_s=0.02, warmup_max_s=0.2, measure_min_s=0.02, measure_max_s=2.0, min_samples=64
)
RUNNER = InvokeLoopRunner()


def spec_for(
    model: Path,
    *,
    delegate: str = "xnnpack",
    threads: int = 1,
    inputs: Path | None = None,
    seed: int = 0,
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = (),
    limits: LaunchLimits = QUICK,
) -> LaunchSpec:
    case = Case("p", "m", "fp32", DelegateSpec(delegate), threads, RUNNER.kind, "local", shapes)
    return LaunchSpec(case, model, inputs, seed, limits, "launch")


def lay_out(spec: LaunchSpec, folder: Path) -> list[str]:
    """A run directory as a launch makes it: real-named links, texts; returns the argv."""
    prepared = RUNNER.prepare(spec)
    folder.mkdir()
    for name, source in prepared.files.items():
        (folder / name).symlink_to(source)
    for name, text in prepared.texts.items():
        (folder / name).write_text(text)
    return [sys.executable if word == "{python}" else word for word in prepared.argv]


def start(argv: list[str], folder: Path, **env: str) -> RawOutput:
    done = subprocess.run(
        argv, cwd=folder, capture_output=True, env={"PATH": "/usr/bin:/bin", **env}, check=False
    )
    return RawOutput(done.returncode, done.stdout, done.stderr)


Result = tuple[Outcome, Measurement | None, Failure | None]


class Bench:
    """Runs launches below one temporary directory."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._count = folder, 0

    def model(self, content: bytes) -> Path:
        return models.write_model(self.folder / f"{hashlib.md5(content).hexdigest()}", content)

    def read(self, spec: LaunchSpec, **env: str) -> Result:
        self._count += 1
        folder = self.folder / f"run{self._count}"
        return RUNNER.read(spec, start(lay_out(spec, folder), folder, **env))

    def measure(self, content: bytes, **options: Any) -> Measurement:
        outcome, measurement, failure = self.read(spec_for(self.model(content), **options))
        assert failure is None, failure
        assert outcome is Outcome.OK
        assert measurement is not None
        return measurement

    def failure(self, content: bytes, **options: Any) -> tuple[Outcome, Failure]:
        outcome, measurement, failure = self.read(spec_for(self.model(content), **options))
        assert measurement is None
        assert failure is not None
        return outcome, failure

    def npz(self, *arrays: Any, **named: Any) -> Path:
        self._count += 1
        path = self.folder / f"inputs{self._count}.npz"
        np.savez(path, *arrays, **named)
        return path


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def sha256(*arrays: Any) -> str:
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()


# --- real inference ------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("delegate", ["none", "xnnpack"])
def test_a_launch_measures_under_the_delegate_it_was_asked_for(
    bench: Bench, delegate: str, threads: int
) -> None:
    m = bench.measure(models.conv_model(), delegate=delegate, threads=threads)
    assert m.samples_ns is not None
    assert m.warmup_ns is not None
    assert m.count == len(m.samples_ns) >= 64
    assert m.invokes_per_sample == 1
    assert m.p90_us is not None
    assert m.min_us <= m.p50_us <= m.p90_us <= m.max_us
    assert len(m.warmup_ns) >= 20
    assert m.first_inference_us == m.warmup_ns[0] / 1e3
    assert m.delegation.requested == delegate
    assert m.delegation.as_requested
    assert m.delegation.verdict is (Coverage.NONE if delegate == "none" else Coverage.FULL)
    assert m.delegation.total_nodes == 6
    assert m.peak_rss_kib is not None
    assert m.peak_rss_kib >= m.runtime["baseline_rss_kib"] > 0
    assert m.cpu_us_per_invoke > 0
    assert m.load.busy_ns is not None
    assert m.runtime["name"] == "ai_edge_litert"
    assert m.runtime["model_sha256"] == hashlib.sha256(models.conv_model()).hexdigest()
    named = "The runtime's log names the XNNPACK delegate." in [
        e.text for e in m.delegation.evidence
    ]
    assert named == (delegate == "xnnpack")


@pytest.mark.parametrize(
    ("content", "verdict", "delegated", "total", "partitions", "outside"),
    [
        (models.int8_model(), Coverage.PARTIAL, 1, 2, 1, {"SOFTMAX": 1}),
        (models.fp16_model(), Coverage.FULL, 4, 4, 1, {}),
        (models.two_input_model(), Coverage.FULL, 3, 3, 1, {}),
        (models.partial_model(), Coverage.PARTIAL, 3, 4, 2, {"ATAN2": 1}),
        (models.unsupported_model(), Coverage.NONE, 0, 1, 0, {"ATAN2": 1}),
    ],
    ids=["int8", "fp16", "two-input", "partial", "unsupported"],
)
def test_coverage_comes_from_the_node_list(
    bench: Bench,
    content: bytes,
    verdict: Coverage,
    delegated: int,
    total: int,
    partitions: int,
    outside: dict[str, int],
) -> None:
    d = bench.measure(content).delegation
    assert d.verdict is verdict
    assert (d.delegated_nodes, d.total_nodes, d.partitions) == (delegated, total, partitions)
    assert d.fallback_ops == outside


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "int32", "int64", "float16"])
def test_every_input_type_can_be_drawn(bench: Bench, dtype: str) -> None:
    m = bench.measure(models.cast_model(dtype))
    assert m.inputs["tensors"] == [{"name": "input", "shape": [1, 16], "dtype": dtype}]


def test_an_open_dimension_becomes_one_or_what_the_plan_says(bench: Bench) -> None:
    content = models.cast_model(np.float32, -1)
    assert bench.measure(content).inputs["tensors"][0]["shape"] == [1, 1]
    m = bench.measure(content, shapes=(("input", (2, 32)),))
    assert m.inputs["tensors"][0]["shape"] == [2, 32]


def test_the_draw_depends_on_the_seed_alone(bench: Bench) -> None:
    content = models.int8_model()
    first = bench.measure(content, seed=1)
    same = bench.measure(content, seed=1, delegate="none", threads=2)
    other = bench.measure(content, seed=2)
    assert first.inputs["source"] == "seeded-draw"
    assert first.inputs["sha256"] == same.inputs["sha256"] != other.inputs["sha256"]


def test_a_sub_microsecond_model_is_batched_and_has_no_p90(bench: Bench) -> None:
    # The call into the runtime takes less than 33 reads of any clock.
    m = bench.measure(models.cast_model(np.float32, 1))
    if m.invokes_per_sample == 1:  # pragma: no cover  (a machine with a very fast clock)
        pytest.skip("this clock is read in under 3 % of an invoke")
    assert m.p90_us is None
    assert m.p90_reason is not None
    assert m.p90_reason.startswith("batched")
    assert m.count <= QUICK.max_samples


# --- inputs from a file --------------------------------------------------------------------


def test_real_numbers_are_quantised_as_the_model_says(bench: Bench) -> None:
    x = np.random.default_rng(0).normal(0, 5, (1, 64)).astype(np.float32)
    m = bench.measure(models.int8_model(), inputs=bench.npz(x))
    expected = np.clip(np.round(x / (1 / 16)) - 3, -128, 127).astype(np.int8)
    assert m.inputs["source"] == "holdout"
    assert m.inputs["sha256"] == sha256(expected)


def test_quantised_numbers_are_taken_as_they_are(bench: Bench) -> None:
    x = np.arange(-32, 32, dtype=np.int8).reshape(1, 64)
    assert bench.measure(models.int8_model(), inputs=bench.npz(x)).inputs["sha256"] == sha256(x)


def test_two_inputs_are_set_in_the_models_order(bench: Bench) -> None:
    left, right = np.zeros((1, 16), np.float32), np.ones((1, 16), np.float64)
    m = bench.measure(models.two_input_model(), inputs=bench.npz(left, right))
    assert m.inputs["sha256"] == sha256(left, right.astype(np.float32))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([np.zeros((1, 63), np.float32)], r"takes shape \(1, 64\), the file has \(1, 63\)"),
        ([np.zeros((64,), np.float32)], "takes shape"),
        ([np.full((1, 64), np.nan)], "NaN"),
        ([np.full((1, 64), "a")], "not numbers"),
        ([np.full((1, 64), 200)], "do not fit into int8"),
        ([np.array([[None] * 64])], "allow_pickle"),
        ([], "the model needs arr_0"),
        ([np.zeros((1, 64))] * 2, "the model needs arr_0"),
    ],
    ids=["columns", "no-batch", "nan", "text", "range", "objects", "none", "two"],
)
def test_inputs_that_do_not_fit_are_a_failure_with_the_reason(
    bench: Bench, arrays: list[Any], message: str
) -> None:
    outcome, failure = bench.failure(models.int8_model(), inputs=bench.npz(*arrays))
    assert outcome is Outcome.LOAD_FAILED
    assert failure.kind == "inputs"
    assert re.search(message, failure.message), failure.message


def test_a_file_that_is_no_npz_is_a_failure(bench: Bench) -> None:
    path = bench.folder / "broken.npz"
    path.write_bytes(b"PK\x03\x04 not a zip")
    outcome, failure = bench.failure(models.float_model(), inputs=path)
    assert (outcome, failure.kind) == (Outcome.LOAD_FAILED, "inputs")


# --- what must not give a number -----------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_model_gives_no_number(bench: Bench, share: float) -> None:
    content = models.conv_model(8, 4)
    outcome, failure = bench.failure(content[: int(len(content) * share)])
    assert outcome in (Outcome.LOAD_FAILED, Outcome.CRASHED)
    assert failure.message


def test_a_custom_op_that_the_runtime_lacks_is_named(bench: Bench) -> None:
    outcome, failure = bench.failure(models.flex_model())
    assert outcome is Outcome.LOAD_FAILED
    assert failure.kind in ("load", "allocate")
    assert "Select TensorFlow op" in failure.message


def test_a_shape_that_the_model_cannot_take_is_a_failure(bench: Bench) -> None:
    shapes = (("input", (1, 63)),)
    outcome, failure = bench.failure(models.float_model(64), shapes=shapes)
    assert (outcome, failure.kind) == (Outcome.LOAD_FAILED, "allocate")


def test_an_input_name_that_the_model_lacks_is_a_failure(bench: Bench) -> None:
    outcome, failure = bench.failure(models.float_model(), shapes=(("image", (1, 16)),))
    assert (outcome, failure.kind) == (Outcome.LOAD_FAILED, "inputs")
    assert "image" in failure.message


# --- a runtime that misbehaves -------------------------------------------------------------

FAKE_RUNTIME = """
    import os, sys, time
    import numpy as np

    class OpResolverType:
        AUTO = "auto"
        BUILTIN_WITHOUT_DEFAULT_DELEGATES = "plain"

    class Interpreter:
        def __init__(self, model_path, num_threads, experimental_op_resolver_type):
            self.value = None
        def allocate_tensors(self): pass
        def _details(self):
            return [{"name": "x", "index": 0, "shape": np.array([1, 4]), "dtype": np.float32,
                     "quantization": (0.0, 0)}]
        get_input_details = get_output_details = _details
        def set_tensor(self, index, value): self.value = value
        def get_tensor(self, index): return self.value
        def _get_ops_details(self):
            return [{"op_name": "ADD", "inputs": [0], "outputs": [1]}]
        def invoke(self): pass
"""


class FakeRuntime:
    """A package of the runtime's name that lies on the path before the real one."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.path = bench.folder / "path"

    def write(self, package: str, changes: str = "") -> None:
        folder = self.path / package
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        code = textwrap.dedent(FAKE_RUNTIME) + textwrap.indent(textwrap.dedent(changes), "    ")
        (folder / "interpreter.py").write_text(code)

    def block(self, package: str) -> None:
        folder = self.path / package
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(f"raise ImportError('no {package} here')")

    def read(self, **options: Any) -> Result:
        options = {"delegate": "none", **options}
        spec = spec_for(self._bench.model(b"any bytes"), **options)
        return self._bench.read(spec, PYTHONPATH=str(self.path))


@pytest.fixture
def fake(bench: Bench) -> FakeRuntime:
    return FakeRuntime(bench)


def test_the_fake_runtime_measures(fake: FakeRuntime) -> None:
    fake.write("ai_edge_litert")
    outcome, m, _ = fake.read()
    assert outcome is Outcome.OK
    assert m is not None
    assert m.invokes_per_sample > 1  # an empty invoke is far cheaper than 33 timers


def test_an_abort_is_a_crash_with_the_signals_name(fake: FakeRuntime) -> None:
    fake.write(
        "ai_edge_litert",
        """
        def allocate_tensors(self):
            os.write(2, b"F tensor.cc:7 Check failed: rank == 4\\n")
            os.abort()
        """,
    )
    outcome, m, failure = fake.read()
    assert (outcome, m) == (Outcome.CRASHED, None)
    assert failure is not None
    assert failure.kind == "crash"
    assert failure.message == (
        "the runtime aborted (SIGABRT): F tensor.cc:7 Check failed: rank == 4"
    )


def test_a_crash_in_the_middle_of_measuring_leaves_no_number(fake: FakeRuntime) -> None:
    fake.write(
        "ai_edge_litert",
        """
        n = 0
        def invoke(self):
            self.n += 1
            if self.n == 1000:
                os.kill(os.getpid(), 9)
        """,
    )
    outcome, m, failure = fake.read()
    assert (outcome, m) == (Outcome.CRASHED, None)
    assert failure is not None
    assert "SIGKILL" in failure.message


def test_what_native_code_prints_does_not_reach_the_document(fake: FakeRuntime) -> None:
    fake.write(
        "ai_edge_litert",
        """
        def allocate_tensors(self):
            os.write(1, b"hello from native code\\n")
            print("hello from python")
        """,
    )
    outcome, _, failure = fake.read()
    assert outcome is Outcome.OK, failure


@pytest.mark.parametrize(
    ("method", "kind"),
    [("__init__", "load"), ("allocate_tensors", "allocate"), ("invoke", "invoke")],
)
def test_a_failure_names_the_stage(fake: FakeRuntime, method: str, kind: str) -> None:
    fake.write(
        "ai_edge_litert",
        f"""
        def {method}(self, *args, **kwargs):
            raise RuntimeError("it is\\n  broken")
        """,
    )
    outcome, _, failure = fake.read()
    assert outcome is Outcome.LOAD_FAILED
    assert failure is not None
    assert (failure.kind, failure.message) == (kind, "it is broken")


def test_a_runtime_without_a_node_list_gives_a_number_of_unknown_coverage(
    fake: FakeRuntime,
) -> None:
    fake.write("ai_edge_litert", "_get_ops_details = None")
    _, m, _ = fake.read()
    assert m is not None
    assert m.delegation.verdict is Coverage.UNKNOWN
    assert not m.delegation.as_requested


def test_a_slow_model_is_judged_by_its_measured_part(fake: FakeRuntime) -> None:
    fake.write(
        "ai_edge_litert",
        """
        def invoke(self):
            time.sleep(0.11)
        """,
    )
    limits = dataclasses.replace(QUICK, warmup_max_s=10.0, measure_max_s=0.6)
    outcome, m, _ = fake.read(limits=limits)
    assert outcome is Outcome.OK
    assert m is not None
    assert m.warmup_ns is not None
    assert len(m.warmup_ns) == 3
    assert m.count < 64
    assert m.p90_us is None


def test_a_slow_model_that_drifts_while_measured_is_not_steady(fake: FakeRuntime) -> None:
    fake.write(
        "ai_edge_litert",
        """
        n = 0
        def invoke(self):
            self.n += 1
            time.sleep(0.11 if self.n <= 6 else 0.4)
        """,
    )
    limits = dataclasses.replace(QUICK, warmup_max_s=10.0, measure_max_s=2.0)
    _, m, _ = fake.read(limits=limits)
    assert m is not None
    assert m.steady is False


def test_threads_and_kernels_reach_the_runtime(fake: FakeRuntime) -> None:
    fake.write(
        "ai_edge_litert",
        """
        def __init__(self, model_path, num_threads, experimental_op_resolver_type):
            raise ValueError(f"{model_path} {num_threads} {experimental_op_resolver_type}")
        """,
    )
    for delegate, threads, resolver in (("none", 1, "plain"), ("xnnpack", 7, "auto")):
        _, _, failure = fake.read(delegate=delegate, threads=threads)
        assert failure is not None
        assert failure.message == f"model.tflite {threads} {resolver}"


def test_a_shape_of_minus_one_is_made_one(fake: FakeRuntime) -> None:
    fake.write(
        "ai_edge_litert",
        """
        shape = np.array([-1, 4])
        def _details(self):
            return [{"name": "x", "index": 0, "shape": self.shape, "dtype": np.float32,
                     "quantization": (0.0, 0)}]
        get_input_details = get_output_details = _details
        def resize_tensor_input(self, index, shape):
            self.shape = np.array(shape)
        """,
    )
    _, m, failure = fake.read()
    assert m is not None, failure
    assert m.inputs["tensors"][0]["shape"] == [1, 4]


def test_tflite_runtime_is_taken_where_litert_is_missing(fake: FakeRuntime) -> None:
    fake.block("ai_edge_litert")
    fake.write("tflite_runtime")
    _, m, _ = fake.read()
    assert m is not None
    assert (m.runtime["name"], m.runtime["version"]) == ("tflite_runtime", "unknown")


def test_no_runtime_at_all_says_what_to_install(fake: FakeRuntime) -> None:
    for package in ("ai_edge_litert", "tflite_runtime", "tensorflow"):
        fake.block(package)
    outcome, _, failure = fake.read()
    assert outcome is Outcome.LOAD_FAILED
    assert failure is not None
    assert failure.kind == "no-runtime"
    assert "install ai-edge-litert" in failure.message


# --- the script on its own -----------------------------------------------------------------


def test_the_script_needs_only_numpy_and_a_runtime(bench: Bench) -> None:
    folder = bench.folder / "run"
    lay_out(spec_for(bench.model(models.float_model())), folder)
    probe = """
        import json, runpy, sys
        sys.argv = ["invoke_loop.py", "spec.json"]
        try:
            runpy.run_path("invoke_loop.py", run_name="__main__")
        except SystemExit as end:
            assert end.code == 0
        tops = {name.split(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
        json.dump(sorted(tops), open("modules.json", "w"))
    """
    output = start([sys.executable, "-I", "-c", textwrap.dedent(probe)], folder)
    assert output.exit_code == 0, output.stderr
    loaded = set(json.loads((folder / "modules.json").read_text()))
    assert {"numpy", "ai_edge_litert"} <= loaded
    ours_or_heavy = {"bench", "devices", "reports", "tensorflow", "pydantic", "scipy", "pandas"}
    assert not loaded & ours_or_heavy


def test_the_script_is_written_for_python_3_9() -> None:
    tree = ast.parse(SCRIPT.read_text(), feature_version=(3, 9))
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    assert any(n.module == "__future__" for n in imports)
    assert not any(isinstance(n, ast.Match) for n in ast.walk(tree))


# --- the runner ----------------------------------------------------------------------------


def test_the_padding_differs_between_launches_and_is_the_same_for_one() -> None:
    def pad(key: str) -> int:
        spec = dataclasses.replace(spec_for(Path("m.tflite")), launch_key=key)
        env = RUNNER.prepare(spec).env
        assert set(env) == {"EDGEBENCH_PAD"}
        return len(env["EDGEBENCH_PAD"])

    lengths = [pad(str(i)) for i in range(200)]
    assert lengths == [pad(str(i)) for i in range(200)]
    assert len(set(lengths)) > 150
    assert max(lengths) < 4096


def test_prepare_names_its_files_and_says_everything_in_the_spec(tmp_path: Path) -> None:
    spec = spec_for(tmp_path / "a.tflite", inputs=tmp_path / "b.npz", delegate="none", threads=3)
    prepared = RUNNER.prepare(spec)
    assert prepared.argv == ("{python}", "invoke_loop.py", "spec.json")
    assert prepared.files == {
        "invoke_loop.py": SCRIPT,
        "model.tflite": tmp_path / "a.tflite",
        "inputs.npz": tmp_path / "b.npz",
    }
    document = json.loads(prepared.texts["spec.json"])
    assert (document["delegate"], document["threads"]) == ("none", 3)
    assert document["limits"]["min_samples"] == QUICK.min_samples


@pytest.mark.parametrize(
    "delegate", [DelegateSpec("gpu"), DelegateSpec("xnnpack", (("flags", "1"),))]
)
def test_a_delegate_that_the_runner_lacks_is_refused(delegate: DelegateSpec) -> None:
    spec = spec_for(Path("m.tflite"))
    spec = dataclasses.replace(spec, case=dataclasses.replace(spec.case, delegate=delegate))
    with pytest.raises(ValueError, match=delegate.name):
        RUNNER.prepare(spec)


@pytest.mark.parametrize(
    ("output", "outcome", "message"),
    [
        (RawOutput(-11, b"", b""), Outcome.CRASHED, "the runtime aborted (SIGSEGV)"),
        (RawOutput(-99, b"", b"x\n\n"), Outcome.CRASHED, "the runtime aborted (signal 99): x"),
        (RawOutput(0, b"\n", b"bye"), Outcome.UNREADABLE, "left no result: bye"),
        (RawOutput(0, b"{", b""), Outcome.UNREADABLE, "invoke_loop's document: Invalid JSON"),
        (RawOutput(3, b"{}", b"last"), Outcome.UNREADABLE, "without saying why: last"),
        (RawOutput(1, b"{}", b"a\nKeyError: 1\n"), Outcome.UNREADABLE, "code 1: KeyError: 1"),
        (RawOutput(127, b"", b"\xff"), Outcome.UNREADABLE, "exit code 127: �"),
        (
            RawOutput(3, b'{"failure":{"kind":"load","message":"no model"}}', b""),
            Outcome.LOAD_FAILED,
            "no model",
        ),
    ],
)
def test_every_end_of_the_process_has_its_outcome(
    output: RawOutput, outcome: Outcome, message: str
) -> None:
    got, measurement, failure = RUNNER.read(spec_for(Path("m.tflite")), output)
    assert (got, measurement) == (outcome, None)
    assert failure is not None
    assert message in failure.message


# --- pure parts of the script --------------------------------------------------------------


def detail(dtype: Any, shape: tuple[int, ...], scale: float = 0.0, zp: int = 0) -> dict[str, Any]:
    return {"name": "x", "dtype": dtype, "shape": np.array(shape), "quantization": (scale, zp)}


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16])
def test_a_quantised_draw_covers_the_range_and_comes_back_whole(dtype: Any) -> None:
    info = np.iinfo(dtype)
    x = detail(dtype, (100_000,), 0.037, 5 if info.min else 128)
    values = to_tensor(draw(np.random.default_rng(0), x), x)
    assert values.dtype == dtype
    span = int(info.max) - int(info.min)
    assert values.min() <= info.min + span // 100
    assert values.max() >= info.max - span // 100
    whole = np.random.default_rng(0).integers(
        info.min, info.max, (100_000,), dtype=dtype, endpoint=True
    )
    assert np.array_equal(values, whole)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_float_draw_has_no_zeros_and_no_denormals(dtype: Any) -> None:
    values = draw(np.random.default_rng(0), detail(dtype, (100_000,)))
    assert values.dtype == dtype
    assert values.min() >= np.finfo(dtype).tiny
    assert values.max() <= 1
    assert len(np.unique(values)) > 1000


def test_text_cannot_be_drawn() -> None:
    with pytest.raises(Failed, match="holdout"):
        draw(np.random.default_rng(0), detail(np.bytes_, (1,)))


def test_real_numbers_for_plain_integers_are_refused() -> None:
    with pytest.raises(Failed, match="not real numbers"):
        to_tensor(np.array([0.5]), detail(np.int32, (1,)))


@settings(deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20),
    st.floats(1e-6, 10),
    st.integers(-128, 127),
)
def test_quantisation_never_leaves_the_type(xs: list[float], scale: float, zp: int) -> None:
    q = to_tensor(np.array(xs), detail(np.int8, (len(xs),), scale, zp))
    assert q.dtype == np.int8
    back = (q.astype(np.float64) - zp) * scale
    inside = (q > -128) & (q < 127)
    assert np.all(np.abs(back - np.array(xs))[inside] <= scale * 0.5001 + 1e-9)


class NodeList:
    """An interpreter of which only the node list is looked at."""

    def __init__(self, *nodes: tuple[str, list[int], list[int]]) -> None:
        self._nodes = [{"op_name": n, "inputs": i, "outputs": o} for n, i, o in nodes]

    def _get_ops_details(self) -> list[dict[str, Any]]:
        return self._nodes


def test_a_partition_ends_at_its_inputs() -> None:
    evidence = node_evidence(
        NodeList(
            ("A", [0], [1]),
            ("B", [1], [2]),
            ("C", [2, 1], [3]),
            ("DELEGATE", [1, 2], [3]),
        )
    )
    assert evidence == {
        "total": 3,
        "delegated": 1,
        "partitions": 1,
        "outside": {"A": 1, "B": 1},
    }


def test_a_constant_that_two_partitions_share_is_counted_once() -> None:
    evidence = node_evidence(
        NodeList(
            ("DEQUANTIZE", [1], [2]),
            ("CONV", [0, 2, -1], [3]),
            ("ATAN2", [3, 3], [4]),
            ("CONV", [4, 2, -1], [5]),
            ("DELEGATE", [0, 1], [2, 3]),
            ("DELEGATE", [4, 2], [5]),
        )
    )
    assert (evidence["delegated"], evidence["outside"]) == (3, {"ATAN2": 1})


def test_a_node_that_feeds_nothing_counts_as_outside() -> None:
    evidence = node_evidence(
        NodeList(("A", [0], [1]), ("ASSIGN_VARIABLE", [0], []), ("DELEGATE", [0], [1]))
    )
    assert evidence["outside"] == {"ASSIGN_VARIABLE": 1}


def test_what_the_system_does_not_have_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nowhere:
        def __init__(self, path: str) -> None:
            self.path = path

        def read_text(self, *_: str) -> str:
            raise FileNotFoundError(self.path)

    monkeypatch.setattr(invoke_loop, "Path", Nowhere)
    assert invoke_loop.memory_peak_kib() is None
    assert invoke_loop.processor_ns() == (None, None)
