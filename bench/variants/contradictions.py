"""Whether a .tflite is the variant that it claims to be, judged by what it holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.delegation.nodes import EDGETPU_OP
from bench.tflite.facts import ModelFacts, TensorFacts
from bench.tflite.graph import FLOATS
from bench.tflite.variables import unassigned_text
from bench.variants.recipe import RECIPES, Recipe

# What a model holds instead of float32 weights if it is no plain float model.
_COMPRESSED = frozenset({"INT4", "INT2", "INT8", "UINT8", "FLOAT16", "BFLOAT16"})

# The ops whose arithmetic a recipe is about. Others, such as a GATHER of quantised
# embeddings, may handle integers in a float model too.
_WEIGHTED = frozenset(
    {
        "BATCH_MATMUL",
        "CONV_2D",
        "CONV_3D",
        "DEPTHWISE_CONV_2D",
        "FULLY_CONNECTED",
        "TRANSPOSE_CONV",
    }
)


def contradictions(variant: str, facts: ModelFacts) -> tuple[str, ...]:
    """Why a model is not the variant it claims to be, one sentence each; () if it is.

    Catches what converters do silently: an int8 model that came out float, ops that
    stayed float, weights that were not quantised, ops that no runtime here executes,
    variables without a value.
    """
    recipe = RECIPES[variant]
    found = []
    if recipe.compiled:
        # What it computes is inside the op, and the borders are those of what was compiled.
        if EDGETPU_OP not in facts.custom_ops:
            found.append(f"holds no {EDGETPU_OP}: it is not compiled for the Edge TPU")
        return tuple(found)
    if EDGETPU_OP in facts.custom_ops:
        found.append("is compiled for the Edge TPU, and runs nowhere else")
    if facts.flex_ops and not recipe.flex:
        found.append(f"needs TensorFlow ops, which this runtime lacks: {_list(facts.flex_ops)}")
    if facts.unassigned:
        found.append(unassigned_text(facts.unassigned))
    found += _wrong_borders(recipe, facts)
    if recipe.integer_only:
        found += _not_integer(recipe, facts)
    else:
        found += _not_float(recipe, facts)
    return tuple(found)


def _wrong_borders(recipe: Recipe, facts: ModelFacts) -> list[str]:
    found = []
    for kind, tensors in (("input", facts.inputs), ("output", facts.outputs)):
        wrong = {t.dtype for t in tensors if _decided(t)} - {recipe.io_dtype}
        if wrong:
            found.append(f"{kind} is {_list(sorted(wrong))}, not {recipe.io_dtype}")
    return found


def _decided(tensor: TensorFacts) -> bool:
    """Token ids, masks and bytes that stand for themselves are no recipe's business."""
    return tensor.dtype in FLOATS or tensor.scale is not None


def _not_integer(recipe: Recipe, facts: ModelFacts) -> list[str]:
    found = []
    if facts.float_ops:
        found.append(f"came out float: {_counts(facts.float_ops)}")
    if recipe.weights_dtype not in facts.constant_bytes:
        found.append(f"holds no {recipe.weights_dtype.lower()} weights")
    activations = _ACTIVATIONS.get(recipe.variant, "INT8")
    # A model whose ops came out float has said so already.
    if activations not in facts.activations and not facts.float_ops:
        held = _list(facts.activations) or "not quantised"
        found.append(f"activations are {held}, not {activations}")
    return found


# The recipes name the type of weights and borders; this is what flows between them.
_ACTIVATIONS: Mapping[str, str] = {"int16x8": "INT16"}


def _not_float(recipe: Recipe, facts: ModelFacts) -> list[str]:
    found = []
    if integer := {n: c for n, c in facts.integer_ops.items() if n in _WEIGHTED}:
        found.append(f"computes in integers: {_counts(integer)}")
    held = set(facts.constant_bytes)
    if recipe.weights_dtype == "FLOAT32":
        if strange := sorted(held & _COMPRESSED):
            found.append(f"holds {_list(strange)} weights")
        return found
    if recipe.weights_dtype not in held:
        small = recipe.variant == "dynamic"
        why = " (the converter leaves tensors below 1024 elements)" if small else ""
        found.append(f"holds no {recipe.weights_dtype.lower()} weights{why}")
    elif recipe.variant == "weight-int8" and "INT8" not in facts.dequantised_bytes:
        found.append("no int8 weights are made float before use: that is dynamic, not weight-int8")
    elif recipe.variant == "dynamic" and _all_dequantised(facts, "INT8"):
        found.append("all int8 weights are made float before use: that is weight-int8, not dynamic")
    return found


def _all_dequantised(facts: ModelFacts, dtype: str) -> bool:
    return facts.dequantised_bytes.get(dtype, 0) >= facts.constant_bytes[dtype]


def _counts(ops: Mapping[str, int]) -> str:
    return _list(f"{name} x{count}" for name, count in sorted(ops.items()))


def _list(words: Iterable[str]) -> str:
    return ", ".join(words)
