"""Which tensors of two graphs are counterparts, and which are left unknown."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from models import GraphBuilder, float_model, quantised_border_model

from bench.diagnose.align import NAMES, ORDER, align
from bench.tflite.graph import Graph, parse_model


def main_graph(data: bytes) -> Graph:
    return parse_model(data).main


def chain(*names: str, ops: str = "ABS", width: int = 4) -> Graph:
    """Elementwise ops whose outputs have these names."""
    g = GraphBuilder()
    x = y = g.tensor((1, width), name="input")
    for name, op in zip(names, ops.split() * len(names), strict=False):
        out = g.tensor((1, width), name=name)
        options = getattr(schema, f"{op.title()}OptionsT")()
        g.op(getattr(schema.BuiltinOperator, op), (y,), (out,), options)
        y = out
    return main_graph(g.build((x,), (y,)))


def pairs(a: Graph, b: Graph) -> list[tuple[str, str]]:
    found = align(a, b)
    return [(a.tensors[i].name, b.tensors[j].name) for i, j in sorted(found.tensors.items())]


def test_the_same_ops_are_paired_one_by_one_whatever_their_names() -> None:
    a, b = chain("a", "b"), chain("x", "y")
    assert align(a, b).how == ORDER
    assert pairs(a, b) == [("input", "input"), ("a", "x"), ("b", "y")]
    assert align(a, b).ops == {0: 0, 1: 1}


def test_conversions_are_left_out_and_the_input_is_what_is_computed_with() -> None:
    g = GraphBuilder()
    x = g.tensor((1, 16), name="input")
    y = g.dense(x, 16, 16)
    float_graph = main_graph(g.build((x,), (y,)))
    quantised = main_graph(quantised_border_model(np.float32, np.int8))
    found = align(float_graph, quantised)
    assert found.how == ORDER
    for ours, theirs in found.tensors.items():
        assert float_graph.tensors[ours].dtype == "FLOAT32"
        assert quantised.tensors[theirs].dtype == "INT8"
    assert len(found.tensors) == 2


def test_other_ops_fall_back_to_names_and_the_rest_stays_unknown() -> None:
    a, b = chain("a", "b", "c"), chain("a", "c")
    assert align(a, b).how == NAMES
    assert pairs(a, b) == [("input", "input"), ("a", "a"), ("c", "c")]


def test_a_name_that_stands_for_two_tensors_pairs_nothing() -> None:
    a, b = chain("a", "a", "c"), chain("a", "c")
    assert pairs(a, b) == [("input", "input"), ("c", "c")]


def test_another_shape_or_op_under_the_same_name_is_no_counterpart() -> None:
    assert pairs(chain("a", "b"), chain("a", width=8)) == []
    assert pairs(chain("a", "b", ops="ABS"), chain("a", ops="NEG")) == [("input", "input")]


def test_other_shapes_in_the_same_order_are_not_paired_by_order() -> None:
    assert (
        align(main_graph(float_model(classes=4)), main_graph(float_model(classes=8))).how == NAMES
    )
