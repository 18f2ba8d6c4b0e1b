"""Cross-layer equalisation: another set of weights, the same function."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from diagnose_models import RELU, RELU6, SIZE, WIDE, cliff_model, conv_options, images
from hypothesis import given, settings
from hypothesis import strategies as st
from models import GraphBuilder

from bench.diagnose.activations import Runner
from bench.diagnose.equalise import equalise
from bench.diagnose.widths import spread
from bench.errors import UnreadableOutput
from bench.tflite.graph import parse_model


def answers(data: bytes, count: int = 12) -> np.ndarray:
    runner = Runner(data)
    found = []
    for x in images(count):
        runner.run(x[None])
        found.append(np.concatenate([out.ravel() for out in runner.outputs()]))
    return np.array(found)


def output_ranges(data: bytes, op: int) -> np.ndarray:
    """Greatest |w| by output channel of a convolution."""
    graph = parse_model(data).main
    return np.abs(graph.tensors[graph.ops[op].inputs[1]].values()).max(axis=(1, 2, 3))


@settings(deadline=None, max_examples=15)
@given(
    scale=st.floats(1e-3, 1e3),
    multiplier=st.sampled_from([1, 2]),
    dead=st.none() | st.integers(0, 7),
)
def test_the_float_function_does_not_change(
    scale: float, multiplier: int, dead: int | None
) -> None:
    before = cliff_model(scale, multiplier=multiplier, dead=dead)
    after = equalise(before)
    assert len(after.data) == len(before)
    np.testing.assert_allclose(answers(after.data), answers(before), atol=2e-6)


def test_wide_channels_are_evened_out() -> None:
    before = cliff_model(100.0)
    after = equalise(before)
    assert spread(output_ranges(before, 0).astype(np.float64)) > 50
    assert spread(output_ranges(after.data, 0).astype(np.float64)) < 3
    assert after.largest_scale > 5
    assert after.pairs[0] == ("model/stem/Conv2D", "model/dw/depthwise")


def test_both_sides_of_a_pair_end_up_with_the_same_range() -> None:
    graph = parse_model(equalise(cliff_model(100.0)).data).main
    given_ = np.abs(graph.tensors[graph.ops[0].inputs[1]].values()).max(axis=(1, 2, 3))
    taken = np.abs(graph.tensors[graph.ops[1].inputs[1]].values()).max(axis=(0, 1, 2))
    np.testing.assert_allclose(given_, taken, rtol=0.03)


def test_nothing_but_the_constants_of_the_pairs_changes() -> None:
    before = cliff_model(100.0)
    a, b = parse_model(before), parse_model(equalise(before).data)
    changed = {
        s.name
        for s, t in zip(a.main.tensors, b.main.tensors, strict=True)
        if bytes(s.data) != bytes(t.data)
    }
    weights = {a.main.tensors[i].name for op in a.main.ops for i in op.inputs[1:]}
    last_bias = a.main.tensors[a.main.ops[-2].inputs[2]].name
    assert changed
    assert changed <= weights - {last_bias}
    assert [op.name for op in a.main.ops] == [op.name for op in b.main.ops]


def test_relu6_is_left_alone_and_it_is_said_why() -> None:
    before = cliff_model(100.0, activation=RELU6)
    after = equalise(before)
    assert after.data == before
    assert after.pairs == ()
    assert "RELU6 is not positively homogeneous" in after.skipped["model/stem/Conv2D"]
    assert "SOFTMAX takes what it gives" in after.skipped["model/logits/MatMul"]


def test_a_tensor_that_two_take_is_left_alone() -> None:
    after = equalise(cliff_model(100.0, two_takers=True))
    assert after.skipped["model/stem/Conv2D"] == "2 ops take what it gives"
    assert ("model/stem/Conv2D", "model/dw/depthwise") not in after.pairs


def test_shared_weights_are_left_alone() -> None:
    before = cliff_model(100.0, shared_weights=True)
    after = equalise(before)
    assert any("shared" in why for why in after.skipped.values())
    np.testing.assert_allclose(answers(after.data), answers(before), atol=2e-6)


def between(*steps: str, zero_bias: bool = False, flat: bool = False) -> bytes:
    """conv 1 to 4, two channels a hundred times as wide -> steps -> conv or dense layer.

    zero_bias: both layers have the same bias of zeros; flat: the steps end in RESHAPE to
    one dimension and a dense layer takes it.
    """
    g = GraphBuilder(seed=5)
    operator = schema.BuiltinOperator
    x = g.tensor((1, SIZE, SIZE, 1), name="input")
    wide = np.array([1, 100, 1, 100], np.float32)
    w = g.tensor((4, 3, 3, 1), data=g.weights((4, 3, 3, 1), 0.4) * wide[:, None, None, None])
    bias = g.tensor((4,), data=np.zeros(4) if zero_bias else g.weights((4,), 0.1) * wide)
    y = g.tensor((1, SIZE, SIZE, 4), name="first")
    g.op(operator.CONV_2D, (x, w, bias), (y,), conv_options(RELU))
    shape: tuple[int, ...] = (1, SIZE, SIZE, 4)
    for step in steps:
        options: Any = None
        constants: tuple[int, ...] = ()
        if step == "PAD":
            shape = (1, shape[1] + 2, shape[2] + 2, 4)
            pads = np.array([[0, 0], [1, 1], [1, 1], [0, 0]])
            constants = (g.tensor((4, 2), np.int32, data=pads),)
        elif step in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
            options = schema.Pool2DOptionsT()
            options.strideH = options.strideW = options.filterHeight = options.filterWidth = 2
            options.padding = schema.Padding.VALID
            shape = (1, shape[1] // 2, shape[2] // 2, 4)
        elif step.startswith("MEAN"):
            axes = (1, 2) if step == "MEAN" else (2, 3)
            constants = (g.tensor((2,), np.int32, data=np.array(axes)),)
            options = schema.ReducerOptionsT()
            shape = (1, 4) if step == "MEAN" else (1, shape[1])
        elif step == "RESHAPE":
            shape = (1, int(np.prod(shape)))
            constants = (g.tensor((2,), np.int32, data=np.array(shape)),)
        after = g.tensor(shape)
        g.op(getattr(operator, step.split()[0]), (y, *constants), (after,), options)
        y = after
    out = g.tensor((1, 3) if flat else (*shape[:3], 4), name="last")
    if flat:
        w = g.tensor((3, shape[-1]), data=g.weights((3, shape[-1]), 0.4))
        g.op(operator.FULLY_CONNECTED, (y, w, -1), (out,), schema.FullyConnectedOptionsT())
    else:
        w = g.tensor((4, 1, 1, 4), data=g.weights((4, 1, 1, 4), 0.4))
        last_bias = bias if zero_bias else g.tensor((4,), data=g.weights((4,), 0.1))
        g.op(operator.CONV_2D, (y, w, last_bias), (out,), conv_options(RELU))
    return g.build((x,), (out,))


@pytest.mark.parametrize(
    ("steps", "flat"),
    [
        (("PAD", "MAX_POOL_2D"), False),
        (("AVERAGE_POOL_2D", "RELU"), False),
        (("MEAN",), True),
        (("MAX_POOL_2D", "RESHAPE"), True),
    ],
)
def test_factors_go_through_what_treats_each_channel_alone(
    steps: tuple[str, ...], flat: bool
) -> None:
    before = between(*steps, flat=flat)
    after = equalise(before)
    assert after.pairs == (("first", "last"),)
    assert after.largest_scale > 3
    a, b = answers(before), answers(after.data)
    np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5 * np.abs(a).max())


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        (("LOGISTIC",), "LOGISTIC takes what it gives"),
        (("MEAN over channels",), "MEAN takes what it gives"),
    ],
)
def test_factors_stop_where_channels_meet_or_bend(steps: tuple[str, ...], why: str) -> None:
    before = between(*steps, flat="MEAN over channels" in steps)
    after = equalise(before)
    assert after.data == before
    assert after.skipped["first"] == why


def test_a_shared_bias_of_zeros_is_no_obstacle() -> None:
    before = between(zero_bias=True)
    after = equalise(before)
    assert after.pairs == (("first", "last"),)
    a, b = answers(before), answers(after.data)
    np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5 * np.abs(a).max())


def test_a_damaged_file_is_unreadable() -> None:
    with pytest.raises(UnreadableOutput):
        equalise(cliff_model()[:200])


def test_wide_means_the_channels_that_the_model_says() -> None:
    ranges = output_ranges(cliff_model(100.0), 0)
    assert set(np.argsort(ranges)[-2:]) == set(WIDE)
