"""The inputs that every delegate answers, and the plain kernels' answers to them."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import numpy as np

from bench.config import MeasureConfig, ModelConfig
from bench.delegation.nodes import EDGETPU_OP
from bench.errors import UnreadableOutput, UserError
from bench.events import Emit
from bench.identity import sha256_of
from bench.metrics import Metric, metric_of
from bench.numerics.answering import Question, answer, kept, written
from bench.records import Failure, VariantRecord
from bench.runners.invoke_answers import FORMAT
from bench.tflite.facts import ModelFacts, read_model
from bench.variants.arrays import Samples, load_samples
from bench.variants.evaluate import REFERENCE as TRUTH
from bench.variants.judging import check_input, head_of, own_batch

_RUNTIME = "ai-edge-litert"


@dataclass(frozen=True, slots=True)
class Judging:
    """What accuracy on the device is computed by.

    Attributes:
        labels: .npz with `y` of the samples, None where the metric looks at none.
        of: samples in the whole holdout.
        map_classes: of class maps, the number of classes; else None.
        root: directory of the user's function.
        truth: .npz of the answers, real numbers, that cosine compares with; else None.
    """

    metric: Metric
    labels: Path | None
    of: int
    map_classes: int | None
    root: Path
    truth: Path | None = None


@dataclass(frozen=True, slots=True)
class NumericsFiles:
    """What a numerics launch of one variant is given, and what its answers are held against.

    Attributes:
        samples: for LaunchSpec.samples.
        reference: .npz of the plain kernels' answers, arr_0 ... of (items, *output).
        quantization: of each of them, scale and zero point, or None.
        count: items in `samples`.
        batch: samples that one item holds, where the model answers several at once.
        inputs: "holdout" or "seeded-draw"; inputs_sha256 of their bytes as they are given.
        described: what gave the reference answers, for people.
        judging: None where the plan asks for no accuracy on the device.
    """

    samples: Path
    reference: Path
    quantization: tuple[tuple[float, int] | None, ...]
    count: int
    batch: int
    inputs: str
    inputs_sha256: str
    described: str
    judging: Judging | None = None


@dataclass(frozen=True, slots=True)
class _Holdout:
    """A model's holdout; `root` is the directory of the user's function."""

    samples: Samples
    metric: Metric
    root: Path


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One variant's part: what is asked, and how the answers will be judged."""

    question: Question
    batch: int = 1
    judging: Judging | None = None


def prepare_numerics(
    model: ModelConfig,
    variants: Sequence[VariantRecord],
    *,
    root: Path,
    out: Path,
    measure: MeasureConfig,
    emit: Emit,
) -> Mapping[str, NumericsFiles | Failure]:
    """Name of each usable variant -> its files, or why there are none.

    The inputs are the first `measure.numerics_samples` of the holdout, more where
    `measure.device_accuracy` asks for more; without a holdout they are drawn. The answers are
    kept in `<out>/numerics/` by what they are made of, and made once.

    Raises: UserError if the holdout is unreadable, or does not fit a model or the metric.
    """
    folder = (out / "numerics").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    metric = metric_of(model.metric)
    holdout = None
    if model.holdout is not None:
        samples = load_samples(root / model.holdout, "holdout", metric.labels)
        holdout = _Holdout(samples, metric, root.resolve())
    found: dict[str, NumericsFiles | Failure] = {}
    todo: list[_Wanted] = []
    for variant in variants:
        if variant.usable and variant.path is not None:
            wanted = _wanted(variant, out / variant.path, folder, holdout, measure)
            if isinstance(wanted, Failure):
                found[variant.variant] = wanted
            else:
                todo.append(wanted)
    if metric.name == "cosine":
        todo = _with_truth(todo)
    missing = [wanted.question for wanted in todo if kept(wanted.question) is None]
    failures: Mapping[str, Failure] = {}
    if missing:
        failures = answer(model.name, missing, seed=measure.seed, folder=folder, emit=emit)
    for wanted in todo:
        name = wanted.question.name
        found[name] = failures[name] if name in failures else _files(wanted)
    return found


def _wanted(
    variant: VariantRecord,
    path: Path,
    folder: Path,
    holdout: _Holdout | None,
    measure: MeasureConfig,
) -> _Wanted | Failure:
    try:
        facts = read_model(path.read_bytes())
    except (OSError, UnreadableOutput) as error:
        raise UserError(f"model {path.name}: {error}; make the variants again") from error
    if EDGETPU_OP in facts.custom_ops:
        return Failure("numerics", "compiled for the Edge TPU: plain kernels cannot answer for it")
    by = [FORMAT, variant.sha256, metadata.version(_RUNTIME), platform.machine()]
    if holdout is None or len(facts.inputs) != 1:
        count = measure.numerics_samples
        key = sha256_of([*by, measure.seed, count])[:16]
        name = f"{variant.variant}-{key}.npz"
        samples = folder / f"drawn-{name}"
        result = folder / name
        return _Wanted(Question(variant.variant, path.resolve(), samples, True, result, count))
    check_input(facts, holdout.samples)
    batch, of = own_batch(facts), len(holdout.samples.x)
    if of < batch:
        return Failure(
            "numerics", f"the model answers {batch} samples at once, the holdout has {of}"
        )
    asked = of if measure.device_accuracy == "all" else measure.device_accuracy
    count = min(-(-max(measure.numerics_samples, asked) // batch), of // batch)
    samples = folder / f"holdout-{holdout.samples.sha256[:16]}-{count}x{batch}.npz"
    _keep_samples(samples, holdout.samples, count, batch)
    result = folder / f"{variant.variant}-{sha256_of([*by, samples.name])[:16]}.npz"
    judging = _judging(facts, holdout, samples) if asked else None
    question = Question(variant.variant, path.resolve(), samples, False, result, count)
    return _Wanted(question, batch, judging)


def _keep_samples(path: Path, holdout: Samples, count: int, batch: int) -> None:
    """Write the inputs, and beside them the labels that there are."""
    labels = _labels(path)
    if holdout.y is not None and not labels.exists():
        with written(labels) as fresh:
            np.savez(fresh, y=holdout.y[: count * batch])
    if not path.exists():
        x = holdout.x[: count * batch]
        with written(path) as fresh:
            np.savez(fresh, x if batch == 1 else x.reshape(count, batch, *x.shape[1:]))


def _labels(samples: Path) -> Path:
    return samples.with_name(f"labels-{samples.name}")


def _judging(facts: ModelFacts, holdout: _Holdout, path: Path) -> Judging | None:
    """None where the metric has no meaning for the model, as its evaluation says already."""
    metric, samples = holdout.metric, holdout.samples
    head = head_of(facts, samples, metric)
    if isinstance(head, Failure):
        return None
    labels = None if samples.y is None else _labels(path)
    return Judging(metric, labels, len(samples.x), head.map_classes, holdout.root)


def _with_truth(todo: Sequence[_Wanted]) -> list[_Wanted]:
    """Cosine compares with the answers of fp32; without them it says nothing."""
    truth = next((w.question.result for w in todo if w.question.name == TRUTH), None)
    return [
        replace(
            wanted,
            judging=replace(wanted.judging, truth=truth) if wanted.judging and truth else None,
        )
        for wanted in todo
    ]


def _files(wanted: _Wanted) -> NumericsFiles | Failure:
    question = wanted.question
    document = kept(question)
    if document is None:
        return Failure("reference", f"the reference {question.result.name} is gone again")
    runtime = document["runtime"]
    return NumericsFiles(
        samples=question.samples,
        reference=question.result,
        quantization=tuple(
            None if pair is None else (float(pair[0]), int(pair[1]))
            for pair in (output["quantization"] for output in document["outputs"])
        ),
        count=question.count,
        batch=wanted.batch,
        inputs="seeded-draw" if question.drawn else "holdout",
        inputs_sha256=document["inputs_sha256"],
        described=f"plain kernels, {_RUNTIME} {runtime['version']}, {runtime['machine']}",
        judging=wanted.judging,
    )
