"""The interpreter's printed list of nodes, whole, damaged and of other programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.delegation.judge import judge_tool
from bench.delegation.model import Coverage
from bench.errors import UnreadableOutput
from bench.parsers.benchmark_model import parse_classic
from bench.parsers.benchmark_proto import RuntimeGraph
from bench.parsers.interpreter_state import parse_states
from tests.parse_texts import GPU_APPLIED, HEAD, IMPLICIT, LOADED, RUNS, SESSION
from tests.test_parse import INPUTS, read_one

FULL, PARTIAL, NONE, UNKNOWN = Coverage
STDOUT = Path(INPUTS, "14h_print_preinvoke_state", "stdout").read_text()


def ids(numbers: Sequence[int], *, ranges: bool = True) -> str:
    """As the interpreter writes a list: runs of more than two by their ends."""
    if not numbers:
        return "(null)"
    parts: list[list[int]] = []
    for number in numbers:
        if ranges and parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    words = []
    for part in parts:
        words.append(f"{part[0]}-{part[-1]}" if len(part) > 2 else ",".join(map(str, part)))
    return "[" + ",".join(words) + "]"


def state(
    ops: Sequence[str],
    taken: Mapping[str, Sequence[Sequence[int]]],
    *,
    index: int = 0,
    plan: Sequence[int] | None = None,
) -> str:
    """A subgraph of these ops; taken: delegate -> the nodes of each of its parts."""
    parts = [(name, tuple(nodes)) for name, own in taken.items() for nodes in own]
    number_of = {node: len(ops) + k for k, (_, nodes) in enumerate(parts) for node in nodes}
    total = len(ops) + len(parts)
    lines = [
        f"-----------Subgraph-{index} has 9 tensors and {total} nodes------------",
        "1 Inputs: [0] -> 16B (0.00MB)",
        "Tensor   0 a                 kTfLiteFloat32  kTfLiteArenaRw   16 / 0.00 [4] [0, 16)",
        "",
    ]
    for k, op in enumerate(ops):
        status = f"(delegated by node {number_of[k]})" if k in number_of else "(not delegated)"
        lines += [f"Node {k:3} Operator {op} {status}", "  1 Input Tensors:[0] -> 0B (0.00MB)"]
    for k, (name, _) in enumerate(parts, len(ops)):
        lines.append(f"Node {k:3} Operator Custom Name {name} ")
    if plan is None:
        plan = [k for k in range(len(ops)) if k not in number_of]
        plan = [*plan, *range(len(ops), total)]
    lines += [
        "",
        f"Execution plan as the list of {len(plan)} nodes invoked in-order: {ids(plan)}",
    ]
    if parts:
        lines.append("Among these nodes in the execution plan:")
    for k, (name, nodes) in enumerate(parts, len(ops)):
        lines.append(
            f"  Node {k} is a {name} node (0x55d0), which has delegated {len(nodes)} nodes: "
            f"{ids(nodes)}"
        )
    return "\n".join(
        [*lines, f"--------------Subgraph-{index} dump has completed--------------", ""]
    )


CONV, ADD, CAST = "Builtin Code   3 CONV_2D", "Builtin Code   0 ADD", "Builtin Code  53 CAST"
MINE = "Custom Name My Op (x)"


def graphs(text: str) -> tuple[RuntimeGraph, ...]:
    return parse_states(text.split("\n"))


def run(*states: str, said: str = "") -> dict[str, Any]:
    whole = "Interpreter has 1 subgraphs.\n\n" + "\n".join(states)
    runs = RUNS.removeprefix(SESSION)
    return read_one(HEAD + LOADED + said + SESSION + whole + runs)


def xnnpack(found: dict[str, Any]) -> dict[str, Any]:
    delegations = found["delegations"]
    (one,) = [item for item in delegations if item["requested"] == "xnnpack"]
    return one  # type: ignore[no-any-return]


def test_the_recording() -> None:
    (graph,) = graphs(STDOUT)
    assert [node.name for node in graph.nodes if not node.delegate] == [
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "MAX_POOL_2D",
        "RESHAPE",
        "FULLY_CONNECTED",
        "SOFTMAX",
    ]
    assert graph.execution_plan == (6,)
    assert graph.nodes[6].delegate == "TfLiteXNNPackDelegate"
    assert graph.nodes[6].replaces == (0, 1, 2, 3, 4, 5)


def test_a_live_run_is_judged_by_it_too() -> None:
    found = judge_tool(
        "xnnpack", parse_classic(STDOUT.encode(), IMPLICIT.encode()), None, compiled=False
    )
    assert (found.verdict, found.delegated_nodes, found.total_nodes) == (FULL, 6, 6)


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        ({}, None),
        ({"TfLiteXNNPackDelegate": [(0, 1, 2, 3)]}, (FULL, 4, 4, 1, {})),
        ({"TfLiteXNNPackDelegate": [(0,), (2,)]}, (PARTIAL, 2, 4, 2, {"ADD": 1, "My Op (x)": 1})),
    ],
)
def test_what_a_delegate_took(taken: dict[str, list[tuple[int, ...]]], expected: object) -> None:
    found = run(state((CONV, ADD, CAST, MINE), taken))
    if expected is None:
        assert found["delegations"] == []
        return
    one = xnnpack(found)
    assert expected == (
        one["verdict"],
        one["delegated_nodes"],
        one["total_nodes"],
        one["kernels"],
        one["fallback_ops"],
    )


def test_each_delegate_of_several_has_its_own() -> None:
    text = state((CONV, ADD, CAST), {"LITERT_CL": [(0, 1)], "TfLiteXNNPackDelegate": [(2,)]})
    found = run(text, said=GPU_APPLIED)
    assert [
        (d["requested"], d["verdict"], d["delegated_nodes"], d["total_nodes"])
        for d in found["delegations"]
    ] == [("gpu", "PARTIAL", 2, 3), ("xnnpack", "PARTIAL", 1, 3)]


def test_flex_is_not_what_was_asked_for() -> None:
    text = state((CONV, ADD), {"TfLiteFlexDelegate": [(0,)]})
    found = run(text, said="INFO: External delegate path: [a.so]\n")
    assert [(d["requested"], d["verdict"]) for d in found["delegations"]] == [
        ("external", "NONE"),
        ("flex", "PARTIAL"),
    ]


def test_the_main_subgraph_is_meant() -> None:
    main = state((CONV, ADD), {"TfLiteXNNPackDelegate": [(0, 1)]})
    other = state((CAST,), {}, index=1)
    assert graphs(main + other) == graphs(main)
    assert graphs(other) == ()


def test_the_same_before_and_after_counts_once() -> None:
    text = state((CONV, ADD), {"TfLiteXNNPackDelegate": [(0, 1)]})
    assert len(graphs(text + "\nINFO: between\n" + text)) == 1


def test_another_after_than_before_is_unknown() -> None:
    before = state((CONV, ADD), {"TfLiteXNNPackDelegate": [(0, 1)]})
    after = state((CONV, ADD), {"TfLiteXNNPackDelegate": [(0,)]})
    one = xnnpack(run(before, after))
    assert one["verdict"] == "UNKNOWN"
    texts = " ".join(item["text"] for item in one["evidence"])
    assert "2 of 2" in texts
    assert "1 of 2" in texts


def test_a_state_alone_is_the_log_of_some_program() -> None:
    text = "Interpreter has 1 subgraphs.\n\n" + state((CONV,), {"TfLiteXNNPackDelegate": [(0,)]})
    found = read_one("=== Pre-invoke Interpreter State ===\n" + text)
    assert found["runner"] == "runtime"
    assert found["latency_us"] is None
    assert xnnpack(found)["verdict"] == "FULL"


def test_an_older_state_without_a_plan_tells_nothing() -> None:
    lines = state((CONV, ADD), {}).split("\n")
    old = [line.replace(" (not delegated)", "") for line in lines if "Execution" not in line]
    assert graphs("\n".join(old)) == ()


def test_a_state_that_is_cut_off_tells_nothing() -> None:
    text = state((CONV, ADD), {"TfLiteXNNPackDelegate": [(0, 1)]})
    for end in range(0, len(text) - len("dump has completed--------------\n"), 9):
        assert graphs(text[:end]) == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("and 3 nodes", "and 4 nodes"),
        ("delegated 2 nodes", "delegated 3 nodes"),
        ("[0,1]", "[0,x]"),
        ("[0,1]", "0,1"),
        ("[0,1]", "[0-999999999]"),
        ("the list of 1 nodes", "the list of 2 nodes"),
        ("Builtin Code   0 ADD", "Builtin Code ADD"),
        ("  Node 2 is a", "  Node 1 is a"),
    ],
)
def test_damage_is_refused(old: str, new: str) -> None:
    text = state((CONV, ADD), {"TfLiteXNNPackDelegate": [(0, 1)]})
    assert old in text
    with pytest.raises(UnreadableOutput, match="interpreter's state"):
        graphs(text.replace(old, new, 1))


@given(st.data())
def test_whatever_was_taken_is_read_back(data: st.DataObject) -> None:
    total = data.draw(st.integers(1, 12))
    whose = data.draw(st.lists(st.integers(0, 3), min_size=total, max_size=total))
    own = [[k for k in range(total) if whose[k] == part] for part in (1, 2, 3)]
    taken = {"TfLiteGpuDelegateV2": [nodes for nodes in own if nodes]}
    (graph,) = graphs(state([CONV] * total, taken))
    assert [node.replaces for node in graph.nodes[total:]] == [tuple(n) for n in own if n]
    left = [k for k in range(total) if whose[k] == 0]
    assert graph.execution_plan == (*left, *range(total, len(graph.nodes)))
