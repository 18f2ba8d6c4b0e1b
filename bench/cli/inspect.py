"""`edgebench inspect`: what is in a .tflite, without running it and without TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.common import parse_tflite
from bench.cli.text import printable

if TYPE_CHECKING:
    from bench.forecast.model import Forecast


@click.command("inspect")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--delegates",
    is_flag=True,
    help="Forecast what XNNPACK, GPU, NNAPI and Edge TPU delegates take of it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
def command(file: Path, delegates: bool, as_json: bool) -> None:
    """Show what is in FILE, a .tflite: inputs, ops, weights, what stayed float.

    Nothing is run, and TensorFlow is not needed.
    """
    import hashlib

    from bench.tflite.inspect import inspect_model

    data, inspection = parse_tflite(file, inspect_model)
    forecast = _forecasts(file) if delegates else ()
    sha256 = hashlib.sha256(data).hexdigest()
    if as_json:
        import json

        document = {
            "schema": "edgebench-inspection/1",
            "file": str(file),
            "sha256": sha256,
            **inspection.to_json(),
        }
        if delegates:
            from bench.forecast.stored import to_json

            document["forecasts"] = to_json(forecast)
        click.echo(json.dumps(document, indent=2, allow_nan=False))
        return

    from rich.console import Console

    from bench.cli.inspect_view import view

    console = Console()
    ascii_only = console.options.ascii_only
    if delegates:
        from bench.cli.inspect_delegates import delegates_view

        console.print(delegates_view(file.name, forecast, ascii_only=ascii_only))
        return
    console.print(view(printable(file.name), sha256, inspection, ascii_only=ascii_only))


def _forecasts(file: Path) -> tuple[Forecast, ...]:
    from bench.forecast.forecast import forecasts
    from bench.forecast.rules import load_rules
    from bench.tflite.graph import parse_model

    return forecasts(parse_tflite(file, parse_model)[1], load_rules())
