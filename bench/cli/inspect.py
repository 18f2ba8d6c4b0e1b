"""`edgebench inspect`: what is in a .tflite, without running it and without TensorFlow."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.common import parse_tflite
from bench.cli.text import printable


@click.command("inspect")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
def command(file: Path, as_json: bool) -> None:
    """Show what is in FILE, a .tflite: inputs, ops, weights, what stayed float.

    Nothing is run, and TensorFlow is not needed.
    """
    import hashlib

    from bench.tflite.inspect import inspect_model

    data, inspection = parse_tflite(file, inspect_model)
    sha256 = hashlib.sha256(data).hexdigest()
    if as_json:
        import json

        document = {
            "schema": "edgebench-inspection/1",
            "file": str(file),
            "sha256": sha256,
            **inspection.to_json(),
        }
        click.echo(json.dumps(document, indent=2, allow_nan=False))
        return

    from rich.console import Console

    from bench.cli.inspect_view import view

    console = Console()
    ascii_only = console.options.ascii_only
    console.print(view(printable(file.name), sha256, inspection, ascii_only=ascii_only))
