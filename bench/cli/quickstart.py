"""`edgebench quickstart`: the main job from nothing, on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from bench.cli.common import again, store_option
from bench.cli.progress import duration, progress
from bench.cli.run import execute
from bench.config import VARIANTS
from bench.errors import UserError
from bench.estimate import estimate
from bench.plan import Plan, resolve
from bench.planfile import read_plan
from devices.inventory import Inventory

PLAN = """\
# What `edgebench quickstart` measured; `edgebench init` writes a file with every key explained.

project = "quickstart"
out = "."

[[model]]
name = "digits"
source = "digits.keras"
calibration = "calibration.npz"
holdout = "holdout.npz"
train = "train.npz"

[model.qat]
epochs = {epochs}
batch_size = {batch_size}
learning_rate = {learning_rate}

[measure]
delegates = ["none", "xnnpack"]
threads = [1, 2]
rounds = 6
"""


@click.command("quickstart")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("edgebench-quickstart"),
    show_default=True,
    help="Where the model, its data, its variants and the report go.",
)
@store_option
def command(directory: Path, store_path: str) -> int:
    """Train a small image classifier, make its variants, check their answers, measure
    them on this machine and write a report. No model and no device needed.
    """
    from bench.variants.demo import DEMO_EXPECTED_S, DEMO_QAT, make_demo

    console = Console(stderr=True)
    text = PLAN.format(
        epochs=DEMO_QAT.epochs, batch_size=DEMO_QAT.batch_size, learning_rate=DEMO_QAT.learning_rate
    )
    path = directory / "edgebench.toml"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{directory}: cannot be written: {error.strerror}") from None
    config = read_plan(path)
    # The files that resolve() looks for are about to be made.
    here = tuple(Inventory(()).entries.values())
    plan = Plan(config, directory, {"digits": VARIANTS}, here)
    total_s = DEMO_EXPECTED_S + estimate(plan).total_s
    console.print(
        Text(
            "Trains a small image classifier, makes its variants, checks their answers and "
            f"measures them on this machine.\nTakes about {duration(total_s)}; "
            f"everything goes to {directory}{os.sep}"
        )
    )
    with progress(console) as emit:
        make_demo(directory, emit)
    code = execute(
        resolve(config, directory),
        store_path,
        resume=False,
        resume_command=again("run", path, "--resume"),
    )
    if code in (0, 1, 3):
        console.print(Text(f"See it again:  {again('show')}"))
    return code
