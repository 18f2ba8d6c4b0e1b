"""Which ops of a model a step within XNNPACK can stand for.

Source of the names: the table of operator types in XNNPACK, as its text stands in the
library of the ai-edge-litert 2.3.0 wheel, with the kernel that newer versions add behind
it ("Convolution (NHWC, F32) DWConv"). What each op of TFLite becomes: XNNPACK's TFLite
delegate.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

_WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
_MATMULS = frozenset({"FULLY_CONNECTED", "BATCH_MATMUL"})
_SHAPES = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
_REDUCTIONS = frozenset({"MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"})
# Takes the place of a conversion that the model does not have.
_DYNAMIC_TYPES = re.compile(r"\b(QDU?8|QP8)\b")
_TYPES = MappingProxyType(
    {
        "F32": frozenset({"FLOAT32"}),
        "F16": frozenset({"FLOAT16", "FLOAT32"}),
        "QS8": frozenset({"INT8"}),
        "QC8": frozenset({"INT8"}),
        "QU8": frozenset({"UINT8"}),
    }
)


def _ops(*names: str) -> frozenset[str]:
    return frozenset(names)


_FAMILIES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "Abs": _ops("ABS"),
        "Add": _ops("ADD"),
        "ApproxGELU": _ops("GELU"),
        "Average Pooling": _ops("AVERAGE_POOL_2D"),
        "Batch Matrix Multiply": _ops("BATCH_MATMUL"),
        "Ceiling": _ops("CEIL"),
        "Clamp": _ops("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1"),
        "Constant Pad": _ops("PAD", "PADV2"),
        "Convert": _ops("QUANTIZE", "DEQUANTIZE", "CAST"),
        "Copy": _ops("CONCATENATION", "SPLIT", "SPLIT_V", *_SHAPES),
        "Cosine": _ops("COS"),
        "Deconvolution": _ops("TRANSPOSE_CONV"),
        "Depth To Space": _ops("DEPTH_TO_SPACE"),
        "Divide": _ops("DIV"),
        "Dynamic Fully Connected": _MATMULS,
        "ELU": _ops("ELU"),
        "Exp": _ops("EXP"),
        "Floor": _ops("FLOOR"),
        "Fully Connected": _ops("CONV_2D", "FULLY_CONNECTED"),
        "GELU": _ops("GELU"),
        "HardSwish": _ops("HARD_SWISH"),
        "LeakyReLU": _ops("LEAKY_RELU"),
        "Log": _ops("LOG"),
        "Max Pooling": _ops("MAX_POOL_2D"),
        "Maximum": _ops("MAXIMUM"),
        "Mean": _ops("MEAN"),
        "Minimum": _ops("MINIMUM"),
        "Multiply": _ops("MUL"),
        "Negate": _ops("NEG"),
        "PReLU": _ops("PRELU"),
        "Reciprocal Square Root": _ops("RSQRT"),
        "Reduce Max": _ops("REDUCE_MAX"),
        "Reduce Min": _ops("REDUCE_MIN"),
        "Resize Bilinear": _ops("RESIZE_BILINEAR"),
        "Sigmoid": _ops("LOGISTIC"),
        "Sign": _ops("SIGN"),
        "Sine": _ops("SIN"),
        "Slice": _ops("SLICE", "STRIDED_SLICE", "SPLIT"),
        "Softmax": _ops("SOFTMAX"),
        "Space To Depth": _ops("SPACE_TO_DEPTH"),
        "Square": _ops("SQUARE"),
        "Square Root": _ops("SQRT"),
        "Squared Difference": _ops("SQUARED_DIFFERENCE"),
        "Static Expand Dims": _ops("EXPAND_DIMS"),
        "Static Reshape": _SHAPES,
        "Subtract": _ops("SUB"),
        "Sum": _ops("SUM"),
        "TanH": _ops("TANH"),
        "Transpose": _ops("TRANSPOSE"),
    }
)
# Steps that are part of an op without being its computation, before it and behind it.
_PREPARES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "Constant Pad": _ops("CONV_2D", "DEPTHWISE_CONV_2D"),
        "Copy": _MATMULS,
        "Fuse Dims": _MATMULS | _SHAPES,
        "Split Dims": _MATMULS | _SHAPES,
        "Static Expand Dims": _MATMULS,
        "Static Reshape": _MATMULS,
        "Transpose": _ops("BATCH_MATMUL", "FULLY_CONNECTED", "TRANSPOSE_CONV"),
    }
)
_FINISHES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "Clamp": _ops("ADD", "SUB", "MUL", "DIV", "CONCATENATION") | _MATMULS,
        "Copy": _MATMULS | _REDUCTIONS,
        "Fuse Dims": _MATMULS | _REDUCTIONS,
        "Split Dims": _MATMULS | _REDUCTIONS,
        "Static Expand Dims": _REDUCTIONS,
        "Static Reshape": _MATMULS | _REDUCTIONS,
    }
)


def family(step: str) -> str:
    """What a step computes, without layout, types and kernel: "Fully Connected"."""
    return step.split(" (", 1)[0].strip()


def stands_for(step: str) -> frozenset[str]:
    """The ops of which a step can be the computation; none for what is not known."""
    name = family(step)
    if name == "Convolution":
        kernel = step.rpartition(")")[2].strip()
        if kernel == "DWConv":
            return _ops("DEPTHWISE_CONV_2D")
        return _ops("CONV_2D") if kernel else _ops("CONV_2D", "DEPTHWISE_CONV_2D")
    if name == "Convert" and _DYNAMIC_TYPES.search(step):
        return frozenset()
    return _FAMILIES.get(name, frozenset())


def prepares(step: str) -> frozenset[str]:
    """The ops that a step can be the beginning of without being their computation."""
    name = family(step)
    if name == "Convert" and _DYNAMIC_TYPES.search(step):
        return _WEIGHTED | _MATMULS
    return _PREPARES.get(name, frozenset())


def finishes(step: str) -> frozenset[str]:
    """The ops that a step can be the end of without being their computation."""
    return _FINISHES.get(family(step), frozenset())


def is_known(step: str) -> bool:
    """Whether XNNPACK calls a step so."""
    return bool(stands_for(step) or prepares(step) or finishes(step))


def computes_in(step: str) -> frozenset[str]:
    """The element types, as a .tflite names them, that a step computes on, where it says so."""
    _, _, inside = step.partition(" (")
    for word in re.split(r"[,\s()]+", inside):
        if word in _TYPES:
            return _TYPES[word]
        if _DYNAMIC_TYPES.fullmatch(word):
            return _TYPES["F32"]
    return frozenset()
