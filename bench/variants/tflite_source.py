"""Checks an existing .tflite that variants are to be made of, and says what cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.errors import UnreadableOutput, UserError
from bench.tflite.graph import Tensor, TfliteModel, parse_model

# variant -> why no .tflite gives it, and what does.
CANNOT_MAKE: Mapping[str, str] = {
    "int8-uint8-io": "ai-edge-quantizer gives int8 or float inputs and outputs, never uint8; "
    "give the Keras model or SavedModel as `source`, or take int8",
    "int8-qat": "training needs layers, and in a .tflite they are gone; give the .keras file "
    "as `source`",
    "select-tf-ops": "ops are chosen while a model is converted, and a .tflite is converted "
    "already; give the Keras model or SavedModel as `source`",
}


def is_tflite(source: str | Path) -> bool:
    """Whether a source is named as a .tflite."""
    return Path(source).suffix.lower() == ".tflite"


def parse_float(data: bytes, name: str) -> TfliteModel:
    """Parse a .tflite and make sure that nothing in it is quantised yet.

    Args:
        name: of the file, for messages.

    Raises: UserError if it is no whole .tflite, or is quantised already.
    """
    try:
        model = parse_model(data)
    except UnreadableOutput as error:
        raise UserError(f"source {name}: {error}; give a whole .tflite") from error
    quantised = [t for graph in model.graphs for t in graph.tensors if _is_quantised(t)]
    if quantised:
        kinds = ", ".join(sorted({tensor.dtype for tensor in quantised}))
        raise UserError(
            f"source {name}: is quantised already ({len(quantised)} tensors of type {kinds}); "
            "variants are made of the float model: give the fp32 .tflite, or name this file "
            "under `files`"
        )
    return model


def input_of(model: TfliteModel, name: str) -> Tensor:
    """The one input, which calibration samples and the holdout serve.

    Raises: UserError if there are several.
    """
    graph = model.graphs[0]
    if len(graph.inputs) != 1:
        raise UserError(
            f"source {name}: has {len(graph.inputs)} inputs; samples serve models with one, "
            "give finished .tflite `files` instead"
        )
    return graph.tensors[graph.inputs[0]]


def _is_quantised(tensor: Tensor) -> bool:
    # A float16 constant is an fp16 variant's weight; nothing that is computed has that type.
    return tensor.quantization is not None or tensor.dtype == "FLOAT16"
