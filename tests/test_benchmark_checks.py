"""benchmark_model's launches for a profile and for answers: laid out, run, judged."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from models import (
    GraphBuilder,
    conv_model,
    float_model,
    int8_model,
    partial_model,
    two_input_model,
    write_model,
)

from bench.delegation.model import Coverage
from bench.errors import UserError
from bench.identity import Case, DelegateSpec
from bench.ops.model import OpKind, ProfileSource
from bench.records import Outcome, Purpose
from bench.runners import benchmark_answers
from bench.runners.base import Answers, LaunchFiles, LaunchLimits, LaunchSpec, Profiled, RawOutput
from bench.runners.benchmark_app import BenchmarkAppRunner
from bench.runners.benchmark_model import BenchmarkModelRunner
from bench.tools.cache import ToolBinary
from devices.adb import AdbTransport
from devices.blobs import BlobStore
from devices.deadline import Deadline
from devices.emulated.phone import EmulatedPhone
from devices.errors import Unsupported
from devices.launch import Launcher

if TYPE_CHECKING:
    from tests.adb_fixtures import PrivateServer

pytest_plugins = ("tests.adb_fixtures",)

ROOT = Path(__file__).parents[1]
GOLDEN = Path(__file__).parent / "golden" / "benchmark_model"
STANDIN = ROOT / "devices" / "emulated" / "standin"
CLASSIC, COMPILED = "benchmark_model", "benchmark_litert"
PROGRAMS = {CLASSIC: "benchmark_model", COMPILED: "benchmark_litert_model"}
SHORT = LaunchLimits(warmup_min_s=0.05, measure_min_s=0.05, measure_max_s=1, min_samples=20)
# Shells as phones and boards have them.
SHELLS = {"sh": ["sh"], "busybox": ["busybox", "sh"], "mksh": ["mksh"], "dash": ["dash"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_model(tmp_path / "m.tflite", float_model())
    (tmp_path / "clock.so").write_bytes(b"clock")
    return tmp_path


def runner(folder: Path, kind: str = CLASSIC) -> BenchmarkModelRunner:
    tool = ToolBinary(kind, "", "", STANDIN / PROGRAMS[kind], "ab" * 32)
    return BenchmarkModelRunner(tool, folder / "clock.so", system="linux", scratch=folder / "raw")


def spec(
    folder: Path,
    purpose: Purpose,
    delegate: str = "xnnpack",
    *,
    kind: str = CLASSIC,
    model: str = "m.tflite",
    samples: Path | None = None,
    **options: str,
) -> LaunchSpec:
    chosen = DelegateSpec(delegate, tuple(sorted(options.items())))
    case = Case("p", "m", "fp32", chosen, 2, kind, "phone", ())
    return LaunchSpec(case, folder / model, None, 0, SHORT, "key", purpose=purpose, samples=samples)


def launch(folder: Path, laid: LaunchFiles, *, shell: str = "sh", **env: str) -> RawOutput:
    """What a device would do with it."""
    place = folder / "run"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for name, source in laid.files.items():
        shutil.copy(source, place / name)
    argv = [*SHELLS[shell], *laid.argv[1:]] if laid.argv[0] == "sh" else list(laid.argv)
    ran = subprocess.run(
        argv,
        cwd=place,
        env={
            **os.environ,
            **laid.env,
            "EDGEBENCH_PYTHON": sys.executable,
            "PYTHONPATH": str(ROOT),
            **env,
        },
        capture_output=True,
        timeout=120,
        check=False,
    )
    left = {n: (place / n).read_bytes() for n in laid.results if (place / n).exists()}
    return RawOutput(ran.returncode, ran.stdout, ran.stderr, left)


def recorded(name: str, **files: bytes) -> RawOutput:
    case = GOLDEN / name
    named = {f"{key}.pb": value for key, value in files.items()}
    code = int((case / "rc").read_text())
    return RawOutput(code, (case / "stdout").read_bytes(), (case / "stderr").read_bytes(), named)


def profiled(made: BenchmarkModelRunner, given: LaunchSpec, output: RawOutput) -> Profiled:
    outcome, found, failed = made.read_profile(given, output)
    assert (outcome, failed) == (Outcome.OK, None)
    assert found is not None
    return found


class TestProfile:
    def test_the_classic_tool_writes_it_without_our_clock(self, folder: Path) -> None:
        laid = runner(folder).prepare(spec(folder, Purpose.PROFILE, "none"))
        assert {
            "--enable_op_profiling=true",
            "--op_profiling_output_mode=proto",
            "--op_profiling_output_file=profile.pb",
            "--use_xnnpack=false",
            "--num_threads=2",
            "--num_runs=20",
            "--max_secs=1",
        } <= set(laid.argv)
        assert (laid.env, laid.results) == ({}, ("nodes.pb", "profile.pb"))
        assert set(laid.files) == {"benchmark_model", "model.tflite", "input_0.bin"}

    def test_the_compiled_model_tool_prints_it(self, folder: Path) -> None:
        made = runner(folder, COMPILED)
        laid = made.prepare(spec(folder, Purpose.PROFILE, kind=COMPILED))
        assert "--use_profiler=true" in laid.argv
        assert not [word for word in laid.argv if "op_profiling" in word]
        assert laid.env == {}

    def test_a_delegates_options_are_those_of_the_timed_launches(self, folder: Path) -> None:
        asked = {"gpu_backend": "cl", "gpu_precision_loss_allowed": "false"}
        made = runner(folder)
        timed = made.prepare(spec(folder, Purpose.TIMING, "gpu", **asked)).argv
        wanted = {word for word in timed if "gpu" in word or "xnnpack" in word}
        assert len(wanted) == 4
        for purpose in (Purpose.PROFILE, Purpose.NUMERICS):
            given = spec(folder, purpose, "gpu", samples=samples(folder, (2, 1, 16)), **asked)
            assert wanted <= set(made.prepare(given).argv)

    def test_webgpu_has_none(self, folder: Path) -> None:
        made = runner(folder, COMPILED)
        given = spec(folder, Purpose.PROFILE, "gpu", kind=COMPILED, gpu_backend="webgpu")
        assert "no profiler" in str(made.cannot(given))
        assert made.cannot(spec(folder, Purpose.PROFILE, "gpu", kind=COMPILED)) is None
        told = RawOutput(1, b"INFO: STARTING!\n", b"ERROR: Profile is not implemented.\n")
        outcome, _, failed = made.read_profile(given, told)
        assert outcome is Outcome.LOAD_FAILED
        assert failed is not None
        assert "cannot be profiled" in failed.message

    def test_a_recorded_file(self, folder: Path) -> None:
        content = (GOLDEN / "05d_opprof_proto_file" / "out_profile.pb").read_bytes()
        output = recorded("05d_opprof_proto_file", profile=content)
        # It was recorded with the implicit XNNPACK, which no line names.
        found = profiled(runner(folder), spec(folder, Purpose.PROFILE, "none"), output)
        assert found.profile.source is ProfileSource.PROTO
        assert (found.profile.runs, found.profile.threads) == (241, 2)
        assert found.profile.invoke_us == pytest.approx(4124, rel=0.05)
        assert found.profile.notes == ()
        assert found.delegation is not None
        assert not found.delegation.as_requested

    @pytest.mark.parametrize("case", ["04c_small_opprof_stdout", "05e_opprof_proto_nofile"])
    def test_a_tool_that_prints_instead(self, folder: Path, case: str) -> None:
        found = profiled(runner(folder), spec(folder, Purpose.PROFILE, "none"), recorded(case))
        assert len(found.profile.regular[0].rows) == 7

    def test_flags_of_the_profile_that_an_old_tool_ignores(self, folder: Path) -> None:
        output = recorded("04c_small_opprof_stdout")
        said = b"WARN: Unconsumed cmdline flags: --op_profiling_output_mode=proto\n"
        old = RawOutput(0, output.stdout.replace(b"INFO: Log", said + b"INFO: Log", 1), b"")
        assert profiled(runner(folder), spec(folder, Purpose.PROFILE, "none"), old)
        never = RawOutput(0, old.stdout.replace(b"op_profiling_output_mode=proto", b"use_x=1"), b"")
        _, _, failed = runner(folder).read_profile(spec(folder, Purpose.PROFILE, "none"), never)
        assert failed is not None
        assert failed.kind == "flag"

    def test_dropped_events_are_told(self, folder: Path) -> None:
        output = recorded("15j_profiling_buffer_drop")
        found = profiled(runner(folder), spec(folder, Purpose.PROFILE, "none"), output)
        assert not found.profile.complete
        assert any("ops are missing" in note for note in found.profile.notes)

    def test_the_compiled_models_recording(self, folder: Path) -> None:
        output = recorded("19b_litert_cpp_profiler")
        given = spec(folder, Purpose.PROFILE, kind=COMPILED)
        found = profiled(runner(folder, COMPILED), given, output).profile
        assert (found.runs, found.invoke_us) == (479, 3080.62)
        assert len(found.regular[0].rows) == 66

    @pytest.mark.parametrize(
        ("case", "files", "words"),
        [
            ("01_fp32_default", {}, "without a profile"),
            ("05d_opprof_proto_file", {"profile": b"\x1a\x05"}, "cut off"),
            ("05d_opprof_proto_file", {"profile": b""}, "no ops of measured runs"),
            ("08a_missing_model", {}, "Could not open"),
            ("11g_dry_run", {}, "no runs"),
        ],
    )
    def test_what_is_no_profile(
        self, folder: Path, case: str, files: dict[str, bytes], words: str
    ) -> None:
        given = spec(folder, Purpose.PROFILE, "none")
        outcome, found, failed = runner(folder).read_profile(given, recorded(case, **files))
        assert found is None
        assert outcome is not Outcome.OK
        assert failed is not None
        assert words in failed.message

    @pytest.mark.parametrize("kind", [CLASSIC, COMPILED])
    def test_a_launch_of_the_stand_in(self, folder: Path, kind: str) -> None:
        write_model(folder / "partial.tflite", partial_model(512, 10))
        given = spec(folder, Purpose.PROFILE, kind=kind, model="partial.tflite")
        made = runner(folder, kind)
        found = profiled(made, given, launch(folder, made.prepare(given)))
        rows = found.profile.regular[0].rows
        assert [row.node for row in rows if row.kind is OpKind.OP] == [1]
        assert {row.type for row in rows} >= {"ATAN2", "Fully Connected (NC, F32) GEMM"}
        assert found.profile.invoke_us is not None
        total = sum(row.avg_us or 0 for row in rows)
        assert 0 < total <= 1.5 * found.profile.invoke_us
        assert found.delegation is not None
        assert found.delegation.verdict is Coverage.PARTIAL


# --- Answers -------------------------------------------------------------------------------


def samples(folder: Path, *shapes: tuple[int, ...]) -> Path:
    path = folder / "samples.npz"
    rng = np.random.default_rng(7)
    np.savez(path, *(rng.random(shape, np.float32) for shape in shapes))
    return path


def reference(model: Path, path: Path) -> list[np.ndarray[Any, Any]]:
    """The answers of the runtime here, one sample after another."""
    interpreter: Any = Interpreter(str(model))
    interpreter.allocate_tensors()
    given = [np.load(path)[f"arr_{k}"] for k in range(len(interpreter.get_input_details()))]
    found: list[list[Any]] = [[] for _ in interpreter.get_output_details()]
    for number in range(len(given[0])):
        for detail, values in zip(interpreter.get_input_details(), given, strict=True):
            scale, zero = detail["quantization"]
            item = values[number].reshape(detail["shape"])
            if scale:
                item = np.clip(np.round(item / scale) + zero, -128, 127)
            interpreter.set_tensor(detail["index"], item.astype(detail["dtype"]))
        interpreter.invoke()
        for kept, detail in zip(found, interpreter.get_output_details(), strict=True):
            kept.append(interpreter.get_tensor(detail["index"]))
    return [np.stack(kept) for kept in found]


def answered(folder: Path, given: LaunchSpec, **how: str) -> Answers:
    made = runner(folder)
    assert made.cannot(given) is None
    outcome, found, failed = made.read_answers(given, launch(folder, made.prepare(given), **how))
    assert (outcome, failed) == (Outcome.OK, None)
    assert found is not None
    return found


def two_outputs_model() -> bytes:
    """int32 and float32 outputs of a float input, in that order."""
    g = GraphBuilder()
    x = g.tensor((1, 16), name="in:side")
    y = g.dense(x, 16, 4)
    z = g.tensor((1, 16), np.int32, name="whole")
    options = schema.CastOptionsT()
    options.inDataType, options.outDataType = schema.TensorType.FLOAT32, schema.TensorType.INT32
    g.op(schema.BuiltinOperator.CAST, (x,), (z,), options)
    return g.build((x,), (z, y))


class TestAnswers:
    def test_one_start_for_each_sample(self, folder: Path) -> None:
        given = spec(folder, Purpose.NUMERICS, "none", samples=samples(folder, (3, 1, 16)))
        laid = runner(folder).prepare(given)
        assert laid.argv[:6] == ("sh", "answers.sh", "3", str((16 << 20) // 16), "64", "--")
        assert laid.argv[6] == "./benchmark_model"
        assert {"--num_runs=1", "--min_secs=0", "--warmup_runs=0"} <= set(laid.argv)
        assert laid.env == {}
        assert laid.results == ("nodes.pb", "answers_0.bin")
        assert set(laid.files) == {
            "benchmark_model",
            "model.tflite",
            "samples_0.bin",
            "answers.sh",
        }

    @pytest.mark.parametrize("shell", SHELLS)
    def test_they_are_the_runtimes_own_in_every_shell(self, folder: Path, shell: str) -> None:
        if shutil.which(SHELLS[shell][0]) is None:
            pytest.skip(f"{SHELLS[shell][0]} is not installed")
        given = spec(folder, Purpose.NUMERICS, samples=samples(folder, (2, 1, 16)))
        found = answered(folder, given, shell=shell)
        (wanted,) = reference(folder / "m.tflite", samples(folder, (2, 1, 16)))
        np.testing.assert_array_equal(found.outputs[0], wanted)
        assert found.quantization == (None,)
        assert found.delegation is not None
        assert found.delegation.verdict is Coverage.FULL

    def test_quantised_ones_with_their_scale(self, folder: Path) -> None:
        write_model(folder / "q.tflite", int8_model())
        path = samples(folder, (2, 1, 64))
        given = spec(folder, Purpose.NUMERICS, model="q.tflite", samples=path)
        found = answered(folder, given)
        (wanted,) = reference(folder / "q.tflite", path)
        assert found.outputs[0].dtype == np.int8
        np.testing.assert_array_equal(found.outputs[0], wanted)
        assert found.quantization[0] is not None
        assert found.quantization[0][0] > 0

    def test_several_inputs_and_several_outputs(self, folder: Path) -> None:
        for make, shapes in [
            (two_input_model, [(2, 1, 16), (2, 1, 16)]),
            (two_outputs_model, [(2, 1, 16)]),
        ]:
            write_model(folder / "several.tflite", make())
            path = samples(folder, *shapes)
            given = spec(folder, Purpose.NUMERICS, model="several.tflite", samples=path)
            found = answered(folder, given)
            wanted = reference(folder / "several.tflite", path)
            assert len(found.outputs) == len(wanted) == len(found.names)
            for ours, theirs in zip(found.outputs, wanted, strict=True):
                assert ours.dtype == theirs.dtype
                np.testing.assert_array_equal(ours, theirs)

    def test_an_open_batch_is_one(self, folder: Path) -> None:
        write_model(folder / "open.tflite", conv_model(8, 2, 1, batch=-1))
        path = samples(folder, (2, 8, 8, 1))
        given = spec(folder, Purpose.NUMERICS, model="open.tflite", samples=path)
        assert answered(folder, given).outputs[0].shape == (2, 1, 10)

    def test_large_outputs_come_in_several_files(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(benchmark_answers, "_FILE_BYTES", 40)
        path = samples(folder, (5, 1, 16))
        given = spec(folder, Purpose.NUMERICS, samples=path)
        assert runner(folder).prepare(given).results[1:] == tuple(
            f"answers_{k}.bin" for k in range(3)
        )
        (wanted,) = reference(folder / "m.tflite", path)
        np.testing.assert_array_equal(answered(folder, given).outputs[0], wanted)

    def test_what_cannot_be_answered(self, folder: Path) -> None:
        path = samples(folder, (2, 1, 16))
        compiled = spec(folder, Purpose.NUMERICS, kind=COMPILED, samples=path)
        assert "no input files" in str(runner(folder, COMPILED).cannot(compiled))
        app = BenchmarkAppRunner(
            ToolBinary("benchmark_app", "", "", folder / "m.tflite", "ab" * 32),
            scratch=folder / "raw",
        )
        for purpose in (Purpose.PROFILE, Purpose.NUMERICS):
            said = app.cannot(spec(folder, purpose, kind="benchmark_app", samples=path))
            assert "cannot hand over" in str(said)
        for shapes in [(2, 1, 5)], [(1001, 1, 16)], [(2, 1, 16), (2, 1, 16)]:
            given = spec(folder, Purpose.NUMERICS, samples=samples(folder, *shapes))
            assert runner(folder).cannot(given)
            with pytest.raises(UserError):
                runner(folder).prepare(given)

    def test_the_first_start_that_fails_ends_it(self, folder: Path) -> None:
        given = spec(folder, Purpose.NUMERICS, samples=samples(folder, (3, 1, 16)))
        made = runner(folder)
        laid = made.prepare(given)
        counting = folder / "tool"
        # A tool that crashes at its second start.
        counting.write_text(
            "#!/bin/sh\nif [ -f once ]; then kill -SEGV $$; fi\n: > once\n"
            f'exec "{STANDIN / "benchmark_model"}" "$@"\n'
        )
        counting.chmod(0o755)
        files = {**laid.files, "benchmark_model": counting}
        output = launch(folder, LaunchFiles(laid.argv, files, {}, {}, laid.results))
        assert output.stdout.count(b"edgebench-answer") == 2
        outcome, found, failed = made.read_answers(given, output)
        assert (outcome, found) == (Outcome.CRASHED, None)
        assert failed is not None
        assert failed.message.startswith("sample 1: the tool crashed (SIGSEGV)")

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"code": 73}, "it is full"),
            ({"code": 72}, "wrote no outputs"),
            ({"files": {}}, "leaves a shape open"),
            ({"cut": True}, "only 1 of 2 samples"),
            ({"mark": True}, "the script that starts the tool"),
        ],
    )
    def test_what_is_no_answer(self, folder: Path, change: dict[str, Any], words: str) -> None:
        given = spec(folder, Purpose.NUMERICS, "none", samples=samples(folder, (2, 1, 16)))
        made = runner(folder)
        tool = recorded("12h_output_filepath_only")
        marks = [b"edgebench-answer %d\n" % k for k in (0, 1)]
        stdout = b"".join(mark + tool.stdout for mark in marks)
        stderr = b"".join(marks)
        files = {"answers_0.bin": bytes(2 * 4 * 4)}
        whole = RawOutput(0, stdout, stderr, files)
        assert made.read_answers(given, whole)[0] is Outcome.OK
        if change.get("cut"):
            stdout, stderr = marks[0] + tool.stdout, marks[0]
        if change.get("mark"):
            stdout = stdout.replace(marks[1], b"edgebench-answer 2\n")
        broken = RawOutput(change.get("code", 0), stdout, stderr, change.get("files", files))
        outcome, found, failed = made.read_answers(given, broken)
        assert found is None
        assert outcome is not Outcome.OK
        assert failed is not None
        assert words in failed.message

    def test_a_tool_that_does_not_know_the_flag(self, folder: Path) -> None:
        given = spec(folder, Purpose.NUMERICS, "none", samples=samples(folder, (1, 1, 16)))
        tool = recorded("12h_output_filepath_only").stdout
        said = b"WARN: Unconsumed cmdline flags: --output_filepath=output.bin\n"
        mark = b"edgebench-answer 0\n"
        stdout = mark + tool.replace(b"INFO: Log", said + b"INFO: Log", 1)
        _, _, failed = runner(folder).read_answers(given, RawOutput(72, stdout, mark, {}))
        assert failed is not None
        assert failed.kind == "flag"


def test_profile_and_answers_on_a_phone(folder: Path, adb: PrivateServer) -> None:
    """The whole way over adb: Android's shell, a GPU that leaves an op, an accelerator's name."""
    phone = EmulatedPhone("android-13", "checked")
    try:
        phone.start()
    except Unsupported as error:
        phone.stop()
        pytest.skip(str(error))
    try:
        write_model(folder / "partial.tflite", partial_model(64, 10))
        refused = {"ATAN2": "Operation is not supported."}
        phone.state.set_standin(dataclasses.replace(phone.state.standin, gpu_unsupported=refused))
        transport = AdbTransport("phone", phone.address, server=adb.server)
        workdir = "/data/local/tmp/edgebench"
        launcher = Launcher(transport, workdir, BlobStore(transport, workdir))

        def on_the_phone(given: LaunchSpec) -> RawOutput:
            laid = runner(folder).prepare(given)
            output = launcher.run(
                str(given.purpose),
                laid.argv,
                files=laid.files,
                texts=laid.texts,
                env=laid.env,
                deadline=Deadline(120),
                results=laid.results,
            )
            return RawOutput(output.exit_code, output.stdout, output.stderr, output.files)

        path = samples(folder, (3, 1, 64))
        asked = spec(folder, Purpose.NUMERICS, "gpu", model="partial.tflite", samples=path)
        outcome, answers, failed = runner(folder).read_answers(asked, on_the_phone(asked))
        assert (outcome, failed) == (Outcome.OK, None)
        assert answers is not None
        (wanted,) = reference(folder / "partial.tflite", path)
        np.testing.assert_array_equal(answers.outputs[0], wanted)
        assert answers.delegation is not None
        assert answers.delegation.verdict is Coverage.PARTIAL
        asked = spec(folder, Purpose.PROFILE, "gpu", model="partial.tflite")
        found = profiled(runner(folder), asked, on_the_phone(asked))
        kinds = {row.type: row.kind for row in found.profile.regular[0].rows}
        assert kinds["TfLiteGpuDelegateV2"] is OpKind.DELEGATE
        assert kinds["ATAN2"] is OpKind.OP
        assert found.delegation is not None
        assert found.delegation.fallback_ops["ATAN2"] == 1
    finally:
        phone.stop()


@pytest.mark.parametrize(
    ("delegate", "options", "flags"),
    [
        (
            "hexagon",
            {"hexagon_lib_path": "/data/local/tmp/hexagon"},
            {"--use_hexagon=true", "--hexagon_lib_path=/data/local/tmp/hexagon"},
        ),
        (
            "external",
            {"path": "/data/local/tmp/libx.so", "options": "a:1;b:two"},
            {
                "--external_delegate_path=/data/local/tmp/libx.so",
                "--external_delegate_options=a:1;b:two",
            },
        ),
    ],
)
def test_libraries_of_delegates_are_named_and_not_laid_out(
    folder: Path, delegate: str, options: dict[str, str], flags: set[str]
) -> None:
    path = samples(folder, (2, 1, 16))
    for purpose in (Purpose.TIMING, Purpose.PROFILE, Purpose.NUMERICS):
        laid = runner(folder).prepare(spec(folder, purpose, delegate, samples=path, **options))
        assert flags <= set(laid.argv)
        assert {Path(name).suffix for name in laid.files} <= {"", ".tflite", ".bin", ".so", ".sh"}
        assert [name for name in laid.files if name.endswith(".so")] == (
            ["recorded_clock.so"] if purpose is Purpose.TIMING else []
        )


def test_the_clock_is_preloaded_where_runs_are_timed(folder: Path) -> None:
    assert "LD_PRELOAD" in runner(folder).prepare(spec(folder, Purpose.TIMING)).env
    assert runner(folder).prepare(spec(folder, Purpose.PROFILE)).env == {}
