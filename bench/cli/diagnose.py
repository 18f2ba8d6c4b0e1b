"""`edgebench diagnose`: why an integer variant lost accuracy, and what brings it back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text

from bench.cli.model_options import find_target, model_options
from bench.cli.progress import progress
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.diagnose.outcome import Diagnosis


@click.command("diagnose")
@click.argument("path", metavar="MODEL|PLAN", type=click.Path(path_type=Path))
@model_options
@click.option("--variant", default="int8", show_default=True, help="The variant that lost.")
@click.option("--no-remedies", is_flag=True, help="Only say why; try and measure nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the diagnosis as JSON.")
@click.option(
    "--html",
    "html_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the page goes. [default: <out>/diagnosis/<model>.html]",
)
def command(
    path: Path,
    variant: str,
    no_remedies: bool,
    as_json: bool,
    html_path: Path | None,
    **options: Any,
) -> int:
    """Compare an integer variant of MODEL, or of a PLAN's models, with fp32 layer by layer.

    Says where the error first appears and what the numbers show, then makes each remedy,
    judges it on the full holdout and measures it on this machine. The remedies' files stay
    in <out>/diagnosis/<model>/. Where no loss is shown, nothing is tried.
    """
    # Late: whoever asks for --help need not wait for numpy.
    from bench.diagnose.diagnose import DIAGNOSED, Request, diagnose
    from bench.diagnose.keeping import folder_for
    from devices.device import local_device
    from reports.diagnosis.files import write_page
    from reports.diagnosis.json import diagnosis_to_json
    from reports.diagnosis.terminal import terminal

    if variant not in DIAGNOSED:
        raise UserError(f"{variant!r} cannot be diagnosed (known: {', '.join(DIAGNOSED)})")
    target = find_target(path, **options)
    if html_path is not None and len(target.models) > 1:
        raise UserError("--html names one page and the plan has several models: choose by --model")
    console = Console(stderr=True)
    found: list[Diagnosis] = []
    for model in target.models:
        request = Request(
            config=target.config,
            model=model,
            root=target.root,
            out=target.out,
            variant=variant,
            remedies=not no_remedies,
            device=local_device(),
        )
        with progress(console) as emit:
            diagnosis = diagnose(request, emit=emit)
        found.append(diagnosis)
        page = html_path or folder_for(target.out, model.name).with_suffix(".html")
        try:
            write_page(diagnosis, page)
        except OSError as error:
            raise UserError(f"{page}: cannot be written: {error.strerror}") from error
        if not as_json:
            Console().print(terminal(diagnosis))
            Console().print(Text(f"Page: {page}"), soft_wrap=True)
    if as_json:
        documents = [diagnosis_to_json(diagnosis) for diagnosis in found]
        click.echo(json.dumps(documents, indent=2, allow_nan=False))
    return 3 if any(_something_failed(diagnosis) for diagnosis in found) else 0


def _something_failed(diagnosis: Diagnosis) -> bool:
    """Whether a remedy that could be tried was not made or not judged."""
    from bench.diagnose.outcome import Verdict

    return any(row.verdict is Verdict.FAILED for row in diagnosis.treatments)
