"""A finished run of benchmark_model -> Measurement, each figure with where it comes from.

Percentiles come from samples only where the recorded clock proved itself in this very
launch; else they are the tool's own, in whole us (METHOD section 3).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.delegation.judge import judge_tool
from bench.digest import digest
from bench.errors import UnreadableOutput
from bench.interpolate import interpolate_p90
from bench.parsers.benchmark_model import (
    ToolOutput,
    average,
    first,
    greatest,
    least,
    sixth_digit,
)
from bench.parsers.benchmark_proto import ResultFile, parse_result, parse_runtime_info
from bench.parsers.count_line import CountLine
from bench.parsers.invoke_loop import p90_reason
from bench.parsers.recorded_clock import Rebuilt, rebuild
from bench.records import Json, Measurement, Source
from bench.runners.base import LaunchSpec
from bench.runners.invoke_loop import evenly
from bench.stats import STATS_VERSION

RESULT_FILE, NODES_FILE, CLOCK_FILE = "result.pb", "nodes.pb", "clock.bin"

_DRIFT = 0.02
# Below this whole us are too coarse for a median.
_COARSE_US = 100.0
_TOOL_RESOLUTION_US = 1.0
# The tool keeps every sample in a vector that doubles: old and new together while it grows.
_KEPT_BYTES = 24
_MEMORY_SHARE = 0.02


def nodes_flags(*, compiled: bool) -> tuple[str, ...]:
    """Flags for NODES_FILE: where every node ran. compiled: of the CompiledModel tool."""
    # That one exports them wherever it is given a file for it.
    export = () if compiled else ("--export_model_runtime_info=true",)
    return (*export, f"--model_runtime_info_output_file={NODES_FILE}")


def measurement(
    spec: LaunchSpec,
    output: ToolOutput,
    files: Mapping[str, bytes],
    *,
    compiled: bool,
    inputs: Json,
    tool: Json,
    has_clock: bool,
) -> Measurement:
    """What a run with both of its count lines measured.

    Args:
        files: what the tool and the clock library wrote, by name.
        compiled: of the CompiledModel tool.
        inputs: for the record; tool: facts of the binary, for the record.
        has_clock: whether the clock library was laid out.

    Raises: UnreadableOutput where a file is damaged or contradicts the text.
    """
    text = output.text
    warmup, measured = text.warmup, text.measured
    assert warmup is not None
    assert measured is not None
    if RESULT_FILE in files:
        _agree(parse_result(files[RESULT_FILE]), warmup, measured, text.init_us)
    graph = parse_runtime_info(files[NODES_FILE]) if NODES_FILE in files else None
    rebuilt: Rebuilt | str = "there is no recorded clock for this device"
    if has_clock:
        rebuilt = "the recorded clock left no recording"
    if CLOCK_FILE in files:
        rebuilt = rebuild(files[CLOCK_FILE], warmup, measured)
    figures = (
        _of_tool(measured)
        if isinstance(rebuilt, str)
        else _of_samples(rebuilt, spec.limits.max_samples)
    )
    recorded_bytes = len(files.get(CLOCK_FILE, b""))
    if isinstance(rebuilt, Rebuilt):
        recorded_bytes = rebuilt.buffer_kib * 1024
    first_us: float | None = first(warmup)
    if isinstance(rebuilt, Rebuilt):
        first_us = float(rebuilt.warmup_ns[0]) / 1e3
    return Measurement(
        **figures,
        stats_version=STATS_VERSION,
        invokes_per_sample=1,
        first_inference_us=None if first_us is None else float(first_us),
        load_us=None,
        allocate_us=None,
        init_us=None if text.init_us is None else round(text.init_us, 3),
        input_copy_us=None,
        output_copy_us=None,
        cpu_us_per_invoke=None,
        timer_cost_ns=None,
        steady=_steady(rebuilt, warmup, measured),
        # The tool does not print how long it took: this is the sum of its invokes.
        warmup_s=average(warmup) * warmup.count / 1e6,
        warmup_cut=None,
        peak_rss_kib=_peak_kib(text.peak_mb, warmup.count + measured.count, recorded_bytes),
        load=None,
        delegation=judge_tool(spec.case.delegate.name, output, graph, compiled=compiled),
        runtime={
            **tool,
            "clock": rebuilt if isinstance(rebuilt, str) else "proved",
            "warmup_invokes": warmup.count,
            "measured_invokes": measured.count,
        },
        inputs=inputs,
    )


def _of_samples(rebuilt: Rebuilt, most: int) -> dict[str, Any]:
    samples = np.array(evenly(rebuilt.samples_ns.tolist(), most), dtype=np.int64)
    p50, p90, p95 = (float(value) / 1e3 for value in np.percentile(samples, (50, 90, 95)))
    reason = p90_reason(len(samples), 1)
    return {
        "samples_ns": samples,
        "warmup_ns": np.array(evenly(rebuilt.warmup_ns.tolist(), most), dtype=np.int64),
        "count": len(samples),
        "p50_us": p50,
        "p90_us": None if reason else p90,
        "p95_us": None if reason else p95,
        "p90_reason": reason,
        # Of all of them: what is kept of a million may miss the few that rule a mean.
        "mean_us": float(rebuilt.samples_ns.mean()) / 1e3,
        "min_us": float(rebuilt.samples_ns.min()) / 1e3,
        "max_us": float(rebuilt.samples_ns.max()) / 1e3,
        "digest": digest(samples),
    }


def _of_tool(line: CountLine) -> dict[str, Any]:
    mean = average(line)
    figures: dict[str, Any] = {
        "samples_ns": None,
        "warmup_ns": None,
        "count": line.count,
        "p50_us": None,
        "p90_us": None,
        "p95_us": None,
        "p90_reason": None,
        "mean_us": mean,
        "min_us": float(least(line)),
        "max_us": float(greatest(line)),
        "p50_source": Source.UNAVAILABLE,
        "p90_source": Source.UNAVAILABLE,
        "resolution_us": _TOOL_RESOLUTION_US,
    }
    if line.median is None or line.p5 is None or line.p95 is None:
        figures["p90_reason"] = "this version of the tool prints no percentiles"
        return figures
    if mean < _COARSE_US:
        return {
            **figures,
            "p50_us": mean,
            "p50_source": Source.TOOL_MEAN,
            "p90_reason": "whole microseconds are too coarse for a percentile below 100 µs",
            # Of a mean of many; its last printed digit.
            "resolution_us": max(0.001, 10.0 ** (math.floor(math.log10(mean)) - 5)),
        }
    figures |= {"p50_us": float(line.median), "p50_source": Source.TOOL}
    if reason := p90_reason(line.count, 1):
        return {**figures, "p90_reason": reason}
    p90 = interpolate_p90(line.p5, line.median, line.p95)
    return {
        **figures,
        "p90_us": p90.value_us,
        "p95_us": float(line.p95),
        "p90_source": Source.INTERPOLATED,
        "p90_bounds_us": p90.bounds_us,
        "p90_reason": None if p90.value_us is not None else "only its bounds can be stated",
    }


def _steady(rebuilt: Rebuilt | str, warmup: CountLine, measured: CountLine) -> bool | None:
    """Whether the medians of both parts agree within 2 %; None where whole us cannot tell."""
    if isinstance(rebuilt, Rebuilt):
        before, after = (float(np.median(s)) for s in (rebuilt.warmup_ns, rebuilt.samples_ns))
        return bool(abs(after - before) <= _DRIFT * before)
    if warmup.median is None or measured.median is None:
        return None
    apart, allowed = abs(measured.median - warmup.median), _DRIFT * warmup.median
    # Each median is cut to whole us: together they may be off by one.
    if apart + _TOOL_RESOLUTION_US <= allowed:
        return True
    return False if apart - _TOOL_RESOLUTION_US > allowed else None


def _peak_kib(peak_mb: float | None, runs: int, recorded_bytes: int) -> int | None:
    """Peak memory, unless a good part of it may be the samples of the tool and of ours."""
    if peak_mb is None or peak_mb <= 0:
        return None
    peak_bytes = peak_mb * (1 << 20)
    if runs * _KEPT_BYTES + recorded_bytes > _MEMORY_SHARE * peak_bytes:
        return None
    return round(peak_bytes / 1024)


def _agree(
    result: ResultFile, warmup: CountLine, measured: CountLine, init_us: float | None
) -> None:
    """The tool's result file and its text must say the same. Raises: UnreadableOutput."""
    first_us = first(warmup)
    pairs = {
        "avg": (result.avg_ms, average(measured)),
        "min": (result.min_ms, least(measured)),
        "max": (result.max_ms, greatest(measured)),
        "median": (result.median_ms, measured.median),
        "p5": (result.p5_ms, measured.p5),
        "p95": (result.p95_ms, measured.p95),
        "init": (result.init_ms, init_us),
        "first": (result.first_ms, first_us),
        "warm-up avg": (result.warmup_avg_ms, average(warmup)),
    }
    counts = [(result.runs, measured.count), (result.warmup_runs, warmup.count)]
    for name, (said_ms, seen_us) in pairs.items():
        if said_ms is None or seen_us is None:
            continue
        if abs(said_ms * 1e3 - seen_us) > sixth_digit(seen_us):
            raise UnreadableOutput(f"the tool's result file and its text differ in {name}")
    if any(said is not None and said != seen for said, seen in counts):
        raise UnreadableOutput("the tool's result file and its text differ in the number of runs")
