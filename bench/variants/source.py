"""Tells, without TensorFlow, whether a file may be a model at all."""

from __future__ import annotations

import zipfile
from pathlib import Path

from bench.errors import UserError

_HDF5 = b"\x89HDF\r\n\x1a\n"


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
    if path.suffix == ".tflite":
        raise UserError(
            f"source {path.name}: a finished .tflite; name it under `files`, e.g. "
            f'files = {{ fp32 = "{path.name}" }}'
        )
    try:
        with path.open("rb") as file:
            start = file.read(len(_HDF5))
    except OSError as error:
        raise UserError(f"source {path.name}: cannot be read: {error.strerror}") from error
    if path.suffix == ".keras":
        if not zipfile.is_zipfile(path):
            raise UserError(
                f"source {path.name}: not a .keras file, or cut short; write it with model.save"
            )
    elif path.suffix in (".h5", ".hdf5"):
        if start != _HDF5:
            raise UserError(
                f"source {path.name}: not an HDF5 file, or cut short; write it with model.save"
            )
    else:
        raise UserError(
            f"source {path.name}: not a model; give a .keras or .h5 file or a SavedModel directory"
        )
