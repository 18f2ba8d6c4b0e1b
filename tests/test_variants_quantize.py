"""What ai-edge-quantizer makes of a float .tflite; no TensorFlow."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from models import GraphBuilder, conv_model, float_model, two_input_model

from bench.tflite.facts import read_model
from bench.tflite.graph import FLOATS, parse_model
from bench.variants.contradictions import contradictions
from bench.variants.quantize_recipes import CannotQuantise
from bench.variants.quantize_worker import quantise, tensor_ranges
from bench.variants.tflite_source import CANNOT_MAKE

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ai_edge_quantizer") is None,
    reason="needs the extra edgebench[quantize]",
)

# Large enough that no recipe leaves its weights alone.
FEATURES = 64
MODEL = float_model(features=FEATURES, classes=32, layers=2)
X = np.random.default_rng(0).normal(size=(40, FEATURES)).astype(np.float32)
MADE = ("fp16", "dynamic", "dynamic-int4", "weight-int8", "int8", "int8-float-io", "int16x8")


@pytest.fixture(scope="module")
def ranges() -> dict[str, tuple[float, float]]:
    return tensor_ranges(MODEL, X)


@pytest.mark.parametrize("variant", MADE)
def test_a_recipe_gives_what_it_claims(
    variant: str, ranges: dict[str, tuple[float, float]]
) -> None:
    facts = read_model(quantise(MODEL, variant, ranges=ranges))
    assert contradictions(variant, facts) == ()


@pytest.mark.parametrize("variant", MADE)
def test_the_same_bytes_every_time(variant: str, ranges: dict[str, tuple[float, float]]) -> None:
    assert quantise(MODEL, variant, ranges=ranges) == quantise(MODEL, variant, ranges=ranges)


@pytest.mark.parametrize("variant", CANNOT_MAKE)
def test_what_cannot_be_made_says_what_to_give(variant: str) -> None:
    with pytest.raises(CannotQuantise, match="as `source`"):
        quantise(MODEL, variant, ranges=None)


def test_calibrated_recipes_want_ranges() -> None:
    with pytest.raises(CannotQuantise, match="ranges"):
        quantise(MODEL, "int8", ranges={})


def test_ranges_are_exact_and_of_computed_tensors_only(
    ranges: dict[str, tuple[float, float]],
) -> None:
    (constants,) = [
        {t.name for t in graph.tensors if t.is_constant} for graph in parse_model(MODEL).graphs
    ]
    assert not constants & ranges.keys()
    assert ranges["input"] == (float(X.min()), float(X.max()))
    # FULLY_CONNECTED, computed without the runtime.
    graph = parse_model(MODEL).graphs[0]
    first = graph.ops[0]
    weights, bias = (graph.tensors[i].values() for i in first.inputs[1:])
    y = X @ weights.T + bias
    assert ranges[graph.tensors[first.outputs[0]].name] == pytest.approx(
        (float(y.min()), float(y.max())), rel=1e-5
    )
    low, high = ranges["output"]
    assert 0 <= low < high <= 1


def test_ranges_do_not_depend_on_the_order(ranges: dict[str, tuple[float, float]]) -> None:
    assert tensor_ranges(MODEL, X[::-1].copy()) == ranges


def test_a_fixed_batch_is_filled_without_changing_a_range() -> None:
    g = GraphBuilder()
    x = g.tensor((4, 8), name="input")
    y = g.softmax(g.dense(x, 8, 3), 3)
    of_four = tensor_ranges(_in_fours(), X[:9, :8])
    assert of_four["input"] == (float(X[:9, :8].min()), float(X[:9, :8].max()))
    of_one = tensor_ranges(g.build((x,), (y,)), X[:9, :8])
    assert of_four["input"] == of_one["input"]


def _in_fours() -> bytes:
    g = GraphBuilder()
    x = g.tensor((4, 8), name="input")
    y = g.tensor((4, 8), name="output")
    g.op(schema.BuiltinOperator.ABS, (x,), (y,), schema.AbsOptionsT())
    return g.build((x,), (y,))


def test_a_batch_of_any_size_is_calibrated_one_by_one() -> None:
    x = np.random.default_rng(0).random((3, 8, 8, 1), dtype=np.float32)
    found = tensor_ranges(conv_model(size=8, channels=4, layers=1, batch=-1), x)
    assert found["input"] == (float(x.min()), float(x.max()))


def test_a_tensor_that_is_not_finite_is_named() -> None:
    huge = np.full((1, FEATURES), 3e38, np.float32)
    with pytest.raises(CannotQuantise, match=r"tensor '.*' of the float model is not finite"):
        tensor_ranges(MODEL, huge)


def test_a_model_that_does_not_run_is_one_line() -> None:
    with pytest.raises(CannotQuantise, match="does not run") as caught:
        tensor_ranges(MODEL, X[:, :5])
    assert "\n" not in str(caught.value)


NAMES = ("a", "a1", "a1;b", "x(y)+[z].*", "last")


def _chain() -> bytes:
    """FULLY_CONNECTED x 5, whose outputs have names that a careless pattern confuses."""
    g = GraphBuilder()
    x = y = g.tensor((1, FEATURES), name="input")
    options = schema.FullyConnectedOptionsT()
    for name in NAMES:
        w = g.tensor((FEATURES, FEATURES), data=g.weights((FEATURES, FEATURES)))
        out = g.tensor((1, FEATURES), name=name)
        g.op(schema.BuiltinOperator.FULLY_CONNECTED, (y, w, -1), (out,), options)
        y = out
    return g.build((x,), (y,))


@pytest.mark.parametrize("kept", [(), ("a",), ("a1",), ("x(y)+[z].*", "a1;b"), ("last",), NAMES])
def test_exactly_the_named_ops_stay_float(kept: tuple[str, ...]) -> None:
    chain = _chain()
    made = quantise(chain, "int8-selective", ranges=tensor_ranges(chain, X), float_ops=kept)
    graph = parse_model(made).graphs[0]
    dense = [op for op in graph.ops if op.name == "FULLY_CONNECTED"]
    assert len(dense) == len(NAMES)
    floats = {
        name
        for name, op in zip(NAMES, dense, strict=True)
        if graph.tensors[op.outputs[0]].dtype in FLOATS
    }
    assert floats == set(kept)
    for op, name in zip(dense, NAMES, strict=True):
        weights = graph.tensors[op.inputs[1]].dtype
        assert weights == ("FLOAT32" if name in kept else "INT8")
    # Inputs and outputs stay int8 whatever is in between.
    ends = (*graph.inputs, *graph.outputs)
    assert {graph.tensors[i].dtype for i in ends} == {"INT8"}


def test_an_op_that_is_not_there_is_named(ranges: dict[str, tuple[float, float]]) -> None:
    with pytest.raises(CannotQuantise, match="no op of the model gives a tensor 'nothing'"):
        quantise(MODEL, "int8-selective", ranges=ranges, float_ops=["nothing"])


def test_what_the_quantizer_refuses_is_one_line() -> None:
    g = GraphBuilder()
    x = g.tensor((1, FEATURES), name="same")
    y = g.dense(x, FEATURES, FEATURES)
    z = g.tensor((1, FEATURES), name="same")
    g.op(schema.BuiltinOperator.ABS, (y,), (z,), schema.AbsOptionsT())
    twice = g.build((x,), (z,))
    with pytest.raises(CannotQuantise, match=r"ai-edge-quantizer: .*not unique") as caught:
        quantise(twice, "dynamic-int4", ranges=None)
    assert "\n" not in str(caught.value)


def test_weights_alone_can_be_quantised_with_two_inputs() -> None:
    made: Any = read_model(quantise(two_input_model(features=64), "weight-int8", ranges=None))
    assert len(made.inputs) == 2
    assert made.constant_bytes["INT8"]
