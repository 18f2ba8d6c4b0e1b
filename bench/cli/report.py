"""`edgebench report`: the report of a stored run as HTML, Markdown, CSV and JSON."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.common import junit_option, load_run, store_option, write_junit
from bench.errors import UserError


@click.command("report")
@click.argument("run", required=False)
@click.option("--project", help="The newest run of this project.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("edgebench-report"),
    show_default=True,
    help="Directory to write into.",
)
@click.option("--charts", is_flag=True, help="Also write each chart as SVG and PNG.")
@junit_option
@store_option
def command(
    run: str | None,
    project: str | None,
    out: Path,
    charts: bool,
    junit_to: Path | None,
    store_path: str,
) -> int:
    """Write the report of RUN (the beginning of its id is enough), or of the newest one.

    Exit code 1 if a gate failed.
    """
    from reports.compare import compare
    from reports.export.junit import judgements
    from reports.gates import gate_failed
    from reports.render.charts import save_charts
    from reports.render.files import write_report

    comparison = compare(load_run(store_path, run, project, samples=True))
    try:
        files = write_report(comparison, out)
        written = [files.html, files.markdown, files.csv, files.json]
        if charts:
            written += save_charts(comparison, out)
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror}") from None
    if junit_to is not None:
        write_junit(judgements(comparison), comparison.project, junit_to)
        written.append(junit_to)
    for path in written:
        click.echo(str(path))
    return 1 if gate_failed(comparison) else 0
