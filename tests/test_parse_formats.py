"""`edgebench parse` over formats of which there is no recording, and over logcat."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner

from bench.cli.parse import command
from bench.errors import UserError
from bench.parse.read import parse_files
from tests.parse_texts import (
    COMPILED_LOG,
    COMPILED_RESULTS,
    COUNT,
    FAILED,
    GPU_APPLIED,
    GPU_REFUSES,
    HEAD,
    IMPLICIT,
    LOADED,
    MEASURED,
    MEASURED_LINE,
    RUNS,
    SESSION,
    SUMMARY,
    WARMUP,
    WARMUP_LINE,
    classic,
    compiled,
    profile_part,
)
from tests.test_parse import INPUTS, delegation, golden, read, read_one


def verdict(run: dict[str, Any], name: str) -> str:
    return str(delegation(run, name)["verdict"])


class TestFigures:
    def test_how_lines_end_and_a_text_begins_changes_nothing(self) -> None:
        text = classic().encode()
        expected = read([("a", text)])
        assert read([("a", text.replace(b"\n", b"\r\n"))]) == expected
        assert read([("a", b"\xef\xbb\xbf" + text)]) == expected

    def test_runs_of_more_than_a_second_keep_their_exponent(self) -> None:
        count = (
            "count=3 first=1045741 curr=1045742 min=1045000 max=1046000 avg=1.04574e+06 std=400 "
            "p5=1045000 median=1045741 p95=1046000"
        )
        text = classic().replace(COUNT, count).replace("(avg): 3134.66", "(avg): 1.04574e+06")
        run = read_one(text, IMPLICIT)
        assert run["latency_us"]["avg"] == 1_045_740
        assert run["latency_us"]["p50"] == 1_045_741
        assert run["failure"] is None

    def test_no_warm_up_is_not_a_first_inference_of_zero(self) -> None:
        none = WARMUP_LINE + "INFO: count=0 p5=0 median=0 p95=0\n\n"
        summary = SUMMARY.replace("First inference: 3472", "First inference: 0")
        summary = summary.replace("Warmup (avg): 3130.12", "Warmup (avg): 0")
        run = read_one(classic(runs=SESSION + none + MEASURED + summary))
        assert (run["warmup_us"], run["first_inference_us"]) == (None, None)
        assert run["latency_us"]["p50"] == 3087
        assert run["failure"] is None

    def test_a_success_without_runs_is_no_measurement(self) -> None:
        none = MEASURED_LINE + "INFO: count=0 p5=0 median=0 p95=0\n\n"
        summary = SUMMARY.replace("Inference (avg): 3134.66", "Inference (avg): 0")
        run = read_one(classic(runs=SESSION + WARMUP + none + summary))
        assert run["latency_us"] is None
        assert run["failure"]["kind"] == "no-measurement"
        assert run["warmup_us"]["count"] == 159

    def test_an_old_tool_prints_no_percentiles(self) -> None:
        run = read_one(
            "STARTING!\nNum threads: [4]\nUse gpu : [1]\nLoaded model m.tflite\nresolved reporter\n"
            "INFO: Created TensorFlow Lite delegate for GPU.\n"
            "INFO: Replacing 64 node(s) with delegate (TfLiteGpuDelegateV2) node, yielding 1 "
            "partitions.\n"
            "Applied GPU delegate, and the model graph will be completely executed w/ the delegate."
            "\nInitialized session in 21.039ms\nRunning benchmark for at least 1 iterations and at "
            "least 0.5 seconds\ncount=6 first=91810 curr=85097 min=84834 max=91810 avg=86184.3 "
            "std=2519\n\nRunning benchmark for at least 50 iterations and at least 1 seconds\n"
            "count=50 first=118810 curr=114219 min=88216 max=129193 avg=115062 std=7678\n\n"
            "Average inference timings in us: Warmup: 86184.3, Init: 21039, no stats: 115062\n"
        )
        assert run["runner"] == "benchmark_model"
        assert run["latency_us"]["avg"] == 115062
        assert run["latency_us"]["p50"] is None
        assert run["init_us"] == 21039
        assert verdict(run, "gpu") == "FULL"
        assert delegation(run, "gpu")["kernels"] == 1

    def test_p90_is_interpolated_only_where_that_is_sound(self) -> None:
        latency = read_one(classic())["latency_us"]
        assert latency["p90"] is None  # p95 is more than 8 % above the median
        assert latency["p90_bounds"] == [3087, 3354]
        close = classic().replace("median=3087 p95=3354", "median=3087 p95=3150")
        latency = read_one(close)["latency_us"]
        assert 3087 < latency["p90"] < 3150
        assert latency["p90_source"] == "interpolated"

    def test_a_killed_run(self) -> None:
        run = read_one(classic(runs=SESSION + WARMUP + MEASURED_LINE), IMPLICIT)
        assert run["latency_us"] is None
        assert run["failure"]["kind"] == "cut-off"
        assert run["warmup_us"]["p50"] == 3123

    def test_a_text_without_its_summary_is_said_to_be_cut_off(self) -> None:
        run = read_one(classic(runs=SESSION + WARMUP + MEASURED))
        assert run["failure"]["kind"] == "cut-off"
        assert run["latency_us"]["p50"] == 3087

    def test_a_memory_line_that_lost_its_end_is_not_read(self) -> None:
        text = classic()
        assert read_one(text)["memory"]["overall_mb"] == 38.8672
        assert read_one(text[:-3])["memory"] is None

    def test_peak_memory_of_a_big_parent(self) -> None:
        more = (
            "INFO: Overall peak memory footprint (MB) via periodic monitoring: 310.777\n"
            "INFO: Memory status at the end of exeution:\nINFO: - VmRSS              : 45 MB\n"
            "INFO: + RssAnnon           : 23 MB\nINFO: + RssFile + RssShmem : 22 MB\n"
        )
        memory = read_one(classic() + more)["memory"]
        assert memory["peak_mb"] == 310.777
        assert [memory[f"rss{part}_mb"] for part in ("", "_anon", "_file_shmem")] == [45, 23, 22]


class TestFailures:
    @pytest.mark.parametrize(
        ("stdout", "stderr", "kind"),
        [
            (
                HEAD + LOADED,
                IMPLICIT + "ERROR: Encountered unresolved custom op: MyOp.\nSee instructions: "
                "https://www.tensorflow.org/lite/guide/ops_custom \nERROR: Node number 1 (MyOp) "
                "failed to prepare.\nERROR: Failed to allocate tensors!\n" + FAILED,
                "load",
            ),
            (
                HEAD,
                "ERROR: mmap of size 0 requested.\nERROR: Failed to load model m.tflite\n" + FAILED,
                "load",
            ),
            (
                HEAD
                + "INFO: External delegate path: [lib.so]\n"
                + LOADED
                + "INFO: EXTERNAL delegate created.\n",
                "ERROR: Node number 6 (DummyDelegate) failed to prepare.\nERROR: Restored "
                "original execution plan after delegate application failure.\nERROR: Failed to "
                "apply EXTERNAL delegate.\n" + FAILED,
                "delegate",
            ),
            (HEAD + LOADED, "FATAL: Failed to read the input_layer_value_file:a.bin\n", "inputs"),
            (HEAD + LOADED, "FATAL: Check failed: x == y\n", "crash"),
            (HEAD + LOADED, FAILED, "tool"),
            (HEAD + "INFO: The Model contains 0 signature key(s).\n", FAILED, "no-measurement"),
            (
                HEAD
                + "INFO: The Model contains 1 signature key(s).\nINFO: They are listed below: \n"
                "INFO: -> Signature Key: serving_default\n",
                FAILED,
                "no-measurement",
            ),
            (
                "INFO: STARTING!\n",
                "ERROR: usage: benchmark_model <flags>\nFlags:\n\t--num_runs=50 \tint32\toptional\t"
                "expected number of runs\n\t--graph= \tstring\toptional\tgraph file name\n"
                + FAILED,
                "usage",
            ),
        ],
    )
    def test_every_failure_has_its_kind(self, stdout: str, stderr: str, kind: str) -> None:
        run = read_one(stdout, stderr)
        assert run["failure"]["kind"] == kind
        assert run["latency_us"] is None
        assert read_one(stderr + stdout)["failure"] == run["failure"]

    def test_a_delegate_that_failed_to_be_applied_took_nothing(self) -> None:
        run = read_one(
            HEAD
            + "INFO: External delegate path: [lib.so]\n"
            + LOADED
            + "INFO: EXTERNAL delegate created.\n",
            "INFO: Foo delegate: 3 nodes delegated out of 6 nodes with 1 partitions.\n\nERROR: "
            "Restored original execution plan after delegate application failure.\nERROR: Failed "
            "to apply EXTERNAL delegate.\n" + FAILED,
        )
        found = delegation(run, "external")
        assert (found["verdict"], found["delegated_nodes"]) == ("NONE", None)

    def test_inferences_that_fail_leave_no_times_at_all(self) -> None:
        line = "ERROR: Node number 6 (DummyDelegate) failed to invoke.\n"
        run = read_one(classic(runs=SESSION + WARMUP), line * 1000 + FAILED)
        assert run["failure"] == {"kind": "invoke", "message": line[7:-1]}
        assert (run["latency_us"], run["warmup_us"], run["first_inference_us"]) == (None,) * 3

    def test_a_failed_run_of_the_compiled_tool_goes_on_in_the_next_line(self) -> None:
        line = (
            "ERROR: [benchmark_litert_model.h:346] Run failed: Failed to invoke the model\n"
            "└ ERROR: [litert/cc/litert_compiled_model.cc:101]\n"
        )
        for runs in (SESSION + WARMUP, SESSION + WARMUP + MEASURED):
            run = read_one(compiled(runs=runs), COMPILED_LOG + line * 50 + FAILED)
            assert run["runner"] == "benchmark_litert"
            assert run["failure"]["kind"] == "invoke"
            assert run["latency_us"] is None

    def test_a_gpu_that_cannot_be_profiled_has_no_latency(self) -> None:
        line = "UNIMPLEMENTED: Profile is not implemented.\n"
        run = read_one(compiled(), COMPILED_LOG + line * 40 + FAILED)
        assert run["latency_us"] is None
        assert run["failure"]["kind"] == "invoke"

    def test_a_crash_without_a_word(self) -> None:
        run = read_one(compiled(runs=""), COMPILED_LOG)
        assert run["runner"] == "benchmark_litert"
        assert run["failure"]["kind"] == "cut-off"


class TestDelegates:
    def test_gpu_that_refuses_some_ops(self) -> None:
        run = read_one(classic("INFO: Use gpu: [1]\n", GPU_APPLIED), GPU_REFUSES + IMPLICIT)
        found = delegation(run, "gpu")
        assert found["verdict"] == "PARTIAL"
        assert (found["delegated_nodes"], found["total_nodes"], found["kernels"]) == (49, 52, 1)
        assert found["unsupported"] == [
            {"op": "CAST", "reason": "Not supported cast case. Input type: INT32"},
            {"op": "CUSTOM MyOp", "reason": "Operation is not supported."},
            {"op": "TOPK_V2", "reason": "Operation is not supported."},
        ]
        assert run["failure"] is None
        mixed = read_one(classic("INFO: Use gpu: [1]\n", GPU_APPLIED) + GPU_REFUSES + IMPLICIT)
        assert mixed == run

    def test_gpu_that_refuses_all(self) -> None:
        log = (
            "INFO: Created TensorFlow Lite delegate for GPU.\nERROR: Following operations are not "
            "supported by GPU delegate:\nCAST: no\nNo operations will run on the GPU, and all 52 "
            "operations will run on the CPU.\n"
        )
        text = classic(
            "INFO: Use gpu: [1]\n",
            "INFO: GPU delegate created.\nINFO: Though GPU delegate is explicitly applied, the "
            "model graph will not be executed by the delegate.\n",
        )
        assert verdict(read_one(text, log), "gpu") == "NONE"

    @pytest.mark.parametrize(
        ("flag", "warning", "name"),
        [
            ("Use NNAPI: [1]", "NNAPI acceleration is unsupported on this platform.", "nnapi"),
            ("Use CoreML: [1]", "CoreML acceleration is unsupported on this platform.", "coreml"),
            (
                "Use Hexagon: [1]",
                "Could not create Hexagon delegate: platform may not support delegate or required "
                "libraries are missing",
                "hexagon",
            ),
            ("External delegate path: [libnosymbols.so]", "nothing", "external"),
            ("Use legacy nnapi : [1]", "nothing", "nnapi"),
            ("Delegate settings file path: [a.json]", "nothing", "stable"),
            ("Use gpu: [1]", "GPU acceleration is unsupported on this platform.", "gpu"),
        ],
    )
    def test_silent_fallbacks(self, flag: str, warning: str, name: str) -> None:
        run = read_one(classic(f"INFO: {flag}\n", f"WARN: {warning}\n"), IMPLICIT)
        assert verdict(run, name) == "NONE"
        assert verdict(run, "xnnpack") == "UNKNOWN"
        assert run["latency_us"]["p50"] == 3087

    def test_nnapi_names_its_accelerators(self) -> None:
        run = read_one(
            classic(
                "INFO: Use NNAPI: [1]\nINFO: NNAPI accelerators available: [google-edgetpu,"
                "nnapi-reference]\n",
                "INFO: NNAPI delegate created.\nINFO: Explicitly applied NNAPI delegate, and the "
                "model graph will be completely executed by the delegate.\n",
            ),
            "INFO: Created TensorFlow Lite delegate for NNAPI.\n"
            "VERBOSE: Replacing 65 out of 65 node(s) with delegate (TfLiteNnapiDelegate) node, "
            "yielding 1 partitions for subgraph 0.\n",
        )
        found = delegation(run, "nnapi")
        assert found["verdict"] == "FULL"
        assert found["accelerators"] == ["google-edgetpu", "nnapi-reference"]

    def test_two_delegates_one_after_another(self) -> None:
        run = read_one(
            classic(
                "INFO: Use xnnpack: [1]\nINFO: External delegate path: [lib.so]\n",
                "INFO: EXTERNAL delegate created.\nINFO: Going to apply 2 delegates one after "
                "another.\nINFO: Explicitly applied EXTERNAL delegate, and the model graph will "
                "be partially executed by the delegate w/ 1 delegate kernels.\nINFO: Explicitly "
                "applied XNNPACK delegate, and the model graph will be partially executed by the "
                "delegate w/ 2 delegate kernels.\n",
            ),
            IMPLICIT,
        )
        assert [d["requested"] for d in run["delegations"]] == ["xnnpack", "external"]
        assert [d["verdict"] for d in run["delegations"]] == ["PARTIAL", "PARTIAL"]
        assert all(d["explicit"] for d in run["delegations"])

    def test_npu_that_is_not_there(self) -> None:
        log = "INFO: [benchmark_litert_model.cc:270] dispatch_library_path: \n" + COMPILED_LOG
        run = read_one(compiled(), log + IMPLICIT + COMPILED_RESULTS)
        assert verdict(run, "npu") == "NONE"
        assert run["latency_us"]["p50"] == 3087
        assert run["memory"]["peak_mb"] == 46.5


class TestPythonTool:
    def text(self, accelerators: str, log: str) -> tuple[str, str]:
        stdout, stderr = (
            (INPUTS / "17a_py_litert_wheel_cpu" / s).read_text() for s in ("stdout", "stderr")
        )
        old = "Accelerators:    CPU"
        assert old in stderr
        return stdout, stderr.replace(old, f"Accelerators:    {accelerators}") + log

    def test_an_npu_that_is_not_there_is_not_fully_accelerated(self) -> None:
        run = read_one(*self.text("NPU | CPU", ""))
        assert verdict(run, "npu") == "NONE"
        assert run["latency_us"]["source"] == "tool"
        assert run["latency_us"]["p50"] == 3790

    def test_a_real_gpu_is_still_not_waited_for(self) -> None:
        adapter = (
            "I0000 00:00:1.2 7 environment.cc:532] Selected adapter: NVIDIA H1, arch=a, "
            "vendor=nvidia, backend=Vulkan, adapterType=discrete GPU\n"
        )
        run = read_one(*self.text("GPU | CPU", adapter))
        assert run["latency_us"]["source"] == "tool-async"
        assert verdict(run, "gpu") == "UNKNOWN"
        assert delegation(run, "gpu")["accelerators"][0].startswith("NVIDIA H1")

    def test_a_gpu_that_is_not_there_leaves_numbers_of_the_processor(self) -> None:
        line = (
            "WARNING: [gpu_registry.cc:152] GPU accelerator could not be loaded and registered.\n"
        )
        run = read_one(*self.text("GPU | CPU", line))
        assert verdict(run, "gpu") == "NONE"
        assert run["latency_us"]["source"] == "tool"

    def test_results_without_their_log(self) -> None:
        run = read_one(self.text("CPU", "")[0])
        assert run["latency_us"]["p50"] == 3790
        assert run["delegations"] == []
        assert "nothing says what computed" in run["notes"][0]


class TestProfiles:
    def test_several_subgraphs(self) -> None:
        main = "Primary graph (name: main) profile:\n" + profile_part(
            [("WHILE", "[out]:0", 1), ("ADD", "[a, b]:1", 1)]
        )
        name = "Subgraph (index: 1, name: while_cond)"
        cond = f"{name} profile:\n" + profile_part([("LESS", "[c]:0", 5)], f"{name} ")
        text = classic("INFO: Enable op profiling: [1]\n") + (
            "INFO: Operator-wise Profiling Info for Regular Benchmark Runs:\n" + main + cond
        )
        run = read_one(text)
        assert [(op["type"], op["subgraph"]) for op in run["ops"]] == [
            ("WHILE", 0),
            ("ADD", 0),
            ("LESS", 1),
        ]
        assert run["ops"][1]["avg_us"] == 2000
        assert run["latency_us"]["source"] == "tool-profiled"

    def test_a_profile_that_is_cut_off_takes_nothing_else_along(self) -> None:
        part = profile_part([("ADD", "[a]:0", 1)])
        text = classic() + "INFO: Operator-wise Profiling Info for Regular Benchmark Runs:\n" + part
        run = read_one(text[: text.index("Number of nodes")])
        assert run["ops"] is None
        assert run["failure"]["kind"] == "unreadable"
        assert run["latency_us"]["source"] == "tool-profiled"

    def test_a_profile_alone(self) -> None:
        text = (INPUTS / "05a_opprof_csv_file" / "out_profile.csv").read_text()
        run = read_one(text)
        assert len(run["ops"]) == 66
        assert run["latency_us"] is None
        assert run["failure"] is None


class TestSeveralOptions:
    TEXT = (
        "INFO: STARTING!\nINFO: The list of TFLite runtime options to be benchmarked: [all]\n"
        + "INFO: Log parameter values verbosely: [0]\nINFO: Use gpu: [1]\nINFO: Graph: [m.tflite]\n"
        + LOADED
        + "WARN: GPU acceleration is unsupported on this platform.\n"
        + RUNS
        + "INFO: Log parameter values verbosely: [0]\nINFO: Min num runs: [50]\n"
        + "INFO: Use xnnpack: [1]\nINFO: Graph: [m.tflite]\n"
        + LOADED
        + "INFO: XNNPACK delegate created.\nINFO: Explicitly applied XNNPACK delegate, and the "
        + "model graph will be completely executed by the delegate.\n"
        + RUNS.replace("max=7476", "max=7477")
        + "INFO: \n==============Summary of All Runs w/ Different Performance Options"
        + f"==============\nINFO:                gpu-default: {COUNT}\n"
        + f"INFO: cpu w/ 1 threads (xnnpack): {COUNT.replace('7476', '7477')}\n"
    )

    def test_each_option_is_a_run(self) -> None:
        for files in (
            [("a", self.TEXT.encode())],
            [("a", self.TEXT.encode()), ("b", IMPLICIT.encode())],
        ):
            gpu, xnnpack = read(files)
            assert (gpu["option"], xnnpack["option"]) == (
                "gpu-default",
                "cpu w/ 1 threads (xnnpack)",
            )
            assert verdict(gpu, "gpu") == "NONE"
            assert verdict(xnnpack, "xnnpack") == "FULL"
            assert xnnpack["latency_us"]["max"] == 7477
            assert gpu["failure"] is None
            assert xnnpack["failure"] is None


class TestLogcat:
    FORMATS: ClassVar[dict[str, str]] = {
        "threadtime": "10-09 08:59:55.012  {pid}  4711 {level} {tag}  : {text}",
        "brief": "{level}/{tag}  ( {pid}): {text}",
        "time": "10-09 08:59:55.012 {level}/{tag}  ( {pid}): {text}",
    }

    def lines(self, text: str, how: str, pid: int = 1234, tag: str = "tflite") -> list[str]:
        found, level = [], "I"
        for line in text.splitlines():
            word, _, rest = line.partition(": ")
            levels = {"INFO": "I", "WARN": "W", "ERROR": "E", "VERBOSE": "V"}
            if word in levels:
                level, line = levels[word], rest
            found.append(self.FORMATS[how].format(pid=pid, level=level, tag=tag, text=line))
        return found

    @pytest.mark.parametrize("how", sorted(FORMATS))
    def test_a_run_of_the_app(self, how: str) -> None:
        text = classic("INFO: Use gpu: [1]\n", GPU_APPLIED)
        lines = self.lines(text + GPU_REFUSES, how)
        noise = self.lines("INFO: something else\n", how, pid=77, tag="ActivityManager")
        run = read_one("\n".join(["--------- beginning of main", *noise, *lines, *noise, ""]))
        assert run.pop("runner") == "benchmark_app"
        expected = read_one(text, GPU_REFUSES)
        del expected["runner"]
        assert run == expected

    def test_a_profile_in_a_logcat(self) -> None:
        part = profile_part([("CONV_2D", "[a]:0", 1), ("Add (ND)", "Delegate/Add (ND):0", 1)])
        text = classic() + "INFO: Operator-wise Profiling Info for Regular Benchmark Runs:\n" + part
        run = read_one("\n".join(self.lines(text, "threadtime")) + "\n")
        assert run["ops"] == read_one(text)["ops"]
        assert len(run["ops"]) == 2

    def test_two_processes_are_two_runs(self) -> None:
        one = self.lines(classic(), "threadtime", pid=1)
        two = self.lines(classic(runs=RUNS.replace("max=7476", "max=7477")), "threadtime", pid=2)
        mixed = [line for pair in zip(one, two, strict=True) for line in pair]
        first, second = read([("a", "\n".join([*mixed, ""]).encode())])
        assert first["latency_us"]["max"] == 7476
        assert second["latency_us"]["max"] == 7477

    def test_an_app_of_somebody_else_has_delegates_and_no_times(self) -> None:
        lines = self.lines(GPU_REFUSES, "threadtime")
        run = read_one("\n".join([*lines, ""]))
        assert run["runner"] == "runtime"
        assert run["latency_us"] is None
        assert run["failure"]["kind"] == "no-measurement"
        assert verdict(run, "gpu") == "PARTIAL"

    def test_a_logcat_without_our_tags(self) -> None:
        with pytest.raises(UserError, match="no line of"):
            parse_files([("a", b"10-09 08:59:55.012  1234  4711 I Zygote  : hello\n")])


class TestCommand:
    def run(self, *arguments: str, given: bytes | None = None) -> tuple[int, str]:
        result = CliRunner().invoke(command, arguments, input=given)
        return result.exit_code, result.output

    def test_json_is_an_array_of_runs(self) -> None:
        case = INPUTS / "07p_external_dummy_delegate"
        code, out = self.run(str(case / "stdout"), str(case / "stderr"), "--json")
        assert code == 0
        (run,) = json.loads(out)
        assert run.pop("files") == [str(case / "stdout"), str(case / "stderr")]
        assert [run] == golden("07p_external_dummy_delegate")

    def test_stdin(self) -> None:
        code, out = self.run("-", "--json", given=classic().encode())
        assert code == 0
        assert json.loads(out)[0]["latency_us"]["p50"] == 3087

    def test_a_table_for_people(self) -> None:
        text = classic("INFO: Use gpu: [1]\n", GPU_APPLIED) + GPU_REFUSES
        code, out = self.run("-", given=text.replace("CAST", "C\x1b[31mAST").encode())
        assert code == 0
        assert "3.09 ms" in out
        assert "gpu: PARTIAL, 49 of 52 nodes" in out
        assert "\x1b" not in out


def test_a_hint_that_inputs_were_not_those_named() -> None:
    warning = "WARN: Tensor # 0 is named a but flags call it b\n"
    run = read_one(classic(runs=warning + RUNS))
    assert any("flags call it b" in note for note in run["notes"])
