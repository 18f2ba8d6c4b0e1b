"""Cross-layer equalisation: another set of weights, the same function."""

from __future__ import annotations

import numpy as np
import pytest
from diagnose_models import RELU6, WIDE, cliff_model, images
from hypothesis import given, settings
from hypothesis import strategies as st

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
    heads = {a.main.tensors[i].name for op in a.main.ops[-2:] for i in op.inputs}
    assert changed
    assert not changed & heads
    assert [op.name for op in a.main.ops] == [op.name for op in b.main.ops]


def test_relu6_is_left_alone_and_it_is_said_why() -> None:
    before = cliff_model(100.0, activation=RELU6)
    after = equalise(before)
    assert after.data == before
    assert after.pairs == ()
    assert "RELU6 is not positively homogeneous" in after.skipped["model/stem/Conv2D"]


def test_a_tensor_that_two_take_is_left_alone() -> None:
    after = equalise(cliff_model(100.0, two_takers=True))
    assert after.skipped["model/stem/Conv2D"] == "2 ops take what it gives"
    assert ("model/stem/Conv2D", "model/dw/depthwise") not in after.pairs


def test_shared_weights_are_left_alone() -> None:
    before = cliff_model(100.0, shared_weights=True)
    after = equalise(before)
    assert any("shared" in why for why in after.skipped.values())
    np.testing.assert_allclose(answers(after.data), answers(before), atol=2e-6)


def test_an_output_of_the_model_is_left_alone() -> None:
    after = equalise(cliff_model(1.0))
    assert "SOFTMAX takes what it gives" in after.skipped["model/logits/MatMul"]
    assert "MEAN takes what it gives" in after.skipped["model/pw2/Conv2D"]


def test_a_damaged_file_is_unreadable() -> None:
    with pytest.raises(UnreadableOutput):
        equalise(cliff_model()[:200])


def test_wide_means_the_channels_that_the_model_says() -> None:
    ranges = output_ranges(cliff_model(100.0), 0)
    assert set(np.argsort(ranges)[-2:]) == set(WIDE)
