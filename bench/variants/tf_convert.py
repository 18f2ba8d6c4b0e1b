"""Converts a SavedModel with a fixed batch to one .tflite per recipe. Imported by
worker processes only.

The recipes are those of the TensorFlow Lite converter's documentation
(post-training quantization). Only built-in ops are allowed, but by select-tf-ops, since
no runtime without TensorFlow executes the others.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.protobuf import saved_model_pb2

from bench.format import first_line_of
from bench.tflite.graph import parse_model
from bench.variants.recipe import RECIPES
from bench.variants.tf_errors import CannotConvert, explain, loops

_SETS = tf.lite.OpsSet
_INTEGER_OPS = {
    "int8": _SETS.TFLITE_BUILTINS_INT8,
    "int8-uint8-io": _SETS.TFLITE_BUILTINS_INT8,
    "int8-float-io": _SETS.TFLITE_BUILTINS_INT8,
    "int16x8": _SETS.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
}
_BORDERS = {"INT8": tf.int8, "UINT8": tf.uint8}
_WHILE = frozenset({"While", "StatelessWhile"})


def convert(
    saved_model: Path,
    variant: str,
    calibration: NDArray[Any] | None,
    *,
    batch: int = 1,
    layers: Sequence[str] = (),
) -> tuple[bytes, tuple[str, ...]]:
    """Make one variant; returns its bytes and the converter's warnings.

    Args:
        saved_model: with the one signature `serving_default` and a fixed batch.
        variant: of those that TensorFlow's converter makes; int8-qat takes a model with
            fake quantisation.
        calibration: (N, ...) representative samples, N a multiple of batch; for variants
            that need them.
        layers: names of the model's layers, for messages.

    Raises: CannotConvert with what stands in the way.
    """
    recipe = RECIPES[variant]
    converter = _converter(saved_model)
    if recipe.flex:
        converter.target_spec.supported_ops = [_SETS.TFLITE_BUILTINS, _SETS.SELECT_TF_OPS]
    elif variant != "fp32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if variant == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    if recipe.needs_calibration:
        # Without samples, or with NaN only, the converter silently returns the fp32 model.
        if calibration is None or len(calibration) < batch or not np.isfinite(calibration).all():
            raise CannotConvert(f"{variant} without finite calibration samples")
        if nodes := _loops(saved_model):
            raise loops(nodes, variant, layers)
        converter.target_spec.supported_ops = [_INTEGER_OPS[variant]]
        converter.representative_dataset = lambda: _batches(calibration, batch)
    if recipe.integer_only and recipe.io_dtype in _BORDERS:
        converter.inference_input_type = _BORDERS[recipe.io_dtype]
        converter.inference_output_type = _BORDERS[recipe.io_dtype]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            data = converter.convert()
        except Exception as error:
            raise explain(error, variant, layers) from error
    said = dict.fromkeys(
        first_line_of(str(warning.message), otherwise="no message") for warning in caught
    )
    return bytes(data), tuple(said)


def _converter(saved_model: Path) -> Any:
    return tf.lite.TFLiteConverter.from_saved_model(
        str(saved_model), signature_keys=["serving_default"]
    )


def _batches(x: NDArray[Any], batch: int) -> Iterator[list[NDArray[Any]]]:
    for start in range(0, len(x), batch):
        yield [np.ascontiguousarray(x[start : start + batch])]


def _loops(saved_model: Path) -> tuple[str, ...]:
    """Names of the While nodes, if any of them becomes a loop of the .tflite.

    Calibrating one ends the process by a segmentation fault (TensorFlow 2.21); an LSTM of
    tf_keras has one too, but becomes a single op.
    """
    nodes = _while_nodes(saved_model)
    if not nodes:
        return ()
    try:
        data = _converter(saved_model).convert()
    except Exception as error:
        # The conversion that follows fails likewise, before it calibrates, and is explained.
        del error
        return ()
    held = {op.name for graph in parse_model(bytes(data)).graphs for op in graph.ops}
    return nodes if "WHILE" in held else ()


def _while_nodes(saved_model: Path) -> tuple[str, ...]:
    model = saved_model_pb2.SavedModel()
    model.ParseFromString((saved_model / "saved_model.pb").read_bytes())
    functions = [
        function for meta in model.meta_graphs for function in meta.graph_def.library.function
    ]
    return tuple(
        dict.fromkeys(
            node.name for function in functions for node in function.node_def if node.op in _WHILE
        )
    )
