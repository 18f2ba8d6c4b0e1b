"""What each variant is, and what has to be there before it can be made."""

from __future__ import annotations

from dataclasses import dataclass

# Part of every cache key: raise it whenever a recipe gives other bytes than before.
RECIPE_VERSION = 1

# The accuracy of a calibrated model does not grow beyond a few hundred samples.
MAX_CALIBRATION_SAMPLES = 500


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one variant is made.

    Attributes:
        variant: its name.
        summary: one line for people.
        io_dtype: element type of inputs and outputs of the .tflite.
        needs_calibration: made with representative samples.
        needs_training: made by quantization-aware training.
    """

    variant: str
    summary: str
    io_dtype: str
    needs_calibration: bool = False
    needs_training: bool = False


RECIPES = {
    recipe.variant: recipe
    for recipe in (
        Recipe("fp32", "float weights and arithmetic, nothing quantised", "FLOAT32"),
        Recipe("fp16", "float16 weights, float arithmetic", "FLOAT32"),
        Recipe("dynamic", "int8 weights, activations quantised while it runs", "FLOAT32"),
        Recipe(
            "int8",
            "int8 weights, activations, inputs and outputs, calibrated",
            "INT8",
            needs_calibration=True,
        ),
        Recipe(
            "int8-qat",
            "int8 throughout, after quantization-aware training",
            "INT8",
            needs_training=True,
        ),
    )
}
