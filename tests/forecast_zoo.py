"""One small model for each op and condition of XNNPACK's list, that the runtime can run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from models import GraphBuilder

OP = schema.BuiltinOperator
ACTIVATION = schema.ActivationFunctionType
FLOAT, INT8, UINT8, INT32 = np.float32, np.int8, np.uint8, np.int32
_SCALE = {FLOAT: None, INT8: 1 / 16, UINT8: 1 / 16, INT32: None}


def _options(kind: str, **fields: Any) -> Any:
    options = getattr(schema, f"{kind}OptionsT")()
    for name, value in fields.items():
        assert hasattr(options, name), (kind, name)
        setattr(options, name, value)
    return options


class _Model:
    """A graph of one node, its inputs first."""

    def __init__(self) -> None:
        self.g = GraphBuilder()
        self.given: list[int] = []

    def data(self, shape: Sequence[int], dtype: Any = FLOAT, scale: float | None = None) -> int:
        tensor = self.g.tensor(shape, dtype, scale=scale or _SCALE[dtype])
        self.given.append(tensor)
        return tensor

    def constant(self, values: Any, dtype: Any = INT32, **more: Any) -> int:
        values = np.asarray(values)
        return self.g.tensor(values.shape, dtype, data=values, **more)

    def out(self, shape: Sequence[int], dtype: Any = FLOAT, scale: float | None = None) -> int:
        return self.g.tensor(shape, dtype, scale=scale or _SCALE[dtype])

    def op(
        self,
        code: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: Any = None,
        version: int = 1,
    ) -> bytes:
        self.g.op(getattr(OP, code), inputs, outputs, options, version=version)
        return self.g.build(self.given, outputs)


def _unary(code: str, dtype: Any, options: Any = None, version: int = 1, scale: float = 0) -> bytes:
    m = _Model()
    x = m.data((1, 4, 4, 8), dtype)
    if dtype is INT8 and code in ("LOGISTIC", "TANH"):
        fixed, zero = (1 / 256, -128) if code == "LOGISTIC" else (1 / 128, 0)
        y = m.g.tensor((1, 4, 4, 8), dtype, scale=fixed, zero_point=zero)
    else:
        y = m.out((1, 4, 4, 8), dtype, scale or None)
    return m.op(code, (x,), (y,), options, version)


def _binary(
    code: str, dtype: Any, options: Any = None, version: int = 1, out_scale: float = 0
) -> bytes:
    m = _Model()
    a, b = m.data((1, 4, 4, 8), dtype), m.data((1, 4, 4, 8), dtype)
    return m.op(code, (a, b), (m.out((1, 4, 4, 8), dtype, out_scale or None),), options, version)


def _conv(
    *,
    depthwise: bool,
    dtype: Any = FLOAT,
    weights: Any = FLOAT,
    activation: int = 0,
    computed: bool = False,
) -> bytes:
    m = _Model()
    x = m.data((1, 4, 4, 8), dtype)
    shape = (1, 3, 3, 8) if depthwise else (8, 3, 3, 8)
    scale = [0.01] * 8 if weights is INT8 else None
    values = m.g.rng.integers(-9, 9, shape)
    if computed:
        w = m.data(shape)
    else:
        w = m.constant(values, weights, scale=scale, axis=3 if depthwise else 0)
    if dtype is FLOAT:
        b = m.constant(np.zeros(8), FLOAT)
    else:
        b = m.constant(np.zeros(8), INT32, scale=[0.01 / 16] * 8)
    kind = "DepthwiseConv2D" if depthwise else "Conv2D"
    options = _options(
        kind,
        strideH=1,
        strideW=1,
        dilationHFactor=1,
        dilationWFactor=1,
        fusedActivationFunction=activation,
        **({"depthMultiplier": 1} if depthwise else {}),
    )
    code = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    hybrid = dtype is FLOAT and weights is INT8
    version = (6 if depthwise else 5) if hybrid else 3
    return m.op(code, (x, w, b), (m.out((1, 4, 4, 8), dtype),), options, version)


def _dense(
    dtype: Any = FLOAT, weights: Any = FLOAT, *, computed: bool = False, activation: int = 0
) -> bytes:
    m = _Model()
    x = m.data((2, 8), dtype)
    scale = None if weights is FLOAT else 0.01
    w = (
        m.data((4, 8))
        if computed
        else m.constant(m.g.rng.integers(-9, 9, (4, 8)), weights, scale=scale)
    )
    b = (
        m.constant(np.zeros(4), FLOAT)
        if dtype is FLOAT
        else m.constant(np.zeros(4), INT32, scale=0.01 / 16)
    )
    options = _options("FullyConnected", fusedActivationFunction=activation)
    version = 3 if dtype is FLOAT and weights is INT8 else 4
    return m.op("FULLY_CONNECTED", (x, w, b), (m.out((2, 4), dtype),), options, version)


def _pool(code: str, dtype: Any = FLOAT, window: int = 2, stride: int = 2) -> bytes:
    m = _Model()
    size = 4 if stride == 1 else 2
    options = _options(
        "Pool2D", filterHeight=window, filterWidth=window, strideH=stride, strideW=stride
    )
    x = m.data((1, 4, 4, 8), dtype)
    return m.op(code, (x,), (m.out((1, size, size, 8), dtype),), options, 2)


def _with_constants(
    code: str,
    dtype: Any,
    constants: Sequence[Any],
    out: Sequence[int],
    options: Any = None,
    *,
    first: bool = False,
    outputs: int = 1,
    version: int = 2,
    shape: Sequence[int] = (1, 4, 4, 8),
) -> bytes:
    m = _Model()
    x = m.data(shape, dtype)
    more = [m.constant(values) for values in constants]
    results = [m.out(out, dtype) for _ in range(outputs)]
    return m.op(code, (*more, x) if first else (x, *more), results, options, version)


def zoo() -> Iterator[tuple[str, bytes]]:
    """(name, model), each of a few nodes."""
    for code in (
        "ABS",
        "CEIL",
        "COS",
        "EXP",
        "FLOOR",
        "GELU",
        "HARD_SWISH",
        "LOG",
        "NEG",
        "RELU_N1_TO_1",
        "RELU",
        "RELU6",
        "ROUND",
        "RSQRT",
        "SIN",
        "SQRT",
        "SQUARE",
        "ELU",
        "LOGISTIC",
        "TANH",
        "SIGN",
        "LOG_SOFTMAX",
    ):
        yield f"{code} float", _unary(code, FLOAT)
    for code in ("RELU", "RELU6", "LOGISTIC", "TANH", "HARD_SWISH", "ELU"):
        yield f"{code} int8", _unary(code, INT8, version=1 if code in ("HARD_SWISH", "ELU") else 2)
    yield "ABS int8", _unary("ABS", INT8, version=2)
    for dtype, name in ((FLOAT, "float"), (INT8, "int8")):
        yield f"SOFTMAX {name}", _softmax(dtype)
        yield f"LEAKY_RELU {name}", _unary("LEAKY_RELU", dtype, _options("LeakyRelu", alpha=0.5), 2)
        for code in ("ADD", "SUB", "MUL"):
            kind = code.title()
            yield f"{code} {name}", _binary(code, dtype, _options(kind), 2)
            relu = _options(kind, fusedActivationFunction=ACTIVATION.RELU6)
            yield f"{code} {name} with RELU6", _binary(code, dtype, relu, 2)
        for code in ("MAXIMUM", "MINIMUM"):
            yield f"{code} {name}", _binary(code, dtype, version=2)
        for code in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
            yield f"{code} {name}", _pool(code, dtype)
            yield f"{code} {name}, strides longer than the window", _pool(code, dtype, 1, 2)
        for depthwise in (False, True):
            code = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
            yield f"{code} {name}", _conv(depthwise=depthwise, dtype=dtype, weights=dtype)
        yield f"FULLY_CONNECTED {name}", _dense(dtype, dtype)
        yield from _shapes(dtype, name)
        yield f"TRANSPOSE_CONV {name}", _transpose_conv(dtype, dtype)
    yield "SOFTMAX float, beta 2", _softmax(FLOAT, 2.0)
    yield "MUL int8, tiny output scale", _binary("MUL", INT8, _options("Mul"), 2, 1e-6)
    yield "ADD int8, huge output scale", _binary("ADD", INT8, _options("Add"), 2, 100.0)
    for code in ("DIV", "SQUARED_DIFFERENCE", "POW", "FLOOR_DIV", "ATAN2", "FLOOR_MOD"):
        yield f"{code} float", _binary(code, FLOAT)
    for code in ("ADD", "SUB", "MUL"):
        yield f"{code} int32", _binary(code, INT32, _options(code.title()))
    yield "CONV_2D dynamic", _conv(depthwise=False, weights=INT8)
    yield "DEPTHWISE_CONV_2D dynamic", _conv(depthwise=True, weights=INT8)
    yield "FULLY_CONNECTED dynamic", _dense(FLOAT, INT8)
    yield "CONV_2D float, computed weights", _conv(depthwise=False, computed=True)
    yield "FULLY_CONNECTED float, computed weights", _dense(computed=True)
    yield "CONV_2D float with TANH", _conv(depthwise=False, activation=ACTIVATION.TANH)
    for name, source, target in (
        ("float to int8", FLOAT, INT8),
        ("int8 to int8", INT8, INT8),
        ("int8 to uint8", INT8, UINT8),
    ):
        yield f"QUANTIZE {name}", _converted("QUANTIZE", source, target)
    yield "QUANTIZE int8, far scale", _converted("QUANTIZE", INT8, INT8, 100.0)
    yield "DEQUANTIZE int8", _converted("DEQUANTIZE", INT8, FLOAT)
    yield "DEQUANTIZE uint8", _converted("DEQUANTIZE", UINT8, FLOAT)
    for count in (2, 5, 6):
        yield f"CONCATENATION of {count}", _concat(count)
    m = _Model()
    x, a = m.data((1, 4, 4, 8)), m.constant(np.full((1, 1, 8), 0.5), FLOAT)
    yield "PRELU float", m.op("PRELU", (x, a), (m.out((1, 4, 4, 8)),))
    m = _Model()
    x, a = m.data((1, 4, 4, 8)), m.data((1, 1, 8))
    yield "PRELU float, computed slope", m.op("PRELU", (x, a), (m.out((1, 4, 4, 8)),))
    m = _Model()
    a, b = m.data((2, 4, 8)), m.data((2, 8, 4))
    yield (
        "BATCH_MATMUL float",
        m.op("BATCH_MATMUL", (a, b), (m.out((2, 4, 4)),), _options("BatchMatMul")),
    )


def _softmax(dtype: Any, beta: float = 1.0) -> bytes:
    m = _Model()
    x = m.data((1, 8), dtype)
    scaled: dict[str, Any] = {"scale": 1 / 256, "zero_point": -128} if dtype is INT8 else {}
    y = m.g.tensor((1, 8), dtype, **scaled)
    return m.op("SOFTMAX", (x,), (y,), _options("Softmax", beta=beta), 2)


def _converted(code: str, source: Any, target: Any, scale: float | None = None) -> bytes:
    m = _Model()
    x = m.data((1, 8), source)
    kind = "Quantize" if code == "QUANTIZE" else "Dequantize"
    return m.op(code, (x,), (m.out((1, 8), target, scale),), _options(kind), 2)


def _concat(count: int) -> bytes:
    m = _Model()
    inputs = [m.data((1, 8)) for _ in range(count)]
    return m.op(
        "CONCATENATION", inputs, (m.out((1, 8 * count)),), _options("Concatenation", axis=1)
    )


def _shapes(dtype: Any, name: str) -> Iterator[tuple[str, bytes]]:
    """Ops that move numbers about."""
    made = _with_constants
    yield (
        f"RESHAPE {name}",
        made(
            "RESHAPE",
            dtype,
            [[1, 128]],
            (1, 128),
            _options("Reshape", newShape=[1, 128]),
            version=1,
        ),
    )
    yield f"TRANSPOSE {name}", made("TRANSPOSE", dtype, [[0, 3, 1, 2]], (1, 8, 4, 4))
    yield f"PAD {name}", made("PAD", dtype, [[[0, 0], [1, 1], [1, 1], [0, 0]]], (1, 6, 6, 8))
    for code, low in (("MEAN", 1), ("SUM", 1), ("REDUCE_MAX", 1), ("REDUCE_MIN", 1)):
        options = _options("Reducer", keepDims=False)
        yield f"{code} {name}", made(code, dtype, [[low, 2]], (1, 8), options)
    yield f"SLICE {name}", made("SLICE", dtype, [[0, 1, 1, 0], [1, 2, 2, 8]], (1, 2, 2, 8))
    yield (
        f"SLICE {name} to the end",
        made("SLICE", dtype, [[0, 1, 1, 0], [1, -1, -1, 8]], (1, 3, 3, 8)),
    )
    ends = [[0, 0, 0, 0], [1, 2, 2, 8]]
    yield (
        f"STRIDED_SLICE {name}",
        made("STRIDED_SLICE", dtype, [*ends, [1, 1, 1, 1]], (1, 2, 2, 8), _options("StridedSlice")),
    )
    yield (
        f"STRIDED_SLICE {name}, strides 2",
        made("STRIDED_SLICE", dtype, [*ends, [1, 2, 2, 1]], (1, 1, 1, 8), _options("StridedSlice")),
    )
    yield (
        f"STRIDED_SLICE {name}, an axis less",
        made(
            "STRIDED_SLICE",
            dtype,
            [*ends, [1, 1, 1, 1]],
            (2, 2, 8),
            _options("StridedSlice", shrinkAxisMask=1),
        ),
    )
    for count in (2, 8):
        yield (
            f"SPLIT {name} into {count}",
            made(
                "SPLIT",
                dtype,
                [np.asarray(3)],
                (1, 4, 4, 8 // count),
                _options("Split", numSplits=count),
                first=True,
                outputs=count,
            ),
        )
    size = [[8, 8]]
    yield (
        f"RESIZE_BILINEAR {name}",
        made("RESIZE_BILINEAR", dtype, size, (1, 8, 8, 8), _options("ResizeBilinear")),
    )
    yield (
        f"RESIZE_NEAREST_NEIGHBOR {name}",
        made(
            "RESIZE_NEAREST_NEIGHBOR", dtype, size, (1, 8, 8, 8), _options("ResizeNearestNeighbor")
        ),
    )
    yield (
        f"DEPTH_TO_SPACE {name}",
        made("DEPTH_TO_SPACE", dtype, [], (1, 8, 8, 2), _options("DepthToSpace", blockSize=2)),
    )
    yield (
        f"SPACE_TO_DEPTH {name}",
        made("SPACE_TO_DEPTH", dtype, [], (1, 2, 2, 32), _options("SpaceToDepth", blockSize=2)),
    )
    yield (
        f"EXPAND_DIMS {name}",
        made("EXPAND_DIMS", dtype, [np.asarray(0)], (1, 1, 4, 4, 8), version=1),
    )
    yield (
        f"SQUEEZE {name}",
        made("SQUEEZE", dtype, [], (4, 4, 8), _options("Squeeze", squeezeDims=[0]), version=1),
    )
    yield (
        f"PACK {name}",
        made(
            "PACK", dtype, [], (1, 1, 4, 4, 8), _options("Pack", valuesCount=1, axis=0), version=2
        ),
    )
    yield f"TILE {name}", made("TILE", dtype, [[1, 2, 1, 1]], (1, 8, 4, 8), version=1)
    yield (
        f"GATHER {name}",
        made("GATHER", dtype, [[1, 0]], (1, 2, 4, 8), _options("Gather", axis=1)),
    )


def _transpose_conv(dtype: Any, weights: Any) -> bytes:
    m = _Model()
    shape = m.constant([1, 4, 4, 4])
    scale = [0.01] * 4 if weights is INT8 else None
    w = m.constant(m.g.rng.integers(-9, 9, (4, 1, 1, 8)), weights, scale=scale)
    x = m.data((1, 4, 4, 8), dtype)
    options = _options("TransposeConv", strideH=1, strideW=1, padding=schema.Padding.VALID)
    version = 2 if dtype is INT8 else 1
    return m.op("TRANSPOSE_CONV", (shape, w, x), (m.out((1, 4, 4, 4), dtype),), options, version)
