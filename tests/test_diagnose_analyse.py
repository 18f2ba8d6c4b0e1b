"""What is measured of every layer: error, ranges, channels, weights."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from diagnose_models import WIDE, cliff_model, images
from hypothesis import given
from hypothesis import strategies as st
from models import GraphBuilder, float_model, island_model, two_input_model

from bench.diagnose.analyse import analyse
from bench.diagnose.layers import Analysis
from bench.diagnose.widths import OUTLIER_RATIO, effective_bits, outliers, spread
from bench.errors import UnreadableOutput


def relu_pair(scale: float, zero_point: int = -128) -> tuple[bytes, bytes]:
    """RELU of (1, 4) in float, and in int8 with this output scale; inputs -8..8 alike."""

    def build(dtype: type, **quantised: object) -> bytes:
        g = GraphBuilder()
        of_input = {"scale": 1 / 16, "zero_point": 0} if quantised else {}
        x = g.tensor((1, 4), dtype, name="input", **of_input)
        y = g.tensor((1, 4), dtype, name="output", **quantised)  # type: ignore[arg-type]
        g.op(schema.BuiltinOperator.RELU, (x,), (y,))
        return g.build((x,), (y,))

    return build(np.float32), build(np.int8, scale=scale, zero_point=zero_point)


def test_a_model_against_itself_is_identical_everywhere() -> None:
    data = cliff_model()
    found = analyse(data, data, images(5), images(5, seed=1))
    assert found.alignment == "order"
    assert [layer.op for layer in found.layers[:3]] == ["INPUT", "CONV_2D", "DEPTHWISE_CONV_2D"]
    assert all(layer.identical and layer.snr_db is None for layer in found.layers)
    assert all(layer.representable is None for layer in found.layers)
    assert found.unaligned == ()


def test_snr_and_steps_of_a_known_rounding() -> None:
    fp32, int8 = relu_pair(scale=1 / 16)
    # Multiples of a sixteenth are exact; a quarter of a step more is lost.
    x = np.array([[1.0, 2.0, 3.0, 4.0]], np.float32) + np.float32(1 / 64)
    (source, output) = analyse(fp32, int8, x, None).layers
    signal = float(np.square(x, dtype=np.float64).sum())
    expected = 10 * np.log10(signal / (4 * (1 / 64) ** 2))
    assert output.snr_db == pytest.approx(expected, abs=0.01)
    assert output.rmse_steps == pytest.approx(0.25, abs=1e-3)
    assert source.snr_db == pytest.approx(expected, abs=0.01)
    assert output.upstream == (0,)


def test_what_cannot_be_held_is_counted_and_one_step_is_rounding() -> None:
    fp32, int8 = relu_pair(scale=1 / 64)
    top = 255 / 64
    x = np.array([[top, top + 0.9 / 64, top + 2 / 64, 7.0]], np.float32)
    output = analyse(fp32, int8, x, None).layers[1]
    assert output.representable == pytest.approx((0.0, top))
    assert output.clipped_share == pytest.approx(0.5)


def test_ranges_come_from_the_samples_that_they_are_named_after() -> None:
    fp32, int8 = relu_pair(scale=1 / 16)
    holdout = np.array([[-1.0, 0.5, 2.0, 3.0]], np.float32)
    calibration = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.0, 1.5]], np.float32)
    source, output = analyse(fp32, int8, holdout, calibration).layers
    assert (source.holdout, source.calibration) == ((-1.0, 3.0), (0.0, 1.5))
    assert (output.holdout, output.calibration) == ((0.0, 3.0), (0.0, 1.5))
    assert output.channel_widths == (0.0, 0.5, 2.0, 3.0)
    assert output.dead_channels == 1


def test_wide_channels_are_found_and_what_they_leave() -> None:
    found = analyse(cliff_model(64.0), cliff_model(64.0), images(20), None)
    stem = found.layers[1]
    assert {outlier.channel for outlier in stem.outliers} == set(WIDE)
    assert stem.spread is not None
    assert stem.spread > 30
    assert stem.effective_bits is None  # float: nothing is shared
    assert found.weights[0].output_spread is not None
    assert found.weights[0].output_spread > 30
    assert found.weights[0].scheme == "float"
    assert found.weights[1].input_spread is None


def test_float_islands_are_named() -> None:
    g = GraphBuilder()
    x = g.tensor((1, 16), name="input")
    y = g.tensor((1, 16), name="mine")
    g.op(schema.BuiltinOperator.ABS, (x,), (y,), schema.AbsOptionsT())
    fp32 = g.build((x,), (y,))
    found = analyse(fp32, island_model(16), np.ones((2, 16), np.float32), None)
    assert found.float_ops == ("angle", "size")
    assert found.alignment == "names"
    assert [layer.variant_name for layer in found.unaligned] == [None]
    assert found.unaligned[0].snr_db is None


def test_it_survives_json() -> None:
    data = cliff_model(64.0)
    found = analyse(data, data, images(3), images(3))
    assert Analysis.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))) == found


def test_a_damaged_model_and_two_inputs_are_errors() -> None:
    with pytest.raises(UnreadableOutput):
        analyse(float_model(), float_model()[:100], np.ones((1, 16), np.float32), None)
    with pytest.raises(ValueError, match="unpack"):
        analyse(two_input_model(), two_input_model(), np.ones((1, 16), np.float32), None)


@given(
    st.lists(st.floats(0.5, 2.0), min_size=3, max_size=40),
    st.floats(OUTLIER_RATIO * 2.1, 1e6),
)
def test_one_wide_channel_among_ordinary_ones_is_the_only_outlier(
    ordinary: list[float], factor: float
) -> None:
    widths = np.array([*ordinary, 2.0 * factor])
    (found,) = outliers(widths)
    assert found.channel == len(ordinary)
    assert spread(widths) == found.ratio


@given(st.lists(st.floats(0.5, 2.0), min_size=1, max_size=40))
def test_ordinary_channels_are_no_outliers_and_dead_ones_do_not_count(widths: list[float]) -> None:
    assert outliers(np.array([*widths, 0.0, 0.0, 0.0])) == ()
    assert outliers(np.zeros(4)) == ()
    assert spread(np.zeros(4)) is None


def test_effective_bits() -> None:
    assert effective_bits(1.0, 1.0, 8) == 8.0
    assert effective_bits(1.0, 128.0, 8) == pytest.approx(1.0)
    assert effective_bits(3.0, 1.0, 8) == 8.0
    assert effective_bits(None, 1.0, 8) is None
    assert effective_bits(0.0, 1.0, 8) is None
