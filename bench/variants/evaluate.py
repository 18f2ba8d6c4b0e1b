"""Accuracy of every variant on the full holdout, by every set of kernels asked for."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import UnreadableOutput, UserError
from bench.events import Emit, StageAdvanced, StageFinished, StageStarted
from bench.records import EvaluationRecord, Failure, Json, VariantRecord
from bench.variants.arrays import Samples, check_fits, classes_of, load_samples
from bench.variants.child import ChildExit, ChildJob, Message, run_children
from bench.variants.inspect import ModelFacts, TensorFacts, read_model

_AT_MOST = 2


def evaluate_variants(
    variants: Sequence[VariantRecord],
    holdout: Path,
    kernels: Sequence[str],
    *,
    out: Path,
    run_id: str,
    emit: Emit,
    timeout_s: float = 3600.0,
) -> tuple[EvaluationRecord, ...]:
    """Judge each variant that was made, by each set of kernels; top-1 over the holdout.

    Args:
        holdout: .npz with x (N, ...) and integer y (N,).
        kernels: of "none" (plain) and "xnnpack".
        out: directory that the variants' paths are relative to.
        timeout_s: for one variant by one set of kernels.

    Returns: one record per made variant and set of kernels, variants first; variants
    without a file have their own failure already and get none. A record's failure is of
    kind "evaluate", "crash" or "timeout".

    Raises: UserError if the holdout is unreadable or does not fit a model.
    """
    samples = load_samples(holdout, "holdout")
    made = [variant for variant in variants if variant.path is not None]
    pairs = [(variant, kernel) for variant in made for kernel in kernels]
    refused = {variant.variant: _refusal(out / str(variant.path), samples) for variant in made}
    emit(StageStarted("evaluate", f"Evaluating on {len(samples.x)} samples", len(pairs)))
    with tempfile.TemporaryDirectory(prefix="edgebench-evaluate-") as scratch:
        folder = Path(scratch)
        todo = [k for k, (variant, _) in enumerate(pairs) if refused[variant.variant] is None]
        answers = {k: folder / f"answers-{k}.npy" for k in todo}
        logs = {k: folder / f"{k}.log" for k in todo}
        jobs = [
            ChildJob(
                "bench.variants.evaluate_worker",
                {
                    "task": "evaluate",
                    "model": str((out / str(pairs[k][0].path)).resolve()),
                    "kernels": pairs[k][1],
                    "holdout": str(holdout.resolve()),
                    "answers": str(answers[k]),
                },
                folder,
                logs[k],
                timeout_s,
                {},
            )
            for k in todo
        ]
        said: dict[int, Message] = {}
        done = len(pairs) - len(todo)

        def on_message(index: int, message: Message) -> None:
            said[todo[index]] = message

        def on_exit(index: int, end: ChildExit) -> None:
            nonlocal done
            done += 1
            variant, kernel = pairs[todo[index]]
            emit(StageAdvanced("evaluate", done, f"{variant.variant} · {kernel}"))

        ends = dict(
            zip(
                todo,
                run_children(jobs, at_most=_AT_MOST, on_message=on_message, on_exit=on_exit),
                strict=True,
            )
        )
        records = []
        for k, (variant, kernel) in enumerate(pairs):
            failure = refused[variant.variant]
            predictions = None
            if failure is None:
                failure = _failure(ends[k], said.get(k), kernel)
            if failure is None:
                predictions = np.load(answers[k], allow_pickle=False)
            runtime = said.get(k, {}).get("runtime", {})
            records.append(_record(run_id, variant, kernel, samples, predictions, runtime, failure))
    failed = sum(record.failure is not None for record in records)
    emit(StageFinished("evaluate", f"{len(records) - failed} of {len(records)} evaluations"))
    return tuple(records)


def input_sample(model_path: Path, holdout: Path, out: Path) -> Path:
    """Write one item of the holdout as the input of latency runs; returns its .npz.

    The array `arr_0` is (1, ...) in real values, not quantised; the file lies in
    `<out>/inputs/` under the holdout's hash, the same for every variant of a model.

    Raises: UserError if the holdout is unreadable, does not fit, or is constant.
    """
    samples = load_samples(holdout, "holdout")
    _fits(_facts(model_path), samples)
    path = out / "inputs" / f"holdout-{samples.sha256[:12]}.npz"
    # Kernels run at another speed on constant input, so that it would mislead.
    flat = samples.x.reshape(len(samples.x), -1)
    varied = np.flatnonzero(flat.max(axis=1) != flat.min(axis=1))
    if len(varied) == 0 and flat.shape[1] > 1:
        raise UserError(
            f"holdout {holdout.name}: every sample of `x` is constant; give real inputs"
        )
    first = int(varied[0]) if len(varied) else 0
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}")
    with fresh.open("wb") as file:
        np.savez(file, samples.x[first : first + 1])
    fresh.replace(path)
    return path


def _refusal(path: Path, samples: Samples) -> Failure | None:
    """Why top-1 has no meaning for this model; checks the holdout on the way."""
    facts = _facts(path)
    if len(facts.inputs) != 1 or len(facts.outputs) != 1:
        return Failure(
            "evaluate",
            f"top-1 needs one input and one output, this model has {len(facts.inputs)} and "
            f"{len(facts.outputs)}",
        )
    shape = facts.outputs[0].shape
    if classes_of(shape) is None:
        return Failure(
            "evaluate", f"top-1 needs an output of shape (1, classes), this one is {shape}"
        )
    _fits(facts, samples)
    return None


def _fits(facts: ModelFacts, samples: Samples) -> None:
    if len(facts.inputs) != 1:
        raise UserError(
            f"holdout {samples.name}: the model has {len(facts.inputs)} inputs, `x` serves one"
        )
    tensor = facts.inputs[0]
    classes = classes_of(facts.outputs[0].shape) if len(facts.outputs) == 1 else None
    check_fits(samples, tensor.signature, _real_dtype(tensor), classes)


def _real_dtype(tensor: TensorFacts) -> str:
    """What the user gives for this input: a quantised one takes real values."""
    return "float32" if tensor.scale is not None else tensor.dtype.lower()


def _facts(path: Path) -> ModelFacts:
    try:
        return read_model(path.read_bytes())
    except (OSError, UnreadableOutput) as error:
        raise UserError(f"model {path.name}: {error}; make the variants again") from error


def _failure(end: ChildExit, message: Message | None, kernel: str) -> Failure | None:
    text = end.log.read_text(encoding="utf-8", errors="replace")[-4000:] if end.log.exists() else ""
    name = "plain kernels" if kernel == "none" else kernel
    if end.timed_out:
        return Failure("timeout", f"evaluation on {name} {end.explain()}", text)
    if message is not None and "failed" in message:
        return Failure("evaluate", f"evaluation on {name}: {message['failed']}", text)
    if end.exit_code != 0 or message is None:
        return Failure("crash", f"evaluation on {name} {end.explain()}", text)
    return None


def _record(
    run_id: str,
    variant: VariantRecord,
    kernel: str,
    samples: Samples,
    predictions: NDArray[Any] | None,
    runtime: Json,
    failure: Failure | None,
) -> EvaluationRecord:
    correct = None if predictions is None else predictions == samples.y
    return EvaluationRecord(
        run_id=run_id,
        model=variant.model,
        variant=variant.variant,
        kernels=kernel,
        metric="top1",
        value=None if correct is None else float(np.mean(correct)),
        predictions=predictions,
        correct=correct,
        holdout_sha256=samples.sha256,
        runtime=runtime,
        failure=failure,
    )
