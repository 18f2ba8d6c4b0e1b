"""Plain kernels in a process of their own: `python -P -m bench.numerics.worker JOB.json`.

Some kernels end their process instead of failing, and a user's metric is the user's code.
Two tasks. "reference" answers samples as bench.runners.invoke_answers does on a device:
`model`, `samples` (.npz, or null: `count` items are drawn from `seed` and written to `drawn`)
and `result`, where the answers go; sends `document`. "score" applies the user's
function: `metric`, `root`, `outputs` and `labels` (.npz of arr_0 ... and of y); sends
`scores`. Both send `failed` with one line where they cannot.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.format import first_line
from bench.runners import invoke_answers, invoke_loop
from bench.users_code import load_function, users_code
from bench.variants.child import Reporter, Task, log_traceback, serve


def reference(job: Mapping[str, Any], reporter: Reporter) -> None:
    """Answer samples by plain kernels on one thread."""
    spec = {
        "model": job["model"],
        "samples": job["samples"],
        "delegate": "none",
        "delegate_options": {},
        "threads": 1,
        "input_shapes": {},
    }
    try:
        if spec["samples"] is None:
            spec["samples"] = job["drawn"]
            _draw(spec, int(job["seed"]), int(job["count"]))
        reporter.send(document=invoke_answers.answer(spec, job["result"]))
    except invoke_loop.Failed as failure:
        log_traceback()
        reporter.send(failed=failure.message)


def _draw(spec: Mapping[str, Any], seed: int, count: int) -> None:
    """Write items as the invoke loop draws its input, one after the other."""
    _, _, interpreter_type, resolvers = invoke_loop.import_runtime()
    interpreter, _, _, _ = invoke_loop.build(dict(spec), interpreter_type, resolvers)
    details = interpreter.get_input_details()
    rng = np.random.default_rng(seed)
    drawn = [[invoke_loop.draw(rng, detail) for detail in details] for _ in range(count)]
    arrays = [np.stack(each) for each in zip(*drawn, strict=True)]
    np.savez(spec["samples"], *[_without_batch(values) for values in arrays])


def _without_batch(values: Any) -> Any:
    """(samples, 1, ...) as (samples, ...), the form that a holdout has."""
    return values[:, 0] if values.ndim > 1 and values.shape[1] == 1 else values


def score(job: Mapping[str, Any], reporter: Reporter) -> None:
    """What the user's function says of each sample."""
    where = f"metric {job['metric']}"
    function = load_function(job["metric"], Path(job["root"]), where)
    with np.load(job["outputs"], allow_pickle=False) as held:
        outputs = [held[f"arr_{i}"] for i in range(len(held.files))]
    y = None
    if job["labels"] is not None:
        with np.load(job["labels"], allow_pickle=False) as held:
            y = held["y"]
    with users_code(where):
        returned = np.asarray(function(outputs[0] if len(outputs) == 1 else outputs, y))
    count = len(outputs[0])
    if returned.shape != (count,) or returned.dtype.kind not in "fiub":
        reporter.send(
            failed=f"{where} returned shape {returned.shape} of {returned.dtype}; return one "
            f"number per sample, shape ({count},)"
        )
        return
    scores = returned.astype(np.float64)
    if not np.isfinite(scores).all():
        reporter.send(failed=f"{where} returned a number that is not finite")
        return
    reporter.send(scores=scores.tolist())


def _telling(task: Task) -> Task:
    """The task, and one line to the parent where it cannot be done."""

    def run(job: Mapping[str, Any], reporter: Reporter) -> None:
        try:
            task(job, reporter)
        except (RuntimeError, ValueError, MemoryError) as error:
            log_traceback()
            reporter.send(failed=first_line(error))

    return run


if __name__ == "__main__":
    sys.exit(serve(sys.argv, {"reference": _telling(reference), "score": _telling(score)}))
