"""What each variant is, and what has to be there before it can be made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bench.metrics import Labels

# Part of every cache key: raise it whenever a recipe gives other bytes than before.
RECIPE_VERSION = 1

# What int8-edgetpu is compiled of.
EDGETPU: Final = "int8-edgetpu"
EDGETPU_OF: Final = "int8"

# The accuracy of a calibrated model does not grow beyond a few hundred samples.
MAX_CALIBRATION_SAMPLES = 500


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one variant is made.

    Attributes:
        variant: its name.
        summary: one line for people.
        io_dtype: element type of inputs and outputs of the .tflite.
        weights_dtype: element type that at least some constants must have.
        integer_only: nothing but conversions at the borders may compute in float.
        needs_calibration: made with representative samples.
        needs_training: made by quantization-aware training.
        by_quantizer: made by ai-edge-quantizer from the fp32 .tflite, whatever the source;
            the others are too where the source itself is a .tflite.
        flex: TensorFlow ops are allowed in it, which no runtime without TensorFlow
            executes; where it has any, it is neither evaluated nor measured.
        compiled: for the Edge TPU, whose delegate alone runs it: nothing on this machine can
            answer for it.
    """

    variant: str
    summary: str
    io_dtype: str
    weights_dtype: str
    integer_only: bool = False
    needs_calibration: bool = False
    needs_training: bool = False
    by_quantizer: bool = False
    flex: bool = False
    compiled: bool = False

    @property
    def by_name_only(self) -> bool:
        """Made only where it is asked for by its name."""
        return self.flex or self.compiled


RECIPES = {
    recipe.variant: recipe
    for recipe in (
        Recipe("fp32", "float weights and arithmetic, nothing quantised", "FLOAT32", "FLOAT32"),
        Recipe("fp16", "float16 weights, float arithmetic", "FLOAT32", "FLOAT16"),
        Recipe("dynamic", "int8 weights, activations quantised while it runs", "FLOAT32", "INT8"),
        Recipe(
            "dynamic-int4",
            "int4 weights, activations quantised while it runs",
            "FLOAT32",
            "INT4",
            by_quantizer=True,
        ),
        Recipe(
            "weight-int8",
            "int8 weights, made float again before each op; float arithmetic",
            "FLOAT32",
            "INT8",
            by_quantizer=True,
        ),
        Recipe(
            "int8",
            "int8 weights, activations, inputs and outputs, calibrated",
            "INT8",
            "INT8",
            integer_only=True,
            needs_calibration=True,
        ),
        Recipe(
            "int8-uint8-io",
            "int8 weights and activations, uint8 inputs and outputs, calibrated",
            "UINT8",
            "INT8",
            integer_only=True,
            needs_calibration=True,
        ),
        Recipe(
            "int8-float-io",
            "int8 weights and activations, float inputs and outputs, calibrated",
            "FLOAT32",
            "INT8",
            integer_only=True,
            needs_calibration=True,
        ),
        Recipe(
            "int8-qat",
            "int8 throughout, after quantization-aware training",
            "INT8",
            "INT8",
            integer_only=True,
            needs_training=True,
        ),
        Recipe(
            "int16x8",
            "int8 weights, int16 activations, float inputs and outputs, calibrated",
            "FLOAT32",
            "INT8",
            integer_only=True,
            needs_calibration=True,
        ),
        Recipe(
            "int8-edgetpu",
            "int8, compiled for the Coral Edge TPU",
            "INT8",
            "INT8",
            needs_calibration=True,
            compiled=True,
        ),
        Recipe(
            "select-tf-ops",
            "float, with TensorFlow ops where no TFLite kernel exists",
            "FLOAT32",
            "FLOAT32",
            flex=True,
        ),
    )
}


def training_labels(loss: str) -> Labels:
    """What a Keras loss takes as `y`: class indices, or numbers in the output's shape."""
    return "classes" if loss.startswith("sparse_") else "values"
