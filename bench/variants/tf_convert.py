"""Converts a SavedModel with a fixed batch to one .tflite per recipe. Imported by
worker processes only.

The recipes are those of the TensorFlow Lite converter's documentation
(post-training quantization); only built-in ops are allowed, since no runtime
without TensorFlow executes the others.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bench.format import first_line_of


class CannotConvert(Exception):
    """The converter refused; the message is one line."""


def convert(
    saved_model: Path, variant: str, calibration: NDArray[Any] | None
) -> tuple[bytes, tuple[str, ...]]:
    """Make one variant; returns its bytes and the converter's warnings.

    Args:
        saved_model: with the one signature `serving_default`, batch of one.
        variant: fp32, fp16, dynamic, int8, or int8-qat of a model with fake quantisation.
        calibration: (N, ...) representative samples, for int8 only.

    Raises: CannotConvert with what the converter said.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(saved_model), signature_keys=["serving_default"]
    )
    if variant != "fp32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if variant == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    if variant == "int8":
        # Without samples the converter silently returns the fp32 model.
        if calibration is None or len(calibration) == 0:
            raise CannotConvert("int8 without calibration samples")
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: _one_by_one(calibration)
    if variant in ("int8", "int8-qat"):
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            data = converter.convert()
        except Exception as error:
            raise CannotConvert(_explain(error)) from error
    said = dict.fromkeys(_first_line(warning.message) for warning in caught)
    return bytes(data), tuple(said)


def _one_by_one(x: NDArray[Any]) -> Iterator[list[NDArray[Any]]]:
    for index in range(len(x)):
        yield [np.ascontiguousarray(x[index : index + 1])]


def _explain(error: Exception) -> str:
    """One line; names the ops that have no TFLite kernel, which the text buries."""
    ops = sorted(
        {
            entry.operator.name
            for entry in getattr(error, "errors", ())
            if entry.HasField("operator") and entry.operator.name
        }
    )
    if ops:
        return f"these ops have no TFLite kernel: {', '.join(ops)}"
    return f"{type(error).__name__}: {_first_line(error)}"


def _first_line(said: object) -> str:
    return first_line_of(str(said), otherwise="no message")
