"""`edgebench db prune`: the launches of old runs go, what they said stays."""

from __future__ import annotations

import re

import click

from bench.cli.common import store_option

_AGE = re.compile(r"(?P<count>[1-9][0-9]{0,4})(?P<unit>[dw])")


@click.command("prune")
@click.option("--older-than", "age", required=True, metavar="AGE", help="Such as 365d or 52w.")
@click.option("--project", help="Only the runs of this project.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@store_option
def prune_command(age: str, project: str | None, dry_run: bool, store_path: str) -> None:
    """Take the launches of runs out that began longer ago than AGE, and keep their summaries.

    Baselines and runs that are not finished stay whole. `edgebench history` goes on showing
    pruned runs; `show` and `report` cannot.
    """
    from datetime import UTC, datetime, timedelta

    from bench.cli.db_progress import existing
    from bench.cli.text import printable
    from bench.errors import UserError
    from bench.format import counted, size
    from bench.store import open_store
    from bench.store.prune import (
        Freed,
        compact,
        has_points,
        prunable,
        prune_run,
        sweep_environments,
    )
    from reports.points import points_of

    found = _AGE.fullmatch(age)
    if found is None:
        raise UserError(f"--older-than {age}: not an age; write 365d (days) or 52w (weeks)")
    days = int(found["count"]) * (7 if found["unit"] == "w" else 1)
    now = datetime.now(UTC)
    with open_store(existing(store_path), write=not dry_run, create=False) as store:
        old = prunable(store, now - timedelta(days=days), project)
        for run, reason in old.kept:
            click.echo(f"run {run.run_id} of {printable(run.project)} stays: {reason}", err=True)
        if dry_run:
            for run in old.runs:
                click.echo(f"run {run.run_id} of {printable(run.project)}, {run.started_utc:%F}")
            click.echo(f"would prune {counted(len(old.runs), 'run')}")
            return
        freed, pruned = Freed(), 0
        for run in old.runs:
            if not has_points(store, run.run_id):
                try:
                    points = points_of(store.load(run.run_id))
                except UserError as error:
                    click.echo(f"run {run.run_id} stays: {printable(str(error))}", err=True)
                    continue
                store.add_points(run.run_id, points)
            freed += prune_run(store, run.run_id, now)
            pruned += 1
        if sweep_environments(store) is None:
            click.echo("the store is in use: unused environments go next time", err=True)
        if pruned:
            compact(store, lambda note: click.echo(printable(note), err=True))
    click.echo(
        f"pruned {counted(pruned, 'run')}: {counted(freed.launches, 'launch')}, "
        f"{counted(freed.checks, 'check')} and {counted(freed.artifacts, 'artifact')} went, "
        f"{size(freed.packed_bytes)} of samples, profiles and traces"
    )
