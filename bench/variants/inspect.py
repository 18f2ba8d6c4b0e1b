"""What is in a .tflite, read without TensorFlow and without running it, and whether it
is the variant that it claims to be."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from bench.errors import UnreadableOutput
from bench.variants.recipe import RECIPES

_FLOATS = frozenset({"FLOAT16", "FLOAT32", "FLOAT64", "BFLOAT16"})
# They convert between float and integer, and compute nothing.
_CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE"})


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """An input or output.

    Attributes:
        dtype: name in the TFLite schema, "FLOAT32", "INT8", ...
        shape: as the runtime allocates it; (1, ...) where the signature has -1.
        signature: shape with -1 where it may be resized; equals shape if fixed.
        scale, zero_point: of per-tensor quantisation, real = (q - zero_point) * scale;
            None if not quantised.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    scale: float | None
    zero_point: int | None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Content of one .tflite, over all its subgraphs.

    Attributes:
        ops: op name -> number of nodes; custom ops under their own name.
        float_ops: those of them that take or give float tensors, conversions between
            float and integer left out.
        flex_ops: TensorFlow ops that this runtime cannot execute.
        custom_ops: other ops that are not builtins.
        constant_bytes: element type -> bytes of constant tensors.
        inputs, outputs: of the main subgraph.
    """

    ops: Mapping[str, int]
    float_ops: Mapping[str, int]
    flex_ops: tuple[str, ...]
    custom_ops: tuple[str, ...]
    constant_bytes: Mapping[str, int]
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "ops": dict(self.ops),
            "float_ops": dict(self.float_ops),
            "flex_ops": list(self.flex_ops),
            "custom_ops": list(self.custom_ops),
            "constant_bytes": dict(self.constant_bytes),
            "inputs": [_tensor_json(tensor) for tensor in self.inputs],
            "outputs": [_tensor_json(tensor) for tensor in self.outputs],
        }


def read_model(data: bytes) -> ModelFacts:
    """Read a flatbuffer in the TFLite schema (file identifier TFL3).

    Raises: UnreadableOutput if it is not one, is cut short or has no ops.
    """
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise UnreadableOutput("not a .tflite file: the identifier TFL3 is missing")
    try:
        facts = _read(data)
    except (struct.error, IndexError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise UnreadableOutput(f"a damaged .tflite file ({error})") from error
    if not facts.ops:
        raise UnreadableOutput("a .tflite file without any op")
    return facts


def contradictions(variant: str, facts: ModelFacts) -> tuple[str, ...]:
    """Why a model is not the variant it claims to be, one sentence each; () if it is.

    Catches what converters do silently: an int8 model that came out float, ops that
    stayed float, weights that were not quantised, ops that no runtime here executes.
    """
    recipe = RECIPES[variant]
    found = []
    if facts.flex_ops:
        found.append(f"needs TensorFlow ops, which this runtime lacks: {_list(facts.flex_ops)}")
    for kind, tensors in (("input", facts.inputs), ("output", facts.outputs)):
        wrong = sorted({t.dtype for t in tensors} - {recipe.io_dtype})
        # Token ids and other integer inputs are no sign of a wrong recipe.
        if recipe.io_dtype == "FLOAT32":
            wrong = [dtype for dtype in wrong if dtype in ("INT8", "UINT8", "INT16", "FLOAT16")]
        if wrong:
            found.append(f"{kind} is {_list(wrong)}, not {recipe.io_dtype}")
    held = {dtype for dtype, count in facts.constant_bytes.items() if count}
    if recipe.io_dtype == "INT8":
        if facts.float_ops:
            ops = _list(f"{name} x{count}" for name, count in sorted(facts.float_ops.items()))
            found.append(f"came out float: {ops}")
        if "INT8" not in held:
            found.append("holds no int8 weights")
    elif variant == "fp32":
        if strange := sorted(held & {"INT8", "UINT8", "FLOAT16", "INT4"}):
            found.append(f"holds {_list(strange)} weights")
    elif variant == "fp16" and "FLOAT16" not in held:
        found.append("holds no float16 weights")
    elif variant == "dynamic" and "INT8" not in held:
        found.append("holds no int8 weights (the converter leaves tensors below 1024 elements)")
    return tuple(found)


def _read(data: bytes) -> ModelFacts:
    model = schema.Model.GetRootAs(data, 0)
    ops: Counter[str] = Counter()
    float_ops: Counter[str] = Counter()
    constants: Counter[str] = Counter()
    flex: set[str] = set()
    custom: set[str] = set()
    for s in range(model.SubgraphsLength()):
        graph = model.Subgraphs(s)
        for i in range(graph.TensorsLength()):
            tensor = graph.Tensors(i)
            length = model.Buffers(tensor.Buffer()).DataLength()
            if length:
                constants[_TENSOR_TYPES[tensor.Type()]] += length
        for i in range(graph.OperatorsLength()):
            op = graph.Operators(i)
            name, is_custom = _op_name(model.OperatorCodes(op.OpcodeIndex()))
            ops[name] += 1
            if is_custom:
                (flex if name.startswith("Flex") else custom).add(name)
            ends = [op.Inputs(k) for k in range(op.InputsLength())]
            ends += [op.Outputs(k) for k in range(op.OutputsLength())]
            types = {_TENSOR_TYPES[graph.Tensors(k).Type()] for k in ends if k >= 0}
            if types & _FLOATS and name not in _CONVERSIONS:
                float_ops[name] += 1
    main = model.Subgraphs(0)
    return ModelFacts(
        ops=MappingProxyType(dict(sorted(ops.items()))),
        float_ops=MappingProxyType(dict(sorted(float_ops.items()))),
        flex_ops=tuple(sorted(flex)),
        custom_ops=tuple(sorted(custom)),
        constant_bytes=MappingProxyType(dict(sorted(constants.items()))),
        inputs=tuple(_tensor(main.Tensors(main.Inputs(k))) for k in range(main.InputsLength())),
        outputs=tuple(_tensor(main.Tensors(main.Outputs(k))) for k in range(main.OutputsLength())),
    )


def _op_name(code: Any) -> tuple[str, bool]:
    # Ops above 127 do not fit the deprecated byte; old files have only that byte.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    name = _OPS[number]
    if name != "CUSTOM":
        return name, False
    custom = code.CustomCode()
    return (custom.decode("utf-8", "replace") if custom else "CUSTOM"), True


def _tensor(tensor: Any) -> TensorFacts:
    shape = tuple(int(tensor.Shape(k)) for k in range(tensor.ShapeLength()))
    signature = tuple(int(tensor.ShapeSignature(k)) for k in range(tensor.ShapeSignatureLength()))
    q = tensor.Quantization()
    quantised = q is not None and q.ScaleLength() == 1
    name = tensor.Name()
    return TensorFacts(
        name=name.decode("utf-8", "replace") if name else "",
        dtype=_TENSOR_TYPES[tensor.Type()],
        shape=shape,
        signature=signature or shape,
        scale=float(q.Scale(0)) if quantised else None,
        zero_point=(int(q.ZeroPoint(0)) if q.ZeroPointLength() else 0) if quantised else None,
    )


def _tensor_json(tensor: TensorFacts) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "signature": list(tensor.signature),
        "scale": tensor.scale,
        "zero_point": tensor.zero_point,
    }


def _names(enum: type) -> dict[int, str]:
    return {v: k for k, v in vars(enum).items() if isinstance(v, int) and not k.startswith("_")}


_TENSOR_TYPES = _names(schema.TensorType)
_OPS = _names(schema.BuiltinOperator)


def _list(words: Any) -> str:
    return ", ".join(words)
