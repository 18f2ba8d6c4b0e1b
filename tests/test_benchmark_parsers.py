"""The parsers of benchmark_model over recorded outputs, older wordings and damaged text."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import UnreadableOutput
from bench.parsers.benchmark_litert import parse_compiled
from bench.parsers.benchmark_model import (
    ToolOutput,
    ToolText,
    first,
    parse_classic,
    parse_text,
)
from bench.parsers.benchmark_proto import parse_result, parse_runtime_info
from bench.parsers.count_line import CountLine
from bench.parsers.logcat import logcat_text
from bench.parsers.runtime_log import parse_log

GOLDEN = Path(__file__).parent / "golden" / "benchmark_model"
# Made from the recordings by splitting words, with no code of the project.
EXPECTED: dict[str, dict[str, Any]] = json.loads((GOLDEN / "expected.json").read_text())
NOT_THE_TOOL = {"19m_litert_cpp_help"}
OLD = """\
STARTING!
Num threads: [4]
Loaded model model.tflite
resolved reporter
INFO: Created TensorFlow Lite delegate for GPU.
Applied GPU delegate, and the model graph will be partially executed w/ the delegate.
Initialized session in 21.039ms
Running benchmark for at least 1 iterations and at least 0.5 seconds
count=6 first=91810 curr=85097 min=84834 max=91810 avg=86184.3 std=2519

Running benchmark for at least 50 iterations and at least 1 seconds
count=50 first=118810 curr=114219 min=88216 max=129193 avg=115062 std=7678

Average inference timings in us: Warmup: 86184.3, Init: 21039, no stats: 115062
"""


def recorded(name: str) -> tuple[bytes, bytes]:
    return (GOLDEN / name / "stdout").read_bytes(), (GOLDEN / name / "stderr").read_bytes()


def read(name: str) -> ToolOutput:
    parse = parse_compiled if name[:2] in ("19", "20") else parse_classic
    return parse(*recorded(name))


@pytest.mark.parametrize("name", sorted(set(EXPECTED) - NOT_THE_TOOL))
def test_every_recording_is_read_as_it_stands(name: str) -> None:
    expected = EXPECTED[name]
    found = read(name)
    text, log = found.text, found.log
    lines = [line for line in (text.warmup, text.measured) if line is not None]
    assert [_figures(line) for line in lines] == expected["counts"]
    assert " ".join(text.unconsumed) == expected["unconsumed"]
    assert list(text.created) == expected["created"]
    assert [[a.delegate, a.extent, a.kernels] for a in text.applied] == expected["applied"]
    if expected["init_ms"] is None:
        assert text.init_us is None
    else:
        assert text.init_us == pytest.approx(expected["init_ms"] * 1e3, rel=1e-9)
    assert text.peak_mb == expected["peak_mb"]
    assert list(text.warnings) == expected["warnings"]
    assert [[r.delegate, r.nodes, r.of] for r in log.replaced] == expected["replaced"]
    assert next(iter(log.errors), "") == expected["first_error"]
    assert list(log.not_loaded) == expected["not_loaded"]
    assert log.adapter_is_software == expected["software"]


def _figures(line: CountLine) -> dict[str, Any]:
    names = ("count", "first", "curr", "min", "max", "avg", "std", "p5", "median", "p95")
    return {name: v for name in names if (v := getattr(line, name)) is not None}


def test_an_average_over_a_second_keeps_its_exponent() -> None:
    line = (
        "INFO: count=3 first=1045741 curr=1045742 min=1045000 max=1046000 avg=1.04574e+06"
        " std=400 p5=1045000 median=1045741 p95=1046000\n"
    )
    text = parse_text(f"INFO: STARTING!\n{line}\n", has_summary=False)
    assert text.warmup is not None
    assert text.warmup.avg == 1_045_740


def test_one_run_and_runs_that_are_all_the_same() -> None:
    assert read("11a_num_runs_1").text.measured == CountLine(
        1, None, 3280, None, None, None, None, 3280, 3280, 3280
    )
    same = read("11l_all_same").text
    assert same.measured == CountLine(2, None, 0, None, None, None, None, 0, 0, 0)
    assert same.warmup is not None
    assert first(same.warmup) == 11


def test_what_is_not_the_tool_is_not_read() -> None:
    for data in (b"", b"hello\n", recorded("19m_litert_cpp_help")[0]):
        with pytest.raises(UnreadableOutput, match="no output of benchmark_model"):
            parse_classic(data, b"")


def test_windows_newlines_change_nothing() -> None:
    stdout, stderr = recorded("07p_external_dummy_delegate")
    crlf = parse_classic(stdout.replace(b"\n", b"\r\n"), stderr.replace(b"\n", b"\r\n"))
    assert crlf == parse_classic(stdout, stderr)


def test_an_old_tool_prints_all_to_stderr_and_no_percentiles() -> None:
    found = parse_classic(b"", OLD.encode())
    assert found.text.measured == CountLine(
        50, 118810, 114219, 88216, 129193, 115062, 7678, None, None, None
    )
    assert found.text.init_us == pytest.approx(21039)
    assert [(a.delegate, a.extent, a.kernels) for a in found.text.applied] == [
        ("GPU", "partially", None)
    ]
    assert found.log.created == ("GPU",)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("Warmup: 86184.3", "Warmup: 86194.3", "contradicts"),
        ("Init: 21039", "Init: 21139", "contradicts"),
        ("avg=115062", "avg=225062", "contradicts itself"),
        ("min=88216", "min=98216x", "cannot be read"),
        ("curr=114219", "curr=-4", "contradicts itself"),
        ("Average inference timings in us: ", "Average inference timings in us ", "cannot be"),
        ("partially executed", "mostly executed", "cannot be read"),
        ("21.039ms", "21.039 ms", "cannot be read"),
    ],
)
def test_a_line_that_goes_on_otherwise_is_not_guessed_at(old: str, new: str, reason: str) -> None:
    assert old in OLD
    with pytest.raises(UnreadableOutput, match=reason):
        parse_classic(b"", OLD.replace(old, new).encode())


def test_three_count_lines_are_not_one_run() -> None:
    stdout, stderr = recorded("01_fp32_default")
    line = next(part for part in stdout.split(b"\n") if b"count=" in part)
    with pytest.raises(UnreadableOutput, match="3 count lines"):
        parse_classic(stdout.replace(line, line + b"\n" + line, 1), stderr)


def test_a_failing_delegate_may_say_so_a_million_times() -> None:
    stdout, stderr = recorded("07r_external_dummy_delegate_failinvoke")
    line = b"ERROR: Node number 6 (DummyDelegate) failed to invoke.\n"
    many = parse_classic(stdout, stderr.replace(line, line * 200_000))
    assert many.log.errors == parse_classic(stdout, stderr).log.errors
    different = b"".join(b"ERROR: %d\n" % k for k in range(1000))
    assert len(parse_log(different.decode()).errors) == 20


def test_the_compiled_model_tool_tells_its_peak_memory_on_stderr() -> None:
    stdout, stderr = recorded("19a_litert_cpp_cpu")
    assert parse_compiled(stdout, stderr).text.peak_mb is None
    unknown = b"Peak memory usage not available. (peak_mem_mb <= 0)"
    assert unknown in stderr
    known = stderr.replace(unknown, b"Peak memory:          46.50 MB")
    assert parse_compiled(stdout, known).text.peak_mb == 46.5


class TestDamage:
    """Whatever is cut out of an output: the same numbers come out, or none."""

    @pytest.mark.parametrize("name", ["01_fp32_default", "19a_litert_cpp_cpu"])
    def test_cut_off_anywhere(self, name: str) -> None:
        stdout, stderr = recorded(name)
        parse = parse_compiled if name.startswith("19") else parse_classic
        whole = parse(stdout, stderr).text
        for end in range(len(stdout)):
            self.same_or_nothing(whole, stdout[:end], stderr, parse)

    @settings(deadline=None, max_examples=150)
    @given(
        st.sampled_from(["01_fp32_default", "09_peak_memory", "19a_litert_cpp_cpu"]),
        st.data(),
    )
    def test_a_piece_missing_anywhere(self, name: str, data: st.DataObject) -> None:
        stdout, stderr = recorded(name)
        parse = parse_compiled if name.startswith("19") else parse_classic
        whole = parse(stdout, stderr).text
        start = data.draw(st.integers(0, len(stdout) - 1))
        end = data.draw(st.integers(start + 1, len(stdout)))
        lines = stdout.splitlines(keepends=True)
        drop = data.draw(st.integers(0, len(lines) - 1))
        self.same_or_nothing(whole, b"".join(lines[:drop] + lines[drop + 1 :]), stderr, parse)
        # Inside one figure no reader can see a missing digit: see the result file.
        if b"\n" in stdout[start:end]:
            self.same_or_nothing(whole, stdout[:start] + stdout[end:], stderr, parse)

    def same_or_nothing(self, whole: ToolText, stdout: bytes, stderr: bytes, parse: Any) -> None:
        try:
            found = parse(stdout, stderr).text
        except UnreadableOutput:
            return
        # Where a whole line is gone a figure is absent; the second is never the first.
        if found.measured is not None:
            assert (found.warmup, found.measured) == (whole.warmup, whole.measured)
            assert found.init_us == whole.init_us
        assert found.peak_mb in (None, whole.peak_mb)


class TestLogcat:
    LINES = (
        "INFO: STARTING!",
        "INFO: Loaded model m.tflite",
        "INFO: Initialized session in 5.685ms.",
        "INFO: count=2 first=18535 curr=18535(all same) p5=18535 median=18535 p95=18535",
    )

    def threadtime(self, pid: int, lines: tuple[str, ...]) -> str:
        return "".join(f"11-21 13:00:00.123  {pid}  {pid + 9} I tflite  : {x}\n" for x in lines)

    def read(self, log: str) -> ToolText:
        """As the runner of the app does."""
        return parse_classic(b"", logcat_text(log, 4711).encode()).text

    def text(self) -> tuple[str, ...]:
        stdout = recorded("02b_fp32_explicit_xnnpack")[0].decode()
        return tuple(stdout.splitlines())

    def test_the_apk_prints_the_same_through_logcat(self) -> None:
        plain = parse_classic(*recorded("02b_fp32_explicit_xnnpack"))
        log = "--------- beginning of main\n" + self.threadtime(4711, self.text())
        assert self.read(log) == plain.text

    def test_without_a_level_in_the_text_and_in_brief_format(self) -> None:
        plain = parse_classic(*recorded("02b_fp32_explicit_xnnpack"))
        lines = [line.removeprefix("INFO: ") for line in self.text()]
        log = "".join(f"I/tflite  ( 4711): {line}\r\n" for line in lines)
        assert self.read(log) == plain.text

    def test_other_processes_and_tags_are_not_ours(self) -> None:
        ours = self.threadtime(4711, self.text())
        others = self.threadtime(
            99, ("INFO: STARTING!", "INFO: count=1 curr=5 p5=5 median=5 p95=5")
        )
        noise = "11-21 13:00:00.123  4711  4720 W Other   : count=7\n"
        assert self.read(others + noise + ours) == self.read(ours)

    def test_warnings_keep_their_level(self) -> None:
        log = self.threadtime(4711, ("STARTING!",)) + (
            "11-21 13:00:00.123  4711  9 W tflite  : "
            "GPU acceleration is unsupported on this platform.\n"
        )
        assert self.read(log).warnings == ("GPU acceleration is unsupported on this platform.",)


class TestRuntimeLog:
    def test_what_the_gpu_refuses(self) -> None:
        log = parse_log(
            "INFO: Created TensorFlow Lite delegate for GPU.\n"
            "ERROR: Following operations are not supported by GPU delegate:\n"
            "CAST: Not supported Cast case.\n"
            "CUSTOM TFLite_Detection_PostProcess: Unsupported.\n"
            "DEQUANTIZE: \n"
            "49 operations will run on the GPU, and the remaining 3 operations will run "
            "on the CPU.\n"
            "INFO: Initialized OpenCL-based API.\n"
        )
        assert log.gpu_refused == {
            "CAST": ("Not supported Cast case.",),
            "CUSTOM TFLite_Detection_PostProcess": ("Unsupported.",),
            "DEQUANTIZE": ("",),
        }
        assert log.gpu_nodes == (49, 3)
        assert log.created == ("GPU",)

    def test_older_words_of_the_gpu(self) -> None:
        log = parse_log(
            "ERROR: Next operations are not supported by GPU delegate:\n"
            "MAXIMUM: Operation is not supported.\n"
            "First 0 operations will run on the GPU, and the remaining 81 on the CPU.\n"
        )
        assert (log.gpu_refused, log.gpu_nodes) == (
            {"MAXIMUM": ("Operation is not supported.",)},
            (0, 81),
        )
        none = parse_log(
            "No operations will run on the GPU, and all 52 operations will run on the CPU."
        )
        assert none.gpu_nodes == (0, 52)

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            (" for subgraph 0 (main).", (49, 52, 0)),
            (" for subgraph 2.", (49, 52, 2)),
            (" for the whole graph.", (49, 52, 0)),
            (".", (49, 52, 0)),
        ],
    )
    def test_wordings_of_a_replacement(self, line: str, expected: tuple[int, int, int]) -> None:
        start = "INFO: Replacing 49 out of 52 node(s) with delegate (X) node, yielding 3 partitions"
        (found,) = parse_log(start + line).replaced
        assert (found.nodes, found.of, found.subgraph) == expected
        assert found.partitions is None

    def test_the_oldest_does_not_say_of_how_many(self) -> None:
        text = "INFO: Replacing 49 node(s) with delegate (X) node, yielding 1 partitions."
        (found,) = parse_log(text).replaced
        assert (found.nodes, found.of, found.partitions) == (49, None, 1)


class TestFiles:
    def test_the_node_list(self) -> None:
        data = (GOLDEN / "14b_model_runtime_info" / "out_runtime_info.pb").read_bytes()
        graph = parse_runtime_info(data)
        assert graph.execution_plan == (6, 1, 7, 4, 8)
        assert [(n.node_id, n.name, n.delegated_to) for n in graph.nodes[:6]] == [
            (0, "FULLY_CONNECTED", 6),
            (1, "CUMSUM", None),
            (2, "FULLY_CONNECTED", 7),
            (3, "TANH", 7),
            (4, "TOPK_V2", None),
            (5, "SOFTMAX", 8),
        ]
        assert [(n.delegate, n.replaces) for n in graph.nodes[6:]] == [
            ("TfLiteXNNPackDelegate", (0,)),
            ("TfLiteXNNPackDelegate", (2, 3)),
            ("TfLiteXNNPackDelegate", (5,)),
        ]

    def test_the_result_file(self) -> None:
        found = parse_result((GOLDEN / "14a_result_file_path" / "out_result.pb").read_bytes())
        assert found.median_ms == pytest.approx(2.992)
        assert found.p95_ms == pytest.approx(3.159)
        assert found.init_ms == pytest.approx(10.793)
        assert (found.runs, found.warmup_runs) == (330, 166)

    @pytest.mark.parametrize(
        ("name", "parse"),
        [
            ("14b_model_runtime_info/out_runtime_info.pb", parse_runtime_info),
            ("14a_result_file_path/out_result.pb", parse_result),
        ],
    )
    def test_a_file_cut_off_is_not_read_as_another(self, name: str, parse: Any) -> None:
        data = (GOLDEN / name).read_bytes()
        whole = parse(data)
        for end in range(len(data)):
            try:
                found = parse(data[:end])
            except UnreadableOutput:
                continue
            assert found == whole

    @settings(deadline=None, max_examples=100)
    @given(st.binary(max_size=200))
    def test_any_bytes_are_read_or_refused(self, data: bytes) -> None:
        for parse in (parse_runtime_info, parse_result):
            with contextlib.suppress(UnreadableOutput):
                parse(data)
