"""Tells, without TensorFlow, whether a file may be a model at all, and who wrote it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.errors import UserError

_HDF5 = b"\x89HDF\r\n\x1a\n"
# The largest models of today have a few thousand layers, some 10 MB of configuration.
_MOST_CONFIG_BYTES = 256 * 1024 * 1024


def check_source(path: Path) -> None:
    """Refuse what is no .keras, .h5 or SavedModel.

    Raises: UserError naming the file, what is wrong and what to do.
    """
    if not path.exists():
        raise UserError(f"source: there is no such file ({path}); correct the path")
    if path.is_dir():
        if not any((path / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
            raise UserError(
                f"source {path.name}: a directory without saved_model.pb; name the directory "
                "that model.export wrote"
            )
        return
    try:
        with path.open("rb") as file:
            start = file.read(len(_HDF5))
    except OSError as error:
        raise UserError(f"source {path.name}: cannot be read: {error.strerror}") from error
    wrong = f"source {path.name}: not"
    again = "or cut short; write it with model.save"
    if path.suffix.lower() == ".keras":
        if start == _HDF5:
            raise UserError(f"{wrong} a .keras file but HDF5; rename it to {path.stem}.h5")
        if not zipfile.is_zipfile(path):
            raise UserError(f"{wrong} a .keras file, {again}")
    elif path.suffix.lower() in (".h5", ".hdf5"):
        if start != _HDF5:
            raise UserError(f"{wrong} an HDF5 file, {again}")
    elif path.name in ("saved_model.pb", "saved_model.pbtxt"):
        raise UserError(
            f"{wrong} a model by itself; name the directory that holds it: {path.parent}"
        )
    else:
        raise UserError(
            f"{wrong} a model; give a .keras or .h5 file, a SavedModel directory or an fp32 .tflite"
        )


def keras_major(path: Path) -> int:
    """Major version of the Keras that wrote a .keras or .h5 file: 2 (tf_keras) or 3.

    Raises: UserError if the file does not say.
    """
    version = _keras_file(path)[0]
    if not version.split(".", maxsplit=1)[0].isdecimal():
        raise UserError(f"model {path.name}: says no Keras version; write it with model.save")
    return int(version.split(".", maxsplit=1)[0])


def check_no_code(path: Path) -> None:
    """Refuse a Keras file with a Lambda layer: Python code, which loading it would run.

    Raises: UserError naming the layer.
    """
    for node in _dicts(_keras_file(path)[1]):
        if node.get("class_name") == "Lambda":
            config = node.get("config")
            name = config.get("name", "?") if isinstance(config, dict) else "?"
            raise UserError(
                f"model {path.name}: its Lambda layer {name} is Python code, which is not run "
                "from a file; export the model as a SavedModel with model.export"
            )


def custom_classes(path: Path) -> tuple[str, ...]:
    """Classes that a .keras file names and that neither Keras has: the user's own code.

    A .h5 or a directory does not tell them apart, and gives ().
    """
    if path.suffix.lower() != ".keras":
        return ()
    found = (
        str(node["class_name"])
        for node in _dicts(_keras_file(path)[1])
        if {"class_name", "module"} <= node.keys()
        and str(node["module"]).split(".")[0] not in ("keras", "tf_keras", "builtins")
    )
    return tuple(dict.fromkeys(found))


def _keras_file(path: Path) -> tuple[str, Any]:
    """The Keras version and the configuration in a .keras or .h5 file."""
    if path.suffix.lower() == ".keras":
        with zipfile.ZipFile(path) as archive:
            for name in ("metadata.json", "config.json"):
                if archive.getinfo(name).file_size > _MOST_CONFIG_BYTES:
                    raise UserError(f"model {path.name}: its {name} is too large to be real")
            version = str(json.loads(archive.read("metadata.json")).get("keras_version"))
            return version, json.loads(archive.read("config.json"))
    # Comes with TensorFlow only.
    import h5py  # type: ignore[import-untyped]

    with h5py.File(path, "r") as file:
        version, config = (file.attrs.get(key) for key in ("keras_version", "model_config"))
    if version is None or config is None:
        raise UserError(
            f"model {path.name}: holds no whole model, perhaps weights only; save it with "
            "model.save"
        )
    return _text(version), json.loads(_text(config))


def _text(raw: Any) -> str:
    return raw.decode("utf-8", errors="replace") if isinstance(raw, bytes) else str(raw)


def _dicts(root: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object in it, at any depth."""
    waiting = [root]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
