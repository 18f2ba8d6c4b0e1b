"""The parser agrees with the runtime about real files, and survives every other one."""

from __future__ import annotations

import json
import struct
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import flatbuffers
import models
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import UnreadableOutput
from bench.tflite.facts import read_model
from bench.tflite.graph import parse_model
from bench.tflite.inspect import inspect_model

SENTINEL = Path(__file__).parent.parent / "bench" / "sentinel.tflite"

MODELS: dict[str, Callable[[], bytes]] = {
    "float": models.float_model,
    "conv": lambda: models.conv_model(size=8, channels=4, layers=2),
    "open batch": lambda: models.conv_model(size=8, channels=4, batch=-1),
    "int8": models.int8_model,
    "fp16": models.fp16_model,
    "partial": models.partial_model,
    "two inputs": models.two_input_model,
    "cast": lambda: models.cast_model(np.int64),
    "island": models.island_model,
    "int16x8": lambda: models.quantised_border_model(inner=np.int16),
    "uint8 borders": lambda: models.quantised_border_model(np.uint8),
    "weights decoded": lambda: models.int8_weights_model(decoded=True),
    "int4": models.int4_model,
    "sentinel": SENTINEL.read_bytes,
}


@pytest.mark.parametrize("name", MODELS)
def test_the_runtime_sees_the_same_tensors(name: str) -> None:
    content = MODELS[name]()
    graph = parse_model(content).main
    # Before allocation: it adds temporary tensors of its own.
    interpreter = Interpreter(model_content=content)
    details = interpreter.get_tensor_details()
    assert len(graph.tensors) == len(details)
    for given_ in details:
        tensor = graph.tensors[given_["index"]]
        assert tensor.name == given_["name"]
        assert tensor.shape == tuple(given_["shape"])
        assert tensor.signature == (tuple(given_["shape_signature"]) or tensor.shape)
        if tensor.dtype != "INT4":
            assert tensor.dtype.lower() == np.dtype(given_["dtype"]).name
        scales = given_["quantization_parameters"]["scales"]
        if tensor.quantization is None:
            assert len(scales) == 0
        else:
            np.testing.assert_array_equal(tensor.quantization.scales, scales)
            np.testing.assert_array_equal(
                tensor.quantization.zero_points,
                given_["quantization_parameters"]["zero_points"],
            )
    for ours, theirs in (
        (graph.inputs, interpreter.get_input_details()),
        (graph.outputs, interpreter.get_output_details()),
    ):
        assert list(ours) == [given_["index"] for given_ in theirs]


def test_constants_are_what_the_runtime_reads() -> None:
    content = models.int8_model()
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    constants = [t for t in parse_model(content).main.tensors if t.is_constant]
    assert len(constants) == 2
    for tensor in constants:
        np.testing.assert_array_equal(tensor.values(), interpreter.get_tensor(tensor.index))


def test_options_and_fused_activations_are_read() -> None:
    (conv, *_) = parse_model(models.conv_model(size=8)).main.ops
    assert conv.activation == "RELU6"
    assert (conv.options["StrideW"], conv.options["DilationHFactor"]) == (1, 1)


@pytest.mark.parametrize("kind", sorted(k for k in vars(schema.BuiltinOptions) if k[0] != "_"))
def test_the_options_of_every_op_have_only_numbers(kind: str) -> None:
    """Strings and vectors of an options table cost as much as they are long."""
    table = getattr(schema, f"{kind}T", None)
    if table is None:
        return
    g = models.GraphBuilder()
    x, y = g.tensor((1, 4)), g.tensor((1, 4))
    g.op(schema.BuiltinOperator.ADD, (x, x), (y,), table())
    (op,) = parse_model(g.build((x,), (y,))).main.ops
    assert all(isinstance(value, int | float) for value in op.options.values())


def test_a_custom_op_does_not_pass_as_a_builtin() -> None:
    g = models.GraphBuilder()
    x, y = g.tensor((1, 4)), g.tensor((1, 4))
    g.op(schema.BuiltinOperator.CUSTOM, (x,), (y,), custom="DEQUANTIZE")
    facts = read_model(g.build((x,), (y,)))
    assert facts.float_ops == {"DEQUANTIZE": 1}
    assert facts.custom_ops == ("DEQUANTIZE",)


# Files that are damaged, or made to do harm.


def read(content: bytes) -> Any:
    """Everything that reads a file: a value or UnreadableOutput, or the test fails."""
    try:
        read_model(content)
        return json.dumps(inspect_model(content).to_json(), allow_nan=False)
    except UnreadableOutput:
        return None


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\0" * 64, b"\x1c\0\0\0TFL3", b"not a model"])
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(UnreadableOutput):
        parse_model(content)


def test_truncated_at_every_byte() -> None:
    content = models.int8_model(features=4, classes=4)
    assert read(content) is not None
    for length in range(len(content)):
        read(content[:length])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 600))
def test_random_bytes_behind_the_identifier(tail: bytes, root: int) -> None:
    read(struct.pack("<I", root) + b"TFL3" + tail)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damage_is_refused_or_read(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["int8", "open batch", "island", "fp16", "int4"]))
    content = bytearray(MODELS[name]())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(8, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    read(bytes(content))


@pytest.mark.fuzz
@pytest.mark.parametrize("name", ["int8", "open batch", "island", "fp16", "int4", "partial"])
def test_thousands_of_mutants(name: str) -> None:
    """4000 mutants of each of 6 models."""
    original = MODELS[name]()
    rng = np.random.default_rng(len(original))
    words = (b"\xff\xff\xff\x7f", b"\xff" * 4, b"\0\0\0\x80", b"\0" * 4, b"\1\0\0\0")
    read_at_all = 0
    for _ in range(4000):
        content = bytearray(original)
        for _ in range(int(rng.integers(1, 6))):
            at = int(rng.integers(8, len(content)))
            match int(rng.integers(4)):
                case 0:
                    content[at] ^= 1 << int(rng.integers(8))
                case 1:
                    content[at] = int(rng.integers(256))
                case 2:
                    content[at : at + 4] = words[int(rng.integers(len(words)))]
                case _:
                    target = int(rng.integers(len(content)))
                    content[at : at + 4] = struct.pack("<I", target)
        if rng.random() < 0.1:
            del content[int(rng.integers(8, len(content))) :]
        read_at_all += read(bytes(content)) is not None
    # A parser that refuses everything would survive too.
    assert read_at_all > 400


def calls_and_peak(content: bytes) -> tuple[int, int]:
    """Python calls made, and bytes held at most, while a file is read."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    tracemalloc.start()
    sys.setprofile(count)
    try:
        read(content)
    finally:
        sys.setprofile(None)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return calls, peak


def bomb(
    tensors: int,
    *,
    name: bytes = b"t",
    scales: int = 0,
    metadata: int = 0,
    metadata_bytes: int = 1,
    op_inputs: int = 1,
    ops: int = 1,
    buffers: int = 1,
    buffer_bytes: int = 0,
) -> bytes:
    """A model in which many tables are one table, and so are their strings and vectors."""
    b = flatbuffers.Builder(1024)
    text = b.CreateString(name)
    scale = b.CreateNumpyVector(np.ones(scales, np.float32)) if scales else None
    shape = b.CreateNumpyVector(np.array([max(scales, 1)], np.int32))
    quantization = None
    if scale is not None:
        schema.QuantizationParametersStart(b)
        schema.QuantizationParametersAddScale(b, scale)
        quantization = schema.QuantizationParametersEnd(b)

    def vector(start: Callable[[Any, int], Any], items: list[int]) -> int:
        start(b, len(items))
        for item in reversed(items):
            b.PrependUOffsetTRelative(item)
        return int(b.EndVector())

    made = []
    for index in range(buffers if buffer_bytes else 1):
        schema.TensorStart(b)
        schema.TensorAddShape(b, shape)
        schema.TensorAddName(b, text)
        schema.TensorAddType(b, schema.TensorType.STRING if buffer_bytes else 0)
        schema.TensorAddBuffer(b, index + 1 if buffer_bytes else 0)
        if quantization is not None:
            schema.TensorAddQuantization(b, quantization)
        made.append(schema.TensorEnd(b))
    all_tensors = vector(
        schema.SubGraphStartTensorsVector, made if buffer_bytes else made * tensors
    )
    ends = b.CreateNumpyVector(np.zeros(op_inputs, np.int32))
    schema.OperatorStart(b)
    schema.OperatorAddInputs(b, ends)
    schema.OperatorAddOutputs(b, ends)
    op = schema.OperatorEnd(b)
    operators = vector(schema.SubGraphStartOperatorsVector, [op] * ops)
    schema.SubGraphStart(b)
    schema.SubGraphAddTensors(b, all_tensors)
    schema.SubGraphAddOperators(b, operators)
    schema.SubGraphAddInputs(b, ends)
    schema.SubGraphAddOutputs(b, ends)
    graphs = vector(schema.ModelStartSubgraphsVector, [schema.SubGraphEnd(b)])
    schema.OperatorCodeStart(b)
    codes = vector(schema.ModelStartOperatorCodesVector, [schema.OperatorCodeEnd(b)])
    content = b.CreateByteVector(b"\1" * max(metadata_bytes, buffer_bytes))
    schema.BufferStart(b)
    empty = schema.BufferEnd(b)
    schema.BufferStart(b)
    schema.BufferAddData(b, content)
    full = schema.BufferEnd(b)
    held = [empty, full]
    for index in range(buffers if buffer_bytes else 0):
        # Each a few bytes shorter than the one before, so that no two are the same.
        schema.BufferStart(b)
        schema.BufferAddOffset(b, 16 + index)
        schema.BufferAddSize(b, buffer_bytes - 2 * index)
        held.append(schema.BufferEnd(b))
    all_buffers = vector(schema.ModelStartBuffersVector, held)
    schema.MetadataStart(b)
    schema.MetadataAddName(b, text)
    schema.MetadataAddBuffer(b, 1)
    entries = vector(schema.ModelStartMetadataVector, [schema.MetadataEnd(b)] * metadata)
    schema.ModelStart(b)
    schema.ModelAddVersion(b, 3)
    schema.ModelAddOperatorCodes(b, codes)
    schema.ModelAddSubgraphs(b, graphs)
    schema.ModelAddBuffers(b, all_buffers)
    schema.ModelAddMetadata(b, entries)
    b.Finish(schema.ModelEnd(b), b"TFL3")
    return bytes(b.Output())


BOMBS: dict[str, Callable[[int], bytes]] = {
    "tensors": lambda n: bomb(n),
    "names": lambda n: bomb(n, name=b"n" * (4 * n)),
    "scales": lambda n: bomb(n, scales=n),
    "metadata": lambda n: bomb(1, metadata=n, metadata_bytes=4 * n),
    "ends of ops": lambda n: bomb(1, ops=n, op_inputs=n),
    "overlapping constants": lambda n: bomb(1, buffers=n // 8, buffer_bytes=4 * n),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_no_more_than_its_size(name: str) -> None:
    """Work and memory grow with the file, not with its square, as shared parts would have it."""
    small, large = (BOMBS[name](n) for n in (400, 1600))
    growth = len(large) / len(small)
    (calls, _), (more_calls, peak) = calls_and_peak(small), calls_and_peak(large)
    assert more_calls <= 1.5 * growth * max(calls, 2000)
    assert peak <= 400 * len(large) + 3_000_000


@pytest.mark.parametrize("name", [name for name in BOMBS if name != "tensors"])
def test_a_bomb_is_named(name: str) -> None:
    with pytest.raises(UnreadableOutput, match="add up to more than the file"):
        parse_model(BOMBS[name](2000))


def test_too_many_tables_are_refused() -> None:
    with pytest.raises(UnreadableOutput, match="more than 200000 tensors and ops"):
        parse_model(bomb(1, ops=200_001))


def changed(change: Callable[[Any], None]) -> bytes:
    """The int8 model with its schema object changed."""
    model = schema.ModelT.InitFromPackedBuf(models.int8_model(4, 4), 0)
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def tensor_of(model: Any, index: int) -> Any:
    return model.subgraphs[0].tensors[index]


def test_sizes_beyond_any_integer_are_values() -> None:
    def grow(model: Any) -> None:
        tensor_of(model, 0).shape = [2**31 - 1] * 16

    found = inspect_model(changed(grow))
    assert found.inputs[0].shape == (2**31 - 1,) * 16
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: setattr(tensor_of(m, 0), "shape", [1] * 17), "17 dimensions"),
        (lambda m: setattr(tensor_of(m, 0), "shape", [-4, 4]), "negative size"),
        (lambda m: setattr(tensor_of(m, 0), "shapeSignature", [-1]), "two numbers"),
        (lambda m: setattr(tensor_of(m, 0), "shapeSignature", [-2, 4]), "negative size"),
        (lambda m: setattr(tensor_of(m, 1), "shape", [4, 5]), "does not fill its shape"),
        (lambda m: setattr(tensor_of(m, 1), "buffer", 99), "no buffer 99"),
        (
            lambda m: vars(tensor_of(m, 1).quantization).update(scale=[1.0] * 3, zeroPoint=[0] * 2),
            "of different number",
        ),
        (
            lambda m: vars(tensor_of(m, 1).quantization).update(scale=[1.0] * 3, zeroPoint=[0] * 3),
            "one scale for each channel",
        ),
        (
            lambda m: vars(tensor_of(m, 1).quantization).update(
                scale=[1.0] * 4, zeroPoint=[0] * 4, quantizedDimension=7
            ),
            "dimension that is not there",
        ),
        (lambda m: setattr(m.subgraphs[0].operators[0], "inputs", [0, 99]), "not there"),
        (lambda m: setattr(m.subgraphs[0].operators[0], "outputs", [-1]), "not there"),
        (lambda m: setattr(m.subgraphs[0], "outputs", [-1]), "not there"),
        (lambda m: setattr(m.subgraphs[0].operators[0], "opcodeIndex", 9), "no op code 9"),
        (lambda m: setattr(m.subgraphs[0], "operators", []), "without any op"),
        (lambda m: setattr(m, "subgraphs", []), "no subgraph"),
        (lambda m: vars(m.buffers[1]).update(data=None, offset=8, size=2**40), "beyond the end"),
    ],
)
def test_contradictions_within_a_file_are_named(change: Callable[[Any], None], words: str) -> None:
    with pytest.raises(UnreadableOutput, match=words):
        parse_model(changed(change))


@pytest.mark.parametrize("scale", [np.nan, np.inf, -1.0, 0.0])
def test_strange_scales_are_told(scale: float) -> None:
    found = inspect_model(
        changed(lambda m: setattr(tensor_of(m, 0).quantization, "scale", [scale]))
    )
    (port,) = found.inputs
    assert port.real_range is None
    assert "no positive number" in str(port.remark)
    json.dumps(found.to_json(), allow_nan=False)


def test_names_that_are_no_text_are_read() -> None:
    found = inspect_model(changed(lambda m: setattr(tensor_of(m, 0), "name", b"\xff\x1b[31m\0x")))
    assert found.inputs[0].name == "\ufffd\x1b[31m\0x"


def test_ops_in_a_circle_are_read() -> None:
    def close(model: Any) -> None:
        first, second = model.subgraphs[0].operators
        first.inputs = [second.outputs[0], *first.inputs[1:]]

    assert inspect_model(changed(close)).macs[0].total == 16


def test_constants_behind_the_flatbuffer_are_read() -> None:
    """Models above 2 GB keep them there, addressed from the file's beginning."""
    weights = bytes(range(16))
    before = changed(lambda m: vars(m.buffers[1]).update(data=None, offset=0xABCDEF, size=16))
    place = before.index(struct.pack("<Q", 0xABCDEF))
    content = before[:place] + struct.pack("<Q", len(before)) + before[place + 8 :] + weights
    tensor = parse_model(content).main.tensors[1]
    assert bytes(tensor.data) == weights
    with pytest.raises(UnreadableOutput, match="beyond the end"):
        parse_model(content[:-1])


def test_constants_in_another_file_are_no_activations() -> None:
    def move(model: Any) -> None:
        tensor_of(model, 1).buffer, tensor_of(model, 1).externalBuffer = 0, 1

    content = changed(move)
    tensor = parse_model(content).main.tensors[1]
    assert tensor.is_constant
    with pytest.raises(UnreadableOutput):
        tensor.values()
    held = inspect_model(content).weights.by_type["INT8"]
    assert (held.parameters, held.size_bytes) == (16, None)
