"""Small .tflite models for tests, made in milliseconds and without TensorFlow.

Pytest puts the directory of the tests on the path, so a test says

    from models import float_model, write_model

    path = write_model(tmp_path / "m.tflite", float_model())

Every function returns the bytes of a whole model; weights come from a fixed seed, so
the same arguments give the same bytes. `GraphBuilder` makes anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

Array = np.ndarray[Any, Any]

_TENSOR_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.float16): schema.TensorType.FLOAT16,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.uint8): schema.TensorType.UINT8,
    np.dtype(np.int16): schema.TensorType.INT16,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int64): schema.TensorType.INT64,
    np.dtype(np.bool_): schema.TensorType.BOOL,
}


class GraphBuilder:
    """One subgraph, op by op; tensors are named by the index that `tensor` returns."""

    def __init__(self, seed: int = 0) -> None:
        self._tensors: list[Any] = []
        self._buffers: list[Any] = [schema.BufferT()]
        self._codes: dict[tuple[int, int, str], int] = {}
        self._operators: list[Any] = []
        self.rng = np.random.default_rng(seed)

    def tensor(
        self,
        shape: Sequence[int],
        dtype: Any = np.float32,
        *,
        name: str | None = None,
        data: Array | None = None,
        scale: float | Sequence[float] | None = None,
        zero_point: int = 0,
        axis: int = 0,
    ) -> int:
        """Add a tensor (-1 in `shape` is dynamic); with `data` it is a constant."""
        t = schema.TensorT()
        t.name = (name or f"t{len(self._tensors)}").encode()
        t.type = _TENSOR_TYPES[np.dtype(dtype)]
        t.shape = [1 if d == -1 else d for d in shape]
        if -1 in shape:
            t.shapeSignature = list(shape)
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data, dtype).tobytes(), np.uint8)
            self._buffers.append(buffer)
            t.buffer = len(self._buffers) - 1
        if scale is not None:
            q = schema.QuantizationParametersT()
            q.scale = [scale] if isinstance(scale, float) else list(scale)
            q.zeroPoint = [zero_point] * len(q.scale)
            q.quantizedDimension = axis
            t.quantization = q
        self._tensors.append(t)
        return len(self._tensors) - 1

    def retype(self, tensor: int, tensor_type: int) -> None:
        """Make a tensor of a type that numpy lacks, such as INT4."""
        self._tensors[tensor].type = tensor_type

    def quantization(self, tensor: int) -> Any:
        """The schema's object for the quantisation of a tensor that has a scale."""
        return self._tensors[tensor].quantization

    def op(
        self,
        code: int,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: Any = None,
        *,
        version: int = 1,
        custom: str = "",
    ) -> None:
        """Add a node; `options` is the schema's object for it, e.g. SoftmaxOptionsT()."""
        key = (code, version, custom)
        node = schema.OperatorT()
        node.opcodeIndex = self._codes.setdefault(key, len(self._codes))
        node.inputs, node.outputs = list(inputs), list(outputs)
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            node.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            node.builtinOptions = options
        self._operators.append(node)

    def build(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs, graph.outputs, graph.name = list(inputs), list(outputs), b"main"
        model = schema.ModelT()
        model.version, model.description = 3, b"edgebench test model"
        model.buffers, model.subgraphs = self._buffers, [graph]
        model.operatorCodes = [self._operator_code(*key) for key in self._codes]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    @staticmethod
    def _operator_code(code: int, version: int, custom: str) -> Any:
        made = schema.OperatorCodeT()
        made.builtinCode, made.deprecatedBuiltinCode = code, min(code, 127)
        made.version = version
        if custom:
            made.customCode = custom.encode()
        return made

    # Layers that several models share; each returns the index of its output.

    def weights(self, shape: Sequence[int], scale: float = 0.1) -> Array:
        return (self.rng.standard_normal(tuple(shape)) * scale).astype(np.float32)

    def dense(self, x: int, n_in: int, n_out: int) -> int:
        """FULLY_CONNECTED, float32, (1, n_in) -> (1, n_out)."""
        w = self.tensor((n_out, n_in), data=self.weights((n_out, n_in)))
        b = self.tensor((n_out,), data=self.weights((n_out,)))
        y = self.tensor((1, n_out))
        self.op(
            schema.BuiltinOperator.FULLY_CONNECTED, (x, w, b), (y,), _dense_options(activation=0)
        )
        return y

    def conv(self, x: int, size: int, n_in: int, n_out: int) -> int:
        """CONV_2D 3x3 with ReLU6, float32, (1, size, size, n_in) -> (..., n_out)."""
        w = self.tensor((n_out, 3, 3, n_in), data=self.weights((n_out, 3, 3, n_in)))
        b = self.tensor((n_out,), data=self.weights((n_out,)))
        y = self.tensor((1, size, size, n_out))
        self.op(schema.BuiltinOperator.CONV_2D, (x, w, b), (y,), _conv_options())
        return y

    def softmax(self, x: int, n: int, name: str = "output") -> int:
        y = self.tensor((1, n), name=name)
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        self.op(schema.BuiltinOperator.SOFTMAX, (x,), (y,), options)
        return y


def _dense_options(activation: int) -> Any:
    options = schema.FullyConnectedOptionsT()
    options.fusedActivationFunction = activation
    return options


def _conv_options() -> Any:
    options = schema.Conv2DOptionsT()
    options.padding = schema.Padding.SAME
    options.strideH = options.strideW = 1
    options.dilationHFactor = options.dilationWFactor = 1
    options.fusedActivationFunction = schema.ActivationFunctionType.RELU6
    return options


def float_model(features: int = 16, classes: int = 4, layers: int = 1, seed: int = 0) -> bytes:
    """FULLY_CONNECTED x layers and SOFTMAX, float32: (1, features) -> (1, classes).

    The defaults run in about 1 us; features=1024, layers=4 (12 MB) in some 100 to 300 us.
    XNNPACK takes all of it: layers + 1 nodes in one partition.
    """
    g = GraphBuilder(seed)
    x = y = g.tensor((1, features), name="input")
    for _ in range(layers - 1):
        y = g.dense(y, features, features)
    y = g.softmax(g.dense(y, features, classes), classes)
    return g.build((x,), (y,))


def conv_model(
    size: int = 32, channels: int = 16, layers: int = 3, classes: int = 10, batch: int = 1
) -> bytes:
    """CONV_2D x layers, RESHAPE, FULLY_CONNECTED, SOFTMAX, float32.

    (1, size, size, 1) -> (1, classes). batch=-1 makes the batch of the input dynamic.
    """
    g = GraphBuilder()
    x = y = g.tensor((batch, size, size, 1), name="input")
    for layer in range(layers):
        y = g.conv(y, size, 1 if layer == 0 else channels, channels)
    flat = size * size * channels
    shape = g.tensor((2,), np.int32, data=np.array([1, flat]))
    r = g.tensor((1, flat))
    options = schema.ReshapeOptionsT()
    options.newShape = [1, flat]
    g.op(schema.BuiltinOperator.RESHAPE, (y, shape), (r,), options)
    y = g.softmax(g.dense(r, flat, classes), classes)
    return g.build((x,), (y,))


def int8_model(features: int = 64, classes: int = 10) -> bytes:
    """FULLY_CONNECTED and SOFTMAX, int8 in and out; the input has scale 1/16, zero point -3.

    XNNPACK leaves the int8 SOFTMAX: PARTIAL, 1 of 2 nodes.
    """
    g = GraphBuilder()
    x = g.tensor((1, features), np.int8, name="input", scale=1 / 16, zero_point=-3)
    data = g.rng.integers(-127, 128, (classes, features))
    w = g.tensor((classes, features), np.int8, data=data, scale=0.01)
    b = g.tensor((classes,), np.int32, data=np.arange(classes), scale=0.01 / 16)
    y = g.tensor((1, classes), np.int8, scale=0.5)
    fc = schema.BuiltinOperator.FULLY_CONNECTED
    g.op(fc, (x, w, b), (y,), _dense_options(activation=0), version=4)
    out = g.tensor((1, classes), np.int8, name="output", scale=1 / 256, zero_point=-128)
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    g.op(schema.BuiltinOperator.SOFTMAX, (y,), (out,), options, version=2)
    return g.build((x,), (out,))


def fp16_model(features: int = 64, classes: int = 10) -> bytes:
    """float_model with float16 weights, each behind a DEQUANTIZE node, as converters make it."""
    g = GraphBuilder()
    x = g.tensor((1, features), name="input")
    constants = []
    for shape in ((classes, features), (classes,)):
        half = g.tensor(shape, np.float16, data=g.weights(shape).astype(np.float16))
        full = g.tensor(shape)
        g.op(
            schema.BuiltinOperator.DEQUANTIZE,
            (half,),
            (full,),
            schema.DequantizeOptionsT(),
            version=3,
        )
        constants.append(full)
    y = g.tensor((1, classes))
    g.op(
        schema.BuiltinOperator.FULLY_CONNECTED,
        (x, *constants),
        (y,),
        _dense_options(activation=0),
    )
    return g.build((x,), (g.softmax(y, classes),))


def partial_model(features: int = 64, classes: int = 10) -> bytes:
    """FULLY_CONNECTED, ATAN2, FULLY_CONNECTED, SOFTMAX: XNNPACK leaves ATAN2, 2 partitions."""
    g = GraphBuilder()
    x = g.tensor((1, features), name="input")
    a = g.dense(x, features, features)
    b = g.tensor((1, features))
    g.op(schema.BuiltinOperator.ATAN2, (a, a), (b,), schema.ATan2OptionsT())
    y = g.softmax(g.dense(b, features, classes), classes)
    return g.build((x,), (y,))


def unsupported_model(features: int = 64) -> bytes:
    """One ATAN2: XNNPACK takes nothing of it."""
    g = GraphBuilder()
    x = g.tensor((1, features), name="input")
    y = g.tensor((1, features), name="output")
    g.op(schema.BuiltinOperator.ATAN2, (x, x), (y,), schema.ATan2OptionsT())
    return g.build((x,), (y,))


def two_input_model(features: int = 16, classes: int = 4) -> bytes:
    """ADD of inputs "left" and "right", (1, features) each, then FULLY_CONNECTED, SOFTMAX."""
    g = GraphBuilder()
    left = g.tensor((1, features), name="left")
    right = g.tensor((1, features), name="right")
    s = g.tensor((1, features))
    g.op(schema.BuiltinOperator.ADD, (left, right), (s,), schema.AddOptionsT())
    y = g.softmax(g.dense(s, features, classes), classes)
    return g.build((left, right), (y,))


def cast_model(dtype: Any, features: int = 16) -> bytes:
    """CAST of an input of any dtype (bool, int32, int64, uint8, int16, float16) to float32.

    features=-1 leaves the last dimension open.
    """
    g = GraphBuilder()
    x = g.tensor((1, features), dtype, name="input")
    y = g.tensor((1, features), name="output")
    options = schema.CastOptionsT()
    options.inDataType = _TENSOR_TYPES[np.dtype(dtype)]
    options.outDataType = schema.TensorType.FLOAT32
    g.op(schema.BuiltinOperator.CAST, (x,), (y,), options)
    return g.build((x,), (y,))


def flex_model(features: int = 16) -> bytes:
    """A custom op "FlexErf" that no runtime without the flex delegate can prepare."""
    g = GraphBuilder()
    x = g.tensor((1, features), name="input")
    y = g.tensor((1, features), name="output")
    g.op(schema.BuiltinOperator.CUSTOM, (x,), (y,), custom="FlexErf")
    return g.build((x,), (y,))


def _convert(g: GraphBuilder, x: int, y: int, name: str) -> int:
    """QUANTIZE or DEQUANTIZE of x into y; returns y."""
    options = {"QUANTIZE": schema.QuantizeOptionsT, "DEQUANTIZE": schema.DequantizeOptionsT}
    g.op(getattr(schema.BuiltinOperator, name), (x,), (y,), options[name](), version=2)
    return y


def _dense_int8(g: GraphBuilder, x: int, n: int, dtype: Any = np.int8, name: str = "") -> int:
    """FULLY_CONNECTED, (1, n) -> (1, n), int8 weights and quantised activations of `dtype`."""
    data = g.rng.integers(-127, 128, (n, n))
    w = g.tensor((n, n), np.int8, data=data, scale=0.01)
    wide = np.int64 if dtype is np.int16 else np.int32
    b = g.tensor((n,), wide, data=np.arange(n), scale=0.01 / 16)
    y = g.tensor((1, n), dtype, name=name or None, scale=0.5)
    g.op(schema.BuiltinOperator.FULLY_CONNECTED, (x, w, b), (y,), _dense_options(0), version=4)
    return y


def island_model(features: int = 16) -> bytes:
    """int8 in and out; between two int8 FULLY_CONNECTED, ATAN2 and ABS stayed float.

    int8 FC, DEQUANTIZE, ATAN2, ABS, QUANTIZE, int8 FC: one island of two ops.
    """
    g = GraphBuilder()
    x = g.tensor((1, features), np.int8, name="input", scale=1 / 16)
    y = _dense_int8(g, x, features)
    y = _convert(g, y, g.tensor((1, features), name="decoded"), "DEQUANTIZE")
    angle = g.tensor((1, features), name="angle")
    g.op(schema.BuiltinOperator.ATAN2, (y, y), (angle,), schema.ATan2OptionsT())
    size = g.tensor((1, features), name="size")
    g.op(schema.BuiltinOperator.ABS, (angle,), (size,), schema.AbsOptionsT())
    y = _convert(
        g, size, g.tensor((1, features), np.int8, name="encoded", scale=1 / 16), "QUANTIZE"
    )
    return g.build((x,), (_dense_int8(g, y, features, name="output"),))


def quantised_border_model(
    border: Any = np.float32, inner: Any = np.int8, features: int = 16
) -> bytes:
    """FULLY_CONNECTED on `inner` activations, with QUANTIZE and DEQUANTIZE at the borders.

    border=np.uint8 gives uint8 inputs and outputs, inner=np.int16 an int16x8 model.
    """
    g = GraphBuilder()
    scaled: dict[str, Any] = {} if border is np.float32 else {"scale": 1 / 16, "zero_point": 128}
    x = g.tensor((1, features), border, name="input", **scaled)
    q = _convert(g, x, g.tensor((1, features), inner, scale=1 / 16), "QUANTIZE")
    y = _dense_int8(g, q, features, inner)
    scaled = {"scale": 0.5, "zero_point": 128} if scaled else {}
    out = g.tensor((1, features), border, name="output", **scaled)
    _convert(g, y, out, "QUANTIZE" if scaled else "DEQUANTIZE")
    return g.build((x,), (out,))


def int8_weights_model(features: int = 16, *, decoded: bool) -> bytes:
    """FULLY_CONNECTED on float activations with int8 weights.

    decoded=True puts a DEQUANTIZE behind the weights (weight-int8); without it the kernel
    quantises the activations while it runs (dynamic).
    """
    g = GraphBuilder()
    x = g.tensor((1, features), name="input")
    data = g.rng.integers(-127, 128, (features, features))
    w = g.tensor((features, features), np.int8, data=data, scale=[0.01] * features)
    if decoded:
        w = _convert(g, w, g.tensor((features, features)), "DEQUANTIZE")
    y = g.tensor((1, features), name="output")
    g.op(schema.BuiltinOperator.FULLY_CONNECTED, (x, w, -1), (y,), _dense_options(0), version=9)
    return g.build((x,), (y,))


def int4_model(features: int = 16) -> bytes:
    """FULLY_CONNECTED on float activations with packed int4 weights, a quarter of them zero."""
    g = GraphBuilder()
    x = g.tensor((1, features), name="input")
    values = np.tile(np.array([0, 1, -8, 7]), features * features // 4)
    packed = ((values[1::2] & 15) << 4 | values[::2] & 15).astype(np.uint8)
    w = g.tensor((features, features), np.int8, data=packed, scale=0.01)
    g.retype(w, schema.TensorType.INT4)
    y = g.tensor((1, features), name="output")
    g.op(schema.BuiltinOperator.FULLY_CONNECTED, (x, w, -1), (y,), _dense_options(0), version=9)
    return g.build((x,), (y,))


def variable_model(
    read: Sequence[str], assigned: Sequence[str] = (), *, container: str = "", features: int = 4
) -> bytes:
    """Adds to its input the variables `read`, each after all in `assigned` became ones."""
    op = schema.BuiltinOperator
    g = GraphBuilder()
    x = total = g.tensor((1, features), name="input")

    def handle(name: str, container: str) -> int:
        made = g.tensor((1,), np.int32)
        g.retype(made, schema.TensorType.RESOURCE)
        options = schema.VarHandleOptionsT()
        options.sharedName, options.container = name.encode(), container.encode()
        g.op(op.VAR_HANDLE, (), (made,), options)
        return made

    ones = g.tensor((1, features), data=np.ones((1, features)))
    for name in assigned:
        inputs = (handle(name, container), ones)
        g.op(op.ASSIGN_VARIABLE, inputs, (), schema.AssignVariableOptionsT())
    for name in read:
        value, more = g.tensor((1, features)), g.tensor((1, features))
        g.op(op.READ_VARIABLE, (handle(name, ""),), (value,), schema.ReadVariableOptionsT())
        g.op(op.ADD, (total, value), (more,), schema.AddOptionsT())
        total = more
    return g.build((x,), (total,))


def write_model(path: Path, content: bytes) -> Path:
    """Write a model and return its path, so that it can stand in an argument."""
    path.write_bytes(content)
    return path
