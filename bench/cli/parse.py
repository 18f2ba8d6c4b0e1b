"""`edgebench parse`: the facts of runs that others made, from what their tools printed."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command("parse")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, one object per run.")
def command(files: tuple[Path, ...], as_json: bool) -> None:
    """Read FILEs that benchmark_model, a LiteRT benchmark or logcat wrote, of any age.

    \b
    A FILE may hold several runs, and both streams of a run in any order. `-` is stdin.
    A FILE in which no run begins (a stderr, a profile that the tool wrote) belongs to the
    run of the FILE before it, or of the FILE after it where that one has such a FILE
    already: give stdout and stderr of a run side by side.

    All times are in us. What the text does not tell is null. A latency with another source
    than "tool" is none: "tool-profiled" was slowed by an op profiler, "tool-async" did not
    wait for the accelerator.
    """
    from bench.parse.read import parse_files

    runs = parse_files([(str(path), _content(path)) for path in files])
    if as_json:
        import dataclasses
        import json

        documents = [dataclasses.asdict(run) for run in runs]
        click.echo(json.dumps(documents, indent=2, allow_nan=False))
        return

    from rich.console import Console

    from bench.cli.parse_view import view

    console = Console()
    console.print(view(runs, console))


def _content(path: Path) -> bytes:
    from bench.errors import UserError

    if str(path) == "-":
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; give a file") from error
