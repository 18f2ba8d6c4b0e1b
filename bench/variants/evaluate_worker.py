"""One interpreter in its own process: `python -P -m bench.variants.evaluate_worker JOB.json`.

The job is a JSON object: `task` ("verify" or "evaluate"), `model`, `kernels` ("none":
plain kernels, "xnnpack": the default delegate). For "verify" also `item`, the shape of one
sample or null. For "evaluate" also:

- `holdout`: .npz with x and, if the metric looks at them, y;
- `metric`: fields of bench.metrics.Metric; `root`: directory of the user's function;
- `classes`: of mean_iou, the number of classes; else null;
- `classifies`: whether argmax of the output is an answer;
- `batched`: whether more than one sample at a time may be tried;
- `answers`: where to write an .npz with `statistics` (N, k) float64 and, where it
  classifies, `predictions` (N,) int32;
- `outputs`: directory for the raw outputs, made where they are needed as a whole;
- `reference`: such a directory of the model that cosine compares with, or null: this one is
  that model.

Reports, one JSON object per line of stdout: `done` (samples so far), `runtime` when it
worked, `failed` with one line when it did not, `user_error`. No TensorFlow: what ships to
the devices is what answers.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import ai_edge_litert
import numpy as np
from numpy.typing import NDArray

from bench.errors import UserError
from bench.format import first_line
from bench.metrics import Metric, Statistics, statistics
from bench.users_code import load_function, users_code
from bench.variants.child import Reporter, log_traceback
from bench.variants.feeding import (
    BATCH,
    Feeder,
    Outputs,
    open_feeder,
    open_interpreter,
    quantise,
)
from bench.variants.rows import count_rows, read_rows

_REPORT_EVERY_S = 0.25


def main(argv: list[str]) -> int:
    """Do one job; 0 if it was reported, whether it worked or not."""
    reporter = Reporter()
    job = json.loads(Path(argv[1]).read_text(encoding="utf-8"))
    try:
        started = time.monotonic()
        facts = _verify(job) if job["task"] == "verify" else _evaluate(job, reporter)
        seconds = round(time.monotonic() - started, 3)
        reporter.send(runtime={**_runtime(job), **facts, "seconds": seconds})
    except UserError as error:
        reporter.send(user_error=str(error))
    except (RuntimeError, ValueError, OSError, IndexError, MemoryError) as error:
        log_traceback()
        reporter.send(failed=first_line(error))
    return 0


def _runtime(job: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "runtime": "ai-edge-litert",
        "version": str(ai_edge_litert.__version__),
        "kernels": job["kernels"],
        "threads": 1,
    }


def _verify(job: Mapping[str, Any]) -> dict[str, Any]:
    interpreter = open_interpreter(job["model"], job["kernels"])
    guessed = _size_open_inputs(interpreter, job["item"])
    try:
        return _run_once(interpreter)
    except (RuntimeError, ValueError) as error:
        if not guessed:
            raise
        raise ValueError(
            f"{first_line(error)} The size of its input is open and 1 was tried: give a "
            "`holdout`, whose size is taken, or fix the size in the model"
        ) from error


def _size_open_inputs(interpreter: Any, item: list[int] | None) -> bool:
    """Give the one input the size of a sample; True where its size is a guess."""
    details = interpreter.get_input_details()
    if not any((d["shape_signature"][1:] < 0).any() for d in details):
        return False
    if item is None or len(details) != 1 or len(details[0]["shape"]) != len(item) + 1:
        return True
    interpreter.resize_tensor_input(details[0]["index"], [int(details[0]["shape"][0]), *item])
    return False


def _run_once(interpreter: Any) -> dict[str, Any]:
    interpreter.allocate_tensors()
    generator = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        x = generator.random(tuple(detail["shape"]), dtype=np.float32)
        interpreter.set_tensor(detail["index"], quantise(x, detail))
    interpreter.invoke()
    for detail in interpreter.get_output_details():
        y = interpreter.get_tensor(detail["index"])
        if y.dtype.kind == "f" and not np.isfinite(y).all():
            raise ValueError(f"output {detail['name']} is not finite for an ordinary input")
    return {"batch": 1}


def _evaluate(job: Mapping[str, Any], reporter: Reporter) -> dict[str, Any]:
    metric = Metric(**job["metric"])
    where = f"metric {metric.name}"
    # Before the first sample: a wrong name should not cost the time of all of them.
    function = load_function(metric.name, Path(job["root"]), where) if metric.is_function else None
    holdout = Path(job["holdout"])
    blocks = _with_labels(holdout, metric, BATCH)
    first = next(blocks)
    feeder = open_feeder(job["model"], job["kernels"], first[0], batched=job["batched"])
    if feeder.batch > BATCH:
        # Blocks that fill the model's own batch.
        blocks = _with_labels(holdout, metric, feeder.batch)
        first = next(blocks)
    reference = _Kept(Path(job["reference"])) if job["reference"] else None
    kept = None
    if function is not None or (metric.name == "cosine" and reference is None):
        kept = _Keeper(Path(job["outputs"]), count_rows(holdout, "x") or 0)
    found: list[Statistics] = []
    predictions: list[NDArray[np.int32]] = []
    done = 0
    for x, y, outputs in _answers(feeder, first, blocks, reporter):
        if job["classifies"]:
            scores = outputs[0].reshape(len(x), -1)
            predictions.append(scores.argmax(axis=1).astype(np.int32))
        if kept is not None:
            kept.put(done, outputs)
        if function is None:
            against = outputs if reference is None else reference.rows(done, len(x))
            try:
                found.append(
                    statistics(metric, outputs, y, classes=job["classes"], reference=against)
                )
            except UserError as error:
                raise UserError(f"{job['name']}, {error}") from error
        done += len(x)
    if function is not None and kept is not None:
        found.append(_scores(function, kept.arrays, holdout, where))
    answers = {"statistics": np.concatenate(found)}
    if predictions:
        answers["predictions"] = np.concatenate(predictions)
    np.savez(job["answers"], allow_pickle=False, **answers)
    return {"batch": feeder.batch, "batch_why": feeder.why}


_Labelled = tuple[NDArray[Any], NDArray[Any] | None]


def _with_labels(holdout: Path, metric: Metric, at_once: int) -> Iterator[_Labelled]:
    """Blocks of x with the y that the metric wants row by row."""
    xs = read_rows(holdout, "x", at_once)
    if metric.labels in ("none", "any"):
        yield from ((x, None) for x in xs)
    else:
        yield from zip(xs, read_rows(holdout, "y", at_once), strict=True)


def _answers(
    feeder: Feeder, first: _Labelled, blocks: Iterator[_Labelled], reporter: Reporter
) -> Iterator[tuple[NDArray[Any], NDArray[Any] | None, Outputs]]:
    done, told = 0, time.monotonic()
    block: _Labelled | None = first
    shapes = None
    while block is not None:
        x, y = block
        outputs = feeder.answer(x, done)
        if shapes is not None and shapes != [out.shape[1:] for out in outputs]:
            raise ValueError(f"an output changes its shape at sample {done}")
        shapes = [out.shape[1:] for out in outputs]
        yield x, y, outputs
        done += len(x)
        if time.monotonic() - told > _REPORT_EVERY_S:
            told = time.monotonic()
            reporter.send(done=done)
        block = next(blocks, None)


def _scores(
    function: Callable[..., Any], outputs: Outputs, holdout: Path, where: str
) -> Statistics:
    """What the user's function says of every sample, (N, 1)."""
    y = None
    if count_rows(holdout, "y") is not None:
        with np.load(holdout, allow_pickle=False) as arrays:
            y = arrays["y"]
    count = len(outputs[0])
    with users_code(where):
        returned = np.asarray(function(outputs[0] if len(outputs) == 1 else outputs, y))
    if returned.shape != (count,) or returned.dtype.kind not in "fiub":
        raise UserError(
            f"{where}: returned shape {returned.shape} of {returned.dtype}; return one number "
            f"per sample, shape ({count},)"
        )
    scores = returned.astype(np.float64)
    if not np.isfinite(scores).all():
        bad = int(np.argmin(np.isfinite(scores)))
        raise UserError(f"{where}: returned {scores[bad]} for sample {bad}; return finite numbers")
    return scores[:, None]


class _Keeper:
    """Raw outputs of all samples, in files: they may be larger than the memory."""

    def __init__(self, folder: Path, count: int) -> None:
        folder.mkdir()
        self._folder, self._count = folder, count
        self.arrays: Outputs = []

    def put(self, start: int, outputs: Outputs) -> None:
        if not self.arrays:
            self.arrays = [
                np.lib.format.open_memmap(
                    self._folder / f"{index}.npy",
                    mode="w+",
                    dtype=y.dtype,
                    shape=(self._count, *y.shape[1:]),
                )
                for index, y in enumerate(outputs)
            ]
        for array, y in zip(self.arrays, outputs, strict=True):
            array[start : start + len(y)] = y


class _Kept:
    """What a _Keeper of another process kept."""

    def __init__(self, folder: Path) -> None:
        paths = sorted(folder.iterdir(), key=lambda path: int(path.stem))
        self._arrays = [np.load(path, mmap_mode="r") for path in paths]

    def rows(self, start: int, count: int) -> Outputs:
        return [np.asarray(array[start : start + count]) for array in self._arrays]


if __name__ == "__main__":
    sys.exit(main(sys.argv))
