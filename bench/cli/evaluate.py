"""`edgebench evaluate`: how accurate variants or files are, and whether a change is a loss."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console

from bench.cli.common import junit_option, read_tflite, write_junit
from bench.cli.evaluate_table import Evaluated, failed, gate_failed, judgements, show, to_json
from bench.cli.made import RUN, make_and_judge
from bench.cli.model_options import Target, find_target, metric_setting
from bench.cli.progress import progress
from bench.config import (
    DELEGATES,
    METRICS,
    GatesConfig,
    MetricConfig,
    ModelConfig,
    is_function,
)
from bench.errors import UnreadableOutput, UserError
from bench.events import Emit, Note
from bench.plan import check_paths, kernels_of, refuse_points, variants_of
from bench.records import VariantRecord
from bench.samples import materialise
from bench.tflite.facts import read_model
from bench.variants.evaluate import REFERENCE, evaluate_variants

# What ships is run by it.
_KERNELS = ("xnnpack",)
_REDUCED = ("INT4", "INT8", "UINT8", "INT16", "FLOAT16")


@dataclass(frozen=True, slots=True)
class _Options:
    """What may be said of files; a plan says it itself."""

    holdout: str | None
    metric: str | None
    lower_is_better: bool
    reference: Path | None

    def given(self) -> str | None:
        """The first option that was given."""
        for key, value in (
            ("--holdout", self.holdout),
            ("--metric", self.metric),
            ("--lower-is-better", self.lower_is_better),
            ("--reference", self.reference),
        ):
            if value:
                return key
        return None


@click.command("evaluate")
@click.argument(
    "paths", metavar="PLAN|FILE.tflite...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--model", "name", help="Only this model of the plan.")
@click.option("--holdout", help="Samples for files: .npz with x and y, or module:function.")
@click.option(
    "--metric",
    help="top1, top5 (any number), mean_iou, mae, rmse, cosine, or module:function. "
    "[default: top1]",
)
@click.option("--lower-is-better", is_flag=True, help="Of a metric that is a module:function.")
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    help="File that changes are against. [default: the first with float32 weights]",
)
@click.option(
    "--kernels",
    multiple=True,
    type=click.Choice(DELEGATES),
    help="Whose arithmetic answers; may be repeated. [default: the plan's delegates, or xnnpack]",
)
@click.option("--per-class", is_flag=True, help="Also the classes and what they are taken for.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@junit_option
def command(
    paths: tuple[Path, ...],
    name: str | None,
    holdout: str | None,
    metric: str | None,
    lower_is_better: bool,
    reference: Path | None,
    kernels: tuple[str, ...],
    per_class: bool,
    as_json: bool,
    junit_to: Path | None,
) -> int:
    """Judge the variants of a PLAN, or .tflite FILES, on the full holdout.

    Changes are against fp32, or the first float file, paired on the same samples. Nothing
    is stored. Exit code 1 if a gate failed, 3 if something could not be made or evaluated.
    """
    options = _Options(holdout, metric, lower_is_better, reference)
    with progress(Console(stderr=True)) as emit:
        if any(path.suffix == ".toml" for path in paths):
            found = tuple(_of_plan(paths, name, options, kernels, emit))
        else:
            found = (_of_files(paths, name, options, kernels or _KERNELS, emit),)
    if junit_to is not None:
        write_junit([case for one in found for case in judgements(one)], found[0].project, junit_to)
    if as_json:
        click.echo(json.dumps(to_json(found, per_class=per_class), indent=2, allow_nan=False))
    else:
        show(found, Console(), per_class=per_class)
    if any(gate_failed(one) for one in found):
        return 1
    return 3 if any(failed(one) for one in found) else 0


def _of_plan(
    paths: Sequence[Path], name: str | None, options: _Options, kernels: Sequence[str], emit: Emit
) -> Iterator[Evaluated]:
    if len(paths) > 1:
        raise UserError("give one plan, or .tflite files; not both, and not several plans")
    if option := options.given():
        raise UserError(f"{option} beside a plan: write it into {paths[0]}")
    target = find_target(
        paths[0],
        name=name,
        signature=None,
        calibration=None,
        train=None,
        holdout=None,
        metric=None,
        out=None,
        seed=None,
    )
    for model in target.models:
        check_paths(model, target.root)
        refuse_points(target.config, model)
        if model.holdout is None:
            raise UserError(
                f"model {model.name!r} has no `holdout`: there is nothing to judge it by"
            )
    for model in target.models:
        yield _of_model(target, model, kernels or kernels_of(target.config), emit)


def _of_model(
    target: Target, planned: ModelConfig, kernels: Sequence[str], emit: Emit
) -> Evaluated:
    variants = variants_of(planned, target.config.measure.variants)
    records, evaluations = make_and_judge(target, planned, variants, kernels, emit)
    return Evaluated(
        target.config.project, planned.name, records, evaluations, target.config.gates, REFERENCE
    )


def _of_files(
    paths: Sequence[Path], name: str | None, options: _Options, kernels: Sequence[str], emit: Emit
) -> Evaluated:
    if name is not None:
        raise UserError("--model chooses among the models of a plan; there is none")
    if options.holdout is None:
        raise UserError("files need --holdout: an .npz with x and y, or module:function")
    metric = _metric(options)
    if options.reference is not None and options.reference not in paths:
        paths = (options.reference, *paths)
    names = _names(paths)
    records = tuple(_record(path, names[path]) for path in paths)
    reference = _reference(paths, options.reference, emit)
    if metric.name == "cosine" and reference is None:
        raise UserError("cosine compares with a float file; name it by --reference")
    root = Path.cwd()
    with _folder_for_samples() as folder:
        given = ModelConfig(name="files", source=str(paths[0]), holdout=options.holdout)
        model = materialise(given, root=root, out=folder, roles=["holdout"], emit=emit)
        evaluations = evaluate_variants(
            records,
            root / str(model.holdout),
            kernels,
            metric=metric,
            root=root,
            out=root,
            run_id=RUN,
            emit=emit,
            reference="" if reference is None else names[reference],
        )
    return Evaluated(
        "evaluate",
        "files",
        records,
        evaluations,
        GatesConfig(),
        None if reference is None else names[reference],
    )


@contextmanager
def _folder_for_samples() -> Iterator[Path]:
    """A temporary folder, which stays where an error names the log in it."""
    folder = Path(tempfile.mkdtemp(prefix="edgebench-samples-"))
    named = False
    try:
        yield folder
    except UserError as error:
        named = str(folder) in str(error)
        raise
    finally:
        if not named:
            shutil.rmtree(folder, ignore_errors=True)


def _metric(options: _Options) -> MetricConfig:
    text = options.metric or "top1"
    setting = metric_setting(text)
    if setting["name"] not in METRICS and not is_function(text):
        raise UserError(
            f"--metric {text}: known are {', '.join(METRICS)}, top2 and so on, and module:function"
        )
    metric = MetricConfig(**setting, higher_is_better=not options.lower_is_better)
    if options.lower_is_better and not is_function(text):
        raise UserError("--lower-is-better is for a module:function; the other metrics know it")
    return metric


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """What each file is called: its name, or its path where names are not distinct."""
    for path in paths:
        if list(paths).count(path) > 1:
            raise UserError(f"{path} is given twice")
    stems = [path.stem for path in paths]
    return {p: p.stem if stems.count(p.stem) == 1 else str(p) for p in paths}


def _record(path: Path, name: str) -> VariantRecord:
    size = len(read_tflite(path))
    return VariantRecord(RUN, "files", name, str(path.absolute()), None, size, {})


def _reference(paths: Sequence[Path], named: Path | None, emit: Emit) -> Path | None:
    """The file that changes are against; None if no file is as exact as float32."""
    if named is not None:
        return named
    for path in paths:
        try:
            facts = read_model(path.read_bytes())
        except (OSError, UnreadableOutput) as error:
            raise UserError(f"{path}: {error}; give a whole .tflite") from error
        if not any(facts.constant_bytes.get(kind) for kind in _REDUCED) and not facts.integer_ops:
            return path
    if len(paths) > 1:
        what = "none of these files has float32 weights, so that there is no change to show"
        emit(Note(f"{what}; name one to compare with by --reference", "warning"))
    return None
