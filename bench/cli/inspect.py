"""`edgebench inspect`: what is in a .tflite, without running it and without TensorFlow."""

from __future__ import annotations

import stat
from pathlib import Path

import click

from bench.cli.text import printable
from bench.errors import UnreadableOutput, UserError

_KERAS = "a Keras model, no .tflite; `edgebench convert` makes one of it"
# First bytes, or the ending of a name, of what is given in place of a .tflite.
_SIGNATURES = {b"PK\x03\x04": _KERAS, b"\x89HDF": _KERAS}
_SUFFIXES = {
    ".keras": _KERAS,
    ".h5": _KERAS,
    ".toml": "a plan; give one .tflite file",
    ".onnx": "an ONNX model, no .tflite; edgebench reads none",
    ".pt": "a PyTorch model, no .tflite; edgebench reads none",
    ".pth": "a PyTorch model, no .tflite; edgebench reads none",
    ".pb": "a TensorFlow graph, no .tflite; give its SavedModel directory to `edgebench convert`",
}


@click.command("inspect")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
def command(file: Path, as_json: bool) -> None:
    """Show what is in FILE, a .tflite: inputs, ops, weights, what stayed float.

    Nothing is run, and TensorFlow is not needed.
    """
    import hashlib

    from bench.tflite.inspect import inspect_model

    data = _read(file)
    try:
        inspection = inspect_model(data)
    except UnreadableOutput as error:
        raise UserError(f"{file}: {error}; fetch or convert it again") from error
    sha256 = hashlib.sha256(data).hexdigest()
    if as_json:
        import json

        document = {"file": str(file), "sha256": sha256, **inspection.to_json()}
        click.echo(json.dumps(document, indent=2, allow_nan=False))
        return

    from rich.console import Console

    from bench.cli.inspect_view import view

    console = Console()
    ascii_only = console.options.ascii_only
    console.print(view(printable(file.name), sha256, inspection, ascii_only=ascii_only))


def _read(path: Path) -> bytes:
    """The content of a file that begins as a .tflite does.

    Raises: UserError for anything else, before more than a few bytes of it are read.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise UserError(
                f"{path}: a directory, no .tflite; `edgebench convert` makes one of a SavedModel"
            )
        if not stat.S_ISREG(mode):
            raise UserError(f"{path}: no regular file; give one .tflite file")
        with path.open("rb") as file:
            start = file.read(8)
            if start[4:] != b"TFL3":
                raise UserError(f"{path}: {_other(path, start)}")
            return start + file.read()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; give one .tflite file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except MemoryError:
        raise UserError(f"{path}: larger than the free memory of this machine") from None


def _other(path: Path, start: bytes) -> str:
    if not start:
        return "an empty file; fetch or convert it again"
    known = _SIGNATURES.get(start[:4]) or _SUFFIXES.get(path.suffix.lower())
    return known or "not a .tflite file: the identifier TFL3 is missing; give one .tflite file"
