"""The verdict on a delegate, for every kind of evidence."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.delegation.judge import judge, judge_tool, why_not_created
from bench.delegation.model import Coverage, Delegation, Refusal
from bench.parsers.benchmark_litert import parse_compiled
from bench.parsers.benchmark_model import Applied, ToolOutput, ToolText, parse_classic
from bench.parsers.benchmark_proto import RuntimeGraph, RuntimeNode, parse_runtime_info
from bench.parsers.runtime_log import parse_log


def nodes(requested: str, total: int, delegated: int, partitions: int, **ops: int) -> Delegation:
    return judge(
        requested,
        total_nodes=total,
        delegated_nodes=delegated,
        partitions=partitions,
        fallback_ops=ops,
    )


def texts(found: Delegation) -> tuple[str, ...]:
    return tuple(item.text for item in found.evidence)


def test_all_nodes_in_partitions_is_full() -> None:
    verdict = nodes("xnnpack", 65, 65, 1)
    assert verdict.verdict is Coverage.FULL
    assert verdict.as_requested
    assert texts(verdict) == ("A delegate took 65 of 65 nodes in 1 partition.",)


def test_some_nodes_left_is_partial_and_names_them() -> None:
    verdict = nodes("xnnpack", 65, 50, 16, DEPTHWISE_CONV_2D=13, SOFTMAX=2)
    assert verdict.verdict is Coverage.PARTIAL
    assert verdict.as_requested
    assert verdict.fallback_ops == {"DEPTHWISE_CONV_2D": 13, "SOFTMAX": 2}
    assert texts(verdict) == (
        "A delegate took 50 of 65 nodes in 16 partitions.",
        "Outside it: DEPTHWISE_CONV_2D x13, SOFTMAX x2.",
    )


def test_a_delegate_that_took_nothing_is_not_as_requested() -> None:
    verdict = nodes("xnnpack", 1, 0, 0, ATAN2=1)
    assert verdict.verdict is Coverage.NONE
    assert not verdict.as_requested
    assert texts(verdict)[0] == "No delegate replaced any of the 1 node."


def test_plain_kernels_without_partitions_are_as_requested_and_nothing_fell_back() -> None:
    verdict = nodes("none", 6, 0, 0, CONV_2D=6)
    assert verdict.verdict is Coverage.NONE
    assert verdict.as_requested
    assert verdict.fallback_ops == {}


@pytest.mark.parametrize(("delegated", "word"), [(6, Coverage.FULL), (5, Coverage.PARTIAL)])
def test_plain_kernels_with_partitions_are_not_as_requested(delegated: int, word: Coverage) -> None:
    outside = {"SOFTMAX": 6 - delegated} if delegated < 6 else {}
    verdict = nodes("none", 6, delegated, 1, **outside)
    assert verdict.verdict is word
    assert not verdict.as_requested
    assert "Plain kernels were asked for, but a delegate is at work." in texts(verdict)


@pytest.mark.parametrize("requested", ["none", "xnnpack", "gpu"])
def test_no_evidence_is_unknown_and_says_why(requested: str) -> None:
    verdict = judge(
        requested,
        total_nodes=None,
        delegated_nodes=None,
        partitions=None,
        fallback_ops={},
        problem="this runtime is too old",
        log="INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",
    )
    assert verdict.verdict is Coverage.UNKNOWN
    assert not verdict.as_requested
    assert texts(verdict) == ("No node list: this runtime is too old.",)


@pytest.mark.parametrize(
    ("total", "delegated", "partitions", "outside"),
    [
        (0, 0, 0, {}),
        (5, 6, 1, {}),
        (5, 5, 0, {}),
        (5, 0, 1, {"ADD": 5}),
        (5, 2, 3, {"ADD": 3}),
        (5, 4, 1, {}),
        (5, 5, 1, {"ADD": 1}),
        (5, -1, 0, {"ADD": 6}),
    ],
)
def test_a_list_that_contradicts_itself_is_unknown(
    total: int, delegated: int, partitions: int, outside: dict[str, int]
) -> None:
    verdict = nodes("xnnpack", total, delegated, partitions, **outside)
    assert verdict.verdict is Coverage.UNKNOWN
    assert "contradicts itself" in texts(verdict)[-1]


def test_the_log_confirms_the_name_and_only_where_nodes_were_taken() -> None:
    log = "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n"
    taken = judge(
        "xnnpack", total_nodes=2, delegated_nodes=2, partitions=1, fallback_ops={}, log=log
    )
    assert texts(taken)[-1] == "The runtime's log names the XNNPACK delegate."
    empty = judge(
        "xnnpack", total_nodes=1, delegated_nodes=0, partitions=0, fallback_ops={"A": 1}, log=log
    )
    assert empty.verdict is Coverage.NONE
    assert not any("log" in line for line in texts(empty))


@settings(deadline=None)
@given(
    st.sampled_from(["none", "xnnpack"]),
    st.integers(-1, 8),
    st.integers(-1, 8),
    st.integers(-1, 8),
    st.dictionaries(st.sampled_from(["A", "B"]), st.integers(-1, 8)),
)
def test_full_needs_every_node(
    requested: str, total: int, delegated: int, partitions: int, outside: dict[str, int]
) -> None:
    verdict = nodes(requested, total, delegated, partitions, **outside)
    assert verdict.evidence
    if verdict.verdict is Coverage.FULL:
        assert delegated == total > 0
        assert partitions >= 1
    if verdict.verdict is Coverage.PARTIAL:
        assert 0 < delegated < total


GOLDEN = Path(__file__).parent / "golden" / "benchmark_model"
NAMES = {"XNNPACK": "TfLiteXNNPackDelegate", "GPU": "TfLiteGpuDelegateV2"}


def recorded(name: str) -> ToolOutput:
    parse = parse_compiled if name[:2] in ("19", "20") else parse_classic
    return parse((GOLDEN / name / "stdout").read_bytes(), (GOLDEN / name / "stderr").read_bytes())


def node_list(name: str) -> RuntimeGraph:
    return parse_runtime_info((GOLDEN / name / "out_runtime_info.pb").read_bytes())


def graph(ops: dict[int, str], **taken: tuple[str, ...]) -> RuntimeGraph:
    """Ops by id; delegate name -> ids, one partition each, as "0 1"."""
    groups = [
        (NAMES.get(name, name), tuple(map(int, group.split())))
        for name, parts in taken.items()
        for group in parts
    ]
    owner = {k: 100 + n for n, (_, group) in enumerate(groups) for k in group}
    nodes = [RuntimeNode(k, op, owner.get(k), (), "") for k, op in ops.items()]
    nodes += [RuntimeNode(100 + n, d, None, ids, d) for n, (d, ids) in enumerate(groups)]
    plan = [k for k in ops if k not in owner] + [100 + n for n in range(len(groups))]
    return RuntimeGraph(tuple(nodes), tuple(plan))


def tool(
    *applied: Applied, log: str = "", accelerators: tuple[str, ...] = (), warnings: str = ""
) -> ToolOutput:
    text = ToolText(
        (), (), applied, (warnings,) * bool(warnings), accelerators, None, None, None, None
    )
    return ToolOutput(text, parse_log(log))


@pytest.mark.parametrize(
    ("name", "requested", "verdict", "delegated", "partitions"),
    [
        ("02b_fp32_explicit_xnnpack", "xnnpack", Coverage.FULL, None, 1),
        ("15i_disable_delegate_clustering", "xnnpack", Coverage.PARTIAL, None, 3),
        ("02_fp32_no_xnnpack", "none", Coverage.NONE, None, None),
        # The line of a delegate that was made proves nothing, and plain it was not.
        ("01_fp32_default", "none", Coverage.UNKNOWN, None, None),
        ("01_fp32_default", "xnnpack", Coverage.UNKNOWN, None, None),
        ("07v1_verboselog_default", "xnnpack", Coverage.FULL, 65, 1),
        ("07v2_verboselog_mixed", "xnnpack", Coverage.PARTIAL, 4, None),
        ("07p_external_dummy_delegate", "external", Coverage.PARTIAL, 1, 1),
        ("07v4_verboselog_external_dummy", "external", Coverage.PARTIAL, 1, 1),
        ("07u_external_options_comma_separated_as_help_says", "external", Coverage.NONE, 0, 0),
        ("19a_litert_cpp_cpu", "xnnpack", Coverage.UNKNOWN, None, None),
        ("20d_litert_cpp_gpubuild_wheel_webgpu", "gpu", Coverage.NONE, None, None),
    ],
)
def test_verdicts_over_recordings(
    name: str, requested: str, verdict: Coverage, delegated: int | None, partitions: int | None
) -> None:
    compiled = name[:2] in ("19", "20")
    found = judge_tool(requested, recorded(name), None, compiled=compiled)
    assert (found.verdict, found.delegated_nodes, found.partitions) == (
        verdict,
        delegated,
        partitions,
    )
    assert found.evidence


@pytest.mark.parametrize("name", ["14b_model_runtime_info", "19l_litert_cpp_runtime_info"])
def test_the_node_list_is_the_best_evidence(name: str) -> None:
    compiled = name.startswith("19")
    found = judge_tool("xnnpack", recorded(name), node_list(name), compiled=compiled)
    assert (found.verdict, found.delegated_nodes, found.total_nodes, found.partitions) == (
        Coverage.PARTIAL,
        4,
        6,
        3,
    )
    assert found.fallback_ops == {"CUMSUM": 1, "TOPK_V2": 1}
    other = judge_tool("none", recorded(name), node_list(name), compiled=compiled)
    assert not other.as_requested


@pytest.mark.parametrize(
    "name",
    [
        "07a_use_gpu_cmakebuild",
        "07c_use_gpu_allproviders",
        "07i_gpu_precision_flag_allproviders",
        "20b_litert_cpp_gpubuild_use_gpu_no_lib",
        "19a_litert_cpp_cpu",
    ],
)
def test_a_gpu_that_was_never_made_is_named(name: str) -> None:
    compiled = name[:2] in ("19", "20")
    assert "gpu" in (why_not_created("gpu", recorded(name), compiled=compiled) or "").lower()
    assert not judge_tool("gpu", recorded(name), None, compiled=compiled).as_requested


def test_others_that_were_never_made() -> None:
    for name, requested in (
        ("07b_use_nnapi_cmakebuild", "nnapi"),
        ("07g_use_hexagon_allproviders", "hexagon"),
        ("07k_external_delegate_missing_so", "external"),
        ("07k_external_delegate_missing_so", "edgetpu"),
    ):
        assert why_not_created(requested, recorded(name), compiled=False)
        assert not judge_tool(requested, recorded(name), None, compiled=False).as_requested
    assert why_not_created("npu", recorded("19g_litert_cpp_npu_none"), compiled=True)


def test_those_that_were_made() -> None:
    for name, requested, compiled in (
        ("02b_fp32_explicit_xnnpack", "xnnpack", False),
        ("07p_external_dummy_delegate", "external", False),
        ("07u_external_options_comma_separated_as_help_says", "external", False),
        ("20d_litert_cpp_gpubuild_wheel_webgpu", "gpu", True),
        ("01_fp32_default", "none", False),
    ):
        assert why_not_created(requested, recorded(name), compiled=compiled) is None


def test_xnnpack_takes_what_the_gpu_leaves_and_that_is_not_the_gpu() -> None:
    found = judge_tool(
        "gpu",
        tool(
            Applied("GPU", "partially", 1),
            Applied("XNNPACK", "partially", 1),
            log="ERROR: Following operations are not supported by GPU delegate:\n"
            "TOPK_V2: Operation is not supported.\n"
            "2 operations will run on the GPU, and the remaining 2 operations will run on the CPU.",
        ),
        graph(
            {0: "CONV_2D", 1: "CONV_2D", 2: "TOPK_V2", 3: "SOFTMAX"}, GPU=("0 1",), XNNPACK=("3",)
        ),
        compiled=False,
    )
    assert (found.verdict, found.delegated_nodes, found.total_nodes) == (Coverage.PARTIAL, 2, 4)
    assert found.fallback_ops == {"TOPK_V2": 1, "SOFTMAX": 1}
    assert "Refused by the GPU delegate: TOPK_V2: Operation is not supported." in texts(found)
    assert found.unsupported == (Refusal("TOPK_V2", "Operation is not supported."),)


def test_all_on_xnnpack_is_none_on_the_gpu() -> None:
    nodes = graph({0: "CONV_2D", 1: "ADD"}, XNNPACK=("0 1",))
    found = judge_tool("gpu", tool(Applied("GPU", "not", 0)), nodes, compiled=False)
    assert found.verdict is Coverage.NONE
    assert not found.as_requested


def test_the_text_and_the_node_list_may_not_contradict() -> None:
    nodes = graph({0: "CONV_2D", 1: "ADD"}, XNNPACK=("0 1",))
    for extent in ("completely", "partially"):
        said = tool(Applied("GPU", extent, 1))
        assert judge_tool("gpu", said, nodes, compiled=False).verdict is Coverage.UNKNOWN
    partly = graph({0: "CONV_2D", 1: "ADD"}, XNNPACK=("0",))
    said = tool(Applied("XNNPACK", "completely", None))
    assert judge_tool("xnnpack", said, partly, compiled=False).verdict is Coverage.UNKNOWN


def test_a_delegate_of_a_strange_name_is_not_taken_for_the_one_asked_for() -> None:
    nodes = graph({0: "CONV_2D"}, WhoKnows=("0",))
    assert judge_tool("gpu", tool(), nodes, compiled=True).verdict is Coverage.UNKNOWN
    said = tool(Applied("EXTERNAL", "completely", None))
    assert judge_tool("external", said, nodes, compiled=False).verdict is Coverage.FULL


@pytest.mark.parametrize(
    ("accelerators", "verdict"),
    [
        (("nnapi-reference",), Coverage.NONE),
        (("google-edgetpu", "nnapi-reference"), Coverage.FULL),
        # Before Android 10 it tells none, and takes the processor where there is none.
        ((), Coverage.UNKNOWN),
    ],
)
def test_the_reference_of_nnapi_is_the_processor(
    accelerators: tuple[str, ...], verdict: Coverage
) -> None:
    said = tool(Applied("NNAPI", "completely", None), accelerators=accelerators)
    assert judge_tool("nnapi", said, None, compiled=False).verdict is verdict


def test_the_gpu_says_how_many_nodes_it_took() -> None:
    """Its line counts the nodes that it replaces, after its limit of partitions."""
    said = tool(
        Applied("GPU", "partially", 1),
        log="49 operations will run on the GPU, "
        "and the remaining 3 operations will run on the CPU.",
    )
    found = judge_tool("gpu", said, None, compiled=False)
    assert (found.verdict, found.delegated_nodes, found.total_nodes, found.partitions) == (
        Coverage.PARTIAL,
        49,
        52,
        1,
    )


def test_the_log_counts_against_the_whole_model() -> None:
    log = (
        "VERBOSE: Replacing 3 out of 10 node(s) with delegate (TfLiteGpuDelegateV2) node, "
        "yielding 3 partitions for subgraph 0 (main).\n"
        "VERBOSE: Replacing 8 out of 8 node(s) with delegate (TfLiteXNNPackDelegate) node, "
        "yielding 1 partitions for subgraph 0 (main).\n"
        "VERBOSE: Replacing 9 out of 9 node(s) with delegate (TfLiteGpuDelegateV2) node, "
        "yielding 1 partitions for subgraph 1 (body).\n"
    )
    found = judge_tool("gpu", tool(Applied("GPU", "partially", 1), log=log), None, compiled=False)
    assert (found.verdict, found.delegated_nodes, found.total_nodes) == (Coverage.PARTIAL, 3, 10)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_damaged_node_list_is_never_full(data: st.DataObject) -> None:
    whole = graph({0: "CONV_2D", 1: "ADD", 2: "SOFTMAX"}, XNNPACK=("0", "1 2"))
    nodes, plan = list(whole.nodes), list(whole.execution_plan)
    which = data.draw(st.sampled_from(["node", "plan", "twice", "id", "owner"]))
    if which == "node":
        nodes.pop(data.draw(st.integers(0, len(nodes) - 1)))
    elif which == "plan":
        plan.pop(data.draw(st.integers(0, len(plan) - 1)))
    elif which == "twice":
        plan.append(data.draw(st.sampled_from(plan)))
    else:
        k = data.draw(st.integers(0, 2))
        change = {"node_id": 7} if which == "id" else {"delegated_to": data.draw(st.none())}
        nodes[k] = dataclasses.replace(nodes[k], **change)
    damaged = RuntimeGraph(tuple(nodes), tuple(plan))
    found = judge_tool("xnnpack", tool(), damaged, compiled=True)
    if which != "plan":
        assert found.verdict is Coverage.UNKNOWN
    assert (found.delegated_nodes, found.total_nodes) != (3, 3)
