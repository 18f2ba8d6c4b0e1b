"""What each source of evidence says by itself."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.delegation.compiled import judge_compiled_model
from bench.delegation.fuse import fuse
from bench.delegation.judge import judge, judge_tool, why_not_created, with_profile
from bench.delegation.latency import with_latency
from bench.delegation.model import Coverage, Delegation, EvidenceSource, Refusal
from bench.delegation.nodes import from_numbers
from bench.ops.model import OpKind, OpProfile, OpRow, OpTable, ProfileSource
from bench.parsers.benchmark_model import Applied, ToolOutput, ToolText, parse_classic
from bench.parsers.benchmark_proto import RuntimeGraph, RuntimeNode
from bench.parsers.logcat import logcat_text
from bench.parsers.op_profile import parse_profile_text
from bench.parsers.runtime_log import parse_log
from bench.stats import Change, RatioVerdict

FULL, PARTIAL, NONE, UNKNOWN = Coverage
GOLDEN = Path(__file__).parent / "golden" / "benchmark_model"


def tool(*applied: Applied, log: str = "", **text: Any) -> ToolOutput:
    plain = ToolText((), (), applied, (), (), 1000.0, None, None, None)
    return ToolOutput(dataclasses.replace(plain, **text), parse_log(log))


def judged(requested: str, output: ToolOutput) -> Delegation:
    return judge_tool(requested, output, None, compiled=False)


def texts(found: Delegation) -> str:
    return "\n".join(item.text for item in found.evidence)


# --- the runtime's log -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "VERBOSE: Replacing 4 out of 6 node(s) with delegate (TfLiteGpuDelegateV2) node, "
            "yielding 5 partitions for subgraph 0 (main).",
            (PARTIAL, 4, 6, None),
        ),
        (
            "INFO: Replacing 6 out of 6 node(s) with delegate (TfLiteGpuDelegateV2) node, "
            "yielding 2 partitions for subgraph 0.",
            (FULL, 6, 6, 2),
        ),
        (
            "INFO: Replacing 12 node(s) with delegate (TfLiteGpuDelegateV2) node, "
            "yielding 1 partitions.",
            (FULL, 12, 12, 1),
        ),
        # All nodes of a graph would be one partition.
        (
            "INFO: Replacing 12 node(s) with delegate (TfLiteGpuDelegateV2) node, "
            "yielding 3 partitions for the whole graph.",
            (PARTIAL, 12, None, None),
        ),
        (
            "INFO: Replacing 7 out of 6 node(s) with delegate (TfLiteGpuDelegateV2) node, "
            "yielding 1 partitions.",
            (UNKNOWN, 7, 6, 1),
        ),
        (
            "INFO: MyGpu delegate: 3 nodes delegated out of 5 nodes with 2 partitions.",
            (PARTIAL, 3, 5, 2),
        ),
        (
            "First 49 operations will run on the GPU, and the remaining 3 on the CPU.",
            (PARTIAL, 49, 52, None),
        ),
        (
            "No operations will run on the GPU, and all 52 operations will run on the CPU.",
            (NONE, 0, 52, 0),
        ),
        ("INFO: Created TensorFlow Lite delegate for GPU.", (UNKNOWN, None, None, None)),
        (
            "WARNING: [gpu_registry.cc:152] GPU accelerator could not be loaded and registered.",
            (NONE, None, None, None),
        ),
        ("ERROR: Failed to apply GPU delegate.", (NONE, None, None, None)),
        ("nothing of the kind", (UNKNOWN, None, None, None)),
    ],
)
def test_every_wording_of_the_log(line: str, expected: tuple[object, ...]) -> None:
    found = judge_tool("gpu", tool(log=line, init_us=None), None, compiled=False)
    assert (
        found.verdict,
        found.delegated_nodes,
        found.total_nodes,
        found.partitions,
    ) == expected
    assert found.evidence


def test_core_ml_puts_a_comma_into_its_line() -> None:
    line = "INFO: CoreML delegate: 3 nodes delegated out of 5 nodes, with 2 partitions."
    found = judged("coreml", tool(Applied("COREML", "partially", 2), log=line))
    assert (found.verdict, found.delegated_nodes, found.partitions) == (PARTIAL, 3, 2)


GPU_LOG = """ERROR: Following operations are not supported by GPU delegate:
CAST: Not supported Cast case.
CAST: OP is supported, but tensor type/shape isn't compatible.
CUSTOM Foo: Operation is not supported.
49 operations will run on the GPU, and the remaining 3 operations will run on the CPU.
"""


def test_what_the_gpu_refuses_is_kept_with_every_reason() -> None:
    found = judged("gpu", tool(Applied("GPU", "partially", 1), log=GPU_LOG))
    assert found.unsupported == (
        Refusal("CAST", "Not supported Cast case."),
        Refusal("CAST", "OP is supported, but tensor type/shape isn't compatible."),
        Refusal("CUSTOM Foo", "Operation is not supported."),
    )
    assert judged("xnnpack", tool(log=GPU_LOG)).unsupported == ()


def test_the_list_of_the_gpu_in_logcat_and_between_lines_of_the_tool() -> None:
    lines = ["STARTING!", *GPU_LOG.replace("ERROR: ", "").splitlines()]
    logcat = "\n".join(f"11-21 10:00:00.000  123  123 E tflite  : {line}" for line in lines)
    found = parse_log(logcat_text(logcat, 123))
    assert found.gpu_nodes == (49, 3)
    assert set(found.gpu_refused) == {"CAST", "CUSTOM Foo"}
    mixed = GPU_LOG.replace("CUSTOM", "INFO: Initialized session in 3ms.\nCUSTOM")
    assert set(parse_log(mixed).gpu_refused) == {"CAST", "CUSTOM Foo"}
    cut = "ERROR: Next operations are not supported by GPU delegate:\nERROR: it broke\nA: b\n"
    assert parse_log(cut).gpu_refused == {}


def test_nodes_that_a_failure_gave_back_were_not_taken() -> None:
    log = GPU_LOG + (
        "ERROR: TfLiteGpuDelegate Init: no queue\n"
        "ERROR: Restored original execution plan after delegate application failure.\n"
    )
    found = judged("gpu", tool(log=log, init_us=None))
    assert (found.verdict, found.delegated_nodes) == (NONE, None)
    assert "49 of 52" in texts(found)


@pytest.mark.parametrize(
    "line",
    [
        "ERROR: Could not find the specified NNAPI accelerator: x. Must be one of: {a,b}.",
        "ERROR: NNAPI delegate requested but no accelerators available.",
    ],
)
def test_nnapi_without_its_accelerator(line: str) -> None:
    found = judged("nnapi", tool(log=line, init_us=None))
    assert found.verdict is NONE
    assert line in texts(found)
    # Whatever else is said: it did not run there.
    said = tool(Applied("NNAPI", "completely", None), log=line, accelerators=("a", "b"))
    assert judged("nnapi", said).verdict is UNKNOWN


def test_what_nnapi_refuses() -> None:
    log = (
        "WARNING: Operator CAST (v2) refused by NNAPI delegate: Android sdk version too low\n"
        "WARNING: Operator CAST (v2) refused by NNAPI delegate: unsupported type\n"
        "WARNING: Operator TOPK_V2 (v1) refused by NNAPI delegate: no\n"
    )
    found = judged("nnapi", tool(Applied("NNAPI", "partially", 1), log=log, accelerators=("x",)))
    assert found.verdict is PARTIAL
    assert found.unsupported == (
        Refusal("CAST", "Android sdk version too low"),
        Refusal("CAST", "unsupported type"),
        Refusal("TOPK_V2", "no"),
    )
    assert found.accelerators == ("x",)


def test_the_reference_that_was_asked_for_by_name_is_the_processor() -> None:
    said = tool(
        Applied("NNAPI", "completely", None),
        accelerators=("nnapi-reference", "dsp"),
        accelerator="nnapi-reference",
    )
    assert judged("nnapi", said).verdict is NONE


@given(st.text(alphabet="0123456789CASTGPUNNAPI:.() \n", max_size=300) | st.text(max_size=300))
def test_any_log_is_read(text: str) -> None:
    long = "9" * 5000
    parse_log(text)
    parse_log(f"INFO: Replacing {long} node(s) with delegate (X) node, yielding {long} partitions.")
    parse_log(f"{long} operations will run on the GPU, and the remaining {long} on the CPU.")


# --- the tool's own words --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ({"unconsumed": ("--use_gpu=true",)}, EvidenceSource.FLAG),
        ({"warnings": ("GPU acceleration is unsupported on this platform.",)}, EvidenceSource.TOOL),
        ({}, EvidenceSource.ABSENCE),
    ],
)
def test_a_gpu_that_was_not_made_is_none_by_whatever_shows_it(
    text: dict[str, Any], source: EvidenceSource
) -> None:
    output = tool(**text)
    found = judged("gpu", output)
    assert (found.verdict, [item.source for item in found.evidence]) == (NONE, [source])
    assert why_not_created("gpu", output, compiled=False)


def test_before_the_session_is_ready_no_line_is_missing() -> None:
    assert judged("gpu", tool(init_us=None)).verdict is UNKNOWN


def test_a_delegate_that_was_made_and_not_told_of_again_is_unknown() -> None:
    output = tool(created=("GPU",))
    assert judged("gpu", output).verdict is UNKNOWN
    assert why_not_created("gpu", output, compiled=False) is None
    old = b"STARTING!\nApplied GPU delegate.\nInitialized session in 5.5ms\n"
    assert judged("gpu", parse_classic(old, b"")).verdict is UNKNOWN


def test_a_warning_about_options_says_nothing_of_the_delegate() -> None:
    output = tool(
        Applied("GPU", "completely", None),
        warnings=("The GPU delegate compile options are only supported on Android or iOS",),
    )
    assert judged("gpu", output).verdict is FULL


# --- precompiled for the Edge TPU ------------------------------------------------------------


@pytest.mark.parametrize(
    ("outside", "created", "verdict"),
    [
        ({"edgetpu-custom-op": 1}, True, FULL),
        ({"edgetpu-custom-op": 1, "SOFTMAX": 2}, True, PARTIAL),
        ({"edgetpu-custom-op": 1}, False, NONE),
        ({"SOFTMAX": 1}, True, NONE),
    ],
)
def test_precompiled_nodes_count_once_the_delegate_was_made(
    outside: dict[str, int], created: bool, verdict: Coverage
) -> None:
    total = sum(outside.values())
    numbers: dict[str, Any] = {"total_nodes": total, "delegated_nodes": 0, "partitions": 0}
    list_ = from_numbers("edgetpu", **numbers, fallback_ops=outside, created=created)
    found = fuse("edgetpu", [list_])
    assert found.verdict is verdict
    if created:
        # The loop has no node list unless it could load the delegate.
        assert judge("edgetpu", **numbers, fallback_ops=outside) == found
    assert (
        fuse("gpu", [from_numbers("gpu", **numbers, fallback_ops=outside, created=True)]).verdict
        is NONE
    )
    if verdict is PARTIAL:
        assert (found.delegated_nodes, found.fallback_ops) == (1, {"SOFTMAX": 2})


def test_precompiled_nodes_of_the_tool() -> None:
    nodes = (
        RuntimeNode(0, "edgetpu-custom-op", None, (), ""),
        RuntimeNode(1, "SOFTMAX", None, (), ""),
    )
    graph = RuntimeGraph(nodes, (0, 1))
    made = tool(created=("EXTERNAL",))
    assert judge_tool("edgetpu", made, graph, compiled=False).verdict is PARTIAL
    assert judge_tool("edgetpu", tool(), graph, compiled=False).verdict is NONE
    assert judge_tool("gpu", made, graph, compiled=False).verdict is NONE


# --- op profiles -----------------------------------------------------------------------------

XNN = "Convolution (NHWC, F32) IGEMM"


def row(kind: OpKind, type_: str, avg_us: float | None = 10.0, node: int | None = None) -> OpRow:
    return OpRow(kind, type_, "", avg_us, node=node)


def profile(*rows: OpRow, body: tuple[OpRow, ...] = (), **more: Any) -> OpProfile:
    tables = [OpTable(rows)]
    tables += [OpTable(body, subgraph=1)] if body else []
    made = OpProfile(ProfileSource.STDOUT, tuple(tables))
    return dataclasses.replace(made, **more)


@pytest.mark.parametrize(
    ("name", "verdict", "share"),
    [
        ("04_fp32_opprof_stdout", FULL, 0.0),
        ("04b_fp32_opprof_stdout_no_xnnpack", NONE, None),
        ("06b_int8_opprof", PARTIAL, 0.00224),
        ("06e_dynamic_opprof_no_xnnpack", NONE, None),
        ("19b_litert_cpp_profiler", FULL, 0.0),
    ],
)
def test_profiles_of_recordings(name: str, verdict: Coverage, share: float | None) -> None:
    stream = "stderr" if name.startswith("19") else "stdout"
    rows = parse_profile_text((GOLDEN / name / stream).read_text())
    assert rows is not None
    found = with_profile(Delegation("xnnpack", UNKNOWN), rows)
    assert found.verdict is verdict
    assert found.outside_time == (None if share is None else pytest.approx(share, abs=1e-4))
    other = with_profile(Delegation("gpu", UNKNOWN), rows)
    assert other.verdict is NONE
    plain = with_profile(Delegation("none", UNKNOWN), rows)
    assert plain.verdict is verdict
    assert plain.outside_time is None


def test_a_profile_that_lost_rows_proves_no_full_coverage() -> None:
    folder = GOLDEN / "15j_profiling_buffer_drop"
    output = parse_classic((folder / "stdout").read_bytes(), (folder / "stderr").read_bytes())
    assert output.log.dropped_rows
    whole = profile(row(OpKind.DELEGATE_OP, XNN))
    assert with_profile(Delegation("xnnpack", UNKNOWN), whole).verdict is FULL
    found = judge_tool("xnnpack", output, None, compiled=False, profile=whole)
    assert (found.verdict, found.outside_time) == (UNKNOWN, None)
    both = profile(row(OpKind.DELEGATE_OP, XNN), row(OpKind.OP, "CAST"))
    found = judge_tool("xnnpack", output, None, compiled=False, profile=both)
    assert (found.verdict, found.outside_time) == (PARTIAL, None)


def test_time_in_a_loop_counts_once() -> None:
    rows = profile(
        row(OpKind.DELEGATE_OP, XNN, 40.0),
        row(OpKind.OP, "WHILE", 60.0),
        body=(row(OpKind.DELEGATE_OP, XNN, 45.0), row(OpKind.OP, "LESS", 5.0)),
    )
    found = with_profile(Delegation("xnnpack", PARTIAL), rows)
    assert found.outside_time == pytest.approx(0.15)


def test_rows_of_a_delegate_without_a_name_say_nothing() -> None:
    rows = profile(row(OpKind.DELEGATE_OP, "conv kernel 3"), row(OpKind.OP, "CAST"))
    for requested in ("gpu", "xnnpack", "external"):
        found = with_profile(Delegation(requested, UNKNOWN), rows)
        assert (found.verdict, found.outside_time) == (UNKNOWN, None)


def test_xnnpack_takes_the_rest_and_its_time_is_not_the_gpus() -> None:
    rows = profile(
        row(OpKind.DELEGATE, "TfLiteGpuDelegateV2", 75.0), row(OpKind.DELEGATE_OP, XNN, 25.0)
    )
    found = with_profile(Delegation("gpu", PARTIAL), rows)
    assert found.verdict is PARTIAL
    assert found.outside_time == pytest.approx(0.25)


def test_nodes_are_counted_where_rows_name_them() -> None:
    rows = profile(
        row(OpKind.DELEGATE_OP, XNN),
        row(OpKind.OP, "CUMSUM", node=1),
        row(OpKind.OP, "TOPK_V2", node=4),
        row(OpKind.PHASE, "AllocateTensors"),
    )
    found = with_profile(Delegation("xnnpack", UNKNOWN, total_nodes=6), rows)
    assert (found.verdict, found.delegated_nodes, found.total_nodes) == (PARTIAL, 4, 6)
    assert found.fallback_ops == {"CUMSUM": 1, "TOPK_V2": 1}
    merged = profile(row(OpKind.DELEGATE_OP, XNN), row(OpKind.OP, "CUMSUM"))
    found = with_profile(Delegation("xnnpack", UNKNOWN, total_nodes=6), merged)
    assert (found.verdict, found.delegated_nodes) == (PARTIAL, None)


def test_a_profile_that_contradicts_the_node_list_is_shown() -> None:
    before = judge("xnnpack", total_nodes=6, delegated_nodes=6, partitions=1, fallback_ops={})
    plain = profile(row(OpKind.OP, "CONV_2D", node=0))
    for rows in (plain, profile(row(OpKind.DELEGATE_OP, XNN), row(OpKind.OP, "ADD", node=1))):
        found = with_profile(before, rows)
        assert found.verdict is UNKNOWN
        assert set(before.evidence) < set(found.evidence)
    assert with_profile(before, profile()) == before


def test_times_in_no_table_are_no_share() -> None:
    for rows in (
        profile(row(OpKind.DELEGATE_OP, XNN, None), row(OpKind.OP, "CAST")),
        profile(row(OpKind.DELEGATE_OP, XNN, 0.0), row(OpKind.OP, "CAST", 0.0)),
    ):
        assert with_profile(Delegation("xnnpack", PARTIAL), rows).outside_time is None


ROWS = st.builds(
    row,
    st.sampled_from(OpKind),
    st.sampled_from(["CAST", "CONV_2D", XNN, "TfLiteGpuDelegateV2", "edgetpu-custom-op"]),
    st.none() | st.floats(0, 1e9),
    st.none() | st.integers(0, 5),
)


@given(
    st.sampled_from(["none", "xnnpack", "gpu", "edgetpu", "external"]),
    st.lists(ROWS, max_size=5),
    st.lists(ROWS, max_size=3),
    st.none() | st.integers(1, 6),
)
def test_shares_and_counts_stay_in_their_bounds(
    requested: str, main: list[OpRow], body: list[OpRow], total: int | None
) -> None:
    before = Delegation(requested, UNKNOWN, total_nodes=total)
    found = with_profile(before, profile(*main, body=tuple(body)))
    assert found.outside_time is None or 0 <= found.outside_time <= 1
    if found.delegated_nodes is not None:
        assert found.total_nodes == total
        assert (found.delegated_nodes > 0) == (found.verdict in (FULL, PARTIAL))
        assert sum(found.fallback_ops.values()) in (0, total - found.delegated_nodes)  # type: ignore[operator]
    if found.verdict is FULL:
        assert not any(r.kind is OpKind.OP and r.type != "edgetpu-custom-op" for r in main)


# --- times ------------------------------------------------------------------------------------


def ratio(change: Change) -> RatioVerdict:
    return RatioVerdict(1.0, None, 6, change, None, None, "")


@pytest.mark.parametrize("word", [FULL, PARTIAL, UNKNOWN])
def test_as_fast_as_the_processor_is_suspect(word: Coverage) -> None:
    found = with_latency(Delegation("gpu", word), ratio(Change.SAME))
    assert found.verdict is word
    assert "As fast as on the processor" in found.suspicion
    assert found.evidence[-1].source is EvidenceSource.LATENCY
    assert with_latency(found, ratio(Change.SAME)) == found


@pytest.mark.parametrize(
    ("requested", "word", "change"),
    [
        ("xnnpack", FULL, Change.SAME),
        ("none", NONE, Change.SAME),
        ("gpu", NONE, Change.SAME),
        ("gpu", FULL, Change.CHANGED),
        ("gpu", FULL, Change.UNCLEAR),
    ],
)
def test_nothing_else_is(requested: str, word: Coverage, change: Change) -> None:
    found = Delegation(requested, word)
    assert with_latency(found, ratio(change)) == found


# --- CompiledModel ----------------------------------------------------------------------------

REGISTERED = "".join(
    f"INFO: [accelerator_registry.cc:54] RegisterAccelerator: ptr=0x1, name={name}\n"
    for name in ("NpuAccelerator", "GPU WebGPU", "CpuAccelerator")
)
HARDWARE = "Selected adapter: Mali-G715, arch=valhall, backend=Vulkan, adapterType=IntegratedGPU\n"
SOFTWARE = "Selected adapter: SwiftShader Device (LLVM 16), vendor=google, backend=Vulkan\n"


@pytest.mark.parametrize(
    ("requested", "fully", "alone", "log", "expected"),
    [
        ("gpu", True, True, REGISTERED + HARDWARE, FULL),
        # The processor's part counts in the first answer.
        ("gpu", True, None, REGISTERED + HARDWARE, UNKNOWN),
        ("gpu", True, False, REGISTERED + HARDWARE, UNKNOWN),
        ("gpu", True, True, REGISTERED + SOFTWARE, NONE),
        ("gpu", True, True, REGISTERED.replace("GPU WebGPU", "Other"), UNKNOWN),
        ("gpu", True, None, REGISTERED.replace("GPU WebGPU", "Other"), NONE),
        ("gpu", True, False, REGISTERED + HARDWARE + GPU_LOG, PARTIAL),
        ("gpu", True, True, REGISTERED + HARDWARE + GPU_LOG, UNKNOWN),
        (
            "npu",
            True,
            None,
            REGISTERED + "WARNING: [npu_registry.cc:34] NPU accelerator could not be loaded and "
            "registered: kLiteRtStatusErrorNotFound.\n",
            NONE,
        ),
        ("xnnpack", True, None, REGISTERED, FULL),
        ("xnnpack", False, None, REGISTERED, UNKNOWN),
        ("none", False, None, REGISTERED, NONE),
        ("none", False, None, "", UNKNOWN),
        (
            "none",
            False,
            None,
            REGISTERED + "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n",
            UNKNOWN,
        ),
        ("none", True, None, REGISTERED, FULL),
        ("gpu", None, None, "", UNKNOWN),
    ],
)
def test_a_compiled_model(
    requested: str, fully: bool | None, alone: bool | None, log: str, expected: Coverage
) -> None:
    found = judge_compiled_model(
        requested, fully_accelerated=fully, non_cpu_fully=alone, log=log, total_nodes=52
    )
    assert found.verdict is expected
    assert found.evidence


def test_a_compiled_model_counts_nodes_by_its_profile() -> None:
    rows = profile(row(OpKind.DELEGATE_OP, XNN), row(OpKind.OP, "ATAN2", node=1))
    found = judge_compiled_model(
        "xnnpack", fully_accelerated=False, total_nodes=4, profile=rows, log=REGISTERED
    )
    assert (found.verdict, found.delegated_nodes, found.fallback_ops) == (PARTIAL, 3, {"ATAN2": 1})
    lie = judge_compiled_model(
        "xnnpack", fully_accelerated=True, total_nodes=4, profile=rows, log=REGISTERED
    )
    assert lie.verdict is UNKNOWN


def test_messages_of_the_compiled_model_are_read() -> None:
    found = judge_compiled_model("gpu", fully_accelerated=True, messages=GPU_LOG)
    assert (found.verdict, found.delegated_nodes, found.total_nodes) == (PARTIAL, 49, 52)
    assert {item.op for item in found.unsupported} == {"CAST", "CUSTOM Foo"}
