"""The process that runs models for a diagnosis: `python -P -m bench.diagnose.worker JOB.json`.

The job is a JSON object. `task` "analyse": `fp32` and `variant` (.tflite), `holdout`,
`calibration` and `train` (.npz, the last two or null), `samples`, `seed`, and `analysis`,
the file to write bench.diagnose.layers.Analysis to. `task` "equalise": `fp32`, `holdout`,
`samples`, `seed`, and `equalised`, the .tflite to write.

Reports one JSON object per line: `progress`, and in the end `done` with facts, `refused`
with one line, `failed` with one line, or `user_error`. No TensorFlow.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.diagnose.activations import Runner, groups
from bench.diagnose.analyse import analyse
from bench.diagnose.equalise import equalise
from bench.errors import UnreadableOutput, UserError
from bench.format import first_line
from bench.variants.arrays import choose, load_samples
from bench.variants.child import Reporter, log_traceback
from bench.variants.recipe import MAX_CALIBRATION_SAMPLES

# Of the greatest output: sums of float32 products in another order differ by less, a wrong
# scale by much more.
MAX_RELATIVE_DIFFERENCE = 1e-4
_LEAKING = ("holdout", "train")


def main(argv: list[str]) -> int:
    """Do one job; 0 if it was reported, whether it worked or not."""
    reporter = Reporter()
    job = json.loads(Path(argv[1]).read_text(encoding="utf-8"))
    try:
        {"analyse": _analyse, "equalise": _equalise}[job["task"]](job, reporter)
    except UserError as error:
        reporter.send(user_error=str(error))
    except (UnreadableOutput, RuntimeError, ValueError, OSError, MemoryError) as error:
        log_traceback()
        reporter.send(failed=first_line(error))
    return 0


def _analyse(job: Mapping[str, Any], reporter: Reporter) -> None:
    calibration = None
    if job["calibration"] is not None:
        # The very samples that variants are calibrated with.
        calibration = _samples(job, "calibration", MAX_CALIBRATION_SAMPLES)
    found = analyse(
        Path(job["fp32"]).read_bytes(),
        Path(job["variant"]).read_bytes(),
        _samples(job, "holdout", job["samples"]),
        calibration,
        lambda what, done: reporter.send(progress=f"{what}, sample {done}"),
    )
    if job["train"] is not None:
        holdout, train = (load_samples(Path(job[role]), role, "none").x for role in _LEAKING)
        found = replace(found, trained_on=common(holdout, train))
    Path(job["analysis"]).write_text(json.dumps(found.to_json()), encoding="utf-8")
    reporter.send(done={})


def common(holdout: NDArray[Any], train: NDArray[Any]) -> int | None:
    """How many samples of the one are in the other, bit by bit; None if of another kind."""
    if holdout.dtype != train.dtype or holdout.shape[1:] != train.shape[1:]:
        return None
    known = {hashlib.blake2b(sample.tobytes()).digest() for sample in train}
    return sum(hashlib.blake2b(sample.tobytes()).digest() in known for sample in holdout)


def _equalise(job: Mapping[str, Any], reporter: Reporter) -> None:
    fp32 = Path(job["fp32"]).read_bytes()
    made = equalise(fp32)
    if not made.pairs:
        why = "; ".join(dict.fromkeys(made.skipped.values())) or "no two layers follow each other"
        reporter.send(refused=f"no pair of layers can be equalised: {why}")
        return
    difference, greatest = _difference(fp32, made.data, _samples(job, "holdout", job["samples"]))
    if not difference <= MAX_RELATIVE_DIFFERENCE * greatest:
        reporter.send(
            refused=f"the equalised float model answers otherwise (by {difference:.2g} at outputs "
            f"up to {greatest:.2g})"
        )
        return
    Path(job["equalised"]).write_bytes(made.data)
    reporter.send(
        done={
            "pairs": [list(pair) for pair in made.pairs],
            "skipped": dict(made.skipped),
            "largest_scale": made.largest_scale,
            "rounds": made.rounds,
            "max_difference": difference,
            "max_output": greatest,
        }
    )


def _difference(before: bytes, after: bytes, x: NDArray[Any]) -> tuple[float, float]:
    """Greatest difference between the outputs of two float models, and greatest output."""
    one, other = Runner(before), Runner(after)
    difference = greatest = 0.0
    for group in groups(x, one.batch):
        one.run(group)
        other.run(group)
        for a, b in zip(one.outputs(), other.outputs(), strict=True):
            gap = np.abs(a.astype(np.float64) - b.astype(np.float64))
            # NaN must not pass for a small difference.
            difference = max(difference, float(np.nan_to_num(gap, nan=np.inf).max()))
            greatest = max(greatest, float(np.abs(a).max()))
    return difference, greatest


def _samples(job: Mapping[str, Any], role: str, at_most: int) -> NDArray[Any]:
    x = load_samples(Path(job[role]), role, "none").x
    return x[choose(len(x), at_most, job["seed"])]


if __name__ == "__main__":
    sys.exit(main(sys.argv))
