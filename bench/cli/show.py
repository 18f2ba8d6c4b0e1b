"""`edgebench show`: the table of a stored run, or the evidence that its verdicts rest on."""

from __future__ import annotations

import click

from bench.cli.common import load_run, print_comparison, store_option
from bench.errors import UserError
from bench.records import RunData


@click.command("show")
@click.argument("run", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
@click.option("--evidence", is_flag=True, help="Print what each verdict rests on, line by line.")
@click.option("--device", help="With --evidence: of this device only.")
@click.option("--delegate", help="With --evidence: of this delegate only.")
@click.option("--variant", help="With --evidence: of this variant only.")
@click.option("--project", help="The newest run of this project.")
@store_option
def command(
    run: str | None,
    as_json: bool,
    evidence: bool,
    device: str | None,
    delegate: str | None,
    variant: str | None,
    project: str | None,
    store_path: str,
) -> None:
    """Print the table of RUN (the beginning of its id is enough), or of the newest one."""
    picked = {"device": device, "delegate": delegate, "variant": variant}
    named = {option: name for option, name in picked.items() if name is not None}
    if named and not evidence:
        raise UserError(f"--{next(iter(named))} picks evidence; add --evidence")
    if evidence and as_json:
        raise UserError("--json holds the evidence of every case; leave --evidence out")
    data = load_run(store_path, run, project, samples=False)
    if evidence:
        _print_evidence(data, named)
        return
    if not as_json:
        print_comparison(data, report_to=None)
        return

    import json

    from reports.compare import compare
    from reports.export.json import comparison_to_json

    click.echo(json.dumps(comparison_to_json(compare(data)), indent=2, allow_nan=False))


def _print_evidence(data: RunData, named: dict[str, str]) -> None:
    """Print the evidence of the cases that have these names.

    Raises: UserError if none has.
    """
    from rich.console import Console

    from reports.compare import compare
    from reports.model import Row
    from reports.render.terminal_delegates import EvidenceScreen

    def names(row: Row) -> dict[str, str]:
        case = row.case
        return {"device": case.device, "delegate": case.delegate.name, "variant": case.variant}

    comparison = compare(data)
    if not any(named.items() <= names(row).items() for row in comparison.rows):
        there = (
            f"{option}s: {', '.join(dict.fromkeys(names(row)[option] for row in comparison.rows))}"
            for option in named
        )
        asked = " ".join(f"--{option} {name}" for option, name in named.items())
        raise UserError(f"the run has no case with {asked}; it has {'; '.join(there)}")
    Console().print(EvidenceScreen(comparison, lambda row: named.items() <= names(row).items()))
