"""Measure one model once, in a process of its own, and print one JSON document.

`python edge_measure.py SPEC` where SPEC may be /dev/stdin: {"model", "delegate", "threads",
"allocate_only"}. A runtime that aborts takes this process with it and not the agent. Built
on invoke_loop.py beside it, which the figures are therefore comparable with.
"""

from __future__ import annotations

import gc
import hashlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING or __package__:
    from bench.runners import invoke_loop as loop
else:
    import invoke_loop as loop

MIN_SAMPLES = 100
MIN_SAMPLES_P90 = 64
_MEASURE_MIN_S, _MEASURE_MAX_S = 0.3, 1.2
_WARMUP = {"warmup_min_s": 0.4, "warmup_max_s": 0.8, "warmup_min_invokes": 20}
_SEED = 0


def measure(spec: dict[str, Any]) -> dict[str, Any]:
    """Load, allocate and, unless only that is asked for, warm up and measure.

    The measured part has 100 samples and 0.3 s, or lasts 1.2 s; with the warm-up that is
    2 s, and an invoke more where one takes long. `window_ns` is it by the monotonic clock,
    which all processes of a machine share.

    Raises: invoke_loop.Failed.
    """
    name, version, interpreter_type, resolvers = loop.import_runtime()
    sha256 = _sha256(spec["model"])
    settings = {"delegate_options": {}, "input_shapes": {}, "inputs": None, "seed": _SEED, **spec}
    interpreter, _, _, evidence = loop.build(settings, interpreter_type, resolvers)
    document: dict[str, Any] = {
        "runtime_version": f"{name} {version}",
        "delegate_verdict": verdict(evidence["nodes"]),
        "model_sha256": sha256,
    }
    if not spec["allocate_only"]:
        with loop.stage("inputs"):
            loop.set_inputs(settings, interpreter)
        with loop.stage("invoke"):
            document.update(_timed(interpreter))
    if _sha256(spec["model"]) != sha256:
        raise loop.Failed("model", "the file was replaced while it was measured")
    return document


def verdict(nodes: dict[str, Any] | None) -> str:
    """How much of the model a delegate took, by the runtime's own list of nodes."""
    if nodes is None or not nodes["total"]:
        return "UNKNOWN"
    if not nodes["delegated"]:
        return "NONE"
    return "FULL" if nodes["delegated"] == nodes["total"] else "PARTIAL"


def percentiles_ms(samples_ns: list[int]) -> tuple[float, float | None]:
    """p50 and p90 in ms, numpy's linear definition; no p90 of fewer than 64 samples."""
    p50, p90 = (float(ns) / 1e6 for ns in np.percentile(samples_ns, (50, 90)))
    return p50, p90 if len(samples_ns) >= MIN_SAMPLES_P90 else None


def _timed(interpreter: Any) -> dict[str, Any]:
    invoke = interpreter.invoke
    cost_ns, resolution_ns = loop.timer_facts()
    gc.disable()
    warm: list[int] = []
    start = time.perf_counter_ns()
    loop.record(invoke, warm, 1, 0, start + 10**18)
    cut, _ = loop.warm_up(invoke, _WARMUP, warm, start)
    batch = loop.batch_size(max(cost_ns, resolution_ns), float(np.median(warm[cut:])))
    # Judging took a moment, in which caches went cold.
    loop.record(invoke, warm, len(warm) + 1, 0, time.perf_counter_ns() + 10**18)
    samples: list[int] = []
    window, begin = time.monotonic_ns(), time.perf_counter_ns()
    until, stop = (begin + int(s * 1e9) for s in (_MEASURE_MIN_S, _MEASURE_MAX_S))
    loop.record(invoke, samples, MIN_SAMPLES, until, stop, batch)
    window_ns = [window, time.monotonic_ns()]
    if min(samples) <= 0:
        raise loop.Failed("clock", "the clock of this device stood still or went back")
    p50_ms, p90_ms = percentiles_ms(samples)
    return {
        "p50_ms": p50_ms,
        "p90_ms": p90_ms,
        "mean_ms": float(np.mean(samples)) / 1e6,
        "sample_count": len(samples),
        "window_ns": window_ns,
    }


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
    except OSError as error:
        raise loop.Failed("model", f"{path}: {error.strerror}") from error
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(loop.main(sys.argv[1], measure))
