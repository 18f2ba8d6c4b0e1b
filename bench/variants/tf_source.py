"""Loads the user's model in whichever Keras wrote it, and fixes its batch size to 1.
Imported by worker processes only.

Why batch 1: a batch of unknown size makes the converter keep shape arithmetic (SHAPE,
STRIDED_SLICE, PACK) around every reshape; the tensors behind it are dynamic, XNNPACK
leaves them and what follows to the plain kernels, and the table would show a slower
model than the one that ships.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import tensorflow as tf

from bench.errors import UserError
from bench.format import first_line


@dataclass(frozen=True, slots=True)
class Source:
    """A loaded model.

    Attributes:
        kind: "keras3", "tf_keras" or "saved_model".
        model: the Keras model or the loaded SavedModel.
        call: tensor in, tensor out, in inference mode.
        shape, dtype: of its one input, -1 where any size will do.
    """

    kind: str
    model: Any
    call: Callable[[Any], Any]
    shape: tuple[int, ...]
    dtype: str


def load_source(path: Path) -> Source:
    """Load a .keras or .h5 file of either Keras, or a SavedModel directory.

    Raises: UserError in one line if it cannot be loaded or has not exactly one input.
    """
    try:
        return _load(path)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"model {path.name}: cannot be loaded ({first_line(error)}); give a .keras or .h5 "
            "file of a model without custom code, or a SavedModel directory"
        ) from error


def keras_major(path: Path) -> int:
    """Major version of the Keras that wrote a .keras or .h5 file: 2 (tf_keras) or 3."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            version = str(json.loads(archive.read("metadata.json"))["keras_version"])
    else:
        with h5py.File(path, "r") as file:
            raw = file.attrs.get("keras_version")
            if raw is None:
                raise UserError(
                    f"model {path.name}: holds no whole model, perhaps weights only; save it "
                    "with model.save"
                )
            version = raw.decode("ascii") if isinstance(raw, bytes) else str(raw)
    return int(version.split(".", maxsplit=1)[0])


def save_fixed(source: Source, folder: Path) -> None:
    """Write a SavedModel whose only signature takes a batch of one."""
    spec = tf.TensorSpec((1, *(None if n < 0 else n for n in source.shape[1:])), source.dtype)
    if source.kind == "keras3":
        # Keras 3 variables are not tracked by a tf.Module; its own export knows them.
        source.model.export(str(folder), input_signature=[spec], verbose=False)
        return
    module = tf.Module()
    # Variables are saved only if something of the module tracks them.
    module.model = source.model
    module.serve = tf.function(lambda x: {"output_0": source.call(x)}, input_signature=[spec])
    signature = module.serve.get_concrete_function()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": signature})


def keras_source(kind: str, model: Any, name: str) -> Source:
    """Wrap a Keras model of either kind. Raises: UserError unless it has one input."""
    if len(model.inputs) != 1:
        raise UserError(
            f"model {name}: has {len(model.inputs)} inputs; only models with one input can be "
            "converted here, give finished .tflite `files` instead"
        )
    tensor = model.inputs[0]
    dtype = tensor.dtype if isinstance(tensor.dtype, str) else tensor.dtype.name
    return Source(kind, model, lambda x: model(x, training=False), _shape(tensor.shape), dtype)


def _load(path: Path) -> Source:
    if path.is_dir():
        if (path / "keras_metadata.pb").exists():
            import tf_keras

            return keras_source(
                "tf_keras", tf_keras.models.load_model(path, compile=False), path.name
            )
        return _load_saved_model(path)
    if keras_major(path) >= 3:
        import keras

        return keras_source("keras3", keras.models.load_model(path, compile=False), path.name)
    import tf_keras

    return keras_source("tf_keras", tf_keras.models.load_model(path, compile=False), path.name)


def _load_saved_model(path: Path) -> Source:
    loaded = tf.saved_model.load(str(path))
    signatures = dict(loaded.signatures)
    if "serving_default" in signatures:
        key = "serving_default"
    elif len(signatures) == 1:
        key = next(iter(signatures))
    else:
        raise UserError(
            f"model {path.name}: needs a signature `serving_default`, it has "
            f"{', '.join(sorted(signatures)) or 'none'}; export it with model.export"
        )
    function = signatures[key]
    inputs = function.structured_input_signature[1]
    if len(inputs) != 1 or len(function.structured_outputs) != 1:
        raise UserError(
            f"model {path.name}: signature `{key}` has {len(inputs)} inputs and "
            f"{len(function.structured_outputs)} outputs; only one of each can be converted "
            "here, give finished .tflite `files` instead"
        )
    ((name, spec),) = inputs.items()
    (output,) = function.structured_outputs
    return Source(
        "saved_model",
        loaded,
        lambda x: function(**{name: x})[output],
        _shape(spec.shape),
        spec.dtype.name,
    )


def _shape(shape: Any) -> tuple[int, ...]:
    return tuple(-1 if n is None else int(n) for n in shape)
