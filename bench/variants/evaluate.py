"""Accuracy of every variant on the full holdout, by every set of kernels asked for."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.config import MetricConfig
from bench.delegation.nodes import EDGETPU_OP
from bench.errors import UnreadableOutput, UserError
from bench.events import Emit, StageFinished, StageStarted
from bench.metrics import Metric, metric_of
from bench.records import EvaluationRecord, Failure, VariantRecord
from bench.tflite.facts import ModelFacts, read_model
from bench.variants.arrays import Samples, load_samples
from bench.variants.evaluation_jobs import Pair, Result, Work
from bench.variants.judging import Head, check_input, head_of, own_batch

REFERENCE = "fp32"


def evaluate_variants(
    variants: Sequence[VariantRecord],
    holdout: Path,
    kernels: Sequence[str],
    *,
    metric: MetricConfig | None = None,
    root: Path | None = None,
    out: Path,
    run_id: str,
    emit: Emit,
    reference: str = REFERENCE,
    timeout_s: float = 3600.0,
) -> tuple[EvaluationRecord, ...]:
    """Judge each variant that can run, by each set of kernels, over the full holdout.

    Args:
        holdout: .npz with x (N, ...) and, as the metric needs it, y (N, ...).
        kernels: of "none" (plain) and "xnnpack".
        metric: top-1 by default.
        root: directory of the user's function, where the metric is one.
        out: directory that the variants' paths are relative to.
        reference: the variant whose answers cosine compares with, by the same kernels.
        timeout_s: for one variant by one set of kernels.

    Returns: one record per variant and set of kernels, variants first; variants that are
    not usable have their own failure already and get none. A record's failure is of kind
    "evaluate", "crash" or "timeout".

    Raises: UserError if the holdout is unreadable or does not fit a model or the metric,
    or if the user's function is missing or fails.
    """
    judge = metric_of(metric or MetricConfig())
    samples = load_samples(holdout, "holdout", judge.labels)
    usable = [v for v in variants if v.path is not None and v.usable]
    heads = {v.variant: _head(v, out, samples, judge) for v in usable}
    labels = None
    if any(isinstance(head, Head) and head.classifies for head in heads.values()):
        labels = None if samples.y is None else samples.y.astype(np.int32)
    count, sha256 = len(samples.x), samples.sha256
    del samples  # each worker reads what it needs, some rows at a time
    pairs = [
        Pair(number, variant, kernel, heads[variant.variant])
        for number, (variant, kernel) in enumerate(product(usable, kernels))
    ]
    with tempfile.TemporaryDirectory(prefix="edgebench-evaluate-") as scratch:
        work = Work(
            holdout=holdout.resolve(),
            metric=judge,
            root=(root or Path()).resolve(),
            out=out,
            scratch=Path(scratch),
            timeout_s=timeout_s,
            samples=count,
            emit=emit,
        )
        emit(StageStarted("evaluate", f"Evaluating on {count} samples", count * len(pairs)))
        results = _compared(work, pairs, reference) if judge.name == "cosine" else work.run(pairs)
    records = tuple(
        _record(run_id, pair, judge, results[pair.number], sha256, labels) for pair in pairs
    )
    failed = sum(record.failure is not None for record in records)
    emit(StageFinished("evaluate", f"{len(records) - failed} of {len(records)} evaluations"))
    return records


def input_sample(models: Sequence[Path], holdout: Path, out: Path) -> Path:
    """Write an item of the holdout as the input of latency runs; returns its .npz.

    The array `arr_0` is (1, ...) in real values, not quantised, or (N, ...) where the
    models answer N samples at once; the file lies in `<out>/inputs/` under the holdout's
    hash, the same for every variant of a model.

    Raises: UserError if the holdout is unreadable, does not fit one of the models, or is
    constant, or if the models answer different numbers at once.
    """
    samples = load_samples(holdout, "holdout", "none")
    batches = set()
    for model in models:
        facts = _facts(model)
        check_input(facts, samples)
        batches.add(own_batch(facts))
    if len(batches) != 1:
        numbers = " and ".join(map(str, sorted(batches)))
        raise UserError(
            f"the variants answer {numbers} samples per invoke, which cannot be compared; give "
            "`files` of the same batch"
        )
    (batch,) = batches
    name = f"holdout-{samples.sha256[:12]}" + (f"-{batch}" if batch > 1 else "")
    path = out / "inputs" / f"{name}.npz"
    # Kernels run at another speed on constant input, so that it would mislead.
    flat = samples.x.reshape(len(samples.x), -1)
    varied = np.flatnonzero(flat.max(axis=1) != flat.min(axis=1))
    if len(varied) == 0 and flat.shape[1] > 1:
        raise UserError(
            f"holdout {samples.name}: every sample of `x` is constant; give real inputs"
        )
    first = int(varied[0]) if len(varied) else 0
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}")
    with fresh.open("wb") as file:
        np.savez(file, np.take(samples.x, range(first, first + batch), axis=0, mode="wrap"))
    fresh.replace(path)
    return path


def _compared(work: Work, pairs: Sequence[Pair], reference: str) -> dict[int, Result]:
    """The reference first, then the others against its outputs by the same kernels."""
    first = [pair for pair in pairs if pair.variant.variant == reference]
    results = work.run(first)
    references = {p.kernels: work.outputs(p) for p in first if results[p.number].failure is None}
    rest = [pair for pair in pairs if pair not in first]
    for pair in rest:
        if pair.kernels not in references:
            why = f"there is nothing to compare with: {reference} has no answers by these kernels"
            results[pair.number] = Result(failure=Failure("evaluate", why))
    able = [pair for pair in rest if pair.number not in results]
    return results | work.run(able, references)


def _head(variant: VariantRecord, out: Path, samples: Samples, judge: Metric) -> Head | Failure:
    facts = _facts(out / str(variant.path))
    if EDGETPU_OP in facts.custom_ops:
        return Failure("evaluate", f"{variant.variant} has no kernels but those of an Edge TPU")
    return head_of(facts, samples, judge)


def _facts(path: Path) -> ModelFacts:
    try:
        return read_model(path.read_bytes())
    except (OSError, UnreadableOutput) as error:
        raise UserError(f"model {path.name}: {error}; make the variants again") from error


def _record(
    run_id: str,
    pair: Pair,
    metric: Metric,
    result: Result,
    holdout_sha256: str,
    labels: NDArray[np.int32] | None,
) -> EvaluationRecord:
    failure, value = result.failure, None
    statistics = result.statistics
    if statistics is not None:
        try:
            value = metric.value_of(statistics)
        except ValueError as error:
            failure, statistics = Failure("evaluate", str(error)), None
    known = failure is None and result.predictions is not None
    return EvaluationRecord(
        run_id=run_id,
        model=pair.variant.model,
        variant=pair.variant.variant,
        kernels=pair.kernels,
        metric=metric.name,
        k=metric.k,
        higher_is_better=metric.higher_is_better,
        value=value,
        predictions=result.predictions if known else None,
        statistics=statistics,
        labels=labels if known else None,
        holdout_sha256=holdout_sha256,
        runtime=result.runtime,
        failure=failure,
    )
