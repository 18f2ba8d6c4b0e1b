"""`edgebench snippet`: the code that feeds and reads one very model."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.common import may_hold_runs, parse_tflite, store_option
from bench.config import DELEGATES
from bench.errors import StoreError, UserError
from bench.snippet import LANGUAGES

if TYPE_CHECKING:
    from bench.snippet.generate import Settings
    from reports.model import Row

# Of a store with years of runs, only these are searched for the model.
NEWEST_RUNS = 50


@click.command("snippet")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--lang", "language", type=click.Choice(LANGUAGES), required=True)
@click.option("--delegate", type=click.Choice(DELEGATES), help="[default: as measured best]")
@click.option("--threads", type=click.IntRange(min=1, max=256), help="[default: as measured best]")
@store_option
def command(
    model: Path, language: str, delegate: str | None, threads: int | None, store_path: str
) -> None:
    """Print the code that feeds and reads MODEL (.tflite): its shapes, types and buffer
    sizes, quantisation by its own scale and zero point, delegate and threads.

    Where a stored run measured this very file, the code runs it as was fastest there.
    """
    from bench.snippet.generate import snippet
    from bench.tflite.graph import parse_model

    content, parsed = parse_tflite(model, parse_model)
    sha256 = hashlib.sha256(content).hexdigest()
    settings = _settings(sha256, delegate, threads, store_path)
    code = snippet(parsed, name=model.name, sha256=sha256, language=language, settings=settings)
    click.echo(code, nl=False)


def _settings(sha256: str, delegate: str | None, threads: int | None, store: str) -> Settings:
    """What was asked for, the rest as was fastest, else XNNPACK with one thread."""
    from bench.format import duration
    from bench.snippet.generate import Settings

    asked = [word for word, value in (("delegate", delegate), ("threads", threads)) if value]
    chosen = f"{' and '.join(asked)} as asked for; " if asked else ""
    found = _fastest(sha256, delegate, threads, store) if may_hold_runs(store) else None
    if found is None:
        return Settings(delegate or "xnnpack", threads or 1, f"{chosen}not measured")
    row, run_id = found
    of = "measured" if len(asked) == 2 else "fastest measured"
    return Settings(
        row.case.delegate.name,
        row.case.threads,
        f"{chosen}{of} on {row.case.device}, p50 {duration(row.p50_us)}, run {run_id}",
    )


def _fastest(
    sha256: str, delegate: str | None, threads: int | None, store_path: str
) -> tuple[Row, str] | None:
    """The case of the newest run that measured this file, and the run's id."""
    from bench.store import open_store
    from reports.compare import compare
    from reports.recommend import why_not_carried

    try:
        with open_store(store_path, write=False) as store:
            for run in store.runs()[:NEWEST_RUNS]:
                data = store.load(run.run_id)
                if run.simulated or sha256 not in {v.sha256 for v in data.variants}:
                    continue
                rows = [
                    row
                    for row in compare(data).rows
                    if row.model_sha256 == sha256
                    and row.case.delegate.name == (delegate or row.case.delegate.name)
                    and row.case.threads == (threads or row.case.threads)
                    and row.p50_us is not None
                    and why_not_carried(row) is None
                ]
                if rows:
                    return min(rows, key=lambda row: row.p50_us or 0.0), run.run_id
    except (StoreError, UserError) as error:
        # The code is of use without; what could not be looked up is said.
        click.echo(f"edgebench: measured runs are left out: {error}", err=True)
    return None
