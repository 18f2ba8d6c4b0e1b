"""`edgebench parse` over words of other versions, of the app, and of texts without their head."""

from __future__ import annotations

from typing import Any

import pytest

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
    RUNS,
    SESSION,
    SUMMARY,
    WARMUP,
    classic,
    compiled,
)
from tests.test_parse import INPUTS, delegation, read, read_one

OLD_HEAD = "STARTING!\nNum runs: [50]\nGraph: [m.tflite]\nUse nnapi : [0]\n"
TIMINGS = SUMMARY.partition("\n")[0] + "\n"
XNNPACK_APPLIED = (
    "INFO: XNNPACK delegate created.\nINFO: Explicitly applied XNNPACK delegate, and the model "
    "graph will be completely executed by the delegate.\n"
)


def counts(found: dict[str, Any]) -> tuple[object, ...]:
    return tuple(
        found[k] for k in ("verdict", "delegated_nodes", "total_nodes", "partitions", "kernels")
    )


class TestDelegates:
    @pytest.mark.parametrize(
        "name", ["LITERT_CL", "LITERT_OPENGL", "LITERT_METAL", "LITERT_WEBGPU", "LITERT_VULKAN"]
    )
    def test_the_gpu_of_litert_by_its_own_names(self, name: str) -> None:
        run = read_one(
            "I/tflite: Replacing 2068 out of 2070 node(s) with delegate "
            f"({name}) node, yielding 3 partitions for subgraph 0 (decode).\n"
            f"I/tflite: Replacing 7 out of 7 node(s) with delegate ({name}) node, yielding 1 "
            "partitions for subgraph 1 (prefill).\n"
        )
        assert [d["requested"] for d in run["delegations"]] == ["gpu"]
        assert counts(delegation(run, "gpu"))[:4] == ("PARTIAL", 2068, 2070, 3)

    def test_hexagon_before_it_counted_partitions(self) -> None:
        log = "INFO: Hexagon delegate: 62 nodes delegated out of 65 nodes.\n"
        said = (
            "INFO: Hexagon delegate created.\nINFO: Explicitly applied Hexagon delegate, and the "
            "model graph will be partially executed by the delegate w/ 2 delegate kernels.\n"
        )
        run = read_one(classic("INFO: Use Hexagon: [1]\n", said), log)
        assert counts(delegation(run, "hexagon")) == ("PARTIAL", 62, 65, 2, 2)

    def test_a_gpu_linked_into_the_tool(self) -> None:
        line = "INFO: [gpu_registry.cc:109] Statically linked GPU accelerator registered.\n"
        run = read_one(compiled(), COMPILED_LOG + line + COMPILED_RESULTS)
        assert delegation(run, "gpu")["explicit"]

    def test_an_accelerator_that_abseil_names(self) -> None:
        log = COMPILED_LOG.replace(
            "INFO: [accelerator_registry.cc:53] ",
            "I0000 00:00:1755900000.000000    4711 accelerator_registry.cc:51] ",
        )
        npu = "INFO: [benchmark_litert_model.cc:114] dispatch_library_path: /vendor\n"
        run = read_one(compiled(), npu + log + COMPILED_RESULTS)
        texts = " ".join(item["text"] for item in delegation(run, "npu")["evidence"])
        assert "names no NPU accelerator" in texts

    def test_ops_of_tensorflow(self) -> None:
        run = read_one(
            classic(), "INFO: Created TensorFlow Lite delegate for select TF ops.\n" + IMPLICIT
        )
        assert [d["requested"] for d in run["delegations"]] == ["flex", "xnnpack"]
        assert counts(delegation(run, "flex"))[0] == "UNKNOWN"

    def test_warnings_without_a_level(self) -> None:
        text = classic(
            "Use gpu: [1]\n", "GPU acceleration is unsupported on this platform.\n"
        ).replace("INFO: ", "")
        found = delegation(read_one(text, IMPLICIT), "gpu")
        assert found["verdict"] == "NONE"
        assert "unsupported on this platform" in found["evidence"][0]["text"]

    def test_flags_that_the_options_tool_does_not_know(self) -> None:
        warning = "WARN: WARNING: unrecognized commandline flag: --use_gpu=true\n"
        found = delegation(read_one(classic(warning), IMPLICIT), "gpu")
        assert (found["explicit"], found["verdict"]) == (True, "NONE")

    def test_every_reason_is_an_entry_and_none_is_null(self) -> None:
        log = GPU_REFUSES.replace(
            "CUSTOM MyOp:", "CAST: Tensor type(INT64) no.\nDIV:\nCUSTOM MyOp:"
        )
        found = delegation(read_one(classic("INFO: Use gpu: [1]\n", GPU_APPLIED), log), "gpu")
        assert found["unsupported"] == [
            {"op": "CAST", "reason": "Not supported cast case. Input type: INT32"},
            {"op": "CAST", "reason": "Tensor type(INT64) no."},
            {"op": "CUSTOM MyOp", "reason": "Operation is not supported."},
            {"op": "DIV", "reason": None},
            {"op": "TOPK_V2", "reason": "Operation is not supported."},
        ]

    def test_two_that_run_one_after_the_other_count_the_nodes_of_the_model(self) -> None:
        log = (
            "VERBOSE: Replacing 5 out of 64 node(s) with delegate (TfLiteNnapiDelegate) node, "
            "yielding 5 partitions for the whole graph.\n"
            "VERBOSE: Replacing 59 out of 62 node(s) with delegate (TfLiteXNNPackDelegate) node, "
            "yielding 5 partitions for the whole graph.\n"
        )
        flags = "INFO: Use NNAPI: [1]\nINFO: NNAPI accelerators available: [mtk-neuron]\n"
        run = read_one(classic(flags, "INFO: NNAPI delegate created.\n"), log)
        assert counts(delegation(run, "nnapi"))[:3] == ("PARTIAL", 5, 64)
        assert counts(delegation(run, "xnnpack"))[:3] == ("PARTIAL", 59, 64)


class TestFailures:
    def test_a_delegate_that_cannot_prepare(self) -> None:
        log = (
            "INFO: DummyDelegate delegate: 1 nodes delegated out of 6 nodes with 1 partitions.\n\n"
            "ERROR: Node number 6 (DummyDelegate) failed to prepare.\n"
            "ERROR: Restored original execution plan after delegate application failure.\n"
            "ERROR: Failed to apply EXTERNAL delegate.\n"
        )
        head = HEAD + "INFO: External delegate path: [a.so]\n" + LOADED
        run = read_one(head + "INFO: EXTERNAL delegate created.\n", log + FAILED)
        assert run["failure"]["kind"] == "delegate"
        assert counts(delegation(run, "external")) == ("NONE", None, None, None, None)
        assert run["latency_us"] is None

    def test_an_accelerator_that_must_and_cannot_be_loaded(self) -> None:
        log = (
            "INFO: [gpu_registry.cc:122] Attempting to load GPU accelerator(libLiteRtGpu.so).\n"
            "WARNING: [gpu_registry.cc:152] GPU accelerator could not be loaded and registered.\n"
            "INFO: [benchmark_litert_model.cc:305] Loading model from: m.tflite\n"
        )
        run = read_one(compiled(runs=""), log + FAILED)
        assert run["failure"]["kind"] == "delegate"
        assert delegation(run, "gpu")["verdict"] == "NONE"
        # LiteRT 2.1 looks for a GPU whatever it is asked for.
        older = log.replace("gpu_registry.cc:", "auto_registration.cc:")
        assert read_one(compiled(runs=""), older + FAILED)["failure"]["kind"] == "tool"

    @pytest.mark.parametrize(
        ("line", "kind"),
        [
            ("FATAL: Inputs mismatch: Model inputs #:1 expected: 2", "inputs"),
            ("ERROR: a:b:c contains more than one delimiter.", "inputs"),
            ("ERROR: abc doesn't contain any delimiter.", "inputs"),
            ("ERROR: Any unknown sizes in the shapes (-1's) must be replaced with", "inputs"),
            ("ERROR: Signature key is specified, but the model does not have any", "signature"),
            ("ERROR: Didn't find op for builtin opcode 'CONV_2D' version '9'.", "load"),
            ("ERROR: Failed to initialize the interpreter", "load"),
            ("ERROR: Failed to initialize model loader with path fd:x", "load"),
            ("ERROR: [compiled_model.cc:1092] Some ops are not accelerated. Add", "delegate"),
        ],
    )
    def test_kinds(self, line: str, kind: str) -> None:
        run = read_one(HEAD + LOADED, f"{line}\n{FAILED}")
        assert run["failure"] == {"kind": kind, "message": line.partition(": ")[2]}

    @pytest.mark.parametrize(
        ("line", "kind"),
        [
            ("Failed to mmap model m.tflite", "load"),
            ("Failed to construct interpreter", "load"),
            ("Failed to invoke!", "invoke"),
            ("usage: benchmark_model\nFlags:\n\t--num_runs=50", "usage"),
        ],
    )
    def test_errors_without_a_level(self, line: str, kind: str) -> None:
        assert read_one(OLD_HEAD + line + "\nAborted\n")["failure"]["kind"] == kind


class TestWithoutTheHead:
    def test_figures_are_those_of_the_whole(self) -> None:
        whole = read_one(classic())
        for text in (RUNS, WARMUP + MEASURED + SUMMARY):
            run = read_one(text)
            assert run["runner"] == "benchmark_model"
            for key in ("latency_us", "warmup_us", "init_us", "first_inference_us", "memory"):
                assert run[key] == whole[key]
            assert run["failure"] is None
            assert "the beginning of the text is missing" in run["notes"][0]

    def test_one_line_of_figures_is_of_the_part_whose_mean_it_has(self) -> None:
        run = read_one(MEASURED + SUMMARY)
        assert run["latency_us"]["p50"] == 3087
        assert (run["warmup_us"]["avg"], run["warmup_us"]["count"]) == (3130.12, None)
        run = read_one(WARMUP + SUMMARY)
        assert (run["latency_us"]["avg"], run["latency_us"]["count"]) == (3134.66, None)
        assert run["latency_us"]["p50"] is None

    def test_one_line_of_figures_alone_is_of_nobody_knows_what(self) -> None:
        run = read_one(MEASURED)
        assert (run["latency_us"], run["warmup_us"]) == (None, None)
        assert run["failure"] is not None

    def test_the_last_line_alone(self) -> None:
        run = read_one(TIMINGS)
        assert run["latency_us"]["avg"] == 3134.66
        assert run["latency_us"]["count"] is None
        assert (run["init_us"], run["first_inference_us"]) == (1154, 3472)
        assert (run["delegations"], run["failure"]) == ([], None)

    def test_means_of_zero_are_of_no_runs(self) -> None:
        line = TIMINGS.replace("3134.66", "0").replace("3130.12", "0").replace("3472", "0")
        run = read_one(line)
        assert (run["latency_us"], run["warmup_us"], run["first_inference_us"]) == (None,) * 3
        assert run["failure"]["kind"] == "no-measurement"

    def test_without_its_end_it_may_have_lost_digits(self) -> None:
        for text in (TIMINGS, "11-21 10:00:00.000  1  1 I tflite  : " + TIMINGS[6:]):
            with pytest.raises(UserError, match="lost its end"):
                parse_files([("a", text.rstrip("\n").encode())])

    def test_with_the_figures_that_it_repeats_it_has_lost_none(self) -> None:
        text = classic(runs=RUNS.partition("INFO: Note")[0]).rstrip("\n")
        logcat = "\n".join(f"I/tflite: {line.removeprefix('INFO: ')}" for line in text.splitlines())
        for whole in (text, logcat):
            assert read_one(whole)["latency_us"]["p50"] == 3087

    def test_figures_of_several_runs_are_refused(self) -> None:
        for text in (TIMINGS * 2, RUNS + MEASURED):
            with pytest.raises(UserError, match="more than one run"):
                parse_files([("a", text.encode())])

    def test_figures_that_contradict_each_other_are_refused(self) -> None:
        text = WARMUP + MEASURED + SUMMARY.replace("3134.66", "3034.66")
        with pytest.raises(UserError, match="contradicts"):
            parse_files([("a", text.encode())])

    def test_the_end_of_one_run_before_another(self) -> None:
        text = MEASURED + SUMMARY + classic(runs=RUNS.replace("max=7476", "max=7477"))
        tail, whole = read([("a", text.encode())])
        assert (tail["latency_us"]["max"], whole["latency_us"]["max"]) == (7476, 7477)
        assert whole["notes"] == []

    def test_a_tail_and_its_log(self) -> None:
        run = read([("o", RUNS.encode()), ("e", IMPLICIT.encode())])
        assert [d["requested"] for d in run[0]["delegations"]] == ["xnnpack"]

    def test_the_end_of_the_compiled_tool(self) -> None:
        run = read_one(SESSION + WARMUP + MEASURED, COMPILED_LOG + COMPILED_RESULTS)
        assert run["runner"] == "benchmark_litert"
        assert run["latency_us"]["p50"] == 3087
        assert run["failure"] is None

    def test_the_app_of_old_prints_one_line_only(self) -> None:
        run = read_one(
            "01-02 10:00:00.000  1234  1250 I tflite  : Initialized TensorFlow Lite runtime.\n"
            "01-02 10:00:09.000  1234  1250 E tflite  : Average inference timings in us: Warmup: "
            "91471, Init: 4108, Inference: 80660.1Overall max resident set size = 0 MB, total "
            "malloc-ed size = 1.9 MB, in-use allocated/mmapped size = 3.3 MB\n"
        )
        assert run["runner"] == "benchmark_app"
        assert (run["latency_us"]["avg"], run["warmup_us"]["avg"]) == (80660.1, 91471)
        assert (run["init_us"], run["first_inference_us"], run["failure"]) == (4108, None, None)


class TestLogcat:
    @pytest.mark.parametrize(
        "prefix",
        [
            "2026-10-09 08:59:55.012  1234  4711 I tflite  : ",
            "10-09 08:59:55.012345  1234  4711 I tflite  : ",
            "10-09 08:59:55.012 +0000  1234  4711 I tflite  : ",
            "10-09 08:59:55.012 u0_a12  1234  4711 I tflite  : ",
            "10-09 08:59:55.012 10012  1234  4711 I tflite  : ",
            "         1700000000.123  1234  4711 I tflite  : ",
            "\x1b[38;5;40m10-09 08:59:55.012  1234  4711 I tflite  : ",
            "2026-10-09 08:59:55.012 1234-4711/org.some.app I/tflite: ",
            "2026-10-09 08:59:55.012  1234-4711  tflite                  org.some.app         I  ",
            "10-09 08:59:55.012 I/tflite  ( 1234): ",
            "I/tflite  ( 1234): ",
            "I/tflite: ",
            "I tflite  : ",
        ],
    )
    def test_every_format_tells_the_same(self, prefix: str) -> None:
        end = "\x1b[0m" if "\x1b" in prefix else ""
        text = classic("INFO: Use xnnpack: [1]\n", XNNPACK_APPLIED)
        lines = [f"{prefix}{line.removeprefix('INFO: ')}{end}" for line in text.splitlines()]
        run = read_one("--------- beginning of main\n" + "\n".join([*lines, ""]))
        assert run.pop("runner") == "benchmark_app"
        expected = read_one(text)
        del expected["runner"]
        assert run == expected
        assert run["latency_us"]["count"] == 318
        assert COUNT.startswith("count=318")


class TestProfiles:
    @pytest.mark.parametrize(
        "case", ["04_fp32_opprof_stdout", "04b_fp32_opprof_stdout_no_xnnpack", "06b_int8_opprof"]
    )
    def test_a_table_copied_from_a_terminal_has_blanks_for_tabs(self, case: str) -> None:
        text = (INPUTS / case / "stdout").read_text()
        assert "\t" in text
        run = read_one(text.replace("\t", "    "))
        assert run["failure"] is None
        assert run["ops"] == read_one(text)["ops"]
        assert len(run["ops"]) > 60
