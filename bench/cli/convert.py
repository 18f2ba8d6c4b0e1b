"""`edgebench convert`: make the variants of a model, say how, how large, how accurate."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import click
from rich.console import Console

from bench.cli.convert_check import check_ops, without_failures
from bench.cli.convert_table import Conversion, failures, show, to_json
from bench.cli.made import make_and_judge
from bench.cli.model_options import Target, find_target, model_options
from bench.cli.progress import progress
from bench.config import VARIANTS, ModelConfig, Variant
from bench.errors import UserError
from bench.events import Emit, Note
from bench.plan import check_paths, variants_of
from bench.variants.packages import install_hint, missing_packages
from bench.variants.recipe import RECIPES
from bench.variants.tflite_source import is_tflite

# What ships is run by it, so that its answers are the ones to judge.
KERNELS = "xnnpack"


@click.command("convert")
@click.argument("path", metavar="MODEL|PLAN", type=click.Path(path_type=Path))
@model_options
@click.option(
    "--variant",
    "variants",
    multiple=True,
    type=click.Choice(get_args(Variant)),
    metavar="NAME",
    help="Only this variant; may be repeated. [default: the plan's, or all that can be made]",
)
@click.option("--check", is_flag=True, help="Only say whether every op converts; for CI.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    path: Path, variants: tuple[Variant, ...], check: bool, as_json: bool, **options: Any
) -> int:
    """Make the variants of MODEL (.keras, .h5, SavedModel, fp32 .tflite) or of a PLAN.

    What did not change since last time is not made again. With a holdout every variant
    is evaluated. int8-edgetpu and select-tf-ops are made
    only where they are named. Exit code 3 if a variant
    could not be made; with --check 1 if an op does not convert.
    """
    target = find_target(path, **options)
    for model in target.models:
        check_paths(model, target.root)
    if check:
        if variants:
            raise UserError("--variant beside --check: it checks fp32, and int8 where calibrated")
        return check_ops(target, as_json=as_json)
    variants = variants or target.config.measure.variants or ()
    chosen = [(model, _choose(model, variants)) for model in target.models]
    console = Console(stderr=True)
    with progress(console) as emit:
        for model, _ in chosen:
            if not variants:
                _say_what_is_left_out(model, emit)
        made = [_convert(target, model, names, emit) for model, names in chosen]
    if as_json:
        click.echo(json.dumps(to_json(target.config.project, made), indent=2))
    else:
        show(made, Console())
    return 3 if any(failures(one) for one in made) else 0


def _choose(model: ModelConfig, asked: Sequence[Variant]) -> tuple[Variant, ...]:
    if asked:
        return variants_of(model, asked)
    left_out = _lacking_quantizer(model)
    default = [v for v in VARIANTS if not RECIPES[v].by_name_only and v not in left_out]
    chosen = variants_of(model, None, default=default)
    if not chosen:
        raise UserError(f"model {model.name}: nothing can be made; {_quantizer_hint()}")
    return chosen


def _lacking_quantizer(model: ModelConfig) -> tuple[Variant, ...]:
    """What is left out by default where ai-edge-quantizer is not installed."""
    if not missing_packages((), of_tflite=True):
        return ()
    of_tflite = model.source is not None and is_tflite(model.source)
    can = variants_of(model, None, default=[v for v in VARIANTS if not RECIPES[v].by_name_only])
    return tuple(
        v
        for v in can
        if v not in model.files and v != "fp32" and (of_tflite or RECIPES[v].by_quantizer)
    )


def _say_what_is_left_out(model: ModelConfig, emit: Emit) -> None:
    if left_out := _lacking_quantizer(model):
        emit(Note(f"left out: {', '.join(left_out)}; {_quantizer_hint()}", "warning"))


def _quantizer_hint() -> str:
    return f"ai-edge-quantizer is not installed; {install_hint('quantize')}"


def _convert(target: Target, model: ModelConfig, variants: Sequence[str], emit: Emit) -> Conversion:
    records, evaluations = make_and_judge(
        target, model, variants, (KERNELS,), without_failures(emit)
    )
    return Conversion(model, target.out, records, evaluations, KERNELS)
