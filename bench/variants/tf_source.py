"""Loads the user's model in whichever Keras wrote it, and fixes its batch size. Imported
by worker processes only.

A batch that the model fixes itself stays, any other becomes 1. Why: a batch of unknown
size makes the converter keep shape arithmetic (SHAPE, STRIDED_SLICE, PACK) around every
reshape; the tensors behind it are dynamic, XNNPACK leaves them and what follows to the
plain kernels, and the table would show a slower model than the one that ships. A loop
(LSTM, GRU) cannot be converted without it at all.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from bench.errors import UserError
from bench.format import first_line
from bench.variants.source import check_no_code, custom_classes, keras_major
from bench.variants.tf_errors import CannotConvert

_FILES = "give finished .tflite `files` instead"


@dataclass(frozen=True, slots=True)
class Source:
    """A loaded model.

    Attributes:
        kind: "keras3", "tf_keras" or "saved_model".
        model: the Keras model or the loaded SavedModel.
        call: tensor in, name -> tensor out, in inference mode.
        shape, dtype: of its one input, -1 where any size will do.
        signature: of a SavedModel, the one that was taken.
        layers: names of a Keras model's layers, those of nested models too.
    """

    kind: str
    model: Any
    call: Callable[[Any], dict[str, Any]]
    shape: tuple[int, ...]
    dtype: str
    signature: str | None = None
    layers: tuple[str, ...] = ()

    @property
    def batch(self) -> int:
        """What every variant takes at once."""
        return self.shape[0] if self.shape[0] > 0 else 1


def load_source(path: Path, signature: str | None = None) -> Source:
    """Load a .keras or .h5 file of either Keras, or a SavedModel directory.

    Args:
        signature: of a SavedModel, by name; None takes `serving_default`, or the only one.

    Raises: UserError in one line if it cannot be loaded or has not exactly one input.
    """
    try:
        return _load(path, signature)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"model {path.name}: {_why_not(path, error)}") from error


def save_fixed(source: Source, folder: Path) -> None:
    """Write a SavedModel whose only signature takes a batch of the one fixed size.

    Raises: CannotConvert if the model does not take that size, or cannot be saved.
    """
    sizes = (source.batch, *(None if n < 0 else n for n in source.shape[1:]))
    spec = tf.TensorSpec(sizes, source.dtype)
    try:
        _save(source, spec, folder)
    except Exception as error:
        raise CannotConvert(
            f"cannot be exported for a batch of {source.batch} ({first_line(error)}); export a "
            "SavedModel from a function whose input_signature fixes every dimension"
        ) from error


def _save(source: Source, spec: Any, folder: Path) -> None:
    if source.kind == "keras3":
        # Keras 3 variables are not tracked by a tf.Module; its own export knows them.
        source.model.export(str(folder), input_signature=[spec], verbose=False)
        return
    module = tf.Module()
    # Variables are saved only if something of the module tracks them.
    module.model = source.model
    module.serve = tf.function(source.call, input_signature=[spec])
    signature = module.serve.get_concrete_function()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": signature})


def keras_source(kind: str, model: Any, name: str) -> Source:
    """Wrap a Keras model of either kind. Raises: UserError unless it has one input."""
    if not getattr(model, "inputs", None):
        raise UserError(
            f"model {name}: its inputs have no fixed shape; call it once on an input of the "
            "right shape before model.save, or export a SavedModel"
        )
    if len(model.inputs) != 1:
        raise UserError(
            f"model {name}: has {len(model.inputs)} inputs; only models with one input can be "
            f"converted here, {_FILES}"
        )
    (tensor,) = model.inputs
    dtype = tensor.dtype if isinstance(tensor.dtype, str) else tensor.dtype.name

    def call(x: Any) -> dict[str, Any]:
        outputs = tf.nest.flatten(model(x, training=False))
        return {f"output_{index}": output for index, output in enumerate(outputs)}

    return Source(
        kind,
        model,
        call,
        _shape(tensor.shape, name),
        _number(dtype, name),
        layers=tuple(dict.fromkeys(_layer_names(model))),
    )


def _load(path: Path, signature: str | None) -> Source:
    if path.is_dir():
        metadata = path / "keras_metadata.pb"
        # Loaded as a Keras model, the code of a Lambda layer in it would be run.
        code = metadata.exists() and b'"class_name": "Lambda"' in metadata.read_bytes()
        if metadata.exists() and signature is None and not code:
            import tf_keras

            loaded = tf_keras.models.load_model(path, compile=False)
            if hasattr(loaded, "get_config") and getattr(loaded, "inputs", None):
                return keras_source("tf_keras", loaded, path.name)
        return _load_saved_model(path, signature)
    if signature is not None:
        raise UserError(
            f"model {path.name}: a Keras file has no signatures, only a SavedModel has; leave "
            f"the signature `{signature}` out"
        )
    check_no_code(path)
    if keras_major(path) >= 3:
        import keras

        return keras_source("keras3", keras.models.load_model(path, compile=False), path.name)
    import tf_keras

    return keras_source("tf_keras", tf_keras.models.load_model(path, compile=False), path.name)


def _why_not(path: Path, error: Exception) -> str:
    if path.is_dir():
        return (
            f"cannot be loaded ({first_line(error)}); export it again with model.export or "
            "tf.saved_model.save"
        )
    if isinstance(error, zipfile.BadZipFile | KeyError | json.JSONDecodeError):
        return "not a whole Keras file; write it with model.save"
    if custom := custom_classes(path):
        return (
            f"is made of code that the file does not hold ({', '.join(custom)}); export it as a "
            "SavedModel with model.export, which holds that too"
        )
    return (
        f"cannot be loaded ({first_line(error)}); give a .keras or .h5 file of a model without "
        "custom code, or a SavedModel directory"
    )


def _load_saved_model(path: Path, signature: str | None) -> Source:
    loaded = tf.saved_model.load(str(path))
    signatures = dict(loaded.signatures)
    key = _signature_key(tuple(sorted(signatures)), signature, path.name)
    function = signatures[key]
    inputs = function.structured_input_signature[1]
    if len(inputs) != 1:
        raise UserError(
            f"model {path.name}: signature `{key}` has {len(inputs)} inputs; only models with "
            f"one input can be converted here, {_FILES}"
        )
    ((name, spec),) = inputs.items()
    return Source(
        "saved_model",
        loaded,
        lambda x: dict(function(**{name: x})),
        _shape(spec.shape, path.name),
        _number(spec.dtype.name, path.name),
        signature=key,
    )


def _signature_key(keys: tuple[str, ...], wanted: str | None, name: str) -> str:
    if not keys:
        raise UserError(
            f"model {name}: a SavedModel without any signature; export it with model.export, or "
            "with tf.saved_model.save(..., signatures=...)"
        )
    held = ", ".join(f"`{key}`" for key in keys)
    if wanted is not None:
        if wanted not in keys:
            raise UserError(f"model {name}: has no signature `{wanted}`; it has {held}")
        return wanted
    if "serving_default" in keys:
        return "serving_default"
    if len(keys) > 1:
        raise UserError(f"model {name}: has several signatures; choose one as `signature`: {held}")
    return keys[0]


def _shape(shape: Any, name: str) -> tuple[int, ...]:
    if getattr(shape, "rank", 0) is None:
        raise UserError(
            f"model {name}: its input may have any number of dimensions; export it from a "
            "function whose input_signature says the shape"
        )
    sizes = tuple(-1 if n is None else int(n) for n in shape)
    if not sizes:
        raise UserError(
            f"model {name}: its input is a single number; samples need a batch dimension: "
            f"export it with an input of shape (1, ...), or {_FILES}"
        )
    return sizes


def _number(dtype: str, name: str) -> str:
    try:
        np.dtype(dtype)
    except TypeError:
        raise UserError(
            f"model {name}: its input takes {dtype}, samples are arrays of numbers; export it "
            f"from where its input is decoded already, or {_FILES}"
        ) from None
    return dtype


def _layer_names(model: Any) -> list[str]:
    names = []
    for layer in model.layers:
        names.append(str(layer.name))
        if hasattr(layer, "layers") and hasattr(layer, "inputs"):
            names += _layer_names(layer)
    return names
