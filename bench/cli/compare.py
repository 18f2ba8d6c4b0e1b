"""`edgebench compare`: two runs, variants, delegates, devices or runtimes, case by case."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.common import store_option
from bench.errors import UserError

if TYPE_CHECKING:
    from reports.pairs.model import Pairs

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("compare")
@click.argument("a", metavar="A")
@click.argument("b", metavar="[B]", required=False)
@click.option("--project", help="Whose runs, baseline and releases are meant.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
@click.option("--csv", "csv_to", type=_FILE, help="Also write a CSV, one line per case.")
@click.option("--markdown", "markdown_to", type=_FILE, help="Also write Markdown.")
@click.option("--html", "html_to", type=_FILE, help="Also write a page.")
@click.option(
    "--gate",
    is_flag=True,
    help="Exit with 1 where B is worse: slower in common rounds, wrong, fallen back, failed, or"
    " less accurate on the same samples.",
)
@store_option
def command(
    a: str,
    b: str | None,
    project: str | None,
    as_json: bool,
    csv_to: Path | None,
    markdown_to: Path | None,
    html_to: Path | None,
    gate: bool,
    store_path: str,
) -> int:
    """Hold B against A, case by case: which is faster, and what else changed.

    Each is a run (the beginning of its id, latest, latest~1, baseline, release=NAME), a part
    of the newest run, or both with a colon between. Without B, the two sides of a run that was
    made with `run --against`.

    \b
    edgebench compare baseline latest
    edgebench compare variant=fp32 variant=int8
    edgebench compare 0198a2:delegate=xnnpack,device=pixel delegate=gpu
    edgebench compare latest~1:variant=int8 latest --gate

    Filters: model, variant, delegate, threads, device, runtime, runner; one that only one side
    has holds for both. Common rounds are compared as pairs; what was measured on different
    days or devices is unpaired, says so, and fails no gate.
    """
    # Late: whoever asks for --help need not wait for numpy.
    from bench.cli.pairs import pairs_of
    from bench.store import open_store

    with open_store(store_path, write=False) as store:
        pairs = pairs_of(store, a, b, project)
    if as_json:
        import json

        from reports.pairs.json import pairs_to_json

        click.echo(json.dumps(pairs_to_json(pairs), indent=2, allow_nan=False))
    else:
        print_pairs(pairs)
    _write(pairs, csv_to, markdown_to, html_to)
    return 1 if gate and pairs.gate_failed else 0


def print_pairs(pairs: Pairs) -> None:
    """The table on this console."""
    from rich.console import Console

    from reports.pairs.terminal import terminal

    Console().print(terminal(pairs))


def _write(
    pairs: Pairs, csv_to: Path | None, markdown_to: Path | None, html_to: Path | None
) -> None:
    from reports.pairs.csv import pairs_to_csv
    from reports.pairs.html import html
    from reports.pairs.markdown import markdown
    from reports.render.atomic import write_atomically

    made: dict[Path | None, Callable[[Pairs], str]] = {
        csv_to: pairs_to_csv,
        markdown_to: markdown,
        html_to: html,
    }
    for path, render in made.items():
        if path is None:
            continue
        try:
            write_atomically(path, render(pairs).encode("utf-8"))
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {error.strerror}") from None
