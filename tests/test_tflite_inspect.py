"""What an inspection counts is what a person counts by hand from the layers' formulas."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from typing import Any

import models
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st
from models import GraphBuilder

from bench.tflite.facts import batch_of, read_model
from bench.tflite.inspect import inspect_model
from bench.tflite.inspection import Inspection
from bench.tflite.macs import MacCount

OP = schema.BuiltinOperator


def macs_of(g: GraphBuilder, inputs: Sequence[int], outputs: Sequence[int]) -> MacCount:
    (macs,) = inspect_model(g.build(inputs, outputs)).macs
    return macs


def constant(g: GraphBuilder, *shape: int) -> int:
    return g.tensor(shape, data=g.weights(shape))


# Parameters and MACs.


def test_small_models_counted_by_hand() -> None:
    found = inspect_model(models.conv_model(size=8, channels=4, layers=2, classes=10))
    # 3x3 convolutions 1 -> 4 and 4 -> 4 over 8x8, then 256 -> 10.
    assert found.weights.parameters == (9 * 4 + 4) + (9 * 4 * 4 + 4) + (256 * 10 + 10)
    (macs,) = found.macs
    assert macs.by_op == {
        "CONV_2D": 64 * 9 * 4 + 64 * 9 * 4 * 4,
        "FULLY_CONNECTED": 2560,
    }
    assert macs.total == sum(macs.by_op.values())
    assert (macs.reason, macs.not_counted, macs.per_item) == (None, {}, False)


# (expansion, channels, repeats, stride): table 2 of Sandler et al. 2018, MobileNetV2.
BLOCKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2() -> tuple[bytes, int, int]:
    """The converted model (batch norm folded), its parameters and MACs by the formulas."""
    g = GraphBuilder()
    parameters = macs = 0

    def conv(x: int, size: int, n_in: int, n_out: int, k: int, stride: int) -> tuple[int, int]:
        nonlocal parameters, macs
        out = size // stride
        y = g.tensor((1, out, out, n_out))
        kernel = g.tensor((n_out, k, k, n_in), data=np.ones((n_out, k, k, n_in)))
        bias = g.tensor((n_out,), data=np.ones(n_out))
        g.op(OP.CONV_2D, (x, kernel, bias), (y,), schema.Conv2DOptionsT())
        parameters += n_in * n_out * k * k + n_out
        macs += out * out * n_in * n_out * k * k
        return y, out

    def depthwise(x: int, size: int, n: int, stride: int) -> tuple[int, int]:
        nonlocal parameters, macs
        out = size // stride
        y = g.tensor((1, out, out, n))
        kernel = g.tensor((1, 3, 3, n), data=np.ones((1, 3, 3, n)))
        bias = g.tensor((n,), data=np.ones(n))
        g.op(OP.DEPTHWISE_CONV_2D, (x, kernel, bias), (y,), schema.DepthwiseConv2DOptionsT())
        parameters += 9 * n + n
        macs += out * out * 9 * n
        return y, out

    x = g.tensor((1, 224, 224, 3), name="input")
    y, size = conv(x, 224, 3, 32, 3, 2)
    channels = 32
    for expansion, wanted, repeats, first_stride in BLOCKS:
        for repeat in range(repeats):
            inner = channels * expansion
            if expansion > 1:
                y, size = conv(y, size, channels, inner, 1, 1)
            y, size = depthwise(y, size, inner, first_stride if repeat == 0 else 1)
            y, size = conv(y, size, inner, wanted, 1, 1)
            channels = wanted
    y, size = conv(y, size, channels, 1280, 1, 1)
    pooled = g.tensor((1, 1280))
    axes = g.tensor((2,), np.int32, data=np.array([1, 2]))
    g.op(OP.MEAN, (y, axes), (pooled,), schema.ReducerOptionsT())
    y = g.dense(pooled, 1280, 1000)
    parameters += 1280 * 1000 + 1000
    macs += 1280 * 1000
    return g.build((x,), (y,)), parameters, macs


def test_mobilenet_v2_against_its_formulas() -> None:
    content, parameters, macs = mobilenet_v2()
    found = inspect_model(content)
    # 3,504,872 trainable parameters, as Keras counts them, less one per channel of 17,056:
    # batch norm's gamma and beta become one bias. The paper gives 300 million MACs.
    assert found.weights.parameters == parameters == 3_504_872 - 17_056
    assert found.macs[0].total == macs == 300_774_272
    # Axes are constants, and no parameters.
    assert found.weights.by_type["INT32"].parameters == 0


@pytest.mark.parametrize(
    ("code", "kernel", "x_shape", "y_shape", "expected"),
    [
        # 16 output positions, 3x5 windows, 8 channels in 2 groups of 4
        (OP.CONV_2D, (6, 3, 5, 4), (1, 4, 4, 8), (1, 4, 4, 6), 16 * 6 * 3 * 5 * 4),
        (OP.CONV_2D, (6, 3, 3, 8), (2, 8, 8, 8), (2, 4, 4, 6), 2 * 16 * 6 * 9 * 8),
        # a multiplier of 2: 8 -> 16 channels
        (OP.DEPTHWISE_CONV_2D, (1, 3, 3, 16), (1, 4, 4, 8), (1, 4, 4, 16), 16 * 9 * 16),
        (OP.FULLY_CONNECTED, (7, 5), (3, 5), (3, 7), 3 * 5 * 7),
        # kept dimensions
        (OP.FULLY_CONNECTED, (7, 5), (1, 3, 5), (1, 3, 7), 3 * 5 * 7),
        (OP.CONV_3D, (2, 3, 3, 4, 6), (1, 4, 4, 4, 4), (1, 4, 4, 4, 6), 64 * 6 * 18 * 4),
    ],
)
def test_formulas(
    code: int,
    kernel: tuple[int, ...],
    x_shape: tuple[int, ...],
    y_shape: tuple[int, ...],
    expected: int,
) -> None:
    g = GraphBuilder()
    x, w, y = g.tensor(x_shape), constant(g, *kernel), g.tensor(y_shape)
    g.op(code, (x, w), (y,))
    assert macs_of(g, (x,), (y,)).total == expected


@pytest.mark.parametrize(
    ("code", "kernel", "x_shape", "y_shape", "expected"),
    [
        # Each of 16 x 8 inputs reaches a 3x3 window of 6 channels.
        (OP.TRANSPOSE_CONV, (6, 3, 3, 8), (1, 4, 4, 8), (1, 8, 8, 6), 16 * 8 * 9 * 6),
        (
            OP.CONV_3D_TRANSPOSE,
            (2, 3, 3, 6, 8),
            (1, 2, 4, 4, 8),
            (1, 4, 8, 8, 6),
            32 * 8 * 18 * 6,
        ),
    ],
)
def test_formulas_of_transposed_convolutions(
    code: int,
    kernel: tuple[int, ...],
    x_shape: tuple[int, ...],
    y_shape: tuple[int, ...],
    expected: int,
) -> None:
    g = GraphBuilder()
    size = g.tensor((len(y_shape),), np.int32, data=np.array(y_shape))
    x, w, y = g.tensor(x_shape), constant(g, *kernel), g.tensor(y_shape)
    g.op(code, (size, w, x), (y,))
    assert macs_of(g, (x,), (y,)).total == expected


@pytest.mark.parametrize(("adjoint", "left"), [(False, (4, 3, 5)), (True, (4, 5, 3))])
def test_matrix_products(adjoint: bool, left: tuple[int, ...]) -> None:
    g = GraphBuilder()
    x, w, y = g.tensor(left), g.tensor((4, 5, 7)), g.tensor((4, 3, 7))
    options = schema.BatchMatMulOptionsT()
    options.adjX = adjoint
    g.op(OP.BATCH_MATMUL, (x, w), (y,), options)
    assert macs_of(g, (x, w), (y,)).total == 4 * 3 * 5 * 7


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=4, max_size=4), st.integers(1, 4))
def test_a_convolution_is_a_matrix_product_of_its_windows(sizes: list[int], k: int) -> None:
    """An independent count: multiply the windows out as one matrix and count that."""
    height, width, n_in, n_out = sizes
    g = GraphBuilder()
    x, y = g.tensor((1, height, width, n_in)), g.tensor((1, height, width, n_out))
    g.op(OP.CONV_2D, (x, constant(g, n_out, k, k, n_in)), (y,))
    as_conv = macs_of(g, (x,), (y,)).total
    h = GraphBuilder()
    windows, result = h.tensor((height * width, k * k * n_in)), h.tensor((height * width, n_out))
    h.op(OP.FULLY_CONNECTED, (windows, constant(h, n_out, k * k * n_in)), (result,))
    assert as_conv == macs_of(h, (windows,), (result,)).total


def test_an_open_batch_is_counted_per_item() -> None:
    open_batch = inspect_model(models.conv_model(size=8, channels=4, batch=-1))
    fixed = inspect_model(models.conv_model(size=8, channels=4))
    assert open_batch.macs[0].per_item
    assert open_batch.macs[0].total == fixed.macs[0].total
    assert open_batch.dynamic_tensors == 1


def test_open_height_is_unknown_and_not_zero() -> None:
    g = GraphBuilder()
    x, y = g.tensor((1, -1, -1, 3)), g.tensor((1, -1, -1, 8))
    g.op(OP.CONV_2D, (x, constant(g, 8, 3, 3, 3)), (y,))
    macs = macs_of(g, (x,), (y,))
    assert macs.total is None
    assert "op 0 CONV_2D: an open dimension in [1, -1, -1, 8]" in str(macs.reason)


def test_a_batch_folded_with_time_is_unknown() -> None:
    """(-1, 16, 8) -> (-1, 8): the stored (1, 8) is a sixteenth of what runs."""
    g = GraphBuilder()
    x, flat, y = g.tensor((-1, 16, 8)), g.tensor((-1, 8)), g.tensor((-1, 4))
    g.op(OP.RESHAPE, (x,), (flat,))
    g.op(OP.FULLY_CONNECTED, (flat, constant(g, 4, 8)), (y,))
    macs = macs_of(g, (x,), (y,))
    assert (macs.total, macs.per_item) == (None, False)
    assert "RESHAPE folds an open dimension" in str(macs.reason)


def test_ops_that_are_not_counted_are_named() -> None:
    g = GraphBuilder()
    x, y, z = g.tensor((1, 8)), g.tensor((1, 8)), g.tensor((1, 8))
    g.op(OP.UNIDIRECTIONAL_SEQUENCE_LSTM, (x,), (y,))
    g.op(OP.CUSTOM, (y,), (z,), custom="MyMatmul")
    macs = macs_of(g, (x,), (g.dense(z, 8, 2),))
    assert macs.total == 16
    assert macs.not_counted == {"MyMatmul": 1, "UNIDIRECTIONAL_SEQUENCE_LSTM": 1}
    only = inspect_model(models.flex_model()).macs[0]
    assert only.total is None
    assert only.reason
    assert only.not_counted == {"FlexErf": 1}


def test_a_model_that_multiplies_nothing_has_none() -> None:
    macs = inspect_model(models.unsupported_model()).macs[0]
    assert (macs.total, macs.reason, macs.not_counted) == (0, None, {})


def test_weights_of_the_wrong_rank_are_unknown() -> None:
    g = GraphBuilder()
    x, y = g.tensor((1, 4, 4, 3)), g.tensor((1, 4, 4, 8))
    g.op(OP.CONV_2D, (x, constant(g, 8, 3)), (y,))
    assert "2 dimensions instead of 4" in str(macs_of(g, (x,), (y,)).reason)


def test_shared_weights_count_once() -> None:
    g = GraphBuilder()
    x = g.tensor((1, 8))
    w, first, second = constant(g, 8, 8), g.tensor((1, 8)), g.tensor((1, 8))
    g.op(OP.FULLY_CONNECTED, (x, w), (first,))
    g.op(OP.FULLY_CONNECTED, (first, w), (second,))
    found = inspect_model(g.build((x,), (second,)))
    assert found.weights.parameters == 64
    assert found.macs[0].total == 128


def test_two_tensors_on_one_buffer_count_once() -> None:
    """Tied weights, as in an embedding that is also the last layer."""

    def tie(model: Any) -> None:
        first, second = (op.inputs[1] for op in model.subgraphs[0].operators[:2])
        tensors = model.subgraphs[0].tensors
        tensors[second].buffer = tensors[first].buffer

    apart = models.float_model(features=8, classes=8, layers=2)
    assert inspect_model(apart).weights.parameters == 2 * (64 + 8)
    assert rebuilt(apart, tie).weights.parameters == 64 + 2 * 8


# Weights: types, granularity, zeros.


def test_types_and_granularity() -> None:
    decoded = inspect_model(models.int8_weights_model(decoded=True)).weights
    assert (decoded.per_channel, decoded.per_tensor) == (1, 0)
    assert decoded.by_type["INT8"].size_bytes == 256
    int8 = inspect_model(models.int8_model()).weights
    assert (int8.per_channel, int8.per_tensor) == (0, 1)
    assert int8.parameters == 64 * 10 + 10


def test_int4_weights_are_unpacked() -> None:
    weights = inspect_model(models.int4_model(features=16)).weights
    assert (weights.by_type["INT4"].parameters, weights.by_type["INT4"].size_bytes) == (256, 128)
    assert (weights.zeros, weights.zeros_of) == (64, 256)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1]), st.integers(-128, 127))
def test_zeros_are_counted_as_numpy_counts_them(seed: int, axis: int, zero: int) -> None:
    rng = np.random.default_rng(seed)
    data = rng.integers(-2, 3, (6, 5)) + zero
    data = np.clip(data, -128, 127)
    g = GraphBuilder()
    x, y = g.tensor((1, 5)), g.tensor((1, 6))
    scales = [0.5] * data.shape[axis]
    w = g.tensor((6, 5), np.int8, data=data, scale=scales, zero_point=zero, axis=axis)
    g.op(OP.FULLY_CONNECTED, (x, w), (y,))
    weights = inspect_model(g.build((x,), (y,))).weights
    assert weights.zeros == np.count_nonzero(data == zero)
    assert weights.zero_share == weights.zeros / 30


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_zero_points_of_their_own_per_channel(axis: int) -> None:
    data = np.random.default_rng(0).integers(-2, 3, (3, 4, 5))
    points = np.arange(data.shape[axis]) - 2
    shape = [1, 1, 1]
    shape[axis] = len(points)
    g = GraphBuilder()
    x, y = g.tensor((1, 5)), g.tensor((1, 6))
    w = g.tensor((3, 4, 5), np.int8, data=data, scale=[0.5] * len(points), axis=axis)
    g.quantization(w).zeroPoint = points.tolist()
    g.op(OP.FULLY_CONNECTED, (x, w), (y,))
    weights = inspect_model(g.build((x,), (y,))).weights
    assert weights.zeros == np.count_nonzero(data == points.reshape(shape))


def test_zeros_of_float_weights() -> None:
    g = GraphBuilder()
    x, y = g.tensor((1, 4)), g.tensor((1, 2))
    w = g.tensor((2, 4), data=np.array([[0, -0.0, 1, 2], [3, np.nan, 0, 4]]))
    g.op(OP.FULLY_CONNECTED, (x, w), (y,))
    assert inspect_model(g.build((x,), (y,))).weights.zero_share == 3 / 8


def test_no_weights_have_no_share_of_zeros() -> None:
    weights = inspect_model(models.unsupported_model()).weights
    assert (weights.parameters, weights.zero_share) == (0, None)


# Float islands.


def test_an_island_and_its_borders() -> None:
    found = inspect_model(models.island_model(features=16))
    assert found.arithmetic == "mixed"
    (island,) = found.islands
    assert [(op.name, op.output) for op in island.ops] == [("ATAN2", "angle"), ("ABS", "size")]
    assert (island.dequantize, island.quantize, island.converted_elements) == (1, 1, 32)
    assert not island.at_border


@pytest.mark.parametrize(
    ("content", "arithmetic"),
    [
        (models.float_model(), "float"),
        (models.fp16_model(), "float"),
        (models.int8_weights_model(decoded=True), "float"),
        (models.int8_weights_model(decoded=False), "dynamic"),
        (models.int4_model(), "dynamic"),
        (models.int8_model(), "integer"),
        (models.quantised_border_model(), "integer"),
        (models.quantised_border_model(np.uint8, np.int16), "integer"),
        (models.cast_model(np.int64), "float"),
    ],
)
def test_models_without_islands(content: bytes, arithmetic: str) -> None:
    found = inspect_model(content)
    assert found.islands == ()
    assert found.arithmetic == arithmetic


def test_two_islands_apart_and_one_joined() -> None:
    """ops on the same decoded tensor are one island; behind a QUANTIZE begins another."""
    g = GraphBuilder()
    x = g.tensor((1, 8), np.int8, scale=0.1)

    def convert(a: int, code: int, dtype: Any) -> int:
        b = g.tensor((1, 8), dtype, scale=0.1 if dtype is np.int8 else None)
        g.op(code, (a,), (b,))
        return b

    def unary(a: int, code: int, dtype: Any = np.float32) -> int:
        b = g.tensor((1, 8), dtype, scale=0.1 if dtype is np.int8 else None)
        g.op(code, (a,), (b,))
        return b

    decoded = convert(unary(x, OP.ABS, np.int8), OP.DEQUANTIZE, np.float32)
    left, right = unary(decoded, OP.SIN), unary(decoded, OP.COS)
    ends = [convert(left, OP.QUANTIZE, np.int8), convert(right, OP.QUANTIZE, np.int8)]
    again = unary(convert(ends[0], OP.DEQUANTIZE, np.float32), OP.EXP)
    first, second = inspect_model(g.build((x,), (again, ends[1]))).islands
    assert [op.name for op in first.ops] == ["SIN", "COS"]
    assert (first.dequantize, first.quantize, first.converted_elements) == (1, 2, 24)
    assert [op.name for op in second.ops] == ["EXP"]
    assert (second.dequantize, second.quantize, second.at_border) == (1, 0, True)


def test_an_island_of_open_shape_converts_an_unknown_number_of_elements() -> None:
    def open_up(model: Any) -> None:
        for tensor in model.subgraphs[0].tensors:
            if tensor.name == b"decoded":
                tensor.shapeSignature = [-1, 16]

    (island,) = rebuilt(models.island_model(features=16), open_up).islands
    assert island.converted_elements is None
    assert island.to_json()["converted_elements"] is None


# The rest of the file.


def test_ports_say_what_they_can_represent() -> None:
    (x,) = inspect_model(models.int8_model()).inputs
    assert (x.dtype, x.scale, x.zero_point) == ("INT8", 1 / 16, -3)
    assert x.real_range == (-125 / 16, 130 / 16)
    (out,) = inspect_model(models.float_model()).outputs
    assert (out.scale, out.real_range, out.shape) == (None, None, (1, 4))


def test_ops_and_versions() -> None:
    ops = {op.name: op for op in inspect_model(models.fp16_model()).ops}
    assert (ops["DEQUANTIZE"].count, ops["DEQUANTIZE"].versions) == (2, (3,))
    assert (ops["DEQUANTIZE"].in_float, ops["FULLY_CONNECTED"].in_float) == (0, 1)
    (flex,) = inspect_model(models.flex_model()).of_kind("flex")
    assert flex.name == "FlexErf"


def test_activations_by_type() -> None:
    activations = inspect_model(models.island_model(features=16)).activations
    assert (activations["INT8"].tensors, activations["INT8"].size_bytes) == (3, 48)
    assert (activations["FLOAT32"].tensors, activations["FLOAT32"].size_bytes) == (3, 192)


def rebuilt(content: bytes, change: Any) -> Inspection:
    import flatbuffers

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return inspect_model(bytes(builder.Output()))


def test_signatures_and_metadata() -> None:
    def change(model: Any) -> None:
        signature = schema.SignatureDefT()
        signature.signatureKey = b"serving_default"
        for ends, name, index in ((0, b"x", 0), (1, b"y", model.subgraphs[0].outputs[0])):
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = name, index
            if ends == 0:
                signature.inputs = [entry]
            else:
                signature.outputs = [entry]
        model.signatureDefs = [signature]
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(b"2.3.0" + b"\0" * 11, np.uint8)
        model.buffers.append(buffer)
        metadata = schema.MetadataT()
        metadata.name, metadata.buffer = b"min_runtime_version", len(model.buffers) - 1
        model.metadata = [metadata]

    found = rebuilt(models.float_model(), change)
    assert found.min_runtime_version == "2.3.0"
    assert found.metadata == {"min_runtime_version": 16}
    assert found.description == "edgebench test model"
    (entry,) = found.signatures
    assert (entry.key, entry.inputs, entry.outputs) == (
        "serving_default",
        {"x": "input"},
        {"y": "output"},
    )
    assert (found.inputs[0].argument, found.outputs[0].argument) == ("x", "y")


def test_control_flow_and_subgraphs() -> None:
    def change(model: Any) -> None:
        model.operatorCodes[0].builtinCode = OP.WHILE
        model.operatorCodes[0].deprecatedBuiltinCode = OP.WHILE
        model.subgraphs.append(model.subgraphs[0])

    found = rebuilt(models.unsupported_model(), change)
    assert found.control_flow == {"WHILE": 2}
    assert len(found.graphs) == len(found.macs) == 2
    assert found.macs[0].total is None


def test_sparse_weights_are_told() -> None:
    def change(model: Any) -> None:
        sparsity = schema.SparsityParametersT()
        model.subgraphs[0].tensors[1].sparsity = sparsity

    weights = rebuilt(models.float_model(), change).weights
    assert (weights.sparse_tensors, weights.zeros_unread) == (1, 1)


def test_blockwise_scales_are_told() -> None:
    def change(model: Any) -> None:
        quantization = schema.QuantizationParametersT()
        quantization.detailsType = schema.QuantizationDetails.BlockwiseQuantization
        quantization.details = schema.BlockwiseQuantizationT()
        model.subgraphs[0].tensors[1].quantization = quantization

    found = rebuilt(models.int4_model(), change)
    assert found.weights.blockwise == 1
    assert found.weights.parameters == 256


def test_files_attached_behind_the_model() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("labels.txt", "cat\ndog\n")
    found = inspect_model(models.float_model() + archive.getvalue())
    assert found.attached == {"labels.txt": 8}


@pytest.mark.parametrize("tail", [b"PK\5\6", b"PK\5\6" + b"\0" * 18, b"PK\5\6" + b"\xff" * 40])
def test_what_only_looks_like_an_archive(tail: bytes) -> None:
    assert inspect_model(models.float_model() + tail).attached == {}


def test_json_of_facts_keeps_the_keys_of_old_records() -> None:
    facts = read_model(models.int8_model()).to_json()
    assert {
        "ops",
        "float_ops",
        "flex_ops",
        "custom_ops",
        "constant_bytes",
        "inputs",
        "outputs",
    } <= set(facts)
    assert facts["constant_bytes"] == {"INT32": 40, "INT8": 640}
    json.dumps(inspect_model(models.island_model()).to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("inputs", "outputs", "batch"),
    [
        ([(8, 16)], [(8, 4)], 8),
        ([(8, 16)], [(8, 4), (8,)], 8),
        ([(8, 16)], [(8, 4), (1, 4)], 1),
        ([(8, 16)], [(8, 4), ()], 1),
        ([(8, 16)], [], 1),
        ([(8, 16), (8, 2)], [(8, 4)], 1),
        ([()], [()], 1),
        ([], [(8, 4)], 1),
    ],
)
def test_how_many_samples_one_invoke_answers(
    inputs: list[tuple[int, ...]], outputs: list[tuple[int, ...]], batch: int
) -> None:
    assert batch_of(inputs, outputs) == batch
