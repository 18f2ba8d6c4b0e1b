"""Recipes of ai-edge-quantizer, one for each variant that it makes. Imported by worker
processes only."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from bench.tflite.graph import TfliteModel
from bench.variants.tflite_source import CANNOT_MAKE

SELECTIVE = "int8-selective"
CALIBRATED = ("int8", "int8-float-io", "int16x8", SELECTIVE)
# Inputs and outputs stay float in these; in the other calibrated ones they are quantised.
_FLOAT_IO = ("int8-float-io", "int16x8")

Recipe = list[dict[str, Any]]


class CannotQuantise(Exception):
    """The quantizer refused, or gave no model; the message is one line."""


def recipe_of(variant: str) -> Recipe:
    """The quantizer's steps for a variant, or for "int8-selective".

    Raises: CannotQuantise if no .tflite gives it.
    """
    from ai_edge_quantizer import recipe

    recipes: Mapping[str, Callable[[], Recipe]] = {
        "fp16": _fp16,
        # The one of the TensorFlow Lite converter: weights below 1024 elements stay float.
        "dynamic": recipe.dynamic_legacy_wi8_afp32,
        "dynamic-int4": recipe.dynamic_wi4_afp32,
        "weight-int8": recipe.weight_only_wi8_afp32,
        "int8": recipe.static_wi8_ai8,
        SELECTIVE: recipe.static_wi8_ai8,
        "int8-float-io": recipe.static_wi8_ai8,
        "int16x8": recipe.static_wi8_ai16,
    }
    if variant not in recipes:
        raise CannotQuantise(CANNOT_MAKE.get(variant, f"no recipe for {variant}"))
    steps = list(recipes[variant]())
    if variant in _FLOAT_IO:
        steps += [_no_quantize(".*", "INPUT"), _no_quantize(".*", "OUTPUT")]
    return steps


def _fp16() -> Recipe:
    weights = {"num_bits": 16, "dtype": "FLOAT", "symmetric": True, "granularity": "TENSORWISE"}
    return [
        {
            "regex": ".*",
            "operation": "*",
            "algorithm_key": "float_casting",
            "op_config": {
                "weight_tensor_config": weights,
                "compute_precision": "FLOAT",
                "explicit_dequantize": True,
            },
        }
    ]


def keep_float(model: TfliteModel, name: str) -> Recipe:
    """The step that leaves the op with this output in float, and no other.

    Steps match an op by its kind and by a regular expression over the names of all its
    outputs, each followed by a semicolon. Without the kind it would match the model's own
    output too, where this op gives it.

    Raises: CannotQuantise if no op has this output.
    """
    from ai_edge_quantizer.qtyping import TFLOperationName

    kinds = {kind.value for kind in TFLOperationName}
    for graph in model.graphs:
        for op in graph.ops:
            names = [graph.tensors[index].name for index in op.outputs if index >= 0]
            if name in names:
                kind = "CONV_2D_TRANSPOSE" if op.name == "TRANSPOSE_CONV" else op.name
                if kind not in kinds:
                    return []  # The quantizer leaves what it does not know in float anyway.
                scope = re.escape("".join(f"{n};" for n in names if n))
                return [_no_quantize(f"^{scope}$", kind)]
    raise CannotQuantise(f"no op of the model gives a tensor {name!r}")


def _no_quantize(regex: str, kind: str) -> dict[str, Any]:
    return {"regex": regex, "operation": kind, "algorithm_key": "no_quantize", "op_config": {}}
