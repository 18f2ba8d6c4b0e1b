"""`edgebench show`: the table of a stored run."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.common import load_run, print_comparison, store_option


@click.command("show")
@click.argument("run", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
@click.option("--project", help="The newest run of this project.")
@store_option
def command(run: str | None, as_json: bool, project: str | None, store_path: Path) -> None:
    """Print the table of RUN (the beginning of its id is enough), or of the newest one."""
    data = load_run(store_path, run, project, samples=False)
    if not as_json:
        print_comparison(data, report_to=None)
        return

    import json

    from reports.compare import compare
    from reports.export.json import comparison_to_json

    click.echo(json.dumps(comparison_to_json(compare(data)), indent=2, allow_nan=False))
