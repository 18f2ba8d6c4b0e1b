"""`edgebench db export` and `db import`: a store as files, and back."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.common import store_option


@click.command("export")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["parquet", "csv", "jsonl"]),
    default="parquet",
    show_default=True,
    help="Of the files.",
)
@click.option("--run", "runs", multiple=True, help="Only this run; may be given several times.")
@click.option("--project", help="Only the runs of this project.")
@store_option
def export_command(
    folder: Path, form: str, runs: tuple[str, ...], project: str | None, store_path: str
) -> None:
    """Write the store as files, one per table, into DIR, which must be empty or not there."""
    from bench.cli.db_progress import existing, exporting
    from bench.cli.text import printable
    from bench.errors import UserError
    from bench.format import counted
    from bench.store import open_store
    from bench.store.portable import export_store
    from bench.store.raw import TABLES
    from bench.store.tables_as_files import Format

    with open_store(existing(store_path), write=False) as store:
        chosen = None
        if runs or project is not None:
            chosen = [run.run_id for run in store.runs(project=project)]
            if not chosen:
                raise UserError(f"{store.place}: holds no run of project {project!r}")
        if runs:
            named = [store.find_run(run).run_id for run in runs]
            other = next((run for run in named if run not in (chosen or ())), None)
            if other is not None:
                raise UserError(f"run {other} is not of project {project!r}")
            chosen = named
        with exporting(len(TABLES)) as tell:
            try:
                done = export_store(store, folder, Format(form), chosen, tell=tell)
            except OSError as error:
                raise UserError(f"{folder}: cannot be written: {error.strerror}") from error
    click.echo(
        f"{printable(str(folder))}: {counted(done.rows['run'], 'run')}, "
        f"{counted(done.rows['launch'], 'launch')}, as {form}"
    )


@click.command("import")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@store_option
def import_command(folder: Path, store_path: str) -> None:
    """Copy what `edgebench db export` wrote into DIR into the store, exactly once."""
    from bench.cli.db_progress import copying, say_copied
    from bench.store import open_store
    from bench.store.portable import import_store
    from reports.points import store_missing_points

    with open_store(store_path, write=True) as store, copying() as tell:
        copied = import_store(folder, store, tell=tell)
        store_missing_points(store)
    say_copied(copied, store.place.label)
