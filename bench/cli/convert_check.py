"""`edgebench convert --check`: whether every op of a model converts, for CI."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import click
from rich.console import Console
from rich.text import Text

from bench.cli.made import make
from bench.cli.model_options import Target
from bench.cli.progress import progress
from bench.cli.text import printable
from bench.config import ModelConfig, Variant
from bench.events import Emit, Event, Note, StageFinished, StageStarted
from bench.plan import variants_of
from bench.variants.make import UnsupportedOps

SCHEMA = "edgebench-check/1"
_CHECKED: tuple[Variant, ...] = ("fp32", "int8")
# Of the kinds of Failure: the model does not convert. The others say that nobody could tell.
_MODEL_FAILS = ("unsupported", "convert", "verify", "flex")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a variant does not convert; kind is that of its Failure."""

    variant: str
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of one model."""

    model: str
    variants: tuple[str, ...]
    problems: tuple[Problem, ...]


def check_ops(target: Target, *, as_json: bool) -> int:
    """Convert to fp32, and to int8 where there are calibration samples, and say what fails.

    Returns: 1 if an op does not convert, 3 if nobody could tell, else 0.
    """
    with progress(Console(stderr=True)) as emit:
        found = [_check(target, model, emit) for model in target.models]
    if as_json:
        document = {"schema": SCHEMA, "models": [asdict(one) for one in found]}
        click.echo(json.dumps(document, indent=2))
    else:
        console = Console()
        for one in found:
            for line in _lines(one):
                console.print(Text(printable(line)), soft_wrap=True)
    kinds = {problem.kind for one in found for problem in one.problems}
    if kinds & set(_MODEL_FAILS):
        return 1
    return 3 if kinds else 0


def without_failures(emit: Emit) -> Emit:
    """Leaves out the notes after variants are made: failures, which the result names."""
    over = False

    def forward(event: Event) -> None:
        nonlocal over
        if isinstance(event, StageStarted | StageFinished):
            over = isinstance(event, StageFinished) and event.stage == "convert"
        if not (over and isinstance(event, Note)):
            emit(event)

    return forward


def _check(target: Target, model: ModelConfig, emit: Emit) -> Checked:
    variants = tuple(v for v in variants_of(model, None, default=_CHECKED) if v in _CHECKED)
    try:
        records = make(target, model, variants, without_failures(emit))
    except UnsupportedOps as error:
        return Checked(model.name, variants, (Problem("fp32", "unsupported", error.why),))
    problems = tuple(
        Problem(record.variant, record.failure.kind, record.failure.message)
        for record in records
        if record.failure is not None
    )
    return Checked(model.name, variants, problems)


def _lines(one: Checked) -> list[str]:
    if not one.problems:
        return [f"{one.model}: every op converts ({' and '.join(one.variants)})"]
    return [f"{one.model}: {problem.variant}: {problem.message}" for problem in one.problems]
