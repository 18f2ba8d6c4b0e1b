"""Finds the shape of a model's input without TensorFlow, as far as its files tell it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.config import ModelConfig
from bench.errors import UnreadableOutput
from bench.tflite.graph import parse_model

_MAX_JSON_BYTES = 64 * 2**20
_UNREADABLE = (
    UnreadableOutput,
    OSError,
    ValueError,
    KeyError,
    TypeError,
    RecursionError,
    zipfile.BadZipFile,
)


def input_shape(model: ModelConfig, root: Path) -> tuple[int, ...] | None:
    """Shape of the first input with its batch dimension, -1 where it is open.

    None where the files do not say, or are no models: whoever converts them complains
    about that with better words.
    """
    named = [model.source] if model.source is not None else []
    for name in (*named, *model.files.values()):
        path = root / name
        try:
            if path.suffix == ".tflite":
                graph = parse_model(path.read_bytes()).main
                if graph.inputs:
                    return graph.tensors[graph.inputs[0]].signature
            elif path.suffix == ".keras":
                return _from_config(_keras_config(path))
            elif path.suffix in (".h5", ".hdf5"):
                return _from_config(_hdf5_config(path))
        except _UNREADABLE:
            continue
    return None


def _keras_config(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive, archive.open("config.json") as file:
        return json.loads(file.read(_MAX_JSON_BYTES))


def _hdf5_config(path: Path) -> Any:
    try:
        # Comes with TensorFlow, without which such a model cannot be converted either.
        import h5py  # type: ignore[import-untyped]
    except ImportError:
        return None
    with h5py.File(path, "r") as file:
        return json.loads(file.attrs["model_config"])


def _from_config(config: Any) -> tuple[int, ...] | None:
    """The first batch shape in a Keras configuration, in the order of its layers."""
    for shape in _batch_shapes(config):
        if isinstance(shape, list) and all(n is None or isinstance(n, int) for n in shape):
            return tuple(-1 if n is None else n for n in shape)
    return None


def _batch_shapes(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for key in ("batch_shape", "batch_input_shape"):
            if value.get(key) is not None:
                yield value[key]
        for key, child in value.items():
            if key in ("config", "layers"):
                yield from _batch_shapes(child)
        if isinstance(value.get("build_config"), dict):
            yield value["build_config"].get("input_shape")
    elif isinstance(value, list):
        for child in value:
            yield from _batch_shapes(child)
