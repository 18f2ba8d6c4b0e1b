"""The runners of benchmark_model: what they lay out, and what they make of a launch."""

from __future__ import annotations

import hashlib
import math
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import float_model, int8_model, partial_model, two_input_model, write_model

from bench.delegation.model import Coverage
from bench.errors import UserError
from bench.identity import Case, DelegateSpec
from bench.parsers.count_line import CountLine
from bench.records import Failure, Measurement, Outcome, Source
from bench.runners.base import LaunchFiles, LaunchLimits, LaunchSpec, RawOutput
from bench.runners.benchmark_model import BenchmarkModelRunner
from bench.runners.clock import library_for
from bench.tflite.facts import read_model
from bench.tools.cache import ToolBinary
from tests.clock_recordings import launch, recording

ROOT = Path(__file__).parents[1]
GOLDEN = Path(__file__).parent / "golden" / "benchmark_model"
COMPILED = "benchmark_litert"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_model(tmp_path / "m.tflite", float_model())
    (tmp_path / "tool").write_bytes(b"\x7fELF")
    (tmp_path / "clock.so").write_bytes(b"clock")
    return tmp_path


def runner(folder: Path, kind: str = "benchmark_model", clock: bool = True) -> BenchmarkModelRunner:
    tool = ToolBinary(kind, "android", "arm64-v8a", folder / "tool", "ab" * 32, "here", "v1")
    library = folder / "clock.so" if clock else None
    return BenchmarkModelRunner(tool, library, system="android", scratch=folder / "raw")


def spec(
    folder: Path,
    delegate: str = "xnnpack",
    *,
    kind: str = "benchmark_model",
    model: str = "m.tflite",
    inputs: Path | None = None,
    limits: LaunchLimits | None = None,
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = (),
    **options: str,
) -> LaunchSpec:
    chosen = DelegateSpec(delegate, tuple(sorted(options.items())))
    case = Case("p", "m", "fp32", chosen, 2, kind, "phone", shapes)
    return LaunchSpec(case, folder / model, inputs, 0, limits or LaunchLimits(), "key")


def recorded(name: str, exit_code: int | None = None, **files: bytes) -> RawOutput:
    case = GOLDEN / name
    code = int((case / "rc").read_text()) if exit_code is None else exit_code
    named = {f"{key}.pb" if key != "clock" else "clock.bin": v for key, v in files.items()}
    return RawOutput(code, (case / "stdout").read_bytes(), (case / "stderr").read_bytes(), named)


def failure(folder: Path, name: str, delegate: str = "xnnpack", **changes: Any) -> Failure:
    kind = COMPILED if name[:2] in ("19", "20") else "benchmark_model"
    outcome, measurement, failed = runner(folder, kind).read(
        spec(folder, delegate, kind=kind), recorded(name, **changes)
    )
    assert measurement is None
    assert outcome is not Outcome.OK
    assert failed is not None
    return failed


def measured(folder: Path, output: RawOutput, delegate: str = "xnnpack", **how: Any) -> Measurement:
    kind = how.get("kind", "benchmark_model")
    outcome, measurement, failed = runner(folder, kind).read(spec(folder, delegate, **how), output)
    assert (outcome, failed) == (Outcome.OK, None)
    assert measurement is not None
    return measurement


class TestPrepare:
    def test_the_classic_tool_gets_policy_delegate_and_files(self, folder: Path) -> None:
        laid = runner(folder).prepare(spec(folder, "gpu", gpu_backend="cl"))
        assert laid.argv[:12] == (
            "./benchmark_model",
            "--graph=model.tflite",
            "--num_threads=2",
            "--use_gpu=true",
            "--use_xnnpack=true",
            "--gpu_backend=cl",
            "--warmup_runs=10",
            "--warmup_min_secs=2",
            "--num_runs=100",
            "--min_secs=0.3",
            "--max_secs=5",
            "--report_peak_memory_footprint=true",
        )
        assert "--enable_op_profiling=true" not in laid.argv
        assert laid.results == ("result.pb", "nodes.pb", "clock.bin")
        assert laid.env == {
            "LD_PRELOAD": "./recorded_clock.so",
            "EDGEBENCH_CLOCK_OUT": "clock.bin",
        }
        assert laid.files["benchmark_model"] == folder / "tool"
        assert laid.files["recorded_clock.so"] == folder / "clock.so"

    def test_without_a_clock_library_nothing_is_preloaded(self, folder: Path) -> None:
        laid = runner(folder, clock=False).prepare(spec(folder))
        assert laid.env == {}
        assert laid.results == ("result.pb", "nodes.pb")

    def test_the_compiled_model_tool_has_flags_of_its_own(self, folder: Path) -> None:
        laid = runner(folder, COMPILED).prepare(spec(folder, "gpu", kind=COMPILED))
        assert "--use_cpu=true" in laid.argv
        assert not [word for word in laid.argv if "xnnpack" in word or "input_layer" in word]
        assert "--export_model_runtime_info=true" not in laid.argv
        assert "--model_runtime_info_output_file=nodes.pb" in laid.argv

    def test_short_limits_make_short_launches(self, folder: Path) -> None:
        limits = LaunchLimits(
            warmup_min_s=0.1,
            warmup_min_invokes=1,
            measure_min_s=0.2,
            measure_max_s=1,
            min_samples=7,
        )
        words = runner(folder).prepare(spec(folder, limits=limits)).argv
        assert {"--warmup_runs=1", "--warmup_min_secs=0.2", "--num_runs=7", "--max_secs=1"} <= set(
            words
        )

    def test_the_tool_gets_our_draw_and_its_hash_is_recorded(self, folder: Path) -> None:
        name = read_model((folder / "m.tflite").read_bytes()).inputs[0].name
        laid = runner(folder).prepare(spec(folder))
        assert f"--input_layer={name}" in laid.argv
        assert "--input_layer_shape=1,16" in laid.argv
        assert f"--input_layer_value_files={name}:input_0.bin" in laid.argv
        content = laid.files["input_0.bin"].read_bytes()
        values = np.frombuffer(content, "<f4")
        assert values.shape == (16,)
        assert values.min() >= 1e-3
        found = measured(folder, recorded("02b_fp32_explicit_xnnpack"))
        assert found.inputs["source"] == "seeded-draw"
        assert found.inputs["sha256"] == hashlib.sha256(content).hexdigest()

    def test_the_holdout_is_quantised_as_the_model_wants_it(self, folder: Path) -> None:
        write_model(folder / "q.tflite", int8_model())
        port = read_model((folder / "q.tflite").read_bytes()).inputs[0]
        assert port.scale is not None
        assert port.zero_point is not None
        whole = np.arange(-32, 32, dtype=np.int8).reshape(port.shape)
        real = ((whole.astype(np.float64) - port.zero_point) * port.scale).astype(np.float32)
        np.savez(folder / "x.npz", real)
        given = spec(folder, model="q.tflite", inputs=folder / "x.npz")
        laid = runner(folder).prepare(given)
        assert laid.files["input_0.bin"].read_bytes() == whole.tobytes()

    def test_two_inputs_in_the_models_order_with_colons_doubled(self, folder: Path) -> None:
        write_model(folder / "two.tflite", two_input_model())
        ports = read_model((folder / "two.tflite").read_bytes()).inputs
        content = (folder / "two.tflite").read_bytes()
        old = ports[0].name.encode()
        new = (b"serving_default_x:0" + b"_" * len(old))[: len(old)]
        if b":" in new:
            (folder / "two.tflite").write_bytes(content.replace(old, new))
        ports = read_model((folder / "two.tflite").read_bytes()).inputs
        laid = runner(folder).prepare(spec(folder, model="two.tflite"))
        flag = _flag(laid, "--input_layer_value_files=")
        names = [port.name.replace(":", "::") for port in ports]
        assert flag == f"{names[0]}:input_0.bin,{names[1]}:input_1.bin"
        assert _flag(laid, "--input_layer=") == ",".join(port.name for port in ports)
        assert len(_flag(laid, "--input_layer_shape=").split(":")) == 2

    def test_a_name_with_a_comma_cannot_be_given(self, folder: Path) -> None:
        content = (folder / "m.tflite").read_bytes()
        name = read_model(content).inputs[0].name
        (folder / "m.tflite").write_bytes(content.replace(name.encode(), b"," * len(name.encode())))
        laid = runner(folder).prepare(spec(folder))
        assert not [word for word in laid.argv if word.startswith("--input_layer")]
        np.savez(folder / "x.npz", np.ones((1, 16), np.float32))
        with pytest.raises(UserError, match="cannot be given"):
            runner(folder).prepare(spec(folder, inputs=folder / "x.npz"))

    def test_a_holdout_of_another_shape_is_the_users_error(self, folder: Path) -> None:
        np.savez(folder / "x.npz", np.ones((1, 5), np.float32))
        with pytest.raises(UserError, match="takes shape"):
            runner(folder).prepare(spec(folder, inputs=folder / "x.npz"))

    def test_a_planned_shape_is_given_to_the_tool(self, folder: Path) -> None:
        name = read_model((folder / "m.tflite").read_bytes()).inputs[0].name
        laid = runner(folder).prepare(spec(folder, shapes=((name, (4, 16)),)))
        assert "--input_layer_shape=4,16" in laid.argv
        assert laid.files["input_0.bin"].stat().st_size == 4 * 16 * 4

    def test_the_binary_is_named_in_every_environment(self, folder: Path) -> None:
        found = runner(folder).environment
        assert found["runner_sha256"] == "ab" * 32
        assert found["runner_clock_sha256"] == hashlib.sha256(b"clock").hexdigest()
        assert runner(folder, clock=False).environment["runner_clock_sha256"] is None


def _flag(laid: LaunchFiles, start: str) -> str:
    return next(word for word in laid.argv if word.startswith(start)).removeprefix(start)


class TestFailures:
    @pytest.mark.parametrize(
        ("name", "delegate", "kind", "words"),
        [
            ("07a_use_gpu_cmakebuild", "gpu", "flag", "--use_gpu=true"),
            ("07b_use_nnapi_cmakebuild", "nnapi", "flag", "--use_nnapi=true"),
            ("13d_unknown_flag", "none", "flag", "--no_such_flag=1"),
            ("19o_litert_cpp_unknown_flag", "xnnpack", "flag", "--use_xnnpack=false"),
            ("07c_use_gpu_allproviders", "gpu", "delegate", "GPU"),
            ("07k_external_delegate_missing_so", "external", "delegate", "made no external"),
            ("20b_litert_cpp_gpubuild_use_gpu_no_lib", "gpu", "delegate", "no GPU accelerator"),
            ("19g_litert_cpp_npu_none", "npu", "delegate", "no NPU accelerator"),
            ("07j_use_gpu_require_full_delegation", "gpu", "delegate", "Disallowed CPU fallback"),
            ("07m_require_full_delegation_mixed", "xnnpack", "delegate", "Disallowed CPU"),
            ("07t_external_dummy_delegate_failinit", "external", "delegate", "Failed to apply"),
            ("07r_external_dummy_delegate_failinvoke", "external", "invoke", "failed to invoke"),
            ("08a_missing_model", "xnnpack", "load", "Could not open"),
            ("08b_truncated_model", "xnnpack", "load", "model"),
            ("08j_flex_op_unsupported", "xnnpack", "load", "Select TensorFlow op"),
            ("12b_input_shape_mismatch_dims", "xnnpack", "inputs", "4 dimensions"),
            ("12k_resize_impossible", "xnnpack", "allocate", "allocate"),
            ("13e_bad_flag_value", "xnnpack", "flag", "num_runs"),
            ("14g_bad_signature", "xnnpack", "signature", "Signature not specified"),
            ("19j_litert_cpp_text_model", "xnnpack", "load", "TFL3"),
            ("19e_litert_cpp_gpu_only_required", "gpu", "tool", "exit code 1"),
            ("12d_input_file_wrong_size", "xnnpack", "crash", "It should be 12288 bytes"),
            ("19p_litert_cpp_bad_precision", "gpu", "crash", "Invalid gpu-precision"),
            ("11g_dry_run", "none", "no-measurement", "no runs"),
            ("11j_max_secs_negative", "none", "no-measurement", "no runs"),
            ("11l_all_same", "none", "no-measurement", "less than 1 µs"),
            ("14f_multi_signature_run", "none", "no-measurement", "less than 1 µs"),
            ("18b_killed_sigterm_midrun", "none", "tool", "exit code 124"),
            ("13a_help", "xnnpack", "tool", "exit code 1"),
        ],
    )
    def test_recordings_that_are_no_result(
        self, folder: Path, name: str, delegate: str, kind: str, words: str
    ) -> None:
        failed = failure(folder, name, delegate)
        assert failed.kind == kind
        assert words in failed.message
        assert "\n" not in failed.message

    def test_ended_with_success_before_the_measurement(self, folder: Path) -> None:
        failed = failure(folder, "18b_killed_sigterm_midrun", "none", exit_code=0)
        assert (failed.kind, "without a measurement" in failed.message) == ("no-measurement", True)

    @pytest.mark.parametrize(
        ("exit_code", "words"),
        [
            (-6, "SIGABRT"),
            (134, "SIGABRT"),
            (-9, "killed (SIGKILL): from outside"),
            (137, "killed (SIGKILL)"),
            (139, "SIGSEGV"),
            (-11, "SIGSEGV"),
        ],
    )
    def test_signals_are_crashes_however_they_are_told(
        self, folder: Path, exit_code: int, words: str
    ) -> None:
        for output in (
            recorded("18b_killed_sigterm_midrun", exit_code),
            RawOutput(exit_code, b"", b""),
        ):
            outcome, _, failed = runner(folder).read(spec(folder), output)
            assert outcome is Outcome.CRASHED
            assert failed is not None
            assert words in failed.message

    def test_a_binary_that_does_not_start(self, folder: Path) -> None:
        for code in (126, 127):
            outcome, _, failed = runner(folder).read(spec(folder), RawOutput(code, b"", b"no"))
            assert (outcome, failed and failed.kind) == (Outcome.LOAD_FAILED, "tool")

    def test_a_loader_that_speaks_in_the_tools_place(self, folder: Path) -> None:
        words = b'CANNOT LINK EXECUTABLE "./benchmark_model": library "libGLESv3.so" not found\n'
        outcome, _, failed = runner(folder).read(spec(folder), RawOutput(1, b"", words))
        assert failed is not None
        assert (outcome, failed.kind) == (Outcome.LOAD_FAILED, "tool")
        assert "CANNOT LINK" in failed.message

    def test_success_with_nothing_to_read(self, folder: Path) -> None:
        outcome, _, failed = runner(folder).read(spec(folder), RawOutput(0, b"", b""))
        assert (outcome, failed and failed.kind) == (Outcome.UNREADABLE, "unreadable")

    def test_a_flag_too_new_for_the_tool_that_changes_nothing(self, folder: Path) -> None:
        output = recorded("02b_fp32_explicit_xnnpack")
        warning = (
            b"WARN: Unconsumed cmdline flags: --result_file_path=result.pb "
            b"--export_model_runtime_info=true --model_runtime_info_output_file=nodes.pb\n"
        )
        old = RawOutput(0, output.stdout.replace(b"INFO: Graph", warning + b"INFO: Graph"), b"")
        assert measured(folder, old).delegation.verdict is Coverage.FULL

    def test_an_input_that_the_tool_knows_by_another_name(self, folder: Path) -> None:
        output = recorded("02b_fp32_explicit_xnnpack")
        warning = b"WARN: Tensor # 0 is named A but flags call it B\n"
        other = RawOutput(0, output.stdout.replace(b"INFO: Graph", warning + b"INFO: Graph"), b"")
        _, _, failed = runner(folder).read(spec(folder), other)
        assert failed is not None
        assert failed.kind == "inputs"


class TestFigures:
    def test_from_the_text_where_no_clock_proved_itself(self, folder: Path) -> None:
        found = measured(folder, recorded("02b_fp32_explicit_xnnpack"))
        assert (found.p50_us, found.p50_source, found.resolution_us) == (2988, Source.TOOL, 1.0)
        assert (found.mean_us, found.min_us, found.max_us) == (3116.06, 2855, 7371)
        # p95 is 25 % above the median: only bounds.
        assert (found.p90_us, found.p90_source) == (None, Source.INTERPOLATED)
        assert found.p90_bounds_us == (2988, 3761)
        assert found.p90_reason
        assert found.p95_us == 3761
        assert (found.first_inference_us, found.init_us) == (3237, 9890)
        assert (found.count, found.samples_ns, found.digest) == (319, None, None)
        # 3066 in warm-up, 2988 measured.
        assert found.steady is False
        assert found.warmup_s == pytest.approx(158 * 3148.15e-6)
        assert found.delegation.verdict is Coverage.FULL
        assert found.runtime["runner_sha256"] == "ab" * 32
        assert "no recording" in found.runtime["clock"]
        assert found.load_us is found.allocate_us is found.load is None
        assert found.timer_cost_ns is found.cpu_us_per_invoke is None

    def test_an_estimate_lies_within_its_bounds(self, folder: Path) -> None:
        # median=2909 p95=3013 p5=2848
        found = measured(folder, recorded("19a_litert_cpp_cpu"), kind=COMPILED)
        assert found.p90_source is Source.INTERPOLATED
        assert found.p90_us is not None
        assert 2909 < found.p90_us < 3013
        assert found.p90_bounds_us == (2909, 3013)
        # 2969 in warm-up: apart by 60, allowed 59.4, and whole us leave it open.
        assert found.steady is None
        assert found.inputs["source"] == "tool-random"

    def test_below_100_us_the_mean_stands_in(self, folder: Path) -> None:
        found = measured(folder, recorded("07o_require_full_delegation_ok"))
        assert (found.p50_us, found.p50_source) == (26.4843, Source.TOOL_MEAN)
        assert (found.p90_us, found.p95_us, found.p90_source) == (None, None, Source.UNAVAILABLE)
        assert found.resolution_us == 0.001
        assert found.p90_reason
        assert found.steady is None
        # 57,000 samples of the tool's own are no part of the model's memory.
        assert found.peak_rss_kib is None

    def test_few_runs_have_no_p90(self, folder: Path) -> None:
        found = measured(folder, recorded("02_fp32_no_xnnpack"), "none")
        assert (found.count, found.p50_us, found.p50_source) == (30, 34053, Source.TOOL)
        assert (found.p90_us, found.p95_us, found.p90_source) == (None, None, Source.UNAVAILABLE)
        assert found.p90_reason == "only 30 samples; p90 needs 64"
        assert found.delegation.as_requested
        assert found.steady is True

    def test_an_old_tool_gives_a_row_without_percentiles(self, folder: Path) -> None:
        text = (
            b"STARTING!\nInitialized session in 21.039ms\n"
            b"count=6 first=91810 curr=85097 min=84834 max=91810 avg=86184.3 std=2519\n\n"
            b"count=50 first=118810 curr=114219 min=88216 max=129193 avg=115062 std=7678\n\n"
            b"Average inference timings in us: Warmup: 86184.3, Init: 21039, no stats: 115062\n"
        )
        found = measured(folder, RawOutput(0, b"", text), "none")
        assert (found.p50_us, found.p50_source) == (None, Source.UNAVAILABLE)
        assert (found.p90_us, found.p90_source) == (None, Source.UNAVAILABLE)
        assert found.mean_us == 115062
        assert found.steady is None

    def test_memory(self, folder: Path) -> None:
        found = measured(folder, recorded("14a_result_file_path"), "none")
        assert found.peak_rss_kib == round(45.3828 * 1024)

    def test_one_that_was_drifting(self, folder: Path) -> None:
        output = recorded("18d_oom_ulimit")
        # 2893 in warm-up, 2933 measured: 1.4 %.
        assert measured(folder, output, "none").steady is True
        slower = output.stdout.replace(b"median=2933", b"median=2990")
        assert slower != output.stdout
        assert measured(folder, RawOutput(0, slower, b""), "none").steady is False


@pytest.mark.parametrize(
    ("kind", "program"),
    [("benchmark_model", "benchmark_model"), (COMPILED, "benchmark_litert_model")],
)
def test_a_launch_of_the_stand_in(folder: Path, kind: str, program: str) -> None:
    """The whole way: what is laid out starts, and what it leaves is read."""
    library = library_for(platform.machine(), 64)
    if library is None:
        pytest.skip("no recorded clock for this machine")
    write_model(folder / "partial.tflite", partial_model(512, 10))
    stand_in = ROOT / "devices" / "emulated" / "standin" / program
    tool = ToolBinary(kind, "", "", stand_in, "ab" * 32)
    made = BenchmarkModelRunner(tool, library, system="linux", scratch=folder / "raw")
    limits = LaunchLimits(warmup_min_s=0.05, measure_min_s=0.1, measure_max_s=1)
    given = spec(folder, kind=kind, model="partial.tflite", limits=limits)
    laid = made.prepare(given)
    place = folder / "run"
    place.mkdir()
    for name, source in laid.files.items():
        shutil.copy(source, place / name)
    env = {**os.environ, **laid.env, "EDGEBENCH_PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(laid.argv, cwd=place, env=env, capture_output=True, timeout=120)
    left = {n: (place / n).read_bytes() for n in laid.results if (place / n).exists()}
    output = RawOutput(ran.returncode, ran.stdout, ran.stderr, left)
    outcome, found, failed = made.read(given, output)
    assert (outcome, failed) == (Outcome.OK, None)
    assert found is not None
    assert found.p50_us is not None
    assert (found.p50_source is Source.SAMPLES) == (found.runtime["clock"] == "proved")
    assert found.delegation.verdict is Coverage.PARTIAL
    assert found.delegation.fallback_ops == {"ATAN2": 1}


class TestResultFile:
    RESULT = (GOLDEN / "14a_result_file_path" / "out_result.pb").read_bytes()

    def test_both_say_the_same(self, folder: Path) -> None:
        output = recorded("14a_result_file_path", result=self.RESULT)
        assert measured(folder, output, "none").p50_us == 2992

    @settings(deadline=None, max_examples=150)
    @given(st.data())
    def test_a_changed_digit_of_a_time_is_seen(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        folder = tmp_path_factory.getbasetemp()
        write_model(folder / "m.tflite", float_model())
        (folder / "tool").write_bytes(b"tool")
        output = recorded("14a_result_file_path", result=self.RESULT)
        start = output.stdout.rindex(b"count=")
        end = output.stdout.index(b"\n", start)
        places = [k for k in range(start, end) if output.stdout[k : k + 1].isdigit()]
        place = data.draw(st.sampled_from(places))
        digit = data.draw(st.sampled_from(b"0123456789"))
        changed = output.stdout[:place] + bytes([digit]) + output.stdout[place + 1 :]
        true = measured_or_none(folder, output)
        found = measured_or_none(folder, RawOutput(0, changed, output.stderr, output.files))
        assert true is not None
        assert found is None or _numbers(found) == _numbers(true)

    def test_a_damaged_one_is_no_result(self, folder: Path) -> None:
        output = recorded("14a_result_file_path", result=self.RESULT[:40])
        _, _, failed = runner(folder, clock=False).read(spec(folder, "none"), output)
        assert failed is not None
        assert failed.kind == "unreadable"

    def test_the_node_list_decides(self, folder: Path) -> None:
        nodes = (GOLDEN / "14b_model_runtime_info" / "out_runtime_info.pb").read_bytes()
        output = recorded("19a_litert_cpp_cpu", nodes=nodes)
        found = measured(folder, output, kind=COMPILED).delegation
        assert (found.verdict, found.fallback_ops) == (
            Coverage.PARTIAL,
            {"CUMSUM": 1, "TOPK_V2": 1},
        )


def measured_or_none(folder: Path, output: RawOutput) -> Measurement | None:
    tool = ToolBinary("benchmark_model", "android", "arm64-v8a", folder / "tool", "ab" * 32)
    made = BenchmarkModelRunner(tool, None, system="android", scratch=folder / "raw")
    return made.read(spec(folder, "none"), output)[1]


def _numbers(found: Measurement) -> tuple[object, ...]:
    return (
        found.count,
        found.p50_us,
        found.p95_us,
        found.mean_us,
        found.min_us,
        found.max_us,
        found.p90_bounds_us,
    )


def count_text(line: CountLine) -> str:
    names = ("count", "first", "curr", "min", "max", "avg", "std", "p5", "median", "p95")
    values = ((name, getattr(line, name)) for name in names)
    return " ".join(
        f"{name}={value:.6g}" if name == "avg" else f"{name}={value}"
        for name, value in values
        if value is not None
    )


class TestRecordedClock:
    def output(self, samples_ns: list[int], reads: slice = slice(None)) -> RawOutput:
        made = launch([5_100_000, 3_000_400, *([2_990_000] * 20)], samples_ns)
        text = (
            "INFO: STARTING!\n"
            "INFO: XNNPACK delegate created.\n"
            "INFO: Explicitly applied XNNPACK delegate, and the model graph will be completely "
            "executed by the delegate.\n"
            "INFO: Initialized session in 9.89ms.\n"
            f"INFO: {count_text(made.warmup)}\n\nINFO: {count_text(made.measured)}\n\n"
            "INFO: Inference timings in us: Init: 9890, First inference: "
            f"{made.warmup.first}, Warmup (avg): {made.warmup.avg:.6g}, "
            f"Inference (avg): {made.measured.avg:.6g}\n"
        )
        content = recording(made.reads[reads])
        return RawOutput(0, text.encode(), b"", {"clock.bin": content})

    def test_every_sample_where_it_proves_itself(self, folder: Path) -> None:
        rng = np.random.default_rng(1)
        samples = (2_990_000 + rng.integers(0, 90_000, 300)).tolist()
        found = measured(folder, self.output(samples))
        assert found.samples_ns is not None
        assert found.samples_ns.tolist() == samples
        assert (found.p50_source, found.p90_source) == (Source.SAMPLES, Source.SAMPLES)
        assert found.p90_us == pytest.approx(np.percentile(samples, 90) / 1e3)
        assert found.p90_bounds_us is None
        assert found.resolution_us == 0.001
        assert found.first_inference_us == 5100.0
        assert found.runtime["clock"] == "proved"
        assert found.digest is not None
        assert found.steady is True

    def test_a_lost_read_leaves_the_tools_own_figures(self, folder: Path) -> None:
        rng = np.random.default_rng(1)
        samples = (2_990_000 + rng.integers(0, 90_000, 300)).tolist()
        found = measured(folder, self.output(samples, slice(0, -40)))
        assert (found.samples_ns, found.p50_source) == (None, Source.TOOL)
        assert found.runtime["clock"] not in ("proved", "")

    def test_no_more_samples_are_kept_than_the_limits_say(self, folder: Path) -> None:
        rng = np.random.default_rng(1)
        samples = (2_990_000 + rng.integers(0, 90_000, 300)).tolist()
        limits = LaunchLimits(max_samples=100)
        found = measured(folder, self.output(samples), limits=limits)
        assert found.samples_ns is not None
        assert found.samples_ns.tolist() == samples[::3]
        assert found.count == 100
        assert found.runtime["measured_invokes"] == 300
        # Mean, least and greatest are of all of them.
        assert math.isclose(found.mean_us, np.mean(samples) / 1e3)
        assert (found.min_us, found.max_us) == (min(samples) / 1e3, max(samples) / 1e3)
