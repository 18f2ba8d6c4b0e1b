"""Rows of profiles find their nodes, and never one whose op they cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_profiles import STEPS, chain, graph_of, mobilenet_ops, plain, profile, step

from bench.ops.kernels import finishes, prepares, stands_for
from bench.ops.mapping import Mapping, Match, OtherModel, map_rows, unmapped
from bench.ops.model import OpKind, OpProfile, OpRow, OpTable, ProfileSource
from bench.ops.partitions import execution_order
from bench.parsers.op_profile import parse_profile_text

GOLDEN = Path(__file__).parent / "golden" / "benchmark_model"
QUANTISE = "Convert (NC, F32, QD8)"


def nodes(mapping: Mapping) -> list[int | None]:
    return [None if row.node is None else row.node.index for row in mapping.rows]


def golden(case: str, stream: str = "stdout") -> OpProfile:
    found = parse_profile_text((GOLDEN / case / stream).read_text())
    assert found is not None
    return found


def test_rows_of_the_runtime_are_exact() -> None:
    mapping = map_rows(
        profile(plain(0, "CONV_2D"), plain(1, "ADD/fused")), chain(["CONV_2D", "ADD"])
    )
    assert [row.match for row in mapping.rows] == [Match.EXACT, Match.EXACT]
    node = mapping.rows[1].node
    assert node is not None
    assert (node.op, node.outputs[0].name, node.outputs[0].dtype) == ("ADD", "out1", "FLOAT32")
    assert node.outputs[0].shape == (1, 4)
    assert [tensor.name for tensor in node.inputs] == ["out0"]
    assert mapping.unseen == ()


def test_a_profile_of_another_model_within_a_delegate_gets_no_nodes() -> None:
    mapping = map_rows(golden("04_fp32_opprof_stdout"), chain(["FULLY_CONNECTED"] * 4))
    assert {row.match for row in mapping.rows} == {Match.NONE}
    assert "it may not be the model that was profiled" in mapping.notes[0]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (plain(1, "MUL"), "node 1 is MUL in the profile and ADD in the file"),
        (plain(7, "ADD"), "a node 7, the file has 2 nodes"),
    ],
)
def test_another_model_is_refused(row: OpRow, words: str) -> None:
    with pytest.raises(OtherModel, match=words):
        map_rows(profile(row), chain(["CONV_2D", "ADD"]))


def test_a_subgraph_that_the_file_lacks_is_another_model() -> None:
    table = OpTable((plain(0, "ADD"),), subgraph=1)
    with pytest.raises(OtherModel, match="subgraph 1"):
        map_rows(OpProfile(ProfileSource.STDOUT, (table,)), chain(["ADD"]))


def test_mobilenet_by_xnnpack_alone() -> None:
    """The tool's own text of MobileNetV2: one node has two steps, all others one."""
    mapping = map_rows(golden("04_fp32_opprof_stdout"), chain(mobilenet_ops()))
    expected = [*range(63), 62, 63, 64]
    assert nodes(mapping) == expected
    assert {row.match for row in mapping.rows} == {Match.BEST_EFFORT}
    assert mapping.rows[63].row.type == "Static Reshape (NC)"
    assert mapping.rows[63].node == mapping.rows[62].node
    assert mapping.unseen == ()
    assert "66 of 66 rows" in mapping.notes[0]


def test_mobilenet_of_the_other_tool() -> None:
    mapping = map_rows(golden("19b_litert_cpp_profiler", "stderr"), chain(mobilenet_ops()))
    assert nodes(mapping) == [*range(63), 62, 63, 64]


def test_int8_leaves_the_softmax_to_the_runtime() -> None:
    mapping = map_rows(golden("06b_int8_opprof"), chain(mobilenet_ops(), np.int8))
    assert nodes(mapping) == [*range(63), 62, 63, 64]
    assert mapping.rows[-1].match is Match.EXACT
    assert {row.match for row in mapping.rows[:-1]} == {Match.BEST_EFFORT}


def test_plain_kernels_are_exact_throughout() -> None:
    mapping = map_rows(golden("06e_dynamic_opprof_no_xnnpack"), chain(mobilenet_ops()))
    assert nodes(mapping) == list(range(65))
    assert {row.match for row in mapping.rows} == {Match.EXACT}


def test_dynamic_range_in_sixteen_partitions() -> None:
    """The depthwise convolutions stay plain; what XNNPACK quantises belongs to the op behind."""
    ops = mobilenet_ops()
    rows, expected = [], []
    for node, op in enumerate(ops):
        if op == "DEPTHWISE_CONV_2D":
            rows.append(plain(node, op))
        else:
            if op in ("CONV_2D", "FULLY_CONNECTED"):
                rows.append(step(QUANTISE))
                expected.append(node)
            rows.append(step(STEPS[op]))
        expected.append(node)
    mapping = map_rows(profile(*rows), chain(ops))
    assert nodes(mapping) == expected


def test_nodes_that_are_folded_away_shift_nothing() -> None:
    """An fp16 file has a DEQUANTIZE for each constant, and XNNPACK runs none of them."""
    ops = ["DEQUANTIZE", "DEQUANTIZE", "CONV_2D", "RELU", "DEQUANTIZE", "CONV_2D", "SOFTMAX"]
    rows = [step(STEPS["CONV_2D"]), step(STEPS["CONV_2D"]), step(STEPS["SOFTMAX"])]
    mapping = map_rows(profile(*rows), chain(ops))
    assert nodes(mapping) == [2, 5, 6]
    assert [node.index for node in mapping.unseen] == [0, 1, 3, 4]


def test_branches_run_in_the_order_of_partitions() -> None:
    model = graph_of(
        [("CONV_2D", (-1,)), ("MUL", (0,)), ("CONV_2D", (0,)), ("ADD", (1, 2)), ("SUB", (3,))]
    )
    assert execution_order(model.main, {1}) == (0, 2, 1, 3, 4)
    rows = [step(STEPS["CONV_2D"]), step(STEPS["CONV_2D"]), plain(1, "MUL"), step("Add (ND)")]
    assert nodes(map_rows(profile(*rows, step("Subtract (ND)")), model)) == [0, 2, 1, 3, 4]


@pytest.mark.parametrize(
    ("rows", "ordered", "words"),
    [
        ((step(STEPS["CONV_2D"], times_called=2),), True, "merged into one row"),
        ((step(STEPS["CONV_2D"]),), False, "does not tell the order"),
    ],
)
def test_what_cannot_be_told_is_none(rows: tuple[OpRow, ...], ordered: bool, words: str) -> None:
    mapping = map_rows(profile(*rows, ordered=ordered), chain(["CONV_2D", "CONV_2D"]))
    assert [row.match for row in mapping.rows] == [Match.NONE]
    assert words in mapping.notes[0]
    assert len(mapping.unseen) == 2


def test_what_a_delegate_reports_beside_the_graph_has_no_node() -> None:
    main = OpTable((plain(0, "ADD"),))
    inside = OpTable((step("Add (ND)"),), name="some delegate", inside_delegate=True)
    mapping = map_rows(OpProfile(ProfileSource.STDOUT, (main, inside)), chain(["ADD"]))
    assert [row.match for row in mapping.rows] == [Match.EXACT, Match.NONE]


def test_a_delegate_as_a_whole_has_no_node() -> None:
    whole = step("TfLiteGpuDelegateV2", kind=OpKind.DELEGATE)
    mapping = map_rows(profile(plain(0, "ADD"), whole), chain(["ADD", "CONV_2D"]))
    assert nodes(mapping) == [0, None]


def test_without_a_model() -> None:
    mapping = unmapped(profile(plain(0, "ADD"), step("Add (ND)")))
    assert [row.match for row in mapping.rows] == [Match.NONE, Match.NONE]


OPS = st.sampled_from(
    [*STEPS, "RESHAPE", "DEQUANTIZE", "QUANTIZE", "PAD", "RELU", "CONCATENATION", "my_custom"]
)
KINDS = st.sampled_from(
    [
        *STEPS.values(),
        "Static Reshape (NC)",
        "Convert (NC)",
        QUANTISE,
        "Clamp (NC)",
        "Constant Pad (ND, X32)",
        "Copy (NC, X32)",
        "Convolution (NHWC, QC8)",
        "what nobody knows",
        "",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(OPS, min_size=1, max_size=14), st.data())
def test_no_row_gets_a_node_that_it_cannot_be(ops: list[str], data: st.DataObject) -> None:
    stay = sorted(data.draw(st.sets(st.integers(0, len(ops) - 1), max_size=4)))
    steps = data.draw(st.lists(KINDS, max_size=20))
    rows: list[OpRow] = [step(kind) for kind in steps]
    for node in stay:
        rows.insert(data.draw(st.integers(0, len(rows))), plain(node, ops[node]))
    model = chain(ops)
    mapping = map_rows(profile(*rows), model)
    assert [row.row.type for row in mapping.rows] == [row.type for row in rows]
    order = execution_order(model.main, set(stay))
    places = []
    computed = []
    for row in mapping.rows:
        if row.row.kind is OpKind.OP:
            assert row.match is Match.EXACT
            assert row.node is not None
            assert row.node.index == row.row.node
            continue
        assert (row.node is None) == (row.match is Match.NONE)
        if row.node is None:
            continue
        assert row.match is Match.BEST_EFFORT
        assert row.node.index not in stay
        along = prepares(row.row.type) | finishes(row.row.type)
        assert row.node.op in stands_for(row.row.type) | along
        if row.node.op not in along:
            computed.append(row.node.index)
        places.append(order.index(row.node.index))
    assert places == sorted(places)
    # A node is computed once, however many steps help along.
    assert len(computed) == len(set(computed))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(list(STEPS)), min_size=1, max_size=30))
def test_a_step_for_every_node_is_found_again(ops: list[str]) -> None:
    rows = [step(STEPS[op]) for op in ops]
    assert nodes(map_rows(profile(*rows), chain(ops))) == list(range(len(ops)))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), st.lists(st.integers(-1, 20), min_size=1, max_size=3)),
        min_size=1,
        max_size=20,
    )
)
def test_every_node_runs_once_and_after_what_it_needs(
    drawn: list[tuple[bool, list[int]]],
) -> None:
    ops = [
        ("ADD", [source if source < index else -1 for source in sources])
        for index, (_, sources) in enumerate(drawn)
    ]
    stay = {index for index, (is_plain, _) in enumerate(drawn) if is_plain}
    order = execution_order(graph_of(ops).main, stay)
    assert sorted(order) == list(range(len(ops)))
    place = {node: at for at, node in enumerate(order)}
    assert all(place[s] < place[n] for n, (_, sources) in enumerate(ops) for s in sources if s >= 0)
