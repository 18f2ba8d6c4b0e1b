"""The stand-in prints what the real programs printed, and computes as they do."""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from ai_edge_litert import model_runtime_info_pb2
from hypothesis import given
from hypothesis import strategies as st

from bench.parsers.count_line import parse_count_line
from bench.parsers.op_profile import parse_profile_text
from bench.parsers.recorded_clock import rebuild
from bench.runners.clock import library_for
from devices.emulated import standin
from devices.emulated.standin import build, classic, delegates, figures, litert, loop
from devices.emulated.standin.runtime import Model

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden" / "benchmark_model"
SENTINEL = ROOT / "bench" / "sentinel.tflite"
NOTICE = f"INFO: {standin.NOTICE}\n"
# Said by the runtime once per process, whoever runs first.
CREATED = "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n"
COUNT = re.compile(
    r"count=(\d+)(?: first=(\d+))?(?: curr=(\d+)(\(all same\))?(?: min=(\d+) max=(\d+)"
    r" avg=([\d.e+]+) std=(\d+))?)? p5=(\d+) median=(\d+) p95=(\d+)"
)
ABORTING = {"12d_input_file_wrong_size", "12e_input_file_missing"} | {
    "19f_litert_cpp_full_delegation_with_cpu_default"
}
# Recorded cases of the real programs, and the command of each.
CASES = {
    "02b_fp32_explicit_xnnpack": [
        "bin/benchmark_model",
        "--graph=models/mobilenetv2_fp32.tflite",
        "--use_xnnpack=true",
    ],
    "08a_missing_model": ["bin/benchmark_model", "--graph=models/does_not_exist.tflite"],
    "08b_truncated_model": ["bin/benchmark_model", "--graph=models/truncated.tflite"],
    "08e_no_graph_flag": ["bin/benchmark_model"],
    "08f_directory_as_model": ["bin/benchmark_model", "--graph=models"],
    "11g_dry_run": ["bin/benchmark_model", "--graph=models/smallcnn_fp32.tflite", "--dry_run=true"],
    "11j_max_secs_negative": [
        "bin/benchmark_model",
        "--graph=models/smallcnn_fp32.tflite",
        "--max_secs=-1",
    ],
    "12d_input_file_wrong_size": [
        "bin/benchmark_model",
        "--graph=models/smallcnn_fp32.tflite",
        "--input_layer=serving_default_input_1:0",
        "--input_layer_shape=1,32,32,3",
        "--input_layer_value_files=serving_default_input_1::0:models/text.tflite",
    ],
    "12e_input_file_missing": [
        "bin/benchmark_model",
        "--graph=models/smallcnn_fp32.tflite",
        "--input_layer=serving_default_input_1:0",
        "--input_layer_shape=1,32,32,3",
        "--input_layer_value_files=serving_default_input_1::0:models/nope.bin",
    ],
    "12f_input_layer_without_shape": [
        "bin/benchmark_model",
        "--graph=models/smallcnn_fp32.tflite",
        "--input_layer=serving_default_input_1:0",
    ],
    "12h_output_filepath_only": [
        "bin/benchmark_model",
        "--graph=models/mixed_fp32.tflite",
        "--output_filepath=fixtures/12h_output_filepath_only/out_outputs.bin",
        "--num_runs=5",
        "--min_secs=0",
    ],
    "13d_unknown_flag": [
        "bin/benchmark_model",
        "--graph=models/smallcnn_fp32.tflite",
        "--no_such_flag=1",
        "--num_runs=5",
        "--min_secs=0",
    ],
    "13g_flag_without_equals": [
        "bin/benchmark_model",
        "--graph",
        "models/smallcnn_fp32.tflite",
        "--num_runs",
        "5",
    ],
    "19f_litert_cpp_full_delegation_with_cpu_default": [
        "bin/benchmark_litert_model_nogpu",
        "--graph=models/mobilenetv2_fp32.tflite",
        "--use_gpu=true",
        "--require_full_delegation=true",
        "--num_runs=5",
    ],
    "19h_litert_cpp_missing_model": [
        "bin/benchmark_litert_model_nogpu",
        "--graph=models/nope.tflite",
    ],
    "19o_litert_cpp_unknown_flag": [
        "bin/benchmark_litert_model_nogpu",
        "--graph=models/mobilenetv2_fp32.tflite",
        "--num_runs=3",
        "--min_secs=0",
        "--enable_op_profiling=true",
        "--use_xnnpack=false",
    ],
}


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with files of the names that the recorded commands use."""
    directory = tmp_path / "models"
    directory.mkdir()
    whole = SENTINEL.read_bytes()
    for name in ("mobilenetv2_fp32", "smallcnn_fp32", "mixed_fp32"):
        (directory / f"{name}.tflite").write_bytes(whole)
    (directory / "truncated.tflite").write_bytes(whole[: len(whole) // 2])
    (directory / "text.tflite").write_text("not a model" * 100)
    (tmp_path / "fixtures" / "12h_output_filepath_only").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def arguments(case: str) -> list[str]:
    # The sentinel's input has another name.
    model = Model(str(SENTINEL), threads=1, xnnpack=False, shapes={})
    name, shape, _ = model.inputs()[0]
    changed = []
    for word in CASES[case]:
        word = word.replace("serving_default_input_1::0", name.replace(":", "::"))
        word = word.replace("serving_default_input_1:0", name)
        if word.startswith("--input_layer_shape="):
            word = "--input_layer_shape=" + ",".join(map(str, shape))
        changed.append(word)
    return changed


def shape_of(text: str) -> str:
    """A log without its numbers, and without what the model's own names and sizes make."""
    text = re.sub(r"(--)?input_layer(_shape|_value_files)?[=\w:,./]*", "input", text)
    text = re.sub(r"Input (layers|shapes|value files): \[.*\]", r"Input \1: []", text)
    text = re.sub(r"\(serving_default_\S+ with", "(INPUT with", text)
    text = re.sub(r"\(StatefulPartitionedCall\S+ with|\(input\S* with", "(INPUT with", text)
    text = re.sub(r"0x[0-9a-f]+", "POINTER", text)
    # Which form it has depends on whether three runs happened to take the same microseconds.
    text = COUNT.sub("COUNT LINE", text)
    return re.sub(r"\d+(\.\d+)?(e[+-]\d+)?", "N", text)


@pytest.mark.parametrize("case", CASES)
def test_it_says_what_the_real_program_said(
    case: str, models: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    golden = GOLDEN / case
    argv = arguments(case)
    dialect = litert if case.startswith("19") else classic
    capfd.readouterr()
    if case in ABORTING:
        ran = subprocess.run(
            [sys.executable, "-P", "-m", dialect.__name__, *argv],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        code, out, err = ran.returncode, ran.stdout, ran.stderr
    else:
        code = dialect.main(argv)
        out, err = capfd.readouterr()

    wanted = int((golden / "rc").read_text())
    assert code == (128 - wanted if wanted > 128 else wanted)
    assert shape_of(out.replace(NOTICE, "", 1)) == shape_of((golden / "stdout").read_text())
    wanted_err = (golden / "stderr").read_text().replace(CREATED, "")
    lines = [line for line in err.splitlines(True) if line != CREATED]
    ours = [
        line
        for line in lines
        if "DestroyAccelerator" not in line and "compiled_model.cc" not in line
    ]
    theirs = [
        line
        for line in wanted_err.splitlines(True)
        if "DestroyAccelerator" not in line and "compiled_model.cc" not in line
    ]
    assert shape_of("".join(ours)) == shape_of("".join(theirs))
    assert NOTICE in out or "usage" in err


# Arithmetic


@pytest.mark.parametrize(
    ("samples", "line"),
    [
        # Lines that the real tool printed, and the only samples they can come from.
        (
            [2924, 2924, 2963],
            "count=3 first=2924 curr=2963 min=2924 max=2963 avg=2937 std=18"
            " p5=2924 median=2924 p95=2963",
        ),
        ([4, 1, 1, 1, 0], "count=5 first=4 curr=0 min=0 max=4 avg=1.4 std=1 p5=0 median=1 p95=4"),
        ([3280], "count=1 curr=3280 p5=3280 median=3280 p95=3280"),
        ([], "count=0 p5=0 median=0 p95=0"),
        ([7, 7], "count=2 curr=7(all same) p5=7 median=7 p95=7"),
    ],
)
def test_count_lines_of_the_real_tool(samples: list[int], line: str) -> None:
    assert figures.count_line(samples) == line


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=60))
def test_count_line_holds_the_order_statistics(samples: list[int]) -> None:
    match = COUNT.fullmatch(figures.count_line(samples))
    assert match
    ordered = sorted(samples)
    n = len(samples)
    assert [int(match[i]) for i in (9, 10, 11)] == [
        ordered[min(n * p // 100, n - 1)] for p in (5, 50, 95)
    ]
    assert int(match[1]) == n
    assert int(match[3]) == samples[-1]
    if match[7]:
        mean = sum(samples) / n
        assert float(match[7]) == pytest.approx(mean, rel=1e-5)
        exact = (sum((s - mean) ** 2 for s in samples) / n) ** 0.5
        assert -1.5 < int(match[8]) - exact < 0.5
        assert (int(match[2]), int(match[5]), int(match[6])) == (
            samples[0],
            ordered[0],
            ordered[-1],
        )


def test_large_averages_have_an_exponent() -> None:
    assert figures.number(1045740.0) == "1.04574e+06"
    assert figures.number(33757.0) == "33757"


class Clock:
    """A clock that a run moves on; counts its reads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ns = 5_000_000_000
        self.reads = 0
        monkeypatch.setattr(loop.time, "clock_gettime_ns", self.read)

    def read(self, clock: int) -> int:
        assert clock == loop.time.CLOCK_MONOTONIC
        self.reads += 1
        return self.ns


@pytest.mark.parametrize(
    ("limits", "count"),
    [
        (loop.Limits(runs=5, min_s=0.0, max_s=150.0), 5),
        (loop.Limits(runs=1, min_s=0.01, max_s=150.0), 10),
        (loop.Limits(runs=500, min_s=1.0, max_s=0.005), 5),
        (loop.Limits(runs=5, min_s=1.0, max_s=-1.0), 0),
    ],
)
def test_three_reads_of_the_clock_per_run(
    limits: loop.Limits, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)

    def invoke() -> bool:
        clock.ns += 1_000_900
        return True

    samples, well = loop.timed_runs(invoke, limits)
    assert len(samples) == count
    assert clock.reads == 1 + 3 * count
    assert well
    assert set(samples) <= {1000, 1001}  # both reads are cut to whole us


def test_the_recorded_clock_proves_itself_on_it(pretend: Path) -> None:
    library = library_for(platform.machine(), 64 if sys.maxsize > 1 << 32 else 32)
    if library is None:
        pytest.skip(f"no recorded clock for {platform.machine()}")
    recording = pretend.parent / "clock"
    ran = run("--num_runs=20", LD_PRELOAD=str(library), EDGEBENCH_CLOCK_OUT=str(recording))
    assert ran.returncode == 0, ran.stderr
    lines = list(filter(None, map(parse_count_line, ran.stdout.splitlines())))
    rebuilt = rebuild(recording.read_bytes(), lines[0], lines[1])
    assert not isinstance(rebuilt, str), rebuilt
    assert len(rebuilt.samples_ns) == 20


# Delegates


class Graph:
    """What delegates need of a model."""

    def __init__(self, ops: Sequence[str], kernels: Sequence[Sequence[int]] = ()) -> None:
        self.nodes = tuple(delegates.Node(i, op, (i,), (i + 1,)) for i, op in enumerate(ops))
        self.kernels = tuple(map(tuple, kernels))


def test_the_partitions_of_a_graph_that_xnnpack_takes_in_part() -> None:
    # The recorded one: "Replacing 4 out of 6 node(s) ... yielding 5 partitions".
    graph = Graph("ABCDEF", [(0,), (2, 3), (5,)])
    applied = delegates.xnnpack(graph, delegates.first_plan(graph.nodes))
    assert applied.replacing_line("TfLiteXNNPackDelegate") == (
        "Replacing 4 out of 6 node(s) with delegate (TfLiteXNNPackDelegate) node,"
        " yielding 5 partitions for subgraph 0 (main)."
    )
    assert delegates.explicit_line("XNNPACK", applied).endswith("w/ 3 delegate kernels.")
    assert [step.delegate is not None for step in applied.plan] == [True, False, True, False, True]


def test_a_gpu_takes_its_largest_part_and_says_what_it_refuses() -> None:
    graph = Graph(["CONV_2D", "CAST", "CONV_2D", "ADD", "TOPK_V2"])
    reasons = {"CAST": "Not supported cast case", "TOPK_V2": "Operation is not supported.", "X": ""}
    applied = delegates.gpu(graph, delegates.first_plan(graph.nodes), reasons)
    assert [step.nodes for step in applied.plan] == [(0,), (1,), (2, 3), (4,)]
    assert delegates.refusals(graph, applied, reasons) == (
        "Following operations are not supported by GPU delegate:\n"
        "CAST: Not supported cast case\n"
        "TOPK_V2: Operation is not supported.\n"
        "2 operations will run on the GPU, and the remaining 3 operations will run on the CPU."
    )


@given(st.lists(st.booleans(), max_size=12), st.booleans())
def test_every_node_is_in_a_plan_once(accepted: list[bool], largest: bool) -> None:
    graph = Graph("N" * len(accepted))
    plan = delegates.first_plan(graph.nodes)
    wanted = {i for i, yes in enumerate(accepted) if yes}
    applied = delegates.apply(plan, "D", wanted, largest_only=largest)
    assert [n for step in applied.plan for n in step.nodes] == list(range(len(accepted)))
    taken = {n for step in applied.plan if step.delegate for n in step.nodes}
    assert taken <= wanted
    assert applied.taken == len(taken)
    assert largest or taken == wanted
    assert applied.kernels <= applied.partitions


# Builds


@pytest.fixture
def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file that says what the stand-in is."""
    path = tmp_path / "standin.json"
    path.write_text("{}")
    monkeypatch.setenv(build.VARIABLE, str(path))
    monkeypatch.chdir(tmp_path)
    return path


QUICK = ["--num_runs=3", "--min_secs=0", "--warmup_min_secs=0"]


def run(
    *flags: str, dialect: str = "benchmark_model", **env: str
) -> subprocess.CompletedProcess[str]:
    """The pushed program itself, as a device starts it."""
    return subprocess.run(
        [str(standin.CLASSIC.with_name(dialect)), f"--graph={SENTINEL}", *QUICK, *flags],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "EDGEBENCH_PYTHON": sys.executable, "PYTHONPATH": str(ROOT), **env},
    )


def test_the_pushed_program_runs_the_model_and_says_that_it_is_a_double(pretend: Path) -> None:
    ran = run("--output_filepath=out.bin", "--use_xnnpack=true")
    assert ran.returncode == 0, ran.stderr
    assert NOTICE in ran.stdout
    assert ran.stderr == CREATED
    assert "will be completely executed by the delegate.\n" in ran.stdout
    model = Model(str(SENTINEL), threads=1, xnnpack=True, shapes={})
    assert len((pretend.parent / "out.bin").read_bytes()) == len(model.outputs())
    assert "TEST DOUBLE" in standin.CLASSIC.read_text()
    assert "TEST DOUBLE" in standin.LITERT.read_text()


def test_values_of_a_file_are_what_the_model_answers_to(pretend: Path) -> None:
    model = Model(str(SENTINEL), threads=1, xnnpack=True, shapes={})
    name, shape, dtype = model.inputs()[0]
    size = dtype.itemsize
    for side in shape:
        size *= side
    values = (b"\x01\x00\x80\x3f" * size)[:size]
    (pretend.parent / "in:put.bin").write_bytes(values)
    model.feed({name: values})
    model.invoke()
    ran = run(
        f"--input_layer={name}",
        f"--input_layer_shape={','.join(map(str, shape))}",
        f"--input_layer_value_files={name.replace(':', '::')}:in::put.bin",
        "--output_filepath=out.bin",
    )
    assert ran.returncode == 0, ran.stderr
    assert (pretend.parent / "out.bin").read_bytes() == model.outputs()


def test_a_build_without_gpu_does_not_know_the_flag(pretend: Path) -> None:
    ran = run("--use_gpu=true")
    assert "WARN: Unconsumed cmdline flags: --use_gpu=true\n" in ran.stdout
    assert "GPU delegate created" not in ran.stdout


def test_a_gpu_that_takes_everything(pretend: Path) -> None:
    pretend.write_text(json.dumps({"android": True, "gpu_unsupported": {}}))
    ran = run("--use_gpu=true", "--require_full_delegation=true")
    assert ran.returncode == 0, ran.stderr
    assert "INFO: GPU delegate created.\n" in ran.stdout
    assert "INFO: Created 1 GPU delegate kernels.\n" in ran.stderr
    assert "VERBOSE: Replacing 3 out of 3 node(s) with delegate (TfLiteGpuDelegateV2)" in ran.stderr


def test_delegates_are_applied_in_the_order_of_the_command_line(pretend: Path) -> None:
    pretend.write_text(json.dumps({"gpu_unsupported": {"CONV_2D": "no"}}))
    ran = run("--use_gpu=true", "--use_xnnpack=true")
    said = [line for line in ran.stdout.splitlines() if "elegate" in line]
    assert said == [
        "INFO: GPU delegate created.",
        "INFO: Going to apply 2 delegates one after another.",
        "INFO: Though GPU delegate is explicitly applied, the model graph will not be executed"
        " by the delegate.",
        "INFO: Explicitly applied XNNPACK delegate, and the model graph will be completely"
        " executed by the delegate.",
    ]


def test_a_gpu_that_takes_nothing_is_a_warning_and_cpu_numbers(pretend: Path) -> None:
    pretend.write_text(json.dumps({"gpu_unsupported": {"CONV_2D": "Operation is not supported."}}))
    ran = run("--use_gpu=true")
    assert ran.returncode == 0
    assert "INFO: Though GPU delegate is explicitly applied, the model graph will not be" in (
        ran.stdout
    )
    assert "No operations will run on the GPU, and all 3 operations" in ran.stderr
    refused = run("--use_gpu=true", "--require_full_delegation=true")
    assert refused.returncode == 1
    assert refused.stderr.endswith(
        "ERROR: Disallowed CPU fallback detected.\nERROR: Benchmarking failed.\n"
    )


def test_nnapi_names_its_accelerators_and_wants_one_of_them(pretend: Path) -> None:
    pretend.write_text(json.dumps({"nnapi_accelerators": ["npu", "nnapi-reference"]}))
    ran = run("--use_nnapi=true")
    assert "INFO: NNAPI accelerators available: [npu,nnapi-reference]\n" in ran.stdout
    assert "INFO: NNAPI delegate created.\n" in ran.stdout
    wrong = run("--use_nnapi=true", "--nnapi_accelerator_name=other")
    assert wrong.returncode == 1
    assert "specified NNAPI accelerator: other. Must be one of: {npu,nnapi-reference}." in (
        wrong.stderr
    )


def test_a_failing_delegate_says_so_once_per_run(pretend: Path) -> None:
    pretend.write_text(json.dumps({"gpu_unsupported": {}, "failing_delegate": "GPU"}))
    ran = run("--use_gpu=true", "--warmup_runs=7")
    assert ran.returncode == 1
    line = "ERROR: Node number 3 (TfLiteGpuDelegateV2) failed to invoke.\n"
    assert ran.stderr.count(line) == 7
    assert ran.stdout.count("count=") == 1
    assert "Inference timings" not in ran.stdout


def test_one_that_is_killed_stops_after_the_second_start(pretend: Path) -> None:
    pretend.write_text(json.dumps({"killed_by": int(signal.SIGSEGV)}))
    ran = run()
    assert ran.returncode == -signal.SIGSEGV
    assert ran.stdout.count("Running benchmark for at least") == 2
    assert ran.stdout.count("count=") == 1


def test_one_that_sleeps_prints_a_whole_log(pretend: Path) -> None:
    pretend.write_text(json.dumps({"sleep_s": 0.01}))
    for dialect in ("benchmark_model", "benchmark_litert_model"):
        ran = run("--use_xnnpack=true", dialect=dialect)
        assert ("Explicitly applied XNNPACK" in ran.stdout) == (dialect == "benchmark_model")
        assert ran.returncode == 0, ran.stderr
        assert "count=3 curr=1000(all same) p5=1000 median=1000 p95=1000" in ran.stdout


def test_what_no_build_has_is_refused() -> None:
    with pytest.raises(ValueError, match="speed"):
        build.Build.of_json('{"speed": 1}')


def test_help_lists_every_flag_with_its_type(capfd: pytest.CaptureFixture[str]) -> None:
    assert classic.main(["bm", "--help"]) == 1
    said = capfd.readouterr()
    assert said.out == "INFO: STARTING!\n"
    assert said.err.startswith("ERROR: usage: bm <flags>\nFlags:\n\t--num_runs=50 ")
    assert re.search(r"\t--use_xnnpack=false {28}\tbool\toptional\t", said.err)
    assert said.err.endswith("\nERROR: Benchmarking failed.\n")


# Files


def fields_of(data: bytes) -> list[tuple[int, int, object]]:
    """Number, wire type and value of each field of a protobuf message, nested ones inside."""
    found: list[tuple[int, int, object]] = []
    position = 0
    while position < len(data):
        key = data[position]
        position += 1
        number, wire = key >> 3, key & 7
        if wire == 5:
            found.append((number, wire, struct.unpack_from("<f", data, position)[0]))
            position += 4
            continue
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        if wire == 2:
            found.append((number, wire, fields_of(data[position : position + value])))
            position += value
        else:
            found.append((number, wire, value))
    return found


def kinds(fields: object) -> object:
    if not isinstance(fields, list):
        return None
    return [(number, wire, kinds(value)) for number, wire, value in fields]


def test_the_result_file_has_the_fields_of_the_real_one(pretend: Path) -> None:
    ran = run("--result_file_path=result.pb")
    ours = fields_of((pretend.parent / "result.pb").read_bytes())
    assert kinds(ours) == kinds(
        fields_of((GOLDEN / "14a_result_file_path" / "out_result.pb").read_bytes())
    )
    (_, _, latency), _, (_, _, misc) = ours
    counts = list(COUNT.finditer(ran.stdout))
    median_ms = latency[4][2]  # type: ignore[index]
    assert median_ms == pytest.approx(int(counts[1][10]) / 1000)
    assert misc[1][2] == 3  # type: ignore[index]


def test_a_result_that_cannot_be_written_is_said_and_changes_nothing(pretend: Path) -> None:
    ran = run("--result_file_path=no/such/result.pb")
    assert ran.returncode == 0
    assert "result.pb\n" in ran.stderr
    assert "ERROR: Failed to save benchmark result to: no/such/result.pb" in ran.stderr
    assert "Saving" not in ran.stdout


def test_runtime_info_tells_where_every_node_ran(pretend: Path) -> None:
    run("--export_model_runtime_info=true", "--model_runtime_info_output_file=info.pb")
    details = model_runtime_info_pb2.ModelRuntimeDetails()
    details.ParseFromString((pretend.parent / "info.pb").read_bytes())
    (graph,) = details.subgraphs
    assert [node.name for node in graph.nodes] == ["CONV_2D"] * 3 + ["TfLiteXNNPackDelegate"]
    assert {node.delegated_to_node_id for node in graph.nodes[:3]} == {3}
    kernel = graph.nodes[3].delegate_node_details
    assert list(kernel.tflite_node_ids_replaced) == [0, 1, 2]
    assert list(graph.execution_plan) == [3]
    plain = run(
        "--use_xnnpack=false",
        "--export_model_runtime_info=true",
        "--model_runtime_info_output_file=plain.pb",
    )
    assert plain.returncode == 0
    details.ParseFromString((pretend.parent / "plain.pb").read_bytes())
    assert list(details.subgraphs[0].execution_plan) == [0, 1, 2]


# Profiles of the ops


def tables_of(text: str) -> list[str]:
    """Banners and headers of the tables, and the words of the lines beside them."""
    kept = [
        line
        for line in text.split("\n")
        if ("[" in line or "=" in line or " nodes" in line) and "ptr=" not in line
    ]
    assert len(kept) > 10
    rows = re.compile(r".*(Delegate/|\[\w+\]:|/0$|INFO: \w|INFO: \[bench.*\] \w)")
    return [
        re.sub(r"\d+(\.\d+)?", "N", line).partition(" first=")[0].partition(" curr=")[0]
        for line in kept
        if not rows.match(line) or "Profiling Info" in line
    ]


def test_a_profile_is_laid_out_as_the_real_one(pretend: Path) -> None:
    golden = (GOLDEN / "04c_small_opprof_stdout" / "stdout").read_text()
    ran = run("--enable_op_profiling=true")
    assert ran.returncode == 0, ran.stderr
    start = "INFO: Profiling Info"
    assert tables_of(start + ran.stdout.partition(start)[2]) == tables_of(
        start + golden.partition(start)[2]
    )


def test_a_profile_of_the_compiled_model_is_laid_out_as_the_real_one(pretend: Path) -> None:
    golden = (GOLDEN / "19b_litert_cpp_profiler" / "stderr").read_text()
    ran = run("--use_profiler=true", dialect="benchmark_litert_model")
    assert ran.returncode == 0, ran.stderr
    start = "===\n\n"
    assert tables_of(ran.stderr.partition(start)[2]) == tables_of(golden.partition(start)[2])


def test_a_simulated_gpu_cannot_be_profiled_by_the_compiled_model(pretend: Path) -> None:
    pretend.write_text(json.dumps({"gpu_unsupported": {}}))
    ran = run("--use_profiler=true", "--use_gpu=true", dialect="benchmark_litert_model")
    assert ran.returncode == 1
    assert "Profile is not implemented." in ran.stderr


def test_every_mode_of_a_profile_says_the_same(pretend: Path) -> None:
    """Where there is no file to write to, the message is printed too."""
    plain = run("--enable_op_profiling=true", "--use_xnnpack=false")
    csv = run(
        "--enable_op_profiling=true",
        "--use_xnnpack=false",
        "--op_profiling_output_mode=csv",
        "--op_profiling_output_file=out.csv",
    )
    message = run(
        "--enable_op_profiling=true", "--use_xnnpack=false", "--op_profiling_output_mode=proto"
    )
    assert "Profiling Info" not in csv.stdout
    profiles = [
        parse_profile_text(text)
        for text in (plain.stdout, (pretend.parent / "out.csv").read_text(), message.stdout)
    ]
    names = [[row.name for row in found.regular[0].rows] for found in profiles if found]
    assert len(names) == 3
    assert names[0] == names[1] == names[2]
    assert [found.source for found in profiles if found] == ["stdout", "csv", "proto"]
    refused = run("--enable_op_profiling=true", "--op_profiling_output_mode=json")
    assert refused.returncode == 1
    assert "Output modejson is not supported." in refused.stderr
