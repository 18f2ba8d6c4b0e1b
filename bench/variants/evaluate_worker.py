"""One interpreter in its own process: `python -P -m bench.variants.evaluate_worker JOB.json`.

The job is a JSON object: `task` ("verify" or "evaluate"), `model`, `kernels` ("none":
plain kernels, "xnnpack": the default delegate); for "evaluate" also `holdout` (.npz with
x) and `answers` (where to write the predictions, .npy int32).

Reports one JSON object on stdout: `runtime` when it worked, `failed` with one line when
it did not. No TensorFlow: what ships to the devices is what answers.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ai_edge_litert
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from bench.variants.child import Reporter

_RESOLVERS = {
    "none": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "xnnpack": OpResolverType.AUTO,
}


def main(argv: list[str]) -> int:
    """Do one job; 0 if it was reported, whether it worked or not."""
    reporter = Reporter()
    job = json.loads(Path(argv[1]).read_text(encoding="utf-8"))
    try:
        reporter.send(runtime=_do(job))
    except (RuntimeError, ValueError, OSError, IndexError, MemoryError) as error:
        traceback.print_exc()
        lines = str(error).strip().splitlines() or [type(error).__name__]
        reporter.send(failed=lines[0][:300])
    return 0


def quantise(x: NDArray[Any], detail: Mapping[str, Any]) -> NDArray[Any]:
    """Real values to what the input takes: clip(round(x / scale) + zero_point)."""
    dtype = np.dtype(detail["dtype"])
    scale, zero_point = detail["quantization"]
    if dtype.kind not in "iu" or scale == 0:
        return x.astype(dtype)
    limits = np.iinfo(dtype)
    steps: NDArray[Any] = np.round(x / scale) + zero_point
    clipped: NDArray[Any] = np.clip(steps, limits.min, limits.max)
    return clipped.astype(dtype)


def dequantise(y: NDArray[Any], detail: Mapping[str, Any]) -> NDArray[Any]:
    """What the output gave to real values: (y - zero_point) * scale."""
    scale, zero_point = detail["quantization"]
    if np.dtype(detail["dtype"]).kind not in "iu" or scale == 0:
        return y
    real: NDArray[Any] = (y.astype(np.float32) - zero_point) * np.float32(scale)
    return real


def _do(job: Mapping[str, Any]) -> dict[str, Any]:
    started = time.monotonic()
    interpreter = Interpreter(
        model_path=job["model"],
        num_threads=1,
        experimental_op_resolver_type=_RESOLVERS[job["kernels"]],
    )
    interpreter.allocate_tensors()
    if job["task"] == "verify":
        _invoke_once(interpreter)
    else:
        with np.load(job["holdout"], allow_pickle=False) as arrays:
            x = arrays["x"]
        np.save(job["answers"], _answers(interpreter, x))
    return {
        "runtime": "ai-edge-litert",
        "version": str(ai_edge_litert.__version__),
        "kernels": job["kernels"],
        "threads": 1,
        "batch": 1,
        "seconds": round(time.monotonic() - started, 3),
    }


def _invoke_once(interpreter: Any) -> None:
    generator = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        x = generator.random(tuple(detail["shape"]), dtype=np.float32)
        interpreter.set_tensor(detail["index"], quantise(x, detail))
    interpreter.invoke()
    for detail in interpreter.get_output_details():
        y = interpreter.get_tensor(detail["index"])
        if y.dtype.kind == "f" and not np.isfinite(y).all():
            raise ValueError(f"output {detail['name']} is not finite for an ordinary input")


def _answers(interpreter: Any, x: NDArray[Any]) -> NDArray[np.int32]:
    """Argmax per sample, (N,) int32, one sample at a time: what is measured is what
    is judged, and batches gain nothing on models that take a millisecond."""
    (taken,) = interpreter.get_input_details()
    (given,) = interpreter.get_output_details()
    answers = np.empty(len(x), np.int32)
    for index in range(len(x)):
        interpreter.set_tensor(taken["index"], quantise(x[index : index + 1], taken))
        interpreter.invoke()
        scores = dequantise(interpreter.get_tensor(given["index"]), given)
        if not np.isfinite(scores).all():
            raise ValueError(f"the output for sample {index} is not finite")
        answers[index] = np.argmax(scores)
    return answers


if __name__ == "__main__":
    sys.exit(main(sys.argv))
